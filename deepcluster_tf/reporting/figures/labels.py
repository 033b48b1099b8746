"""ACC of several methods against the labels that they are told."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from deepcluster_tf.experiments import Table
from deepcluster_tf.reporting.figures.style import looks, save
from deepcluster_tf.reporting.tables import labels


def curves(found: pd.DataFrame, title: str, path: Path) -> Path:
    """A line a method, with the deviation of the seeds.

    Args:
        found: from `tables.labels.frame`.
        title: of the figure. path: the file.
    """
    figure, axes = plt.subplots(figsize=(7.6, 5.8), layout="constrained")
    lines = found.groupby("what", sort=False)
    for (what, rows), look in zip(lines, looks(len(lines))):
        rows = rows[rows["seeds"] > 0]
        if len(rows):
            error = rows["acc_std"].fillna(0)
            axes.errorbar(rows["amount"], rows["acc"], error, capsize=3, elinewidth=1.2, label=what, **look)
    unit = found["labels"].iloc[0].split()[-1]
    told = {"%": "images whose label is told (%)", "class": "images of each class whose label is told"}
    over = "ACC over the other images" if unit in told else "accuracy over the test images"
    axes.set(xscale="log", xlabel=told.get(unit, "pictures that are named"), ylabel=f"{over} (fraction)", title=title)
    amounts = found.drop_duplicates("amount")
    axes.set_xticks(amounts["amount"], amounts["labels"].str.split().str[0])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    else:
        axes.text(0.5, 0.5, "nothing is recorded yet", ha="center", transform=axes.transAxes)
    return save(figure, path)


def write(table: Table, folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of such a table; returns the files."""
    return [curves(labels.frame(table, root), table.name, folder / f"{table.name}.png")]
