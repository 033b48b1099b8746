"""What survives a fit that dies: checkpoints and histories that are whole at every moment."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pandas as pd
from keras import ops

from deepcluster_tf.files import read_csv, read_json, replacing, sweep, verify
from deepcluster_tf.machine import processors

PIECE = 2**24  # bytes of an array that are read at a time

ABOUT = "deepcluster_tf"  # the name in a file of weights under which it says what they are of
SUM = "sha256"  # the name in what it says of the SHA-256 of both; files of before have none
TOLD = {"method": str, "settings": dict, "image_shape": list, "learned": dict}  # and what it says


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
        save_weights(self.model, self.path, checked=True)
        self._saved = time.monotonic()


class _Memory(io.BytesIO):
    """A file in memory, for `save_weights` of Keras, which looks at how the name ends.

    On a full disk HDF5 leaves its file open, and at its exit the process dies of that (HDF5 1.14).
    """

    def __str__(self):
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: Path, checked: bool = False, about: dict | None = None) -> None:
    """Save a model's weights (and its optimizer's, if compiled) under a temporary name, then rename.

    Args:
        model: any built Keras model.
        path: a file name that ends in `.weights.h5`.
        checked: keep the SHA-256 beside it, without which no fit goes on from it.
        about: JSON types, to be written into the file too, with the SHA-256 of both, for `read_about`.

    Raises:
        OSError: it cannot be written; the file that was there before is kept.
    """
    path, memory = Path(path), _Memory()
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save_weights(memory)
    if about is not None:
        with h5py.File(memory, "r+") as file:
            file.create_dataset(ABOUT, data=json.dumps({**about, SUM: _sum(file, about)}))
    with replacing(path, checked) as part:
        part.write_bytes(memory.getbuffer())


def restore(model: keras.Model, path: Path | None) -> int:
    """Load a checkpoint into a compiled model, if there is one.

    Args:
        model: the compiled model, built as it was when the checkpoint was saved.
        path: the checkpoint's file, or None.

    Returns:
        the number of training iterations behind it; 0 where there is none.

    Raises:
        ValueError: the file is damaged, or of another model.
    """
    if path is None or not Path(path).exists():
        return 0
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)
        load_weights(model, path, checked=True)
    return iterations_done(model)


def load_weights(model: keras.Model, path: Path, checked: bool = False) -> None:
    """Load what `save_weights` wrote.

    Args:
        model: built as it was when they were saved.
        path: the `.weights.h5` file.
        checked: as it was saved; refuse the file if it is not the same to the bit.

    Raises:
        ValueError: it is missing, damaged or of another model; the message names it.
    """
    if checked:
        verify(path)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path | str, error: Exception) -> ValueError:
    reason = str(error).partition("\n")[0]
    return ValueError(
        f"{path} is missing, damaged, or of another model ({reason}): expected the weights of one with the same "
        "settings, for images of the same shape. Restore it, or make it anew"
    )


def read_about(path: Path | str) -> dict:
    """What `save_weights` wrote about a model into the file of its weights; {} where it wrote nothing.

    Raises:
        ValueError: the file is missing or damaged, or its weights are not those that were written with it.
    """
    try:
        with h5py.File(path) as file:
            about = json.loads(file[ABOUT].asstr()[()]) if ABOUT in file else {}
            noted = about.pop(SUM, None) if isinstance(about, dict) else None
            same = noted is None or noted == _sum(file, about)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, MemoryError) as error:
        raise _damaged(path, error) from error
    if not same:
        raise ValueError(
            f"{path} is damaged: expected weights and settings of the SHA-256 that save wrote into it. Restore it, or "
            "make it anew"
        )
    whole = isinstance(about, dict) and all(isinstance(about.get(name), kind) for name, kind in TOLD.items())
    return about if whole else {}


def _sum(file: h5py.File, about: dict) -> str:
    """The SHA-256 of what a file says and of its weights: their names, shapes, types and bytes, in their order."""
    found = hashlib.sha256(json.dumps(about).encode())

    def add(name, item):
        if name != ABOUT:
            found.update(f"{name} {digest(item[()]) if isinstance(item, h5py.Dataset) else 'group'} ".encode())

    file.visititems(add)  # by name
    return found.hexdigest()


def iterations_done(model: keras.Model) -> int:
    """The training iterations behind a compiled model, as its optimizer counts them."""
    return int(ops.convert_to_numpy(model.optimizer.iterations))


def claim(directory: Path, settings: dict, **arrays: np.ndarray) -> None:
    """Make a folder the place of one fit, so that no other fit resumes from its checkpoint.

    A fit on another number of processors, or without oneDNN, is another one: sums in another order give other numbers.

    Args:
        directory: made if missing.
        settings: what the fit depends on, JSON types.
        arrays: the data that it depends on.

    Raises:
        ValueError: the folder belongs to a fit of other settings or other data, or its `fit.json` is damaged.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mine = {**settings, "processors": processors(), **{name: digest(array) for name, array in arrays.items()}}
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        mine["onednn"] = 0
    mine = json.loads(json.dumps(mine, default=lambda number: number.item()))
    path = directory / "fit.json"
    if path.exists() or any(directory.glob("*.weights.h5.sha256")):  # of which it must say what fit they are of
        verify(path)
        theirs = read_json(path)
        differs = [key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)]
        if differs:
            said = [
                f"{key} ({theirs.get(key)}, not {mine.get(key)})" if key == "processors" else key for key in differs
            ]
            raise ValueError(
                f"{directory} holds the fit of other {', '.join(sorted(said))}: expected a new folder or the "
                "same settings and data. Remove it, or name another"
            )
        sweep(directory)
        return
    with replacing(path, checked=True) as part:
        part.write_text(json.dumps(mine, indent=1))


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's shape, dtype and bytes."""
    found = hashlib.sha256(f"{array.shape} {array.dtype} ".encode())
    rows = np.atleast_1d(array)
    step = max(PIECE // max(rows[:1].nbytes, 1), 1)
    for start in range(0, len(rows), step):  # a copy of a piece at most, where it does not lie in one
        found.update(np.ascontiguousarray(rows[start : start + step]).reshape(-1).view(np.uint8))
    return found.hexdigest()


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
            verify(path)
            self.rows = [row for row in read_csv(path).to_dict("records") if row["iteration"] <= done]
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
            with replacing(self.path, checked=True) as part:
                pd.DataFrame(self.rows).to_csv(part, index=False)


class Readings(keras.callbacks.Callback):
    """Report every so many steps of an epoch, in a file of its own.

    Args:
        path: a CSV file, or None.
        steps: iterations an epoch; a multiple of the calls' steps, as `interval` is.
        read: number of the report in its epoch, logs of the epoch so far -> named numbers; None reports nothing.
        interval: iterations between reports, counted anew in each epoch; an epoch that is shorter reports at its end.
    """

    INTERVAL = 300

    def __init__(
        self, path: Path | None, steps: int, read: Callable[[int, dict], dict[str, float]] | None, interval: int = 0
    ):
        super().__init__()
        self.path, self.steps, self.read = path, steps, read
        self.interval = min(interval or self.INTERVAL, steps)

    def begin(self, done: int, history: History) -> None:
        """Take up the file, without what came after `done` iterations; a ValueError if it ends before them."""
        self._history, self._epoch = History(self.path, done), done // self.steps
        if self.path and self.read and len(self.rows) < self._epoch * (self.steps // self.interval):
            raise ValueError(f"{self.path} ends before the checkpoint: remove {self.path.parent} to begin anew")

    @property
    def rows(self) -> list[dict]:
        """The reports, one a dict."""
        return self._history.rows

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.read and (batch + 1) % self.interval == 0:
            iteration = self._epoch * self.steps + batch + 1
            said = self.read((batch + 1) // self.interval, logs)
            self._history.add({"epoch": iteration / self.steps, "iteration": iteration, **said})


class FiniteLoss(keras.callbacks.Callback):
    """Stop a fit whose loss or weights are no longer numbers, before anything of it is recorded."""

    def on_epoch_end(self, epoch, logs=None):
        what = None
        if not np.isfinite(logs["loss"]):
            what = f"the loss is {logs['loss']}"
        elif not all(np.isfinite(ops.convert_to_numpy(w)).all() for w in self.model.trainable_variables):
            what = "weights are no longer finite"
        if what:
            raise FloatingPointError(
                f"{what} after {iterations_done(self.model)} iterations: expected a finite number. "
                "The last good checkpoint is kept; lower the weights of the loss, or look for broken images"
            )


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's early stopping on the validation loss, whose best weights and patience survive the process.

    Where it stands follows from the history's rows; the best weights lie in a file of their own.
    """

    def __init__(self, patience: int, path: Path | None = None):
        super().__init__(monitor="val_loss", mode="min", patience=patience, restore_best_weights=True)
        self.path = path
        self._rows = []

    def begin(self, done: int, history: History) -> None:
        """Take up where the history ends; stop at once if it ended there."""
        self._rows = list(history.rows)
        self.model.stop_training = bool(self._rows) and len(self._rows) - self._best_row() >= self.patience

    def keep_best(self) -> None:
        """Take the best weights, also where the last process died between the last epoch and Keras's own restoring."""
        if self._rows and self.path:
            load_weights(self._plain(), self.path, checked=True)

    @property
    def last_epoch(self) -> int:
        """The epoch, counted from 1, after which training stops if the loss does not fall again."""
        return self.best_epoch + 1 + self.patience

    def _best_row(self) -> int:
        return int(np.argmin([row["val_loss"] for row in self._rows])) + 1

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self._rows:
            self.best_epoch = self._best_row() - 1
            self.best = self._rows[self.best_epoch]["val_loss"]
            self.wait = len(self._rows) - self._best_row()
            current = self.model.get_weights()
            load_weights(self._plain(), self.path, checked=True)
            self.best_weights = self.model.get_weights()
            self.model.set_weights(current)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.path and self.best_epoch == epoch:
            save_weights(self._plain(), self.path, checked=True)

    def _plain(self) -> keras.Model:
        return keras.Model(self.model.inputs, self.model.outputs)  # the same layers, without the optimizer
