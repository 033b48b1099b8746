"""What every method has: settings by name, checked input, a fit that resumes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from sklearn.exceptions import NotFittedError

from deepcluster_tf import fitting
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.settings import Settings


def whole_or_nothing(fit: Callable) -> Callable:
    """A fit after whose failure the object is what it was before: no half-fitted model is left behind."""

    @functools.wraps(fit)
    def guarded(self, *args, **how):
        before = dict(vars(self))
        try:
            return fit(self, *args, **how)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return guarded


class Method(Settings):
    """Base of the methods.

    A subclass is a keyword-only dataclass whose fields are its settings. Its `_check(images)` refuses what does not fit
    the images, its `_build(image_shape)` makes the networks, and `_whole()` gives a Keras model of all that `save`
    keeps.
    """

    keeps_embeddings = True  # whether a run keeps `transform` of all images on its machine

    decoder_ = None  # a method without one reconstructs nothing

    counts_steps = True  # whether an experiment may set its epochs by the steps that they come to

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return []

    def _require_fitted(self) -> None:
        """Refuse what needs a fitted model.

        Raises:
            sklearn.exceptions.NotFittedError: there is none yet.
        """
        if not hasattr(self, "encoder_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted: call fit or load first")

    def check(self, images: np.ndarray) -> np.ndarray:
        """Refuse settings or images out of range; returns the images as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        fitting.require_usual_keras()
        self.check_settings()
        images = self.checked_images(images)
        if len(images) < 2:
            raise ValueError("clustering needs two images or more; received one")
        self._require_at_most("n_clusters", len(images))
        self._check(images)
        return images

    def _check(self, images: np.ndarray) -> None:
        """Refuse settings that do not fit the images, beyond what every method refuses."""

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (n, embedding_dim), of images (n, height, width, channels)."""
        self._require_fitted()
        return self._embed(self.checked_images(images, self.encoder_.input_shape[1:]))

    def save(self, path: Path | str) -> None:
        """Write the fitted model's weights to one `.weights.h5` file; `load` reads it."""
        self._require_fitted()
        checkpoints.save_weights(self._whole(), path)

    @whole_or_nothing
    def load(self, path: Path | str, image_shape: tuple[int, int, int]) -> Method:
        """Take a fitted model from `save`, ready for `transform`, `predict` and `export`.

        Args:
            path: the `.weights.h5` file.
            image_shape: (height, width, channels).

        Raises:
            ValueError: the file is missing, damaged or of another model.
        """
        self._build(image_shape)
        checkpoints.load_weights(self._whole(), path)
        return self

    def _encoder_functions(self) -> dict:
        """What every SavedModel offers: `embed` and, with a decoder, `reconstruct`, functions of images in 0..1."""
        encode = lambda images: self.encoder_(images, training=False)
        functions = {"embed": lambda images: {"embeddings": encode(images)}}
        if self.decoder_ is not None:
            functions["reconstruct"] = lambda images: {"reconstructions": self.decoder_(encode(images), training=False)}
        return functions

    @staticmethod
    def checked_images(images: np.ndarray, image_shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Refuse what is not a batch of images.

        Args:
            images: array to check.
            image_shape: (height, width, channels) that the fitted model expects, if there is one.

        Returns:
            the images, uint8 as given or as float32.

        Raises:
            ValueError: wrong shape or dtype, values out of range, or not a number.
        """
        images = np.asarray(images)
        if images.ndim != 4 or not len(images):
            raise ValueError(
                f"images must have the shape (n, height, width, channels), n >= 1; received {images.shape}"
            )
        if image_shape is not None and images.shape[1:] != tuple(image_shape):
            raise ValueError(
                f"images must have the shape (n, {', '.join(map(str, image_shape))}); received {images.shape}"
            )
        if images.dtype == np.uint8:
            return images
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images must be uint8 in 0..255 or floats in 0..1; received {images.dtype}")
        if not (images.min() >= 0 and images.max() <= 1):  # also false for NaN
            raise ValueError(f"float images must be in 0..1; received {images.min():g} to {images.max():g}")
        return images.astype(np.float32, copy=False)

    @staticmethod
    def checked_labels(labels: np.ndarray | None, n: int, n_clusters: int) -> np.ndarray:
        """Refuse labels that do not fit the images.

        Args:
            labels: int (n,), 0..n_clusters-1 or -1 where unknown; None: all unknown.
            n: number of images.
            n_clusters: number of clusters.

        Returns:
            int64 (n,).

        Raises:
            ValueError: wrong length, no integers, or out of range.
        """
        labels = np.full(n, -1) if labels is None else np.asarray(labels)
        if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"labels must be integers, one for each of {n} images; received {labels.dtype} {labels.shape}"
            )
        if labels.min() < -1 or labels.max() >= n_clusters:
            raise ValueError(
                f"labels must be in 0..{n_clusters - 1}, or -1 where unknown; received {labels.min()} to {labels.max()}"
            )
        return labels.astype(np.int64)

    def _reconstruction_model(
        self, images: np.ndarray, steps: int, loss: str = "mse", view: keras.Model | None = None
    ) -> fitting.ResidentModel:
        """Encoder and decoder, compiled to learn the images that it holds, or views of them, in epochs of `steps`."""
        outputs = {"reconstruction": self.decoder_(self.encoder_.output)}
        model = fitting.ResidentModel(self.encoder_.input, outputs, name="autoencoder")
        model.view = view
        model.compile(
            "adam", {"reconstruction": loss}, steps_per_execution=fitting.steps_per_call(steps), jit_compile=False
        )
        model.hold(images)
        return model

    @staticmethod
    def _train(
        model,
        rows,
        steps: int,
        iterations: int,
        directory: Path | None,
        phase: str,
        progress: bool,
        *callbacks,
        validation=None,
    ) -> list[dict]:
        """Fit a compiled resident model, from its checkpoint if there is one; returns the rows of its history.

        `callbacks` may have `begin(done, history)`, called once the weights are those to start from.
        """
        checkpoint = directory and directory / "checkpoint.weights.h5"
        done = checkpoints.restore(model, checkpoint)
        history = checkpoints.History(directory and directory / "history.csv", done)
        if done and (not history.rows or history.rows[-1]["iteration"] != done):
            raise ValueError(f"{directory}/history.csv does not end where the checkpoint stands: remove {directory}")
        keepers = []
        if directory:
            board = keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False)
            keepers = [board, checkpoints.Checkpoint(checkpoint)]
        stopping = [callback for callback in callbacks if isinstance(callback, checkpoints.EarlyStopping)]
        soonest = (lambda: stopping[0].last_epoch * steps) if stopping else None
        with fitting.Progress(phase, iterations, done, progress, soonest) as bar:
            for callback in callbacks:
                callback.set_model(model)
                callback.begin(done, history)
            everything = [fitting.Draws(), checkpoints.FiniteLoss(), *callbacks, history, bar, *keepers]
            fitting.train(model, rows, steps, iterations, done, everything, validation)
        return history.rows
