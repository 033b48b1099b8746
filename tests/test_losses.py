"""The target distribution (eq. 2), its supervised rows (eq. 5) and the clustering loss (eq. 3)."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import losses


def target(q):
    return np.array(losses.target_distribution(np.asarray(q, np.float32)))


def even(q):
    return np.array(losses.even_target(np.asarray(q, np.float32)))


def supervised(p, labels):
    return np.array(losses.supervised_target(np.asarray(p, np.float32), labels))


def kl(p, q):
    return np.array(losses.kl_divergence(np.asarray(p, np.float32), np.asarray(q, np.float32)))


def soft_rows(seed, n, n_clusters):
    return np.random.default_rng(seed).dirichlet(np.ones(n_clusters), n).astype(np.float32)


def target_by_loops(q):
    n, k = q.shape
    frequency = [sum(q[i, j] for i in range(n)) for j in range(k)]
    weight = [[q[i, j] ** 2 / frequency[j] for j in range(k)] for i in range(n)]
    return [[weight[i][j] / sum(weight[i]) for j in range(k)] for i in range(n)]


def kl_by_loops(p, q):
    return [sum(a * math.log(a / b) for a, b in zip(*rows) if a > 0) for rows in zip(p.tolist(), q.tolist())]


# eq. 2


def test_target_by_hand():
    # Frequencies 1.2 and 0.8. Row 1: .64/1.2 = 8/15, .04/.8 = 1/20, their sum 7/12: 32/35 and 3/35.
    # Row 2: .16/1.2 = 2/15, .36/.8 = 9/20, again 7/12: 8/35 and 27/35.
    expected = np.array([[32, 3], [8, 27]]) / 35
    np.testing.assert_allclose(target([[0.8, 0.2], [0.4, 0.6]]), expected, rtol=1e-6)


@pytest.mark.parametrize(("n", "n_clusters"), [(1, 1), (1, 4), (2, 2), (30, 3), (7, 10)])
def test_target_against_loops(n, n_clusters):
    q = soft_rows(n, n, n_clusters)
    np.testing.assert_allclose(target(q), target_by_loops(q.astype(float)), rtol=1e-5)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        pytest.param([[0, 0.5, 0.5], [0, 0.5, 0.5]], [[0, 0.5, 0.5]] * 2, id="empty-cluster"),
        pytest.param([[0, 1, 0], [0, 1, 0]], [[0, 1, 0]] * 2, id="all-in-one-cluster"),
        pytest.param([[1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1], [0, 1]], id="one-hot"),
        pytest.param([[0.3, 0.7]], [[0.3, 0.7]], id="one-image"),  # q^2 / q = q
        pytest.param([[1.0], [1.0]], [[1], [1]], id="one-cluster"),
        pytest.param([[1, 1e-30], [1, 1e-30]], [[1, 0]] * 2, id="square-underflows"),
    ],
)
def test_target_at_its_edges(q, expected):
    np.testing.assert_allclose(target(q), expected, atol=1e-6)


def test_target_of_as_many_images_as_the_document_has():
    """Frequencies are sums over 70,000 rows: float32 must not lose them."""
    q = soft_rows(0, 70_000, 10)
    weight = q.astype(float) ** 2 / q.astype(float).sum(axis=0)
    np.testing.assert_allclose(target(q), weight / weight.sum(axis=1, keepdims=True), rtol=2e-5)


# the same, all clusters with the same weight


def test_even_target_by_hand():
    # Rows p, 1 - p and 1 - p, p: scaling leaves the odds, (.81 * .04) / (.01 * .64) = 2.25 ** 2 = (p / (1 - p)) ** 2.
    np.testing.assert_allclose(even([[0.9, 0.1], [0.8, 0.2]]), np.array([[9, 4], [4, 9]]) / 13, rtol=1e-5)


def test_even_target_against_loops():
    q = soft_rows(3, 40, 4)
    p = [[value**2 for value in row] for row in q.astype(float)]
    for _ in range(1000):
        weights = [sum(row[j] for row in p) for j in range(4)]
        p = [[value / weight for value, weight in zip(row, weights)] for row in p]
        p = [[value / sum(row) for value in row] for row in p]
    np.testing.assert_allclose(even(q), p, rtol=1e-3)
    np.testing.assert_allclose(even(q).sum(axis=0), np.full(4, 10), rtol=1e-3)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        pytest.param([[0, 0.5, 0.5], [0, 0.5, 0.5]], [[0, 0.5, 0.5]] * 2, id="empty-cluster"),
        pytest.param([[0, 1, 0], [0, 1, 0]], [[0, 1, 0]] * 2, id="all-in-one-cluster"),
        pytest.param([[1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1], [0, 1]], id="one-hot-cannot-be-even"),
        pytest.param([[1, 1e-30], [1, 1e-30]], [[1, 0]] * 2, id="square-underflows"),
    ],
)
def test_even_target_at_its_edges(q, expected):
    np.testing.assert_allclose(even(q), expected, atol=1e-6)


# eq. 5


def test_supervised_rows_are_one_hot_and_the_others_untouched():
    p = soft_rows(0, 5, 3)
    found = supervised(p, np.array([-1, 2, -1, 0, -1]))
    np.testing.assert_array_equal(found[[1, 3]], [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(found[[0, 2, 4]], p[[0, 2, 4]])


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_supervision_of_none_and_of_all(dtype):
    p = soft_rows(1, 4, 3)
    np.testing.assert_array_equal(supervised(p, np.full(4, -1, dtype)), p)
    np.testing.assert_array_equal(supervised(p, np.array([2, 0, 0, 1], dtype)), np.eye(3)[[2, 0, 0, 1]])


# eq. 3


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        ([0.5, 0.5], [0.25, 0.75], 0.5 * math.log(4 / 3)),  # .5 ln 2 + .5 ln (2/3)
        ([0, 1], [0.8, 0.2], math.log(5)),  # one-hot p: -ln q
        ([1, 0], [1, 0], 0),  # 0 ln (0 / 0) adds nothing
        ([0, 1], [1e-30, 1], 0),
        ([0.3, 0.7], [0.3, 0.7], 0),
        ([1.0], [1.0], 0),
        ([1, 0], [0, 1], math.log(1e7)),  # q rounded to 0: a large number, not infinity
    ],
)
def test_kl_by_hand(p, q, expected):
    np.testing.assert_allclose(kl([p], [q]), [expected], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_kl_against_loops(seed):
    p, q = soft_rows(seed, 20, 6), soft_rows(seed + 100, 20, 6)
    p[:5] = supervised(p[:5], np.arange(5))
    found = kl(p, q)
    assert found.shape == (20,) and (found > 0).all()
    np.testing.assert_allclose(found, kl_by_loops(p.astype(float), q.astype(float)), rtol=2e-5, atol=1e-6)


def test_gradient_of_kl_is_finite_where_p_or_q_is_zero():
    p, q = tf.constant([[0.25, 0.75, 0], [0, 1, 0], [1, 0, 0]]), tf.constant([[0.5, 0.25, 0.25], [0, 1, 0], [0, 1, 0]])
    with tf.GradientTape() as tape:
        tape.watch(q)
        loss = losses.kl_divergence(p, q)
    # d/dq of p ln (p / q) is -p / q; where q rounded to 0 it is held, hence flat.
    np.testing.assert_allclose(tape.gradient(loss, q), [[-0.5, -3, 0], [0, -1, 0], [0, 0, 0]], rtol=1e-6)


def test_compiled_it_is_the_mean_over_the_images():
    """The first of the deviations that DCEC lists: eq. 3 sums."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    model.compile(loss=losses.kl_divergence)
    p, q = soft_rows(1, 8, 3), soft_rows(2, 8, 3)
    assert model.evaluate(q, p, verbose=0) == pytest.approx(kl(p, q).mean(), rel=1e-6)
