"""Test accuracy and the number of annotations, ours beside the paper's (VAE with named clusters)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Table, again, results, running
from deepcluster_tf.files import read_csv
from deepcluster_tf.reporting.tables import claims, markdown
from deepcluster_tf.reporting.tables.markdown import DASH, cell

WEIGHTS = (
    "The weight w = p_c exp(-a d) of eq. 2 is the mean over the images that have a name. It falls fast: with "
    "a = 5, at a distance of 1, it is 0.0067, and gamma w is 1 beside a reconstruction loss that is summed over all "
    "pixels. Names of so small a weight can shape the class head, whose optimizer does not mind their size, more than "
    "the encoder. The mixture's posterior, which takes the place of exp(-a d), does not fall so."
)

GAPS = (
    "The papers print one number each, without a deviation or the names that were given. Two causes are seen in our "
    "runs: a class without a name, and the number of names; beside each row are the fewest and the most names "
    "of the same clustering."
)


def frame(of: Table, root: Path | None = None) -> pd.DataFrame:
    """A row for each way of naming; mean and standard deviation over the seeds.

    Args:
        of: whose rows are ways of naming.
        root: the results folder.

    Returns:
        NaN where nothing is recorded, with the command that would fill it.
    """
    rows, printed = [], results.reference()[of.name]
    named = [
        (each.label, running.runs_of(each, root), experiments.get(each.experiment).command(each.settings), each.printed)
        for each in of.rows
    ]
    for what, found, command, key in [*named, *_by_people(of, root)]:
        paper = printed.get(key, {})
        row = {"what": what, "seeds": len(found), "command": command, "printed": paper.get("printed", "")}
        row["annotations"] = np.mean([run["annotations"] for run in found]) if found else np.nan
        for name in ("clusters", "weight"):
            values = [run["naming"][name] for run in found if name in run.get("naming", {})]
            row[name] = np.mean(values) if values else np.nan
        for name in ("test_acc", "reconstruction_acc"):
            row |= results.mean_and_std([run["metrics"][name]["value"] for run in found], name)
        row["test_acc_document"] = paper.get("test_acc", np.nan)
        row["test_acc_difference"] = row["test_acc"] - row["test_acc_document"]
        rows.append(row)
    return pd.DataFrame(rows)


def _by_people(of: Table, root: Path | None) -> list[tuple[str, list[dict], str, str]]:
    """Label, runs and command of the recorded runs in which no reader stood in for a person."""
    rows = {}
    for run in results.all_results(root):
        annotator = run["settings"].get("annotator", "reader")
        if run["experiment"] == of.rows[0].experiment and annotator != "reader":
            name = run["directory"].parent.name
            who = {"browser": "a person, in the browser", "file": "a file of answers"}[annotator]
            _, runs, *_ = rows.setdefault(
                name, (f"{who} ({name.removeprefix('annotator-')})", [], again.command({**run, "seed": 0}), "")
            )
            runs.append(run)
    return list(rows.values())


def page(of: Table, root: Path | None = None) -> str:
    """`frame` for people, and the deviations below."""
    header = ["What was named", "annotations", "test ACC ours", "paper", "difference", "reconstruction ACC"]
    header += ["clusters", "mean weight w"]
    cells = []
    for row in frame(of, root).to_dict("records"):
        cells.append(_cells(row) + [cell(row["reconstruction_acc"], row["reconstruction_acc_std"])])
        cells[-1] += [DASH if np.isnan(row["clusters"]) else f"{row['clusters']:.1f}", cell(row["weight"])]
        cells[-1] += [str(row["seeds"] or DASH), "paper" if row["seeds"] else DASH, f"`{row['command']}`"]
    lines = [markdown.heading(of), ""]
    lines += [markdown.rows([*header, "seeds", "budget", "command"], cells), "", of.protocol, ""]
    lines += [WEIGHTS, "", "## The paper's claims", ""]
    lines += [*claims.named_clusters(frame(of, root), _by_dimensions(of, root)), ""]
    lines += ["## Rows that differ by more than two points, and why", "", GAPS, ""]
    lines += [*claims.gaps_of_names(frame(of, root), last_names(of, root)), ""]
    lines += ["Deviations from the paper:", "", *markdown.deviations(*markdown.methods_of(of))]
    return "\n".join(lines) + "\n"


def last_names(of: Table, root: Path | None) -> dict[str, list[tuple[float, bool]]]:
    """Label -> test accuracy of each run, and whether every class had a name in its last round."""
    found = {}
    for row in of.rows:
        found[row.label] = []
        for run in running.runs_of(row, root) if row.printed else ():
            answers = read_csv(run["directory"] / "annotations.csv", ("epoch", "label"))
            last = answers[answers["epoch"] == answers["epoch"].max()]
            whole = last["label"].nunique() == len(run["class_names"])
            found[row.label].append((run["metrics"]["test_acc"]["value"], whole))
    return found


def _by_dimensions(of: Table, root: Path | None) -> dict[int, float]:
    """Mean reconstruction accuracy without names, by latent dimensions, where it is recorded."""
    found = {}
    for row in of.drawn:
        if values := [run["metrics"]["reconstruction_acc"]["value"] for run in running.runs_of(row, root)]:
            found[row.settings["z_dim"]] = float(np.mean(values))
    return found


def _cells(row: dict) -> list[str]:
    annotations = DASH if np.isnan(row["annotations"]) else f"{row['annotations']:.0f}"
    document = cell(row["test_acc_document"]) + (f" ({row['printed']})" if row["printed"] else "")
    cells = [row["what"], annotations, cell(row["test_acc"], row["test_acc_std"]), document]
    return [*cells, cell(row["test_acc_difference"], sign="+")]


def readme(of: Table, root: Path | None = None) -> str:
    """The README's table: without the commands."""
    header = ["What was named", "annotations", "test ACC", "paper", "difference", "seeds"]
    records = frame(of, root).to_dict("records")
    return markdown.rows(header, [[*_cells(row), str(row["seeds"] or DASH)] for row in records])
