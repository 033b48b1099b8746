"""Real images, few of them: the first 300 test images of Fashion-MNIST (MIT licence), as published."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL

from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.autoencoder import Autoencoder
from deepcluster_tf.methods.dcec import DCEC

RESULTS = Path(__file__).parents[1] / "results"
MODEL = "fashion-dcec-sup-0.01-seed-0"
AUTOENCODER = "pretrained/fashion-cae-200-epochs-seed-0"


@pytest.fixture(scope="module")
def fashion():
    """Images, uint8 (300, 28, 28, 1), and labels, int64 (300,)."""
    with np.load(Path(__file__).parent / "data" / "fashion-300.npz", allow_pickle=False) as arrays:
        return arrays["images"][..., None], arrays["labels"].astype(np.int64)


def test_the_shipped_model_knows_them(fashion):
    images, labels = fashion
    found = tf.saved_model.load(str(RESULTS / "models" / MODEL))(images)
    recorded = json.loads((RESULTS / "runs/fashion-dcec/sup-0.01/seed-0/result.json").read_text())
    # 0.7546 over all that were not supervised; of 300 drawn from those, three standard deviations are 0.075
    expected = recorded["metrics"]["acc_unsupervised"]["value"]
    assert np.mean(found["class"].numpy() == labels) == pytest.approx(expected, abs=0.075)


def test_the_shipped_autoencoder_reconstructs_them(fashion):
    images, _ = fashion
    method = DCEC().load_autoencoder(RESULTS / AUTOENCODER / "autoencoder.weights.h5", (28, 28, 1))
    error = np.square(method.decoder_(method.encoder_(images / np.float32(255))) - images / 255.0).mean()
    recorded = json.loads((RESULTS / AUTOENCODER / "record.json").read_text())
    assert error == pytest.approx(recorded["loss"], rel=0.15)


def test_dcec_clusters_them(fashion):
    """From the shipped autoencoder, 28x28 pixels, a tenth of the labels: better than at its start, and it repeats."""
    images, labels = fashion
    known = np.where(np.arange(300) % 10 == 0, labels, -1)
    settings = {**SMALL, "batch_size": 100, "update_interval": 6, "max_iterations": 60}
    first, again = (
        DCEC(**settings)
        .load_autoencoder(RESULTS / AUTOENCODER / "autoencoder.weights.h5", (28, 28, 1))
        .fit(images, known, progress=False)
        for _ in range(2)
    )
    right = np.mean(first.labels_[known < 0] == labels[known < 0])
    assert right > 0.55
    assert checkpoints.digest(first.transform(images)) == checkpoints.digest(again.transform(images))


def test_the_dense_autoencoder_has_the_documents_parameters(fashion):
    images, _ = fashion
    method = Autoencoder(max_epochs=2, n_init=1).fit(images, progress=False)
    assert method.encoder_.count_params() + method.decoder_.count_params() == 8_153_794
    assert method.history_[1]["val_loss"] < method.history_[0]["val_loss"]
