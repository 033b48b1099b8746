"""Purity and one-to-one accuracy of k-means and the mixture, ours beside the paper's (Akula)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Table, results, running
from deepcluster_tf.reporting.tables import claims, markdown
from deepcluster_tf.reporting.tables.markdown import DASH, cell

SCORES = ("purity", "acc", "nmi", "ari")
GAPS = "Akula names neither the activations nor the batch size, and prints one number each, without a deviation."


def frame(of: Table, root: Path | None = None) -> pd.DataFrame:
    """A row for each encoding, clustering and set of images; mean and standard deviation over the seeds.

    Args:
        of: whose rows are encodings by clusterings.
        root: the results folder.

    Returns:
        NaN where nothing is recorded, with the command that would fill it.
    """
    rows, printed = [], results.reference()[of.name]
    for where in ("training", "test"):
        for declared in of.rows:
            found = running.runs_with(declared, f"acc_{declared.by}_training", root)
            command = experiments.get(declared.experiment).command(declared.settings)
            row = {"scored": where, "what": declared.label, "seeds": len(found), "command": command}
            for name in SCORES:
                values = [run["metrics"][f"{name}_{declared.by}_{where}"]["value"] for run in found]
                row |= results.mean_and_std(values, name)
            row["purity_document"] = (
                printed.get(declared.printed, {}).get("purity", np.nan) if where == "training" else np.nan
            )
            row["purity_difference"] = row["purity"] - row["purity_document"]
            rows.append(row)
    return pd.DataFrame(rows)


def page(of: Table, root: Path | None = None) -> str:
    """`frame` for people: one table for the training and one for the test images, and the deviations below."""
    lines = [markdown.heading(of), ""]
    for where, rows in frame(of, root).groupby("scored", sort=False):
        beside = ["paper, %", "difference"] if where == "training" else []  # it prints none of the test images
        header = ["Encoding and clustering", "purity, %", *beside, "ACC one to one", "NMI", "ARI", "seeds", "command"]
        cells = [_cells(row, bool(beside)) for row in rows.to_dict("records")]
        lines += [f"## Scored on the {where} images", "", markdown.rows(header, cells), ""]
    lines += ["## The paper's claims", "", *claims.akula(frame(of, root)), ""]
    lines += ["## Rows that differ by more than two points, and what was tried", "", GAPS, ""]
    lines += [*claims.gaps_of_encodings(frame(of, root)), ""]
    lines += [of.protocol, "", *_confusions(of, root), "Deviations from the paper:"]
    for method in markdown.methods_of(of):
        lines += ["", f"{method.__name__}:", "", *markdown.deviations(method)]
    return "\n".join(lines) + "\n"


def _confusions(of: Table, root: Path | None) -> list[str]:
    """The confusion matrices of the first seed in the paper's layout: a row a class, a column a cluster."""
    lines = []
    for row in of.rows:
        found = running.runs_of(row, root)
        if found and row.printed:
            counts = np.array(found[0]["confusion"][f"{row.by}_training"])
            lines += [f"Confusion matrix of {row.label}, seed {found[0]['seed']}:", "", "```", str(counts), "```", ""]
    return lines


def _cells(row: dict, beside: bool) -> list[str]:
    cells = [*_purities(row, beside), *(cell(row[name], row[f"{name}_std"]) for name in ("acc", "nmi", "ari"))]
    return [*cells, str(row["seeds"] or DASH), f"`{row['command']}`"]


def _purities(row: dict, beside: bool = True) -> list[str]:
    """In percent, to the third decimal that the paper prints; its own and the difference `beside`."""
    of = [(row["purity"], row["purity_std"], "")]
    if beside:
        of += [(row["purity_document"], np.nan, ""), (row["purity_difference"], np.nan, "+")]
    return [row["what"], *(cell(*each, percent=True) for each in of)]


def readme(of: Table, root: Path | None = None) -> str:
    """The rows over the training images, without the details: the README's table."""
    found = frame(of, root)
    header = ["Encoding and clustering", "purity, %", "paper, %", "difference", "ACC one to one", "seeds"]
    rows = found[found["scored"] == "training"].to_dict("records")
    cells = [[*_purities(row), cell(row["acc"], row["acc_std"]), str(row["seeds"] or DASH)] for row in rows]
    return markdown.rows(header, cells)
