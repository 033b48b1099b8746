"""One run that is on this machine: the map of its embeddings, its clusters, and the images behind every point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from tqdm.auto import tqdm

from deepcluster_tf.experiments import again, finished
from deepcluster_tf.files import replacing, sweep
from deepcluster_tf.reporting.figures.style import flattened, projection
from deepcluster_tf.reporting.report import pages

MOST = 70_000  # points of a map; of more images, so many are drawn at random
NEAREST, SHOWN = 12, 12  # images beside a chosen one; the most typical and the most doubtful of a cluster
_WIDE, _TILES = 32, 1024  # images in a row of a sheet, and on a sheet


def write_run(directory: Path, data_dir: str | None = None, progress: bool = True) -> Path:
    """Write a run's page into its folder's `report`; returns the page.

    Args:
        directory: the run's folder.
        data_dir: a folder with the data set's published files.
        progress: show bars.

    Raises:
        ValueError: the folder holds no run that was completed on this machine, or its images are not what they were.
        OSError: it cannot be written.
    """
    run = finished.contents(directory, data_dir, progress)
    folder = directory / "report"
    sweep(folder)
    pages.put_script(folder)
    rows = _chosen(len(run.clusters), run.method.seed)
    _write_sheets(folder, run.dataset.images[rows], progress)
    pages.write_data(folder / "points.js", "points", _points(directory, run, rows, progress))
    curves = pages.curves(directory, run.result["iterations"])
    pages.write_data(folder / "curves.js", "recorded", {"curves": {"": curves}})
    return pages.write_text(folder / "index.html", _page(directory, run, len(rows)))


def _chosen(n: int, seed: int) -> np.ndarray:
    """The rows that are shown, in order: all, or MOST at random."""
    return np.arange(n) if n <= MOST else np.sort(np.random.default_rng(seed).permutation(n)[:MOST])


def _page(directory: Path, run: finished.Contents, shown: int) -> str:
    scores = [{"name": name, **score} for name, score in run.result["metrics"].items()]
    return pages.render(
        "run.html",
        name="/".join(directory.resolve().parts[-3:]),
        command=again.command({**run.result, "directory": directory}),
        result=run.result,
        scores=scores,
        shown=shown,
        machine=", ".join([run.result["machine"]["processor"], f"{run.result['machine']['cores']} cores"]),
    )


def _points(directory: Path, run: finished.Contents, rows: np.ndarray, progress: bool) -> dict:
    """What the map, the clusters and the neighbours are drawn from."""
    z, clusters, confidence = run.embeddings[rows], run.clusters[rows], run.confidence[rows]
    classes, far = run.dataset.labels[rows], finished.from_means(z, clusters)
    names = finished.cluster_names(directory, run.result)
    k = max(getattr(run.method, "n_classes", run.method.n_clusters), int(clusters.max()) + 1)  # a VAE's are classes
    height, width = run.dataset.images.shape[1:3]
    at = _map(directory, run)[rows]
    low, high = at.min(axis=0), at.max(axis=0)
    return {
        "n": len(rows),
        "x": pages.packed(np.round(65_535 * (at - low)[:, 0] / max(high[0] - low[0], 1e-9)), "uint16"),
        "y": pages.packed(np.round(65_535 * (at - low)[:, 1] / max(high[1] - low[1], 1e-9)), "uint16"),
        "cluster": pages.packed(clusters, "int16"),
        "class": pages.packed(classes, "int16"),
        "confidence": pages.packed(np.round(255 * np.clip(confidence, 0, 1)), "uint8"),
        "nearest": pages.packed(neighbours(z, NEAREST, progress), "int32"),
        "typical": [_least(far, np.flatnonzero(clusters == j)).tolist() for j in range(k)],
        "doubtful": [_least(confidence, np.flatnonzero(clusters == j)).tolist() for j in range(k)],
        "sizes": np.bincount(run.clusters, minlength=k).tolist(),
        "clusterNames": [names.get(j, "") for j in range(k)],
        "classNames": list(run.result["class_names"]),
        "files": [run.dataset.files[row] for row in rows] if run.dataset.files else [],
        "rows": [] if len(rows) == len(run.clusters) else rows.tolist(),
        "sheet": {"tile": [width, height], "wide": _WIDE, "tiles": _TILES},
    }


def _map(directory: Path, run: finished.Contents) -> np.ndarray:
    """Two dimensions of all embeddings, float (n, 2); kept beside the result where a figure keeps them too."""
    if run.method.keeps_embeddings:
        return projection({"directory": directory})["points"].astype(np.float32)
    z = run.embeddings.reshape(len(run.embeddings), -1)  # pixels: their principal components first
    return flattened(PCA(min(50, *z.shape), random_state=0).fit_transform(z))


def neighbours(z: np.ndarray, n: int, progress: bool = False) -> np.ndarray:
    """The rows nearest to each row by Euclidean distance, nearest first, itself left out.

    Args:
        z: float (rows, d).
        n: how many.
        progress: show a bar.

    Returns:
        int (rows, n); -1 where there are fewer.
    """
    found = np.full((len(z), n), -1)
    search = NearestNeighbors(n_neighbors=min(n + 1, len(z))).fit(z)
    for start in tqdm(range(0, len(z), 2000), "nearest", disable=not progress, leave=False, unit="block"):
        near = search.kneighbors(z[start : start + 2000], return_distance=False)
        for i, row in enumerate(near, start):
            others = row[row != i][:n]
            found[i, : len(others)] = others
    return found


def _least(value: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a cluster with the least of a value."""
    return rows[np.argsort(value[rows], kind="stable")[:SHOWN]]


def _write_sheets(folder: Path, images: np.ndarray, progress: bool) -> None:
    """All images, so many on a sheet, which a page loads when it shows one of them."""
    height, width = images.shape[1:3]
    for old in folder.glob("sheet-*.png"):
        old.unlink()
    for number in tqdm(range(-(-len(images) // _TILES)), "images", disable=not progress, leave=False, unit="sheet"):
        some = images[number * _TILES : (number + 1) * _TILES]
        lines = -(-len(some) // _WIDE)
        sheet = np.zeros((lines * _WIDE, *images.shape[1:]), np.uint8)
        sheet[: len(some)] = some
        sheet = sheet.reshape(lines, _WIDE, height, width, -1).swapaxes(1, 2)
        sheet = sheet.reshape(lines * height, _WIDE * width, -1)
        with replacing(folder / f"sheet-{number}.png") as part:
            Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet).save(part, "PNG")
