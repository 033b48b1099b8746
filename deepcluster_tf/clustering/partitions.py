"""k-means, Gaussian mixtures and agglomerative clustering, the best of several starts; how many clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.mixture import GaussianMixture
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
