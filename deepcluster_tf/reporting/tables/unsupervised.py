"""Clusterings without labels, ours and those that others print: ACC, NMI and ARI, a row each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Table, results, running
from deepcluster_tf.reporting.tables import markdown
from deepcluster_tf.reporting.tables.markdown import DASH, cell

SCORES = {"acc": "ACC one to one", "balanced": "mean of the classes", "nmi": "NMI", "ari": "ARI"}


def frame(of: Table, root: Path | None = None) -> pd.DataFrame:
    """A row for each method and clustering, then one for each that others print.

    Args:
        of: whose rows name a clustering of their runs each.
        root: the results folder.

    Returns:
        mean and standard deviation over the seeds, minutes a run, the most memory in GiB; NaN where nothing is
        recorded, with the command that would fill it, or where nothing is printed.
    """
    rows = []
    for declared in of.rows:
        found = running.runs_with(declared, f"{of.scores[0]}_{declared.by}", root)
        command = experiments.get(declared.experiment).command(declared.settings)
        row = {"what": declared.label, "seeds": len(found), "command": command, "source": "", "whose": declared.whose}
        for name in of.scores:
            values = [run["metrics"][f"{name}_{declared.by}"]["value"] for run in found]
            row |= results.mean_and_std(values, name)
        minutes = [markdown.minutes(run, declared.by.removesuffix("_training")) for run in found]
        row["minutes"] = float(np.mean(minutes)) if minutes else np.nan
        row["gib"] = float(np.mean([run.get("peak_gib", np.nan) for run in found])) if found else np.nan
        rows.append(row)
    for label, said in results.reference().get(of.name, {}).items():
        source = said.get("source", "the authors' paper or code")
        row = {"what": label, "seeds": 0, "command": "", "source": source, "whose": "as printed"}
        for name in of.scores:
            row |= {name: said.get(name, np.nan), f"{name}_std": said.get(f"{name}_std", np.nan)}
        rows.append(row | {"minutes": np.nan, "gib": np.nan})
    return pd.DataFrame(rows)


def _cells(of: Table, row: dict) -> list[str]:
    return [row["what"], *(cell(row[name], row[f"{name}_std"]) for name in of.scores)]


def _titles(of: Table) -> list[str]:
    return [SCORES[name] for name in of.scores]


def page(of: Table, root: Path | None = None) -> str:
    """`frame` for people, and the deviations below."""
    found = frame(of, root)
    measured = found["gib"].notna().any()
    ours = [
        [
            *_cells(of, row),
            str(row["seeds"] or DASH),
            f"{row['minutes']:.1f}" if row["seeds"] else DASH,
            *([DASH if np.isnan(row["gib"]) else f"{row['gib']:.1f}"] if measured else []),
            f"`{row['command']}`",
        ]
        for row in found[found["source"] == ""].to_dict("records")
    ]
    theirs = [[*_cells(of, row), row["source"]] for row in found[found["source"] != ""].to_dict("records")]
    lines = [markdown.heading(of), ""]
    lines += [
        markdown.rows(["Run here", *_titles(of), "seeds", "minutes", *(["GiB"] if measured else []), "command"], ours),
        "",
    ]
    if theirs:
        lines += [markdown.rows(["As others print it", *_titles(of), "source"], theirs), ""]
    lines += [of.protocol, "", *_starts(of, root), *markdown.notices(of, root), "Deviations from the papers:"]
    for method in markdown.methods_of(of):
        lines += ["", f"{method.__name__}:", "", *markdown.deviations(method)]
    return "\n".join(lines) + "\n"


def _starts(of: Table, root: Path | None) -> list[str]:
    """The spread of ACC over the starts of a clustering whose likeliest start is kept."""
    lines = []
    for row in of.rows:
        for run in running.runs_of(row, root):
            if starts := run.get("starts", {}).get(row.by.removesuffix("_training")):
                said = ", ".join(f"{acc:.4f}" for acc in starts)
                lines.append(f"- {row.label}, seed {run['seed']}: {said}")
    return (
        ["ACC of each start of a mixture, the likeliest, which is the one kept, first:", "", *lines, ""]
        if lines
        else []
    )


def readme(of: Table, root: Path | None = None) -> str:
    """The scores without the details: the README's table."""
    found = frame(of, root).to_dict("records")
    lines = [[*_cells(of, row), str(row["seeds"] or DASH), row["whose"]] for row in found]
    return markdown.rows(["Method", *_titles(of), "seeds", "whose"], lines)
