"""Semi-supervised deep convolutional embedded clustering (document 004, on DCEC by Guo et al., 2017).

An autoencoder is pretrained, a clustering layer is put on its embeddings, and both are trained on the
reconstruction and on a target distribution that is made from the assignments themselves, in which the rows of
the images whose class is known are set to that class.

Deviations from the document:
1. KL(P || Q) is averaged over a batch's images, not summed (eq. 3), and the reconstruction loss over its pixels,
   as in the DCEC authors' code: that fixes the balance for which lambda = 1 is meant.
2. The document does not say how pretraining orders the images. Here they are shuffled, by (seed, epoch); in
   clustering the batches are taken in order.
3. A class with no labelled image starts from a k-means centre (eq. 6 has no value there), and a cluster that
   runs empty restarts at the image farthest from its own centre. Both are said, neither happens in Table 1.
4. The assignments reported are those of the final weights, also where the iterations run out between renewals.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops
from tqdm.auto import tqdm

from deepcluster_tf import clustering, export, fitting, losses, networks
from deepcluster_tf.layers import ClusteringLayer
from deepcluster_tf.methods.base import Method

Score = Callable[[np.ndarray], dict[str, float]]


class DCEC(Method):
    """Deep convolutional embedded clustering, with or without some known labels.

    Args:
        n_clusters: number of clusters; at least the number of classes that the labels name.
        embedding_dim: units of the embedding.
        filters: filters of the encoder's three convolutions.
        lam: lambda, the weight of the clustering loss (eq. 4), 0 or more.
        batch_size: images a step.
        pretraining_epochs: epochs of the autoencoder alone.
        update_interval: T, iterations between two renewals of the target distribution.
        tolerance: delta, the share of changed assignments below which training stops.
        max_iterations: iterations of clustering, at most.
        n_init: restarts of k-means.
        seed: of everything random.

    Attributes after `fit`:
        labels_: int64 (n,), the cluster of each image.
        cluster_centers_: float32 (n_clusters, embedding_dim).
        classes_: int64 (n_clusters,), the class that a cluster stands for, -1 where no label says so.
        notices_: what went otherwise than planned, in words.
        history_: a list of dicts, one a renewal of the target distribution, from iteration 0 on.
        n_iter_: iterations done. converged_: whether the tolerance stopped them.
        encoder_, decoder_: Keras models. clustering_: the `ClusteringLayer`.
    """

    def __init__(
        self,
        *,
        n_clusters: int = 10,
        embedding_dim: int = 10,
        filters: tuple[int, int, int] = (32, 64, 128),
        lam: float = 1.0,
        batch_size: int = 256,
        pretraining_epochs: int = 200,
        update_interval: int = 140,
        tolerance: float = 0.001,
        max_iterations: int = 20_000,
        n_init: int = 20,
        seed: int = 0,
    ):
        self.n_clusters = n_clusters
        self.embedding_dim = embedding_dim
        self.filters = tuple(filters)
        self.lam = lam
        self.batch_size = batch_size
        self.pretraining_epochs = pretraining_epochs
        self.update_interval = update_interval
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.n_init = n_init
        self.seed = seed

    def check(self, images: np.ndarray, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Refuse settings, images or labels out of range; returns images and labels as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        self.check_settings()
        images = self.checked_images(images)
        networks.convolutional_padding(images.shape[1:])
        self._require(n_clusters=(2, len(images)))
        return images, self.checked_labels(labels, len(images), self.n_clusters)

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        inf = np.inf
        self._require(n_clusters=(2, inf), embedding_dim=(1, inf), lam=(0, 1e6), batch_size=(1, inf), n_init=(1, inf))
        self._require(pretraining_epochs=(0, inf), update_interval=(1, inf), tolerance=(0, 1), max_iterations=(0, inf))
        self._require(seed=(0, 2**31 - 1))

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        self.encoder_ = networks.convolutional_encoder(image_shape, self.embedding_dim, self.filters)
        self.decoder_ = networks.convolutional_decoder(image_shape, self.embedding_dim, self.filters)

    # ------------------------------------------------------------------ phase 1: the autoencoder

    def pretrain(
        self, images: np.ndarray, *, directory: Path | str | None = None, progress: bool = True, strategy=None
    ) -> DCEC:
        """Train the autoencoder alone on the reconstruction (document 004, 4.1). Labels play no part.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            progress: show a bar.
            strategy: a `tf.distribute.Strategy` to train under.

        Returns:
            self, with `encoder_`, `decoder_` and `pretraining_history_`.

        Raises:
            ValueError: settings or images are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
        """
        images, _ = self.check(images)
        directory = directory and Path(directory)
        if directory:
            names = ("embedding_dim", "filters", "batch_size", "pretraining_epochs", "seed")
            fitting.claim(directory, {name: getattr(self, name) for name in names}, images=images)
        steps = -(-len(images) // self.batch_size)
        with fitting.scope(strategy):
            self._build(images.shape[1:])
            outputs = {"reconstruction": self.decoder_(self.encoder_.output)}
            model = fitting.ResidentModel(self.encoder_.input, outputs, name="pretraining")
            model.compile(
                "adam", {"reconstruction": "mse"}, steps_per_execution=fitting.steps_per_call(steps), jit_compile=False
            )
            model.hold(images)
        rows = lambda iteration: fitting.shuffled_rows(len(images), self.batch_size, self.seed, iteration)
        iterations = self.pretraining_epochs * steps
        self.pretraining_history_ = self._train(model, rows, steps, iterations, directory, "pretraining", progress)
        return self

    def save_autoencoder(self, path: Path | str) -> None:
        """Write the weights of encoder and decoder to one `.weights.h5` file."""
        fitting.save_weights(keras.Sequential([self.encoder_, self.decoder_]), path)

    def load_autoencoder(self, path: Path | str, image_shape: tuple[int, int, int]) -> DCEC:
        """Take encoder and decoder from `save_autoencoder`, so that `fit` starts at clustering.

        Args:
            path: the `.weights.h5` file.
            image_shape: (height, width, channels) of the images that it was made for.

        Raises:
            ValueError: the file is of another architecture.
            OSError: it is missing or damaged.
        """
        self._build(image_shape)
        keras.Sequential([self.encoder_, self.decoder_]).load_weights(path)
        return self

    # ------------------------------------------------------------------ phase 2: clustering

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        directory: Path | str | None = None,
        score: Score | None = None,
        progress: bool = True,
        strategy=None,
    ) -> DCEC:
        """Pretrain, unless that is done or loaded, then cluster.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            labels: int (n,), the class of an image, in 0..n_clusters-1, or -1 where unknown; None: all unknown.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            score: clusters (n,) -> named numbers to report at each renewal; the only way by which classes that
                are not in `labels` can be seen, and they reach the report alone.
            progress: show bars, and a line at each renewal.
            strategy: a `tf.distribute.Strategy` to train under.

        Returns:
            self.

        Raises:
            ValueError: settings, images or labels are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
            RuntimeError: all images have fallen into one cluster.
        """
        images, labels = self.check(images, labels)
        directory = directory and Path(directory)
        if not hasattr(self, "encoder_"):
            self.pretrain(images, directory=directory and directory / "pretraining", progress=progress, strategy=strategy)
        if directory:
            weights = np.concatenate([w.ravel() for w in self.encoder_.get_weights() + self.decoder_.get_weights()])
            fitting.claim(directory, self.get_params(), images=images, labels=labels, autoencoder=weights)
        keras.utils.set_random_seed(self.seed)
        with fitting.scope(strategy):
            model = self._clustering_model(images, strategy)
        renewal = TargetRenewal(self, images, labels, score, progress)
        rows = lambda iteration: fitting.ordered_rows(len(images), self.batch_size, iteration)
        self.history_ = self._train(
            model, rows, self.update_interval, self.max_iterations, directory, "clustering", progress, renewal
        )
        self.labels_ = renewal.assigned
        self.n_iter_ = self.history_[-1]["iteration"]
        self.converged_ = renewal.converged(self.history_[-1])
        self.notices_ = renewal.notices(self.history_)
        self.classes_ = np.where(np.isin(np.arange(self.n_clusters), labels), np.arange(self.n_clusters), -1)
        return self

    def _clustering_model(self, images, strategy):
        if strategy:  # the autoencoder may have been built outside the strategy's scope
            weights = self.encoder_.get_weights(), self.decoder_.get_weights()
            self._build(images.shape[1:])
            self.encoder_.set_weights(weights[0])
            self.decoder_.set_weights(weights[1])
        self.clustering_ = ClusteringLayer(self.n_clusters, name="assignments")
        embeddings = self.encoder_.output
        outputs = {"assignments": self.clustering_(embeddings), "reconstruction": self.decoder_(embeddings)}
        model = fitting.ResidentModel(self.encoder_.input, outputs, name="dcec")
        model.compile(
            "adam",
            loss={"assignments": losses.kl_divergence, "reconstruction": "mse"},  # L = L_r + lambda L_c (eq. 4)
            loss_weights={"assignments": self.lam, "reconstruction": 1.0},
            steps_per_execution=fitting.steps_per_call(self.update_interval, self.max_iterations % self.update_interval),
            jit_compile=False,
        )
        model.hold(images, keras.Variable(np.zeros((len(images), self.n_clusters), "float32"), trainable=False))
        return model

    # ------------------------------------------------------------------ the fitted model

    def save(self, path: Path | str) -> None:
        """Write the fitted model's weights to one `.weights.h5` file; `load` reads it."""
        fitting.save_weights(self._whole(), path)

    def load(self, path: Path | str, image_shape: tuple[int, int, int], classes: np.ndarray | None = None) -> DCEC:
        """Take a fitted model from `save`.

        Args:
            path: the `.weights.h5` file.
            image_shape: (height, width, channels).
            classes: int (n_clusters,), `classes_`; None: unknown.

        Returns:
            self, ready for `transform`, `predict` and `export`.
        """
        self._build(image_shape)
        self.clustering_ = ClusteringLayer(self.n_clusters, name="assignments")
        self._whole().load_weights(path)
        self.classes_ = np.full(self.n_clusters, -1) if classes is None else np.asarray(classes, np.int64)
        return self

    def _whole(self) -> keras.Model:
        embeddings = self.encoder_.output
        return keras.Model(self.encoder_.input, [self.clustering_(embeddings), self.decoder_(embeddings)])

    def export(self, path: Path | str) -> None:
        """Write a TensorFlow SavedModel that needs no part of this package; see `deepcluster_tf.export`."""
        export.clustering_model(path, self.encoder_, self.decoder_, self.clustering_, self.classes_)

    @property
    def cluster_centers_(self) -> np.ndarray:
        """float32 (n_clusters, embedding_dim)."""
        return ops.convert_to_numpy(self.clustering_.cluster_centers)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (n, embedding_dim), of images (n, height, width, channels)."""
        return fitting.batched(self.encoder_)(self.checked_images(images, self.encoder_.input_shape[1:]))

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Soft assignments q, float32 (n, n_clusters), of images (n, height, width, channels)."""
        return ops.convert_to_numpy(self.clustering_(self.transform(images)))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Cluster ids, int64 (n,), of images (n, height, width, channels)."""
        return self.predict_proba(images).argmax(axis=1)


class TargetRenewal(keras.callbacks.Callback):
    """Renew the target distribution over all images every T iterations, and stop once assignments stand still.

    Whatever it keeps follows from the weights, so that a resumed fit needs no more than those.
    """

    def __init__(self, method: DCEC, images: np.ndarray, labels: np.ndarray, score: Score | None, progress: bool):
        super().__init__()
        self.method, self.layer = method, method.clustering_
        self.images, self.labels = images, labels
        self.score, self.progress = score, progress
        self.embed = fitting.batched(method.encoder_)
        self.assigned = np.full(len(images), -1)

    def begin(self, done: int, history: fitting.History) -> None:
        """Set the centres and the first target; in a resumed fit, find the place where it stood."""
        if done:
            self._renew()
            self.model.stop_training = self.converged(history.rows[-1])
            return
        embeddings = self.embed(self.images, "encoding" if self.progress else None)
        centers, missing = clustering.initial_centers(
            embeddings, self.labels, self.method.n_clusters, self.method.n_init, self.method.seed
        )
        if missing and len(missing) < self.method.n_clusters:
            warnings.warn(self._without_labels(missing), stacklevel=2)
        self.layer.cluster_centers.assign(centers)
        lossless = dict.fromkeys(("loss", "assignments_loss", "reconstruction_loss"), np.nan)
        history.add({"epoch": 0, "iteration": 0, **lossless, **self._renew(embeddings)})
        self._report(history.rows[-1])

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self._renew())
        row = {"iteration": fitting.iterations_done(self.model), **logs}
        self.model.stop_training = self.converged(row)
        self._report(row)

    @staticmethod
    def _without_labels(classes) -> str:
        return f"no labelled image of class {', '.join(map(str, classes))}: those centres start from k-means"

    def notices(self, rows: list[dict]) -> list[str]:
        """What a reader of the result should know, in words; it follows from labels and history alone."""
        missing = np.setdiff1d(np.arange(self.method.n_clusters), self.labels)
        said = [self._without_labels(missing)] if 0 < len(missing) < self.method.n_clusters else []
        return said + [
            f"iteration {row['iteration']}: {row['restarted']} empty cluster(s) restarted" for row in rows if row["restarted"]
        ]

    def converged(self, row: dict) -> bool:
        """Whether fewer than the share `tolerance` of the assignments changed in this renewal."""
        return row["iteration"] > 0 and row["changed"] < self.method.tolerance

    def _renew(self, embeddings=None) -> dict[str, float]:
        start = time.perf_counter()
        embeddings = self.embed(self.images) if embeddings is None else embeddings
        encoded = time.perf_counter()
        q = self.layer(embeddings)
        assigned = ops.convert_to_numpy(q).argmax(axis=1)
        centers, empty = clustering.relocate_empty(embeddings, self.method.cluster_centers_, assigned)
        if len(np.unique(assigned)) == 1:
            raise RuntimeError(
                f"all {len(assigned)} images are in cluster {assigned[0]}: the clustering has collapsed. Expected "
                f"{len(centers)} clusters; lower lambda or n_clusters, or pretrain longer"
            )
        if empty:
            warnings.warn(f"cluster {empty} is empty: restarted at the images farthest from their centres", stacklevel=2)
            self.layer.cluster_centers.assign(centers)
            q = self.layer(embeddings)
            assigned = ops.convert_to_numpy(q).argmax(axis=1)
        self.model.target.assign(losses.supervised_target(losses.target_distribution(q), self.labels))
        changed = float(np.mean(assigned != self.assigned))
        self.assigned = assigned
        sizes = np.bincount(assigned, minlength=len(centers))
        return {
            **(self.score(assigned) if self.score else {}),
            "changed": changed,
            "smallest": sizes.min(),
            "largest": sizes.max(),
            "restarted": len(empty),
            "encoding_seconds": round(encoded - start, 3),
            "renewal_seconds": round(time.perf_counter() - start, 3),
        }

    def _report(self, row):
        if self.progress:
            scores = "".join(f"{name.upper()} {row[name]:.4f}  " for name in ("acc", "nmi") if name in row)
            tqdm.write(
                f"iteration {row['iteration']:>6,}  {scores}changed {row['changed']:7.2%}  "
                f"clusters {row['smallest']:,} to {row['largest']:,} images  "
                f"reconstruction {row['reconstruction_loss']:.4f}  clustering {row['assignments_loss']:.4f}"
            )
