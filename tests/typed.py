"""What a user writes, for the type checker alone (`make lint`): the public names have types, and these are right."""

from pathlib import Path
from typing import assert_type

import numpy as np
import tensorflow as tf

import deepcluster_tf
from deepcluster_tf import (
    DCEC,
    DEC,
    SCAN,
    VAE,
    Autoencoder,
    Control,
    DeepCluster,
    FixMatch,
    Frozen,
    Raw,
    Siamese,
    datasets,
    load,
    metrics,
)
from deepcluster_tf.methods.base import Method

KINDS: list[type[Method]] = [
    DCEC, DEC, SCAN, VAE, Autoencoder, Control, DeepCluster, FixMatch, Frozen, Raw, Siamese,
]  # fmt: skip


def use(images: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Three lines of Python, and what they give."""
    assert_type(deepcluster_tf.__version__, str)
    digits = datasets.load("digits")
    assert_type(digits.class_names, tuple[str, ...])
    method = DCEC(n_clusters=10, filters=(8, 8, 8), lam=0.1)
    assert_type(method.n_clusters, int)
    assert_type(method.fit(images, labels, progress=False), DCEC)
    assert_type(method.predict(images), np.ndarray)
    assert_type(method.fit_predict(images), np.ndarray)
    assert_type(method.fit([[[0, 1], [2, 3]]], ["cat", None]), DCEC)  # lists, and labels that are words or unknown
    assert_type(SCAN().fit_predict(tf.data.Dataset.from_tensor_slices(images)), np.ndarray)
    assert_type(metrics.accuracy(labels, method.predict(images)), float)
    method.save(path)
    assert_type(load(path), Method)
    DCEC(n_clusters="ten")  # type: ignore[arg-type]
