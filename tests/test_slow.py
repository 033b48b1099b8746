"""Long checks, or such as need Fashion-MNIST on this machine: make test-slow"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import datasets, metrics
from deepcluster_tf.experiments.protocols.semi_supervised import supervised_labels
from deepcluster_tf.methods.dcec import DCEC

pytestmark = pytest.mark.slow
RESULTS = Path(__file__).parents[1] / "results"


def test_digits_at_the_documents_budget(digits):
    labels = supervised_labels(digits.labels, 0.05, seed=0)
    method = DCEC().fit(digits.images, labels, progress=False)
    rest = labels < 0
    assert method.converged_
    assert metrics.accuracy(digits.labels[rest], method.labels_[rest]) > 0.85


def test_memory_does_not_grow(digits):
    """Peak memory after 1,000 iterations and 100 renewals, and after 3,000 and 300 more."""
    peaks = []
    for iterations in (1000, 3000):
        settings = {"update_interval": 10, "max_iterations": iterations, "tolerance": 0.0, "n_init": 1}
        DCEC(pretraining_epochs=1, **settings).fit(digits.images, digits.labels, progress=False)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 60, f"{peaks} MiB"


def test_killed_again_and_again_the_command_ends_with_the_same_numbers(tmp_path):
    """`kill -9` at any moment, in pretraining, clustering or recording, then the same command."""
    command = [sys.executable, "-m", "runners.run", "digits-dcec", "SUP=0.05", "QUICK=1"]
    results = {}
    for name, waits in (("whole", []), ("killed", [9, 13, 17, 11, 15])):
        folder = tmp_path / name
        (folder / "results").mkdir(parents=True)
        environment = {**os.environ, "PYTHONPATH": str(RESULTS.parent)}
        for wait in waits:
            process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
            time.sleep(wait)
            process.kill()
            process.wait()
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=300)
        results[name] = json.loads(next(folder.glob("results/runs/*/*/*/result.json")).read_text())
    for what in ("metrics", "cluster_sizes", "confusion", "iterations", "converged", "notices"):
        assert results["killed"][what] == results["whole"][what]


@pytest.mark.parametrize("path", sorted((RESULTS / "models").glob("fashion-dcec-*")), ids=lambda path: path.name)
def test_shipped_model_has_the_recorded_score(path):
    """The SavedModel, over all 70,000 images, gives the very accuracy that its run recorded."""
    fashion = datasets.load("fashion")
    model = tf.saved_model.load(str(path))
    found = [model(fashion.images[i : i + 2000])["cluster"].numpy() for i in range(0, len(fashion.images), 2000)]
    variant, seed = path.name.removeprefix("fashion-dcec-").rsplit("-seed-", 1)
    recorded = json.loads((RESULTS / f"runs/fashion-dcec/{variant}/seed-{seed}/result.json").read_text())
    accuracy = metrics.accuracy(fashion.labels, np.concatenate(found))
    assert accuracy == pytest.approx(recorded["metrics"]["acc"]["value"], abs=2e-4)


def test_images_that_are_streamed_take_little_memory(tmp_path):
    """A fit to 0.6 GB of images out of a mapped file needs less memory than one that holds them, by about as much."""
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (4000, 224, 224, 3), np.uint8))
    code = (
        "import resource, sys, numpy as np\n"
        "from deepcluster_tf import Siamese, machine\n"
        "machine.LARGE = float(sys.argv[1])\n"
        "images = np.load('images.npy', mmap_mode='r')\n"
        "how = {'epochs': 1, 'filters': (8, 8), 'n_init': 1, 'n_components': 2, 'batch_size': 64}\n"
        "found = Siamese(**how).fit(images, progress=False)\n"
        "kb = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "print(found.history_[-1]['loss'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,\n"
        "      int(kb['RssAnon'].split()[0]) / 2**20)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(RESULTS.parent)}
    said = {
        share: subprocess.run(
            [sys.executable, "-c", code, str(share)], cwd=tmp_path, env=environment, capture_output=True, text=True
        ).stdout.split()
        for share in (0.0, 1.0)
    }
    assert float(said[0.0][0]) == pytest.approx(float(said[1.0][0]), rel=1e-6)  # the loss, but for its last bits
    # what is mapped counts while it is in the page cache, and goes when memory is short: anonymous memory does not
    assert float(said[1.0][2]) - float(said[0.0][2]) > 0.4
