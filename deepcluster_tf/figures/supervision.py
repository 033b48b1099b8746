"""Document 004's figures: scores against supervision, projections of the embeddings, a confusion matrix."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.figures.style import COLOURS, blank, confusion_matrix, projection, save
from deepcluster_tf.tables import supervision

PANELS = (0.0, 0.01, 0.1, 0.5)  # the supervision levels of document 004's Figure 2


def supervision_curve(experiment: Experiment, path: Path, root: Path | None = None) -> Path:
    """ACC and NMI against the supervision, ours and the document's (document 004, Figure 1)."""
    table = supervision.table(experiment, root)
    table = table[(table["scored"] == "all images") & (table["lambda"] == 1)]
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
            label=f"{name.upper()}, document",
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


def projections(found: list[dict], path: Path) -> Path:
    """UMAP of the embeddings at several supervision levels, coloured by class (document 004, Figure 2)."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 10.6), layout="constrained")
    names = next((result["class_names"] for result in found if result), [])
    for axes, level, result in zip(grid.flat, PANELS, found):
        axes.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[], title=f"supervision {100 * level:g} %")
        drawn = result and projection(result)
        if not drawn:
            blank(axes, f"not recorded yet:\n{supervision.command('fashion-dcec', level)}")
            continue
        order = np.random.default_rng(0).permutation(len(drawn["points"]))  # no class hides another
        colours = np.array(COLOURS)[drawn["classes"][order]]
        axes.scatter(*drawn["points"][order].astype(np.float32).T, s=0.6, c=colours, linewidths=0, rasterized=True)
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=n) for c, n in zip(COLOURS, names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, title="class")
    figure.suptitle("UMAP of the embeddings of all images")
    return save(figure, path)


def write(folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of document 004; returns the files."""
    experiment = experiments.get("fashion-dcec")
    runs = supervision.runs_of(experiment, root)
    first = {r["settings"]["supervision"]: r for r in reversed(runs) if r["settings"]["lam"] == 1 and r["seed"] == 0}
    written = [supervision_curve(experiment, folder / "fashion-dcec-figure-1.png", root)]
    written.append(projections([first.get(level) for level in PANELS], folder / "fashion-dcec-figure-2.png"))
    if 0.01 in first:
        written.append(confusion(first[0.01], folder / "fashion-dcec-confusion.png"))
    return written
