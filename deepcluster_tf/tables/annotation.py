"""Test accuracy and the number of annotations, ours beside the document's (document 000)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.tables import markdown
from deepcluster_tf.tables.markdown import DASH, cell


def table(experiment: Experiment, root: Path | None = None) -> pd.DataFrame:
    """A row for each way of naming; mean and standard deviation over the seeds.

    Args:
        experiment: one whose reference lists ways of naming.
        root: the results folder.

    Returns:
        NaN where nothing is recorded, with the command that would fill it.
    """
    rows = []
    for of in results.reference(root)[experiment.reference]["rows"]:
        found = results.runs_of(of["experiment"], of["variant"], root)
        row = {"what": of["what"], "seeds": len(found), "command": of["command"]}
        row["annotations"] = np.mean([run["annotations"] for run in found]) if found else np.nan
        for name in ("test_acc", "reconstruction_acc"):
            row |= results.mean_and_std([run["metrics"][name]["value"] for run in found], name)
        row["test_acc_document"] = of.get("test_acc", np.nan)
        row["test_acc_difference"] = row["test_acc"] - row["test_acc_document"]
        rows.append(row)
    return pd.DataFrame(rows)


def page(experiment: Experiment, root: Path | None = None) -> str:
    """`table` for people, and the deviations below."""
    reference = results.reference(root)[experiment.reference]
    header = ["What the reader named", "annotations", "test ACC ours", "document", "difference", "reconstruction ACC"]
    cells = []
    for row in table(experiment, root).to_dict("records"):
        cells.append(_cells(row) + [cell(row["reconstruction_acc"], row["reconstruction_acc_std"])])
        cells[-1] += [str(row["seeds"] or DASH), "paper" if row["seeds"] else DASH, f"`{row['command']}`"]
    lines = [f"# {experiment.reference}: {reference['table']} of document {reference['document']}", ""]
    lines += [markdown.rows([*header, "seeds", "budget", "command"], cells), "", reference["protocol"], ""]
    lines += ["Deviations from the document:", "", *markdown.deviations(experiment.method_class())]
    return "\n".join(lines) + "\n"


def _cells(row: dict) -> list[str]:
    annotations = DASH if np.isnan(row["annotations"]) else f"{row['annotations']:.0f}"
    cells = [row["what"], annotations, cell(row["test_acc"], row["test_acc_std"]), cell(row["test_acc_document"])]
    return [*cells, cell(row["test_acc_difference"], sign="+")]


def readme(experiment: Experiment, root: Path | None = None) -> str:
    """The README's table: without the commands."""
    header = ["What the reader named", "annotations", "test ACC", "document", "difference", "seeds"]
    records = table(experiment, root).to_dict("records")
    return markdown.rows(header, [[*_cells(row), str(row["seeds"] or DASH)] for row in records])
