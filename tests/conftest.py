"""Fixtures that several tests share: the digits, and a small fitted DCEC."""

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from deepcluster_tf import datasets

SMALL = {
    "batch_size": 64,
    "pretraining_epochs": 16,
    "update_interval": 10,
    "max_iterations": 35,
    "n_init": 2,
    "tolerance": 0.0,
}


LONGEST = (
    "library", "dcec", "vae", "export", "new_method", "running", "scan", "named", "damage", "siamese", "clusterings",
    "sweep", "annotated",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """The files that take longest first, so that none of them is left to one process at the end."""
    place = {f"test_{name}": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def imported_packages():
    """What all modules of the package import beyond Python's own, by their names on PyPI."""
    code = "".join(path.read_text() for path in (Path(__file__).parents[1] / "deepcluster_tf").rglob("*.py"))
    found = set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) - sys.stdlib_module_names - {"deepcluster_tf"}
    known = {"sklearn": "scikit-learn", "PIL": "pillow", "markdown_it": "markdown-it-py"}
    known |= {"werkzeug": "flask", "jinja2": "pdoc"}  # as their extras say, one goes with the other
    return {known.get(word, word) for word in found}


@pytest.fixture(scope="session")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="session")
def some_labels(digits):
    """The labels of 90 images, -1 for the others."""
    labels = np.full(len(digits.labels), -1)
    drawn = np.random.default_rng(0).choice(len(labels), 90, replace=False)
    labels[drawn] = digits.labels[drawn]
    return labels


@pytest.fixture(scope="session")
def cluster(digits, tmp_path_factory):
    """A function that fits DCEC to the digits on a small budget, on one autoencoder pretrained once."""
    from deepcluster_tf.methods.dcec import DCEC

    kept = tmp_path_factory.mktemp("autoencoder") / "autoencoder.weights.h5"
    DCEC(**SMALL).pretrain(digits.images, progress=False).save_autoencoder(kept)

    def fit(labels=None, settings=None, **how):
        method = DCEC(**{**SMALL, **(settings or {})}).load_autoencoder(kept, (8, 8, 1))
        return method.fit(digits.images, labels, progress=False, **how)

    return fit


@pytest.fixture(scope="session")
def fitted(cluster, some_labels):
    """A DCEC fitted to the digits on a small budget; tests must not change it."""
    return cluster(some_labels)
