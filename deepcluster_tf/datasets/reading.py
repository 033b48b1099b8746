"""Image files decoded, several at a time, and kept as one array for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from deepcluster_tf.datasets.formats import DataError, load_image
from deepcluster_tf.datasets.sources import cache
from deepcluster_tf.files import mapped, read_npz, replacing, sweep
from deepcluster_tf.machine import is_large, memory, processors

FORM = 1  # of what is kept: counts up when images are decoded otherwise
SLOW = 2.0  # seconds of decoding from which on its result is kept


def decode(file: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """An image, upright, resized and with as many channels as asked for.

    A JPEG is decoded at a half, a quarter or an eighth where that is still twice as large as asked for.

    Args:
        file: as Pillow reads it.
        shape: height, width and channels, 1 or 3.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: the file is no image that Pillow can decode.
    """
    height, width, channels = shape
    image = _plain(load_image(file, (2 * width, 2 * height)), "L" if channels == 1 else "RGB")
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(shape)


def decoded(files: list[Path], shape: tuple[int, int, int], bar: tqdm) -> Iterator[np.ndarray | DataError]:
    """The images of files in their order, or why one cannot be read; `bar` counts them."""

    def attempt(file: Path) -> np.ndarray | DataError:
        try:
            return decode(file, shape)
        except DataError as error:
            return error

    pool = ThreadPoolExecutor(processors())  # Pillow decodes outside of Python's lock
    try:
        for found in pool.map(attempt, files):
            bar.update()
            yield found
    finally:
        pool.shutdown(cancel_futures=True)


def read(
    folder: Path, files: list[Path], shape: tuple[int, int, int], progress: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """The images of a folder's files: those kept since the last time, if no file has changed, or decoded now.

    Args:
        folder: that holds them.
        files: in their order.
        shape: of an image, as `decode` takes it.
        progress: show a bar.

    Returns:
        uint8 (m, height, width, channels), of the files that can be read, mapped from a file in the cache where they
        are too many for the memory; and of the others, by row among all, why not.

    Raises:
        DataError: they fit neither into memory nor on the disk.
        OSError: the disk has become full since.
    """
    place = _place(folder, files, shape)
    with contextlib.suppress(OSError, ValueError):  # none, or a damaged one
        return _kept(place, len(files))
    size = len(files) * int(np.prod(shape))
    if is_large(size):
        return _read_to_disk(place, files, shape, progress, size)
    start, images = time.monotonic(), np.zeros((len(files), *shape), np.uint8)
    count, unread = _fill(images, files, shape, progress)
    if time.monotonic() - start > SLOW:
        with contextlib.suppress(OSError):  # where it is impossible, go on without
            _keep(place, unread, images=images[:count])
    return images[:count], unread


def _kept(place: Path, n: int) -> tuple[np.ndarray, dict[int, str]]:
    """What was decoded of n files the last time; an OSError or ValueError if it is not there, or damaged."""
    kept = read_npz(place, ("rows", "reasons"))
    unread = dict(zip(kept["rows"].tolist(), kept["reasons"].tolist()))
    images = kept["images"] if "images" in kept else np.load(_mapped(place), mmap_mode="r", allow_pickle=False)
    if len(images) < n - len(unread):
        raise ValueError(f"{place} holds {len(images)} images: expected {n - len(unread)}")
    return images[: n - len(unread)], unread


def _fill(images: np.ndarray, files: list[Path], shape, progress: bool) -> tuple[int, dict[int, str]]:
    """Decode files into an array, one after the other; returns how many could be read, and why the others not."""
    count, unread = 0, {}
    with tqdm(total=len(files), desc="reading images", unit="image", disable=not progress, delay=1) as bar:
        for row, found in enumerate(decoded(files, shape, bar)):
            if isinstance(found, DataError):
                unread[row] = str(found)
            else:
                images[count] = found
                count += 1
    return count, unread


def _mapped(place: Path) -> Path:
    return place.with_suffix(".npy")


def _read_to_disk(place: Path, files, shape, progress: bool, size: int) -> tuple[np.ndarray, dict[int, str]]:
    """Decode into a file of the cache, from which the images are mapped."""
    place.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    what = f"{len(files):,} images of {shape[0]}x{shape[1]} take {size / 2**30:.1f} GiB"
    if size > free:
        raise DataError(
            f"expected images that fit into memory or on the disk, received more: {what}, and {free / 2**30:.1f} GiB "
            f"are free in {place.parent}; choose a smaller SIZE or fewer images, free some space, or set XDG_CACHE_HOME"
        )
    there = f"{memory() / 2**30:.1f} GiB"
    tqdm.write(f"{what} of {there} of memory: they go to {place.parent}, and are read from there", file=sys.stderr)
    sweep(place.parent, f"{place.stem}.npy")
    part = place.with_name(f"part-{os.getpid()}-{place.stem}.npy")
    try:
        images = mapped(part, np.uint8, (len(files), *shape))  # another process may fill the disk meanwhile
        count, unread = _fill(images, files, shape, progress)
        images.flush()
        _keep(place, unread)
        part.replace(_mapped(place))
    finally:
        part.unlink(missing_ok=True)
    return np.load(_mapped(place), mmap_mode="r", allow_pickle=False)[:count], unread


def _place(folder: Path, files: list[Path], shape: tuple[int, int, int]) -> Path:
    """The file for what is decoded of these files as they are now; of another time, the name begins in the same way."""
    where, state = hashlib.sha256(f"{folder}|{shape}".encode(errors="surrogateescape")), hashlib.sha256(b"%d" % FORM)
    for file in files:
        about = file.stat()
        state.update(f"{file}|{about.st_size}|{about.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return cache() / "folders" / f"{where.hexdigest()[:16]}-{state.hexdigest()[:16]}.npz"


def _keep(place: Path, unread: dict[int, str], **images: np.ndarray) -> None:
    """Write what was decoded, or that alone which could not be, in the place of what the folder held before."""
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(place.parent, place.name)
    with replacing(place) as part:
        rows, reasons = np.array([*unread], np.int64), np.array([*unread.values()], str)
        np.savez(part, rows=rows, reasons=reasons, **images)
        for old in place.parent.glob(f"{place.name[:16]}-*.np?"):
            old.unlink()


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Turn an image upright as its camera's note says, and convert it to 8 bits in `mode`; drops transparency."""
    with contextlib.suppress(Exception):  # a broken note in a whole image: leave it as it is stored
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip at 255 and not scale
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image.convert(mode)
