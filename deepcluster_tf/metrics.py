"""Scores of a clustering against known classes. None of them is seen in training.

One-to-one accuracy (`accuracy`) and majority-class accuracy (`purity`) differ and never stand in one column.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score


def _checked(classes, clusters) -> tuple[np.ndarray, np.ndarray]:
    classes, clusters = np.asarray(classes), np.asarray(clusters)
    if classes.ndim != 1 or classes.shape != clusters.shape or not len(classes):
        raise ValueError(
            "classes and clusters must be two vectors of one length, at least 1; "
            f"received shapes {classes.shape} and {clusters.shape}"
        )
    if not (np.issubdtype(classes.dtype, np.integer) and np.issubdtype(clusters.dtype, np.integer)):
        raise ValueError(f"classes and clusters must be integers; received {classes.dtype} and {clusters.dtype}")
    if classes.min() < 0 or clusters.min() < 0:
        raise ValueError("classes and clusters must be 0 or more: leave out the images whose class is unknown (-1)")
    return classes.astype(np.int64), clusters.astype(np.int64)


def confusion(classes, clusters, n_classes: int | None = None, n_clusters: int | None = None) -> np.ndarray:
    """Count the images of each class in each cluster.

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.
        n_classes, n_clusters: the sizes of the matrix, above the largest id; one more than that where not given.

    Returns:
        int64 (n_classes, n_clusters).

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative or not below the size.
    """
    classes, clusters = _checked(classes, clusters)
    shape = (int(n_classes or classes.max() + 1), int(n_clusters or clusters.max() + 1))
    if classes.max() >= shape[0] or clusters.max() >= shape[1]:
        raise ValueError(f"expected ids below {shape}; received {classes.max()} and {clusters.max()}")
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (classes, clusters), 1)
    return counts


def _counts(classes, clusters) -> np.ndarray:
    """The confusion of the ids that occur, in their order: a large id takes no more memory than a small one."""
    return confusion(*(np.unique(ids, return_inverse=True)[1] for ids in _checked(classes, clusters)))


def match(classes, clusters) -> dict[int, int]:
    """The one-to-one mapping m of clusters to classes that gets the most images right (SDCEC, eq. 7).

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.

    Returns:
        {cluster: class}. With more clusters than classes, the clusters left over are not in it; a pair may share no
        image where nothing better is left.

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative.
    """
    return {int(cluster): int(class_) for class_, cluster in zip(*matching(confusion(classes, clusters)))}


def matching(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same mapping from a confusion matrix (n_classes, n_clusters): the matched classes and their clusters."""
    return linear_sum_assignment(counts, maximize=True)


def accuracy(classes, clusters) -> float:
    """One-to-one clustering accuracy ACC (SDCEC, eq. 7), by the Hungarian method.

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.

    Returns:
        the fraction, in 0..1, of images right under the best one-to-one mapping; an unmatched cluster is wrong.

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative.
    """
    counts = _counts(classes, clusters)
    return float(counts[matching(counts)].sum() / counts.sum())


def balanced_accuracy(classes, clusters) -> float:
    """The mean over the classes of the share of a class that is in its cluster, under the matching of `accuracy`.

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.

    Returns:
        a fraction in 0..1: `accuracy`, where all classes have as many images; a class without a cluster counts as 0.

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative.
    """
    counts = _counts(classes, clusters)
    rows, columns = matching(counts)
    return float((counts[rows, columns] / counts.sum(axis=1)[rows]).sum() / len(counts))


def purity(classes, clusters) -> float:
    """Majority-class accuracy: every cluster takes its most frequent class, and several may take one.

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.

    Returns:
        a fraction in 0..1, never below `accuracy`.

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative.
    """
    counts = _counts(classes, clusters)
    return float(counts.max(axis=0).sum() / counts.sum())


def normalized_mutual_information(classes, clusters) -> float:
    """NMI with the arithmetic mean of the entropies (SDCEC, eq. 8), from scikit-learn.

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.

    Returns:
        a number in 0..1; 1 where both sides hold one single group.

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative.
    """
    return float(normalized_mutual_info_score(*_checked(classes, clusters), average_method="arithmetic"))


def adjusted_rand_index(classes, clusters) -> float:
    """Adjusted Rand index, from scikit-learn.

    Args:
        classes: int (n,), 0 or more.
        clusters: int (n,), 0 or more.

    Returns:
        a number in -0.5..1; 0 is chance.

    Raises:
        ValueError: lengths differ, nothing given, or an id is negative.
    """
    return float(adjusted_rand_score(*_checked(classes, clusters)))


def scores(classes, clusters) -> dict[str, float]:
    """All four scores by their short names: acc, nmi, ari, purity; arguments as theirs."""
    return {
        "acc": accuracy(classes, clusters),
        "nmi": normalized_mutual_information(classes, clusters),
        "ari": adjusted_rand_index(classes, clusters),
        "purity": purity(classes, clusters),
    }


def labels_of_accuracy(classes: np.ndarray, accuracy: float, n_classes: int, random: np.random.Generator) -> np.ndarray:
    """Labels of a prescribed accuracy: an image keeps its class, or else takes any other (Schultz, "Scoring").

    Args:
        classes: int (n,), 0 to n_classes - 1.
        accuracy: the share that keeps its class, in 0..1, in expectation.
        n_classes: 2 or more.
        random: draws.

    Returns:
        int (n,).
    """
    others = (classes + random.integers(1, n_classes, len(classes))) % n_classes
    return np.where(random.uniform(size=len(classes)) < accuracy, classes, others)


def accuracy_curve(classes: np.ndarray, n_classes: int, seed: int = 0, steps: int = 46) -> np.ndarray:
    """The adjusted Rand index of simulated labels, from chance to certainty (Schultz, "Scoring").

    Args:
        classes: int (n,), 0 to n_classes - 1.
        n_classes: 2 or more.
        seed: of the draws.
        steps: points of the curve.

    Returns:
        float (steps, 2): accuracies from 1 / n_classes to 1, and their adjusted Rand indices, which rise with them.
    """
    random = np.random.default_rng(seed)
    accuracies = np.linspace(1 / n_classes, 1, steps)
    draws = int(np.clip(10_000 // len(classes), 1, 20))  # of few labels a single draw says little
    draw = lambda a: adjusted_rand_index(classes, labels_of_accuracy(classes, a, n_classes, random))
    scored = [np.mean([draw(a) for _ in range(draws)]) for a in accuracies]
    return np.column_stack([accuracies, np.maximum.accumulate(scored)])


def equivalent_accuracy(adjusted_rand: float, curve: np.ndarray) -> float:
    """The accuracy of simulated labels that have this adjusted Rand index.

    Args:
        adjusted_rand: in -0.5..1.
        curve: from `accuracy_curve`.

    Returns:
        a fraction, 1 / n_classes where the index is that of chance, or below it.
    """
    return float(np.interp(adjusted_rand, curve[:, 1], curve[:, 0]))
