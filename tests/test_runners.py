"""What surrounds a run: terminals that are closed or plain, a Keras that is set otherwise, processors that are held."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepcluster_tf import command, fitting, machine
from deepcluster_tf.fitting import checkpoints

REPOSITORY = Path(__file__).parents[1]
RAW = [sys.executable, "-m", "runners.run", "digits-raw", "QUICK=1"]


@pytest.fixture
def here(tmp_path):
    (tmp_path / "results").mkdir()
    return tmp_path


def run(command, folder, **how):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **how.pop("env", {})}
    return subprocess.run(command, cwd=folder, env=environment, timeout=200, **how)


def metrics(folder):
    return json.loads(next(folder.glob("results/runs/*/*/seed-0/result.json")).read_text())["metrics"]


@pytest.mark.slow
def test_a_closed_and_a_plain_terminal_and_another_keras_change_nothing(here, tmp_path_factory):
    """Of one run each: the numbers are those of an ordinary one, and the command ends well."""
    ordinary = run(RAW, here, capture_output=True, text=True)
    assert ordinary.returncode == 0, ordinary.stderr
    keras = {"floatx": "float64", "epsilon": 1e-2, "backend": "jax", "image_data_format": "channels_first"}
    (here / "keras").mkdir()
    (here / "keras" / "keras.json").write_text(json.dumps(keras))
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "KERAS_HOME": str(here / "keras")}
    plain |= {"TF_ENABLE_ONEDNN_OPTS": "0", "KERAS_MAX_EPOCHS": "1", "OMP_NUM_THREADS": "1"}  # give other numbers
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(here / "results", other / "results", ignore=shutil.ignore_patterns("runs"))
    done = run(["bash", "-c", '"$@" 2>&-', "-", *RAW], other, env=plain, stdout=subprocess.PIPE)  # a closed stderr
    assert done.returncode == 0 and b"purity_kmeans_training" in done.stdout
    assert "\N{EN DASH}" in ordinary.stdout and done.stdout.isascii()
    assert metrics(other) == metrics(here)


def test_umap_is_compiled_for_any_processor(monkeypatch):
    """On the same threads and versions its sums, and so its clusters, are then the same on all."""
    monkeypatch.setattr(fitting, "start", lambda: [])
    monkeypatch.setattr(os, "environ", {**os.environ, "NUMBA_CPU_NAME": "znver5", "NUMBA_CPU_FEATURES": "+avx512f"})
    command.start_tensorflow()
    assert os.environ["NUMBA_CPU_NAME"] == "generic" and not os.environ["NUMBA_CPU_FEATURES"]


def test_a_closed_output_is_no_traceback(here):
    done = run(["bash", "-c", '"$@" >&-', "-", sys.executable, "-m", "runners.help"], here, capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
    code = "import time; time.sleep(1); from runners import help; help.main(help.run)"  # when the reader is gone
    done = run(["bash", "-c", '"$@" | true', "-", sys.executable, "-c", code], here, capture_output=True)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_limit_that_is_no_number_of_processors_is_refused(monkeypatch, given):
    monkeypatch.setenv(machine.LIMIT, given)
    with pytest.raises(ValueError, match=f"DEEPCLUSTER_CPUS must be a whole number of 1 or more; received '{given}'"):
        machine.processors()


def test_a_limit_holds_and_none_is_no_limit(monkeypatch):
    monkeypatch.setenv(machine.LIMIT, "1")
    assert machine.processors() == 1
    monkeypatch.setenv(machine.LIMIT, "4096")
    everything = machine.processors()
    monkeypatch.setenv(machine.LIMIT, "")
    assert machine.processors() == everything == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("given", "allowed"), [("1", 1), ("0", None), ("", None), ("many", None), ("4096", None)])
def test_tensorflows_own_limit_counts_too(monkeypatch, given, allowed):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", given)
    assert machine.processors() == (allowed or len(os.sched_getaffinity(0)))


def test_a_fit_is_not_resumed_without_onednn(tmp_path, monkeypatch):
    checkpoints.claim(tmp_path, {"seed": 0})
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with pytest.raises(ValueError, match="holds the fit of other onednn"):
        checkpoints.claim(tmp_path, {"seed": 0})


def test_a_fit_is_not_resumed_on_another_number_of_processors(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "processors", lambda: 2)
    checkpoints.claim(tmp_path, {"seed": 0})
    checkpoints.claim(tmp_path, {"seed": 0})
    monkeypatch.setattr(checkpoints, "processors", lambda: 1)
    with pytest.raises(ValueError, match=r"holds the fit of other processors \(2, not 1\): expected a new folder"):
        checkpoints.claim(tmp_path, {"seed": 0})


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_limit_gives_the_numbers_of_so_many_processors(here, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(here / "results", other / "results")
    vae = [sys.executable, "-m", "runners.run", "digits-vae", "EPOCHS=16", "K=8", "CLUSTERING=mixture", "DEPTH=1"]
    first = str(min(os.sched_getaffinity(0)))
    assert run(["taskset", "-c", first, *vae], here, capture_output=True).returncode == 0
    assert run(vae, other, env={machine.LIMIT: "1"}, capture_output=True).returncode == 0
    assert metrics(other) == metrics(here)
