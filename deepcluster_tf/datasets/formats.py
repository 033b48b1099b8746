"""The file formats of the published data sets: IDX, CIFAR's binary records, CIFAR as PNG. Nothing is unpickled.

A folder of published files is read into a `Found`: by "x_train", "y_train", "x_test" and "y_test", the uint8
array and the name of the file that it came from, so that an error can name the file.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

Found = dict[str, tuple[np.ndarray, str]]

IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", 3),
    "y_train": ("train-labels-idx1-ubyte", 1),
    "x_test": ("t10k-images-idx3-ubyte", 3),
    "y_test": ("t10k-labels-idx1-ubyte", 1),
}
CIFAR_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
CIFAR_TEST = "test_batch"
CIFAR_SHAPE = (3, 32, 32)  # of an image as published: all red, then all green, then all blue


class DataError(RuntimeError):
    """Data that are missing, broken or not the published ones; says in one line what was expected and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


def read_bytes(path: Path) -> bytes:
    """The content of a file, unzipped if it is gzipped, whatever its name.

    Args:
        path: the file.

    Returns:
        the content.

    Raises:
        DataError: the file cannot be read, or its gzip stream is broken.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"expected the whole file {path}, received: {error}") from error


def load_image(path: Path, least: tuple[int, int] | None = None) -> Image.Image:
    """Open and decode an image (of an animation, the first frame).

    Args:
        path: the file.
        least: width and height above which a decoder that can may scale it down; None: as it is stored.

    Returns:
        the image, decoded, the file closed.

    Raises:
        DataError: the file is no image that Pillow can decode.
    """
    try:
        with Image.open(path) as image:
            if least:
                image.draft(None, least)
            image.load()
            return image
    except Exception as error:  # a broken image raises nearly anything: SyntaxError, struct.error, OSError, ...
        raise DataError(f"expected an image in {path}, received: {error}; replace or remove the file") from error


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    Args:
        path: the file, plain or gzipped.
        ndim: the number of dimensions it must have: 3 for images, 1 for labels.

    Returns:
        uint8 array of `ndim` dimensions.

    Raises:
        DataError: the file is missing, truncated, or another kind of file.
    """
    content = read_bytes(path)
    magic, header = bytes((0, 0, 8, ndim)), 4 + 4 * ndim
    if content[:4] != magic or len(content) < header:
        raise DataError(f"expected {path} to be IDX and begin with {magic.hex(' ')}, received {content[:4].hex(' ')}")
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", ndim, offset=4))
    expected = header + int(np.prod(shape, dtype=object))  # Python's integers: a broken header must not overflow
    if len(content) != expected:
        raise DataError(f"expected {expected} bytes in {path} for an array of shape {shape}, received {len(content)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def idx_folder(folder: Path) -> Found:
    """Read the four IDX files of MNIST or of a data set in its form, plain or with .gz.

    Args:
        folder: where they are.

    Returns:
        images uint8 (n, height, width), labels uint8 (n,).

    Raises:
        DataError: a file is missing or broken.
    """
    found = {}
    for key, (name, ndim) in IDX_FILES.items():
        file = next((f for f in (name, f"{name}.gz") if (folder / f).exists()), None)
        if file is None:
            raise DataError(f"expected {name} or {name}.gz in {folder}, found neither")
        found[key] = read_idx(folder / file, ndim), file
    return found


def read_cifar_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one file of CIFAR-10's binary version: records of one label and 3,072 pixels.

    Args:
        path: the file.

    Returns:
        images uint8 (n, 32, 32, 3), labels uint8 (n,).

    Raises:
        DataError: the file is missing, or no whole number of records.
    """
    content = np.frombuffer(read_bytes(path), np.uint8)
    record = 1 + int(np.prod(CIFAR_SHAPE))
    if len(content) == 0 or len(content) % record:
        raise DataError(f"expected a multiple of {record} bytes in {path}, received {len(content)}")
    records = content.reshape(-1, record)
    return records[:, 1:].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1), records[:, 0]


def read_cifar_png(path: Path) -> np.ndarray:
    """Read one batch of CIFAR-10 as PNG: a row of 1,024 RGB pixels an image.

    Args:
        path: the file.

    Returns:
        images uint8 (n, 32, 32, 3).

    Raises:
        DataError: the file is missing, broken, or of another width or mode.
    """
    image = load_image(path)
    if image.mode != "RGB" or image.width != 1024:
        raise DataError(f"expected {path} to be RGB and 1024 wide, received {image.mode} and {image.width}")
    return np.asarray(image).reshape(-1, 32, 32, 3)


def read_json_labels(path: Path) -> np.ndarray:
    """Read a JSON list of class ids.

    Args:
        path: the file.

    Returns:
        labels uint8 (n,).

    Raises:
        DataError: the file is missing, or no flat list of integers 0..255.
    """
    content = read_bytes(path)
    try:
        labels = np.asarray(json.loads(content))
        if labels.ndim != 1 or labels.dtype.kind != "i" or labels.min() < 0 or labels.max() > 255:
            raise ValueError(f"an array of {labels.dtype}, shape {labels.shape}")
    except ValueError as error:
        raise DataError(f"expected a JSON list of class ids in {path}, received: {error}") from error
    return labels.astype(np.uint8)


def cifar_folder(folder: Path) -> Found:
    """Read CIFAR-10 from PNG batches with JSON labels where those are there, else from its binary version.

    Args:
        folder: where the files are.

    Returns:
        images uint8 (n, 32, 32, 3), labels uint8 (n,).

    Raises:
        DataError: a file is missing or broken.
    """
    as_png = (folder / f"{CIFAR_TRAIN[0]}.png").exists()
    train = f"{CIFAR_TRAIN[0]} to {CIFAR_TRAIN[-1].removeprefix('data_batch_')}"
    if as_png:
        images = [read_cifar_png(folder / f"{batch}.png") for batch in (*CIFAR_TRAIN, CIFAR_TEST)]
        files = ("train_lables.json", "test_lables.json")  # so spelled by their publisher
        labels = [read_json_labels(folder / file) for file in files]
    else:
        batches = [read_cifar_binary(folder / f"{batch}.bin") for batch in (*CIFAR_TRAIN, CIFAR_TEST)]
        images = [batch[0] for batch in batches]
        files = (f"{train}.bin", f"{CIFAR_TEST}.bin")
        labels = [np.concatenate([batch[1] for batch in batches[:-1]]), batches[-1][1]]
    suffix = "png" if as_png else "bin"
    return {
        "x_train": (np.concatenate(images[:-1]), f"{train}.{suffix}"),
        "y_train": (labels[0], files[0]),
        "x_test": (images[-1], f"{CIFAR_TEST}.{suffix}"),
        "y_test": (labels[1], files[1]),
    }
