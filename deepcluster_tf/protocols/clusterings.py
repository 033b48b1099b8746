"""An encoding of all images, clustered in several ways, scored alike and searched (documents 003 and 001)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import clustering, datasets, metrics, pictures, retrieval
from deepcluster_tf.networks import to_unit

NEIGHBORS, SHOWN, THUMBNAILS = 10, 12, 150
SUBSETS = {"agglomerative": 10_000, "affinity": 2_000}  # whose memory grows with the square of the images
HOW = {"acc": ", one to one", "purity": ", majority class"}


@dataclass
class Clusterings:
    """How document 003 scores its encodings: the adjusted Rand index of several clusterings, an equivalent accuracy.

    The method never sees a label. It is fitted to all images, and all are clustered; what does not fit into memory is
    clustered on the first images of a random order.
    """

    suffix = ""

    @property
    def settings(self) -> dict:
        """What the run's variant and its record name beside the method's settings: nothing."""
        return {}

    def check_settings(self) -> None:
        """Nothing to refuse before there are data."""

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        method.check(dataset.images)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        """Fit, cluster in every way, score and search.

        Args:
            method: unfitted, an `EncodingMethod`.
            dataset: checked.
            data, again: not used.
            work: the folder of checkpoints.
            how: progress and strategy, as `fit` takes them.

        Returns:
            the record's fields.
        """
        method.fit(dataset.images, directory=work, **how)
        z = method.transform(dataset.images)
        known = (dataset.labels >= 0).all()
        found = {"metrics": {}, "cluster_sizes": {}, "notices": [], "seconds": {}}
        found["seconds"]["training"] = round(sum(row["seconds"] for row in method.history_), 1)
        curve = metrics.accuracy_curve(dataset.labels, len(dataset.class_names)) if known else None
        order = np.random.default_rng(method.seed).permutation(len(z))
        for by in ("random", "kmeans", "mixture", "power_iteration", *SUBSETS):
            start = time.perf_counter()
            rows = order[: SUBSETS[by]] if by in SUBSETS else slice(None)
            clusters, empty = repaired(assign(method, by, dataset.images, z[rows]), z[rows], method.n_clusters)
            found["seconds"][by] = round(time.perf_counter() - start, 1)
            found["cluster_sizes"][by] = np.bincount(clusters).tolist()
            if empty:
                found["notices"].append(f"{by}: {len(empty)} empty cluster(s) restarted")
            if known:
                found["metrics"] |= _scores(dataset.labels[rows], clusters, by, curve)
        found["sparsity"] = sparsity(z)
        if hasattr(method, "view"):
            found["stability"] = stability(method, dataset.images[order[:2000]])
        found["accuracy_curve"] = curve.tolist() if known else []
        found["arrays"] = {"pictures": {}}
        if known:
            found["metrics"] |= self._retrieval(method, dataset, z, found["arrays"]["pictures"], how["progress"])
        if method.decoder_ is not None:
            found["arrays"]["pictures"] |= pictures.reconstructions(method, dataset.images, dataset.labels)
        found["arrays"]["pictures"] |= {"thumbnails": dataset.images[order[:THUMBNAILS]], "rows": order[:THUMBNAILS]}
        return found

    def _retrieval(self, method, dataset, z, kept: dict, progress: bool) -> dict:
        """Precision among the ten nearest of every image, class by class; pictures of a search for each class."""
        everyone = np.arange(len(z))
        how = {"cosine": not method.by_dot_product, "block": 500}
        nearest = retrieval.most_similar(z, everyone, NEIGHBORS + 1, **how, progress="searching" if progress else None)
        precision = retrieval.precision_by_class(nearest, everyone, dataset.labels, NEIGHBORS)
        targets = np.unique(dataset.labels, return_index=True)[1]
        similar = retrieval.most_similar(z, targets, SHOWN, **how)
        kept |= {"targets": dataset.images[targets], "similar": dataset.images[similar]}
        where = f"share of the class among the {NEIGHBORS} nearest of each of the class's images"
        named = {f"precision_{name}": value for name, value in zip(dataset.class_names, precision)}
        return {
            name: {"value": float(value), "protocol": where, "n": len(z)}
            for name, value in {"precision": precision.mean(), **named}.items()
        }


def assign(method, by: str, images: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Clusters, int (n,), of embeddings z, or of the images where the fitted method assigns them itself."""
    k, seed = method.n_clusters, method.seed
    match by:
        case "random":
            return np.random.default_rng(seed).integers(0, k, len(z))
        case "agglomerative":
            return clustering.agglomerative(z, k)
        case "affinity":
            return clustering.affinity_propagation(z, k, seed)
        case "power_iteration":
            return clustering.power_iteration(z, k, seed=seed)
    return method.predict(images, by)


def repaired(clusters: np.ndarray, z: np.ndarray, n_clusters: int) -> tuple[np.ndarray, list[int]]:
    """Clusters without the empty ones: each restarts at the point farthest from its own centre (document 001).

    Args:
        clusters: int (n,).
        z: float (n, d).
        n_clusters: how many there should be; more are left as they are.

    Returns:
        clusters, int (n,), and those that were empty.
    """
    missing = np.setdiff1d(np.arange(n_clusters), clusters)
    if not len(missing) or len(np.unique(clusters)) >= n_clusters:
        return clusters, []
    k = max(n_clusters, clusters.max() + 1)
    centers = np.stack(
        [z[clusters == j].mean(axis=0) if (clusters == j).any() else np.zeros(z.shape[1]) for j in range(k)]
    )
    centers, empty = clustering.relocate_empty(z, centers, clusters)
    clusters = clusters.copy()
    for j in empty:
        clusters[np.linalg.norm(z - centers[j], axis=1).argmin()] = j
    return clusters, empty


def sparsity(z: np.ndarray) -> float:
    """The share of an encoding's values that are below a hundredth of its largest, in 0..1."""
    size = np.abs(z)
    return float(np.mean(size < 0.01 * np.maximum(size.max(axis=1, keepdims=True), 1e-12)))


def stability(method, images: np.ndarray) -> float:
    """How much more alike the encodings of two views of one image are than of two images: mean cosines, -2..2."""
    one, other = (
        method.transform(np.clip(np.asarray(method.view(number)(to_unit(images), training=True)), 0, 1))
        for number in (0, 1)
    )
    one, other = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) for z in (one, other))
    return float(np.mean(np.sum(one * other, axis=1)) - np.mean(np.sum(one * np.roll(other, 1, axis=0), axis=1)))


def _scores(classes: np.ndarray, clusters: np.ndarray, by: str, curve: np.ndarray) -> dict:
    scores = metrics.scores(classes, clusters)
    scores["equivalent"] = metrics.equivalent_accuracy(scores["ari"], curve)
    which = f"all {len(classes):,} images" if by not in SUBSETS else f"{len(classes):,} images drawn at random"
    return {
        f"{name}_{by}": {"value": value, "protocol": which + HOW.get(name, ""), "n": len(classes)}
        for name, value in scores.items()
    }
