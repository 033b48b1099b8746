"""Encodings by clusterings: the table that Schultz describes in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Row, Table, results, running
from deepcluster_tf.reporting.tables import claims, markdown
from deepcluster_tf.reporting.tables.markdown import DASH, cell

WAYS = {
    "kmeans": "k-means",
    "mixture": "Gaussian mixture",
    "n2d": "UMAP and a mixture",
    "power_iteration": "power iteration",
    "agglomerative": "agglomerative",
    "affinity": "affinity propagation",
}
SCORES = {"ari": "Adjusted Rand index", "equivalent": "Equivalent accuracy", "acc": "ACC one to one"}
SCORES |= {"nmi": "NMI", "purity": "Purity"}

EXPLAINED = (
    "The Gaussian mixture sees the first 50 principal components of an encoding, k-means all its values. Power "
    "iteration clustering (Lin and Cohen 2010) walks on the graph of the ten nearest neighbours by cosine, from four "
    "starts instead of one. A clustering that did not converge in every run says of how many it is the mean. "
    "Sparsity is the share of values below a hundredth of an encoding's largest; invariance is how much more alike the "
    "encodings of two views of one image are than those of two images (cosines about the mean encoding). How steadily "
    "an encoding trains shows in the deviation over the seeds; but a clustering's own starts deviate too, as those of "
    "the control show, which trains nothing."
)


def frame(of: Table, root: Path | None = None) -> pd.DataFrame:
    """A row for each encoding and clustering; mean and standard deviation over the seeds.

    Args:
        of: whose rows are encodings; the first is the control.
        root: the results folder.

    Returns:
        NaN where nothing is recorded, with the command that would fill it. Random guessing is in the first rows.
    """
    rows = []
    for i, declared in enumerate(of.rows):
        found = running.runs_of(declared, root)
        for by in WAYS if i else ("random", *WAYS):
            row = {"what": declared.label, "by": by, "seeds": len(found), "command": _command(declared)}
            for name in SCORES:
                scored = [run["metrics"].get(f"{name}_{by}") for run in found]  # affinity may not converge
                values = [score["value"] for score in scored if score]
                row |= results.mean_and_std(values, name) | {"averaged": len(values)}
            rows.append(row)
    return pd.DataFrame(rows)


def _command(row: Row) -> str:
    return experiments.get(row.experiment).command(row.settings)


def _grid(found: pd.DataFrame, name: str) -> str:
    """One score: a row an encoding, a column a clustering."""
    guessed = found[found["by"] == "random"].iloc[0]
    recorded = set(found.loc[found["averaged"] > 0, "by"])  # early runs lack clusterings that came later
    ways = {way: title for way, title in WAYS.items() if way in recorded or not recorded}
    lines = [
        ["random guessing", *[cell(guessed[name], guessed[f"{name}_std"])] * len(ways), str(guessed["seeds"] or DASH)]
    ]
    for what, rows in found[found["by"] != "random"].groupby("what", sort=False):
        by = rows.set_index("by")
        cells = [_scored(by.loc[way], name) for way in ways]
        lines.append([what, *cells, str(rows["seeds"].iloc[0] or DASH)])
    return markdown.rows([f"{SCORES[name]} of", *ways.values(), "seeds"], lines)


def _scored(row: pd.Series, name: str) -> str:
    return cell(row[name], row[f"{name}_std"]) + _of(row["averaged"], row["seeds"])


def _mean(values: list[float], seeds: int) -> str:
    return cell(*results.mean_and_std(values, "").values()) + _of(len(values), seeds)


def _of(averaged: int, seeds: int) -> str:
    """What a cell says where it is the mean of fewer runs than its row has."""
    return f" ({averaged} of {seeds})" if 0 < averaged < seeds else ""


def _searches(of: Table, root: Path | None) -> str:
    """What else is said of an encoding: retrieval, sparsity, invariance, time and command."""
    lines = []
    for row in of.rows:
        found = running.runs_of(row, root)
        precision = [run["metrics"]["precision"]["value"] for run in found]
        # early records have an invariance that was not about the mean, by another name
        said = [precision, *([run[k] for run in found if k in run] for k in ("sparsity", "invariance_centred"))]
        cells = [row.label, *(_mean(values, len(found)) for values in said)]
        minutes = f"{np.mean([run['seconds']['training'] for run in found]) / 60:.0f}" if found else DASH
        lines.append([*cells, minutes, "paper" if found else DASH, f"`{_command(row)}`"])
    header = ["Encoding", "precision of the ten nearest", "sparsity", "invariance", "minutes of training", "budget"]
    return markdown.rows([*header, "command"], lines)


def _precision_by_class(of: Table, root: Path | None) -> str:
    """Precision of the ten nearest: a row an encoding, a column a class; nothing while there is no run."""
    runs = {row.label: running.runs_of(row, root) for row in of.rows}
    names = next((found[0]["class_names"] for found in runs.values() if found), [])
    mean = lambda found, name: float(np.mean([run["metrics"][f"precision_{name}"]["value"] for run in found]))
    lines = [[what, *(cell(mean(found, name)) for name in names)] for what, found in runs.items() if found]
    return markdown.rows(["Precision of the ten nearest of", *names], lines) if lines else ""


def page(of: Table, root: Path | None = None) -> str:
    """`frame` for people, and the deviations below."""
    found, lines = frame(of, root), [markdown.heading(of), ""]
    for name, title in SCORES.items():
        lines += [f"## {title}", "", _grid(found, name), ""]
    learned = [row.label for row in of.rows if row.experiment != of.rows[0].experiment]
    beyond = tuple(row.label for row in of.rows if row.beyond)
    for by in ("kmeans", "mixture"):
        lines += [f"## The paper's claims, by {WAYS[by]}", ""]
        lines += [*claims.schultz(found, learned, beyond, by), ""]
    lines += ["## Search, and the encodings themselves", "", _searches(of, root), ""]
    lines += [_precision_by_class(of, root), "", *markdown.notices(of, root), of.protocol, ""]
    lines += [EXPLAINED, ""]
    lines += ["The figure of losses shows the plateau at 0.5, where deep networks learn from very small batches:", ""]
    lines += [f"- {row.label}: `{_command(row)}`" for row in of.drawn] + [""]
    lines += ["Deviations from the papers:"]
    for method in markdown.methods_of(of):
        lines += ["", f"{method.__name__}:", "", *markdown.deviations(method)]
    return "\n".join(lines) + "\n"


def readme(of: Table, root: Path | None = None) -> str:
    """The README's table: the adjusted Rand index alone."""
    return _grid(frame(of, root), "ari")
