"""Plain classifiers, told the same labels as a clustering: a support vector machine, and Poisson learning."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf import clustering, datasets, experiments, metrics
from deepcluster_tf.experiments import results, running
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.experiments.protocols.labels import measure, supervised_labels
from deepcluster_tf.experiments.protocols.pretraining import begin
from deepcluster_tf.settings import setting

WAYS = ("svm", "logistic", "poisson")


@dataclass(kw_only=True, eq=False)
class Classified(Protocol):
    """An encoding, some labels of the draw that SDCEC is told, and classifiers; scored on the other images.

    svm: a support vector machine with a Gaussian kernel. logistic: logistic regression. poisson: labels spread over the
    graph of nearest neighbours.
    """

    supervision: float = setting(0.01, "share of supervised images", low=0, below=1)
    labels_per_class: int = setting(0, "supervised images of each class, in place of a share; 0 for the share", low=0)
    features: str = setting(
        "pixels",
        "what the classifiers see: the pixels, or the embeddings of the autoencoder with which SDCEC begins",
        choices=("pixels", "autoencoder"),
    )
    pretraining_epochs: int = setting(0, "of that autoencoder; 0 for as many as SDCEC's", low=0)
    ways: tuple[str, ...] = setting(("svm", "logistic", "poisson"), "the classifiers")

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        told = {"supervision": self.supervision}
        if self.labels_per_class:
            told = {"labels_per_class": self.labels_per_class}
        return told if self.features == "pixels" else {"features": self.features, **told}

    def check_settings(self) -> None:
        """Refuse settings out of range; raises ValueError."""
        super().check_settings()
        if unknown := sorted({*self.ways} - {*WAYS}):
            raise ValueError(f"ways must be of {', '.join(WAYS)}; received {', '.join(unknown)}")

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        self._labels = supervised_labels(dataset.labels, self.supervision, method.seed, self.labels_per_class)
        if len(np.unique(self._labels[self._labels >= 0])) < 2:
            raise ValueError(
                "a classifier needs labels of two classes or more: expected more supervision (SUP, LABELS)"
            )
        method.check(dataset.images)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        how["shared"] = results.ROOT / "pretrained" / results.folder_name(data)
        method.fit(dataset.images, directory=work, **how)
        found = {"metrics": {}, "cluster_sizes": {}, "confusion": {}, "clusters": {}, "notices": method.notices_}
        found["seconds"] = {**method.seconds_, "training": round(sum(row["seconds"] for row in method.history_), 1)}
        z, k = method.transform(dataset.images), len(dataset.class_names)
        if self.features == "autoencoder":
            z, found["autoencoder"] = self._embedded(dataset.images, data, method.seed, **how)
        for by in tqdm(self.ways, "classifying", disable=not how["progress"], leave=False, unit="way"):
            start = time.perf_counter()
            classes = classify(by, z, self._labels, k, by if how["progress"] else None)
            found["seconds"][by] = round(time.perf_counter() - start, 1)
            found["clusters"][by] = classes
            found["cluster_sizes"][by] = np.bincount(classes, minlength=k).tolist()
            if (dataset.labels >= 0).all():
                found["metrics"] |= measure(dataset.labels, self._labels, classes, by)
                rest = self._labels < 0
                found["confusion"][by] = metrics.confusion(dataset.labels[rest], classes[rest], k, k).tolist()
        return found

    def _embedded(self, images, data: str, seed: int, shared: Path, **how) -> tuple[np.ndarray, dict]:
        """The embeddings with which SDCEC begins, float32 (n, d), and the record of their autoencoder."""
        own = experiments.EXPERIMENTS.get(f"{data}-dcec") or experiments.get("dcec")
        dcec, _ = running.prepare(own, {"seed": seed})
        vars(dcec).update(running.budget(own, dcec, len(images), {}, quick=False))
        dcec.pretraining_epochs = self.pretraining_epochs or dcec.pretraining_epochs
        record = begin(dcec, images, data, **how)
        return dcec.transform(images), {**record, "scratch": False}


def classify(by: str, z: np.ndarray, labels: np.ndarray, n_classes: int, progress: str | None = None) -> np.ndarray:
    """Classes, int64 (n,), of embeddings z, float (n, d), out of labels, int (n,), -1 where unknown."""
    match by:
        case "svm":
            return clustering.support_vectors(z, labels, progress)
        case "logistic":
            return clustering.logistic_regression(z, labels, progress)
    return clustering.poisson(z, labels, n_classes)
