"""What every fit shares: data that stay on the device, the order of the rows, the loop, encoding, progress.

A `ResidentModel` holds the images, so that Keras's `fit` is fed row numbers only, and a batch costs no copy.
The order of the rows is a function of the seed and of the place where training stands, never of what happened
before: that is what lets an interrupted fit go on and end with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tqdm.auto import tqdm

from deepcluster_tf import machine
from deepcluster_tf.networks import to_unit


class ResidentModel(keras.Model):
    """A functional model whose training data stay on the device; `fit` receives row numbers.

    Call `hold` before `fit`. The model's inputs are the images of the rows, its targets the images again under
    the output name "reconstruction" and, if held, the rows of the target distribution under "assignments". A subclass
    may give each image a weight too.
    """

    def hold(self, images: np.ndarray, target=None) -> None:
        """Keep what a training step reads.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or float32 in 0..1.
            target: Keras variable (n, n_clusters), the target distribution p, or None for reconstruction alone.
        """
        self.images = ops.convert_to_tensor(images)
        self.target = target
        self.train_function = self.test_function = None  # a step traced before would go on with what was held before
        inputs, targets, *weights = self._batch(np.arange(1))
        # builds the losses, which a strategy would build from row numbers
        self.compute_loss(x=inputs, y=targets, y_pred=self(inputs), sample_weight=weights[0] if weights else None)

    def _batch(self, rows):
        images = to_unit(ops.take(self.images, rows, axis=0))
        targets = {"reconstruction": images}
        if self.target is not None:
            targets["assignments"] = ops.take(self.target, rows, axis=0)
        return images, targets

    def train_step(self, rows):
        """One step on the images of `rows`, int (batch,); the rest is Keras's own train step."""
        return super().train_step(self._batch(rows))

    def test_step(self, rows):
        """The losses on the images of `rows`, int (batch,), without learning from them."""
        return super().test_step(self._batch(rows))


def shuffled_rows(n: int, batch_size: int, seed: int, first_iteration: int = 0, whole: bool = False) -> tf.data.Dataset:
    """Batches of row numbers, shuffled anew each epoch by a permutation drawn from (seed, epoch) alone.

    Args:
        n: number of rows.
        batch_size: rows a batch; the last batch of an epoch holds what is left, never nothing.
        seed: non-negative int.
        first_iteration: the iteration to begin at, the first of an epoch.
        whole: leave out a last batch that is short.

    Returns:
        an endless data set of int64 (batch,).
    """

    def epoch_rows(epoch):
        return tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=(seed, epoch))

    batches = n // batch_size if whole else -(-n // batch_size)
    epochs = tf.data.Dataset.counter(start=first_iteration // batches)
    rows_of = lambda epoch: tf.data.Dataset.from_tensor_slices(epoch_rows(epoch)).batch(batch_size, whole)
    return _plain(epochs.flat_map(rows_of))


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


def rows_between(first: int, last: int, batch_size: int) -> tf.data.Dataset:
    """Batches of the row numbers from `first` to `last`, once, in order: for validation."""
    return tf.data.Dataset.range(first, last).batch(batch_size)


def _plain(rows: tf.data.Dataset) -> tf.data.Dataset:
    """Without autotuning: there is nothing to tune, and its thread holds up the end of a fit by many seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return rows.with_options(options)


def batched(model: Callable, batch_size: int = 2000) -> Callable[..., np.ndarray]:
    """A function that runs a model over any number of inputs in large batches.

    It is traced once and then costs neither the time nor the memory that `predict` takes in a loop.

    Args:
        model: a model of float images in [0, 1] or of embeddings, or what is called like one.
        batch_size: inputs a call.

    Returns:
        f(inputs, progress=None): (n, ...) uint8 in 0..255 or floats -> the model's (n, ...) in the same order;
        `progress` names the bar to show.
    """
    graph = tf.function(lambda inputs: model(to_unit(inputs), training=False))

    def over_all(inputs: np.ndarray, progress: str | None = None) -> np.ndarray:
        run = graph.get_concrete_function(tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype))
        starts = tqdm(
            range(0, len(inputs), batch_size), desc=progress, unit="batch", disable=progress is None, leave=False
        )
        return np.concatenate([run(tf.constant(inputs[s : s + batch_size])).numpy() for s in starts])

    return over_all


def train(
    model: ResidentModel,
    rows: Callable[[int], tf.data.Dataset],
    steps: int,
    iterations: int,
    done: int,
    callbacks,
    validation: tf.data.Dataset | None = None,
) -> None:
    """Fit until `iterations` are done, in Keras epochs of `steps`; the last one is shorter if it must be.

    Args:
        model: a compiled model that holds its data.
        rows: iteration -> the row numbers from there on.
        steps: iterations an epoch.
        iterations: iterations in all.
        done: iterations done before, as a restored optimizer counts them.
        callbacks: Keras callbacks. One that sets `model.stop_training` ends the fit.
        validation: row numbers on which the losses are taken at the end of every epoch.
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
                validation_data=validation,
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


class Draws(keras.callbacks.Callback):
    """Let what a network draws at random (dropout, samples, views) depend on its seed and the epoch alone.

    Keras counts the draws in variables that no checkpoint keeps.
    """

    def on_epoch_begin(self, epoch, logs=None):
        for variable in self.model.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign([ops.convert_to_numpy(variable)[0], epoch << 20])


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


KERAS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "backend": "tensorflow"}


def start() -> list[str]:
    """Set what numbers depend on, before TensorFlow begins: Keras's usual configuration, whatever `keras.json` says.

    Threads are as many as `machine.processors` tells, where that is fewer than the machine would take.

    Returns:
        the names of the GPUs.
    """
    keras.config.set_floatx(KERAS["floatx"])
    keras.config.set_epsilon(KERAS["epsilon"])
    keras.config.set_image_data_format(KERAS["image_data_format"])
    if machine.LIMIT in os.environ:
        tf.config.threading.set_intra_op_parallelism_threads(machine.processors())
        tf.config.threading.set_inter_op_parallelism_threads(machine.processors())
    return machine.gpus()


def require_usual_keras() -> None:
    """Refuse to fit under a Keras whose configuration would give other numbers, or none.

    Raises:
        ValueError: it has another backend, float type, epsilon, or order of channels.
    """
    for name, usual in KERAS.items():
        found = getattr(keras.config, name)()
        if found != usual:
            raise ValueError(
                f"Keras's {name} is {found}: expected {usual}. Set it, before the package is imported, in keras.json"
                + (" or by KERAS_BACKEND" if name == "backend" else f" or by keras.config.set_{name}")
            )


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and have TensorFlow use only kernels that repeat themselves."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def strategy(name: str) -> tf.distribute.Strategy | None:
    """ "none" for one device, "mirrored" for `tf.distribute.MirroredStrategy` over all GPUs of the machine.

    Raises:
        ValueError: another name.
    """
    if name not in ("none", "mirrored"):
        raise ValueError(f"the strategy must be none or mirrored; received {name!r}")
    return tf.distribute.MirroredStrategy() if name == "mirrored" else None


def replicas(strategy: tf.distribute.Strategy | None, n: int, batch_size: int) -> int:
    """How many devices share a batch.

    Args:
        strategy: or None for one device.
        n: number of images.
        batch_size: images a step.

    Raises:
        ValueError: the first batch cannot be shared evenly, as Keras needs it, or the last one is too small to give
            every device an image.
    """
    count = strategy.num_replicas_in_sync if strategy else 1
    first = min(n, batch_size)
    if first % count:
        raise ValueError(
            f"batches of {first} images cannot be shared evenly by {count} devices: expected fewer devices "
            "(CUDA_VISIBLE_DEVICES names them), or another batch_size"
        )
    smallest = n % batch_size or min(n, batch_size)
    if smallest < count:
        raise ValueError(
            f"{n} images in batches of {batch_size} leave a last batch of {smallest}: expected an image for each of "
            f"{count} devices. Use another batch_size"
        )
    return count


def scope(strategy: tf.distribute.Strategy | None):
    """The scope in which a model is built and compiled to train under `strategy`; nothing for None."""
    return strategy.scope() if strategy else contextlib.nullcontext()
