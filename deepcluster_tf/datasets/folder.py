"""A user's own images: a flat folder, or a folder with one sub-folder a class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf.datasets import reading
from deepcluster_tf.datasets.formats import DataError
from deepcluster_tf.machine import memory

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# The least that learning takes, as measured: bytes a pixel of a batch (200 to 700), and what TensorFlow takes itself.
PER_PIXEL, ITSELF = 200, 700 * 2**20


def read_folder(
    folder: Path, size: int, grayscale: bool, progress: bool, broken: str = "skip", batch_size: int = 64
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Read, turn upright and resize all images of a folder, in sorted order.

    Args:
        folder: holds the images, or one sub-folder of images a class.
        size: height and width of the result, a multiple of 4 and 8 or more.
        grayscale: convert to one channel; one channel is also kept where no image has any colour.
        progress: show a bar.
        broken: "skip" passes over images that cannot be read, with a warning; "refuse" does not.
        batch_size: images that will be learned from at a time, which have to fit into memory.

    Returns:
        images uint8 (n, size, size, 1 or 3); labels int64 (n,), the rank of the sub-folder's name, -1 in a flat
        folder; the class names, () for a flat folder; the files, as paths inside the folder.

    Raises:
        DataError: the size is not allowed, the folder cannot be used, a batch does not fit into memory, nor the images
            on the disk, or an image is broken and `broken` is "refuse", or fewer than two are not.
    """
    if not isinstance(size, Integral) or isinstance(size, bool) or size < 8 or size % 4:
        raise DataError(f"expected a size that is a multiple of 4 and at least 8, received {size!r}; choose another")
    files, labels, class_names = _list(folder)
    _require_utf8(folder, files)
    shape = (size, size, 1 if grayscale else 3)
    _require_memory(size, min(batch_size, len(files)))
    images, unread = reading.read(folder, files, shape, progress)
    if unread:
        keep = _readable(folder, files, unread, broken)
        files, labels = [files[i] for i in keep], [labels[i] for i in keep]
        left = sorted({*labels} - {-1})  # a class of which no image can be read is none
        class_names = tuple(class_names[label] for label in left)
        labels = [left.index(label) if left else -1 for label in labels]
    if not grayscale and all((image == image[..., :1]).all() for image in images):
        images = images[..., :1] if isinstance(images, np.memmap) else images[..., :1].copy()
    inside = tuple(file.relative_to(folder).as_posix() for file in files)
    return images, np.array(labels, np.int64), class_names, inside


def _readable(folder: Path, files: list[Path], unread: dict[int, str], broken: str) -> list[int]:
    """The rows of the images that could be read; warns of the others, or refuses them."""
    first = next(iter(unread.values()))
    if broken == "refuse":
        raise DataError(first)
    keep = [row for row in range(len(files)) if row not in unread]
    if len(keep) < 2:
        raise DataError(f"expected at least 2 images in {folder} that can be read, received {len(keep)}: {first}")
    warnings.warn(
        f"{folder}: passed over {len(unread)} of {len(files)} images, which cannot be read: {first}", stacklevel=4
    )
    return keep


def stream_folder(
    folder: Path, shape: tuple[int, int, int], batch_size: int = 500, progress: bool = True
) -> Iterator[tuple[list[str], np.ndarray, dict[str, str]]]:
    """The images of a folder, some at a time, so that any number of them takes the memory of a few.

    Args:
        folder: holds the images, or one sub-folder of images a class.
        shape: height, width and channels, 1 or 3, of the result.
        batch_size: files a time.
        progress: show a bar.

    Yields:
        the files that could be read, as paths inside the folder; their images, uint8 (n, height, width, channels); and
        the others, with the reason.

    Raises:
        DataError: the folder cannot be used.
    """
    files, _, _ = _list(folder, least=1)
    _require_utf8(folder, files)
    with tqdm(total=len(files), desc="images", unit="image", disable=not progress, delay=1) as bar:
        for start in range(0, len(files), batch_size):
            some, found, images, broken = files[start : start + batch_size], [], [], {}
            for file, image in zip(some, reading.decoded(some, shape, bar)):
                name = file.relative_to(folder).as_posix()
                if isinstance(image, DataError):
                    broken[name] = str(image)
                else:
                    images.append(image)
                    found.append(name)
            yield found, np.reshape(images, (-1, *shape)).astype(np.uint8), broken


def _require_utf8(folder: Path, files: list[Path]) -> None:
    """Refuse names that cannot be written into the record of a run; the folder's own is one of them."""
    for file in files:
        name = str(file.relative_to(folder.parent))
        if name.encode(errors="ignore").decode() != name or "\r" in name:
            raise DataError(f"expected names in UTF-8 of one line, received {os.fsencode(file)!r}; rename it")


def _require_memory(size: int, at_once: int) -> None:
    """Refuse images of which not even a batch can be learned from in the memory that there is."""
    needed, there = ITSELF + size**2 * at_once * PER_PIXEL, memory()
    if needed > there:
        raise DataError(
            f"expected batches that fit into memory, received images of {size}x{size}: to learn from {at_once} at a "
            f"time takes {needed / 2**30:.1f} GiB or more, and {there / 2**30:.1f} GiB are there; choose a smaller "
            "SIZE, or a smaller BATCH where the method has one"
        )


def _list(folder: Path, least: int = 2) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The image files of a folder in sorted order, their labels and the class names; warns of what is skipped."""
    if not folder.is_dir():
        raise DataError(f"expected a folder of images, received {folder}, which is none; check the path")
    try:
        files, folders, skipped = _entries(folder)
        classes = {}
        for sub_folder in folders:
            images, deeper, others = _entries(sub_folder)
            skipped += len(deeper) + others if images else 1
            if images:
                classes[sub_folder.name] = images
    except OSError as error:
        raise DataError(f"expected a folder that can be read, received: {error}; check its permissions") from error
    if files and classes:
        raise DataError(
            f"expected images either in {folder} itself or in one sub-folder a class, received both "
            f"({files[0].name}, {next(iter(classes))}/...); move the images of one place"
        )
    found = len(files) + sum(map(len, classes.values()))
    if found < least:
        raise DataError(
            f"expected at least {least} images ({', '.join(SUFFIXES)}) in {folder} or in its sub-folders, one a class, "
            f"received {found or 'no images'}; check the path"
        )
    if skipped:
        warnings.warn(
            f"{folder}: skipped {skipped} hidden files, files that are no image, or folders that are no class",
            stacklevel=4,
        )
    if files:
        return files, [-1] * found, ()
    labels = [label for label, images in enumerate(classes.values()) for _ in images]
    return [file for images in classes.values() for file in images], labels, tuple(classes)


def _entries(folder: Path) -> tuple[list[Path], list[Path], int]:
    """The images and the sub-folders of a folder, sorted by name, and the number of its other entries."""
    images, folders, others = [], [], 0
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            others += 1
        elif entry.is_dir():
            folders.append(entry)
        elif entry.is_file() and entry.suffix.lower() in SUFFIXES:
            images.append(entry)
        else:
            others += 1
    return images, folders, others
