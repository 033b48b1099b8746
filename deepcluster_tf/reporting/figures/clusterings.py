"""Schultz's figures: searches, losses, reconstructions, the simulation, a map of the best encoding."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Row, Table, results, running
from deepcluster_tf.files import read_csv, read_npz
from deepcluster_tf.reporting.figures.style import COLOURS, blank, looks, projection, rows_of_images, save, scatter
from deepcluster_tf.reporting.tables.clusterings import WAYS


def searches(run: dict, kept: dict, title: str, path: Path) -> Path:
    """The images most similar to a target, best first; classes that work above, classes that fail below."""
    lines = [np.concatenate([target[None], similar]) for target, similar in zip(kept["targets"], kept["similar"])]
    rows = {f"image {i + 1}": line for i, line in enumerate(lines)}
    framed, said = {}, ""
    if "precision" in run["metrics"]:  # a search for each class that was there
        scored = {name: run["metrics"].get(f"precision_{name}") for name in run["class_names"]}
        precision = [(name, score["value"]) for name, score in scored.items() if score]
        order = sorted(range(len(lines)), key=lambda c: -precision[c][1])
        labels = [f"{precision[c][0]}\n{precision[c][1]:.2f}" for c in order]
        rows = dict(zip(labels, (lines[c] for c in order)))
        said = ", and the precision of the ten nearest"
        if "similar_classes" in kept:  # early runs do not have them
            hits = kept["similar_classes"] == kept["target_classes"][:, None]
            framed = {label: [False, *hits[c]] for label, c in zip(labels, order)}
            said += "; framed: of the target's class"
    captions = {label: ["target", *map(str, range(1, len(lines[0])))] for label in list(rows)[:1]}
    title = f"{title}: the most similar images, the target not left out{said}"
    return rows_of_images(rows, title, path, captions, framed)


def losses(runs: dict[str, list[dict]], path: Path) -> Path:
    """Loss of the pairs as training goes on, with the plateau of a network that answers 0.5 to everything.

    Args:
        runs: title -> runs of several seeds, a line each, that look alike.
        path: the file.
    """
    figure, axes = plt.subplots(figsize=(7.2, 5.6), layout="constrained")
    for (title, seeds), look in zip(runs.items(), looks(len(runs), dense=True)):
        for label, run in zip([title, *[None] * len(seeds)], seeds):
            curve = read_csv(run["directory"] / "curve.csv", ("epoch", "pairs_loss"))
            axes.plot(curve["epoch"], curve["pairs_loss"], label=label, **look)
    axes.axhline(np.log(2), color="black", lw=1, ls=":", zorder=1, label="answering 0.5 (ln 2)")
    axes.set(xlabel="epoch", ylabel="binary cross-entropy of the pairs (nats)", xscale="log")
    axes.set_title("CIFAR-10: telling views apart, a line a seed")
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", fontsize=8)
    return save(figure, path)


def simulation(run: dict, found: dict[str, dict[str, list[float]]], path: Path) -> Path:
    """The adjusted Rand index of simulated labels against their accuracy, and below it that of every encoding.

    Args:
        run: one that keeps the simulated curve.
        found: title -> clustering -> the index of every seed; the first title is the control.
        path: the file.
    """
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9.6, 6.4), layout="constrained", sharex=True, height_ratios=(3, 4)
    )
    accuracy, index = np.transpose(run["accuracy_curve"])
    above.plot(index, accuracy, color="black")
    above.set(ylabel="equivalent accuracy (fraction)", ylim=(0, 0.6))
    places = -np.arange(len(found))
    for by, marker, colour, shift in zip(next(iter(found.values())), "os", (COLOURS[0], COLOURS[2]), (0.12, -0.12)):
        mean, std = np.transpose([list(results.mean_and_std(of[by], "").values()) for of in found.values()])
        below.errorbar(mean, places + shift, xerr=np.nan_to_num(std), fmt=marker, color=colour, capsize=3, label=by)
        below.axvline(mean[0], color=colour, lw=0.8, ls=":")
    below.set(xlabel="adjusted Rand index", xlim=(0, 0.25), yticks=places, yticklabels=list(found))
    said = "below: mean and deviation of the seeds;\ndotted: the control"  # above, where nothing is covered
    above.legend(*below.get_legend_handles_labels(), loc="lower right", title=said, fontsize=8, title_fontsize=8)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.suptitle("CIFAR-10: the accuracy of simulated labels that an adjusted Rand index stands for")
    return save(figure, path)


def thumbnails(run: dict, kept: dict, title: str, path: Path) -> Path:
    """UMAP of all encodings, with some of the images in their places; says so where it cannot be made here."""
    drawn = projection(run)
    figure, axes = plt.subplots(figsize=(10, 9), layout="constrained")
    if not drawn:
        axes.set(xticks=[], yticks=[], title=f"{title}: UMAP of all encodings")
        blank(axes, "its embeddings are kept on the machine where it ran:\nrun it here with FORCE=1")
        return save(figure, path)
    points = drawn["points"].astype(np.float32)
    scatter(axes, points, drawn["classes"], run["class_names"], size=2)
    places, span = points[kept["rows"]], np.ptp(points, axis=0)
    names = np.array([text.get_position() for text in axes.texts])
    clear = (np.abs(places[:, None] - names) > (0.065, 0.025) * span).any(axis=2).all(axis=1)  # no image under a name
    for i in np.flatnonzero(clear)[_apart(places[clear], 0.035 * span.max())]:
        image = OffsetImage(kept["thumbnails"][i].squeeze(), zoom=0.6, cmap="gray")
        axes.add_artist(AnnotationBbox(image, places[i], frameon=False))
    axes.set_title(f"{title}: UMAP of all encodings")
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=n) for c, n in zip(COLOURS, run["class_names"])]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, title="class")
    return save(figure, path)


def _apart(points: np.ndarray, least: float) -> list[int]:
    """Of points, float (n, 2), the first ones that are at least so far from all that were taken before."""
    taken: list[int] = []
    for i, point in enumerate(points):
        if all(np.abs(point - points[j]).max() >= least for j in taken):
            taken.append(i)
    return taken


def write(table: Table, folder: Path, root: Path) -> list[Path]:
    """Draw what is recorded of such a table: pictures of the first seed, numbers of all; returns the files."""
    runs = _recorded(table.rows, root)
    written = []
    for title, seeds in runs.items():
        written += _pictures(seeds[0], title, folder)
    pairs = _recorded((*table.rows, *table.drawn), root)
    pairs = {title: seeds for title, seeds in pairs.items() if _compares_pairs(seeds[0])}
    if pairs:
        written.append(losses(pairs, folder / f"{table.name}-losses.png"))
    if runs:
        ways = {by: WAYS[by] for by in ("kmeans", "mixture")}
        found = {
            title: {name: [run["metrics"][f"ari_{by}"]["value"] for run in seeds] for by, name in ways.items()}
            for title, seeds in runs.items()
        }
        first = next(iter(runs.values()))[0]
        written.append(simulation(first, found, folder / f"{table.name}-equivalent-accuracy.png"))
        best = max(found, key=lambda title: np.mean(found[title][ways["kmeans"]]))
        run = runs[best][0]
        written.append(thumbnails(run, _kept(run), best, folder / f"{table.name}-map.png"))
    return written + own(root)


def _recorded(rows: tuple[Row, ...], root: Path) -> dict[str, list[dict]]:
    """The runs of each row that has any, by its title."""
    found = {row.label: running.runs_of(row, root) for row in rows}
    return {title: seeds for title, seeds in found.items() if seeds}


def _compares_pairs(run: dict) -> bool:
    """Whether its loss is the cross-entropy of pairs, and how it fell is recorded."""
    return run["settings"].get("comparison") in ("layers", "dot") and (run["directory"] / "curve.csv").exists()


def _kept(run: dict) -> dict[str, np.ndarray]:
    return read_npz(run["directory"] / "pictures.npz", ("targets", "similar", "thumbnails", "rows"))


def _pictures(run: dict, title: str, folder: Path) -> list[Path]:
    """The searches of a run and, where it has a decoder, originals beside reconstructions."""
    kept, variant = _kept(run), run["directory"].parent.name
    name = run["experiment"] + ("" if variant == "paper" else f"-{variant}")
    written = [searches(run, kept, title, folder / f"{name}-searches.png")]
    if "reconstructions" in kept:
        rows = {"original": kept["originals"], "reconstruction": kept["reconstructions"]}
        written.append(rows_of_images(rows, title, folder / f"{name}-reconstructions.png"))
    return written


def own(root: Path) -> list[Path]:
    """The searches of runs on the user's own images, each drawn into its run's folder; returns the files."""
    written = []
    for run in [*results.all_results(root), *results.all_results(root, "quick")]:
        if not experiments.get(run["experiment"]).data and (run["directory"] / "pictures.npz").exists():
            written.append(searches(run, _kept(run), run["data"]["name"], run["directory"] / "searches.png"))
    return written
