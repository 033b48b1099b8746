"""Images and labels in the forms in which people have them, as the methods use them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import ArrayLike

from deepcluster_tf.files import require_utf8
from deepcluster_tf.machine import is_large, memory

Images = ArrayLike | Iterable[Any]  # what `images_of` takes, a `tf.data.Dataset` among it
Labels = ArrayLike | Sequence[Any] | pd.Series | None  # what `labels_of` takes


def require_how(how: dict) -> None:
    """Refuse a strategy, callbacks and folders that are none, before anything is trained.

    Args:
        how: the keyword arguments of a fit; of these "strategy", "callbacks", "directory" and "shared" are looked at.

    Raises:
        ValueError: with what was expected and what was received.
    """
    strategy = how.get("strategy")
    if not isinstance(strategy, tf.distribute.Strategy | None):
        raise ValueError(
            "strategy must be a tf.distribute.Strategy, such as tf.distribute.MirroredStrategy(), or None for one "
            f"device; received {strategy!r}"
        )
    callbacks = how.get("callbacks", ())
    if not isinstance(callbacks, Sequence) or not all(isinstance(each, keras.callbacks.Callback) for each in callbacks):
        raise ValueError(f"callbacks must be a list of Keras's callbacks; received {callbacks!r}")
    for name in ("directory", "shared"):
        folder = how.get(name)
        if not isinstance(folder, str | os.PathLike | None):
            raise ValueError(f"{name} must be a folder's path, or None to keep nothing; received {folder!r}")
        require_utf8(folder or "")


def require_score(score, n: int) -> None:
    """Refuse what does not make named numbers of clusters, before anything is trained; raises ValueError."""
    if score is not None and not isinstance(found := score(np.zeros(n, np.int64)), dict):
        raise ValueError(f"score must give named numbers, such as {{'acc': 0.9}}; received {found!r}")


def require_in_memory(images: np.ndarray) -> None:
    """Refuse images whose pixels cannot be looked at all together; raises ValueError."""
    needed, there = 4 * images.size, memory()
    if 2 * needed > there:  # clustering them takes a copy
        raise ValueError(
            f"all pixels together take {needed / 2**30:.1f} GiB, and their clustering as much again, of "
            f"{there / 2**30:.1f} GiB of memory: expected a smaller SIZE or fewer images, or a method that learns from "
            "batches of them"
        )


def images_of(given: Images, image_shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Images as the methods use them; what is no batch of images is refused.

    Args:
        given: (n, height, width, channels), or (n, height, width) of grey images: integers in 0..255 or floats in 0..1,
            an array (of any kind that NumPy reads, one mapped from a file too), lists, or a `tf.data.Dataset` of images
            or batches of images, alone or with something else, which is read to its end.
        image_shape: (height, width, channels) that the fitted model expects, if there is one.

    Returns:
        (n, height, width, channels), uint8 or float32; the array itself where it is one of these.

    Raises:
        ValueError: wrong shape or dtype, values out of range, or not a number.
    """
    images = _of_dataset(given) if hasattr(given, "as_numpy_iterator") else _array(given)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not len(images):
        raise ValueError(
            "images must have the shape (n, height, width, channels), or (n, height, width), n >= 1; received "
            f"{images.shape}"
        )
    if image_shape is not None and images.shape[1:] != tuple(image_shape):
        raise ValueError(f"images must have the shape (n, {', '.join(map(str, image_shape))}); received {images.shape}")
    if images.dtype == np.uint8:
        return images
    if np.issubdtype(images.dtype, np.integer):
        return _within(images, 255, "integer").astype(np.uint8)
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be integers in 0..255 or floats in 0..1; received {images.dtype}")
    return _within(images, 1, "float").astype(np.float32, copy=False)


def _within(images: np.ndarray, high: int, kind: str) -> np.ndarray:
    if not (images.min() >= 0 and images.max() <= high):  # also false for NaN
        raise ValueError(f"{kind} images must be in 0..{high}; received {images.min():g} to {images.max():g}")
    return images


def _array(given) -> np.ndarray:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"images must be of one shape, (height, width, channels) each: resize them ({error})"
        ) from error


def _of_dataset(given) -> np.ndarray:
    """All images of a `tf.data.Dataset`, of a tuple the first part.

    Where they are large they go to a file without a name (below TMPDIR), from which they are mapped.
    """
    if getattr(given, "cardinality", int)() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("a Dataset of images must come to an end; received one that repeats: leave repeat() out")
    first, held, size, count, file = None, [], 0, 0, None
    for each in given.as_numpy_iterator():
        part = np.asarray(each[0] if isinstance(each, tuple) else each)
        if part.ndim == 3 and part.shape[-1] in (2, 4):  # an image with as many channels, or grey ones as narrow
            raise ValueError(
                f"a Dataset gives {part.shape}, which may be one image or several: batch it, as (n, height, width, "
                "channels)"
            )
        if part.ndim == 3 and part.shape[-1] not in (1, 3):  # a batch of grey images, and no image with channels
            part = part[..., None]
        part = part if part.ndim == 4 else part[None]
        first = part[:1].copy() if first is None else first
        if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
            raise ValueError(
                f"images of a Dataset must be alike; received {first.dtype} {first.shape[1:]} and {part.dtype} "
                f"{part.shape[1:]}"
            )
        held.append(part)
        size, count = size + part.nbytes, count + len(part)
        if file is None and is_large(size):
            file = tempfile.TemporaryFile(prefix="deepcluster_tf-")  # noqa: SIM115, it lives as long as the images
        if file:
            for images in held:
                images.tofile(file)
            held = []
    if file:
        file.flush()
        return np.memmap(file, first.dtype, "r", shape=(count, *first.shape[1:]))
    return np.concatenate(held) if held else np.zeros(0)


def labels_of(given: Labels, n: int, n_clusters: int) -> tuple[np.ndarray, tuple]:
    """Labels as numbers of clusters.

    Args:
        given: (n,), numbers or words, an array, a list or a pandas column; -1, NaN or None where unknown, which among
            words may be the words "-1" and "nan" that NumPy makes of them. None: all unknown.
        n: number of images.
        n_clusters: number of clusters.

    Returns:
        int64 (n,), 0..n_clusters-1 or -1 where unknown; and the names of the first clusters, in order, where the labels
        are something else than such numbers, else ().

    Raises:
        ValueError: wrong length, more classes than clusters, or numbers that are not whole.
    """
    if given is None:
        return np.full(n, -1), ()
    labels = np.asarray(given, None if hasattr(given, "dtype") else object)  # a list may hold words and NaN
    if labels.shape != (n,):
        raise ValueError(f"labels must be integers or words, one for each of {n} images; received {labels.shape}")
    known = ~pd.isna(labels)
    if labels.dtype.kind not in "biuf":
        known &= ~np.isin(labels.astype(str), ("-1", "nan"))
    if all(isinstance(each, (int, float, np.number)) for each in labels[known][:1]):
        labels, known = _whole(labels, known), known & (labels != -1)
        least, most = (labels[known].min(), labels[known].max()) if known.any() else (0, 0)
        if least >= 0 and most < n_clusters:
            return np.where(known, labels, -1), ()
        if least < 0:
            raise ValueError(f"labels must be in 0..{n_clusters - 1}, or -1 where unknown; received {least} to {most}")
    try:
        names, numbers = np.unique(labels[known], return_inverse=True)
    except TypeError:
        raise ValueError("labels must be integers or words; received some of both") from None
    if len(names) > n_clusters:
        raise ValueError(
            f"labels must be in 0..{n_clusters - 1}, or name {n_clusters} classes at most; received {len(names)}: "
            f"{', '.join(map(str, names[:3]))} and so on"
        )
    found = np.full(n, -1)
    found[known] = numbers
    return found, tuple(names.tolist())


def _whole(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Numbers as int64, -1 where unknown."""
    try:
        numbers = np.where(known, labels, -1).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError("labels must be integers or words; received some of both") from None
    if not (np.isfinite(numbers).all() and np.all(numbers == np.round(numbers))):
        raise ValueError(f"labels must be integers or words; received {labels.dtype} with numbers that are not whole")
    return numbers.astype(np.int64)
