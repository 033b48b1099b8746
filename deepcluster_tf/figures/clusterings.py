"""Document 003's figures: searches, losses, reconstructions, the simulation, a map of the best encoding."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from deepcluster_tf import results
from deepcluster_tf.figures.style import COLOURS, blank, projection, rows_of_images, save


def searches(run: dict, kept: dict, title: str, path: Path) -> Path:
    """The images most similar to a target, best first; classes that work above, classes that fail below."""
    lines = [np.concatenate([target[None], similar]) for target, similar in zip(kept["targets"], kept["similar"])]
    rows = {f"image {i + 1}": line for i, line in enumerate(lines)}
    if "precision" in run["metrics"]:  # a search for each class that was there
        scored = {name: run["metrics"].get(f"precision_{name}") for name in run["class_names"]}
        precision = [(name, score["value"]) for name, score in scored.items() if score]
        order = sorted(range(len(lines)), key=lambda c: -precision[c][1])
        rows = {f"{precision[c][0]}\n{precision[c][1]:.2f}": lines[c] for c in order}
    captions = {label: ["target", *map(str, range(1, len(lines[0])))] for label in list(rows)[:1]}
    said = ", and the precision of the ten nearest" if "precision" in run["metrics"] else ""
    return rows_of_images(rows, f"{title}: the most similar images, the target not left out{said}", path, captions)


def losses(runs: dict[str, dict], path: Path) -> Path:
    """Loss of the pairs as training goes on, with the plateau of a network that answers 0.5 to everything."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for (title, run), colour in zip(runs.items(), COLOURS):
        curve = pd.read_csv(run["directory"] / "curve.csv")
        axes.plot(curve["epoch"], curve["pairs_loss"], color=colour, label=title)
    axes.axhline(np.log(2), color="black", lw=0.8, ls=":", label="answering 0.5 (ln 2)")
    axes.set(xlabel="epoch", ylabel="binary cross-entropy of the pairs (nats)", xscale="log")
    axes.set_title("CIFAR-10: telling views apart")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return save(figure, path)


def simulation(run: dict, found: dict[str, float], path: Path) -> Path:
    """The adjusted Rand index of simulated labels against their accuracy, and where the encodings lie."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    accuracy, index = np.transpose(run["accuracy_curve"])
    axes.plot(index, accuracy, color="black", label="simulated labels")
    for (title, value), colour in zip(found.items(), COLOURS):
        axes.plot(value, np.interp(value, index, accuracy), "o", color=colour, label=title)
    axes.set(
        xlabel="adjusted Rand index (k-means)", ylabel="equivalent accuracy (fraction)", xlim=(0, 0.25), ylim=(0, 0.6)
    )
    axes.set_title("CIFAR-10: the accuracy that an adjusted Rand index stands for")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return save(figure, path)


def thumbnails(run: dict, kept: dict, title: str, path: Path) -> Path:
    """UMAP of all encodings, with some of the images in their places; says so where it cannot be made here."""
    drawn = projection(run)
    figure, axes = plt.subplots(figsize=(10, 9), layout="constrained")
    if not drawn:
        axes.set(xticks=[], yticks=[], title=f"{title}: UMAP of all encodings")
        blank(axes, "its embeddings are kept on the machine where it ran:\nrun it here with FORCE=1")
        return save(figure, path)
    points, order = drawn["points"].astype(np.float32), np.random.default_rng(0).permutation(len(drawn["points"]))
    colours = np.array(COLOURS)[drawn["classes"][order]]
    axes.scatter(*points[order].T, s=3, c=colours, linewidths=0, rasterized=True)
    for row, image in zip(kept["rows"], kept["thumbnails"]):
        axes.add_artist(AnnotationBbox(OffsetImage(image.squeeze(), zoom=0.6), points[row], frameon=False))
    axes.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[], title=f"{title}: UMAP of all encodings")
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=n) for c, n in zip(COLOURS, run["class_names"])]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, title="class")
    return save(figure, path)


def write(folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of document 003, of the first seed; returns the files."""
    written, runs, kept, indices = [], {}, {}, {}
    for of in results.reference(root)["cifar-encodings"]["rows"]:
        found = results.runs_of(of["experiment"], of["variant"], root)
        if found:
            runs[of["what"]] = found[0]
            indices[of["what"]] = np.mean([run["metrics"]["ari_kmeans"]["value"] for run in found])
            with np.load(found[0]["directory"] / "pictures.npz", allow_pickle=False) as arrays:
                kept[of["what"]] = dict(arrays)
    for title, run in runs.items():
        end = "" if run["directory"].parent.name == "paper" else f"-{run['directory'].parent.name}"
        name = f"{run['experiment']}{end}"
        written.append(searches(run, kept[title], title, folder / f"{name}-searches.png"))
        if "reconstructions" in kept[title]:
            rows = {"original": kept[title]["originals"], "reconstruction": kept[title]["reconstructions"]}
            written.append(rows_of_images(rows, title, folder / f"{name}-reconstructions.png"))
    pairs = {
        title: run
        for title, run in runs.items()
        if run["settings"].get("comparison") in ("layers", "dot") and (run["directory"] / "curve.csv").exists()
    }
    if pairs:
        written.append(losses(pairs, folder / "cifar-encodings-losses.png"))
    if runs:
        written.append(
            simulation(next(iter(runs.values())), indices, folder / "cifar-encodings-equivalent-accuracy.png")
        )
        best = max(indices, key=indices.get)
        written.append(thumbnails(runs[best], kept[best], best, folder / "cifar-encodings-map.png"))
    return written + own(root)


def own(root: Path) -> list[Path]:
    """The searches of runs on the user's own images, each drawn into its run's folder; returns the files."""
    written = []
    for run in results.all_results(root):
        if run["experiment"] in ("control", "ae", "resnet", "representation", "similarity"):
            with np.load(run["directory"] / "pictures.npz", allow_pickle=False) as arrays:
                written.append(searches(run, dict(arrays), run["data"]["name"], run["directory"] / "searches.png"))
    return written
