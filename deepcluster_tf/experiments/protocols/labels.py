"""Which labels a fit is told, and scores over the images whose class it was not told."""

from __future__ import annotations

import numpy as np

from deepcluster_tf import metrics

HOW = {"acc": ", one to one", "purity": ", majority class"}


def supervised_labels(labels: np.ndarray, fraction: float, seed: int, per_class: int = 0) -> np.ndarray:
    """Keep the labels of a share of the images, drawn at random without replacement (SDCEC, section 5).

    Args:
        labels: int (n,), -1 where unknown.
        fraction: share of all images, in [0, 1).
        seed: of the draw.
        per_class: instead, so many images of each class; 0 for the share.

    Returns:
        int64 (n,): the label where drawn and known, else -1.

    Raises:
        ValueError: the fraction is out of range, selects all images, or none though it is not 0.
    """
    n = len(labels)
    if not 0 <= fraction < 1:
        raise ValueError(f"supervision must be a fraction in [0, 1), such as 0.01 for 1 %; received {fraction}")
    count = per_class * len(np.unique(labels[labels >= 0])) if per_class else round(fraction * n)
    asked = f"{per_class} labels of each class" if per_class else f"a supervision of {fraction}"
    if (fraction or per_class) and (labels < 0).all():
        raise ValueError("supervision needs images whose class is known: one sub-folder a class; received none")
    if count >= n:
        raise ValueError(f"{asked} selects all {n} images and leaves none to score: use less")
    if fraction and not count:
        raise ValueError(f"{asked} selects none of {n} images: use {1 / n:.2g} or more, or 0")
    random = np.random.default_rng(seed)
    if per_class:
        drawn = [
            _of_class(np.flatnonzero(labels == label), per_class, random) for label in np.unique(labels[labels >= 0])
        ]
    else:
        drawn = [random.choice(n, count, replace=False)]
    known = np.full(n, -1, np.int64)
    known[np.concatenate(drawn)] = labels[np.concatenate(drawn)]
    return known


def _of_class(rows: np.ndarray, count: int, random) -> np.ndarray:
    if count > len(rows):
        raise ValueError(f"{count} labels of each class (LABELS) are more than the {len(rows)} images of one: use less")
    return random.choice(rows, count, replace=False)


def measure(classes: np.ndarray, labels: np.ndarray, clusters: np.ndarray, by: str = "") -> dict:
    """Score a clustering over all images, and over those whose class the fit was not told.

    Args:
        classes: int (n,), the true classes.
        labels: int (n,), what the fit was told, -1 where nothing.
        clusters: int (n,), what it found.
        by: which clustering it is, where a run has several.

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
            key = name + suffix + (f"_{by}" if by else "")
            found[key] = {"value": value, "protocol": protocol + HOW.get(name, ""), "n": len(classes[rows])}
    return found
