"""Classes of all embeddings out of the labels of some: what a plain classifier makes of the same labels.

NumPy in, NumPy out.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC
from tqdm.auto import tqdm

STRENGTH = 10.0  # of a support vector machine's errors, C: a usual value, not searched for
BLOCK = 2000  # embeddings classified between two movements of the bar
COMPONENTS = 50  # principal components in which nearest neighbours are looked for


def support_vectors(embeddings: np.ndarray, labels: np.ndarray, progress: str | None = None) -> np.ndarray:
    """A support vector machine with a Gaussian kernel, as wide as scikit-learn's "scale" says.

    Args:
        embeddings: float (n, d).
        labels: int (n,), -1 where unknown; two classes or more.
        progress: names the bar to show.

    Returns:
        int64 (n,): what is known, and what is predicted of the rest.
    """
    return _classified(SVC(C=STRENGTH, gamma="scale", cache_size=1000), embeddings, labels, progress)


def logistic_regression(embeddings: np.ndarray, labels: np.ndarray, progress: str | None = None) -> np.ndarray:
    """A linear classifier; arguments as `support_vectors`."""
    return _classified(LogisticRegression(max_iter=300), embeddings, labels, progress)


def _classified(classifier, embeddings, labels, progress) -> np.ndarray:
    told, rest = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    found = labels.astype(np.int64)
    classifier.fit(embeddings[told], labels[told])
    for start in tqdm(range(0, len(rest), BLOCK), progress, disable=progress is None, leave=False, unit="block"):
        rows = rest[start : start + BLOCK]
        found[rows] = classifier.predict(embeddings[rows])
    return found


def poisson(embeddings: np.ndarray, labels: np.ndarray, n_classes: int, neighbors: int = 10) -> np.ndarray:
    """Poisson learning: labels as sources and sinks on the graph of nearest neighbours (Calder et al. 2020).

    Args:
        embeddings: float (n, d); of more than 50 values their principal components.
        labels: int (n,), -1 where unknown.
        n_classes: classes, of which each may have labels.
        neighbors: of the graph.

    Returns:
        int64 (n,): what is known, and of the rest the class with the largest potential. In a connected part of the
        graph with labels of one class, this class; in one without labels, the class of the nearest labelled embedding.
    """
    if embeddings.shape[1] > COMPONENTS and len(embeddings) > COMPONENTS:
        embeddings = PCA(COMPONENTS, random_state=0).fit_transform(embeddings)
    told = np.flatnonzero(labels >= 0)
    graph = weighted_graph(embeddings, neighbors)
    found = np.argmax(poisson_of(graph, labels, n_classes), axis=1)
    count, parts = connected_components(graph, directed=False)
    of_part = np.zeros((count, n_classes), int)  # labels of each class
    np.add.at(of_part, (parts[told], labels[told]), 1)
    classes = np.count_nonzero(of_part, axis=1)[parts]
    found[classes == 1] = np.argmax(of_part, axis=1)[parts[classes == 1]]
    if (lost := classes == 0).any():
        nearest = NearestNeighbors(n_neighbors=1).fit(embeddings[told]).kneighbors(embeddings[lost])[1][:, 0]
        found[lost] = labels[told][nearest]
    found[told] = labels[told]
    return found


def weighted_graph(embeddings: np.ndarray, neighbors: int) -> csr_matrix:
    """exp(-4 d_ij^2 / d_i^2), with d_i the distance of the farthest neighbour, made symmetric: float (n, n), sparse."""
    k = min(neighbors, len(embeddings) - 1)
    graph = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(embeddings).kneighbors_graph(mode="distance")
    farthest = np.maximum(graph.max(axis=1).toarray(), 1e-12)
    graph.data = np.exp(-4 * (graph.data / np.repeat(farthest, np.diff(graph.indptr))) ** 2)
    return ((graph + graph.T) / 2).tocsr()


def poisson_of(graph: csr_matrix, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """The potentials u of L u = b, float (n, n_classes), with L the graph's Laplacian (Calder et al. 2020, eq. 2.2).

    b has one-hot labels less their mean, and 0 where none is known. In each connected part the sources are made to sum
    to 0, without which there is no solution; u is 0 in a part with labels of one class or none.

    Args:
        graph: float (n, n), symmetric, without loops.
        labels: int (n,), -1 where unknown. n_classes: of them.
    """
    told = labels >= 0
    b = np.zeros((len(labels), n_classes))
    b[told] = np.eye(n_classes)[labels[told]]
    b[told] -= b[told].mean(axis=0)
    count, parts = connected_components(graph, directed=False)
    sums = np.zeros((count, n_classes))
    np.add.at(sums, parts[told], b[told])
    b[told] -= (sums / np.maximum(np.bincount(parts[told], minlength=count), 1)[:, None])[parts[told]]
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = 1 / np.sqrt(np.maximum(degree, 1e-12))
    laplacian = diags((degree > 0).astype(float)) - diags(scale) @ graph @ diags(scale)
    solved = [cg(laplacian, scale * column, rtol=1e-6, maxiter=1000)[0] for column in b.T]
    return scale[:, None] * np.column_stack(solved)
