"""How many clusters suggested themselves where the number of classes is known."""

from __future__ import annotations

from pathlib import Path

from deepcluster_tf import experiments
from deepcluster_tf.experiments import results
from deepcluster_tf.reporting.tables import markdown
from deepcluster_tf.reporting.tables.markdown import DASH


def readme(root: Path | None = None) -> str:
    """A row for each data set and what was looked at, from the runs with CLUSTERS=auto."""
    lines = {}
    for run in results.all_results(root):
        if "counted" not in run or not experiments.get(run["experiment"]).data:
            continue
        counted, classes = run["counted"], len(run["class_names"])
        values = dict(zip(counted["candidates"], counted["silhouettes"]))
        at = f"{values[classes]:.3f}" if classes in values else DASH
        line = [run["data"]["name"], counted["of"], str(classes), str(counted["n_clusters"])]
        lines.setdefault((line[0], line[1]), [*line, f"{values[counted['n_clusters']]:.3f}", at])
    header = [
        "images",
        "looked at",
        "classes",
        "clusters that suggest themselves",
        "silhouette",
        "at the classes' number",
    ]
    return markdown.rows(header, [lines[key] for key in sorted(lines)])
