"""Clustering with some known labels, scored over all images and over the others (SDCEC)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import datasets, metrics
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.experiments.protocols.labels import measure, supervised_labels
from deepcluster_tf.experiments.protocols.pretraining import begin
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class SemiSupervised(Protocol):
    """How SDCEC is run and scored: all images, some of them with their class."""

    supervision: float = setting(0.0, "share of supervised images", low=0, below=1)
    labels_per_class: int = setting(0, "supervised images of each class, in place of a share; 0 for the share", low=0)
    pretrain: str = setting(
        "kept",
        "the autoencoder: scratch trains one of your own, once, and keeps it for these runs",
        choices=("kept", "scratch"),
    )

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        return (
            {"labels_per_class": self.labels_per_class} if self.labels_per_class else {"supervision": self.supervision}
        )

    @property
    def suffix(self) -> str:
        """What the variant's name ends in."""
        return "-scratch" if self.pretrain == "scratch" else ""

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        self._labels = supervised_labels(dataset.labels, self.supervision, method.seed, self.labels_per_class)
        if (self._labels >= 0).any() and len(dataset.class_names) > method.n_clusters:
            raise ValueError(
                f"{method.n_clusters} clusters are too few (CLUSTERS): expected one for each of "
                f"{len(dataset.class_names)} classes"
            )
        method.check(dataset.images, self._labels)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        scratch = bool(self.suffix)
        start = {**begin(method, dataset.images, data, scratch, again, **how), "scratch": scratch}
        known = (dataset.labels >= 0).all()
        score = (lambda clusters: metrics.scores(dataset.labels, clusters)) if known else None
        method.fit(dataset.images, self._labels, directory=work, score=score, **how)
        found = {
            "classes": method.classes_.tolist(),
            "cluster_sizes": np.bincount(method.labels_, minlength=method.n_clusters).tolist(),
            "notices": method.notices_,
            "autoencoder": start,
            "seconds": {"clustering": round(sum(row["seconds"] for row in method.history_), 1)},
            "metrics": {},
            "confusion": [],
            "clusters": {"cluster": method.labels_},
        }
        if known:
            found["metrics"] = scores = measure(dataset.labels, self._labels, method.labels_)
            for name in ("acc", "nmi", "ari", "purity"):
                scores[f"{name}_initial"] = {**scores[name], "value": method.history_[0][name]}
            counts = metrics.confusion(dataset.labels, method.labels_, len(dataset.class_names), method.n_clusters)
            found["confusion"] = counts.tolist()
        return found
