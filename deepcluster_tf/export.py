"""SavedModels that plain TensorFlow, and TensorFlow Serving, load without this package."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from deepcluster_tf.networks import to_unit


class ClusteringModule(tf.Module):
    """A clustering network with its preprocessing inside.

    Every method takes uint8 images in 0..255 or float32 images in 0..1, (n, height, width, channels), any n.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, clustering: keras.Layer, classes: np.ndarray):
        super().__init__()
        self.encoder, self.decoder, self.clustering = encoder, decoder, clustering
        self.classes = tf.constant(classes, tf.int64)
        shape = (None, *encoder.input_shape[1:])
        for name in ("serve", "embed", "assign", "reconstruct"):
            function = tf.function(getattr(self, f"_{name}"))
            for dtype in (tf.float32, tf.uint8):  # traced here, so that a loaded model takes both
                function.get_concrete_function(tf.TensorSpec(shape, dtype, name="images"))
            setattr(self, name, function)
        self.__call__ = self.serve

    def _embed(self, images):
        return {"embeddings": self.encoder(to_unit(images), training=False)}

    def _assign(self, images):
        return {"assignments": self.clustering(self._embed(images)["embeddings"])}

    def _serve(self, images):
        assignments = self._assign(images)["assignments"]
        cluster = tf.argmax(assignments, axis=1)
        return {"cluster": cluster, "class": tf.gather(self.classes, cluster), "assignments": assignments}

    def _reconstruct(self, images):
        return {"reconstructions": self.decoder(self._embed(images)["embeddings"], training=False)}


def clustering_model(
    path: Path | str, encoder: keras.Model, decoder: keras.Model, clustering: keras.Layer, classes: np.ndarray
) -> None:
    """Write a fitted clustering network as a SavedModel.

    Signatures, each with the input `images`: `serving_default` -> `cluster` int64 (n,), `class` int64 (n,), -1 where
    unknown, and `assignments` float32 (n, n_clusters); `embed` -> `embeddings`; `assign` -> `assignments`;
    `reconstruct` -> `reconstructions`. They take float32 in 0..1; with `_uint8` behind the name, uint8 in 0..255. The
    loaded object's functions of those names (and the object itself) take either.

    Args:
        path: the SavedModel's folder; an earlier SavedModel there is replaced.
        encoder, decoder: Keras models.
        clustering: the layer that gives soft assignments.
        classes: int (n_clusters,), the class that a cluster stands for, -1 where unknown.

    Raises:
        ValueError: the path exists and is no SavedModel.
    """
    path = Path(path)
    if path.exists() and not (path / "saved_model.pb").exists() and (path.is_file() or any(path.iterdir())):
        raise ValueError(f"{path} exists and is no SavedModel: expected a new folder; name another")
    module = ClusteringModule(encoder, decoder, clustering, classes)
    shape = (None, *encoder.input_shape[1:])
    signatures = {}
    for name in ("serve", "embed", "assign", "reconstruct"):
        signature = "serving_default" if name == "serve" else name
        for dtype, suffix in ((tf.float32, ""), (tf.uint8, "_uint8")):
            spec = tf.TensorSpec(shape, dtype, name="images")
            signatures[signature + suffix] = getattr(module, name).get_concrete_function(spec)
    part = path.with_name(f"part-{path.name}")
    shutil.rmtree(part, ignore_errors=True)
    tf.saved_model.save(module, str(part), signatures=signatures)
    shutil.rmtree(path, ignore_errors=True)
    part.rename(path)
