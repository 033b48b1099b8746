"""An encoding of all images, clustered in several ways, scored alike and searched (Schultz and Singh)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf import clustering, datasets, metrics
from deepcluster_tf.experiments import pictures
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.layers import random_view
from deepcluster_tf.networks import to_unit
from deepcluster_tf.settings import setting

NEIGHBORS, SHOWN, THUMBNAILS = 10, 12, 150
TRIVIAL = 0.95  # the share of the images above which one cluster is no clustering
SUBSETS = {"agglomerative": 10_000, "affinity": 2_000}  # whose memory grows with the square of the images
WAYS = ("random", "kmeans", "mixture", "power_iteration", *SUBSETS)
HOW = {"acc": ", one to one", "purity": ", majority class"}


@dataclass(kw_only=True, eq=False)
class Clusterings(Protocol):
    """How Schultz scores encodings: the adjusted Rand index of several clusterings, an equivalent accuracy.

    The method never sees a label. It is fitted to all images, and all are clustered; what does not fit into memory is
    clustered on the first images of a random order.
    """

    sample: int = setting(0, "cluster and search this many images, drawn at random; 0 for all", low=0)

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        if len(dataset.class_names) == 1:
            raise ValueError(f"{dataset.name} has one class: expected two sub-folders or more, or images without any")
        most = min(len(dataset.images), self.sample or np.inf, SUBSETS["agglomerative"])
        if method.n_clusters > most:
            raise ValueError(
                f"CLUSTERS must be at most the {most} images of a clustering; received {method.n_clusters}"
            )
        method.check(dataset.images)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        method.fit(dataset.images, directory=work, **how)
        order = np.random.default_rng(method.seed).permutation(len(dataset.images))
        rows = np.sort(order[: self.sample or len(order)])
        images, classes = dataset.images[rows], dataset.labels[rows]
        z = method.transform(images)
        found = self._cluster(method, dataset, rows, z, how["progress"])
        found["seconds"]["training"] = round(sum(row["seconds"] for row in method.history_), 1)
        found["seconds"] |= method.seconds_
        found["notices"] += method.notices_
        found["sparsity"], found["invariance_centred"] = sparsity(z), invariance(method, dataset.images[order[:2000]])
        kept, scores = search(method, images, classes, z, dataset.class_names, how["progress"])
        found["metrics"] |= scores
        if method.decoder_ is not None:
            kept |= pictures.reconstructions(method, images, classes)
        kept |= {"thumbnails": dataset.images[order[:THUMBNAILS]], "rows": order[:THUMBNAILS]}
        return {**found, "arrays": {"pictures": kept}}

    def _cluster(self, method, dataset, rows, z, progress: bool) -> dict:
        images, classes, n = dataset.images[rows], dataset.labels[rows], len(dataset.images)
        known = (classes >= 0).all()
        curve = metrics.accuracy_curve(classes, len(dataset.class_names)) if known else None
        found = {"metrics": {}, "cluster_sizes": {}, "clusters": {}, "notices": [], "seconds": {}}
        found["accuracy_curve"] = curve.tolist() if known else []
        order = np.random.default_rng(method.seed).permutation(len(z))
        for by in tqdm(WAYS, "clustering", disable=not progress, leave=False, unit="way"):
            start = time.perf_counter()
            some = order[: SUBSETS[by]] if by in SUBSETS else slice(None)
            clusters = assign(method, by, images, z[some])
            found["seconds"][by] = round(time.perf_counter() - start, 1)
            if clusters is None:
                found["notices"].append(f"{by} did not converge")
                continue
            found["notices"] += trivial(by, clusters)
            if by not in ("affinity", "random"):  # affinity propagation finds its own number of clusters
                clusters, empty = clustering.refill_empty(clusters, z[some], method.n_clusters)
                found["notices"] += [f"{by}: {len(empty)} empty cluster(s) refilled"] if empty else []
            found["cluster_sizes"][by] = np.bincount(clusters).tolist()
            if by == "affinity" and (k := len(found["cluster_sizes"][by])) != method.n_clusters:
                found["notices"].append(f"{by} found {k} clusters, not {method.n_clusters}")
            if by != "random":
                found["clusters"][by] = np.full(n, -1)  # an image that was not among those clustered
                found["clusters"][by][rows[some]] = clusters
            if known:
                found["metrics"] |= _scores(classes[some], clusters, by, curve, len(clusters) == n)
        return found


def search(method, images, classes, z, class_names, progress: bool) -> tuple[dict, dict]:
    """Precision among the ten nearest of every image, class by class; pictures of a search for each class.

    Returns:
        pictures "targets" and "similar", uint8, and scores; without classes, ten searches and no scores.
    """
    how = {"cosine": not method.by_dot_product, "block": 500}
    targets = pictures.examples(classes)
    kept = {"targets": images[targets], "similar": images[clustering.most_similar(z, targets, SHOWN, **how)]}
    if not (classes >= 0).all() or len(z) <= NEIGHBORS:
        return kept, {}
    everyone, label = np.arange(len(z)), "searching" if progress else None
    nearest = clustering.most_similar(z, everyone, NEIGHBORS + 1, progress=label, **how)
    precision = clustering.precision_by_class(nearest, everyone, classes, NEIGHBORS)
    where = f"share of the class among the {NEIGHBORS} nearest of each of the class's images"
    values = {f"precision_{n}": p for n, p in zip(class_names, precision) if not np.isnan(p)}  # a sample may lack one
    values = {"precision": np.nanmean(precision), **values}
    return kept, {name: {"value": float(p), "protocol": where, "n": len(z)} for name, p in values.items()}


def assign(method, by: str, images: np.ndarray, z: np.ndarray) -> np.ndarray | None:
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


def trivial(by: str, clusters: np.ndarray) -> list[str]:
    """A notice where nearly all images are in one cluster: Singh's slides ask for this check too."""
    share = np.bincount(clusters).max() / len(clusters)
    return [f"{by}: one cluster holds {share:.0%} of the images"] if share > TRIVIAL else []


def sparsity(z: np.ndarray) -> float:
    """The share of an encoding's values that are below a hundredth of its largest, in 0..1."""
    size = np.abs(z)
    return float(np.mean(size < 0.01 * np.maximum(size.max(axis=1, keepdims=True), 1e-12)))


def invariance(method, images: np.ndarray) -> float:
    """How much more alike the encodings of two views of one image are than of two images: mean cosines, -2..2.

    The cosines are about the mean encoding: what all encodings have in common would make any two of them alike.

    Args:
        method: fitted, with `transform`.
        images: (n, height, width, channels), n >= 2.
    """
    images = to_unit(images)
    views = (np.asarray(random_view(seed=seed)(images, training=True)) for seed in (0, 1))
    one, other = (method.transform(np.clip(view, 0, 1)) for view in views)
    mean = np.mean([one, other], axis=(0, 1))
    one, other = one - mean, other - mean
    one, other = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) for z in (one, other))
    return float(np.mean(np.sum(one * other, axis=1)) - np.mean(np.sum(one * np.roll(other, 1, axis=0), axis=1)))


def _scores(classes: np.ndarray, clusters: np.ndarray, by: str, curve: np.ndarray, whole: bool) -> dict:
    scores = metrics.scores(classes, clusters)
    scores["equivalent"] = metrics.equivalent_accuracy(scores["ari"], curve)
    which = f"all {len(classes):,} images" if whole else f"{len(classes):,} images drawn at random"
    return {
        f"{name}_{by}": {"value": value, "protocol": which + HOW.get(name, ""), "n": len(classes)}
        for name, value in scores.items()
    }
