"""Clustering with some known labels, scored over all images and over the others (SDCEC)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import datasets, machine, metrics
from deepcluster_tf.experiments import results, schema
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.files import copy, locked, read_json, sha256, write_json
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class SemiSupervised(Protocol):
    """How SDCEC is run and scored: all images, some of them with their class."""

    supervision: float = setting(0.0, "share of supervised images", low=0, below=1)
    pretrain: str = setting(
        "kept",
        "the autoencoder: scratch trains one of your own, once, and keeps it for these runs",
        choices=("kept", "scratch"),
    )

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        return {"supervision": self.supervision}

    @property
    def suffix(self) -> str:
        """What the variant's name ends in."""
        return "-scratch" if self.pretrain == "scratch" else ""

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        self._labels = supervised_labels(dataset.labels, self.supervision, method.seed)
        if self.supervision and len(dataset.class_names) > method.n_clusters:
            raise ValueError(
                f"{method.n_clusters} clusters are too few (CLUSTERS): expected one for each of "
                f"{len(dataset.class_names)} classes"
            )
        method.check(dataset.images, self._labels)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        name = f"{data}-cae-{method.pretraining_epochs}-epochs-seed-{method.seed}{self.suffix}"
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
            found["metrics"] = measure(dataset.labels, self._labels, method.labels_, method.history_[0])
            counts = metrics.confusion(dataset.labels, method.labels_, None, method.n_clusters)
            found["confusion"] = counts.tolist()
        return found


def supervised_labels(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Keep the labels of a share of the images, drawn at random without replacement (SDCEC, section 5).

    Args:
        labels: int (n,), -1 where unknown.
        fraction: share of all images, in [0, 1).
        seed: of the draw.

    Returns:
        int64 (n,): the label where drawn and known, else -1.

    Raises:
        ValueError: the fraction is out of range, selects all images, or none though it is not 0.
    """
    n = len(labels)
    SemiSupervised(supervision=fraction).check_settings()
    count = round(fraction * n)
    if count == n:
        raise ValueError(f"a supervision of {fraction} selects all {n} images and leaves none to score: use less")
    if fraction and not count:
        raise ValueError(f"a supervision of {fraction} selects none of {n} images: use {1 / n:.2g} or more, or 0")
    if fraction and (labels < 0).all():
        raise ValueError("supervision needs images whose class is known: one sub-folder a class; received none")
    drawn = np.random.default_rng(seed).choice(n, count, replace=False)
    known = np.full(n, -1, np.int64)
    known[drawn] = labels[drawn]
    return known


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


def measure(classes: np.ndarray, labels: np.ndarray, clusters: np.ndarray, initial: dict) -> dict:
    """Score a clustering over all images, and over those whose class the fit was not told.

    Args:
        classes: int (n,), the true classes.
        labels: int (n,), what the fit was told, -1 where nothing.
        clusters: int (n,), what it found.
        initial: the scores at iteration 0.

    Returns:
        {name: {"value", "protocol", "n"}}; values are fractions.
    """
    rest = labels < 0
    told = f"{np.sum(~rest):,} supervised"
    found = {}
    for suffix, rows, protocol in (
        ("", slice(None), f"all {len(classes):,} images, the {told} ones included"),
        ("_unsupervised", rest, f"the {rest.sum():,} images that are not supervised"),
    ):
        for name, value in metrics.scores(classes[rows], clusters[rows]).items():
            how = {"acc": ", one to one", "purity": ", majority class"}.get(name, "")
            found[name + suffix] = {"value": value, "protocol": protocol + how, "n": len(classes[rows])}
    for name in ("acc", "nmi", "ari", "purity"):
        found[f"{name}_initial"] = {**found[name], "value": initial[name]}
    return found
