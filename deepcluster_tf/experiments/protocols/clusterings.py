"""An encoding of all images, clustered in several ways, scored alike and searched (Schultz and Singh)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf import clustering, datasets, metrics
from deepcluster_tf.experiments import pictures, results
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.experiments.protocols.labels import HOW, measure, supervised_labels
from deepcluster_tf.layers import random_view
from deepcluster_tf.networks import to_unit
from deepcluster_tf.settings import setting

NEIGHBORS, SHOWN, THUMBNAILS = 10, 12, 150
TRIVIAL = 0.95  # the share of the images above which one cluster is no clustering
SUBSETS = {"agglomerative": 10_000, "affinity": 2_000}  # whose memory grows with the square of the images
WAYS = ("random", "kmeans", "mixture", "n2d", "power_iteration", *SUBSETS)


@dataclass(kw_only=True, eq=False)
class Clusterings(Protocol):
    """How Schultz scores encodings: the adjusted Rand index of several clusterings, an equivalent accuracy.

    The method never sees a label. It is fitted to all images, and all are clustered; what does not fit into memory is
    clustered on the first images of a random order. With `supervision` it is told some labels, if it takes any.
    """

    sample: int = setting(0, "cluster and search this many images, drawn at random; 0 for all", low=0)
    ways: tuple[str, ...] = setting(
        ("random", "kmeans", "mixture", "n2d", "power_iteration", "agglomerative", "affinity"),
        "the clusterings, beside those that are the method's own",
    )
    queries: int = setting(0, "look for the nearest of this many images, drawn at random; 0 for all", low=0)
    supervision: float = setting(0.0, "share of supervised images", low=0, below=1)
    labels_per_class: int = setting(0, "supervised images of each class, in place of a share; 0 for the share", low=0)

    _told = False  # whether the method is given some labels

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        if self.labels_per_class:
            return {"labels_per_class": self.labels_per_class}
        return {"supervision": self.supervision} if self.supervision else {}

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return ["umap-learn"] if "n2d" in self.ways else []

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        if len(dataset.class_names) == 1:
            raise ValueError(f"{dataset.name} has one class: expected two sub-folders or more, or images without any")
        most = min(len(dataset.images), self.sample or np.inf, SUBSETS["agglomerative"])
        if method.n_clusters > most:
            raise ValueError(
                f"CLUSTERS must be at most the {most} images of a clustering; received {method.n_clusters}"
            )
        self._labels = supervised_labels(dataset.labels, self.supervision, method.seed, self.labels_per_class)
        self._told = bool((self._labels >= 0).any())
        method.check(dataset.images)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        how["shared"] = results.ROOT / "pretrained" / results.folder_name(data)
        if method.in_stages:
            known = (dataset.labels >= 0).all()
            how["score"] = (lambda clusters: metrics.scores(dataset.labels, clusters)) if known else None
        if self._told:
            how["labels"] = self._labels
        method.fit(dataset.images, directory=work, **how)
        order = order_of(method, len(dataset.images))
        rows = np.sort(order[: self.sample or len(order)])
        images, classes = dataset.images[rows], dataset.labels[rows]
        z = method.transform(images)
        found = self._cluster(method, dataset, rows, z, how["progress"])
        found["seconds"]["training"] = round(sum(row["seconds"] for row in method.history_), 1)
        found["seconds"] |= method.seconds_
        found["notices"] += method.notices_
        if method.in_stages:
            found["stages"] = method.stages_
        found["sparsity"], found["invariance_centred"] = sparsity(z), invariance(method, dataset.images[order[:2000]])
        queries = np.sort(order_of(method, len(z))[: self.queries or len(z)])
        kept, scores = search(method, images, classes, z, dataset.class_names, queries, how["progress"])
        found["metrics"] |= scores
        if method.decoder_ is not None:
            kept |= pictures.reconstructions(method, images, classes)
        kept |= {"thumbnails": dataset.images[order[:THUMBNAILS]], "rows": order[:THUMBNAILS]}
        return {**found, "arrays": {"pictures": kept}}

    def _ways(self, method) -> list[str]:
        own = [way for way in method.assigners_ if way not in WAYS]
        return [way for way in WAYS if way in self.ways] + own

    def _cluster(self, method, dataset, rows, z, progress: bool) -> dict:
        images, classes, n = dataset.images[rows], dataset.labels[rows], len(dataset.images)
        known = (classes >= 0).all()
        curve = metrics.accuracy_curve(classes, len(dataset.class_names)) if known else None
        found = {
            "metrics": {},
            "cluster_sizes": {},
            "clusters": {},
            "notices": [],
            "seconds": {},
            "starts": {},
            "confusion": {},
        }
        found["accuracy_curve"] = curve.tolist() if known else []
        order = order_of(method, len(z))
        for by in tqdm(self._ways(method), "clustering", disable=not progress, leave=False, unit="way"):
            start = time.perf_counter()
            some = order[: SUBSETS[by]] if by in SUBSETS else slice(None)
            clusters, starts = assign(method, by, images, z[some])
            found["seconds"][by] = round(time.perf_counter() - start, 1)
            if clusters is None:
                few = by == "n2d" and len(z) < clustering.FEWEST
                found["notices"].append(f"n2d needs {clustering.FEWEST} images" if few else f"{by} did not converge")
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
            if known and starts:  # the likeliest first
                found["starts"][by] = [metrics.scores(classes[some], each)["acc"] for each in starts]
            if known and len(clusters) == n and by in method.assigners_:
                counts = metrics.confusion(classes, clusters, len(dataset.class_names), method.n_clusters)
                found["confusion"][by] = counts.tolist()
            if known:
                found["metrics"] |= _scores(classes[some], clusters, by, curve, len(clusters) == n)
                if len(clusters) == n and self._told:
                    found["metrics"] |= measure(classes, self._labels, clusters, by)
        return found


def order_of(method, n: int) -> np.ndarray:
    """A random order of n images, the same whenever it is asked for."""
    return np.random.default_rng(method.seed).permutation(n)


def search(method, images, classes, z, class_names, queries, progress: bool) -> tuple[dict, dict]:
    """Precision among the ten nearest of images, class by class; pictures of a search for each class.

    Args:
        method: fitted.
        images, classes, z: all images, their classes and embeddings.
        class_names: of the data set.
        queries: int (q,), the rows whose nearest are judged.
        progress: show a bar.

    Returns:
        pictures "targets" and "similar", uint8, with their classes, and scores; without classes, ten searches and no
        scores.
    """
    how = {"cosine": not method.by_dot_product, "block": 500}
    targets = pictures.examples(classes)
    similar = clustering.most_similar(z, targets, SHOWN, **how)
    kept = {"targets": images[targets], "similar": images[similar]}
    kept |= {"target_classes": classes[targets], "similar_classes": classes[similar]}
    if not (classes >= 0).all() or len(z) <= NEIGHBORS:
        return kept, {}
    label = "searching" if progress else None
    nearest = clustering.most_similar(z, queries, NEIGHBORS + 1, progress=label, **how)
    precision = clustering.precision_by_class(nearest, queries, classes, NEIGHBORS)
    whose = "each" if len(queries) == len(z) else f"each of {len(queries):,}"
    where = f"share of the class among the {NEIGHBORS} nearest of {whose} of the class's images"
    values = {f"precision_{n}": p for n, p in zip(class_names, precision) if not np.isnan(p)}  # a sample may lack one
    values = {"precision": np.nanmean(precision), **values}
    return kept, {name: {"value": float(p), "protocol": where, "n": len(queries)} for name, p in values.items()}


def assign(method, by: str, images: np.ndarray, z: np.ndarray) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Clusters, int (n,), of embeddings z, or of the images where the fitted method assigns them itself; None if none.

    Beside them the clusters of each start, where the choice among starts is reported.
    """
    k, seed = method.n_clusters, method.seed
    match by:
        case "random":
            return np.random.default_rng(seed).integers(0, k, len(z)), []
        case "agglomerative":
            return clustering.agglomerative(z, k), []
        case "affinity":
            return clustering.affinity_propagation(z, k, seed), []
        case "power_iteration":
            return clustering.power_iteration(z, k, seed=seed), []
        case "n2d":
            if len(z) < clustering.FEWEST:
                return None, []
            found = clustering.N2D(n_clusters=k, seed=seed).fit(z)
            return found.labels_, found.starts_
    return method.predict(images, by), []


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
    scores["balanced"] = metrics.balanced_accuracy(classes, clusters)
    scores["equivalent"] = metrics.equivalent_accuracy(scores["ari"], curve)
    which = f"all {len(classes):,} images" if whole else f"{len(classes):,} images drawn at random"
    return {
        f"{name}_{by}": {"value": value, "protocol": which + HOW.get(name, ""), "n": len(classes)}
        for name, value in scores.items()
    }
