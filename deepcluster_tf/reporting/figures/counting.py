"""How many clusters the images suggest: the criterion against their number."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from deepcluster_tf import experiments
from deepcluster_tf.experiments import results
from deepcluster_tf.reporting.figures.style import looks, save


def silhouettes(found: dict[str, tuple[dict, int]], path: Path) -> Path:
    """A line for each data set, its best number as a full marker, the number of its classes as a hollow one.

    Args:
        found: title -> what a run recorded as "counted", and its number of classes, 0 where none is known.
        path: the file.
    """
    figure, axes = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
    for (title, (counted, classes)), look in zip(found.items(), looks(len(found))):
        values = dict(zip(counted["candidates"], counted["silhouettes"]))
        best = counted["n_clusters"]
        axes.plot(values.keys(), values.values(), **look | {"marker": ""})
        axes.plot(best, values[best], label=f"{title}: {best}", **look | {"ms": 9})
        if classes in values:  # around the full one, where both are at the same number
            axes.plot(classes, values[classes], **look | {"ms": 14, "mfc": "none", "mec": look["color"], "mew": 1.5})
    known = any(classes for _, classes in found.values())
    said = "full: the number that suggests itself" + ("; hollow: that of the classes" if known else "")
    axes.set(xlabel="number of clusters", ylabel="mean silhouette in UMAP space (-1 to 1)", title=f"How many? {said}")
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return save(figure, path)


def write(folder: Path, root: Path) -> list[Path]:
    """Draw what was counted: of the published data on one figure, of one's own images into the run's folder."""
    published, written = {}, []
    for run in [*results.all_results(root), *results.all_results(root, "quick")]:
        if "counted" not in run:
            continue
        title, classes = f"{run['data']['name']}, {run['counted']['of']}", len(run["class_names"])
        if not experiments.get(run["experiment"]).data:
            written.append(silhouettes({title: (run["counted"], classes)}, run["directory"] / "how-many.png"))
        elif run["budget"] != "quick":
            published.setdefault(title, (run["counted"], classes))
    return [*written, *([silhouettes(published, folder / "how-many.png")] if published else [])]
