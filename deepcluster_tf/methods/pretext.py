"""The contrastive encoder with which SCAN and DEC begin: Schultz's similarity, mended."""

from __future__ import annotations

import contextlib
from pathlib import Path

import keras
import numpy as np

from deepcluster_tf import networks
from deepcluster_tf.files import locked
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.machine import processors
from deepcluster_tf.methods.siamese import Siamese

SETTINGS = {  # what two cores can train: 32x32 images in hours
    "comparison": "contrastive", "views": "strong", "temperature": 0.2, "negatives": "all", "projector": 128,
    "normalised": True, "schedule": "cosine", "filters": (32, 64, 64, 128, 128), "strides": (2, 1, 2, 1, 2),
}  # fmt: skip
# of a first look: what hundreds of steps can train; normalisation and a projector pay off later
SMALL = {
    "filters": (32, 64, 128, 256), "strides": (2,), "batch_size": 64, "normalised": False, "projector": 0,
}  # fmt: skip


def pretext(network: str, epochs: int, flip: bool, seed: int) -> Siamese:
    """The encoder, not learned yet.

    Args:
        network: "full", or "small" for a first look.
        epochs, flip, seed: as those of `Siamese`.
    """
    return Siamese(**{**SETTINGS, **(SMALL if network == "small" else {})}, epochs=epochs, flip=flip, seed=seed)


def encoder(of: Siamese) -> keras.Model:
    """What is clustered: images -> embeddings whose length is free, though angles alone are compared."""
    before = keras.Model(of.encoder_.input, of.encoder_.get_layer("embedding").output, name="encoder")
    return networks.to_float32(before)


def projected(of: Siamese):
    """What makes of such embeddings the ones that the contrastive loss compares."""
    return of.projector_ if of.projector else keras.layers.UnitNormalization(axis=-1, name="unit")


def learn(of: Siamese, images: np.ndarray, shared: Path | None, progress: bool, strategy, callbacks=()) -> float:
    """Train it, or take over what another fit to these images has trained.

    Args:
        of: from `pretext`.
        images: checked.
        shared: the folder of what fits to these images have in common; None keeps nothing.
        progress, strategy, callbacks: as `fit` takes them.

    Returns:
        the seconds that it took, here or when it was trained; others of the same settings, seed and number of
        processors share it.
    """
    place = shared and folder(of, shared)
    of._callbacks = tuple(callbacks)
    with locked(place, wait=True) if place else contextlib.nullcontext():
        of._learn(images, place, progress, strategy)
    return round(sum(row["seconds"] for row in of.history_), 1)


def folder(of: Siamese, shared: Path) -> Path:
    """Where it is kept: under a name of its settings, its seed and the processors, on which its numbers depend too."""
    settings = {name: value for name, value in of._made_of().items() if name not in ("n_clusters", "n_init")}
    settings["processors"] = processors()
    return shared / f"similarity-{checkpoints.digest(np.array([str(settings)]))[:8]}-seed-{of.seed}"
