"""SCAN's heads: what they learn from, the losses of both stages, and how the best of them is chosen."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from keras import layers, ops

from deepcluster_tf import fitting, losses


class NeighborModel(fitting.ResidentModel):
    """A resident model of images and, for each, one of its nearest, drawn by the seed and the iteration alone."""

    def _batch(self, rows):
        seed = ops.stack([self.seed, ops.cast(fitting.count_of(self.optimizer), "int32")])
        drawn = tf.random.stateless_uniform(ops.shape(rows), seed, 0, self.nearest.shape[1], "int32")
        theirs = tf.gather(ops.take(self.nearest, rows, axis=0), drawn, batch_dims=1)
        inputs = [self.images_of(which) for which in (rows, theirs)]
        return inputs, {"pairs": ops.take(self.known, rows, axis=0)}


class SelfLabelModel(fitting.ResidentModel):
    """A resident model whose targets are its own answers of which it is sure, each class with the same weight."""

    def _batch(self, rows):
        images = self.images_of(rows)
        known, p = ops.take(self.known, rows, axis=0), ops.stop_gradient(self.teacher(images))
        targets, weights = sure_labels(p, known, self.confidence)
        return images, {"labels": targets}, {"labels": weights}


def one_hot(labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """float32 (n, n_clusters): a row of zeros where a label is unknown, -1."""
    return np.float32(labels[:, None] == np.arange(n_clusters))


def towards_classes(
    kernel: np.ndarray, bias: np.ndarray, z: np.ndarray, labels: np.ndarray, n_clusters: int
) -> list[np.ndarray]:
    """Weights with which heads begin: as drawn, and for classes with labels towards their mean embedding.

    What is added to the logits of two classes is the same halfway between their means, in every head.

    Args:
        kernel: float (d, heads * n_clusters), as drawn. bias: float (heads * n_clusters,).
        z: float (n, d), embeddings.
        labels: int (n,), -1 where unknown; with fewer than two classes nothing is added.
        n_clusters: of each head.

    Returns:
        kernel and bias.
    """
    told = np.unique(labels[labels >= 0])
    if len(told) < 2:
        return [kernel, bias]
    means = np.array([z[labels == label].mean(axis=0) for label in told])
    centre = means.mean(axis=0)
    towards = (means - centre) / np.mean(np.sum((means - centre) ** 2, axis=1))
    halfway = -np.sum(towards * (means + centre), axis=1) / 2
    kernel, bias = (weights.reshape(*weights.shape[:-1], -1, n_clusters).copy() for weights in (kernel, bias))
    kernel[..., told] += towards.T[:, None]
    bias[..., told] += halfway
    return [kernel.reshape(len(kernel), -1), bias.reshape(-1)]


def clustering_loss(known, pairs, entropy_weight: float):
    """The loss of each image, summed over the heads (SCAN, eq. 2), with known labels for the neighbour's assignment.

    Args:
        known: float (n, n_clusters), one-hot, or zeros where unknown.
        pairs: float (n, 2, heads, n_clusters), the assignments of images and of their neighbours.
        entropy_weight: lambda.

    Returns:
        float (n,), in nats; the entropy is that of the batch, the same for all its images.
    """
    p, theirs = pairs[:, 0], pairs[:, 1]
    known = ops.expand_dims(known, 1)
    theirs = ops.where(ops.sum(known, axis=-1, keepdims=True) > 0, known, theirs)
    agreement = ops.sum(losses.neighbor_consistency(p, theirs), axis=1)
    return agreement - entropy_weight * ops.sum(losses.mean_entropy(p))


def sure_labels(p, known, confidence: float):
    """Targets of self-labelling and the weights of the images (SCAN, eq. 3).

    Args:
        p: float (n, n_clusters), assignments of the images as they are.
        known: float (n, n_clusters), one-hot, or zeros where unknown.
        confidence: above which an assignment becomes a label.

    Returns:
        float (n, n_clusters), one-hot, and float (n,), 0 for images without a label; each class that occurs among the
        labels weighs the same, and the weights' mean is 1, or 0 where nothing is sure.
    """
    told = ops.sum(known, axis=1) > 0
    labels = ops.where(ops.expand_dims(told, 1), known, ops.one_hot(ops.argmax(p, axis=1), p.shape[1], dtype=p.dtype))
    sure = ops.cast(ops.logical_or(told, ops.max(p, axis=1) > confidence), p.dtype)
    counts = ops.sum(labels * ops.expand_dims(sure, 1), axis=0)
    share = ops.divide_no_nan(sure, ops.sum(labels * counts, axis=1))
    return labels, share * ops.divide_no_nan(ops.cast(ops.shape(p)[0], p.dtype), ops.sum(share))


def head_loss(p: np.ndarray, nearest: np.ndarray) -> float:
    """The loss of a head over all images and all their neighbours, with an entropy weight of 1, in nats.

    Args:
        p: float (n, n_clusters), assignments of the images as they are.
        nearest: int (n, neighbors).
    """
    agreement = [ops.mean(losses.neighbor_consistency(p, p[column])) for column in nearest.T]
    return float(np.mean(agreement) - losses.mean_entropy(p))


def smallest(p: np.ndarray) -> float:
    """The size of the smallest cluster, as a share of their mean size."""
    sizes = np.bincount(p.argmax(axis=1), minlength=p.shape[1])
    return float(sizes.min() / sizes.mean())


class Split(layers.Layer):
    """The values of several heads side by side -> float (n, heads, n_clusters)."""

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, values):
        return ops.reshape(values, (-1, self.heads, values.shape[-1] // self.heads))


class Pairs(layers.Layer):
    """The logits of images and of neighbours, each (n, heads, n_clusters) -> assignments (n, 2, heads, n_clusters)."""

    def call(self, pair):
        return ops.softmax(ops.stack(pair, axis=1), axis=-1)
