"""What methods make of the same few labels: a row a method, a column a number of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Row, Table, results, running
from deepcluster_tf.reporting.tables import markdown
from deepcluster_tf.reporting.tables.markdown import DASH, cell

SCORES = ("acc", "nmi", "ari")


def told(row: Row) -> str:
    """How many labels a row is told, in words."""
    if count := row.settings.get("labels_per_class"):
        return f"{count} a class"
    if count := row.settings.get("pictures"):
        return f"{count} pictures"
    return f"{100 * row.settings['supervision']:g} %"


def _key(row: Row, score: str) -> str:
    """The metric of a row: over the images whose label was not told, or, where pictures are named, the test images."""
    if "pictures" in row.settings:
        return f"test_{score}"
    return f"{score}_unsupervised" + (f"_{row.by}" if row.by else "")


def frame(of: Table, root: Path | None = None) -> pd.DataFrame:
    """A row for each method and number of labels.

    Args:
        of: whose rows have a supervision each.
        root: the results folder.

    Returns:
        mean and standard deviation over the seeds, on the images whose label was not told; minutes a run; NaN where
        nothing is recorded, with the command that would fill it.
    """
    rows = []
    for declared in of.rows:
        found = running.runs_of(declared, root)
        command = experiments.get(declared.experiment).command(declared.settings)
        (amount,) = (value for name, value in declared.settings.items() if name != "features")
        row = {"what": declared.label, "labels": told(declared), "amount": amount, "seeds": len(found)}
        for name in SCORES:
            key = _key(declared, name)
            row |= results.mean_and_std([run["metrics"][key]["value"] for run in found], name)
        minutes = [markdown.minutes(run, "n2d" if "pictures" in run["settings"] else declared.by) for run in found]
        rows.append({**row, "minutes": float(np.mean(minutes)) if minutes else np.nan, "command": command})
    return pd.DataFrame(rows)


def _matrix(found: pd.DataFrame, show) -> str:
    columns = list(dict.fromkeys(found["labels"]))
    lines = []
    for what, rows in found.groupby("what", sort=False):
        of = rows.set_index("labels")
        lines.append([what, *(show(of.loc[column]) for column in columns)])
    return markdown.rows(["Labels", *columns], lines)


def _score(name: str):
    return lambda row: cell(row[name], row[f"{name}_std"])


def page(of: Table, root: Path | None = None) -> str:
    """`frame` for people: ACC, NMI and minutes, a table each, the commands, and the deviations below."""
    found = frame(of, root)
    lines = [markdown.heading(of), "", of.protocol, ""]
    for name, what in (("acc", "ACC"), ("nmi", "NMI")):
        lines += [f"## {what}", "", _matrix(found, _score(name)), ""]
    minutes = _matrix(found, lambda row: f"{row['minutes']:.1f}" if row["seeds"] else DASH)
    lines += ["## Minutes a run", "", minutes, "", "## Seeds recorded", ""]
    lines += [_matrix(found, lambda row: f"{row['seeds']}: `{row['command']}`"), "", *markdown.notices(of, root)]
    lines.append("Deviations from the papers:")
    for method in markdown.methods_of(of):
        lines += ["", f"{method.__name__}:", "", *markdown.deviations(method)]
    return "\n".join(lines) + "\n"


def readme(of: Table, root: Path | None = None) -> str:
    """ACC alone: the README's table."""
    return _matrix(frame(of, root), _score("acc"))
