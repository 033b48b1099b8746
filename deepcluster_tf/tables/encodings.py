"""Purity and one-to-one accuracy of k-means and the mixture, ours beside the document's (document 002)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments, results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.tables import markdown
from deepcluster_tf.tables.markdown import DASH, cell

SCORES = ("purity", "acc", "nmi", "ari")


def table(experiment: Experiment, root: Path | None = None) -> pd.DataFrame:
    """A row for each encoding, clustering and set of images; mean and standard deviation over the seeds.

    Args:
        experiment: one whose reference lists encodings and clusterings.
        root: the results folder.

    Returns:
        NaN where nothing is recorded, with the command that would fill it.
    """
    rows = []
    for where in ("training", "test"):
        for of in results.reference(root)[experiment.reference]["rows"]:
            found = results.runs_of(of["experiment"], of["variant"], root)
            row = {"scored": where, "what": of["what"], "seeds": len(found), "command": of["command"]}
            for name in SCORES:
                values = [run["metrics"][f"{name}_{of['by']}_{where}"]["value"] for run in found]
                row |= results.mean_and_std(values, name)
            row["purity_document"] = of.get("purity", np.nan) if where == "training" else np.nan
            row["purity_difference"] = row["purity"] - row["purity_document"]
            rows.append(row)
    return pd.DataFrame(rows)


def page(experiment: Experiment, root: Path | None = None) -> str:
    """`table` for people: one table for the training and one for the test images, and the deviations below."""
    reference = results.reference(root)[experiment.reference]
    lines = [f"# {experiment.reference}: {reference['table']} of document {reference['document']}", ""]
    for where, rows in table(experiment, root).groupby("scored", sort=False):
        beside = ["document, %", "difference"] if where == "training" else []  # it prints none of the test images
        header = ["Encoding and clustering", "purity, %", *beside, "ACC one to one", "NMI", "ARI", "seeds", "command"]
        cells = [_cells(row, bool(beside)) for row in rows.to_dict("records")]
        lines += [f"## Scored on the {where} images", "", markdown.rows(header, cells), ""]
    lines += [reference["protocol"], "", *_confusions(experiment, root), "Deviations from the document:"]
    of = [each for each in experiments.EXPERIMENTS.values() if each.reference == experiment.reference]
    for method in dict.fromkeys(each.method_class() for each in of):
        lines += ["", f"{method.__name__}:", "", *markdown.deviations(method)]
    return "\n".join(lines) + "\n"


def _confusions(experiment: Experiment, root: Path | None) -> list[str]:
    """The confusion matrices of the first seed in the document's layout: a row a class, a column a cluster."""
    lines = []
    for of in results.reference(root)[experiment.reference]["rows"]:
        found = results.runs_of(of["experiment"], of["variant"], root)
        if found and "purity" in of:
            counts = np.array(found[0]["confusion"][f"{of['by']}_training"])
            lines += [f"Confusion matrix of {of['what']}, seed {found[0]['seed']}:", "", "```", str(counts), "```", ""]
    return lines


def _cells(row: dict, beside: bool) -> list[str]:
    cells = [*_purities(row, beside), *(cell(row[name], row[f"{name}_std"]) for name in ("acc", "nmi", "ari"))]
    return [*cells, str(row["seeds"] or DASH), f"`{row['command']}`"]


def _purities(row: dict, beside: bool = True) -> list[str]:
    """In percent, to the third decimal that the document prints; its own and the difference `beside`."""
    of = [(row["purity"], row["purity_std"], "")]
    if beside:
        of += [(row["purity_document"], np.nan, ""), (row["purity_difference"], np.nan, "+")]
    return [row["what"], *(cell(*each, percent=True) for each in of)]


def readme(experiment: Experiment, root: Path | None = None) -> str:
    """The rows over the training images, without the details: the README's table."""
    found = table(experiment, root)
    header = ["Encoding and clustering", "purity, %", "document, %", "difference", "ACC one to one", "seeds"]
    of = found[found["scored"] == "training"].to_dict("records")
    cells = [[*_purities(row), cell(row["acc"], row["acc_std"]), str(row["seeds"] or DASH)] for row in of]
    return markdown.rows(header, cells)
