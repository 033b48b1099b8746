"""Semi-supervised deep convolutional embedded clustering (SDCEC, on DCEC by Guo et al., 2017).

An autoencoder is pretrained, a clustering layer is put on its embeddings, and both are trained on the
reconstruction and on a target distribution that is made from the assignments themselves, in which the rows of
the images whose class is known are set to that class.

Deviations from the paper:
1. KL(P || Q) is averaged over a batch's images, not summed (eq. 3), and the reconstruction loss over its pixels,
   as in the DCEC authors' code: that fixes the balance for which lambda = 1 is meant.
2. The paper does not say how pretraining orders the images. Here they are shuffled, by (seed, epoch); in
   clustering the batches are taken in order.
3. A class with no labelled image starts from a k-means centre (eq. 6 has no value there), and a cluster that
   runs empty restarts at the image farthest from its own centre. Either is said in the result's notices.
4. The assignments reported are those of the final weights, also where the iterations run out between renewals.
5. Clustering is trained by Adam, as pretraining is; the paper speaks of mini-batch SGD there and names Adam for
   pretraining alone. The DCEC authors' code uses Adam in both.
6. The padding of the third convolution, the linear embedding and last layer, and ReLU elsewhere are the DCEC authors';
   the paper does not name them.
7. Slight views (VIEWS) are ours, after DEC-DA (Guo et al., 2018): batches are moved, the target distribution is made
   of the images as they are. The paper has none, and its rows have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from deepcluster_tf import export, fitting, losses, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import ClusteringLayer, slight_view
from deepcluster_tf.methods.base import Method, part, whole_or_nothing
from deepcluster_tf.methods.base.given import Images, Labels, require_score
from deepcluster_tf.methods.renewal import Score, TargetRenewal
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class DCEC(Method):
    """Deep convolutional embedded clustering, with or without some known labels.

    Attributes after `fit`:
        labels_: int64 (n,), the cluster of each image.
        cluster_centers_: float32 (n_clusters, embedding_dim).
        classes_: int64 (n_clusters,), the class that a cluster stands for, -1 where no label says so.
        notices_: what went otherwise than planned, in words.
        history_: a list of dicts, one a renewal of the target distribution, from iteration 0 on.
        n_iter_: iterations done. converged_: whether the tolerance stopped them.
        encoder_, decoder_: Keras models. clustering_: the `ClusteringLayer`.
    """

    n_clusters: int = setting(10, "number of clusters; at least the classes that the labels name", low=2)
    embedding_dim: int = setting(10, "units of the embedding", low=1)
    filters: tuple[int, ...] = setting((32, 64, 128), "filters of the encoder's three convolutions", low=1)
    views: str = setting(
        "none",
        "of the images in a batch, not of those that the targets are made of: rotated and shifted slightly, or none",
        choices=("none", "slight"),
    )
    lam: float = setting(1.0, "lambda, the weight of the clustering loss (eq. 4)", low=0, high=1e6)
    reconstruction: float = setting(
        1.0, "weight of the reconstruction beside it; 0 is what its author's released code comes to", low=0, high=1e6
    )
    batch_size: int = setting(256, "images a step", low=1)
    pretraining_epochs: int = setting(200, "epochs of the autoencoder alone", low=0)
    update_interval: int = setting(140, "T, iterations between two renewals of the target distribution", low=1)
    tolerance: float = setting(0.001, "delta: fewer changed assignments than this share stop it", low=0, high=1)
    max_iterations: int = setting(20_000, "iterations of clustering, at most", low=0)
    n_init: int = setting(20, "restarts of k-means", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    encoder: keras.Model | None = part("any Keras model, images to embeddings (n, d), in place of the method's own")
    decoder: keras.Model | None = part("any Keras model, embeddings to images, in place of the method's own")
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    _learned = (*Method._learned, "classes_")

    _autoencoder = None  # weights to start clustering from, where the caller gave them

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        super().check_settings()
        if len(self.filters) != 3:
            raise ValueError(f"filters must be three whole numbers; received {self.filters}")

    def check(self, images: Images, labels: Labels = None) -> tuple[np.ndarray, np.ndarray]:
        """Refuse settings, images or labels out of range; returns images and labels as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        images = super().check(images)
        return images, self._take_labels(labels, len(images))

    def _check(self, images):
        if self.encoder is None or self.decoder is None:
            networks.convolutional_padding(images.shape[1:])

    def _build(self, image_shape, weights=None):
        keras.utils.set_random_seed(self.seed)
        usual = lambda: networks.convolutional_encoder(image_shape, self.embedding_dim, self.filters)
        self.encoder_ = self._network("encoder", image_shape, usual)
        dim = self.encoder_.output_shape[1]
        usual = lambda: networks.convolutional_decoder(image_shape, dim, self.filters)
        self.decoder_ = self._network("decoder", (dim,), usual, image_shape)
        if weights is not None:
            keras.Sequential([self.encoder_, self.decoder_]).set_weights(weights)
        self._embed = fitting.batched(self.encoder_)
        self.clustering_ = ClusteringLayer(self.n_clusters, name="assignments")
        self.clustering_.build((None, dim))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")  # an autoencoder alone has no clusters

    def _view(self) -> keras.Model | None:
        return slight_view(self.seed) if self.views == "slight" else None

    # ------------------------------------------------------------------ phase 1: the autoencoder

    @whole_or_nothing
    def pretrain(
        self,
        images: Images,
        *,
        directory: Path | str | None = None,
        progress: bool = True,
        strategy=None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> DCEC:
        """Train the autoencoder alone on the reconstruction (SDCEC, 4.1). Labels play no part.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            progress: show a bar.
            strategy: a `tf.distribute.Strategy` to train under.
            callbacks: of Keras, called in all training beside the method's own.

        Returns:
            self, with `encoder_`, `decoder_` and `pretraining_history_`.

        Raises:
            ValueError: settings or images are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
        """
        images = super().check(images)
        self._callbacks = tuple(callbacks)
        replicas = fitting.replicas(strategy, len(images), self.batch_size)
        directory = directory and Path(directory)
        if directory:
            names = ("embedding_dim", "filters", "batch_size", "pretraining_epochs", "seed", "views")
            names += tuple(name for name in ("encoder", "decoder", "optimizer", "precision") if name in self._made_of())
            settings = {name: value for name, value in self._made_of().items() if name in names and value != "none"}
            checkpoints.claim(directory, {**settings, "replicas": replicas}, images=images)
        steps = -(-len(images) // self.batch_size)
        with fitting.scope(strategy):
            self._build(images.shape[1:])
            model = self._reconstruction_model(images, steps, view=self._view())
        rows = lambda iteration: fitting.shuffled_rows(len(images), self.batch_size, self.seed, iteration)
        iterations = self.pretraining_epochs * steps
        self.pretraining_history_ = self._train(model, rows, steps, iterations, directory, "pretraining", progress)
        self._callbacks = ()
        self._take_autoencoder()
        return self

    def _take_autoencoder(self) -> None:
        """Let `fit` begin with the networks as they are; the clusters of an earlier fit are gone with its networks."""
        self._autoencoder = self.encoder_.get_weights() + self.decoder_.get_weights()
        vars(self).pop("classes_", None)

    def save_autoencoder(self, path: Path | str) -> None:
        """Write the weights of encoder and decoder to one `.weights.h5` file; a NotFittedError if there are none."""
        self._require_fitted(whole=False)
        checkpoints.save_weights(keras.Sequential([self.encoder_, self.decoder_]), path)

    @whole_or_nothing
    def load_autoencoder(self, path: Path | str, image_shape: tuple[int, int, int]) -> DCEC:
        """Take encoder and decoder from `save_autoencoder`, so that `fit` starts at clustering.

        Args:
            path: the `.weights.h5` file.
            image_shape: (height, width, channels) of the images that it was made for.

        Raises:
            ValueError: the file is missing, damaged or of another architecture.
        """
        self._build(image_shape)
        checkpoints.load_weights(keras.Sequential([self.encoder_, self.decoder_]), path)
        self._take_autoencoder()
        return self

    # ------------------------------------------------------------------ phase 2: clustering

    @whole_or_nothing
    def fit(
        self,
        images: Images,
        labels: Labels = None,
        *,
        directory: Path | str | None = None,
        score: Score | None = None,
        progress: bool = True,
        strategy=None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> DCEC:
        """Cluster, from the autoencoder that `pretrain` or `load_autoencoder` gave, or else from one trained now.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            labels: int (n,), the class of an image, in 0..n_clusters-1, or -1 where unknown; None: all unknown.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            score: clusters (n,) -> named numbers to report at each renewal; the only way by which classes that
                are not in `labels` can be seen, and they reach the report alone.
            progress: show bars, and a line at each renewal.
            strategy: a `tf.distribute.Strategy` to train under.
            callbacks: of Keras, called in all training beside the method's own.

        Returns:
            self.

        Raises:
            ValueError: settings, images or labels are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
            RuntimeError: all images have fallen into one cluster.
        """
        images, labels = self.check(images, labels)
        require_score(score, len(images))
        self._callbacks = tuple(callbacks)
        directory = directory and Path(directory)
        start = self._autoencoder
        if start is None:
            below = directory and directory / "pretraining"
            how = {"progress": progress, "strategy": strategy, "callbacks": callbacks}
            self.pretrain(images, directory=below, **how)
            self._callbacks = tuple(callbacks)
            start, self._autoencoder = self._autoencoder, None  # a second fit pretrains anew
        self._require_alike(images)
        if directory:
            settings = {**self._made_of(), "replicas": fitting.replicas(strategy, len(images), self.batch_size)}
            weights = checkpoints.flat(start)
            checkpoints.claim(directory, settings, images=images, labels=labels, autoencoder=weights)
        with fitting.scope(strategy):
            self._build(images.shape[1:], start)
            model = self._clustering_model(images)
        how = {"tolerance": self.tolerance, "n_init": self.n_init, "seed": self.seed}
        renewal = TargetRenewal(self.encoder_, self.clustering_, images, labels, **how, score=score, progress=progress)
        rows = lambda iteration: fitting.ordered_rows(len(images), self.batch_size, iteration)
        self.history_ = self._train(
            model, rows, self.update_interval, self.max_iterations, directory, "clustering", progress, renewal
        )
        self._callbacks = ()
        self.n_iter_ = self.history_[-1]["iteration"]
        self.converged_ = renewal.converged(self.history_[-1])
        self.notices_ = renewal.notices(self.history_)
        self.classes_ = np.where(np.isin(np.arange(self.n_clusters), labels), np.arange(self.n_clusters), -1)
        self.labels_ = self.predict(images)  # of the weights at the end: optimizers and callbacks may change them there
        return self

    def _require_alike(self, images) -> None:
        """Refuse to begin with an autoencoder for other images, or of another size than is set; raises ValueError."""
        if self.encoder_.input_shape[1:] != images.shape[1:]:
            raise ValueError(
                f"the autoencoder is for {self.encoder_.input_shape[1:]}; received {images.shape[1:]} images"
            )
        for name in ("embedding_dim", "filters"):
            if (made := self._fitted_with.get(name, getattr(self, name))) != getattr(self, name):
                raise ValueError(f"the autoencoder has {name}={made}; received {getattr(self, name)}: pretrain it anew")
        for name in ("encoder", "decoder"):
            if self._fitted_parts.get(name, getattr(self, name)) is not getattr(self, name):
                raise ValueError(f"the autoencoder was made with another {name} than is set now: pretrain it anew")

    def _clustering_model(self, images):
        embeddings = self.encoder_.output
        outputs = {"assignments": self.clustering_(embeddings), "reconstruction": self.decoder_(embeddings)}
        model = fitting.ResidentModel(self.encoder_.input, outputs, name="dcec")
        model.view = self._view()
        model.compile(
            self._optimizer(keras.optimizers.Adam),
            loss={"assignments": losses.kl_divergence, "reconstruction": "mse"},  # L = L_r + lambda L_c (eq. 4)
            loss_weights={"assignments": self.lam, "reconstruction": self.reconstruction},
            steps_per_execution=fitting.steps_per_call(
                self.update_interval, self.max_iterations % self.update_interval
            ),
            jit_compile=False,
        )
        model.hold(images, keras.Variable(np.zeros((len(images), self.n_clusters), "float32"), trainable=False))
        return model

    # ------------------------------------------------------------------ the fitted model

    @whole_or_nothing
    def load(
        self,
        path: Path | str,
        image_shape: tuple[int, int, int] | None = None,
        classes: np.ndarray | None = None,
    ) -> DCEC:
        """Take a fitted model from `save`.

        Args:
            path: the `.weights.h5` file, of a model with the same settings.
            image_shape: (height, width, channels); None: as the file has it.
            classes: int (n_clusters,), `classes_`; None: as the file has them.

        Returns:
            self, ready for `transform`, `predict` and `export`.

        Raises:
            ValueError: the file is missing, damaged or of another model.
        """
        super().load(path, image_shape)
        if classes is not None:
            self.classes_ = np.asarray(classes, np.int64)
        return self

    def _heads(self):
        return {"assignments": self.clustering_}

    def _take_learned(self, learned):
        super()._take_learned(learned)
        self.classes_ = np.asarray(learned.get("classes_", [-1] * self.n_clusters), np.int64)

    def _whole(self) -> keras.Model:
        embeddings = self.encoder_.output
        return keras.Model(self.encoder_.input, [self.clustering_(embeddings), self.decoder_(embeddings)])

    def export(self, path: Path | str, names: tuple[str, ...] = ()) -> None:
        """Write a TensorFlow SavedModel that needs no part of this package; see `deepcluster_tf.export`.

        Its functions of images: `serving_default` gives "cluster" int64 (n,), "class" int64 (n,), -1 where unknown, and
        "assignments" float32 (n, n_clusters); `assign` gives "assignments", `embed` "embeddings", `reconstruct`
        "reconstructions".
        `names` are of the clusters: see `export.saved_model`.
        """
        self._require_fitted()
        classes = tf.constant(self.classes_, tf.int64)

        def serve(images):
            assignments = self.clustering_(self.encoder_(images, training=False))
            cluster = tf.argmax(assignments, axis=1)
            return {"cluster": cluster, "class": tf.gather(classes, cluster), "assignments": assignments}

        functions = {
            "serving_default": serve,
            "assign": lambda images: {"assignments": serve(images)["assignments"]},
            **self._encoder_functions(),
        }
        parts = [self.encoder_, self.decoder_, self.clustering_]
        export.saved_model(path, functions, self.encoder_.input_shape[1:], parts, names=names)

    @property
    def cluster_centers_(self) -> np.ndarray:
        """float32 (n_clusters, embedding_dim)."""
        self._require_fitted()
        return ops.convert_to_numpy(self.clustering_.cluster_centers)

    def predict_proba(self, images: Images) -> np.ndarray:
        """Soft assignments q, float32 (n, n_clusters), of images (n, height, width, channels)."""
        self._require_fitted()
        return ops.convert_to_numpy(self.clustering_(self.transform(images)))

    def predict(self, images: Images) -> np.ndarray:
        """Cluster ids, int64 (n,), of images (n, height, width, channels)."""
        return self.predict_proba(images).argmax(axis=1)
