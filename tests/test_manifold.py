"""N2D: what is easy is solved, twice alike; new embeddings are placed; the likeliest start comes first."""

import numpy as np
import pytest

from deepcluster_tf import metrics
from deepcluster_tf.clustering import N2D


@pytest.fixture(scope="module")
def rings():
    """Two rings, one in the other, which k-means cannot part, in 60 dimensions."""
    random = np.random.default_rng(0)
    angle, which = random.uniform(0, 2 * np.pi, 400), np.arange(400) % 2
    flat = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + 4 * which)[:, None]
    return flat @ random.normal(size=(2, 60)) + random.normal(0, 0.05, (400, 60)), which


@pytest.fixture(scope="module")
def fitted(rings):
    return N2D(n_clusters=2, n_init=3, seed=1).fit(rings[0])


def test_rings_are_parted_by_their_neighbours(fitted, rings):
    assert metrics.scores(rings[1], fitted.labels_)["acc"] > 0.95
    assert fitted.pca_.n_components_ == 50 and fitted.umap_.embedding_.shape == (400, 10)


def test_the_likeliest_start_comes_first(fitted):
    placed = fitted.umap_.embedding_
    np.testing.assert_array_equal(fitted.starts_[0], fitted.labels_)
    np.testing.assert_array_equal(fitted.mixture_.predict(placed), fitted.labels_)
    assert len(fitted.starts_) == 3


def test_new_embeddings_are_placed(fitted, rings):
    moved = rings[0] + np.random.default_rng(1).normal(0, 0.01, rings[0].shape)
    assert np.mean(fitted.predict(moved) == fitted.labels_) > 0.95


def test_two_fits_of_a_seed_are_one_and_few_embeddings_are_enough(rings):
    few = rings[0][:60, :3]  # fewer values than components: nothing is reduced
    one, other = (N2D(n_clusters=2, n_init=1, seed=2).fit(few) for _ in range(2))
    np.testing.assert_array_equal(one.umap_.embedding_, other.umap_.embedding_)
    assert one.pca_ is None and one.umap_.embedding_.shape == (60, 10)
