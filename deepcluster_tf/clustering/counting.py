"""How many clusters there are, by a criterion that needs no labels. NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import silhouette_score
from tqdm.auto import tqdm

from deepcluster_tf.clustering.manifold import N2D
from deepcluster_tf.clustering.partitions import kmeans

SAMPLE = 10_000  # points whose silhouettes are taken: their cost grows with the square


def silhouettes(
    embeddings: np.ndarray, candidates: Sequence[int], seed: int = 0, progress: str | None = None
) -> np.ndarray:
    """The mean silhouette of k-means into each number of clusters, on a map in which neighbours are close.

    The embeddings go through principal components and UMAP to ten dimensions, as `N2D` does; k-means sees all of them,
    silhouettes are taken of a sample.

    Args:
        embeddings: float (n, d), 50 or more.
        candidates: numbers of clusters, 2 or more and below n.
        seed: of everything random.
        progress: names the bar to show.

    Returns:
        float (candidates,), in -1..1: near 1 where clusters are narrow and far apart.
    """
    found = []
    with tqdm(total=1 + len(candidates), desc=progress, disable=progress is None, leave=False) as bar:
        z = N2D(seed=seed).place(embeddings)
        some = np.random.default_rng(seed).permutation(len(z))[:SAMPLE]
        bar.update()
        for k in candidates:
            clusters = kmeans(z, k, n_init=5, seed=seed).labels_[some]
            found.append(silhouette_score(z[some], clusters) if len(np.unique(clusters)) > 1 else -1.0)
            bar.update()
    return np.array(found)
