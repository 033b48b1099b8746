"""Schultz's runs on the digits: every clustering scored, searches kept, empty clusters repaired."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from deepcluster_tf import datasets, experiments
from deepcluster_tf.experiments import TABLES, Experiment, Row, results, running
from deepcluster_tf.experiments.protocols import clusterings
from deepcluster_tf.experiments.protocols.clusterings import Clusterings
from deepcluster_tf.reporting import tables
from deepcluster_tf.reporting.figures import clusterings as drawing
from deepcluster_tf.reporting.figures import unsupervised

PAIRS = {"epochs": 2, "filters": (16, 32), "embedding_dim": 16, "n_components": 8, "n_init": 1, "batch_size": 64}
AE = {"max_epochs": 4, "batch_size": 32, "embedding_dim": 20, "n_components": 8, "n_init": 1, "assign_by": "kmeans"}
SETTINGS = {
    "control": ("control:Control", {"size": 4, "n_components": 8, "n_init": 1}),
    "layers": ("siamese:Siamese", PAIRS),
    "dot": ("siamese:Siamese", {**PAIRS, "comparison": "dot", "regularisation": 0.01, "n_components": 0}),
    "contrastive": ("siamese:Siamese", {**PAIRS, "comparison": "contrastive"}),
    "convolutional": ("autoencoder:Autoencoder", {**AE, "architecture": "convolutional"}),
}


@pytest.fixture(scope="module", params=SETTINGS)
def run(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("clusterings") / "results"
    method, settings = SETTINGS[request.param]
    experiment = Experiment("digits-x", "digits", method, "clusterings:Clusterings", settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "ROOT", root)
        patch.setattr(clusterings, "SUBSETS", {"agglomerative": 500, "affinity": 200})
        return {**running.run(experiment, progress=False), "of": experiment}


def test_every_clustering_is_scored(run, digits):
    for by in ("random", "kmeans", "mixture", "power_iteration", "agglomerative", "affinity"):
        for name in ("ari", "acc", "nmi", "purity", "equivalent"):
            assert -0.5 <= run["metrics"][f"{name}_{by}"]["value"] <= 1
    assert abs(run["metrics"]["ari_random"]["value"]) < 0.01
    assert run["metrics"]["equivalent_random"]["value"] == pytest.approx(0.1, abs=0.03)
    assert run["metrics"]["ari_kmeans"]["value"] > 0.05
    assert run["metrics"]["ari_affinity"] == {
        **run["metrics"]["ari_affinity"],
        "protocol": "200 images drawn at random",
        "n": 200,
    }
    assert "ari_kmeans" in tables.summary(run, run["of"])
    saved = json.loads((run["directory"] / "result.json").read_text())
    assert "arrays" not in saved and len(saved["accuracy_curve"]) == 46


def test_own_images_without_labels_few_and_many_clusters(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    (tmp_path / "mine").mkdir()
    for i in range(9):
        Image.fromarray(np.full((8, 8, 3), 28 * i, np.uint8)).save(tmp_path / "mine" / f"{i}.png")
    experiment = Experiment(
        "control", "", "control:Control", "clusterings:Clusterings", settings={"size": 4, "n_init": 1, "n_clusters": 3}
    )
    how = {"images": str(tmp_path / "mine"), "side": 8, "progress": False}
    result = running.run(experiment, **how)
    assert result["metrics"] == {} and sum(result["cluster_sizes"]["kmeans"]) == 9
    summary = tables.summary(result, experiment)
    assert "no classes are known: kmeans clusters of" in summary and "clusters.csv" in summary
    found = pd.read_csv(result["directory"] / "clusters.csv")
    assert found["file"].tolist() == [f"{i}.png" for i in range(9)]
    assert list(found.columns[1:]) == ["kmeans", "mixture", "power_iteration", "agglomerative", "affinity"]
    assert np.bincount(found["kmeans"]).tolist() == result["cluster_sizes"]["kmeans"]
    assert found["kmeans"].diff().ne(0).sum() == 3  # the grey levels rise: a cluster is a run of files
    sampled = running.run(experiment, {"sample": 5}, **how, quick=True)
    assert (pd.read_csv(sampled["directory"] / "clusters.csv")["kmeans"] == -1).sum() == 4
    drawn = drawing.own(tmp_path / "results")
    assert drawn == [of["directory"] / "searches.png" for of in (result, sampled)]


def test_a_sample_may_lack_a_class(tmp_path, monkeypatch):
    """The images are scored without it; what is said of them says that they are a sample."""
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    for name, count in (("many", 30), ("others", 30), ("rare", 1)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((8, 8, 3), 8 * i, np.uint8)).save(tmp_path / "mine" / name / f"{i}.png")
    experiment = Experiment(
        "control", "", "control:Control", "clusterings:Clusterings", settings={"size": 4, "n_init": 1, "n_clusters": 3}
    )
    given = {"images": str(tmp_path / "mine"), "side": 8, "progress": False}
    result = running.run(experiment, {"sample": 20}, **given)
    assert "precision_rare" not in result["metrics"] and 0 <= result["metrics"]["precision"]["value"] <= 1
    assert result["metrics"]["ari_kmeans"]["protocol"] == "20 images drawn at random"
    assert [path.name for path in drawing.own(tmp_path / "results")] == ["searches.png"]


def test_a_folder_of_one_class_is_refused(tmp_path):
    (tmp_path / "mine" / "one").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / "mine" / "one" / f"{i}.png")
    with pytest.raises(ValueError, match="mine has one class: expected two sub-folders or more"):
        running.run(experiments.get("control"), images=str(tmp_path / "mine"), side=8, progress=False)


def test_the_search_is_kept(run, digits):
    with np.load(run["directory"] / "pictures.npz") as arrays:
        kept = dict(arrays)
    first = [np.flatnonzero(digits.labels == c)[0] for c in range(10)]
    np.testing.assert_array_equal(kept["targets"], digits.images[first])
    assert kept["similar"].shape == (10, 12, 8, 8, 1)
    if run["settings"].get("comparison") != "dot":  # the nearest by cosine is the image itself
        np.testing.assert_array_equal(kept["similar"][:, 0], kept["targets"])
    np.testing.assert_array_equal(kept["thumbnails"], digits.images[kept["rows"]])
    with np.load(run["directory"] / "embeddings.npz") as left:
        z = left["embeddings"].astype(np.float64)
    if run["settings"].get("comparison") != "dot":
        z /= np.linalg.norm(z, axis=1, keepdims=True)
    for target, similar in zip(first, kept["similar"]):
        order = np.argsort(-(z @ z[target]), kind="stable")[:12]
        np.testing.assert_allclose(z[order] @ z[target], sorted(z @ z[target])[::-1][:12])
        assert np.mean([np.array_equal(a, b) for a, b in zip(similar, digits.images[order])]) > 0.8  # but for ties
    ones, products = np.flatnonzero(digits.labels == 1), z @ z.T
    np.fill_diagonal(products, -np.inf)  # an image is not among its own ten nearest
    hits = [np.mean(digits.labels[np.argsort(-products[i])[:10]] == 1) for i in ones]
    assert run["metrics"]["precision_1"]["value"] == pytest.approx(np.mean(hits), abs=0.002)
    each = [run["metrics"][f"precision_{name}"]["value"] for name in digits.class_names]
    assert run["metrics"]["precision"]["value"] == pytest.approx(np.mean(each)) and np.mean(each) > 0.2
    if run["settings"].get("comparison") != "dot":  # by dot product, long vectors are near to everything
        assert min(each) > 0.1


@pytest.fixture
def figures(monkeypatch):
    """The figures that are made, kept rather than written."""
    made = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: made.append(figure) or path)
    return made


def test_rows_of_a_search_are_of_their_class_and_the_best_is_first(monkeypatch):
    shown = []
    monkeypatch.setattr(drawing, "rows_of_images", lambda *what: shown.append(what))
    scores = {f"precision_{name}": {"value": value} for name, value in (("cat", 0.2), ("dog", 0.7), ("owl", 0.4))}
    run = {"metrics": {"precision": {"value": 0.43}, **scores}, "class_names": ["cat", "dog", "owl"]}
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    drawing.searches(run, {"targets": images, "similar": images[:, None] + np.uint8(10)}, "a title", None)
    rows = shown[0][0]
    assert [label.split("\n") for label in rows] == [["dog", "0.70"], ["owl", "0.40"], ["cat", "0.20"]]
    assert [line.ravel().tolist() for line in rows.values()] == [[1, 11], [2, 12], [0, 10]]


def test_what_the_figures_of_encodings_show(figures, tmp_path, monkeypatch):
    (tmp_path / "curve.csv").write_text("epoch,pairs_loss\n0.5,0.69\n1,0.5\n")
    run = {"directory": tmp_path, "accuracy_curve": [[0.1, 0.0], [0.55, 0.3], [1.0, 1.0]], "class_names": ["a", "b"]}
    drawing.losses({"one": [run, run], "other": [run]}, None)
    *curves, plateau = figures[-1].axes[0].lines
    assert all(curve.get_ydata().tolist() == [0.69, 0.5] for curve in curves) and len(curves) == 3
    assert curves[0].get_color() == curves[1].get_color() != curves[2].get_color()  # a colour a title, a line a seed
    assert curves[0].get_marker() == curves[1].get_marker() != curves[2].get_marker()
    assert all(curve.get_zorder() > plateau.get_zorder() for curve in curves)  # a network that stays there is seen
    assert plateau.get_ydata()[0] == pytest.approx(np.log(2))
    assert [text.get_text() for text in figures[-1].legends[0].texts[:2]] == ["one", "other"]
    drawing.simulation(run, {"one": {"k-means": [0.2, 0.4]}, "other": {"k-means": [0.1]}}, None)
    above, below = figures[-1].axes
    simulated = above.lines[0]
    assert simulated.get_xdata().tolist() == [0, 0.3, 1] and simulated.get_ydata().tolist() == [0.1, 0.55, 1]
    ((points, _, (bars,)),) = below.containers
    assert points.get_xdata().tolist() == pytest.approx([0.3, 0.1])
    assert points.get_ydata().tolist() == pytest.approx([0.12, -0.88])  # beside the other clustering's, not on it
    ends = [bar[:, 0].tolist() for bar in bars.get_segments()]  # deviation (n - 1) of the seeds, none of a single one
    assert ends[0] == pytest.approx([0.3 - 0.02**0.5, 0.3 + 0.02**0.5]) and ends[1] == pytest.approx([0.1, 0.1])
    drawn = {"points": np.float16([[0, 0], [1, 1], [2, 2]]), "classes": np.int16([0, 1, 0])}
    monkeypatch.setattr(drawing, "projection", lambda run: drawn)
    drawing.thumbnails(run, {"rows": [1], "thumbnails": np.zeros((1, 2, 2, 3), np.uint8)}, "a title", None)
    assert not [each for each in figures[-1].axes[0].artists if isinstance(each, AnnotationBbox)]  # the name is there
    between = {"rows": [0, 1], "thumbnails": np.zeros((2, 2, 2, 3), np.uint8)}
    drawn["points"] = np.float16([[0, 0], [1, 1], [2, 2], [2, 2]])
    drawn["classes"] = np.int16([0, 1, 0, 0])
    drawing.thumbnails(run, between, "a title", None)
    boxes = [each for each in figures[-1].axes[0].artists if isinstance(each, AnnotationBbox)]
    assert [tuple(box.xy) for box in boxes] == [(0, 0)]
    dots = figures[-1].axes[0].collections[0]
    for place, colour in zip(dots.get_offsets(), dots.get_facecolors()):
        assert to_hex(colour) == drawing.COLOURS[drawn["classes"][int(place[0])]]
    monkeypatch.setattr(drawing, "projection", lambda run: None)
    drawing.thumbnails(run, {}, "a title", None)
    said = figures[-1].axes[0].texts[0].get_text()
    assert "where it ran" in said and "not recorded" not in said


def test_the_map_is_of_the_best_encoding(figures, tmp_path, monkeypatch):
    from test_tables import record

    for name, ari in (("cifar-control", 0.04), ("cifar-ae", 0.06), ("cifar-similarity", 0.05)):
        more = {"class_names": ["a"], "accuracy_curve": [[0.1, 0.0], [1.0, 1.0]]}
        record(tmp_path, name, "paper", 0, {}, {"ari_kmeans": ari, "ari_mixture": 0.1 - ari}, **more)
        empty = np.zeros((1, 4, 4, 3), np.uint8)
        folder = tmp_path / "runs" / name / "paper" / "seed-0"
        np.savez(folder / "pictures.npz", targets=empty, similar=empty[None], thumbnails=empty, rows=np.zeros(1, int))
    mapped = []
    monkeypatch.setattr(drawing, "thumbnails", lambda run, kept, title, path: mapped.append(title) or path)
    monkeypatch.setattr(drawing, "rows_of_images", lambda *what: what[2])
    drawing.write(TABLES["cifar-encodings"], tmp_path / "figures", tmp_path)
    assert mapped == ["convolutional autoencoder"]


def test_figures_are_drawn(run, tmp_path):
    with np.load(run["directory"] / "pictures.npz") as arrays:
        kept = dict(arrays)
    drawn = [
        drawing.searches(run, kept, "a title", tmp_path / "searches.png"),
        drawing.simulation(run, {"one": {"k-means": [0.1]}}, tmp_path / "simulation.png"),
    ]
    if (run["directory"] / "curve.csv").exists():
        drawn.append(drawing.losses({"one": [run]}, tmp_path / "losses.png"))
    np.savez(
        run["directory"] / "projection.npz", points=np.zeros((1797, 2), np.float16), classes=np.zeros(1797, np.int8)
    )
    drawn.append(drawing.thumbnails(run, kept, "a title", tmp_path / "map.png"))
    (run["directory"] / "projection.npz").unlink()
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_what_is_drawn_of_a_run_that_has_several_rows(tmp_path, monkeypatch):
    empty, none = np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, int)
    run = {"directory": tmp_path / "paper" / "seed-0", "confusion": {"kmeans": [], "mixture": []}}
    run["directory"].mkdir(parents=True)
    np.savez(run["directory"] / "pictures.npz", targets=empty, similar=empty[None], thumbnails=empty, rows=none)
    for name in ("searches", "thumbnails", "confusion"):
        monkeypatch.setattr(unsupervised, name, lambda *what: what[-1])
    rows = [Row("one", "digits-x", by=by) for by in ("kmeans", "mixture", "n2d")]
    drawn = lambda: [path.name for path in unsupervised._pictures(rows, [run], Path("figures"))]
    assert drawn() == ["digits-x-searches.png", "digits-x-confusion-mixture.png"]
    np.savez(run["directory"] / "projection.npz", points=np.zeros((1, 2), np.float16), classes=none)
    assert drawn()[1] == "digits-x-map.png"  # what it is made of is there


class Stub:
    """A fitted method of four clusters, whose k-means has an empty one, and whose mixture knows the classes."""

    n_clusters, seed, notices_, history_, seconds_, decoder_ = 4, 1, ["told in fitting"], [], {}, None
    by_dot_product, in_stages, assigners_ = False, False, {}

    def fit(self, images, **how):
        return self

    def transform(self, images):
        return np.stack([images[:, 0, 0, 0] // 60, images[:, 0, 0, 0]], axis=1).astype(np.float64)

    def predict(self, images, by):
        return images[:, 0, 0, 0].astype(int) // 60 if by == "mixture" else np.zeros(len(images), int)


def test_clusters_scores_and_notices_are_those_of_their_images(monkeypatch):
    """Four classes of sixty images by their shade; agglomerative clustering sees twenty of 240."""
    images = np.arange(240, dtype=np.uint8).reshape(-1, 1, 1, 1)
    order = np.random.default_rng(3).permutation(240)
    classes = np.arange(240)[order] // 60
    nothing = slice(240, 240)
    data = datasets.Dataset("shades", images[order], classes, slice(0, 240), nothing, ("a", "b", "c", "d"), "")
    monkeypatch.setattr(clusterings, "SUBSETS", {"agglomerative": 20, "affinity": 20})
    monkeypatch.setattr(clusterings.clustering, "agglomerative", lambda z, k: z[:, 0].astype(int))
    monkeypatch.setattr(clusterings.clustering, "affinity_propagation", lambda z, k, seed: np.arange(len(z)) % 3)
    monkeypatch.setattr(clusterings, "invariance", lambda *_: 0.0)
    subsets = []
    for seed in (1, 2):
        method = Stub()
        method.seed = seed
        found = Clusterings().carry_out(method, data, "shades", None, False, progress=False)
        subset = np.flatnonzero(found["clusters"]["agglomerative"] >= 0)
        subsets.append(subset)
        assert found["metrics"]["ari_agglomerative"]["value"] == 1 and len(subset) == 20
        np.testing.assert_array_equal(found["clusters"]["agglomerative"][subset], classes[subset])
    assert subset.tolist() != list(range(20)) and subsets[0].tolist() != subsets[1].tolist()
    assert found["metrics"]["ari_mixture"]["value"] == 1 > found["metrics"]["ari_kmeans"]["value"]
    assert found["cluster_sizes"]["mixture"] == [60] * 4 and found["cluster_sizes"]["kmeans"] == [237, 1, 1, 1]
    notices = set(found["notices"])
    assert {"kmeans: one cluster holds 100% of the images", "kmeans: 3 empty cluster(s) refilled"} <= notices
    assert {"told in fitting", "affinity found 3 clusters, not 4"} <= notices
    method.seed = 23  # six guesses of four clusters without the last one: that is no finding
    notices = Clusterings(sample=6).carry_out(method, data, "shades", None, False, progress=False)["notices"]
    assert not any(notice.startswith("random") for notice in notices)


def test_guessing_and_power_iteration_are_of_the_seed(monkeypatch):
    seeds, method = [], Stub()
    monkeypatch.setattr(clusterings.clustering, "power_iteration", lambda z, k, seed: seeds.append(seed))
    guessed = []
    for method.seed in (4, 5):
        guessed.append(clusterings.assign(method, "random", None, np.zeros((50, 2)))[0].tolist())
        clusterings.assign(method, "power_iteration", None, np.zeros((50, 2)))
    assert guessed[0] != guessed[1] and seeds == [4, 5]


def test_sparsity_by_hand():
    # 0.001 and 0 are below a hundredth of 1; of the second row nothing is
    assert clusterings.sparsity(np.array([[1.0, 0.001, 0.0, 0.5], [1, -1, 1, -1]])) == 0.25
    # 0.005 alone is: each row has a scale of its own, and 0.02 is two hundredths
    assert clusterings.sparsity(np.array([[1.0, 0.02, 0.005, 1.0], [0.01, 0.01, 0.01, 0.01]])) == 1 / 8


def test_invariance_by_hand(digits):
    """Two views of one image are 1 alike, here, and two images -1/4, wherever their mean lies; what sees nothing, 0."""

    class Blind:
        def transform(self, images):
            return np.ones((len(images), 3))

    class Numbered:  # about their mean, the five are corners of a simplex, with cosines of -1/4
        offset = 0.0

        def transform(self, images):
            return np.eye(len(images)) + self.offset

    assert clusterings.invariance(Blind(), digits.images[:5]) == pytest.approx(0)
    far = Numbered()
    far.offset = 100.0
    for method in (Numbered(), far):
        assert clusterings.invariance(method, digits.images[:5]) == pytest.approx(1.25)
    seen = []
    spy = Stub()
    spy.transform = lambda images: seen.append(images) or images.reshape(len(images), -1)
    clusterings.invariance(spy, digits.images[:5])
    for one, other in ((seen[0], seen[1]), (seen[0], digits.images[:5] / 255), (seen[1], digits.images[:5] / 255)):
        assert np.abs(one - other).max() > 0.1


def test_one_cluster_for_nearly_all_is_noticed():
    assert clusterings.trivial("kmeans", np.array([0] * 96 + [1] * 4)) == [
        "kmeans: one cluster holds 96% of the images"
    ]
    assert clusterings.trivial("kmeans", np.array([0] * 95 + [1] * 5)) == []


def test_too_many_clusters_are_refused_before_training(digits):
    method = experiments.get("representation").method_class()(n_clusters=31)
    with pytest.raises(ValueError, match="CLUSTERS must be at most the 30 images of a clustering; received 31"):
        Clusterings(sample=30).check(method, digits)
    few = dataclasses.replace(digits, images=digits.images[:5], labels=digits.labels[:5])
    with pytest.raises(ValueError, match="CLUSTERS must be at most the 5 images of a clustering; received 31"):
        Clusterings().check(method, few)


def test_claims_are_judged_by_the_numbers():
    names = ["control", "representation", "similarity, dot product", "similarity, matrix of a batch"]
    rows = [{"what": "control", "by": "random", "ari": 0.0, "ari_std": 0.0}]
    rows += [
        {"what": name, "by": "kmeans", "ari": ari, "ari_std": std}
        for name, ari, std in zip(names, (0.04, 0.03, 0.05, 0.06), (0.0005, 0.001, 0.003, 0.002))
    ]
    judged = lambda: tables.claims.schultz(pd.DataFrame(rows), names[1:], ("similarity, matrix of a batch",))
    first, second, third, fourth = judged()
    assert first == (  # the matrix is better, and not the paper's
        "- the similarity scores best: confirmed (of its encodings, best is similarity, dot product 0.0500, then "
        "control 0.0400, representation 0.0300)"
    )
    steadiest = "over the seeds, representation ± 0.0010, similarity, dot product ± 0.0030"  # the matrix is not its
    steadiest += "; the control, which trains nothing, ± 0.0005"
    assert second == f"- the representation trains most steadily: confirmed ({steadiest})"
    assert third.endswith("refuted (control 0.0400; not above it: representation 0.0300)")
    assert fourth.endswith("confirmed (control 0.0400, guessing 0.0000)")
    rows[2]["ari"] = 0.055
    assert judged()[0].startswith("- the similarity scores best: refuted (of its encodings, best is representation")
    rows[-1] |= {"ari": 0.02, "ari_std": np.nan}  # one run has no deviation: the paper's claims do not wait for it
    assert judged()[2].endswith("confirmed (control 0.0400; all are above it)")
    rows[-1]["ari_std"] = 0.1
    assert judged()[2].endswith("refuted (control 0.0400; not above it: similarity, matrix of a batch 0.0200)")
    for row in (1, 2):
        rows[row]["ari_std"] = np.nan
        assert "several seeds" in judged()[0] and len(judged()) == 1
        rows[row]["ari_std"] = 0.1


def test_table_by_hand(tmp_path):
    from test_tables import record

    for seed, ari in ((0, 0.04), (1, 0.06)):
        ways = ["random", *tables.clusterings.WAYS]
        scores = {f"{name}_{by}": ari if by != "random" else 0.0 for by in ways for name in tables.clusterings.SCORES}
        more = {"notices": [], "sparsity": 0.5 + ari, "seconds": {"training": 1200}, "class_names": ["cat", "dog"]}
        if seed:  # where affinity propagation did not converge; early records have no such invariance
            scores = {name: value for name, value in scores.items() if not name.endswith("affinity")}
            more |= {"invariance_centred": 0.1, "notices": ["affinity did not converge", "and more"]}
        scores |= {"precision": 0.2, "precision_cat": 0.1 + seed, "precision_dog": 0.3}
        record(tmp_path, "cifar-control", "paper", seed, {}, scores, **more)
    of = TABLES["cifar-encodings"]
    table = tables.clusterings.frame(of, tmp_path)
    mine = table[(table["what"].str.startswith("images scaled")) & (table["by"] == "kmeans")].iloc[0]
    assert mine["ari"] == pytest.approx(0.05) and mine["ari_std"] == pytest.approx(0.014142, abs=1e-6)
    page = tables.clusterings.page(of, tmp_path)
    row = " | ".join(["0.0500 ± 0.0141"] * 5 + ["0.0400 (1 of 2)"])
    assert f"| images scaled to 8x8 (control) | {row} | 2 |" in page
    assert f"| random guessing | {' | '.join(['0.0000 ± 0.0000'] * 6)} | 2 |" in page
    assert (
        "| images scaled to 8x8 (control) | 0.2000 ± 0.0000 | 0.5500 ± 0.0141 | 0.1000 (1 of 2) | 20 | paper | "
        "`make cifar-control` |" in page
    )
    assert "| images scaled to 8x8 (control) | 0.6000 | 0.3000 |" in page
    noticed = "- images scaled to 8x8 (control), seed 1: affinity did not converge; and more"
    assert f"What went otherwise than planned:\n\n{noticed}\n\n" in page and page.count("did not converge;") == 1
    written = tables.write_all(tmp_path)
    assert tmp_path / "tables" / "cifar-encodings.csv" in written and all(path.exists() for path in written)
