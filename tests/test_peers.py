"""ClustPy beside ours: what is asked of it and what is made of its answer; the library itself in a slow test."""

import subprocess
import sys
import venv

import numpy as np
import pytest

from deepcluster_tf import datasets, experiments, machine
from deepcluster_tf.experiments import results, running
from deepcluster_tf.experiments.protocols import peers

# plays ClustPy: the class of a digit is told by the brightest column, so that scores depend on the pixels it was given
STUB = """
import json, numpy
class _Any:
    def __init__(self, n_clusters, random_state, **settings):
        self.asked = {"n_clusters": n_clusters, "random_state": random_state, **settings}
    def fit(self, images):
        assert images.dtype == numpy.float32 and images.min() == 0 and images.max() == 1
        print("asked", json.dumps(self.asked), images.shape)
        self.labels_ = images.reshape(len(images), 8, 8).sum(1).argmax(1).astype(numpy.int32)
        return self
class DEC(_Any): pass
class IDEC(_Any):
    def fit(self, images):
        raise MemoryError("no room")
"""


@pytest.fixture
def played(tmp_path, monkeypatch):
    """An environment in which the stub is installed; the results folder is empty."""
    (tmp_path / "clustpy").mkdir()
    (tmp_path / "clustpy" / "__init__.py").write_text("")
    (tmp_path / "clustpy" / "deep.py").write_text(STUB)
    (tmp_path / "torch.py").write_text("def set_num_threads(n): print('threads', n)")
    for name, version in (("clustpy", "0.0.3"), ("torch", "2.14.1")):
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        (tmp_path / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(peers, "environment", lambda packages, directory: sys.executable)
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    return tmp_path


def run(**settings):
    return running.run(experiments.get("digits-peers"), settings, progress=False)


def test_the_answer_is_scored_and_recorded(played):
    found = run(algorithm="DEC", clustering_epochs=5, seed=3)
    digits = datasets.load("digits")
    clusters = digits.images.reshape(-1, 8, 8).sum(1).argmax(1)
    purity = sum(np.bincount(digits.labels[clusters == k]).max() for k in np.unique(clusters)) / len(clusters)
    assert found["metrics"]["purity_peer"]["value"] == pytest.approx(purity)
    assert found["cluster_sizes"]["peer"] == np.bincount(clusters, minlength=10).tolist()
    assert found["peer"] == {"clustpy": "0.0.3", "torch": "2.14.1"}
    assert found["settings"]["algorithm"] == "DEC" and found["settings"]["clustering_epochs"] == 5
    assert found["seconds"]["peer"] >= 0
    assert 0.01 < found["peak_gib"] < machine.memory() / 2**30  # of the largest child so far
    said = (found["directory"] / "work" / "peer.log").read_text()
    assert '{"n_clusters": 10, "random_state": 3, "clustering_epochs": 5} (1797, 64)' in said
    assert not (found["directory"] / "work" / "peer-images.npy").exists()


def test_a_peer_that_fails_is_one_line_and_nothing_is_recorded(played):
    with pytest.raises(RuntimeError, match="ClustPy's IDEC ended with the code 1: MemoryError: no room"):
        run(algorithm="IDEC")
    assert not list((played / "results").rglob("result.json"))


def test_epochs_that_are_its_own_are_not_given():
    assert peers.Peers().epochs == {}
    assert peers.Peers(pretrain_epochs=0).epochs == {"pretrain_epochs": 0}
    assert peers.Peers(algorithm="N2D", pretrain_epochs=2, clustering_epochs=2).epochs == {"pretrain_epochs": 2}
    with pytest.raises(ValueError, match="pretrain_epochs must be"):
        peers.Peers(pretrain_epochs=-2).check_settings()


def test_an_environment_is_made_once_and_anew_where_it_is_another(tmp_path, monkeypatch):
    made, code = [], [0]
    monkeypatch.setattr(venv, "create", lambda where, **how: (made.append(how), where.mkdir(exist_ok=True)))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code[0]))
    where = tmp_path / "there"
    for packages in (("a ==1",), ("a ==1",), ("a ==2",)):
        assert peers.environment(packages, where) == where / "bin" / "python"
    assert len(made) == 2 and all(how["clear"] for how in made)
    code[0] = 1
    for _ in range(2):  # half made, it is not taken for whole
        with pytest.raises(ValueError, match="pip could not install a ==3"):
            peers.environment(("a ==3",), where)
    assert len(made) == 4


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["DEC", "IDEC", "N2D", "VaDE"])
def test_clustpy_itself_clusters_the_digits(algorithm, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    found = run(algorithm=algorithm, pretrain_epochs=30, clustering_epochs=5)
    assert found["metrics"]["acc_peer"]["value"] > 0.5
