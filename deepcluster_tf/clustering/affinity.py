"""Affinity propagation, with a preference that gives as many clusters as are asked for."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import AffinityPropagation
from sklearn.exceptions import ConvergenceWarning


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
