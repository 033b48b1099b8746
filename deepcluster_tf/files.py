"""Files that are whole at every moment, whatever dies while they are written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, force it to disk, and rename it into place.

    Args:
        path: the file; its folder exists.

    Yields:
        the temporary name to write to, which ends like `path`.

    Raises:
        OSError: it cannot be written (a full disk, a read-only folder); the file that was there before is kept.
    """
    path = Path(path)
    part = path.with_name(f"part-{os.getpid()}-{path.name}")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync(path.parent)
    except OSError as error:
        raise OSError(
            f"{path} could not be written ({error.strerror or error}): what was there before is kept. Free some space "
            "or change the permissions, and give the same command again"
        ) from error
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


def copy(source: Path, path: Path) -> None:
    """Copy a file; the one that was there before stays until the copy is whole."""
    with replacing(path) as part:
        shutil.copyfile(source, part)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, whole at every moment; an OSError names it if that fails."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON file that holds an object.

    Raises:
        ValueError: it is missing or damaged; the message names it.
    """
    try:
        content = json.loads(Path(path).read_text())
        if not isinstance(content, dict):
            raise ValueError("no object")
        return content
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}): restore it from git, or remove it") from error
