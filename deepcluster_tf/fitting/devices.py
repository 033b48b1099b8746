"""What numbers depend on beside the seed: Keras's configuration, threads, and the devices that share a batch."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from deepcluster_tf import machine

KERAS = {
    "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "backend": "tensorflow",
    "max_epochs": None, "max_steps_per_epoch": None,
}  # fmt: skip


def start() -> list[str]:
    """Set what numbers depend on, before TensorFlow begins: Keras's usual configuration, whatever `keras.json` says.

    Threads are as many as `machine.processors` tells, where that is fewer than the machine would take.

    Returns:
        the names of the GPUs.
    """
    keras.config.set_floatx(KERAS["floatx"])
    keras.config.set_epsilon(KERAS["epsilon"])
    keras.config.set_image_data_format(KERAS["image_data_format"])
    if os.environ.get(machine.LIMIT):
        tf.config.threading.set_intra_op_parallelism_threads(machine.processors())
        tf.config.threading.set_inter_op_parallelism_threads(machine.processors())
    return machine.gpus()


def require_usual_keras() -> None:
    """Refuse to fit under a Keras whose configuration would give other numbers, or none.

    Raises:
        ValueError: it has another backend, float type, epsilon, order of channels, or a limit of its own on a fit.
    """
    for name, usual in KERAS.items():
        found = getattr(keras.config, name, lambda: None)()  # the last two are not in every version
        if found != usual:
            raise ValueError(
                f"Keras's {name} is {found}: expected {usual}. Set it, before the package is imported, in keras.json"
                + (" or by KERAS_BACKEND" if name == "backend" else f" or by keras.config.set_{name}")
            )


@contextlib.contextmanager
def draws_kept() -> Iterator[None]:
    """Leave what Python and NumPy draw next as it was: networks are made from a seed, of which weights are loaded."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002, the user's own
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


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
