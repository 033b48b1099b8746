"""Clusterings without labels: scores beside those that others print, searches, maps, confusions, losses."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from deepcluster_tf.experiments import Row, Table, running
from deepcluster_tf.files import read_csv, read_npz
from deepcluster_tf.reporting.figures.clusterings import searches, thumbnails
from deepcluster_tf.reporting.figures.style import COLOURS, confusion_matrix, looks, projection, save
from deepcluster_tf.reporting.tables import unsupervised

STAGES = {
    "clustering": "neighbours' agreement less entropy, all heads",
    "self-labelling": "cross-entropy",
}


def scores(found: pd.DataFrame, title: str, path: Path) -> Path:
    """ACC and NMI of every method: ours with the deviation of the seeds, and as others print them.

    Args:
        found: from `tables.unsupervised.frame`; rows without a score are left out.
        title: of the figure.
        path: the file.
    """
    found = found[found["acc"].notna()].iloc[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8.6, 1.4 + 0.36 * len(found)), layout="constrained")
    for name, colour, marker, shift in (("acc", COLOURS[0], "o", 0.14), ("nmi", COLOURS[2], "s", -0.14)):
        for whose in found["whose"].iloc[::-1].unique():
            rows = found[(found["whose"] == whose) & found[name].notna()]
            if len(rows):
                face = colour if whose == "ours" else "white"
                axes.errorbar(
                    rows[name], rows.index + shift, xerr=rows[f"{name}_std"].fillna(0), fmt=marker, color=colour,
                    mfc=face, capsize=3, label=f"{unsupervised.SCORES[name].removesuffix(' one to one')}, {whose}",
                )  # fmt: skip
    axes.set(xlabel="score (fraction)", xlim=(0, 1), yticks=range(len(found)), yticklabels=found["what"])
    axes.set_title(title)
    axes.grid(alpha=0.3)
    if len(found):
        figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    else:
        axes.text(0.5, 0.5, "nothing is recorded yet", ha="center", transform=axes.transAxes)
    return save(figure, path)


def confusion(run: dict, by: str, title: str, path: Path) -> Path:
    """The images of each class in each cluster."""
    figure, axes = plt.subplots(figsize=(7.6, 6.4), layout="constrained")
    confusion_matrix(axes, np.array(run["confusion"][by]), run["class_names"])
    axes.set_title(f"{title}: {by}, seed {run['seed']} (ACC {run['metrics'][f'acc_{by}']['value']:.4f})")
    return save(figure, path)


def losses(seeds: list[dict], title: str, path: Path) -> Path:
    """The loss of each of SCAN's stages as training goes on, a line a seed."""
    figure, panels = plt.subplots(1, len(STAGES), figsize=(9.6, 4), layout="constrained")
    for axes, (stage, what) in zip(panels, STAGES.items()):
        for run, look in zip(seeds, looks(len(seeds), dense=True)):
            curve = read_csv(run["directory"] / f"{stage}.csv", ("epoch", "loss"))
            axes.plot(curve["epoch"], curve["loss"], label=f"seed {run['seed']}", **look)
        axes.set(xlabel="epoch", ylabel="loss (nats)", title=f"{stage}: {what}")
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    figure.suptitle(title)
    return save(figure, path)


def _pictures(rows: list[Row], seeds: list[dict], folder: Path) -> list[Path]:
    """What is seen of a run: its searches, its map, its losses, and the confusion of the last row that has one."""
    run, of = seeds[0], rows[0].experiment
    name = of if (variant := run["directory"].parent.name) == "paper" else f"{of}-{variant}"
    kept = read_npz(run["directory"] / "pictures.npz", ("targets", "similar", "thumbnails", "rows"))
    written = [searches(run, kept, of, folder / f"{name}-searches.png")]
    if projection(run):  # else what it is made of is on the machine where it ran
        written.append(thumbnails(run, kept, name, folder / f"{name}-map.png"))
    for row in [row for row in rows if row.by in run.get("confusion", {})][-1:]:
        written.append(confusion(run, row.by, name, folder / f"{name}-confusion-{row.by}.png"))
    if all((run["directory"] / f"{stage}.csv").exists() for run in seeds for stage in STAGES):
        written.append(losses(seeds, name, folder / f"{name}-losses.png"))
    return written


def write(table: Table, folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of such a table; returns the files."""
    written = [
        scores(unsupervised.frame(table, root), f"{table.name}: over all images", folder / f"{table.name}-scores.png")
    ]
    if any(row.whose != "ours" for row in table.rows):
        return written  # the pictures of our runs are drawn for the table that is about them
    runs: dict[str, list[Row]] = {}
    for row in table.rows:
        runs.setdefault(running.variant_of(row) + row.experiment, []).append(row)
    for rows in runs.values():
        seeds = running.runs_of(rows[0], root)
        searched = seeds and seeds[0]["protocol"] == "clusterings"  # others have figures of their own
        if searched and (seeds[0]["directory"] / "pictures.npz").exists():
            written += _pictures(rows, seeds, folder)
    return written
