"""The figures of the VAE with named clusters: accuracy as names are given, reconstructions, decoded cluster centres."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from deepcluster_tf.experiments import Row, Table, results, running
from deepcluster_tf.files import read_csv, read_npz
from deepcluster_tf.reporting.figures.style import blank, looks, rows_of_images, save

NOT_YET = "not recorded yet:\nmake mnist-vae-table"


def curve(runs: list[dict], file: str, x: str, y: str) -> pd.DataFrame:
    """Mean and deviation of a column over the seeds, at each row of a log; columns x, mean, std."""
    logs = [read_csv(run["directory"] / file, (x, y)) for run in runs]
    table = pd.concat([log.assign(row=range(len(log))) for log in logs]).groupby("row")
    return pd.DataFrame({"x": table[x].mean(), "mean": table[y].mean(), "std": table[y].std().fillna(0)})


def _draw(axes, found: pd.DataFrame, label: str, look: dict, **how) -> None:
    axes.errorbar(found["x"], found["mean"], found["std"], label=label, capsize=2, elinewidth=1.2, **look, **how)


def _printed(axes, points: list, label: str, colour: str) -> None:
    axes.plot(*np.transpose(points), label=label, color=colour, marker="s", mfc="white", ls="--", ms=4, zorder=3)


def _finish(axes, path: Path, title: str, x: str, y: str, empty: bool) -> Path:
    axes.set(xlabel=x, ylabel=y, title=title, ylim=(0, 1))
    axes.grid(alpha=0.3)
    if empty:
        blank(axes, NOT_YET)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8)
    return save(axes.figure, path)


def _axes():
    return plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]


def _row(table: Table, **settings) -> Row:
    """The row of these settings."""
    return next(row for row in (*table.rows, *table.drawn) if row.settings == settings)


def _named(table: Table, k: int) -> Row:
    """The row of a mixture of k clusters, none of which is split."""
    return _row(table, n_clusters=k, clustering="mixture", depth=1)


def accuracy_by_epoch(table: Table, printed: dict, root: Path, path: Path) -> Path:
    """Test accuracy after each epoch, and the pictures named by then (Figure 4)."""
    how = {"figsize": (6.4, 5.6), "layout": "constrained", "height_ratios": (3, 1)}
    _, (axes, below) = plt.subplots(2, 1, sharex=True, **how)
    below.set(xlabel="epoch", ylabel="pictures named")
    below.grid(alpha=0.3)
    ways = {
        "k-means, ours": _row(table),
        "Gaussian mixture, 40 clusters, none split, ours": _named(table, 40),
        "the same, 16 clusters, six epochs": _row(table, n_clusters=16, clustering="mixture", depth=1, epochs=6),
    }
    drawn = 0
    for (label, row), look in zip(ways.items(), looks(len(ways))):
        runs = running.runs_of(row, root)
        if runs:
            _draw(axes, curve(runs, "history.csv", "epoch", "test_acc"), f"{label} (seeds: {len(runs)})", look)
            _draw(below, curve(runs, "history.csv", "epoch", "annotations"), label, look)
            drawn += 1
    _printed(axes, printed["figure_4"], "k-means, paper (which counts six epochs)", "black")
    return _finish(
        axes, path, "MNIST: accuracy of the class head", "", "accuracy on the test images (fraction)", not drawn
    )


def reconstruction_by_z_dim(table: Table, printed: dict, root: Path, path: Path) -> Path:
    """Reconstruction accuracy against the latent dimensions, without names (Figure 5)."""
    axes, drawn, found = _axes(), 0, {row.settings["z_dim"]: running.runs_of(row, root) for row in table.drawn}
    ways = {
        "reconstruction_acc": "ours, a reader sure by 0.7",
        "reconstruction_acc_guessed": "ours, a reader however unsure",
    }
    for (score, label), look in zip(ways.items(), looks(len(ways))):
        rows = []
        for z, runs in found.items():
            values = [run["metrics"][score]["value"] for run in runs if score in run["metrics"]]
            if values:
                rows.append({"x": z, **results.mean_and_std(values, "mean")})
        if rows:
            _draw(axes, pd.DataFrame(rows).rename(columns={"mean_std": "std"}).fillna(0), label, look)
            drawn += 1
    _printed(axes, printed["figure_5"], "paper, a person", "black")
    axes.set_xticks(list(found))
    title = "MNIST: reconstructions that can be read, without names"
    return _finish(axes, path, title, "latent dimensions", "share of 128 validation images", not drawn)


def reconstruction_by_epoch(table: Table, printed: dict, root: Path, path: Path) -> Path:
    """Reconstruction accuracy every 300 steps, with and without names (Figure 6)."""
    axes, drawn = _axes(), 0
    ways = (
        ("with names (k-means)", _row(table), "figure_6_semi_supervised"),
        ("with names (mixture, 40 clusters)", _named(table, 40), None),
        ("without", _row(table, gamma=0.0), "figure_6_unsupervised"),
    )
    for (label, row, beside), look in zip(ways, looks(len(ways))):
        runs = running.runs_of(row, root)
        if runs:
            _draw(axes, curve(runs, "readings.csv", "epoch", "reconstruction_acc"), f"{label}, ours", look)
            drawn += 1
        if beside:
            _printed(axes, printed[beside], f"{label.partition(' (')[0]}, paper", look["color"])
    title = "MNIST: reconstructions that can be read, with and without names"
    return _finish(axes, path, title, "epoch", "share of 128 validation images", not drawn)


def accuracy_by_annotations(table: Table, root: Path, path: Path) -> Path:
    """Test accuracy against the pictures named so far: centres of clusters beside single images."""
    axes, drawn = _axes(), 0
    rows = [row for row in table.rows if row.curve]
    for row, look in zip(rows, looks(len(rows))):
        runs = running.runs_of(row, root)
        if runs:
            found = curve(runs, "history.csv", "annotations", "test_acc")
            found["x"] = found["x"].shift(fill_value=0)  # an epoch learns from the names given before it
            _draw(axes, found, row.curve, look, ls="-" if row.settings.get("query") is None else ":")
            drawn += 1
    title = "MNIST: what naming a picture buys"
    return _finish(axes, path, title, "pictures named so far", "accuracy on the test images (fraction)", not drawn)


def centers(run: dict, path: Path) -> Path:
    """Decoded cluster centres after the first and the last epoch (Figures 2 and 3)."""
    kept = read_npz(run["directory"] / "centers.npz", ("labels_1", "pictures_1"))
    last = max(int(name.rpartition("_")[2]) for name in kept)
    rows = {f"epoch {epoch}": kept[f"pictures_{epoch}"] for epoch in (1, last)}
    names = [run["class_names_given"][label] if label >= 0 else "?" for label in kept["labels_1"]]
    title = "Decoded cluster centres; above, what the reader saw in them after epoch 1 (?: no digit)"
    return rows_of_images(rows, title, path, {"epoch 1": names})


def write(table: Table, folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of such a table; returns the files."""
    printed, name = results.reference()[table.name], table.rows[0].experiment
    written = [
        accuracy_by_epoch(table, printed, root, folder / f"{name}-figure-4.png"),
        reconstruction_by_z_dim(table, printed, root, folder / f"{name}-figure-5.png"),
        reconstruction_by_epoch(table, printed, root, folder / f"{name}-figure-6.png"),
        accuracy_by_annotations(table, root, folder / f"{name}-annotations.png"),
    ]
    runs = running.runs_of(_row(table), root)
    if runs:
        written.append(centers(runs[0], folder / f"{name}-figures-2-and-3.png"))
    return written
