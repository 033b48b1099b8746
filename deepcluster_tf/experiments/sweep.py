"""The rows of tables that are not recorded yet, run in turn: one list of jobs, whoever carries them out."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Table, results, running


@dataclass(frozen=True)
class Job:
    """One run that a table wants.

    Attributes:
        experiment: by name.
        settings: of method and protocol, the seed among them where it is not 0.
        label: of its row.
        directory: of the run.
        seconds: what such a run took last time, of another seed if need be; NaN where none is recorded.
        recorded: whether it is.
    """

    experiment: str
    settings: dict
    label: str
    directory: Path
    seconds: float = field(default=float("nan"), compare=False)
    recorded: bool = field(default=False, compare=False)

    @property
    def command(self) -> str:
        """What a user types for it."""
        return experiments.get(self.experiment).command(self.settings)

    @property
    def words(self) -> list[str]:
        """The same as the runner's words: the experiment, then NAME=value."""
        return shlex.split(self.command)[1:]


def jobs(tables: list[Table], seeds: Iterable[int] | None = None, rows: str | None = None) -> list[Job]:
    """The runs that tables want, seed by seed, recorded ones included.

    Args:
        tables: of `experiments.TABLES`.
        seeds: None for as many as each table wants.
        rows: only rows whose label or command has this in it, in whatever case.

    Raises:
        ValueError: no row has it.
    """
    found: dict[Path, Job] = {}
    wanted = None if seeds is None else list(seeds)
    for seed in wanted if wanted is not None else range(max(table.seeds for table in tables)):
        for table in tables:
            if wanted is None and seed >= table.seeds:
                continue
            for row in (*table.rows, *table.drawn):
                settings = {**row.settings, **({"seed": seed} if seed else {})}
                command = experiments.get(row.experiment).command(settings)
                if rows and rows.lower() not in f"{row.label}\n{command}".lower():
                    continue
                directory = results.run_directory(row.experiment, running.variant_of(row), seed)
                took, recorded = _took(directory), results.read_result(directory) is not None
                found.setdefault(directory, Job(row.experiment, settings, row.label, directory, took, recorded))
    if not found:
        names = ", ".join(row.label for table in tables for row in table.rows)
        raise ValueError(f"no row has {rows!r} in its label or command (ROWS): expected a part of one of {names}")
    return list(found.values())


def packages(of: list[Job]) -> list[str]:
    """The packages beyond the usual ones that the runs need which are not recorded yet."""
    parts = [running.prepare(experiments.get(job.experiment), job.settings) for job in of if not job.recorded]
    return [name for pair in parts for part in pair for name in part.packages]


def _took(directory: Path) -> float:
    """The seconds that a run took when it was recorded; else the mean of the other seeds', NaN without any."""
    of = results.read_result(directory)
    runs = [of] if of else results.runs_of(*directory.parts[-3:-1])
    return float(np.mean([sum(run["seconds"].values()) for run in runs])) if runs else float("nan")


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "3 h 20 min"; "unknown" for NaN."""
    if np.isnan(seconds):
        return "unknown"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def listing(of: list[Job]) -> list[str]:
    """What `DRY=1` prints: a command a line, with what it took last time, and what is to be done in all."""
    lines = [
        f"{'recorded' if job.recorded else 'to run':<9} {duration(job.seconds):>10}  {job.command}   # {job.label}"
        for job in of
    ]
    pending = [job for job in of if not job.recorded]
    return [*lines, f"{len(of) - len(pending)} of {len(of)} are recorded; {_left(pending)}"]


def _left(pending: list[Job]) -> str:
    known = [job.seconds for job in pending if not np.isnan(job.seconds)]
    if not pending:
        return "nothing is left"
    said = f"{len(pending)} left"
    if known:  # those of which nothing is known are taken for as long as the others
        said += f", about {duration(np.mean(known) * len(pending))} on the machine that recorded them"
    return said


def run_all(of: list[Job], given: dict[str, str]) -> list[str]:
    """Run what is not recorded, each in a process of its own; a failure does not stop the others.

    Args:
        of: from `jobs`.
        given: variables for every run that takes them, such as DATA_DIR.

    Returns:
        the commands that failed.
    """
    pending, failed = [job for job in of if not job.recorded], []
    for number, job in enumerate(pending):
        left = _left(pending[number:])
        print(f"[{len(of) - len(pending) + number + 1} of {len(of)}] {job.command}   ({left})", file=sys.stderr)
        shared = [f"{name}={text}" for name, text in given.items() if name in experiments.get(job.experiment).options]
        start = time.monotonic()
        words = ["run", *job.words, *shared, "--results", str(results.ROOT)]
        child = subprocess.Popen([sys.executable, "-m", "deepcluster_tf.command", *words])
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.terminate()  # it says itself how to go on
            child.wait()
            raise
        if code:
            failed.append(job.command)
            print(f"failed after {duration(time.monotonic() - start)}: {job.command}", file=sys.stderr)
    return failed
