"""The images most similar to an image, found in blocks: no matrix of all pairs is ever held. NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm.auto import tqdm


def most_similar(
    embeddings: np.ndarray,
    queries: np.ndarray,
    n: int,
    *,
    cosine: bool = True,
    block: int = 2000,
    progress: str | None = None,
) -> np.ndarray:
    """The rows most similar to each query, best first (Schultz, "Results").

    Args:
        embeddings: float (rows, d).
        queries: int (q,), rows of `embeddings`. A query is not left out: it is not always the most similar to itself.
        n: how many; all rows where there are fewer.
        cosine: compare by the cosine; else by the dot product, which favours long vectors.
        block: queries compared at a time.
        progress: names the bar to show.

    Returns:
        int (q, n).
    """
    kept = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12) if cosine else embeddings
    found = [_best(kept[queries[start:stop]] @ kept.T, n) for start, stop in _blocks(len(queries), block, progress)]
    return np.concatenate(found)


def _blocks(n: int, block: int, progress: str | None) -> Iterator[tuple[int, int]]:
    for start in tqdm(range(0, n, block), desc=progress, unit="block", disable=progress is None, leave=False):
        yield start, min(start + block, n)


def _best(similarity: np.ndarray, n: int) -> np.ndarray:
    n = min(n, similarity.shape[1])
    nearest = np.argpartition(-similarity, n - 1, axis=1)[:, :n]
    order = np.argsort(-np.take_along_axis(similarity, nearest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(nearest, order, axis=1)


def precision_by_class(nearest: np.ndarray, queries: np.ndarray, classes: np.ndarray, n: int = 10) -> np.ndarray:
    """How many of the n nearest, the query itself left out, are of its class.

    Args:
        nearest: int (q, n + 1 or more), from `most_similar`.
        queries: int (q,), the rows that were looked for.
        classes: int (rows,), of all rows.
        n: neighbours that count.

    Returns:
        float (n_classes,), the mean precision in 0..1 of the queries of each class; NaN for one without queries.
    """
    precision = np.empty(len(queries))
    for i, (query, found) in enumerate(zip(queries, nearest)):
        precision[i] = np.mean(classes[found[found != query][:n]] == classes[query])
    mine = classes[queries]
    return np.array([precision[mine == c].mean() if (mine == c).any() else np.nan for c in range(classes.max() + 1)])
