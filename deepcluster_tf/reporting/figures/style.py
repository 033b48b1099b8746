"""What the figures share: one set of colours, one way to save, images side by side, a confusion matrix,
a projection.

The ten class colours are Petroff's (arXiv:2107.02270), chosen to stay apart for colour-blind readers.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.text import Text
from sklearn.decomposition import PCA

from deepcluster_tf import metrics
from deepcluster_tf.files import read_npz, replacing

COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip

FEW = 30  # images, for which UMAP's fifteen neighbours are no neighbourhood


def confusion_matrix(axes, counts: np.ndarray, class_names) -> None:
    """The images of each class in each cluster, clusters ordered by their one-to-one match.

    Args:
        axes: to draw into.
        counts: int (n_classes, n_clusters).
        class_names: of the rows; empty for their numbers.
    """
    rows, columns = metrics.matching(counts)
    order = np.concatenate([columns, np.setdiff1d(np.arange(counts.shape[1]), columns)])
    share = counts[:, order] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts[:, order]):
        axes.text(
            j, i, f"{count:,}", ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.5 else "black"
        )
    axes.set(
        xlabel="cluster", ylabel="class", xticks=range(len(order)), xticklabels=order, yticks=range(len(counts)),
        yticklabels=list(class_names) or range(len(counts)),
    )  # fmt: skip
    axes.figure.colorbar(image, ax=axes, label="share of the class", shrink=0.8)


def rows_of_images(rows: dict[str, np.ndarray], title: str, path: Path, names: dict | None = None) -> Path:
    """Images in labelled rows.

    Args:
        rows: label -> uint8 (n, height, width, channels).
        title: of the figure.
        path: the file.
        names: label -> the captions of a row's images.
    """
    columns = max(map(len, rows.values()))
    figure, grid = plt.subplots(
        len(rows), columns, figsize=(1.0 * columns + 1.4, 1.25 * len(rows) + 0.6), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for line, (label, images) in zip(grid, rows.items()):
        line[0].set_ylabel(label, rotation=0, ha="right", va="center")
        for axes, image in zip(line, images):
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        for axes, name in zip(line, (names or {}).get(label, ())):
            axes.set_title(name, fontsize=8)
    figure.suptitle(title)
    return save(figure, path)


def projection(result: dict) -> dict[str, np.ndarray] | None:
    """The two-dimensional UMAP of a run's embeddings (SDCEC, 4.3).

    Made once from the embeddings that the run left on this machine, and kept beside its result.

    Returns:
        points, float16 (n, 2), and classes, int8 (n,); None where neither the projection nor embeddings are there.
    """
    kept, embeddings = result["directory"] / "projection.npz", result["directory"] / "embeddings.npz"
    if not kept.exists():
        if not embeddings.exists():
            return None
        left = read_npz(embeddings, ("embeddings", "classes"))
        print(f"projecting {len(left['embeddings']):,} embeddings of {result['directory']} (a minute or two) ...")
        points = flattened(left["embeddings"])
        with replacing(kept) as part:
            np.savez_compressed(part, points=points.astype(np.float16), classes=left["classes"].astype(np.int16))
    return read_npz(kept, ("points", "classes"))


def flattened(z: np.ndarray) -> np.ndarray:
    """Two dimensions, float (n, 2), of embeddings (n, d): by UMAP, or by principal components where they are few."""
    if len(z) <= FEW:
        return PCA(2, random_state=0).fit_transform(np.hstack([z, np.zeros((len(z), 2))]))
    import umap  # here: it compiles for seconds

    return umap.UMAP(random_state=0, n_jobs=1, verbose=True).fit_transform(z)


def blank(axes, why: str) -> None:
    """Say in an empty place why nothing is drawn there."""
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)


def save(figure, path: Path) -> Path:
    """Write a figure as PNG and close it; returns the path."""
    _as_written(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, dpi=150, metadata={"Software": None})  # the same picture is the same file
    plt.close(figure)
    return path


def _as_written(figure) -> None:
    """Take a $ in a name for a dollar sign: only the powers of ten at a logarithmic axis are mathematics."""
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis) if axis.get_scale() == "log"]
    powers = {label for axis in axes for label in axis.get_ticklabels(which="both")}
    for text in set(figure.findobj(Text)) - powers:
        text.set_parse_math(False)
