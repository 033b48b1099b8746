"""Keras layers of the papers' methods."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

_portable = contextvars.ContextVar("portable", default=False)


def soft_assignments(embeddings, cluster_centers, alpha: float = 1.0):
    """The probability q_ij that embedding i belongs to cluster j, by Student's t (SDCEC, eq. 1).

    Args:
        embeddings: float (n, d), z.
        cluster_centers: float (n_clusters, d), mu.
        alpha: degrees of freedom, positive; 1 in the paper.

    Returns:
        float (n, n_clusters); rows sum to 1.
    """
    # softmax of the kernel's logarithm: the kernel itself underflows for far points, and 0 / 0 is no assignment
    return ops.softmax(_log_kernel(embeddings, cluster_centers, alpha), axis=1)


def _log_kernel(embeddings, cluster_centers, alpha):
    differences = ops.expand_dims(embeddings, 1) - ops.expand_dims(cluster_centers, 0)
    distances = ops.sum(ops.square(differences), axis=2)
    return -(alpha + 1.0) / 2.0 * _log1p(distances / alpha)


def _log1p(x):
    # ONNX has no such function; without it an assignment differs by 1e-7 at most
    return ops.log(1.0 + x) if _portable.get() else ops.log1p(x)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Trace layers so that other runtimes than TensorFlow, such as ONNX, can run them."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


@keras.saving.register_keras_serializable("deepcluster_tf")
class ClusteringLayer(keras.layers.Layer):
    """Soft assignments of embeddings to trainable cluster centres (SDCEC, eq. 1).

    Args:
        n_clusters: number of clusters, 2 or more.
        alpha: degrees of freedom of Student's t, positive.

    Input: float (n, d), embeddings. Output: float (n, n_clusters), soft assignments.
    The weight `cluster_centers`, (n_clusters, d), is set in place by `assign`, so that the optimizer trains it.
    """

    def __init__(self, n_clusters: int, alpha: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if n_clusters < 2:
            raise ValueError(f"n_clusters must be 2 or more; received {n_clusters}")
        if not alpha > 0:
            raise ValueError(f"alpha must be positive; received {alpha}")
        self.n_clusters = n_clusters
        self.alpha = alpha

    def build(self, input_shape):
        self.cluster_centers = self.add_weight(
            name="cluster_centers", shape=(self.n_clusters, input_shape[-1]), initializer="glorot_uniform"
        )

    def call(self, embeddings):
        return soft_assignments(embeddings, self.cluster_centers, self.alpha)

    def logits(self, embeddings):
        """The logarithms of the assignments before they are normalised: they tell apart what softmax rounds to ties."""
        return _log_kernel(embeddings, self.cluster_centers, self.alpha)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n_clusters)

    def get_config(self):
        return {**super().get_config(), "n_clusters": self.n_clusters, "alpha": self.alpha}


@keras.saving.register_keras_serializable("deepcluster_tf")
class ClusterHead(keras.layers.Dense):
    """Soft assignments by a linear layer and softmax, as a classifier ends (SCAN; DeepCluster).

    Args:
        n_clusters: number of clusters, 2 or more.

    Input: float (n, d), embeddings. Output: float (n, n_clusters), rows sum to 1.
    """

    def __init__(self, n_clusters: int, **kwargs):
        super().__init__(n_clusters, **kwargs)

    def call(self, embeddings):
        return ops.softmax(self.logits(embeddings), axis=1)

    def logits(self, embeddings):
        """The logarithms of the assignments before they are normalised: they tell apart what softmax rounds to ties."""
        return super().call(embeddings)

    def get_config(self):
        config = super().get_config()
        return {**keras.layers.Layer.get_config(self), "n_clusters": config["units"]}


@keras.saving.register_keras_serializable("deepcluster_tf")
class MixtureLayer(keras.layers.Layer):
    """The posterior of a Gaussian mixture with full covariances, so that it travels with a network.

    Args:
        n_clusters: number of components.

    Input: float (n, d), embeddings. Output: float (n, n_clusters), rows sum to 1. `take` copies a fitted
    `sklearn.mixture.GaussianMixture`.
    """

    def __init__(self, n_clusters: int, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.n_clusters = n_clusters

    def build(self, input_shape):
        k, d = self.n_clusters, input_shape[-1]
        self.log_weights = self.add_weight(name="log_weights", shape=(k,), initializer="zeros")
        self.means = self.add_weight(name="means", shape=(k, d), initializer="zeros")
        self.factors = self.add_weight(name="factors", shape=(k, d, d), initializer="zeros")

    def take(self, mixture) -> None:
        """Copy a fitted mixture whose covariance type is "full"; a ValueError if it is another."""
        if mixture.covariance_type != "full":
            raise ValueError(f"the mixture's covariances must be full; received {mixture.covariance_type!r}")
        if not self.built:
            self.build((None, mixture.means_.shape[1]))
            self.built = True
        self.log_weights.assign(np.log(mixture.weights_))
        self.means.assign(mixture.means_)
        self.factors.assign(mixture.precisions_cholesky_)

    def call(self, embeddings):
        return ops.softmax(self.logits(embeddings), axis=1)

    def logits(self, embeddings):
        """The logarithms of the posterior before it is normalised: they tell apart what softmax rounds to ties."""
        # log N(z; mu, S) = log det P - |(z - mu) P|^2 / 2 + const, with P the Cholesky factor of the precision
        centred = ops.expand_dims(embeddings, 0) - ops.expand_dims(self.means, 1)
        distances = ops.sum(ops.square(ops.matmul(centred, self.factors)), axis=2)
        determinants = ops.sum(ops.log(ops.diagonal(self.factors, axis1=1, axis2=2)), axis=1)
        return self.log_weights + determinants - 0.5 * ops.transpose(distances)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n_clusters)

    def get_config(self):
        config = super().get_config()
        config.pop("trainable")
        return {**config, "n_clusters": self.n_clusters}


@keras.saving.register_keras_serializable("deepcluster_tf")
class Sampling(keras.layers.Layer):
    """The reparameterised sample z = z_mean + z_std * eps in training, z_mean in inference (VAE with named clusters).

    Args:
        seed: of eps.

    Input: z_mean and z_std, each float (n, d). Output: float (n, d).
    """

    def __init__(self, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        z_mean, z_std = inputs
        return z_mean + z_std * keras.random.normal(ops.shape(z_mean), seed=self.generator) if training else z_mean

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("deepcluster_tf")
class Prepared(keras.layers.Layer):
    """Images as a network of `keras.applications` was trained on them.

    Args:
        application: the module there, such as "resnet50".

    Input: float (n, height, width, 3) in 0..255. Output: the same shape.
    """

    def __init__(self, application: str, **kwargs):
        super().__init__(**kwargs)
        self.application = application

    def call(self, images):
        return getattr(keras.applications, self.application).preprocess_input(images)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "application": self.application}


def random_view(
    rotation: float = 0.08,
    zoom: float = 0.25,
    strong: bool = False,
    seed: int = 0,
    name: str = "view",
    *,
    flip: bool = True,
    colours: bool = True,
) -> keras.Sequential:
    """A model that flips, rotates and scales each image of a batch at random in training (Schultz, "Attempt 2").

    Args:
        rotation: largest angle, as a share of a full turn.
        zoom: largest change of scale, as a share.
        strong: cut a part out instead, whose sides are 1 to 1 - 2 zoom of the image's, and change the colours, or take
            them away, as contrastive methods do. Not in the paper.
        seed: of the draws.
        name: of the model.
        flip: let left be right in every second view.
        colours: whether the images have them, for a strong view to change.

    Returns:
        a model: float32 (n, height, width, channels) -> the same shape; the images themselves outside of training.
    """
    how = {"fill_mode": "reflect", "interpolation": "bilinear"}
    changes = [
        *([keras.layers.RandomFlip("horizontal", seed=3 * seed, name="flip")] if flip else []),
        keras.layers.RandomRotation(rotation, seed=3 * seed + 1, name="rotation", **how),
    ]
    if not strong:
        changes.append(keras.layers.RandomZoom(zoom, seed=3 * seed + 2, name="zoom", **how))
        return keras.Sequential(changes, name=name)
    seeds, of = iter(range(10_000 + 7 * seed, 10_007 + 7 * seed)), {"value_range": (0, 1)}
    changes += [
        keras.layers.RandomTranslation(0.15, 0.15, seed=next(seeds), name="shift", **how),
        keras.layers.RandomZoom((-2 * zoom, 0.0), seed=next(seeds), name="crop", **how),
        keras.layers.RandomBrightness(0.2, seed=next(seeds), name="brightness", **of),
        keras.layers.RandomContrast(0.4, seed=next(seeds), name="contrast", **of),
    ]
    if colours:
        changes += [
            keras.layers.RandomSaturation((0.2, 0.8), seed=next(seeds), name="saturation", **of),  # 0.5 changes nothing
            keras.layers.RandomHue(0.2, seed=next(seeds), name="hue", **of),
            keras.layers.RandomGrayscale(0.2, seed=next(seeds), name="grey"),
        ]
    return keras.Sequential(changes, name=name)


def slight_view(seed: int = 0, name: str = "slight") -> keras.Sequential:
    """A model that rotates each image of a batch by at most 10 degrees and shifts it by at most a tenth (DEC-DA).

    Args:
        seed: of the draws.
        name: of the model.

    Returns:
        a model: float32 (n, height, width, channels) -> the same shape; the images themselves outside of training.
    """
    how = {"fill_mode": "constant", "interpolation": "bilinear"}
    rotation = keras.layers.RandomRotation(10 / 360, seed=2 * seed, name="rotation", **how)
    shift = keras.layers.RandomTranslation(0.1, 0.1, seed=2 * seed + 1, name="shift", **how)
    return keras.Sequential([rotation, shift], name=name)
