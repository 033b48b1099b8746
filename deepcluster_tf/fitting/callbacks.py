"""What goes along with every fit: its bar, its draws, its history, and what stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import ops
from tqdm.auto import tqdm

from deepcluster_tf.files import read_csv, replacing, verify
from deepcluster_tf.fitting.checkpoints import iterations_done, load_weights, save_weights


class Progress(keras.callbacks.Callback):
    """A bar over all iterations of a fit, with the time left; Keras's own starts anew every epoch.

    Args:
        description: its name.
        iterations: in all. done: of these, before.
        enabled: whether to show it.
        soonest: for a fit that may stop early, the iterations after which it would as things stand.
    """

    def __init__(
        self,
        description: str,
        iterations: int,
        done: int,
        enabled: bool = True,
        soonest: Callable[[], int] | None = None,
    ):
        super().__init__()
        self.iterations, self.soonest = iterations, soonest
        self.bar = tqdm(total=iterations, initial=done, desc=description, unit="it", disable=not enabled, mininterval=1)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.set_postfix_str(f"loss {logs['loss']:.4f}", refresh=False)
        self.bar.update(self.model.steps_per_execution)

    def on_train_begin(self, logs=None):
        if self.soonest:
            self.bar.total = min(self.soonest(), self.iterations)

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()


class Draws(keras.callbacks.Callback):
    """Let what a network draws at random (dropout, samples, views) depend on its seed and the epoch alone.

    Keras counts the draws in variables that no checkpoint keeps.
    """

    def on_epoch_begin(self, epoch, logs=None):
        for variable in self.model.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign([ops.convert_to_numpy(variable)[0], epoch << 20])


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


def iterations_of(rows: list[dict]) -> int:
    """The iterations behind the rows of a history; 0 without any."""
    return int(rows[-1]["iteration"]) if rows else 0


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
        self.model.stop_training = self.ran_out(self._rows)

    def keep_best(self) -> None:
        """Take the best weights, also where the last process died between the last epoch and Keras's own restoring."""
        if self._rows and self.path:
            load_weights(self._plain(), self.path, checked=True)

    @property
    def last_epoch(self) -> int:
        """The epoch, counted from 1, after which training stops if the loss does not fall again."""
        return self.best_epoch + 1 + self.patience

    def ran_out(self, rows: list[dict]) -> bool:
        """Whether the loss has not fallen for as many epochs as the patience, by the rows of a history."""
        return bool(rows) and len(rows) - _best(rows) >= self.patience

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self._rows:
            self.best_epoch = _best(self._rows) - 1
            self.best = self._rows[self.best_epoch]["val_loss"]
            self.wait = len(self._rows) - _best(self._rows)
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


def _best(rows: list[dict]) -> int:
    """The row, counted from 1, of the least validation loss."""
    return int(np.argmin([row["val_loss"] for row in rows])) + 1
