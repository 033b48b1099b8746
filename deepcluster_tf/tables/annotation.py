"""Test accuracy and the number of annotations, ours beside the document's (document 000)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.tables import markdown
from deepcluster_tf.tables.markdown import DASH, cell

OPTIONS = {"n_clusters": "K", "z_dim": "Z", "learning_rate": "RATE"}  # setting -> the variable of `make`
OPTIONS |= {
    name: name.upper() for name in ("epochs", "beta", "gamma", "a", "clustering", "distance", "decay", "depth", "query")
}

WEIGHTS = (
    "The weight w = p_c exp(-a d) of eq. 2 is the mean over the images that have a name. It falls fast: with "
    "a = 5, at a distance of 1, it is 0.0067, and gamma w is 1 beside a reconstruction loss that is summed over all "
    "pixels. Names of so small a weight can shape the class head, whose optimizer does not mind their size, more than "
    "the encoder. The mixture's posterior, which takes the place of exp(-a d), does not fall so."
)


def table(experiment: Experiment, root: Path | None = None) -> pd.DataFrame:
    """A row for each way of naming; mean and standard deviation over the seeds.

    Args:
        experiment: one whose reference lists ways of naming.
        root: the results folder.

    Returns:
        NaN where nothing is recorded, with the command that would fill it.
    """
    rows = []
    for of in [*results.reference(root)[experiment.reference]["rows"], *_by_people(experiment, root)]:
        found = results.runs_of(of["experiment"], of["variant"], root)
        row = {"what": of["what"], "seeds": len(found), "command": of["command"], "printed": of.get("printed", "")}
        row["annotations"] = np.mean([run["annotations"] for run in found]) if found else np.nan
        for name in ("clusters", "weight"):
            values = [run["naming"][name] for run in found if name in run.get("naming", {})]
            row[name] = np.mean(values) if values else np.nan
        for name in ("test_acc", "reconstruction_acc"):
            row |= results.mean_and_std([run["metrics"][name]["value"] for run in found], name)
        row["test_acc_document"] = of.get("test_acc", np.nan)
        row["test_acc_difference"] = row["test_acc"] - row["test_acc_document"]
        rows.append(row)
    return pd.DataFrame(rows)


def _by_people(experiment: Experiment, root: Path | None) -> list[dict]:
    """Rows like the reference's, of the recorded runs in which no reader stood in for a person."""
    rows = {}
    for run in results.all_results(root):
        annotator = run["settings"].get("annotator", "reader")
        if run["experiment"] == experiment.name and annotator != "reader":
            variant = run["directory"].parent.name
            who = {"browser": "a person, in the browser", "file": "a file of answers"}[annotator]
            what = f"{who} ({variant.removeprefix('annotator-')})"
            command = _command(experiment, run)
            rows[variant] = {"experiment": experiment.name, "variant": variant, "what": what, "command": command}
    return list(rows.values())


def _command(experiment: Experiment, run: dict) -> str:
    """What repeats a person's run: the same settings, and the answers out of the file where it kept them."""
    usual = {**experiment.method_class().defaults(), **experiment.settings}
    given = {name: value for name, value in run["settings"].items() if name in OPTIONS and value != usual[name]}
    plain = lambda value: f"{value:g}" if isinstance(value, float) else value
    options = [f"{OPTIONS[name]}={plain(value)}" for name, value in given.items()]
    where = Path("results", "runs", *run["directory"].parts[-3:])
    return " ".join(["make", experiment.name, *options, f"ANNOTATOR=file ANSWERS={where / 'annotations.csv'}"])


def page(experiment: Experiment, root: Path | None = None) -> str:
    """`table` for people, and the deviations below."""
    reference = results.reference(root)[experiment.reference]
    header = ["What was named", "annotations", "test ACC ours", "document", "difference", "reconstruction ACC"]
    header += ["clusters", "mean weight w"]
    cells = []
    for row in table(experiment, root).to_dict("records"):
        cells.append(_cells(row) + [cell(row["reconstruction_acc"], row["reconstruction_acc_std"])])
        cells[-1] += [DASH if np.isnan(row["clusters"]) else f"{row['clusters']:.1f}", cell(row["weight"])]
        cells[-1] += [str(row["seeds"] or DASH), "paper" if row["seeds"] else DASH, f"`{row['command']}`"]
    lines = [f"# {experiment.reference}: {reference['table']} of document {reference['document']}", ""]
    lines += [markdown.rows([*header, "seeds", "budget", "command"], cells), "", reference["protocol"], ""]
    lines += [WEIGHTS, ""]
    lines += ["Deviations from the document:", "", *markdown.deviations(experiment.method_class())]
    return "\n".join(lines) + "\n"


def _cells(row: dict) -> list[str]:
    annotations = DASH if np.isnan(row["annotations"]) else f"{row['annotations']:.0f}"
    document = cell(row["test_acc_document"]) + (f" ({row['printed']})" if row["printed"] else "")
    cells = [row["what"], annotations, cell(row["test_acc"], row["test_acc_std"]), document]
    return [*cells, cell(row["test_acc_difference"], sign="+")]


def readme(experiment: Experiment, root: Path | None = None) -> str:
    """The README's table: without the commands."""
    header = ["What was named", "annotations", "test ACC", "document", "difference", "seeds"]
    records = table(experiment, root).to_dict("records")
    return markdown.rows(header, [[*_cells(row), str(row["seeds"] or DASH)] for row in records])
