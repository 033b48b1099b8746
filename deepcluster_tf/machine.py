"""What a run had to work with, and what decides its numbers: processors, versions, the commit."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path

LIMIT = "DEEPCLUSTER_CPUS"  # of the environment: the processors that a run may use, if fewer than it has
TENSORFLOW = "TF_NUM_INTRAOP_THREADS"  # the same, of TensorFlow's own; 0 for all
COMMIT = "DEEPCLUSTER_COMMIT"  # of the environment: the commit of a package that was copied without its history
CGROUPS, OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # Linux's limits, and whose hold here
LARGE = 0.3  # of the memory: from that share on images are not held in it
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # what libraries read when they are loaded
# UMAP is compiled where it runs; made for the very processor, its sums and so its maps differ from machine to machine
COMPILED = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def processors() -> int:
    """The processors that this process may use: as many threads share its work, and numbers depend on how many.

    Raises:
        ValueError: the environment's limit is no whole number of 1 or more.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit, of_tensorflow = os.environ.get(LIMIT) or str(found), os.environ.get(TENSORFLOW, "")
    if not limit.isdecimal() or int(limit) < 1:
        raise ValueError(f"{LIMIT} must be a whole number of 1 or more; received {limit!r}")
    return min(found, int(limit), int(of_tensorflow) if of_tensorflow.isdecimal() and int(of_tensorflow) else found)


def memory() -> int:
    """The bytes that this process may use: of the machine, of its container, or under its own limit (`ulimit -v`)."""
    page = os.sysconf("SC_PAGE_SIZE")
    allowed = [page * os.sysconf("SC_PHYS_PAGES")]
    for file in _limits():
        with contextlib.suppress(OSError, ValueError):  # no such group here, or "max"
            allowed.append(int(file.read_text()))
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError):  # what this process has taken of it, where the system tells
            limit -= page * int(Path("/proc/self/statm").read_text().split()[0])
        allowed.append(limit)
    return max(min(allowed), 0)


def _limits() -> set[Path]:
    """The files that say how much memory the control groups of this process may use, its container among them."""
    files = {CGROUPS / "memory.max", CGROUPS / "memory" / "memory.limit_in_bytes"}
    with contextlib.suppress(OSError):
        for line in OF_PROCESS.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            where, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
            inside = Path(group).relative_to("/")
            files |= {where / above / name for above in (inside, *inside.parents)}
    return files


def peak() -> float:
    """The most memory that this process had at one time, in GiB."""
    unit = 2**30 if sys.platform == "darwin" else 2**20  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)


def is_large(size: int) -> bool:
    """Whether so many bytes of images are read from the disk when they are needed: a fit would hold them twice."""
    return size > LARGE * memory()


def gpus() -> list[str]:
    """The names of the GPUs that TensorFlow sees."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in found]


def machine() -> dict:
    """What the run had to work with: processor, cores, those that it may use, memory in GiB, GPUs."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {"processor": model, "cores": os.cpu_count(), "processors": processors()}
    return {**found, "memory_gib": round(memory), "gpus": gpus()}


def versions() -> dict:
    """The versions that decide a run's numbers; those of UMAP and what it is made of where it is installed."""
    found = {"python": platform.python_version()}
    for name in ("deepcluster_tf", "tensorflow", "keras", "numpy", "scikit-learn", "scipy"):
        found[name] = metadata.version(name)
    for name in ("umap-learn", "pynndescent", "numba"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def of_umap() -> str:
    """What the numbers of UMAP depend on beside the images and the seed, in a word: processors and versions."""
    found = versions()
    packages = ("scikit-learn", "numpy", "umap-learn", "pynndescent", "numba")
    return "-".join([f"{processors()}-processors", *(f"{name}-{found.get(name)}" for name in packages)])


def git_commit() -> str:
    """The commit of this package's working tree, with "-dirty" where tracked code differs; "unknown" without one."""
    if os.environ.get(COMMIT):
        return os.environ[COMMIT]
    tree = Path(__file__).parents[1]
    try:
        run = lambda *words: (
            subprocess.run(["git", "-C", tree, *words], capture_output=True, text=True, check=True, timeout=20).stdout
        )
        run("ls-files", "--error-unmatch", "--", __file__)  # else it is another project's, in whose environment it lies
        dirty = run("status", "--porcelain", "--untracked-files=no", "--", "deepcluster_tf", "runners")
        return run("rev-parse", "HEAD").strip() + ("-dirty" if dirty.strip() else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance() -> dict:
    """Machine, versions, git commit and day of a record."""
    return {
        "machine": machine(),
        "versions": versions(),
        "git_commit": git_commit(),
        "date": date.today().isoformat(),
    }
