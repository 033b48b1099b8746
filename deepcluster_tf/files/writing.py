"""Files that are whole at every moment, whatever dies while they are written; some with a checksum beside them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np


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


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, whole at every moment; an OSError names it if that fails."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


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


def unpack_archive(tar: tarfile.TarFile, folder: Path) -> None:
    """Write the plain files of an archive into a folder, and nothing else; Python has its own way from 3.11.4 on.

    Raises:
        ValueError: a name would lead out of the folder.
    """
    for member in tar:
        to = (folder / member.name).resolve()
        if not to.is_relative_to(folder.resolve()):
            raise ValueError(f"{member.name} of the archive would leave its folder")
        if member.isfile():
            to.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, to.open("wb") as file:
                shutil.copyfileobj(source, file)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
