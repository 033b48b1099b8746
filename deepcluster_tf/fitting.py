"""What every fit shares: data that stay on the device, the order of the rows, checkpoints, history, progress.

A `ResidentModel` holds the images, so that Keras's `fit` is fed row numbers only, and a batch costs no copy.
The order of the rows is a function of the seed and of the place where training stands, never of what happened
before: that is what lets an interrupted fit go on and end with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
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
        inputs, targets = self._batch(np.arange(1))  # builds the losses, which a strategy would build from row numbers
        self.compute_loss(x=inputs, y=targets, y_pred=self(inputs))

    def _batch(self, rows):
        images = to_unit(ops.take(self.images, rows, axis=0))
        targets = {"reconstruction": images}
        if self.target is not None:
            targets["assignments"] = ops.take(self.target, rows, axis=0)
        return images, targets

    def train_step(self, rows):
        """One step on the images of `rows`, int (batch,); the rest is Keras's own train step."""
        return super().train_step(self._batch(rows))


def shuffled_rows(n: int, batch_size: int, seed: int, first_iteration: int = 0) -> tf.data.Dataset:
    """Batches of row numbers, shuffled anew each epoch by a permutation drawn from (seed, epoch) alone.

    Args:
        n: number of rows.
        batch_size: rows a batch; the last batch of an epoch holds what is left, never nothing.
        seed: non-negative int.
        first_iteration: the iteration to begin at, the first of an epoch.

    Returns:
        an endless data set of int64 (batch,).
    """

    def epoch_rows(epoch):
        return tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=(seed, epoch))

    epochs = tf.data.Dataset.counter(start=first_iteration // -(-n // batch_size))
    return _plain(epochs.flat_map(lambda e: tf.data.Dataset.from_tensor_slices(epoch_rows(e)).batch(batch_size)))


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

    return _plain(tf.data.Dataset.counter(start=first_iteration).map(batch))


def _plain(rows: tf.data.Dataset) -> tf.data.Dataset:
    """Without autotuning: there is nothing to tune, and its thread holds up the end of a fit by many seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return rows.with_options(options)


def batched(model: keras.Model, batch_size: int = 2000) -> Callable[..., np.ndarray]:
    """A function that runs a model over any number of inputs in large batches.

    It is traced once and then costs neither the time nor the memory that `predict` takes in a loop.

    Args:
        model: a model of float images in [0, 1], or of embeddings.
        batch_size: inputs a call.

    Returns:
        f(inputs, progress=None): (n, ...) uint8 in 0..255 or floats -> float32 (n, ...) in the same order;
        `progress` names the bar to show.
    """
    run = tf.function(lambda inputs: model(to_unit(inputs), training=False), reduce_retracing=True)

    def over_all(inputs: np.ndarray, progress: str | None = None) -> np.ndarray:
        starts = tqdm(
            range(0, len(inputs), batch_size), desc=progress, unit="batch", disable=progress is None, leave=False
        )
        return np.concatenate([run(tf.constant(inputs[s : s + batch_size])).numpy() for s in starts])

    return over_all


def train(
    model: ResidentModel, rows: Callable[[int], tf.data.Dataset], steps: int, iterations: int, done: int, callbacks
) -> None:
    """Fit until `iterations` are done, in Keras epochs of `steps`; the last one is shorter if it must be.

    Args:
        model: a compiled model that holds its data.
        rows: iteration -> the row numbers from there on.
        steps: iterations an epoch.
        iterations: iterations in all.
        done: iterations done before, as a restored optimizer counts them.
        callbacks: Keras callbacks. One that sets `model.stop_training` ends the fit.
    """
    whole, rest = divmod(iterations, steps)
    for first, last, of in ((done // steps, whole, steps), (whole, whole + 1, rest)):
        if of and first < last and not model.stop_training and done < iterations:
            model.fit(
                rows(first * steps),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=of,
                shuffle=False,  # the order is ours
                verbose=0,
                callbacks=callbacks,
            )


def steps_per_call(*steps: int, most: int = 140) -> int:
    """The largest number of steps for one graph call that divides each of `steps` and is at most `most`.

    Keras would overrun an epoch whose steps are no multiple of `steps_per_execution`. Zeros do not count. Under a
    strategy for several devices it is 1: TensorFlow 2.21 cannot run Keras's loop of steps there ("You must feed a
    value for placeholder tensor").
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return 1
    whole = int(np.gcd.reduce(steps))
    return max(d for d in range(1, min(whole, most) + 1) if whole % d == 0)


class History(keras.callbacks.Callback):
    """Keep one row an epoch: in memory, and in a CSV file that is rewritten whole and renamed into place.

    Keras's `CSVLogger` appends: a fit resumed from a checkpoint older than its last line logs an epoch twice.
    """

    def __init__(self, path: Path | None, done: int = 0):
        """Take up the file at `path`, if there is one, without the rows after `done` iterations."""
        super().__init__()
        self.path = path
        self.rows = []
        if done and path and path.exists():
            table = pd.read_csv(path, float_precision="round_trip")
            self.rows = table[table["iteration"] <= done].to_dict("records")
        self._time = self._call = time.perf_counter()
        self._training = 0.0

    def on_train_batch_begin(self, batch, logs=None):
        self._call = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._training += time.perf_counter() - self._call

    def on_epoch_end(self, epoch, logs=None):
        self.add({"epoch": epoch + 1, "iteration": iterations_done(self.model), **logs})

    def add(self, row: dict) -> None:
        """Append a row and write the file.

        "seconds" is the time since the last row, "training_seconds" that part of it inside training steps.
        """
        now = time.perf_counter()
        seconds = {"seconds": now - self._time, "training_seconds": self._training}
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        self.rows.append({**plain, **{name: round(value, 3) for name, value in seconds.items()}})
        self._time, self._training = now, 0.0
        if self.path:
            part = self.path.with_name(f"part-{self.path.name}")
            pd.DataFrame(self.rows).to_csv(part, index=False)
            os.replace(part, self.path)


class FiniteLoss(keras.callbacks.Callback):
    """Stop a fit whose loss is no longer a number, before anything of it is recorded."""

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss is {logs['loss']} after {iterations_done(self.model)} iterations: expected a finite number. "
                "The last good checkpoint is kept; lower lambda, or look for broken images"
            )


class Progress(keras.callbacks.Callback):
    """A bar over all iterations of a fit, with the time left; Keras's own starts anew every epoch."""

    def __init__(self, description: str, iterations: int, done: int, enabled: bool = True):
        super().__init__()
        self.bar = tqdm(total=iterations, initial=done, desc=description, unit="it", disable=not enabled, mininterval=1)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.set_postfix_str(f"loss {logs['loss']:.4f}", refresh=False)
        self.bar.update(self.model.steps_per_execution)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()


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
        if time.monotonic() - self._saved >= self.seconds:
            self.on_train_end()

    def on_train_end(self, logs=None):
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


def restore(model: keras.Model, path: Path | None) -> int:
    """Load a checkpoint into a compiled model, if there is one.

    Args:
        model: the compiled model, built as it was when the checkpoint was saved.
        path: the checkpoint's file, or None.

    Returns:
        the number of training iterations behind it; 0 where there is none.
    """
    if path is None or not Path(path).exists():
        return 0
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    return iterations_done(model)


def iterations_done(model: keras.Model) -> int:
    """The training iterations behind a compiled model, as its optimizer counts them."""
    return int(ops.convert_to_numpy(model.optimizer.iterations))


def claim(directory: Path, settings: dict, **arrays: np.ndarray) -> None:
    """Make a folder the place of one fit, so that no other fit resumes from its checkpoint.

    Args:
        directory: made if missing.
        settings: what the fit depends on, JSON types.
        arrays: the data that it depends on.

    Raises:
        ValueError: the folder belongs to a fit of other settings or other data.
    """
    directory.mkdir(parents=True, exist_ok=True)
    digests = {name: hashlib.sha256(np.ascontiguousarray(a)).hexdigest() for name, a in arrays.items()}
    mine = json.loads(json.dumps({**settings, **digests}))
    path = directory / "fit.json"
    if path.exists():
        theirs = json.loads(path.read_text())
        differs = [key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)]
        if differs:
            raise ValueError(
                f"{directory} holds the fit of other {', '.join(sorted(differs))}: expected a new folder or the "
                "same settings and data. Remove it, or name another"
            )
        return
    part = path.with_name(f"part-{path.name}")
    part.write_text(json.dumps(mine, indent=1))
    os.replace(part, path)


def strategy(name: str) -> tf.distribute.Strategy | None:
    """ "none" for one device, "mirrored" for `tf.distribute.MirroredStrategy` over all GPUs of the machine.

    Raises:
        ValueError: another name.
    """
    if name not in ("none", "mirrored"):
        raise ValueError(f"the strategy must be none or mirrored; received {name!r}")
    return tf.distribute.MirroredStrategy() if name == "mirrored" else None


def scope(strategy: tf.distribute.Strategy | None):
    """The scope in which a model is built and compiled to train under `strategy`; nothing for None."""
    return strategy.scope() if strategy else contextlib.nullcontext()
