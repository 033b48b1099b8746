"""Tables are made from records alone: means and deviations by hand, dashes where nothing is recorded."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepcluster_tf import experiments
from deepcluster_tf.experiments import TABLES, results
from deepcluster_tf.reporting import figures, tables
from deepcluster_tf.reporting.figures import annotation as drawing
from deepcluster_tf.reporting.figures import unsupervised
from deepcluster_tf.reporting.tables import annotation, encodings, markdown, supervision, times

REPOSITORY = Path(__file__).parents[1]
FASHION = TABLES["fashion-dcec"]


WHOLE = {  # what every record holds beside its numbers
    "strategy": "none", "versions": {}, "git_commit": "unknown", "date": "2026-11-22", "model_sha256": "",
    "machine": {"processor": "", "cores": 2, "memory_gib": 24, "gpus": []},
    "data": {"name": "", "n": 1, "shape": [28, 28, 1], "sha256": ""},
    "class_names": list("0123456789"), "notices": [], "seconds": {}, "converged": None,
}  # fmt: skip
KINDS = {  # and what the records of a protocol do
    "annotated": {"protocol": "annotated", "cluster_sizes": [], "class_names_given": list("0123456789")},
    "encodings": {"protocol": "encodings", "cluster_sizes": {}},
    "clusterings": {
        "protocol": "clusterings", "cluster_sizes": {}, "accuracy_curve": [[0, 0], [1, 1]], "seconds": {"training": 9}
    },
    "semi_supervised": {"protocol": "semi_supervised", "cluster_sizes": [0] * 10, "classes": list(range(10))},
}  # fmt: skip


def record(root, experiment, variant, seed, settings, metrics, **more):
    path = root / "runs" / experiment / variant / f"seed-{seed}" / "result.json"
    path.parent.mkdir(parents=True)
    scores = {name: {"value": value, "protocol": "", "n": 1} for name, value in metrics.items()}
    plain = {"schema": 1, "experiment": experiment, "budget": "paper", "seed": seed, "iterations": 20000}
    protocol = experiments.get(experiment).protocol.partition(":")[0]
    path.write_text(json.dumps({**WHOLE, **KINDS[protocol], **plain, "settings": settings, "metrics": scores, **more}))


@pytest.fixture
def root(tmp_path):
    defaults = experiments.get("fashion-dcec").method_class().defaults()
    for seed, acc in ((0, 0.70), (1, 0.74)):
        settings = {**defaults, "supervision": 0.01, "seed": seed}
        scores = {"acc": acc, "nmi": 0.66, "ari": 0.6, "purity": acc}
        scores |= {f"{name}_unsupervised": value - 0.01 for name, value in scores.items()}
        for variant, scratch, shift in (("sup-0.01", False, 0), ("sup-0.01-scratch", True, 0.2)):
            shifted = {name: value + shift for name, value in scores.items()}
            more = {"class_names": list("abcdefghij"), "confusion": (np.eye(10, dtype=int) * 9 + 1).tolist()}
            more["autoencoder"] = {"scratch": scratch, "loss": 0.01, "seconds": 9.0}
            more["autoencoder"] |= {"images_sha256": "", "weights_sha256": ""}
            record(tmp_path, "fashion-dcec", variant, seed, settings, shifted, **more)
            if not scratch:  # a run with 16 bits is another one
                settings_of = {**settings, "precision": "mixed_float16"}
                record(tmp_path, "fashion-dcec", f"{variant}-mixed_float16", seed, settings_of, shifted, **more)
    return tmp_path


def row(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_supervision_by_hand(root):
    table = supervision.frame(FASHION, root)
    ours = row(table, scored="all images", supervision=0.01, reconstruction=1)
    # mean of 0.70 and 0.74; deviation sqrt((0.02^2 + 0.02^2) / 1) = 0.028284; the paper prints 0.7371
    assert ours["acc"] == pytest.approx(0.72) and ours["acc_std"] == pytest.approx(0.028284, abs=1e-6)
    assert ours["acc_difference"] == pytest.approx(0.72 - 0.7371) and ours["seeds"] == 2
    alone = row(table, scored="unsupervised images", supervision=0.01, reconstruction=1)
    assert alone["acc"] == pytest.approx(0.71) and np.isnan(alone["acc_document"])
    missing = row(table, scored="all images", supervision=0.3)
    assert np.isnan(missing["acc"]) and missing["acc_document"] == 0.9034 and missing["seeds"] == 0
    assert missing["command"] == "make fashion-dcec SUP=0.3"
    other = row(table, scored="all images", **{"lambda": 0.1})
    assert other["command"] == "make fashion-dcec SUP=0 LAMBDA=0.1" and np.isnan(other["acc_document"])


def test_times_are_of_two_processors_whatever_the_machine_has():
    of = lambda cores, **more: {"machine": {"cores": cores, "gpus": [], **more}}
    assert times._on_two_cores(of(2)) and times._on_two_cores(of(16, processors=2))
    assert not times._on_two_cores(of(2, processors=1)) and not times._on_two_cores(of(16))


def test_minutes_until_an_accuracy_stood_by_hand(tmp_path):
    rows = [(0.5, 30), (0.8, 30), (0.7, 60), (0.75, 60), (0.9, 60)]
    (tmp_path / "history.csv").write_text("acc,seconds\n" + "".join(f"{acc},{seconds}\n" for acc, seconds in rows))
    until = lambda acc: supervision.minutes_until({"directory": tmp_path}, acc)
    assert [until(acc) for acc in (0.4, 0.7, 0.75, 0.9)] == [0.5, 1.0, 3.0, 4.0]  # 0.8 did not stand, 0.7 did
    assert np.isnan([until(0.91), until(np.nan), supervision.minutes_until({"directory": tmp_path / "x"}, 0.5)]).all()


def test_what_the_reconstruction_brings_by_hand():
    row = {"scored": "all images", "supervision": 0.01, "lambda": 1.0, "reconstruction": 1.0, "seeds": 1, "acc": 0.5}
    both = [row, {**row, "reconstruction": 0.0, "acc": 0.25}, {**row, "reconstruction": 0.0, "supervision": 0.5}]
    [said, _] = supervision._without_reconstruction(pd.DataFrame(both))
    assert said.endswith("Here ACC is 0.5000 with it and 0.2500 without at 1 % of the labels.")
    for missing in (both[:1], both[1:], [row, {**both[1], "seeds": 0}], [row, {**both[1], "lambda": 0.1}]):
        assert supervision._without_reconstruction(pd.DataFrame(missing)) == []


def test_what_is_recorded_with_other_settings_is_due_again(root):
    assert markdown.outdated(FASHION, root) == ""
    path = root / "runs" / "fashion-dcec" / "sup-0.01" / "seed-1" / "result.json"
    found = json.loads(path.read_text())
    found["settings"]["filters"] = [8, 8, 8]
    path.write_text(json.dumps(found))
    said = markdown.outdated(FASHION, root)
    assert said.endswith("due again: with filters 8, 8, 8: `make fashion-dcec SUP=0.01 SEED=1`.")
    assert said in tables.page(FASHION, root)
    found["settings"] = {**found["settings"], "filters": [32, 64, 128], "gone": 7}  # a setting that there is no more
    path.write_text(json.dumps(found))
    assert markdown.outdated(FASHION, root) == ""
    # a weight of the dot product's term has no effect on layers that compare: no run is due again for it
    scores = {"ari_kmeans": 0.1, "ari_mixture": 0.1}
    record(root, "cifar-representation", "paper", 0, {"regularisation": 0.1}, scores)
    assert markdown.outdated(TABLES["cifar-encodings"], root) == ""


def test_supervision_for_people(root):
    page = supervision.page(FASHION, root)
    assert "| 1 % | 1 | 1 | 0.7200 ± 0.0283 | 0.7371 | -0.0171 |" in page
    assert (
        "| 30 % | 1 | 1 | – | 0.9034 | – | – | 0.8331 | – | – | – | – | – | – | – | `make fashion-dcec SUP=0.3` |"
        in page
    )
    assert "| 1 % | 0.7200 ± 0.0283 | 0.7371 | -0.0171 |" in supervision.readme(FASHION, root)


def test_encodings_by_hand(root):
    of = TABLES["fashion-encodings"]
    for seed, purity in ((0, 0.60), (1, 0.62), (2, 0.64)):
        scores = {
            f"{name}_{by}_{where}": purity - 0.1 * (name == "acc")
            for name in ("purity", "acc", "nmi", "ari")
            for by in ("kmeans", "mixture")
            for where in ("training", "test")
        }
        confusion = {"mixture_training": np.diag([10, 20]).tolist(), "kmeans_training": np.eye(2, dtype=int).tolist()}
        record(root, "fashion-ae", "paper", seed, {}, scores, confusion=confusion, class_names=["a", "b"])
    table = encodings.frame(of, root)
    ours = row(table, scored="training", what="dense autoencoder, Gaussian mixture")
    # the deviation of 0.60, 0.62, 0.64 is sqrt((0.02^2 + 0 + 0.02^2) / 2) = 0.02; the paper prints 0.60795
    assert ours["purity"] == pytest.approx(0.62) and ours["purity_std"] == pytest.approx(0.02) and ours["seeds"] == 3
    assert ours["purity_difference"] == pytest.approx(0.62 - 0.60795) and ours["acc"] == pytest.approx(0.52)
    assert np.isnan(row(table, scored="test", what="dense autoencoder, Gaussian mixture")["purity_document"])
    assert "[[10  0]\n [ 0 20]]" in encodings.page(of, root)
    # in percent, to the paper's third decimal
    assert "Gaussian mixture | 62.000 ± 2.000 | 60.795 | +1.205 | 0.5200 ± 0.0200 | 3 |" in encodings.readme(of, root)
    raw = row(table, scored="training", what="raw pixels, k-means")
    assert raw["seeds"] == 0 and raw["purity_document"] == 0.5534 and raw["command"] == "make fashion-raw"


def vae_runs(root):
    for seed, accuracy in ((0, 0.70), (1, 0.80)):
        scores = {"test_acc": accuracy, "reconstruction_acc": 0.5}
        more = {"annotations": 40 + seed * 20, "class_names_given": list("0123456789")}
        more["naming"] = {"clusters": 12 + seed, "named": 0.9, "weight": 0.004}
        record(root, "mnist-vae", "annotator-reader", seed, {}, scores, **more)
        folder = root / "runs" / "mnist-vae" / "annotator-reader" / f"seed-{seed}"
        rows = [f"{e},{20 * e},{accuracy - 0.1 * (5 - e)}" for e in range(1, 6)]
        (folder / "history.csv").write_text("\n".join(["epoch,annotations,test_acc", *rows, ""]))
        (folder / "readings.csv").write_text("epoch,reconstruction_acc\n0.32,0.1\n0.64,0.3\n")
        answers = [f"1,{digit}.0" for digit in range(10)] + ["4,"] + [f"4,{digit}.0" for digit in range(9 + seed)]
        (folder / "annotations.csv").write_text("\n".join(["epoch,label", *answers, ""]))
        pictures = {f"pictures_{epoch}": np.zeros((3, 8, 8, 1), np.uint8) for epoch in (1, 5)}
        np.savez(folder / "centers.npz", labels_1=np.array([3, -1, 0]), labels_5=np.full(3, -1), **pictures)


def test_annotations_by_hand(root):
    of = TABLES["mnist-vae"]
    vae_runs(root)
    ours = row(annotation.frame(of, root), what="k-means, as published")
    # the deviation of 0.70 and 0.80 is sqrt(2 * 0.05^2 / 1) = 0.070711; the paper prints 0.75
    assert ours["test_acc"] == pytest.approx(0.75) and ours["test_acc_std"] == pytest.approx(0.070711, abs=1e-6)
    assert ours["annotations"] == 50 and ours["test_acc_difference"] == pytest.approx(0)
    page = annotation.page(of, root)
    mine = "| k-means, as published | 50 | 0.7500 ± 0.0707 | 0.7500 | +0.0000 | 0.5000 ± 0.0000 | 12.5 | 0.0040 | 2 |"
    assert mine in page
    assert "| Gaussian mixture, its posterior as confidence | – | – | 0.9347 (a later report) | – |" in page
    assert "a reader stood in for that person" in page
    # in the last round of seed 0 nobody named the last class
    assert annotation.last_names(of, root)["k-means, as published"] == [(0.7, False), (0.8, True)]
    found = drawing.curve(results.runs_of("mnist-vae", "annotator-reader", root), "history.csv", "epoch", "test_acc")
    assert found["mean"].tolist() == pytest.approx([0.35, 0.45, 0.55, 0.65, 0.75])
    assert found["x"].tolist() == [1, 2, 3, 4, 5] and found["std"].tolist() == pytest.approx([0.070711] * 5, abs=1e-6)
    drawn = drawing.write(of, root / "figures", root)
    assert len(drawn) == 5 and all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_figures_of_names_show_the_runs_that_they_name(root, monkeypatch):
    vae_runs(root)
    for seed, z, read in ((0, 10, 0.4), (0, 2, 0.2), (1, 2, 0.3)):
        variant = "annotator-reader-" + ("" if z == 10 else f"z-dim-{z}-") + "gamma-0"
        scores = {"reconstruction_acc": read, "test_acc": 0.1}
        if seed:
            scores["reconstruction_acc_guessed"] = 0.9
        record(root, "mnist-vae", variant, seed, {}, scores, annotations=0)
        folder = root / "runs" / "mnist-vae" / variant / f"seed-{seed}"
        (folder / "readings.csv").write_text(f"epoch,reconstruction_acc\n0.5,{read}\n")
    drawn, shown = [], []
    note = lambda axes, found, label, colour, **how: drawn.append((label, found["x"].tolist(), found["mean"].tolist()))
    monkeypatch.setattr(drawing, "_draw", note)
    of, printed = TABLES["mnist-vae"], results.reference()["mnist-vae"]
    drawing.accuracy_by_annotations(of, root, root / "a.png")
    label, x, y = drawn.pop()
    assert label == "k-means centres" and x == [0, 20, 40, 60, 80] and y[0] == pytest.approx(0.35)
    drawing.reconstruction_by_epoch(of, printed, root, root / "b.png")
    by_label = {label: (x, y) for label, x, y in drawn}
    assert by_label["without, ours"] == ([0.5], [0.4]) and by_label["with names (k-means), ours"][1] == [0.1, 0.3]
    drawn.clear()
    drawing.reconstruction_by_z_dim(of, printed, root, root / "c.png")
    assert drawn[0][1] == [2] and drawn[0][2] == pytest.approx([0.25])  # the mean of both seeds
    assert [label for label, *_ in drawn] == ["ours, a reader sure by 0.7", "ours, a reader however unsure"]
    assert drawn[1][2] == [0.9]  # of the one run that recorded it
    run = results.runs_of("mnist-vae", "annotator-reader", root)[0]
    last = {"pictures_5": np.full((3, 8, 8, 1), 9, np.uint8), "pictures_1": np.zeros((3, 8, 8, 1), np.uint8)}
    np.savez(run["directory"] / "centers.npz", labels_1=np.array([3, -1, 0]), labels_5=np.full(3, -1), **last)
    monkeypatch.setattr(drawing, "rows_of_images", lambda *what: shown.append(what))
    drawing.centers(run, root / "d.png")
    rows, _, _, names = shown[0]
    assert rows["epoch 1"].max() == 0 and rows["epoch 5"].min() == 9 and names == {"epoch 1": ["3", "?", "0"]}


def test_runs_with_a_person_have_rows_of_their_own(root):
    scores = {"test_acc": 0.9, "reconstruction_acc": 0.5}
    record(root, "mnist-vae", "annotator-browser", 0, {"annotator": "browser"}, scores, annotations=64)
    page = annotation.page(TABLES["mnist-vae"], root)
    again = "ANNOTATOR=file ANSWERS=results/runs/mnist-vae/annotator-browser/seed-0/annotations.csv"
    mine = "| a person, in the browser (browser) | 64 | 0.9000 | – | – | 0.5000 | – | – | 1 | paper | `make mnist-vae"
    assert f"{mine} {again}` |" in page
    usual = experiments.get("mnist-vae").method_class().defaults()
    settings = {**usual, "annotator": "file", "answers": "x", "n_clusters": 16, "clustering": "mixture", "a": 2.5}
    record(root, "mnist-vae", "annotator-file-x", 0, settings, scores, annotations=64)
    page = annotation.page(TABLES["mnist-vae"], root)
    assert "`make mnist-vae A=2.5 K=16 CLUSTERING=mixture ANNOTATOR=file ANSWERS=results/runs/" in page


def test_a_cell_by_hand():
    assert [markdown.cell(x) for x in (0.12345, -0.00004, np.nan)] == ["0.1235", "0.0000", markdown.DASH]
    assert markdown.cell(0.5536, 0.00006, percent=True) == "55.360 ± 0.006"
    assert [markdown.cell(x, sign="+") for x in (0.01, -0.01)] == ["+0.0100", "-0.0100"]


def test_fill_replaces_what_is_between_the_comments():
    text = "a\n<!-- table x: by make -->\nold\n<!-- end -->\nb\n<!-- table y: by make -->\n<!-- end -->\n"
    filled = markdown.fill(text, "table x", "new")
    assert filled == text.replace("old", "new") and markdown.fill(filled, "table x", "new") == filled
    with pytest.raises(ValueError, match="expected the comments '<!-- table z: ... -->'"):
        markdown.fill(text, "table z", "new")


UNSUPERVISED = (
    "pretrained",
    "cifar-unsupervised",
    "fashion-unsupervised",
    "mnist-unsupervised",
    "fashion-tail",
    "peers",
)


def test_clusterings_without_labels_by_hand(tmp_path, monkeypatch):
    printed = {"theirs": {"acc": 0.9, "acc_std": 0.02, "source": "a paper"}, "others": {"acc": 0.7, "nmi": 0.6}}
    monkeypatch.setattr(results, "reference", lambda: {"mnist-unsupervised": printed})
    for seed, acc in ((0, 0.5), (1, 0.7)):
        scores = {
            f"{name}_{by}": acc + 0.1 * (by == "n2d")
            for name in ("acc", "nmi", "ari")
            for by in ("kmeans", "mixture", "n2d")
        }
        more = {"seconds": {"training": 60, "encoding": 30, "kmeans": 30, "n2d": 90}, "starts": {"n2d": [acc, 0.25]}}
        record(tmp_path, "mnist-umap", "paper", seed, {}, scores, notices=["told"] * seed, **more)
    of = TABLES["mnist-unsupervised"]
    found = tables._kind(of).frame(of, tmp_path).set_index("what")
    assert found.loc["pixels, k-means", "acc"] == pytest.approx(0.6)
    assert found.loc["pixels, UMAP and a mixture", ["acc", "acc_std"]].tolist() == pytest.approx(
        [0.7, 0.141421], abs=1e-5
    )
    assert found.loc["pixels, UMAP and a mixture", "minutes"] == 3  # with training and encoding, without k-means
    assert np.isnan(found.loc["SCAN", "acc"]) and found.loc["theirs", "seeds"] == 0
    page = tables.page(of, tmp_path)
    assert "| pixels, UMAP and a mixture | 0.7000 ± 0.1414 | 0.7000 ± 0.1414 | 0.7000 ± 0.1414 | 2 | 3.0 |" in page
    assert "| SCAN | – | – | – | – | – | `make mnist-scan` |" in page
    assert "| theirs | 0.9000 ± 0.0200 | – | – | a paper |" in page
    assert "| others | 0.7000 | 0.6000 | – | the authors' paper or code |" in page
    assert "- pixels, UMAP and a mixture, seed 1: 0.7000, 0.2500" in page
    assert "seed 1: told" in page and "SCAN:\n\n1. The contrastive encoder" in page


def test_a_run_without_a_clustering_that_was_added_later_is_not_counted(tmp_path):
    for seed, names in ((0, ("kmeans",)), (1, ("kmeans", "n2d"))):
        scores = {
            f"{name}_{by}_training": 0.6 for name in ("acc", "nmi", "ari", "purity") for by in (*names, "mixture")
        }
        seconds = {"training": 60, "encoding": 30, "n2d": 90}
        more = {"starts": {"n2d": [0.6, 0.5]} if seed else {}, "class_names": []}
        more["confusion"] = {"kmeans_training": [], "mixture_training": []}
        record(tmp_path, "fashion-ae", "paper", seed, {}, scores, seconds=seconds, **more)
    of = TABLES["fashion-unsupervised"]
    found = tables._kind(of).frame(of, tmp_path).set_index("what")
    added = found.loc["dense autoencoder, UMAP and a mixture (training images)"]
    assert (added["acc"], added["seeds"], added["minutes"]) == (0.6, 1, 3)
    assert "(training images), seed 1: 0.6000, 0.5000" in tables.page(of, tmp_path)
    for seed in (0, 1):  # whose pictures are of another kind
        np.savez(tmp_path / "runs" / "fashion-ae" / "paper" / f"seed-{seed}" / "pictures.npz", centers=np.zeros(3))
    (tmp_path / "figures").mkdir()
    drawn = unsupervised.write(of, tmp_path / "figures", tmp_path)
    assert [path.name for path in drawn] == ["fashion-unsupervised-scores.png"]


FEW = ("fashion-labels", "fashion-few-labels", "mnist-few-labels", "cifar-few-labels", "mnist-names", "fashion-names")


def test_few_labels_by_hand(tmp_path):
    for seed, acc in ((0, 0.5), (1, 0.7)):
        scores = {f"{name}_unsupervised_fixmatch": acc for name in ("acc", "nmi", "ari")}
        scores |= {"acc_fixmatch": 0.99, "ari_kmeans": 0.2, "ari_mixture": 0.3}
        more = {"seconds": {"training": 60, "encoding": 30, "kmeans": 30}}
        record(tmp_path, "mnist-fixmatch", "labels-4", seed, {"labels_per_class": 4}, scores, **more)
    of = TABLES["mnist-few-labels"]
    found = tables._kind(of).frame(of, tmp_path).set_index(["what", "labels"])
    assert found.loc[("FixMatch", "4 a class"), ["acc", "seeds", "minutes"]].tolist() == pytest.approx([0.6, 2, 1.5])
    assert np.isnan(found.loc[("FixMatch", "10 a class"), "acc"])
    page = tables.page(of, tmp_path)
    assert "| FixMatch | – | – | 0.6000 ± 0.1414 | – | – | – |" in page
    assert "| FixMatch | – | – | 1.5 | – | – | – |" in page
    assert "2: `make mnist-fixmatch LABELS=4`" in page and "Classified" not in page


def half_written(folder):
    """What a killed process left: no number of a process is so large."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part-9999999-gone.csv").write_text("half")
    return folder / "part-9999999-gone.csv"


def test_everything_is_written(root):
    left = half_written(root / "tables")
    written = tables.write_all(root)
    assert not left.exists()
    assert [path.name for path in written] == [
        "fashion-dcec.md", "fashion-dcec-all-images.csv", "fashion-dcec-unsupervised-images.csv",
        "fashion-encodings.md", "fashion-encodings-test.csv", "fashion-encodings-training.csv",
        "mnist-vae.md", "mnist-vae.csv", "cifar-encodings.md", "cifar-encodings.csv",
        *(f"{name}.{kind}" for name in (*UNSUPERVISED, *FEW) for kind in ("md", "csv")),
    ]  # fmt: skip
    assert all(path.stat().st_size for path in written)


def test_figures_are_drawn_from_little_and_from_nothing(root):
    left = half_written(root / "figures")
    drawn = figures.write_all(root)  # no embeddings: panels in words
    assert len(drawn) == 7 + len(UNSUPERVISED + FEW) and not left.exists()
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    shutil.rmtree(root / "runs")
    assert len(figures.write_all(root)) == 6 + len(UNSUPERVISED + FEW)  # what others print is there
