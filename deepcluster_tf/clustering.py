"""Clusterings of embeddings, and what keeps them from going wrong. NumPy in, NumPy out."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits


def kmeans(embeddings: np.ndarray, n_clusters: int, n_init: int = 20, seed: int = 0) -> KMeans:
    """Fit scikit-learn's k-means, the best of several starts.

    Args:
        embeddings: float (n, d).
        n_clusters: number of clusters, at most n.
        n_init: restarts; 20 in document 004.
        seed: of the starts.

    Returns:
        the fitted `sklearn.cluster.KMeans`.
    """
    # One thread: the partial sums of several are added in the order in which they end, which is not repeatable.
    with threadpool_limits(1, user_api="openmp"):
        return KMeans(n_clusters, n_init=n_init, random_state=seed).fit(embeddings)


def gaussian_mixture(embeddings: np.ndarray, n_clusters: int, n_init: int = 10, seed: int = 0) -> GaussianMixture:
    """Fit scikit-learn's Gaussian mixture with full covariances, the best of several starts.

    Args:
        embeddings: float (n, d).
        n_clusters: number of components, at most n.
        n_init: starts, each from a k-means.
        seed: of the starts.

    Returns:
        the fitted `sklearn.mixture.GaussianMixture`.
    """
    with threadpool_limits(1, user_api="openmp"):
        mixture = GaussianMixture(n_clusters, n_init=n_init, random_state=seed)
        return mixture.fit(embeddings.astype(np.float64))  # in float32 a narrow component can lose its rank


def elbow(embeddings: np.ndarray, candidates: range, seed: int = 0) -> int:
    """The number of clusters at the elbow of the distortion of k-means (document 000, 3.3).

    Args:
        embeddings: float (n, d).
        candidates: numbers of clusters, ascending, at most n.
        seed: of k-means.

    Returns:
        the candidate whose distortion lies farthest below the straight line from the first candidate's to the last's.
    """
    return elbow_of([kmeans(embeddings, k, n_init=2, seed=seed).inertia_ for k in candidates], candidates)


def elbow_of(distortions: list[float], candidates: range) -> int:
    """The candidate at the elbow of a falling curve; the first where there is none."""
    x, y = np.asarray(candidates, float), np.asarray(distortions, float)
    below = np.interp(x, x[[0, -1]], y[[0, -1]]) - y
    return int(candidates[int(below.argmax())])


def labelled_means(embeddings: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """The mean embedding of the labelled images of each class (document 004, eq. 6).

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
    """Where the cluster centres start: labelled means where there are labels, else k-means (document 004, 4.2).

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
        found = kmeans(embeddings, n_clusters, n_init, seed).cluster_centers_
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
        distances = np.square(embeddings - centers[assigned]).sum(axis=1)
        centers = centers.copy()
        centers[empty] = embeddings[np.argsort(-distances, kind="stable")[: len(empty)]]
    return centers, empty.tolist()
