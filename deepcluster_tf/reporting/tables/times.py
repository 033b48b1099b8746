"""How long the experiments took, as recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import results
from deepcluster_tf.reporting.tables import markdown


def frame(root: Path | None = None) -> pd.DataFrame:
    """Minutes of the recorded runs of each experiment, on two cores without a GPU.

    Args:
        root: the results folder.

    Returns:
        "experiment", "what", "runs", "median", "least", "most", and "before": minutes of an autoencoder that is trained
        once and shared, NaN where there is none.
    """
    rows = []
    for run in results.all_results(root):
        if experiments.get(run["experiment"]).data and run["machine"]["cores"] == 2 and not run["machine"]["gpus"]:
            before = run["autoencoder"]["seconds"] / 60 if "autoencoder" in run else np.nan
            rows.append((run["experiment"], sum(run["seconds"].values()) / 60, before))
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
