"""The command of a recorded run: it leads to the run's own folder, whatever budget and whoever gave names."""

import shlex

import numpy as np
import pytest
from test_finished import save

from deepcluster_tf import experiments
from deepcluster_tf.command.targets import variables
from deepcluster_tf.experiments import again, options, results, running, sorting
from deepcluster_tf.reporting.figures import clusterings
from deepcluster_tf.reporting.figures import counting as drawing


def run_of(words, n=60, quick=False, **about):
    """What would be recorded of a command: its settings, as far as the command's own record has them."""
    name, *pairs = words.split()
    experiment = experiments.get(name)
    settings, call = options.parse_experiment(experiment, dict(pair.split("=", 1) for pair in pairs))
    quick = call.get("quick", False)
    method, protocol = running.prepare(experiment, settings, quick)
    epochs = running.budget(experiment, method, n, settings, quick)
    vars(method).update(epochs)
    side = call.get("side", 32)
    data = {"name": "photos", "n": n, "shape": [side, side, 3], **({} if experiment.data else {"folder": "/photos"})}
    found = {**protocol.named, **method.get_settings()}
    variant = running.variant(experiment, method, protocol, quick, epochs)
    directory = results.run_directory(name, variant, method.seed)
    seed = found.get("seed", 0)
    about = {"autoencoder": {"scratch": getattr(protocol, "pretrain", "") == "scratch"}, **about}
    run = {"experiment": name, "budget": "quick" if quick else "paper", "settings": found, "seed": seed, "data": data}
    return {**run, "directory": directory, **about}, (variant, side)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dcec CLUSTERS=3 SIZE=16 QUICK=1 EPOCHS=2", "make dcec EPOCHS=2 CLUSTERS=3 SIZE=16 QUICK=1"),
        ("dcec CLUSTERS=3 QUICK=1", "make dcec CLUSTERS=3 QUICK=1"),
        ("dcec CLUSTERS=3", "make dcec CLUSTERS=3"),
        ("scan CLUSTERS=4 SEED=2 SIZE=64", "make scan CLUSTERS=4 SIZE=64 SEED=2"),
        ("fashion-dcec SUP=0.05", "make fashion-dcec SUP=0.05"),
        ("fashion-dcec SUP=0.05 QUICK=1", "make fashion-dcec SUP=0.05 QUICK=1"),
        ("digits-raw QUICK=1 SEED=1", "make digits-raw QUICK=1 SEED=1"),
        ("names ANNOTATOR=browser CLASSES=a,b PICTURES=9", "make names PICTURES=9 ANNOTATOR=browser CLASSES=a,b"),
        ("fashion-dcec SUP=0.05 PRETRAIN=scratch", "make fashion-dcec SUP=0.05 PRETRAIN=scratch"),
    ],
)
def test_the_command_gives_the_same_folder(words, said):
    run, place = run_of(words, class_names_given=["a", "b"])
    assert sorted(again.command(run).split()) == sorted(said.split())
    assert run_of(again.command(run).removeprefix("make "))[1] == place


def test_answers_come_out_of_the_file_where_the_run_kept_them():
    run, _ = run_of("vae ANNOTATOR=browser CLASSES=cat,dog", class_names_given=["cat", "dog"])
    said = again.command(run).split()
    where = "/".join(["results/runs", *run["directory"].parts[-3:], "annotations.csv"])
    assert {"ANNOTATOR=file", f"ANSWERS={where}", "CLASSES=cat,dog"} <= {*said}
    mixed = {**run, "settings": {**run["settings"], "precision": "mixed_bfloat16"}}
    assert "PRECISION=mixed_bfloat16" in again.command(mixed)
    assert "STRATEGY=mirrored" in again.command({**run, "strategy": "mirrored"})
    spaced = again.command({**run, "class_names_given": ["big cat", "dog's"]})
    assert "CLASSES=big cat,dog's" in shlex.split(spaced) and '"' in spaced


# ---------------------------------------------------------------------- what is recorded, asked for again


@pytest.fixture
def folder(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    for kind in (0, 1):
        mine = digits.images[digits.labels == kind][:20]
        save(tmp_path / "mine" / "ab"[kind], mine, [f"{kind}{i:02d}.png" for i in range(20)])
    return tmp_path / "mine"


def run_again(folder, count=False, **how):
    settings = {"n_clusters": 2, "ways": ("kmeans", "mixture"), "n_init": 1}
    return running.run(
        experiments.get("umap"), settings, images=str(folder), side=8, progress=False, count=count, **how
    )


def test_images_in_other_classes_are_another_run(folder):
    first = run_again(folder)
    assert not run_again(folder)["fresh"]
    (folder / "b").rename(folder / "dog")
    with pytest.raises(ValueError, match="these images under other names or in other classes. FORCE=1 replaces it"):
        run_again(folder)
    (first["directory"] / "report").mkdir()
    renamed = run_again(folder, force=True)
    assert not (first["directory"] / "report").exists()  # the page of the run before
    assert renamed["directory"] == first["directory"] and renamed["class_names"] == ["a", "dog"]


def test_a_number_that_suggested_itself_stays_recorded(folder, monkeypatch):
    counted = {"n_clusters": 2, "of": "pixels", "candidates": [2, 3], "silhouettes": [0.5, 0.25]}
    monkeypatch.setattr("deepcluster_tf.experiments.counting.count", lambda *_: counted)
    assert "counted" not in run_again(folder)
    asked = run_again(folder, count=True)  # which is recorded already
    assert not asked["fresh"] and asked["counted"] == counted
    assert results.read_result(asked["directory"])["counted"] == counted
    assert run_again(folder, force=True)["counted"] == counted


def test_a_first_look_has_its_figures_in_its_folder(folder, tmp_path, monkeypatch):
    counted = {"n_clusters": 2, "of": "pixels", "candidates": [2, 3], "silhouettes": [0.5, 0.25]}
    monkeypatch.setattr("deepcluster_tf.experiments.counting.count", lambda *_: counted)
    directory = run_again(folder, count=True, quick=True)["directory"]
    drawn = [*clusterings.own(tmp_path / "results"), *drawing.write(tmp_path, tmp_path / "results")]
    assert drawn == [directory / "searches.png", directory / "how-many.png"]


def test_images_are_sorted_by_the_clusters_that_a_run_is_about(folder, digits, tmp_path):
    save(folder / "a", digits.images[-40:], [f"more{i}.png" for i in range(40)])  # UMAP wants fifty
    settings = {"n_clusters": 3, "n_init": 1}
    how = {"images": str(folder), "side": 8, "progress": False}
    directory = running.run(experiments.get("umap"), settings, **how)["directory"]
    sizes = {name: np.sort(of) for name, of in results.read_result(directory)["cluster_sizes"].items()}
    of_umap = sorting.sort(directory, tmp_path / "umap", progress=False)
    assert sorted(of_umap.values()) == [size for size in sizes["n2d"] if size]
    named = sorting.sort(directory, tmp_path / "kmeans", by="kmeans", progress=False)
    assert sorted(named.values()) == [size for size in sizes["kmeans"] if size]


# ---------------------------------------------------------------------- what would have no effect


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fashion-dcec LABELS=3 SUP=0.05", "SUP and LABELS both say which labels are known: give one of them"),
        ("digits-classifier SUP=0.05 LABELS=2", "SUP and LABELS both say"),
        ("mnist-peers ALGORITHM=N2D EPOCHS=5", "N2D trains its autoencoder alone: EPOCHS has no effect"),
        ("digits-names ANNOTATOR=browser THRESHOLD=0.5", "THRESHOLD is the reader's: it has no effect on ANNOTATOR=br"),
        ("digits-names PORT=9000", "PORT is the page's: it has no effect on ANNOTATOR=reader"),
        ("digits-vae PORT=9000", "PORT is the page's: it has no effect on ANNOTATOR=reader"),
        ("names ANNOTATOR=browser PORT=80 CLASSES=a,b", "the port .* must be in 1024..65535; received 80"),
    ],
)
def test_what_another_setting_makes_idle_is_refused(words, message):
    name, *pairs = words.split()
    experiment = experiments.get(name)
    assert {pair.partition("=")[0] for pair in pairs} <= variables(name).keys()
    with pytest.raises(ValueError, match=message):
        settings, _ = options.parse_experiment(experiment, dict(pair.split("=", 1) for pair in pairs))
        running.prepare(experiment, settings)


def test_a_first_look_at_n2d_is_none_of_its_idle_epochs():
    _, protocol = running.prepare(experiments.get("digits-peers"), {"algorithm": "N2D"}, quick=True)
    assert protocol.epochs == {"pretrain_epochs": 3}
