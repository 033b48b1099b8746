"""The loop of every fit, and a model over any number of inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from deepcluster_tf.fitting.resident import ResidentModel
from deepcluster_tf.networks import to_unit

LARGEST = 64 * 64 * 3  # values of an input up to which a call takes as many as it may


def batched(model: Callable, batch_size: int = 2000) -> Callable[..., np.ndarray]:
    """A function that runs a model over any number of inputs in large batches.

    It is traced once and then costs neither the time nor the memory that `predict` takes in a loop.

    Args:
        model: a model of float images in [0, 1] or of embeddings, or what is called like one.
        batch_size: inputs a call, at most: fewer where one has more values than an image of 64x64 in colour.

    Returns:
        f(inputs, progress=None): (n, ...) uint8 in 0..255 or floats -> the model's (n, ...) in the same order;
        `progress` names the bar to show.
    """
    graph = tf.function(lambda inputs: model(to_unit(inputs), training=False))

    def over_all(inputs: np.ndarray, progress: str | None = None) -> np.ndarray:
        run = graph.get_concrete_function(tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype))
        values = max(int(np.prod(inputs.shape[1:])), 1)
        step = max(min(batch_size, batch_size * LARGEST // values), 1)
        starts = tqdm(range(0, len(inputs), step), desc=progress, unit="batch", disable=progress is None, leave=False)
        return np.concatenate([run(tf.constant(inputs[s : s + step])).numpy() for s in starts])

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
