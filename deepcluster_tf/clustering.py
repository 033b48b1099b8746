"""Clusterings of embeddings, and what keeps them from going wrong. NumPy in, NumPy out."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix, diags
from scipy.spatial.distance import cdist
from sklearn.cluster import AffinityPropagation, AgglomerativeClustering, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm


def kmeans(
    embeddings: np.ndarray, n_clusters: int, n_init: int = 20, seed: int = 0, progress: str | None = None
) -> KMeans:
    """Fit scikit-learn's k-means, the best of several starts.

    Args:
        embeddings: float (n, d).
        n_clusters: number of clusters, at most n.
        n_init: restarts; 20 in SDCEC.
        seed: of the starts.
        progress: name of the bar to show.

    Returns:
        the fitted `sklearn.cluster.KMeans` of the smallest inertia.
    """
    start = lambda random: KMeans(n_clusters, n_init=1, random_state=random).fit(embeddings)
    return _best(start, lambda found: -found.inertia_, n_init, seed, progress)


def _best(start: Callable, score: Callable, n_init: int, seed: int, progress: str | None):
    """The fit of the highest score, the first of equals: what scikit-learn's `n_init` does, with a bar."""
    random, best = np.random.RandomState(seed), None
    # One thread: the partial sums of several are added in the order in which they end, which is not repeatable; and
    # the mixture's many small matrix products take a fraction of the time without threads that wait for each other.
    with threadpool_limits(1):
        for _ in tqdm(range(n_init), progress, disable=progress is None, leave=False, unit="start"):
            found = start(random)
            best = found if best is None or score(found) > score(best) else best
    return best


def gaussian_mixture(
    embeddings: np.ndarray, n_clusters: int, n_init: int = 10, seed: int = 0, progress: str | None = None
) -> GaussianMixture:
    """Fit scikit-learn's Gaussian mixture with full covariances, the best of several starts.

    Args:
        embeddings: float (n, d).
        n_clusters: number of components, at most n.
        n_init: starts, each from a k-means.
        seed: of the starts.
        progress: name of the bar to show.

    Returns:
        the fitted `sklearn.mixture.GaussianMixture` of the highest likelihood; `converged_` says whether its 500
        iterations were enough.
    """
    z = embeddings.astype(np.float64)  # in float32 a narrow component can lose its rank
    # scikit-learn's 1e-6, which keeps covariances regular, would swallow the clusters of very small embeddings
    least = 1e-6 * min(1.0, max(100 * z.var(axis=0).mean(), 1e-12))
    start = lambda random: GaussianMixture(n_clusters, reg_covar=least, max_iter=500, random_state=random).fit(z)
    return _best(start, lambda found: found.lower_bound_, n_init, seed, progress)


def agglomerative(embeddings: np.ndarray, n_clusters: int) -> np.ndarray:
    """Ward's agglomerative clustering; its memory grows with the square of n.

    Args:
        embeddings: float (n, d).
        n_clusters: number of clusters, at most n.

    Returns:
        clusters, int (n,).
    """
    return AgglomerativeClustering(n_clusters).fit_predict(embeddings)


def affinity_propagation(embeddings: np.ndarray, n_clusters: int, seed: int = 0, tries: int = 12) -> np.ndarray | None:
    """Affinity propagation, whose preference is bisected until about n_clusters come out; memory grows as n squared.

    Args:
        embeddings: float (n, d).
        n_clusters: the number of clusters that is wanted.
        seed: of scikit-learn's noise against ties.
        tries: runs of the bisection.

    Returns:
        clusters, int (n,), of the converged run whose number is nearest to n_clusters, the first of equals; None where
        no run converged.
    """
    similarity = -cdist(embeddings, embeddings, "sqeuclidean")
    low = similarity.sum(axis=1).min()  # one cluster
    high = min(float(np.median(similarity)), 1e-6 * low)  # many; 0 where most are copies of one
    best, distance, too_many = None, np.inf, False
    for _ in range(tries):
        preference = -np.sqrt(low * high)  # the scale is what matters
        run = AffinityPropagation(
            affinity="precomputed",
            preference=preference,
            damping=0.95,  # with less, many points at like distances are all exemplars, then none, and so on
            max_iter=2000,
            convergence_iter=100,
            random_state=seed,
        )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            labels = run.fit_predict(similarity)
        found = len(np.unique(labels[labels >= 0]))  # none where the preference is too low for any exemplar
        beginning = found == len(embeddings) > n_clusters  # where every point is an exemplar
        converged = found and not beginning and not any(issubclass(each.category, ConvergenceWarning) for each in said)
        if converged and abs(found - n_clusters) < distance:
            best, distance = labels, abs(found - n_clusters)
        if converged and found == n_clusters:
            break
        too_many |= found > n_clusters
        low, high = (low, preference) if found > n_clusters else (preference, high)
        if low > 2 * high and not too_many:  # near its upper end, and still too few
            high /= 100
    return best


def power_iteration(
    embeddings: np.ndarray, n_clusters: int, n_neighbors: int = 10, n_vectors: int = 4, seed: int = 0
) -> np.ndarray:
    """Power iteration clustering (Lin and Cohen 2010) on a sparse graph of nearest neighbours.

    Args:
        embeddings: float (n, d).
        n_clusters: number of clusters.
        n_neighbors: edges of a point, made symmetric; an edge weighs the cosine similarity, or nothing below 0.
        n_vectors: starts, whose vectors are clustered together; the paper's one vector parts few clusters.
        seed: of the starts and of k-means.

    Returns:
        clusters, int (n,).
    """
    graph = neighbor_graph(embeddings, n_neighbors)
    return power_iteration_of(graph, n_clusters, n_vectors, seed)


def neighbor_graph(embeddings: np.ndarray, n_neighbors: int) -> csr_matrix:
    """The symmetric graph of nearest neighbours by cosine similarity, float (n, n), sparse, without loops.

    An embedding of zeros is like no other.
    """
    unit = normalize(embeddings)
    nearest = NearestNeighbors(n_neighbors=min(n_neighbors, len(unit) - 1), algorithm="brute")
    graph = nearest.fit(unit).kneighbors_graph(mode="distance")
    graph.data = np.maximum(1 - graph.data**2 / 2, 0)  # |a - b|^2 = 2 - 2 cos for unit vectors
    nonzero = diags(np.any(unit, axis=1).astype(float))
    graph = nonzero @ graph @ nonzero
    return graph.maximum(graph.T).tocsr()


def power_iteration_of(graph: csr_matrix, n_clusters: int, n_vectors: int = 4, seed: int = 0) -> np.ndarray:
    """Power iteration clustering of a graph: v <- W v / |W v|, W = D^-1 A, until its acceleration stands still.

    Args:
        graph: float (n, n), symmetric, 0 or more.
        n_clusters: number of clusters.
        n_vectors, seed: as in `power_iteration`.

    Returns:
        clusters, int (n,).
    """
    n = graph.shape[0]
    degree = np.asarray(graph.sum(axis=1)).ravel()
    walk = diags(1 / np.maximum(degree, 1e-12)) @ graph
    random = np.random.default_rng(seed)
    vectors = []
    for _ in range(n_vectors):
        v = random.uniform(size=n)
        v /= v.sum()
        speed = np.full(n, np.inf)
        for _ in range(1000):
            moved = walk @ v
            moved /= max(np.abs(moved).sum(), 1e-300)  # a graph without edges moves everything to nothing
            before, speed = speed, np.abs(moved - v)
            v = moved
            if np.abs(speed - before).max() <= 1e-5 / n:  # the paper's stopping rule
                break
        vectors.append((v - v.mean()) / max(v.std(), 1e-300))
    return kmeans(np.column_stack(vectors), n_clusters, n_init=10, seed=seed).labels_


def elbow(embeddings: np.ndarray, candidates: range, seed: int = 0) -> int:
    """The number of clusters at the elbow of the distortion of k-means (VAE with named clusters, 3.3).

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
