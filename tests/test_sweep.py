"""The rows that are not recorded yet: which they are, what is printed of them, and that a failure stops no other."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deepcluster_tf.command import commands
from deepcluster_tf.experiments import TABLES, Row, Table, remote, results, running, sweep
from deepcluster_tf.files import read_json

REPOSITORY = Path(__file__).parents[1]
RAW = Row("raw pixels", "digits-raw")
SHORTEST = Row("classifiers", "digits-classifier", {"supervision": 0.1})
LEVELS = tuple(Row(f"{100 * x:g} %", "digits-dcec", {"supervision": x}) for x in (0.0, 0.0001))
SMALL = Table("small", "SDCEC", "supervision", "", "", rows=(RAW, Row("the same", "digits-raw"), LEVELS[0]), seeds=2)
SHORT = Table("short", "SDCEC", "supervision", "", "", rows=(LEVELS[1],), drawn=(RAW,), seeds=1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to run in, with the package on the path of what is started there."""
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return tmp_path


MACHINE = {"processor": "", "cores": 2, "memory_gib": 24, "gpus": []}


def record(job, seconds):
    job.directory.mkdir(parents=True)
    of = {"schema": 1, "experiment": job.experiment, "seed": job.settings.get("seed", 0), "budget": "paper"}
    of |= {"protocol": "other", "strategy": "none", "settings": {}, "metrics": {}, "iterations": 0, "notices": []}
    of |= {"seconds": seconds, "cluster_sizes": [], "converged": None, "class_names": [], "model_sha256": ""}
    of |= {"machine": MACHINE, "versions": {}, "git_commit": "", "date": ""}
    of["data"] = {"name": "digits", "n": 1797, "shape": [8, 8, 1], "sha256": ""}
    (job.directory / "result.json").write_text(json.dumps(of))


def test_jobs_are_seed_by_seed_and_each_once(here):
    commands = [job.command for job in sweep.jobs([SMALL, SHORT])]
    assert commands == [
        "make digits-raw", "make digits-dcec SUP=0", "make digits-dcec SUP=0.0001",
        "make digits-raw SEED=1", "make digits-dcec SUP=0 SEED=1",
    ]  # fmt: skip
    assert [job.command for job in sweep.jobs([SHORT], seeds=range(2))] == [
        "make digits-dcec SUP=0.0001", "make digits-raw",
        "make digits-dcec SUP=0.0001 SEED=1", "make digits-raw SEED=1",
    ]  # fmt: skip
    assert [job.command for job in sweep.jobs([SMALL], seeds=[1], rows="RAW")] == ["make digits-raw SEED=1"]
    assert [job.command for job in sweep.jobs([SMALL], rows="sup=0")] == [
        "make digits-dcec SUP=0", "make digits-dcec SUP=0 SEED=1"
    ]  # fmt: skip
    with pytest.raises(
        ValueError, match="no row has 'cifar' in its label or command .ROWS.: expected a part of one of"
    ):
        sweep.jobs([SMALL], rows="cifar")


def test_what_is_recorded_is_not_pending_and_tells_how_long_it_took(here):
    record(sweep.jobs([SMALL])[0], {"training": 100.0, "kmeans": 20.5})
    jobs = sweep.jobs([SMALL])
    assert [job.recorded for job in jobs] == [True, False, False, False]
    assert jobs[0].seconds == jobs[2].seconds == 120.5  # the other seed's
    assert np.isnan(jobs[1].seconds)
    lines = sweep.listing(jobs)
    assert lines[0].split() == ["recorded", "2", "min", "make", "digits-raw", "#", "raw", "pixels"]
    assert lines[1].split() == ["to", "run", "unknown", "make", "digits-dcec", "SUP=0", "#", "0", "%"]
    # three are left, and the mean of what is known is 120.5 s: 361.5 s
    assert lines[-1] == "1 of 4 are recorded; 3 left, about 6 min on the machine that recorded them"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min"), (float("nan"), "unknown")],
)
def test_durations_by_hand(seconds, said):
    assert sweep.duration(seconds) == said


def test_every_row_of_every_table_has_a_folder_of_its_own():
    """What is recorded in the repository is found under its row's name."""
    jobs = sweep.jobs(list(TABLES.values()))
    assert len({job.directory for job in jobs}) == len(jobs)
    # of the repository, as git lists it: a user's own runs lie beside them
    tracked = ["git", "ls-files", "-z", "results/runs/*/result.json"]
    listed = subprocess.run(tracked, cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    recorded = {(REPOSITORY / name).parent for name in listed.stdout.split("\0") if name}
    assert len(recorded) > 170
    mine = {REPOSITORY / job.directory for job in jobs}
    known = {path for path in recorded if "counted" in read_json(path / "result.json")}  # of the guide's table
    missing = {path for path in recorded - known if path not in mine and int(path.name.removeprefix("seed-")) < 5}
    assert not missing, f"recorded, but of no row: {missing}"


def test_a_row_that_fails_does_not_stop_the_others(here, capfd):
    jobs = sweep.jobs([Table("t", "SDCEC", "supervision", "", "", rows=(LEVELS[1], SHORTEST))])
    assert sweep.run_all(jobs, {}) == ["make digits-dcec SUP=0.0001"]
    said = capfd.readouterr().err
    assert (
        "[1 of 2] make digits-dcec SUP=0.0001   (2 left)" in said
        and "[2 of 2] make digits-classifier SUP=0.1   (1 left)" in said
    )
    assert "selects none of 1797 images" in said and "failed after" in said
    result = results.read_result(jobs[1].directory)
    assert result["experiment"] == "digits-classifier"
    assert not sweep.run_all(sweep.jobs([Table("t", "", "", "", "", rows=(SHORTEST,))]), {})  # nothing is left


@pytest.mark.parametrize(
    "name", ["SIGTERM", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGINT", "SIGHUP"))]
)
def test_a_run_is_stopped_with_a_word_and_goes_on(here, name):
    command = [sys.executable, "-m", "runners.run", "digits-dcec", "SUP=0.05"]
    usual = lambda: [signal.signal(getattr(signal, each), signal.SIG_DFL) for each in ("SIGINT", "SIGHUP")]
    child = subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True, preexec_fn=usual)
    deadline = time.monotonic() + 100
    while not list(here.rglob("history.csv")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(child.pid, getattr(signal, name))
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 1 and "Traceback" not in said
    assert said.strip().endswith("interrupted: the same command goes on from the last checkpoint, if there is one")


def test_packages_are_those_of_the_rows_that_are_left(here):
    of = sweep.jobs([Table("t", "", "annotation", "", "", rows=(Row("a", "digits-umap"), Row("b", "digits-dcec")))])
    assert "umap-learn" in sweep.packages(of)
    assert sweep.packages([job for job in of if job.experiment == "digits-dcec"]) == []
    record(of[0], {"training": 1.0})
    assert sweep.packages([dataclasses.replace(job, recorded=True) for job in of]) == []


def test_what_a_node_has_kept_of_other_code_is_made_anew(here, monkeypatch):
    monkeypatch.setattr(results, "ROOT", results.ROOT)
    monkeypatch.setattr("deepcluster_tf.fitting.start", lambda: None)
    usual, forced = running.run, []

    def run(*of, force, **how):
        forced.append(force)
        return usual(*of, **how)

    monkeypatch.setattr(running, "run", run)
    for commit in ("old", "old", "new"):
        monkeypatch.setenv("DEEPCLUSTER_COMMIT", commit)
        files = remote.carry_out("digits-raw", {"n_init": 1}, str(here / "shared"), None)
        assert json.loads(files["result.json"])["git_commit"] == "old"
    assert forced == [False, False, True]


def test_paths_for_nodes_are_seen_from_their_folders(here):
    assert commands._from_anywhere("shared/runs") == str(here / "shared" / "runs")
    assert commands._from_anywhere("s3://bucket/runs") == "s3://bucket/runs" and commands._from_anywhere(None) is None


def test_ray_without_the_extra_is_one_line(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="RAY needs the package ray, which is an extra: expected it to be installed"):
        remote.run_all(sweep.jobs([SMALL]), "local")
