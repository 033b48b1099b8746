"""What there is to run, and how long it took as recorded, on two cores without a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import options, results, running
from deepcluster_tf.reporting.tables import markdown

TO_RUN = {  # the first command of each method -> what it is, and its page
    "fashion-dcec SUP=0.01": (
        "SDCEC: an autoencoder, a clustering layer, some labels; `mnist-dcec`, `digits-dcec`", "dcec"
    ),
    "fashion-ae": ("Akula: k-means and mixtures on encodings", "autoencoder"),
    "fashion-raw": ("the same on pixels", "raw"),
    "mnist-vae": ("a VAE whose cluster centres a reader names, or you: `ANNOTATOR=browser`", "vae"),
    "cifar-similarity": (
        "Schultz, Singh: encodings of CIFAR-10; `cifar-representation`, `cifar-ae`, `cifar-resnet`",
        "siamese",
    ),
    "cifar-control": ("the same images scaled down", "control"),
    "cifar-frozen": (
        "features of a pretrained network, clustered (they take ten minutes once); `fashion-frozen`, `mnist-frozen`",
        "frozen",
    ),
    "cifar-scan BACKBONE=EfficientNetLite2": ("SCAN's heads on them; without `BACKBONE`: from nothing, hours", "scan"),
    "cifar-deepcluster": ("a network that learns the clusters of its own features", "deepcluster"),
    "cifar-dec": ("DCEC's clustering layer on a contrastive encoder, 80 of the minutes; seed 0's is shipped", "dec"),
    "fashion-umap": ("no network at all: UMAP and a mixture; `mnist-umap`, `cifar-umap`", "umap"),
    "fashion-fixmatch SUP=0.01": ("few labels, or none: a network that learns from its own sure answers", "fixmatch"),
    "fashion-classifier SUP=0.01": ("plain classifiers on the same labels", "classifier"),
    "mnist-peers ALGORITHM=DEC": (
        "the library that people would use instead: ClustPy, on the same images; `fashion-peers`, `bench-peers`",
        "peers",
    ),
    "mnist-names PICTURES=20": ("a handful of names; `fashion-names`", "names"),
}  # fmt: skip


def commands(root: Path | None = None) -> str:
    """The README's table of what there is to run: the mean minutes of the recorded runs of each command."""
    lines = []
    for command, (what, page) in TO_RUN.items():
        name, *words = command.split()
        experiment = experiments.get(name)
        settings, _ = options.parse_experiment(experiment, dict(word.split("=") for word in words))
        variant = running.variant(experiment, *running.prepare(experiment, settings))
        runs = [run for run in results.runs_of(name, variant, root) if _on_two_cores(run)]
        minutes = f"{np.mean([_minutes(run) for run in runs]):.0f}" if runs else markdown.DASH
        lines.append([f"`make {command}`", what, minutes, f"[{page}](results/methods/{page}.md)"])
    return markdown.rows(["command", "what it is", "minutes", "explained in"], lines)


def _minutes(run: dict) -> float:
    return sum(run["seconds"].values()) / 60


def _on_two_cores(run: dict) -> bool:
    return run["machine"].get("processors", run["machine"]["cores"]) == 2 and not run["machine"]["gpus"]


def frame(root: Path | None = None) -> pd.DataFrame:
    """Minutes of the recorded runs of each experiment, on two cores without a GPU.

    Args:
        root: the results folder.

    Returns:
        "experiment", "runs", "median", "least", "most", and "before": minutes of an autoencoder that is trained
        once and shared, NaN where there is none.
    """
    rows = []
    for run in results.all_results(root):
        if experiments.get(run["experiment"]).data and _on_two_cores(run):
            before = run["autoencoder"]["seconds"] / 60 if "autoencoder" in run else np.nan
            rows.append((run["experiment"], _minutes(run), before))
    runs = pd.DataFrame(rows, columns=["experiment", "minutes", "before"])
    found = runs.groupby("experiment")["minutes"].agg(runs="count", median="median", least="min", most="max")
    found["before"] = runs.groupby("experiment")["before"].max()
    order = [name for name in experiments.EXPERIMENTS if name in found.index]
    return found.loc[order].rename_axis("experiment").reset_index()


def readme(root: Path | None = None) -> str:
    """`frame` for people."""
    lines = []
    for row in frame(root).to_dict("records"):
        said = f"{row['median']:.0f} ({row['least']:.0f} to {row['most']:.0f})"
        before = markdown.DASH if np.isnan(row["before"]) else f"{row['before']:.0f}"
        lines.append([f"`make {row['experiment']}`", said, before, str(row["runs"])])
    return markdown.rows(["experiment", "minutes: median (least to most)", "its autoencoder before", "runs"], lines)
