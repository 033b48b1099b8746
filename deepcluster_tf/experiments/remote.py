"""The jobs of a sweep as tasks of Ray: on this machine, on several GPUs, or on a cluster.

Ray does the scheduling, and tries again what a lost worker or node was doing. A task fits in its node's own folder, or
under a storage that all nodes see, so that another node goes on from the last checkpoint. What a run leaves behind
comes back with the task's answer, and is written here, whole.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tqdm.auto import tqdm

from deepcluster_tf import experiments, machine
from deepcluster_tf.experiments import results
from deepcluster_tf.experiments.sweep import Job
from deepcluster_tf.files import locked, replacing, unpack_archive

RETRIES = 3  # of a task whose worker or node was lost
SECONDS = 30  # between two copies of a task's checkpoints to a URL
KEPT_BACK = ("work", "lock")  # of a run's folder: what its fit needs, and nobody else
# what a node needs not; Ray would send it with the code
EXCLUDED = [".git", ".venv*", ".ruff_cache", ".pytest_cache", "tests", "*.egg-info", "/results/runs", "/results/models"]
EXCLUDED += ["/results/figures", "/results/tables", "**/work"]


def run_all(
    of: list[Job],
    address: str,
    *,
    cpus: int = 1,
    gpus: float = 0.0,
    storage: str | None = None,
    data_dir: str | None = None,
    code: Path | None = None,
) -> list[str]:
    """Run what is not recorded as tasks of Ray; a task that fails does not stop the others.

    Args:
        of: from `sweep.jobs`.
        address: "local" for this machine alone, "auto" for the cluster that runs here, or a cluster's address.
        cpus: processors of a task, to which its threads are held.
        gpus: GPUs of a task; a fraction shares one.
        storage: a path that all nodes see, or a URL that pyarrow knows, for checkpoints; None: each node its own.
        data_dir: as in `running.run`, on the nodes.
        code: the folder whose package is sent to the nodes; None: the working directory.

    Returns:
        the commands that failed, each with the reason.

    Raises:
        ValueError: Ray is not installed, or there is no cluster at that address.
        KeyboardInterrupt: tasks were cancelled; what was finished is recorded.
    """
    ray = connect(address, code or Path.cwd())
    threads = {name: str(cpus) for name in (machine.LIMIT, *machine.THREADS)}
    environment = {**threads, **machine.COMPILED, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    environment |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", machine.COMMIT: machine.git_commit()}
    task = ray.remote(
        num_cpus=cpus,
        num_gpus=gpus,
        max_retries=RETRIES,
        max_calls=1,  # a process each, as at home: threads are set before TensorFlow begins
        runtime_env={"env_vars": environment},
    )(carry_out)
    pending, failed = [job for job in of if not job.recorded], []
    waiting = {task.remote(job.experiment, job.settings, storage, data_dir): job for job in pending}
    try:
        with tqdm(total=len(of), initial=len(of) - len(pending), desc="rows", unit="row") as bar:
            while waiting:
                (done, *_), _ = ray.wait(list(waiting), num_returns=1)
                job = waiting.pop(done)
                try:
                    _write(job.directory, ray.get(done))
                    _forget(job, storage)
                except (ray.exceptions.RayError, ValueError, OSError) as error:  # the latter where it is written here
                    cause = getattr(error, "cause", None) or error
                    reason = " ".join(str(cause).split())[:300]
                    failed.append(f"{job.command} ({reason})")
                    tqdm.write(f"failed: {failed[-1]}", file=sys.stderr)
                bar.set_postfix_str(job.command, refresh=False)
                bar.update()
    finally:
        for reference in waiting:  # after Ctrl-C
            ray.cancel(reference, force=True)
        ray.shutdown()
    return failed


def connect(address: str, code: Path):
    """Ray, connected to a cluster, with the package for its nodes; a ValueError in one line where that cannot be."""
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "RAY needs the package ray, which is an extra: expected it to be installed, as by "
            "`.venv/bin/python -m pip install -e '.[ray]'`"
        ) from error
    where = {} if address == "local" else {"address": address}
    at = urlsplit(address if "://" in address else f"//{address}")
    try:
        if where and at.port:  # Ray itself tries for minutes, and then ends the process
            socket.create_connection((at.hostname, at.port), timeout=10).close()
        ray.init(
            **where,
            runtime_env={"working_dir": str(code), "excludes": EXCLUDED},
            include_dashboard=None if where else False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"no cluster of Ray can be joined at {address} ({reason}): expected RAY=local, RAY=auto where `ray start` "
            "has run, or a cluster's address"
        ) from error
    return ray


def carry_out(experiment: str, settings: dict, storage: str | None, data_dir: str | None) -> dict[str, bytes]:
    """One job, on a node: the same run as at home, in a folder of its own; returns its files by name."""
    from deepcluster_tf import fitting
    from deepcluster_tf.experiments import running

    fitting.start()
    found = experiments.get(experiment)
    with _root(found, settings, storage) as root:
        results.ROOT = root
        there = results.run_directory(found.name, *_variant_and_seed(found, settings))
        again = running.is_finished(there) and not _is_of_now(there)
        result = running.run(found, settings, data_dir=data_dir, progress=False, force=again)
        return {
            path.name: path.read_bytes()
            for path in result["directory"].iterdir()
            if path.is_file() and path.name not in KEPT_BACK
        }


@contextlib.contextmanager
def _root(experiment, settings: dict, storage: str | None) -> Iterator[Path]:
    """The results folder of a task: the storage's path, or one of the node that is copied to the storage's URL."""
    shipped = Path("results", "pretrained").resolve()  # in what the node was sent
    if storage and "://" in storage:
        with tempfile.TemporaryDirectory() as folder, _mirrored(Path(folder), experiment, settings, storage):
            _lend(shipped, Path(folder))
            yield Path(folder)
        return
    root = Path(storage or Path.home() / ".cache" / "deepcluster_tf" / "runs").expanduser()
    _lend(shipped, root)
    yield root


def _lend(shipped: Path, root: Path) -> None:
    """Put the autoencoders that came with the code where a run looks for them, unless they are there."""
    for record in shipped.glob("*/record.json"):
        folder = root / "pretrained" / record.parent.name
        if not (folder / "record.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            for path in (*record.parent.glob("*.h5"), record):  # the record last: with it, the folder is whole
                with replacing(folder / path.name) as part:
                    part.write_bytes(path.read_bytes())


def _variant_and_seed(experiment, settings: dict) -> tuple[str, int]:
    """What the folder of a task's run is named after."""
    from deepcluster_tf.experiments import running

    method, protocol = running.prepare(experiment, settings)
    return running.variant(experiment, method, protocol), method.seed


def _is_of_now(directory: Path) -> bool:
    """Whether a run that a node has kept was made by this code, and with these versions of what it is made of."""
    kept = results.read_result(directory)
    return (kept["git_commit"], kept["versions"]) == (machine.git_commit(), machine.versions())


def _archive(experiment, settings: dict, url: str) -> tuple:
    """The storage at a URL, and where in it the archive of a task's folder is."""
    from pyarrow import fs

    system, base = fs.FileSystem.from_uri(url)
    name = "{}-{}-seed-{}".format(experiment.name, *_variant_and_seed(experiment, settings))
    return system, f"{base.rstrip('/')}/{name}.tar"


def _forget(job: Job, storage: str | None) -> None:
    """Remove a task's archive, now that its run is recorded here."""
    if storage and "://" in storage:
        system, kept = _archive(experiments.get(job.experiment), job.settings, storage)
        with contextlib.suppress(FileNotFoundError):
            system.delete_file(kept)


@contextlib.contextmanager
def _mirrored(root: Path, experiment, settings: dict, url: str) -> Iterator[None]:
    """Fetch what an earlier attempt left at a URL, and copy the folder there again and again, and in the end."""
    from pyarrow import fs

    system, kept = _archive(experiment, settings, url)
    if system.get_file_info(kept).type != fs.FileType.NotFound:
        with system.open_input_stream(kept) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            unpack_archive(archive, root)
    stop = threading.Event()

    def copy() -> None:
        while not stop.wait(SECONDS):
            with contextlib.suppress(OSError):  # a storage that fails for a while costs a checkpoint, not the run
                _push(root, system, kept)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(OSError):  # the finished run, until it is recorded where it was asked for
            _push(root, system, kept)


def _push(root: Path, system, kept: str) -> None:
    """Copy a folder to a storage as one archive, whole at every moment.

    Its files are linked first, checkpoints before histories: a history may be newer than its checkpoint, not older.
    """
    with tempfile.TemporaryDirectory(dir=root.parent) as still:
        paths = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith("part-")]
        for path in sorted(paths, key=lambda path: (path.suffix != ".h5", path)):
            link = Path(still) / path.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # a file that was replaced meanwhile
                os.link(path, link)
        system.create_dir(kept.rpartition("/")[0], recursive=True)
        with system.open_output_stream(f"{kept}.part") as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
            archive.add(still, arcname=".")
        system.move(f"{kept}.part", kept)


def _write(directory: Path, files: dict[str, bytes]) -> None:
    """Write a run's files here, its result last: with it, the run is recorded."""
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory):
        for name in sorted(files, key=lambda name: name == "result.json"):
            with replacing(directory / name) as part:
                part.write_bytes(files[name])
