"""Clustering with some known labels, scored over all images and over the others (SDCEC)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import datasets, machine, metrics
from deepcluster_tf.experiments import results, schema
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.experiments.protocols.labels import measure, supervised_labels
from deepcluster_tf.files import copy, locked, read_json, sha256, write_json
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.networks import precision
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
        how_else = "" if method.views == "none" else f"-{method.views}-views"
        how_else += "" if method.batch_size == method.defaults()["batch_size"] else f"-batch-{method.batch_size}"
        how_else += "" if precision() == "float32" else f"-{precision()}"
        name = f"{data}-cae-{method.pretraining_epochs}-epochs{how_else}-seed-{method.seed}{self.suffix}"
        pretrained = results.ROOT / "pretrained" / results.folder_name(name)
        with locked(pretrained, wait=True):
            if again and self.suffix:
                (pretrained / "record.json").unlink(missing_ok=True)
                shutil.rmtree(pretrained / "work", ignore_errors=True)
            start = {**autoencoder(method, dataset.images, pretrained, **how), "scratch": bool(self.suffix)}
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
            counts = metrics.confusion(dataset.labels, method.labels_, None, method.n_clusters)
            found["confusion"] = counts.tolist()
        return found


def autoencoder(method, images: np.ndarray, directory: Path, progress: bool = True, strategy=None) -> dict:
    """Give a method its autoencoder: the one kept in `directory`, or one trained now and kept there.

    Args:
        method: with `pretrain`, `save_autoencoder` and `load_autoencoder`.
        images: uint8 or float (n, height, width, channels).
        directory: of the kept autoencoder: `autoencoder.weights.h5`, `record.json`, `history.csv`, `work/`.
        progress: show a bar.
        strategy: a `tf.distribute.Strategy`, or None.

    Returns:
        its record: the images' and the weights' SHA-256, the final loss, the seconds, machine, versions, commit.

    Raises:
        ValueError: the kept autoencoder is damaged, or was made from other images.
    """
    weights, path = directory / "autoencoder.weights.h5", directory / "record.json"
    if path.exists():
        kept = read_json(path)
        schema.require(path, kept, "autoencoder")
        if not weights.exists() or sha256(weights) != kept.get("weights_sha256"):
            raise ValueError(f"{weights} is missing or altered: restore it, or remove {directory} to train it anew")
        if kept.get("images_sha256") != checkpoints.digest(images):
            raise ValueError(f"{weights} was made from other images: remove {directory} to train it anew")
        method.load_autoencoder(weights, images.shape[1:])
        return kept
    provenance = machine.provenance()
    method.pretrain(images, directory=directory / "work", progress=progress, strategy=strategy)
    method.save_autoencoder(weights)
    copy(directory / "work" / "history.csv", directory / "history.csv")
    record = {
        "images_sha256": checkpoints.digest(images),
        "weights_sha256": sha256(weights),
        "loss": method.pretraining_history_[-1]["loss"] if method.pretraining_history_ else None,
        "seconds": round(sum(row["seconds"] for row in method.pretraining_history_), 1),
        **provenance,
    }
    write_json(path, record)
    return record
