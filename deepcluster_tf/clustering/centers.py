"""Where cluster centres start, and what keeps clusters from running empty."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from deepcluster_tf.clustering import partitions


def labelled_means(embeddings: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """The mean embedding of the labelled images of each class (SDCEC, eq. 6).

    Args:
        embeddings: float (n, d).
        labels: int (n,), -1 where unknown.
        n_clusters: number of classes.

    Returns:
        float (n_clusters, d); NaN in the row of a class that has no labelled image.
    """
    centers = np.full((n_clusters, embeddings.shape[1]), np.nan, embeddings.dtype)
    for j in np.unique(labels[labels >= 0]):
        centers[j] = embeddings[labels == j].mean(axis=0, dtype=np.float64)
    return centers


def initial_centers(
    embeddings: np.ndarray, labels: np.ndarray, n_clusters: int, n_init: int = 20, seed: int = 0
) -> tuple[np.ndarray, list[int]]:
    """Where the cluster centres start: labelled means where there are labels, else k-means (SDCEC, 4.2).

    Args:
        embeddings: float (n, d).
        labels: int (n,), -1 where unknown.
        n_clusters: number of clusters, at most n.
        n_init: restarts of k-means.
        seed: of k-means.

    Returns:
        centres, float (n_clusters, d), and the classes that had no labelled image. Their centres are those of
        k-means' that are left once every labelled mean has taken the one nearest to it (one to one).
    """
    centers = labelled_means(embeddings, labels, n_clusters)
    missing = np.flatnonzero(np.isnan(centers).any(axis=1))
    if len(missing):
        found = partitions.kmeans(embeddings, n_clusters, n_init, seed).cluster_centers_
        known = np.setdiff1d(np.arange(n_clusters), missing)
        taken = linear_sum_assignment(cdist(centers[known], found))[1]
        centers[missing] = np.delete(found, taken, axis=0)
    return centers, missing.tolist()


def relocate_empty(embeddings: np.ndarray, centers: np.ndarray, assigned: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Move the centres of empty clusters onto the points farthest from their own centres, as k-means does.

    Args:
        embeddings: float (n, d).
        centers: float (n_clusters, d).
        assigned: int (n,), the cluster of each point.

    Returns:
        centres, float (n_clusters, d), a copy where anything moved, and the clusters that were empty.
    """
    empty = np.flatnonzero(np.bincount(assigned, minlength=len(centers)) == 0)
    if len(empty):
        farthest = _farthest(embeddings, centers, assigned)[: len(empty)]
        centers = centers.copy()
        centers[empty[: len(farthest)]] = embeddings[farthest]
    return centers, empty.tolist()


def _farthest(embeddings, centers, assigned) -> np.ndarray:
    """The points in the order of their distance from their own centre, the farthest first."""
    return np.argsort(-np.square(embeddings - centers[assigned]).sum(axis=1), kind="stable")


def refill_empty(assigned: np.ndarray, embeddings: np.ndarray, n_clusters: int) -> tuple[np.ndarray, list[int]]:
    """The same repair of a finished clustering: an empty cluster takes the point farthest from its own centre.

    Singh's slides ask for such a check.

    Args:
        assigned: int (n,), 0 to n_clusters - 1.
        embeddings: float (n, d).
        n_clusters: how many clusters there should be, at most n.

    Returns:
        clusters, int (n,), a copy where anything moved, and the clusters that were empty.
    """
    empty = np.setdiff1d(np.arange(n_clusters), assigned)
    if len(empty):
        sums = np.zeros((n_clusters, embeddings.shape[1]))
        np.add.at(sums, assigned, embeddings)
        sizes = np.bincount(assigned, minlength=n_clusters)
        order = _farthest(embeddings, sums / np.maximum(sizes, 1)[:, None], assigned)
        assigned, left = assigned.copy(), list(empty)
        for point in order:
            if left and sizes[assigned[point]] > 1:  # no cluster is emptied to fill another
                sizes[assigned[point]] -= 1
                assigned[point] = left.pop(0)
    return assigned, empty.tolist()
