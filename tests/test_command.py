"""The command `deepcluster`, and the wheel that brings it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepcluster_tf.command import __main__ as command
from deepcluster_tf.command import targets
from deepcluster_tf.experiments import results

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def called(monkeypatch):
    """What would be carried out, for words of the command line."""

    def call(*words):
        found = []
        monkeypatch.setattr(results, "ROOT", Path("results"))
        monkeypatch.setattr(command, "carry_out", lambda *given: found.extend(given))
        monkeypatch.setattr(sys, "argv", ["deepcluster", *words])
        command.run()
        return found

    return call


@pytest.mark.parametrize(
    ("words", "target", "typed"),
    [
        ("run fashion-dcec SUP=0.01", "fashion-dcec", {"SUP": "0.01"}),
        ("table fashion-dcec SEEDS=1", "fashion-dcec-table", {"SEEDS": "1"}),
        ("cluster photos", "scan", {"BACKBONE": "EfficientNetLite2", "IMAGES": "photos"}),
        ("cluster photos CLUSTERS=3 METHOD=dcec", "dcec", {"IMAGES": "photos", "CLUSTERS": "3"}),
        ("cluster photos BACKBONE=none", "scan", {"BACKBONE": "none", "IMAGES": "photos"}),
        ("predict r photos TO=said.csv", "predict", {"RUN": "r", "IMAGES": "photos", "TO": "said.csv"}),
        ("sort r there COPY=1", "sort", {"RUN": "r", "TO": "there", "COPY": "1"}),
        ("export r", "export", {"RUN": "r"}),
        ("data DATA=digits", "data", {"DATA": "digits"}),
        ("tables", "tables", {}),
    ],
)
def test_a_command_is_a_target_of_make(called, words, target, typed):
    assert called(*words.split()) == [target, typed]
    assert set(typed) <= set(targets.variables(target))


def test_results_go_where_they_are_told(called, monkeypatch):
    called("tables", "--results", "elsewhere")
    assert Path("elsewhere") == results.ROOT
    monkeypatch.setenv("DEEPCLUSTER_RESULTS", "told")
    called("tables")
    assert Path("told") == results.ROOT


def test_variables_may_stand_after_an_option(called, capsys):
    assert called(*["run", "digits-raw", "--results", "mine", "QUICK=1"]) == ["digits-raw", {"QUICK": "1"}]
    words = "cluster photos CLUSTERS=3 --results mine METHOD=ae SEED=1"
    assert called(*words.split()) == ["ae", {"IMAGES": "photos", "CLUSTERS": "3", "SEED": "1"}]
    for wrong, word in (("run digits-raw --results mine quick", "quick"), ("run digits-raw --quick=1", "--quick=1")):
        with pytest.raises(SystemExit, match="2"):
            called(*wrong.split())
        assert f"unrecognized arguments: {word}" in capsys.readouterr().err


def test_the_folder_of_the_data_may_come_from_the_environment(called, monkeypatch):
    monkeypatch.setenv("DATA_DIR", "/mine")
    assert called("run", "fashion-dcec", "SUP=0.01") == ["fashion-dcec", {"DATA_DIR": "/mine", "SUP": "0.01"}]
    assert called("run", "fashion-dcec", "DATA_DIR=/other") == ["fashion-dcec", {"DATA_DIR": "/other"}]
    assert called("data") == ["data", {"DATA_DIR": "/mine"}] and called("tables") == ["tables", {}]


def test_it_lists_what_make_lists(called, capsys):
    assert called("list") == [] and targets.overview() in capsys.readouterr().out
    assert called("list", "digits-raw") == [] and targets.help_of("digits-raw") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "fashion-dcce"], "fashion-dcce is no target"),
        (["run", "digits-raw", "SUP"], "expected NAME=value after run; received 'SUP'"),
        (["run", "digits-raw", "SUP=0.1"], "SUP is no variable of digits-raw"),
        (["table", "nothing"], "nothing-table is no target"),
        (["cluster", "photos", "METHOD=nothing"], "nothing is no target"),
    ],
)
def test_a_mistake_is_a_line(monkeypatch, words, message):
    monkeypatch.setattr(results, "ROOT", Path("results"))
    monkeypatch.setattr(sys, "argv", ["deepcluster", *words])
    with pytest.raises(ValueError, match=message):
        command.run()


def test_a_run_elsewhere_is_recorded_there(tmp_path):
    words = ["run", "digits-classifier", "SUP=0.1", "QUICK=1", "--results", tmp_path / "mine"]
    done = subprocess.run(
        [sys.executable, "-m", "deepcluster_tf.command", *words],
        cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [*(tmp_path / "mine").rglob("result.json")] and not (tmp_path / "results").exists()


@pytest.mark.slow
def test_the_wheel_clusters_a_folder_in_a_fresh_environment(digits, tmp_path):
    """As `pip install` of the wheel gives it, far from the repository: the command, and the numbers of the papers."""
    run = lambda *words, **how: subprocess.run(words, check=True, cwd=tmp_path, capture_output=True, text=True, **how)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", tmp_path, REPOSITORY)
    wheel = next(tmp_path.glob("deepcluster_tf-*.whl"))
    run(sys.executable, "-m", "venv", tmp_path / "env")
    run(tmp_path / "env" / "bin" / "pip", "install", "--quiet", wheel)
    for i in range(100):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.kron(digits.images[i, ..., 0], np.ones((4, 4), np.uint8))).save(tmp_path / f"photos/{i}.png")
    deepcluster = tmp_path / "env" / "bin" / "deepcluster"
    assert "deepcluster_tf " in run(deepcluster, "--version").stdout
    run(deepcluster, "cluster", "photos", "METHOD=control", "CLUSTERS=10", "--results", "mine")
    found = next((tmp_path / "mine").rglob("clusters.csv"))
    assert len(pd.read_csv(found)) == 100
    run(deepcluster, "sort", found.parent, "sorted", "BY=kmeans", "--results", "mine")
    assert len([*(tmp_path / "sorted").rglob("*.png")]) == 100
    run(deepcluster, "tables", "--results", "mine")
    assert "0.7" in (tmp_path / "mine" / "tables" / "fashion-dcec.md").read_text()
