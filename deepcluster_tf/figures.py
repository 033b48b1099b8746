"""Figures, drawn from what is recorded; nothing is trained here.

The ten class colours are Petroff's (arXiv:2107.02270), chosen to stay apart for colour-blind readers.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from deepcluster_tf import experiments, metrics, results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.files import replacing
from deepcluster_tf.tables import supervision

COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
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
    return _save(figure, path)


def confusion_matrix(result: dict, path: Path) -> Path:
    """The images of each class in each cluster, clusters ordered by their one-to-one match."""
    counts = np.array(result["confusion"])
    rows, columns = metrics.matching(counts)
    order = np.concatenate([columns, np.setdiff1d(np.arange(counts.shape[1]), columns)])
    share = counts[:, order] / counts.sum(axis=1, keepdims=True)
    figure, axes = plt.subplots(figsize=(7.2, 6.4), layout="constrained")
    image = axes.imshow(share, cmap="cividis_r", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts[:, order]):
        axes.text(
            j, i, f"{count:,}", ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.5 else "black"
        )
    axes.set(
        xlabel="cluster", ylabel="class", xticks=range(len(order)), xticklabels=order, yticks=range(len(rows)),
        yticklabels=result["class_names"] or range(len(rows)),
    )  # fmt: skip
    acc = result["metrics"]["acc"]["value"]
    axes.set_title(f"{result['experiment']}, {_level(result)}: images by class and cluster (ACC {acc:.4f})")
    figure.colorbar(image, label="share of the class", shrink=0.8)
    return _save(figure, path)


def projection(result: dict) -> dict[str, np.ndarray] | None:
    """The two-dimensional UMAP of a run's embeddings (document 004, 4.3).

    Made once from the embeddings that the run left on this machine, and kept beside its result.

    Returns:
        points, float16 (n, 2), and classes, int8 (n,); None where neither the projection nor embeddings are there.
    """
    kept, embeddings = result["directory"] / "projection.npz", result["directory"] / "embeddings.npz"
    if not kept.exists():
        if not embeddings.exists():
            return None
        import umap  # here: it compiles for seconds

        left = np.load(embeddings, allow_pickle=False)
        print(f"projecting {len(left['embeddings']):,} embeddings of {result['directory']} (a minute or two) ...")
        points = umap.UMAP(random_state=0, n_jobs=1, verbose=True).fit_transform(left["embeddings"])
        with replacing(kept) as part:
            np.savez_compressed(part, points=points.astype(np.float16), classes=left["classes"].astype(np.int8))
    with np.load(kept, allow_pickle=False) as arrays:
        return dict(arrays)


def projections(found: list[dict], path: Path) -> Path:
    """UMAP of the embeddings at several supervision levels, coloured by class (document 004, Figure 2)."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 10.6), layout="constrained")
    names = next((result["class_names"] for result in found if result), [])
    for axes, level, result in zip(grid.flat, PANELS, found):
        axes.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[], title=f"supervision {100 * level:g} %")
        drawn = result and projection(result)
        if not drawn:
            axes.text(
                0.5, 0.5, f"not recorded yet:\n{supervision.command('fashion-dcec', level)}", ha="center", va="center"
            )
            continue
        order = np.random.default_rng(0).permutation(len(drawn["points"]))  # no class hides another
        colours = np.array(COLOURS)[drawn["classes"][order]]
        axes.scatter(*drawn["points"][order].astype(np.float32).T, s=0.6, c=colours, linewidths=0, rasterized=True)
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=n) for c, n in zip(COLOURS, names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, title="class")
    figure.suptitle("UMAP of the embeddings of all images")
    return _save(figure, path)


def write_all(root: Path | None = None) -> list[Path]:
    """Draw every figure under `results/figures`; returns the files. What is not recorded is left blank in words."""
    root = root or results.ROOT
    folder, experiment = root / "figures", experiments.get("fashion-dcec")
    runs = supervision.runs_of(experiment, root)
    first = {r["settings"]["supervision"]: r for r in reversed(runs) if r["settings"]["lam"] == 1 and r["seed"] == 0}
    written = [supervision_curve(experiment, folder / "fashion-dcec-figure-1.png", root)]
    written.append(projections([first.get(level) for level in PANELS], folder / "fashion-dcec-figure-2.png"))
    if 0.01 in first:
        written.append(confusion_matrix(first[0.01], folder / "fashion-dcec-confusion.png"))
    return written


def _level(result: dict) -> str:
    return f"{100 * result['settings']['supervision']:g} % supervised"


def _save(figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, dpi=150, metadata={"Software": None})  # the same picture is the same file
    plt.close(figure)
    return path
