"""What the tables share: cells, rows, deviations, and the places in the README that they fill."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import numpy as np

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Experiment, Row, Table, running

DASH = "–"


def cell(value: float, std: float = np.nan, sign: str = "", percent: bool = False) -> str:
    """A score with its standard deviation, as a fraction or in percent, or a dash where there is none."""
    if np.isnan(value):
        return DASH
    scale, digits = (100, 3) if percent else (1, 4)
    return f"{scale * value:{sign}z.{digits}f}" + ("" if np.isnan(std) else f" ± {scale * std:.{digits}f}")


def minutes(run: dict, by: str) -> float:
    """Of training, encoding and the clustering that a row shows; what several runs learn from once included.

    Features that runs share are not among them.
    """
    seconds = sum(run["seconds"].get(phase, 0.0) for phase in ("pretext", "training", "clustering", "encoding", by))
    return (seconds + run.get("autoencoder", {}).get("seconds", 0.0)) / 60


def rows(header: list[str], cells: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def experiments_of(of: Table) -> list[Experiment]:
    """The experiments of a table's rows, in the order in which they are declared."""
    named = {row.experiment for row in (*of.rows, *of.drawn)}
    return [experiment for name, experiment in experiments.EXPERIMENTS.items() if name in named]


def methods_of(of: Table) -> list[type]:
    """The classes of a table's methods, each once."""
    return list(dict.fromkeys(experiment.method_class() for experiment in experiments_of(of)))


def heading(of: Table) -> str:
    """A page's first line: what it shows, of which papers."""
    papers = dict.fromkeys([of.paper, *(experiment.paper for experiment in experiments_of(of))])
    said = "; with methods of ".join(f"{name} ({experiments.paper(name).cite()})" for name in papers)
    return f"# {of.name}: {of.where} of {said}"


def notices(of: Table, root: Path | None) -> list[str]:
    """What went otherwise than planned, a line a run; nothing where nothing did."""
    lines = [
        f"- {row.label}, seed {run['seed']}: {'; '.join(run['notices'])}"
        for row in of.rows
        for run in running.runs_of(row, root)
        if run["notices"]
    ]
    return ["What went otherwise than planned:", "", *lines, ""] if lines else []


def outdated(of: Table, root: Path | None) -> str:
    """The runs of rows that were recorded with other settings than such a run has now, in a sentence, or ""."""
    found = {}
    for row in (*of.rows, *of.drawn):
        experiment = experiments.get(row.experiment)
        method, protocol = running.prepare(experiment, row.settings)
        now = json.loads(json.dumps({**protocol.named, **method.get_settings()}))
        for run in running.runs_of(row, root):
            then = {name: value for name, value in run["settings"].items() if value != now.get(name) and name != "seed"}
            said = [f"{name} {_plain(value)}" for name, value in then.items() if _matters(row, name, value)]
            if said:
                seed = {"seed": run["seed"]} if run["seed"] else {}
                command = experiment.command({**row.settings, **seed})
                found.setdefault(", ".join(said), {})[f"`{command}`"] = None
    listed = "; ".join(f"with {said}: {', '.join(commands)}" for said, commands in found.items())
    return f"Recorded with settings that such runs no longer have, and so due again: {listed}." if found else ""


def _matters(row: Row, name: str, value: object) -> bool:
    """Whether a setting has an effect on a row's runs: where it has none, another value is refused."""
    try:
        value = tuple(value) if isinstance(value, list) else value
        running.prepare(experiments.get(row.experiment), {**row.settings, name: value})
    except ValueError:
        return False
    return True


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def deviations(method: type) -> list[str]:
    """The numbered deviations from the paper, out of the docstring of the method's module."""
    text = inspect.cleandoc(sys.modules[method.__module__].__doc__)
    lines = text.partition("Deviations from the paper:\n")[2].splitlines()
    found = []
    for line in lines:
        if line[:1].isdigit():
            found.append(line.strip())
        elif found and line.startswith("   "):
            found[-1] += " " + line.strip()
    return found


def fill(text: str, marker: str, content: str) -> str:
    """Put content between the comment that begins with `marker` and the next end comment of a Markdown text."""
    head, start, rest = text.partition(f"<!-- {marker}:")
    comment, end, tail = rest.partition("<!-- end -->")
    if not end:
        raise ValueError(
            f"expected the comments '<!-- {marker}: ... -->' and '<!-- end -->'; received a text without them"
        )
    return f"{head}{start}{comment.partition('-->')[0]}-->\n{content}\n{end}{tail}"
