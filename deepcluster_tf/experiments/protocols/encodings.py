"""Clustering of encodings, fitted on the training images, scored on them and on the test images (Akula)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import datasets, metrics
from deepcluster_tf.experiments import pictures
from deepcluster_tf.experiments.protocols.base import Protocol


@dataclass(kw_only=True, eq=False)
class Encodings(Protocol):
    """How Akula runs and scores clusterings: k-means and a mixture on one encoding.

    The paper's "accuracy" is purity: a cluster takes its majority class. The one-to-one accuracy stands beside it
    under its own name.
    """

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        method.check(dataset.images[dataset.train])

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        # fitted on the training images; k-means and the mixture are scored on them and on the test images
        method.fit(dataset.images[dataset.train], directory=work, **how)
        found = {"metrics": {}, "confusion": {}, "cluster_sizes": {}, "notices": list(method.notices_)}
        for where, rows in (("training", dataset.train), ("test", dataset.test)):
            images, classes = dataset.images[rows], dataset.labels[rows]
            if not len(images):
                continue
            for by in ("kmeans", "mixture"):
                clusters = method.predict(images, by)
                sizes = np.bincount(clusters, minlength=method.n_clusters)
                found["cluster_sizes"][f"{by}_{where}"] = sizes.tolist()
                if not sizes.all():
                    found["notices"].append(f"{by} leaves {np.sum(sizes == 0)} clusters without {where} images")
                if (classes >= 0).all():
                    found["metrics"] |= _scores(classes, clusters, by, where)
                    counts = metrics.confusion(classes, clusters, None, method.n_clusters)
                    found["confusion"][f"{by}_{where}"] = counts.tolist()
        found["seconds"] = {"training": round(sum(row["seconds"] for row in method.history_), 1), **method.seconds_}
        rows = dataset.test if len(dataset.images[dataset.test]) else dataset.train
        found["arrays"] = {"pictures": pictures.reconstructions(method, dataset.images[rows], dataset.labels[rows])}
        return found


def _scores(classes: np.ndarray, clusters: np.ndarray, by: str, where: str) -> dict:
    how = {"acc": ", one to one", "purity": ", majority class"}
    return {
        f"{name}_{by}_{where}": {
            "value": value,
            "protocol": f"the {len(classes):,} {where} images{how.get(name, '')}",
            "n": len(classes),
        }
        for name, value in metrics.scores(classes, clusters).items()
    }
