"""Folders that are refused before hours of training: not writable, no UTF-8, or another process's."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import filelock


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
