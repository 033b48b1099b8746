"""What survives a fit that dies: weights in files that are whole at every moment, and whose fit they are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import ops

from deepcluster_tf.files import read_json, replacing, sweep, verify
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
        self._saved, self._whole = time.monotonic(), True

    def on_train_batch_end(self, batch, logs=None):
        self._whole = batch + 1 >= self.params["steps"]  # an epoch that a callback ends is no place to go on from

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self._saved >= self.seconds:
            self.on_train_end()

    def on_train_end(self, logs=None):
        if self._whole:
            save_weights(self.model, self.path, checked=True)
            self._saved = time.monotonic()


def flat(weights: list[np.ndarray]) -> np.ndarray:
    """Weights in one row, (n,), for a digest of them; of no weights, an empty one."""
    return np.concatenate([np.zeros(0, np.float32), *map(np.ravel, weights)])


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


class LossScale(keras.optimizers.LossScaleOptimizer):
    """Keras's scaling of the loss for 16 bits, which also counts the steps that it leaves out.

    Where gradients overflow, a step changes no weight and the inner optimizer does not count it: by its count alone, a
    fit would go on some steps before the place where it stood.
    """

    def apply(self, grads, trainable_variables=None):
        super().apply(grads, trainable_variables)
        self._iterations.assign_add(1)  # its own, which Keras leaves at 0


def iterations_done(model: keras.Model) -> int:
    """The training iterations behind a compiled model, as its optimizer counts them."""
    return int(ops.convert_to_numpy(count_of(model.optimizer)))


def count_of(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The variable that counts an optimizer's steps, each one: Keras's `iterations` counts those that change weights.

    Others change none where gradients overflow 16 bits, or are gathered over several steps.
    """
    return optimizer._iterations


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
        _require_same(directory, mine, theirs, mine.keys() | theirs.keys())
        sweep(directory)
        return
    with replacing(path, checked=True) as part:
        part.write_text(json.dumps(mine, indent=1))


def expect(directory: Path | None, **settings) -> None:
    """Refuse a folder of another fit as `claim` will, by some settings, before what leads there is trained for hours.

    Args:
        directory: the one to be claimed, or None.
        settings: of those that will be.

    Raises:
        ValueError: the folder belongs to a fit of others.
    """
    path = directory and directory / "fit.json"
    if path and path.exists():
        verify(path)
        _require_same(directory, settings, read_json(path), settings.keys())


def _require_same(directory: Path, mine: dict, theirs: dict, keys: Iterable[str]) -> None:
    differs = [key for key in keys if mine.get(key) != theirs.get(key)]
    if differs:
        said = [f"{key} ({theirs.get(key)}, not {mine.get(key)})" if key == "processors" else key for key in differs]
        raise ValueError(
            f"{directory} holds the fit of other {', '.join(sorted(said))}: expected a new folder or the "
            "same settings and data. Remove it, or name another"
        )


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's shape, dtype and bytes."""
    found = hashlib.sha256(f"{array.shape} {array.dtype} ".encode())
    rows = np.atleast_1d(array)
    step = max(PIECE // max(rows[:1].nbytes, 1), 1)
    for start in range(0, len(rows), step):  # a copy of a piece at most, where it does not lie in one
        found.update(np.ascontiguousarray(rows[start : start + step]).reshape(-1).view(np.uint8))
    return found.hexdigest()
