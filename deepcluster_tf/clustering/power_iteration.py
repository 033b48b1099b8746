"""Power iteration clustering (Lin and Cohen 2010), on the graph of nearest neighbours."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from deepcluster_tf.clustering import partitions


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
    return partitions.kmeans(np.column_stack(vectors), n_clusters, n_init=10, seed=seed).labels_
