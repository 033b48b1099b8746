"""Akula's figures: losses, reconstructions, decoded cluster centres, confusion matrices."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from deepcluster_tf.experiments import Table, results
from deepcluster_tf.files import read_csv, read_npz
from deepcluster_tf.reporting.figures.style import confusion_matrix, looks, rows_of_images, save

NAMES = {"kmeans": "k-means", "mixture": "Gaussian mixture"}


def losses(runs: list[dict], path: Path) -> Path:
    """Training and validation loss against epochs, a colour and a marker a seed (Akula, section 5.2)."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    kept = {"marker": "*", "ms": 14, "mec": "black", "ls": "", "zorder": 3}
    for run, look in zip(runs, looks(len(runs), dense=True)):
        history = read_csv(run["directory"] / "history.csv")
        for name, label, style in (("loss", "training", "-"), ("val_loss", "validation", "--")):
            if name in history:
                axes.plot(history["epoch"], history[name], ls=style, label=f"{label}, seed {run['seed']}", **look)
        if "val_loss" in history:
            best = history.loc[history["val_loss"].idxmin()]
            axes.plot(best["epoch"], best["val_loss"], color=look["color"], **kept)
    if "val_loss" in history:
        axes.plot([], [], color="white", label="epoch whose weights are kept", **kept)
    axes.set(xlabel="epoch", ylabel="mean squared error per pixel", yscale="log")
    axes.set_title(f"{_title(runs[0])}: loss{' until early stopping' if 'val_loss' in history else ''}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return save(figure, path)


def confusions(run: dict, path: Path) -> Path:
    """Both confusion matrices over the training images (Akula, sections 5.3 and 5.4)."""
    figure, grid = plt.subplots(1, 2, figsize=(14.4, 6.4), layout="constrained")
    for axes, (by, name) in zip(grid, NAMES.items()):
        confusion_matrix(axes, np.array(run["confusion"][f"{by}_training"]), run["class_names"])
        axes.set_title(f"{name}: purity {run['metrics'][f'purity_{by}_training']['value']:.4f}")
    figure.suptitle(f"{_title(run)}, seed {run['seed']}: training images by class and cluster")
    return save(figure, path)


def pictures(run: dict, folder: Path, name: str) -> list[Path]:
    """Originals beside reconstructions, and the cluster centres decoded as images."""
    names = ("originals", "reconstructions", "classes", *(f"centers_{by}" for by in NAMES))
    kept = read_npz(run["directory"] / "pictures.npz", names)
    title, classes = f"{_title(run)}, seed {run['seed']}", run["class_names"]
    written = []
    if not np.array_equal(kept["originals"], kept["reconstructions"]):  # raw pixels are their own
        rows = {"original": kept["originals"], "reconstruction": kept["reconstructions"]}
        captions = {"original": [classes[c] if c >= 0 else "" for c in kept["classes"]]}
        written += [rows_of_images(rows, f"{title}: test images", folder / f"{name}-reconstructions.png", captions)]
    rows = {NAMES[by]: kept[f"centers_{by}"] for by in NAMES}
    captions = {NAMES[by]: _majorities(run, by) for by in NAMES}
    return [
        *written,
        rows_of_images(
            rows,
            f"{title}: centres as images, with the cluster's id, its majority class and the share of it",
            folder / f"{name}-centers.png",
            captions,
        ),
    ]


def _majorities(run: dict, by: str) -> list[str]:
    """The id of every cluster, its majority class by name, and the share that is of it."""
    counts = np.array(run["confusion"][f"{by}_training"])
    shares = counts.max(axis=0) / np.maximum(counts.sum(axis=0), 1)
    of = zip(counts.argmax(axis=0), shares)
    return [f"{cluster}: {run['class_names'][c]}\n{100 * share:.0f} %" for cluster, (c, share) in enumerate(of)]


def _title(run: dict) -> str:
    return run["experiment"] + ("" if run["directory"].parent.name == "paper" else f" {run['directory'].parent.name}")


def write(table: Table, folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of such a table's experiments, the user's other variants too; returns the files.

    Pictures are of the first seed, the losses of all.
    """
    written, runs, names = [], {}, {row.experiment for row in table.rows}
    for run in results.all_results(root):
        if run["experiment"] in names:
            runs.setdefault((run["experiment"], run["directory"].parent.name), []).append(run)
    for (experiment, variant), found in runs.items():
        name = experiment if variant == "paper" else f"{experiment}-{variant}"
        if (found[0]["directory"] / "history.csv").exists():
            written.append(losses(found, folder / f"{name}-losses.png"))
        written.append(confusions(found[0], folder / f"{name}-confusion.png"))
        if (found[0]["directory"] / "pictures.npz").exists():
            written += pictures(found[0], folder, name)
    return written
