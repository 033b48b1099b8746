"""A small classifier, trained apart, that plays the human: it sees one picture and says which class it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

from deepcluster_tf import fitting
from deepcluster_tf.annotation import Answer, Question
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.networks import to_unit


class Reader:
    """Reads pictures of a data set's classes.

    It is trained on labelled images, and on blends of two of them, of which it learns to be unsure: a decoded centre
    between two classes looks like that. The method that it annotates for never sees those labels.

    Args:
        n_classes: number of classes.
        threshold: confidence below which it says that a picture shows none of them.
        steps: of its training, at least, in whole epochs.
        seed: of everything random.
    """

    def __init__(self, n_classes: int = 10, threshold: float = 0.7, steps: int = 2000, seed: int = 0):
        self.n_classes, self.threshold, self.steps, self.seed = n_classes, threshold, steps, seed

    def fit(self, images: np.ndarray, labels: np.ndarray, progress: bool = True) -> Reader:
        """Train on images (n, height, width, channels) and their classes, int (n,)."""
        keras.utils.set_random_seed(self.seed)
        self._build(images.shape[1:])
        self.model.compile("adam", "categorical_crossentropy", jit_compile=False)
        sequence = _Blends(images, labels, self.n_classes, self.seed)
        epochs = -(-self.steps // len(sequence))
        with fitting.Progress("reader", epochs * len(sequence), 0, progress) as bar:
            self.model.fit(sequence, epochs=epochs, shuffle=False, verbose=0, callbacks=[bar])
        return self

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes, int64 (n,), and confidences, float32 (n,) in 0..1, of images (n, height, width, channels)."""
        probabilities = self._read(images)
        return probabilities.argmax(axis=1), probabilities.max(axis=1)

    def annotate(
        self, questions: list[Question], given: dict[tuple[int, str], Answer]
    ) -> Iterator[tuple[Question, Answer | None]]:
        """Name every picture that has no answer yet; one that it cannot read has none of the classes."""
        left = [question for question in questions if question.key not in given]
        if not left:
            return
        for question, label, confidence in zip(left, *self.read(np.stack([question.picture for question in left]))):
            yield question, Answer(int(label) if confidence >= self.threshold else -1, float(confidence))

    def save(self, path: Path) -> None:
        """Write the weights to a `.weights.h5` file, and its SHA-256 beside it."""
        checkpoints.save_weights(self.model, path, checked=True)

    def load(self, path: Path, image_shape: tuple[int, int, int]) -> Reader:
        """Take the weights from `save`; a ValueError if they are not the same to the bit."""
        self._build(image_shape)
        checkpoints.load_weights(self.model, path, checked=True)
        return self

    def _build(self, image_shape):
        x = images = keras.Input(image_shape, name="images")
        for i, n in enumerate((16, 32), 1):
            x = layers.Conv2D(n, 3, padding="same", activation="relu", name=f"conv{i}")(x)
            x = layers.MaxPooling2D(name=f"pool{i}")(x)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(64, activation="relu", name="dense")(x)
        self.model = keras.Model(images, layers.Dense(self.n_classes, activation="softmax", name="classes")(x))
        self._read = fitting.batched(self.model)


class _Blends(keras.utils.PyDataset):
    """Batches of images, half as they are, half blended with another; the labels likewise (mixup)."""

    def __init__(self, images, labels, n_classes, seed, batch_size=128):
        super().__init__()
        self.images, self.labels = images, np.eye(n_classes, dtype=np.float32)[labels]
        self.seed, self.batch_size, self.epoch = seed, batch_size, -1
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, i):
        rows = self.order[i * self.batch_size : (i + 1) * self.batch_size]
        random = np.random.default_rng((self.seed, self.epoch, i))
        others = random.permutation(rows)
        share = np.where(np.arange(len(rows)) % 2, random.uniform(size=len(rows)), 1).astype(np.float32)
        x, y, z = to_unit(self.images[rows]), to_unit(self.images[others]), share[:, None, None, None]
        return x * z + y * (1 - z), self.labels[rows] * share[:, None] + self.labels[others] * (1 - share[:, None])

    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))
