"""Retrieval in blocks agrees with a loop over all pairs; precision by hand."""

import numpy as np
import pytest

from deepcluster_tf.clustering import search


@pytest.mark.parametrize("cosine", [True, False])
def test_blocks_agree_with_a_loop(cosine):
    embeddings = np.random.default_rng(0).normal(size=(57, 5))
    queries = np.array([3, 56, 0, 20, 7])
    found = search.most_similar(embeddings, queries, 6, cosine=cosine, block=2)
    for query, nearest in zip(queries, found):
        similarity = []
        for row in embeddings:
            dot = float(embeddings[query] @ row)
            similarity.append(dot / np.linalg.norm(embeddings[query]) / np.linalg.norm(row) if cosine else dot)
        np.testing.assert_array_equal(nearest, np.argsort(similarity)[::-1][:6])
    if cosine:
        assert (found[:, 0] == queries).all()  # nothing is nearer to a direction than itself


def test_a_long_vector_can_be_more_similar_than_the_image_itself():
    embeddings = np.array([[1.0, 0], [5, 1], [0, 1], [0, 0]])
    assert search.most_similar(embeddings, np.array([0]), 2, cosine=False).tolist() == [[1, 0]]
    assert search.most_similar(embeddings, np.array([0]), 2).tolist() == [[0, 1]]
    assert search.most_similar(embeddings, np.array([3]), 4).shape == (1, 4)  # a vector of length 0


def test_precision_by_hand():
    classes = np.array([0, 0, 0, 1, 1, 2])
    queries = np.array([0, 3])
    # of query 0 the two others are 1 and 3: one of two is right; of query 3 they are 5 and 4: one of two
    nearest = np.array([[0, 1, 3], [5, 3, 4]])
    np.testing.assert_allclose(search.precision_by_class(nearest, queries, classes, 2), [0.5, 0.5, np.nan])
    # the query need not be among its nearest: then the first two count
    np.testing.assert_allclose(
        search.precision_by_class(np.array([[1, 2, 3]]), np.array([0]), classes, 2), [1, np.nan, np.nan]
    )
