"""Runs from command to record, on the digits: what is written, what is refused, what survives."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL

from deepcluster_tf import datasets, files, metrics
from deepcluster_tf.experiments import EXPERIMENTS, Experiment, results, running
from deepcluster_tf.experiments.finished import export
from deepcluster_tf.experiments.protocols.semi_supervised import supervised_labels
from deepcluster_tf.reporting import tables

REPOSITORY = Path(__file__).parents[1]
TINY = Experiment("digits-dcec", "digits", "dcec:DCEC", "semi_supervised:SemiSupervised", settings=SMALL)


@pytest.fixture()
def here(tmp_path, monkeypatch):
    """An empty results folder."""
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A results folder with one finished run; tests work on copies."""
    root = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "ROOT", root)
        running.run(TINY, {"supervision": 0.05}, progress=False)
    return root


@pytest.fixture()
def run_again(here, finished):
    shutil.copytree(finished, here / "results")
    return lambda supervision=0.05, pretrain="kept", **how: running.run(
        TINY, {"supervision": supervision, "pretrain": pretrain}, progress=False, **how
    )


def test_supervised_labels():
    labels = np.arange(1000) % 10
    known = supervised_labels(labels, 0.05, seed=0)
    assert (known >= 0).sum() == 50
    np.testing.assert_array_equal(known[known >= 0], labels[known >= 0])
    np.testing.assert_array_equal(known, supervised_labels(labels, 0.05, seed=0))
    assert (known != supervised_labels(labels, 0.05, seed=1)).any()
    assert (supervised_labels(labels, 0, seed=0) == -1).all()


@pytest.mark.parametrize(
    ("labels", "fraction", "message"),
    [
        (np.zeros(10, int), 1.0, r"a fraction in \[0, 1\).*received 1.0"),
        (np.zeros(10, int), -0.1, "received -0.1"),
        (np.zeros(10, int), float("nan"), "received nan"),
        (np.zeros(10, int), 0.96, "selects all 10 images and leaves none to score"),
        (np.zeros(10, int), 0.01, "a supervision of 0.01 selects none of 10 images: use 0.1 or more"),
        (np.full(10, -1), 0.5, "images whose class is known"),
    ],
)
def test_supervision_out_of_range_is_refused(labels, fraction, message):
    with pytest.raises(ValueError, match=message):
        supervised_labels(labels, fraction, seed=0)


def test_mixed_precision_is_kept_apart(here):
    from deepcluster_tf.experiments.again import command

    small = {**SMALL, "pretraining_epochs": 1, "max_iterations": 2, "filters": (4, 4, 4), "lam": 0.01}
    tiny = Experiment(
        "digits-dcec", "digits", "dcec:DCEC", "semi_supervised:SemiSupervised",
        settings=small, options={"PRECISION": "precision"},
    )  # fmt: skip
    result = running.run(tiny, {"supervision": 0.05}, precision="mixed_bfloat16", progress=False)
    assert result["settings"]["precision"] == "mixed_bfloat16"
    assert result["directory"].parent.name.endswith("-mixed_bfloat16")
    assert [path.name for path in (here / "results/pretrained").iterdir()] == [
        "digits-cae-1-epochs-batch-64-mixed_bfloat16-seed-0"
    ]
    assert "PRECISION=mixed_bfloat16" in command(result)
    assert not running.run(tiny, {"supervision": 0.05}, precision="mixed_bfloat16", progress=False)["fresh"]
    with pytest.raises(ValueError, match="the precision must be one of float32, mixed_float16, mixed_bfloat16"):
        running.run(tiny, {"supervision": 0.05}, precision="float16", progress=False)


def test_record(run_again, here):
    result = run_again()
    assert not result["fresh"]
    directory = here / "results/runs/digits-dcec" / result["directory"].parent.name / "seed-0"
    assert result["directory"] == directory
    read = json.loads((directory / "result.json").read_text())
    assert read["settings"] == {**read["settings"], "supervision": 0.05, "lam": 1.0, "batch_size": 64, "seed": 0}
    assert read["budget"] == "paper" and read["iterations"] == 35 and read["data"]["n"] == 1797
    assert sum(read["cluster_sizes"]) == 1797 == np.sum(read["confusion"])
    history = (directory / "history.csv").read_text().splitlines()
    assert len(history) == 6 and history[0].startswith("epoch,iteration,loss")
    saved = np.load(directory / "embeddings.npz", allow_pickle=False)
    assert saved["embeddings"].shape == (1797, 10)


def test_what_no_table_could_read_does_not_replace_a_record(run_again, here, digits):
    directory = run_again()["directory"]
    before = (directory / "result.json").read_bytes()
    method = TINY.method_class()(**SMALL).load(directory / "model.weights.h5", (8, 8, 1))
    method.n_iter_, method.converged_ = 35, False
    what = {**json.loads(before), "cluster_sizes": ["many"]}
    with pytest.raises(RuntimeError, match=r"seed-0 is not recorded, by a defect of this program: result.cluster_size"):
        running.record(directory, what, digits, method)
    assert (directory / "result.json").read_bytes() == before


def test_recorded_metrics_are_those_of_the_model(run_again, digits):
    result = run_again()
    method = TINY.method_class()(**SMALL)
    clusters = method.load(result["directory"] / "model.weights.h5", (8, 8, 1)).predict(digits.images)
    known = supervised_labels(digits.labels, 0.05, 0) >= 0
    for suffix, rows in (("", slice(None)), ("_unsupervised", ~known)):
        for name, value in metrics.scores(digits.labels[rows], clusters[rows]).items():
            assert result["metrics"][name + suffix]["value"] == value
    assert result["metrics"]["acc_unsupervised"]["n"] == 1797 - 90
    assert result["metrics"]["acc"]["protocol"] == "all 1,797 images, the 90 supervised ones included, one to one"


def test_same_autoencoder_for_every_level(run_again, here):
    kept = here / "results/pretrained/digits-cae-16-epochs-batch-64-seed-0/autoencoder.weights.h5"
    before = kept.stat().st_mtime_ns
    result = run_again(supervision=0.1)
    assert result["fresh"] and kept.stat().st_mtime_ns == before


def test_damaged_autoencoder_is_refused(run_again, here):
    kept = here / "results/pretrained/digits-cae-16-epochs-batch-64-seed-0/autoencoder.weights.h5"
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(ValueError, match="missing or altered: restore it, or remove .* to train it anew"):
        run_again(supervision=0.2)


def test_force_runs_again_to_the_same_numbers(run_again):
    before = run_again()
    again = run_again(force=True)
    assert again["fresh"]
    assert again["metrics"] == before["metrics"]


def test_clone_without_the_model_runs_again(run_again):
    """A recorded result that came with the repository does not stop the user from seeing it come true."""
    before = run_again()
    (before["directory"] / "model.weights.h5").unlink()
    shutil.rmtree(before["directory"] / "work")
    again = run_again()
    assert again["fresh"] and again["metrics"] == before["metrics"]


def test_scratch_trains_a_new_autoencoder_and_keeps_the_old(run_again, here):
    old = here / "results/pretrained/digits-cae-16-epochs-batch-64-seed-0/autoencoder.weights.h5"
    bytes_before = old.read_bytes()
    before = run_again()
    result = run_again(pretrain="scratch")
    assert result["fresh"] and old.read_bytes() == bytes_before
    assert result["directory"] != before["directory"] and result["metrics"] == before["metrics"]
    assert not run_again(pretrain="scratch")["fresh"]
    assert (here / "results/pretrained/digits-cae-16-epochs-batch-64-seed-0-scratch/autoencoder.weights.h5").exists()


def test_full_disk_while_recording_keeps_what_was_recorded(run_again, monkeypatch):
    before = run_again()
    recorded = (before["directory"] / "result.json").read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            OSError, match="could not be written .No space left on device.: what was there before is kept"
        ):
            run_again(force=True)
    assert (before["directory"] / "result.json").read_text() == recorded
    assert not list(before["directory"].glob("part-*"))
    # The same command with space again: nothing is trained, the numbers are those.
    assert run_again()["metrics"] == before["metrics"]


@pytest.mark.parametrize("name", ["model.weights.h5", "embeddings.npz", "history.csv", "result.json"])
def test_full_disk_at_any_file_of_a_record(run_again, monkeypatch, name):
    """Whatever file is the one that does not fit: none is half there, and the command ends with the same numbers."""
    before = run_again()
    history = (before["directory"] / "history.csv").read_text()
    replace = os.replace

    def full(part, path):
        if path.name == name and path.parent == before["directory"]:
            raise OSError(28, "No space left on device")
        replace(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match=f"{name} could not be written"):
            run_again(force=True)
    assert len((before["directory"] / "history.csv").read_text()) == pytest.approx(len(history), rel=0.1)
    assert not running.is_finished(before["directory"])
    again = run_again()
    assert again["fresh"] and again["metrics"] == before["metrics"]


def test_a_result_and_a_model_of_two_runs_are_no_finished_run(run_again):
    """Such as a result that git brought back beside the model of the user's own run."""
    before = run_again()
    path = before["directory"] / "result.json"
    other = json.loads(path.read_text()) | {"model_sha256": "0" * 64}
    path.write_text(json.dumps(other))
    with pytest.raises(ValueError, match="holds no run that was completed on this machine"):
        export(before["directory"])
    again = run_again()
    assert again["fresh"] and again["metrics"] == before["metrics"]


def test_results_that_cannot_be_written_are_refused_before_training(here, monkeypatch):
    (here / "results").write_text("a file, not a folder")
    with pytest.raises(OSError, match="cannot be written .*nothing has been trained"):
        running.run(TINY, progress=False)


def test_a_folder_of_results_whose_name_is_not_utf8_is_refused_before_training(here, monkeypatch):
    monkeypatch.setattr(results, "ROOT", here / "b\udcff")
    monkeypatch.setattr(running, "load_data", lambda *_: pytest.fail("it goes on"))
    with pytest.raises(ValueError, match=rf"^the name of the folder {here}/b\\xff is not UTF-8: expected"):
        running.run(TINY, progress=False)
    assert not list(here.iterdir())


def test_folder_of_images_from_record_to_export(here):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, shade in (("dark", 40), ("light", 200)):
        (here / "mine" / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(rng.normal(shade, 20, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(here / "mine" / name / f"{i}.png")
    own = Experiment("dcec", "", "dcec:DCEC", "semi_supervised:SemiSupervised", settings={**SMALL, "n_clusters": 2})
    result = running.run(own, images=str(here / "mine"), side=16, progress=False)
    assert result["metrics"]["acc"]["n"] == 40
    assert result["directory"].parent.name.startswith("mine-") and result["directory"].parent.name.endswith("-sup-0")
    (here / "mine" / "dark" / "3.png").write_text("none")
    with pytest.raises(datasets.DataError, match=r"3\.png"):
        running.run(own, images=str(here / "mine"), side=16, broken="refuse", progress=False)
    with pytest.raises(ValueError, match="expected IMAGES=folder, received none"):
        running.run(own, progress=False)
    with pytest.raises(ValueError, match="expected no IMAGES"):
        running.run(TINY, images=str(here / "mine"), progress=False)


@pytest.mark.parametrize("seed", range(10))
def test_digits_have_a_label_of_every_class_without_being_asked(digits, seed):
    known = supervised_labels(digits.labels, EXPERIMENTS["digits-dcec"].settings["supervision"], seed)
    assert set(known) == {-1, *range(10)}


@pytest.mark.parametrize(
    ("name", "n", "quick", "given", "epochs"),
    [
        ("dcec", 300, True, {}, {"pretraining_epochs": 300}),  # 600 steps of 256
        ("dcec", 70_000, True, {}, {"pretraining_epochs": 3}),
        ("dcec", 300, False, {}, {"pretraining_epochs": 2000}),  # 4,000 steps at least
        ("dcec", 70_000, False, {}, {"pretraining_epochs": 200}),  # the method's own
        ("dcec", 300, True, {"pretraining_epochs": 7}, {}),
        ("deepcluster", 300, True, {}, {"epochs": 3}),  # 300 steps, 100 an epoch
        ("representation", 10_000, True, {}, {"epochs": 10}),  # 1,500 steps of 64
        ("fashion-dcec", 300, False, {}, {}),
    ],
)
def test_the_budget_of_a_first_look_and_of_few_images_is_counted_in_steps(name, n, quick, given, epochs):
    experiment = EXPERIMENTS[name]
    method, _ = running.prepare(experiment, given, quick)
    assert running.budget(experiment, method, n, given, quick) == epochs


def test_another_batch_size_has_an_autoencoder_of_its_own(here):
    few = {"pretraining_epochs": 1, "max_iterations": 0}
    one, other = (running.run(TINY, {**few, "batch_size": size}, progress=False) for size in (256, 200))
    weights = [run["autoencoder"]["weights_sha256"] for run in (one, other)]
    assert weights[0] != weights[1]


def test_record_of_other_settings_is_not_passed_off(run_again):
    path = run_again()["directory"] / "result.json"
    path.write_text(path.read_text().replace('"n_init": 2', '"n_init": 3'))
    with pytest.raises(ValueError, match="records a run of other settings"):
        run_again()
    assert run_again(force=True)["settings"]["n_init"] == 2


def test_two_runs_at_once_are_refused(run_again):
    with files.locked(run_again()["directory"]), pytest.raises(ValueError, match="another process is running in"):
        run_again(force=True)


def test_summary_shows_every_score(run_again):
    text = tables.summary(run_again(), TINY)
    for name in ("acc", "nmi", "ari", "purity", "acc_unsupervised", "acc_initial"):
        assert f"\n  {name} " in text
    assert "recorded before in" in text


def runner(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("digits-dcec SUP=1", "SUP must be a fraction in [0, 1), such as 0.01 for 1 %; received 1.0"),
        ("digits-dcec SUP=0.0001", "selects none of 1797 images"),
        ("digits-dcec SUP=ten", "SUP must be a fraction in [0, 1), such as 0.01 for 1 %; received 'ten'"),
        ("digits-dcec LAMBDA=-1", "LAMBDA must be a number from 0 to 1000000; received -1.0"),
        ("digits-dcec SEED=-1", "SEED must be a whole number from 0 to 2147483647; received -1"),
        ("digits-dcec SEED=1.5", "SEED must be a whole number"),
        ("digits-dcec QUICK=yes", "QUICK must be 0 or 1; received 'yes'"),
        ("digits-dcec STRATEGY=horovod", "STRATEGY must be none or mirrored; received 'horovod'"),
        ("digits-dcec SUP", "expected NAME=value after digits-dcec; received 'SUP'"),
        ("digits-dccc", "digits-dccc is no target: make help lists them; did you mean digits-dcec?"),
        ("export", "export needs a run: expected RUN=results/runs/"),
        ("cifar-encodings-table CPUS=2", "CPUS has no effect without RAY: leave it out"),
        ("cifar-encodings-table RAY=local STRATEGY=mirrored", "STRATEGY has no effect with RAY: leave it out"),
        ("cifar-encodings-table ROWS=nothing", "no row has 'nothing' in its label or command (ROWS)"),
    ],
)
def test_mistakes_at_the_command_line_are_one_line(words, message):
    done = subprocess.run(
        [sys.executable, "-m", "runners.run", *words.split()],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:") or "Traceback" in line]
    assert done.returncode == 1 and len(lines) == 1 and message in lines[0]
