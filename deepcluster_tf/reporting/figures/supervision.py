"""SDCEC's figures: scores against supervision, projections of the embeddings, a confusion matrix."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Row, Table, running
from deepcluster_tf.reporting.figures.style import COLOURS, blank, confusion_matrix, projection, save, scatter
from deepcluster_tf.reporting.tables import supervision

CONFUSED = 0.01  # the supervision of the confusion matrix
PANELS = (0.0, 0.01, 0.1, 0.5)  # the supervision levels of SDCEC's Figure 2


def supervision_curve(of: Table, path: Path, root: Path | None = None) -> Path:
    """ACC and NMI against the supervision, ours and the paper's (SDCEC, Figure 1)."""
    table = supervision.usual(supervision.frame(of, root))
    level = 100 * table["supervision"]
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for name, colour in (("acc", COLOURS[0]), ("nmi", COLOURS[2])):
        axes.errorbar(
            level, table[name], table[f"{name}_std"].fillna(0), color=colour, marker="o", label=f"{name.upper()}, ours"
        )
        axes.plot(
            level,
            table[f"{name}_document"],
            color=colour,
            marker="s",
            mfc="white",
            ls="--",
            label=f"{name.upper()}, paper",
        )
    axes.set(xlabel="supervised images (%)", ylabel="score over all images (fraction)", ylim=(0.5, 1))
    axes.set_title("Fashion-MNIST: clustering against supervision")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return save(figure, path)


def confusion(result: dict, path: Path) -> Path:
    """The images of each class in each cluster."""
    figure, axes = plt.subplots(figsize=(7.2, 6.4), layout="constrained")
    confusion_matrix(axes, np.array(result["confusion"]), result["class_names"])
    level, acc = f"{100 * result['settings']['supervision']:g} % supervised", result["metrics"]["acc"]["value"]
    axes.set_title(f"{result['experiment']}, {level}: images by class and cluster (ACC {acc:.4f})")
    return save(figure, path)


def projections(found: dict[Row, dict | None], path: Path) -> Path:
    """UMAP of the embeddings at several supervision levels, coloured by class (SDCEC, Figure 2)."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 10.6), layout="constrained")
    names = next((result["class_names"] for result in found.values() if result), [])
    for axes, (row, result) in zip(grid.flat, found.items()):
        axes.set(xticks=[], yticks=[], title=f"supervision {row.label}")
        drawn = result and projection(result)
        if not drawn:
            blank(axes, f"not recorded yet:\n{experiments.get(row.experiment).command(row.settings)}")
            continue
        scatter(axes, drawn["points"], drawn["classes"], names, size=0.4)
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=n) for c, n in zip(COLOURS, names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, title="class")
    figure.suptitle("UMAP of the embeddings of all images")
    return save(figure, path)


def write(table: Table, folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of such a table; returns the files."""
    name = table.rows[0].experiment
    written = [supervision_curve(table, folder / f"{name}-figure-1.png", root)]
    rows = {row.settings["supervision"]: row for row in table.rows if not row.beyond}
    first = {row: next(iter(running.runs_of(row, root)), None) for row in (rows[level] for level in PANELS)}
    first = {row: run if run and run["seed"] == 0 else None for row, run in first.items()}
    written.append(projections(first, folder / f"{name}-figure-2.png"))
    if run := first[rows[CONFUSED]]:
        written.append(confusion(run, folder / f"{name}-confusion.png"))
    return written
