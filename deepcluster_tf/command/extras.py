"""Packages that one setting needs, installed when they are first asked for."""

import importlib
import re
import subprocess
import sys
from importlib import metadata


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def install(packages: list[str]) -> None:
    """Install those that are missing, in the versions that the package's extras name.

    Raises:
        ValueError: pip could not.
    """
    missing = [name for name in dict.fromkeys(packages) if not _is_installed(name)]
    if not missing:
        return
    known = {
        re.split(r"[^\w.-]", line, maxsplit=1)[0]: line.partition(";")[0]
        for line in metadata.requires("deepcluster_tf")
    }
    wanted = [known.get(name, name) for name in missing]
    print(f"installing {', '.join(missing)} ...", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    if subprocess.run(command, check=False).returncode:
        raise ValueError(f"pip could not install {', '.join(missing)}: expected a network or a package mirror")
    importlib.invalidate_caches()
