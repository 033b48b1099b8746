"""What the figures share: one set of colours, one way to save, images side by side, a confusion matrix,
a projection.

The ten class colours stay apart for every reader: in CAM02-UCS, where a unit is about the least difference that is
seen, the least distance between any two of them, or one and the white behind, is 20.6, also as deuteranopes, protanopes
and tritanopes see them. They were found by a search for ten with the largest of such least distances. Colour is never
alone: lines have markers too, and maps the names of their classes.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import patheffects
from matplotlib.text import Text
from sklearn.decomposition import PCA

from deepcluster_tf import metrics
from deepcluster_tf.files import read_npz, replacing, sweep

COLOURS = (
    "#4e9db1", "#ebb14e", "#890000", "#b1c4b1", "#9d4eff", "#896262", "#d83b00", "#4e00b1", "#4e3b4e", "#76d8ff",
)  # fmt: skip
LINES = tuple(colour for colour in COLOURS if colour not in ("#b1c4b1", "#76d8ff"))  # these are too pale for a thin one
MARKERS = "osD^vPXh"
METADATA = {  # of a file, without its date and who wrote it: the same picture is the same file
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

FEW = 30  # images, for which UMAP's fifteen neighbours are no neighbourhood


def looks(n: int, dense: bool = False) -> list[dict]:
    """How each of n lines is drawn: its colour, marker and width; what is drawn later is thinner and hides nothing.

    Args:
        n: how many lines.
        dense: whether they have so many points that only some are marked, those of each line beside the others'.
    """
    return [
        {
            "color": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)], "ms": 6, "mec": "white", "mew": 0.6,
            "lw": width, **({"markevery": (0.12 * i / n, 0.12)} if dense else {}),
        }
        for i, width in enumerate(np.linspace(3.2, 1.2, n))
    ]  # fmt: skip


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


def rows_of_images(
    rows: dict[str, np.ndarray], title: str, path: Path, names: dict | None = None, framed: dict | None = None
) -> Path:
    """Images in labelled rows.

    Args:
        rows: label -> uint8 (n, height, width, channels).
        title: of the figure.
        path: the file.
        names: label -> the captions of a row's images.
        framed: label -> whether each of a row's images has a frame.
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
        for axes, has_frame in zip(line, (framed or {}).get(label, ())):
            axes.spines[:].set(visible=bool(has_frame), color=COLOURS[6], linewidth=2.5)
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
        sweep(kept.parent, kept.name)
        with replacing(kept) as part:
            np.savez_compressed(part, points=points.astype(np.float16), classes=left["classes"].astype(np.int16))
    return read_npz(kept, ("points", "classes"))


def flattened(z: np.ndarray) -> np.ndarray:
    """Two dimensions, float (n, 2), of embeddings (n, d): by UMAP, or by principal components where they are few."""
    if len(z) <= FEW:
        return PCA(2, random_state=0).fit_transform(np.hstack([z, np.zeros((len(z), 2))]))
    import umap  # here: it compiles for seconds

    return umap.UMAP(random_state=0, n_jobs=1, verbose=True).fit_transform(z)


def scatter(axes, points: np.ndarray, classes: np.ndarray, names: tuple[str, ...], size: float) -> None:
    """A map: a point an image in the colour of its class, and the class's name where most of its points are.

    Args:
        axes: to draw into.
        points: float (n, 2).
        classes: int (n,), below ten.
        names: of the classes.
        size: of a point, in points squared.
    """
    points = points.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(points))  # no class hides another
    axes.scatter(*points[order].T, s=size, c=np.array(COLOURS)[classes[order]], linewidths=0, rasterized=True)
    axes.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    span, taken = np.ptp(points, axis=0), []
    for c in np.unique(classes):
        counts, *edges = np.histogram2d(*points[classes == c].T, bins=12)
        at = [(edge[i] + edge[i + 1]) / 2 for edge, i in zip(edges, np.unravel_index(counts.argmax(), counts.shape))]
        while any((np.abs(np.subtract(at, other)) < (0.16, 0.045) * span).all() for other in taken):
            at[1] += 0.015 * span[1]  # up, until no other name is in the way
        taken.append(at)
        halo = [patheffects.withStroke(linewidth=3, foreground="white")]
        axes.text(*at, names[c], ha="center", va="center", fontsize=9, weight="bold", path_effects=halo, zorder=5)


def blank(axes, why: str) -> None:
    """Say in an empty place why nothing is drawn there."""
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)


def save(figure, path: Path) -> Path:
    """Write a figure and close it; returns the path, which ends as matplotlib's `savefig.format` says."""
    _as_written(figure)
    kind = plt.rcParams["savefig.format"]
    path = path.with_suffix(f".{kind}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, dpi=150, metadata=METADATA[kind])
    plt.close(figure)
    return path


def _as_written(figure) -> None:
    """Take a $ in a name for a dollar sign: only the powers of ten at a logarithmic axis are mathematics."""
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis) if axis.get_scale() == "log"]
    powers = {label for axis in axes for label in axis.get_ticklabels(which="both")}
    for text in set(figure.findobj(Text)) - powers:
        text.set_parse_math(False)
