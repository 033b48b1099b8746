"""Files that are whole at every moment, whatever dies while they are written, and that are checked when read."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock
import numpy as np
import pandas as pd


@contextlib.contextmanager
def replacing(path: Path, checked: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name, force it to disk, and rename it into place.

    Args:
        path: the file; its folder exists.
        checked: keep its SHA-256 in a file beside it, for `verify`.

    Yields:
        the temporary name to write to, which ends like `path`.

    Raises:
        OSError: it cannot be written (a full disk, a read-only folder); the file that was there before is kept.
    """
    path = Path(path)
    try:
        with _renamed(path) as part:
            yield part
            if checked:
                # First, and of both files: there is one that it tells of also if the process dies before the renaming.
                old = [sha256(path)] if _is_whole(path) else []
                with _renamed(checksums(path)) as sums:
                    sums.write_text("".join(f"{digest}  {path.name}\n" for digest in [sha256(part), *old]))
    except OSError as error:
        raise OSError(
            f"{path} could not be written ({error.strerror or error}): what was there before is kept. Free some space "
            "or change the permissions, and give the same command again"
        ) from error


@contextlib.contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    part = path.with_name(f"part-{os.getpid()}-{path.name}")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _sync(folder: Path) -> None:
    """Force a rename in a folder to disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what processes left in a folder under temporary names which were killed as they wrote.

    Args:
        folder: what a living process writes there stays, and so does everything else.
        name: of the file or SavedModel that they wrote, in a folder of the user's; None: any file, in one of ours.
    """
    if name is None:
        shutil.rmtree(folder / "part-old-work", ignore_errors=True)  # a run that is made anew
    end = "(-.+)?" if name is None else f"-{re.escape(name)}(-[a-z0-9_]{{8}})?"  # the latter of a folder: see `export`
    for path in folder.glob("part-*"):
        ours = re.fullmatch(rf"part-([1-9]\d{{0,6}}){end}", path.name)
        if not ours or _lives(int(ours[1])):
            continue
        with contextlib.suppress(OSError):  # another user's, say: it is in nobody's way
            if path.is_file():
                path.unlink()
            elif {inside.name for inside in path.iterdir()} <= {"new", "old"}:
                shutil.rmtree(path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return True


def checksums(path: Path) -> Path:
    """The file beside a checked file that holds its SHA-256, and that of the one before it, as sha256sum writes."""
    return Path(f"{path}.sha256")


def _is_whole(path: Path) -> bool:
    try:
        return sha256(path).encode() in checksums(path).read_bytes().split()
    except OSError:
        return False


def verify(path: Path) -> None:
    """Refuse a file that is not, to the bit, what `replacing` wrote with `checked`.

    Raises:
        ValueError: it is missing or damaged, or what is known of it is; the message names it.
    """
    if not _is_whole(path):
        raise ValueError(
            f"{path} is missing or damaged: expected, to the bit, the file whose SHA-256 is in {checksums(path).name} "
            f"beside it. Remove {path.parent} to begin anew"
        )


def remove(path: Path) -> None:
    """Remove a checked file, if there is one, and what is known of it."""
    path.unlink(missing_ok=True)
    checksums(path).unlink(missing_ok=True)


def copy(source: Path, path: Path) -> None:
    """Copy a file; the one that was there before stays until the copy is whole."""
    with replacing(path) as part:
        shutil.copyfile(source, part)


def require_utf8(directory: Path | str) -> None:
    """Refuse a folder whose name is not UTF-8, before any training: TensorFlow's logs and models cannot go there.

    Raises:
        ValueError: the message names it, with the bytes that are none.
    """
    name = os.fsencode(directory)
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"the name of the folder {name.decode('utf-8', 'backslashreplace')} is not UTF-8: expected one that "
            "TensorFlow can write to; nothing has been trained. Rename it, or name another"
        ) from None


def require_writable(directory: Path) -> None:
    """Make the folder and prove that a file can be written there, before any training.

    Raises:
        OSError: it cannot; the message says what to do.
    """
    probe = directory / f"part-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_text("x" * 4096)
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"{directory} cannot be written ({error.strerror}): expected a writable folder with free space; "
            "nothing has been trained. Change its permissions or free some space"
        ) from error


@contextlib.contextmanager
def locked(directory: Path, wait: bool = False):
    """Hold a folder for one process; the lock goes with the process, however it ends.

    Args:
        directory: made if missing.
        wait: for another process that holds it, as two runs do that need the same pretrained weights.

    Raises:
        ValueError: another process holds it, and `wait` is false.
        OSError: it cannot be written or locked; the message says what to do.
    """
    require_writable(directory)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_lock(directory, wait))
        except (OSError, NotImplementedError) as error:  # the latter on a file system without locks
            why = getattr(error, "strerror", None) or error
            raise OSError(
                f"{directory / 'lock'} cannot be locked ({why}): expected a file of one's own, on a file "
                "system with locks; nothing has been trained. Remove it, or work in another folder"
            ) from error
        yield


def _lock(directory: Path, wait: bool) -> filelock.BaseFileLock:
    lock = filelock.FileLock(directory / "lock", thread_local=False)
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        if not wait:
            raise ValueError(f"another process is running in {directory}: expected to be alone; wait for it") from None
    print(f"waiting for another process that is training in {directory} ...", file=sys.stderr)
    return lock.acquire()


def mapped(path: Path, dtype: type, shape: tuple[int, ...], again: bool = False) -> np.memmap:
    """An `.npy` file to write into through memory, all of whose blocks are taken on the disk.

    Args:
        path: the file; its folder exists.
        dtype, shape: of the array.
        again: whether to go on with the file that is there, and not to make a new one.

    Raises:
        OSError: the disk is too full; a file that was begun is removed.
    """
    try:
        array = np.lib.format.open_memmap(path, "r+" if again else "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):  # else a disk that fills up kills the process: SIGBUS, without a word
            with open(path, "r+b") as file, _where_it_can():
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if not again:
            path.unlink(missing_ok=True)
        raise OSError(
            f"{path} could not be written ({error.strerror or error}): expected "
            f"{np.dtype(dtype).itemsize * math.prod(shape):,} bytes of free space. Free some, and give the same "
            "command again"
        ) from error
    return array


@contextlib.contextmanager
def _where_it_can() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # a file system that reserves nothing
            raise


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, whole at every moment; an OSError names it if that fails."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file is one line that names it."""
    try:
        yield
    except (
        OSError, ValueError, KeyError, EOFError, RuntimeError, RecursionError, csv.Error, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is missing or damaged ({reason}): restore it from git, or remove it") from error


def read_json(path: Path) -> dict:
    """Read a JSON file that holds an object.

    Raises:
        ValueError: it is missing or damaged; the message names it.
    """
    with _reading(path):
        content = json.loads(Path(path).read_text())
        if not isinstance(content, dict):
            raise ValueError("no object")
        return content


def read_csv(path: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read columns of numbers from a CSV file whose first row names them; an empty cell is NaN.

    Args:
        path: the file, such as a history; every line of it ends, and there is one at least under the names.
        columns: those to read; None: all of them. The others may hold anything.

    Returns:
        them in that order, each int64 or float64, to the last bit as they are written.

    Raises:
        ValueError: it is missing or damaged, lacks a column, or a cell is no number; the message names it.
    """
    with _reading(path), open(path, newline="", encoding="utf-8") as file:
        text = file.read()
        head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True) if text else [[]]
        columns = head if columns is None else list(columns)
        missing = [name for name in columns if head.count(name) != 1]
        if missing:
            raise ValueError(f"expected one column each for {', '.join(missing)}")
        if not rows or not text.endswith("\n") or any(len(row) != len(head) for row in rows):
            raise ValueError(f"expected rows of {len(head)} cells and a last line that ends")
        return pd.DataFrame({name: _numbers([row[head.index(name)] for row in rows]) for name in columns})


def _numbers(cells: list[str]) -> np.ndarray:
    """int64 where all are whole, or float64; pandas would round some."""
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        return np.array([float(cell or "nan") for cell in cells])


def read_npz(path: Path, names: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays from an `.npz` file, and no pickled objects.

    Args:
        path: the file.
        names: of arrays that must be there.

    Returns:
        all arrays by name.

    Raises:
        ValueError: it is missing or damaged, or lacks an array; the message names it.
    """
    with _reading(path), zipfile.ZipFile(path) as file:
        damaged = file.testzip()  # NumPy alone would not see an array whose shape lost some rows
        if damaged:
            raise ValueError(f"the checksum of {damaged} differs")
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        missing = [name for name in names if name not in found]
        if missing:
            raise ValueError(f"expected arrays {', '.join(missing)}")
        return found
