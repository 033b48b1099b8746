"""Speed of training and encoding beside a large matrix product, all in one run on a quiet machine."""

from __future__ import annotations

import time

import keras
import numpy as np
import tensorflow as tf

from deepcluster_tf import fitting
from deepcluster_tf.methods.dcec import DCEC


def forward_operations(model: keras.Model) -> int:
    """Floating-point operations of one image's forward pass: two a multiplication in every convolution and product."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):  # every input pixel meets the whole kernel
            total += 2 * int(np.prod(layer.input.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Conv2D):
            total += 2 * int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * int(np.prod(layer.kernel.shape))
    return total


def matrix_product(size: int = 4096, repeats: int = 5) -> float:
    """Floating-point operations a second of a large float32 matrix product: the median of several, one warm-up."""
    matrix = tf.random.normal((size, size))
    product = tf.function(lambda a: a @ a)
    seconds = [_seconds(lambda: product(matrix)[0, 0].numpy()) for _ in range(repeats + 1)]
    return 2 * size**3 / float(np.median(seconds[1:]))


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def images_of_classes(n: int, n_classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Images that no training mistakes for each other: of each class large black and white squares, under some noise.

    Args:
        n: number of images.
        n_classes: number of classes.

    Returns:
        uint8 (n, 28, 28, 1) and the class of each, int64 (n,).
    """
    rng = np.random.default_rng(0)
    squares = np.uint8(223) * rng.integers(0, 2, (n_classes, 4, 4, 1), np.uint8)
    pictures, classes = squares.repeat(7, axis=1).repeat(7, axis=2), np.arange(n) % n_classes
    return pictures[classes] + rng.integers(0, 32, (n, 28, 28, 1), np.uint8), classes


def measure(n: int = 70_000, renewals: int = 4) -> list[tuple[str, float, str]]:
    """Time document 004's training on n images of 28x28 that are made here, which cost what real ones do.

    Args:
        n: number of images, a batch or more.
        renewals: renewals of the target distribution to time, 1 or more.

    Returns:
        (what, value, unit) a line; forward and backward count as three forward passes.

    Raises:
        ValueError: too few images.
    """
    method = DCEC(pretraining_epochs=3, max_iterations=140 * (renewals + 1), tolerance=0)
    if n < method.batch_size:
        raise ValueError(f"too few images to time: expected {method.batch_size}, a batch, or more; received {n}")
    fitting.seed_everything(0)  # as every run does; its kernels may be slower
    images, classes = images_of_classes(n, method.n_clusters)
    peak = [matrix_product()]
    method.pretrain(images)
    embed = fitting.batched(method.encoder_)
    encoding = float(np.median([_seconds(lambda: embed(images)) for _ in range(4)][1:]))
    peak.append(matrix_product())
    method.fit(images, classes, progress=False)
    peak.append(matrix_product())

    forward = forward_operations(method.encoder_)
    both = 3 * (forward + forward_operations(method.decoder_))
    epochs = method.pretraining_history_[1:]  # the first one traces its graph
    rows = method.history_[2:]
    total = {name: sum(row[name] for row in rows) for name in rows[0] if name.endswith("seconds")}
    rates = {
        "pretraining": (n * len(epochs) / sum(row["seconds"] for row in epochs), both),
        "clustering steps": (_images_of(method, n, rows) / total["training_seconds"], both),
        "encoding": (n / encoding, forward),
    }
    product = float(np.median(peak))
    lines = [("matrix product", product / 1e9, "GFLOP/s")]
    for what, (rate, operations) in rates.items():
        lines.append((what, rate, "images/s"))
        lines.append((what, rate * operations / 1e9, "GFLOP/s"))
        lines.append((what, 100 * rate * operations / product, "% of the matrix product"))
    lines.append(
        ("renewal of the target distribution", total["renewal_seconds"] / len(rows) / encoding, "bare encodings")
    )
    outside = total["seconds"] - total["training_seconds"] - total["encoding_seconds"]
    lines.append(("clustering loop outside of steps and encoding", 100 * outside / total["seconds"], "% of its time"))
    return lines


def _images_of(method: DCEC, n: int, rows: list[dict]) -> int:
    """The images that the iterations behind these rows saw; the last batch of a round is a short one."""
    batches = -(-n // method.batch_size)
    last = rows[-1]["iteration"]
    first = last - method.update_interval * len(rows)
    sizes = np.full(batches, method.batch_size)
    sizes[-1] = n - (batches - 1) * method.batch_size
    return int(sizes[np.arange(first, last) % batches].sum())
