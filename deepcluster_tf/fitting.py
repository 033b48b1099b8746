"""What every fit shares: data that stay on the device, the order of the rows, checkpoints, encoding, progress.

A `ResidentModel` holds the images, so that Keras's `fit` is fed row numbers only, and a batch costs no copy.
The order of the rows is a function of the seed and of the place where training stands, never of what happened
before: that is what lets an interrupted fit go on and end with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tqdm.auto import tqdm

from deepcluster_tf.networks import to_unit


class ResidentModel(keras.Model):
    """A functional model whose training data stay on the device; `fit` receives row numbers.

    Call `hold` before `fit`. The model's inputs are the images of the rows, its targets the images again under
    the output name "reconstruction" and, if held, the rows of the target distribution under "assignments".
    """

    def hold(self, images: np.ndarray, target=None) -> None:
        """Keep what a training step reads.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or float32 in 0..1.
            target: Keras variable (n, n_clusters), the target distribution p, or None for reconstruction alone.
        """
        self.images = ops.convert_to_tensor(images)
        self.target = target

    def train_step(self, rows):
        """One step on the images of `rows`, int (batch,); the rest is Keras's own train step."""
        images = to_unit(ops.take(self.images, rows, axis=0))
        targets = {"reconstruction": images}
        if self.target is not None:
            targets["assignments"] = ops.take(self.target, rows, axis=0)
        return super().train_step((images, targets))


def shuffled_rows(n: int, batch_size: int, seed: int, first_epoch: int = 0) -> tf.data.Dataset:
    """Batches of row numbers, shuffled anew each epoch by a permutation drawn from (seed, epoch) alone.

    Args:
        n: number of rows.
        batch_size: rows a batch; the last batch of an epoch holds what is left, never nothing.
        seed: non-negative int.
        first_epoch: the epoch to begin at, so that a resumed fit sees the order an uninterrupted one would.

    Returns:
        an endless data set of int64 (batch,).
    """

    def epoch_rows(epoch):
        return tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=(seed, epoch))

    epochs = tf.data.Dataset.counter(start=first_epoch)
    return epochs.flat_map(lambda e: tf.data.Dataset.from_tensor_slices(epoch_rows(e)).batch(batch_size))


def ordered_rows(n: int, batch_size: int, first_iteration: int = 0) -> tf.data.Dataset:
    """Batches of row numbers in the order of the data, round after round.

    Args:
        n: number of rows.
        batch_size: rows a batch; the last batch of a round holds what is left, never nothing.
        first_iteration: the iteration to begin at.

    Returns:
        an endless data set of int64 (batch,).
    """
    batches = -(-n // batch_size)

    def batch(iteration):
        start = (iteration % batches) * batch_size
        return tf.range(start, tf.minimum(start + batch_size, n), dtype=tf.int64)

    return tf.data.Dataset.counter(start=first_iteration).map(batch)


def encode(encoder: keras.Model, images: np.ndarray, batch_size: int = 2000, progress: bool = False) -> np.ndarray:
    """Run a model over all images in large batches, without the cost and the growth of `predict` in a loop.

    Args:
        encoder: a model of float images in [0, 1] (or of embeddings, for a decoder).
        images: (n, ...), uint8 in 0..255 or floats.
        batch_size: images a call.
        progress: show a bar.

    Returns:
        float32 (n, ...), the model's outputs in the order of the images.
    """
    encoder.jit_compile = False  # XLA is slower than oneDNN on a CPU, and compiles anew for the last, shorter batch
    starts = tqdm(range(0, len(images), batch_size), desc="encoding", unit="batch", disable=not progress, leave=False)
    return np.concatenate([encoder.predict_on_batch(to_unit(images[s : s + batch_size])) for s in starts])


def steps_per_call(*steps: int, most: int = 140) -> int:
    """The largest number of steps for one graph call that divides each of `steps` and is at most `most`.

    Keras would overrun an epoch whose steps are no multiple of `steps_per_execution`.
    """
    whole = int(np.gcd.reduce(steps))
    return max(d for d in range(1, min(whole, most) + 1) if whole % d == 0)


class Checkpoint(keras.callbacks.Callback):
    """Save weights and optimizer in one file that is whole at every moment, at the end of an epoch.

    Keras's `BackupAndRestore` writes weights and epoch number in place and one after the other, so that a kill
    between the two resumes at the wrong place. Here the place is the optimizer's own count of iterations, inside
    the same file, and the file is renamed into place.
    """

    def __init__(self, path: Path, seconds: float = 20.0):
        super().__init__()
        self.path = Path(path)
        self.seconds = seconds
        self._saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training or time.monotonic() - self._saved >= self.seconds:
            self.save()

    def on_train_end(self, logs=None):
        self.save()

    def save(self) -> None:
        """Write the checkpoint now."""
        save_weights(self.model, self.path)
        self._saved = time.monotonic()


def save_weights(model: keras.Model, path: Path) -> None:
    """Save a model's weights (and its optimizer's, if compiled) under a temporary name, then rename.

    Args:
        model: any built Keras model.
        path: a file name that ends in `.weights.h5`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"part-{os.getpid()}-{path.name}")
    try:
        model.save_weights(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def restore(model: keras.Model, path: Path) -> int:
    """Load a checkpoint into a compiled model, if there is one.

    Args:
        model: the compiled model, built as it was when the checkpoint was saved.
        path: the checkpoint's file.

    Returns:
        the number of training iterations behind it; 0 where no usable checkpoint is found.
    """
    if not Path(path).exists():
        return 0
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    return int(ops.convert_to_numpy(model.optimizer.iterations))


def trim_history(path: Path, epochs: int) -> list[dict[str, str]]:
    """Drop from a CSV log what lies behind the checkpoint, so that a resumed fit does not log an epoch twice.

    Args:
        path: a file written by `keras.callbacks.CSVLogger`, or a name where none is yet.
        epochs: how many epochs the checkpoint has behind it.

    Returns:
        the rows that stay, as dicts of strings.
    """
    path = Path(path)
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values() and int(row["epoch"]) < epochs]
    part = path.with_name(f"part-{path.name}")
    with open(part, "w", newline="") as file:
        if rows:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    os.replace(part, path)
    return rows
