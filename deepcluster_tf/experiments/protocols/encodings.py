"""Clustering of encodings, fitted on the training images, scored on them and on the test images (Akula)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import clustering, datasets, metrics
from deepcluster_tf.experiments import pictures
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.experiments.protocols.labels import HOW


@dataclass(kw_only=True, eq=False)
class Encodings(Protocol):
    """How Akula runs and scores clusterings: k-means and a mixture on one encoding, with UMAP and without.

    The paper's "accuracy" is purity: a cluster takes its majority class. The one-to-one accuracy stands beside it
    under its own name.
    """

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return ["umap-learn"]

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        method.check(dataset.images[dataset.train])

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        # fitted on the training images; the clusterings are scored on them and on the test images
        method.fit(dataset.images[dataset.train], directory=work, **how)
        found = {"metrics": {}, "confusion": {}, "cluster_sizes": {}, "starts": {}, "notices": list(method.notices_)}
        found["seconds"] = {"training": round(sum(row["seconds"] for row in method.history_), 1), **method.seconds_}
        n2d = self._n2d(method, dataset, found, how["progress"])
        for where, rows in (("training", dataset.train), ("test", dataset.test)):
            images, classes = dataset.images[rows], dataset.labels[rows]
            if not len(images):
                continue
            assigned = {by: method.predict(images, by) for by in ("kmeans", "mixture")}
            if n2d:
                assigned["n2d"] = n2d.labels_ if where == "training" else n2d.predict(method.transform(images))
            for by, clusters in assigned.items():
                sizes = np.bincount(clusters, minlength=method.n_clusters)
                found["cluster_sizes"][f"{by}_{where}"] = sizes.tolist()
                if not sizes.all():
                    found["notices"].append(f"{by} leaves {np.sum(sizes == 0)} clusters without {where} images")
                if (classes >= 0).all():
                    found["metrics"] |= _scores(classes, clusters, by, where)
                    counts = metrics.confusion(classes, clusters, len(dataset.class_names), method.n_clusters)
                    found["confusion"][f"{by}_{where}"] = counts.tolist()
        rows = dataset.test if len(dataset.images[dataset.test]) else dataset.train
        found["arrays"] = {"pictures": pictures.reconstructions(method, dataset.images[rows], dataset.labels[rows])}
        return found

    @staticmethod
    def _n2d(method, dataset, found: dict, progress: bool) -> clustering.N2D | None:
        """UMAP and a mixture, fitted to the training images, where they are enough."""
        images, classes = dataset.images[dataset.train], dataset.labels[dataset.train]
        if len(images) < clustering.FEWEST:
            found["notices"].append(f"n2d needs {clustering.FEWEST} images")
            return None
        start = time.perf_counter()
        n2d = clustering.N2D(n_clusters=method.n_clusters, seed=method.seed)
        n2d.fit(method.transform(images), "UMAP and a mixture" if progress else None)
        found["seconds"]["n2d"] = round(time.perf_counter() - start, 1)
        if (classes >= 0).all():  # the likeliest first
            found["starts"]["n2d"] = [metrics.scores(classes, each)["acc"] for each in n2d.starts_]
        return n2d


def _scores(classes: np.ndarray, clusters: np.ndarray, by: str, where: str) -> dict:
    return {
        f"{name}_{by}_{where}": {
            "value": value,
            "protocol": f"the {len(classes):,} {where} images{HOW.get(name, '')}",
            "n": len(classes),
        }
        for name, value in metrics.scores(classes, clusters).items()
    }
