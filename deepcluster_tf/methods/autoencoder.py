"""Clustering on the encodings of an autoencoder: k-means and a Gaussian mixture (document 002).

An autoencoder is trained on the images until its validation loss has not fallen for five epochs. Its encodings are
then clustered twice, by k-means and by a Gaussian mixture.

Deviations from the document:
1. It does not name the batch size (here 256), the loss (here the mean squared error), the share of the training
   images kept for validation (here the last tenth), nor the activation of the encoding (here linear).
2. k-means and the mixture are the best of several starts; the document does not say how many it used.
3. The document's abstract and conclusion speak of convolutions with pooling and dropout, without sizes and without a
   number of their own: `architecture="pooling"` is our reading of it.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import ops

from deepcluster_tf import checkpoints, clustering, export, fitting, networks
from deepcluster_tf.layers import ClusteringLayer, MixtureLayer
from deepcluster_tf.methods.base import Method


class Autoencoder(Method):
    """An autoencoder whose encodings are clustered.

    Args:
        n_clusters: number of clusters.
        architecture: "dense", or "pooling" for convolutions with pooling and dropout.
        embedding_dim: units of the encoding.
        activation: of the hidden layers, "relu" or "sigmoid".
        batch_size: images a step.
        validation_share: share of the images, the last ones, on which the loss decides when to stop.
        patience: epochs without a lower validation loss after which training stops; the best weights are kept.
        max_epochs: a bound that is not meant to be reached.
        assign_by: whose clusters `labels_`, `predict` and `predict_proba` give, "mixture" or "kmeans".
        n_init: starts of k-means and of the mixture.
        seed: of everything random.

    Attributes after `fit`:
        encoder_, decoder_: Keras models.
        kmeans_, mixture_: fitted scikit-learn estimators. assigners_: the same as Keras layers, by name.
        labels_: int64 (n,). history_: a list of dicts, one an epoch.
        converged_: whether the patience ran out before the epochs did. n_iter_: iterations done.
    """

    def __init__(
        self,
        *,
        n_clusters: int = 10,
        architecture: str = "dense",
        embedding_dim: int = 10,
        activation: str = "relu",
        batch_size: int = 256,
        validation_share: float = 0.1,
        patience: int = 5,
        max_epochs: int = 1000,
        assign_by: str = "mixture",
        n_init: int = 10,
        seed: int = 0,
    ):
        self.n_clusters = n_clusters
        self.architecture = architecture
        self.embedding_dim = embedding_dim
        self.activation = activation
        self.batch_size = batch_size
        self.validation_share = validation_share
        self.patience = patience
        self.max_epochs = max_epochs
        self.assign_by = assign_by
        self.n_init = n_init
        self.seed = seed

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        inf = np.inf
        self._require(n_clusters=(2, inf), embedding_dim=(1, inf), batch_size=(1, inf), patience=(1, inf))
        self._require(max_epochs=(0, inf), n_init=(1, inf), seed=(0, 2**31 - 1), validation_share=(0.01, 0.9))
        for name, allowed in (
            ("architecture", ("dense", "pooling")),
            ("activation", ("relu", "sigmoid")),
            ("assign_by", ("mixture", "kmeans")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be {' or '.join(allowed)}; received {getattr(self, name)!r}")

    def check(self, images: np.ndarray) -> np.ndarray:
        """Refuse settings or images out of range; returns the images as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        self.check_settings()
        images = self.checked_images(images)
        self._require(n_clusters=(2, len(images)))
        if not 0 < round(self.validation_share * len(images)) < len(images):
            raise ValueError(f"{len(images)} images leave none for training or none for validation: expected more")
        return images

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        build = {
            "dense": (networks.dense_encoder, networks.dense_decoder),
            "pooling": (networks.pooling_encoder, networks.pooling_decoder),
        }[self.architecture]
        how = {"embedding_dim": self.embedding_dim, "activation": self.activation}
        self.encoder_, self.decoder_ = (builder(image_shape, **how) for builder in build)
        self._embed = fitting.batched(self.encoder_)

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        directory: Path | str | None = None,
        progress: bool = True,
        strategy=None,
    ) -> Autoencoder:
        """Train the autoencoder, then cluster its encodings by k-means and by a Gaussian mixture.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            labels: not used; there for a common interface.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            progress: show bars.
            strategy: a `tf.distribute.Strategy` to train under.

        Returns:
            self.

        Raises:
            ValueError: settings or images are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
        """
        images = self.check(images)
        directory = directory and Path(directory)
        if directory:
            settings = {**self.get_params(), "replicas": strategy.num_replicas_in_sync if strategy else 1}
            checkpoints.claim(directory, settings, images=images)
        n_train = len(images) - round(self.validation_share * len(images))
        steps = -(-n_train // self.batch_size)
        with fitting.scope(strategy):
            self._build(images.shape[1:])
            outputs = {"reconstruction": self.decoder_(self.encoder_.output)}
            model = fitting.ResidentModel(self.encoder_.input, outputs, name="autoencoder")
            model.compile(
                "adam", {"reconstruction": "mse"}, steps_per_execution=fitting.steps_per_call(steps), jit_compile=False
            )
            model.hold(images)
        rows = lambda iteration: fitting.shuffled_rows(n_train, self.batch_size, self.seed, iteration)
        best = checkpoints.EarlyStopping(self.patience, directory and directory / "best.weights.h5")
        self.history_ = self._train(
            model, rows, steps, self.max_epochs * steps, directory, "autoencoder", progress, best,
            validation=fitting.rows_between(n_train, len(images), self.batch_size),
        )  # fmt: skip
        self.n_iter_ = self.history_[-1]["iteration"] if self.history_ else 0
        self.converged_ = bool(model.stop_training)
        embeddings = self.transform(images)
        self.kmeans_ = clustering.kmeans(embeddings, self.n_clusters, self.n_init, self.seed)
        self.mixture_ = clustering.gaussian_mixture(embeddings, self.n_clusters, self.n_init, self.seed)
        self._build_assigners()
        self.assigners_["kmeans"].cluster_centers.assign(self.kmeans_.cluster_centers_)
        self.assigners_["mixture"].take(self.mixture_)
        self.labels_ = self.predict(images)
        return self

    def _build_assigners(self) -> None:
        """The clusterings as layers, so that they are saved and exported with the encoder."""
        self.assigners_ = {
            "kmeans": ClusteringLayer(self.n_clusters, name="kmeans"),  # its largest assignment is the nearest centre
            "mixture": MixtureLayer(self.n_clusters, name="mixture"),
        }
        for layer in self.assigners_.values():
            layer(keras.Input((self.embedding_dim,)))

    def predict_proba(self, images: np.ndarray, by: str | None = None) -> np.ndarray:
        """Soft assignments of images: the mixture's posterior, or Student's t around the centres of k-means.

        Args:
            images: (n, height, width, channels).
            by: "mixture" or "kmeans"; None: `assign_by`.

        Returns:
            float32 (n, n_clusters); rows sum to 1.
        """
        embeddings = self.transform(images)
        return ops.convert_to_numpy(self.assigners_[by or self.assign_by](embeddings))

    def predict(self, images: np.ndarray, by: str | None = None) -> np.ndarray:
        """Cluster ids, int64 (n,); arguments as `predict_proba`."""
        return self.predict_proba(images, by).argmax(axis=1)

    def save(self, path: Path | str) -> None:
        """Write the fitted model's weights to one `.weights.h5` file; `load` reads it."""
        checkpoints.save_weights(self._whole(), path)

    def load(self, path: Path | str, image_shape: tuple[int, int, int]) -> Autoencoder:
        """Take a fitted model from `save`; `kmeans_` and `mixture_` are not part of it, their layers are.

        Args:
            path: the `.weights.h5` file.
            image_shape: (height, width, channels).
        """
        self._build(image_shape)
        self._build_assigners()
        self._whole().load_weights(path)
        return self

    def _whole(self) -> keras.Model:
        z = self.encoder_.output
        return keras.Model(self.encoder_.input, [self.decoder_(z), *(layer(z) for layer in self.assigners_.values())])

    def export(self, path: Path | str) -> None:
        """Write a TensorFlow SavedModel that needs no part of this package; see `deepcluster_tf.export`.

        Its functions of images: `serving_default` (by `assign_by`), `mixture` and `kmeans` give "cluster" int64 (n,)
        and "assignments" float32 (n, n_clusters); `embed` gives "embeddings", `reconstruct` "reconstructions".
        """
        self._require_fitted()

        def assign(layer):
            def function(images):
                assignments = layer(self.encoder_(images, training=False))
                return {"cluster": ops.argmax(assignments, axis=1), "assignments": assignments}

            return function

        functions = {name: assign(layer) for name, layer in self.assigners_.items()}
        functions |= {"serving_default": assign(self.assigners_[self.assign_by]), **self._encoder_functions()}
        parts = [self.encoder_, self.decoder_, *self.assigners_.values()]
        export.saved_model(path, functions, self.encoder_.input_shape[1:], parts)
