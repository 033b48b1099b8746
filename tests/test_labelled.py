"""Classifiers that see some labels: Poisson learning by hand and against a dense solution, easy tasks, edges."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from deepcluster_tf import clustering
from deepcluster_tf.clustering import labelled


def test_potentials_of_a_chain_by_hand():
    # 0 - 1 - 2 - 3, with the ends labelled: the sources are +1/2 and -1/2, so the potential falls by 1/2 at each edge
    chain = csr_matrix(np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1))
    u = labelled.poisson_of(chain, np.array([0, -1, -1, 1]), 2)
    np.testing.assert_allclose(np.diff(u[:, 0]), -0.5, atol=1e-6)
    np.testing.assert_allclose(u[:, 0], -u[:, 1], atol=1e-6)


def test_potentials_are_those_of_the_dense_equation():
    random = np.random.default_rng(0)
    weights = np.triu(random.uniform(size=(12, 12)), 1)
    weights += weights.T
    labels = np.full(12, -1)
    labels[:5] = 0, 1, 2, 1, 1
    b = np.zeros((12, 3))
    for row, label in enumerate(labels[:5]):
        b[row, label] = 1
    b[:5] -= b[:5].mean(axis=0)
    expected = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights) @ b
    found = labelled.poisson_of(csr_matrix(weights), labels, 3)
    np.testing.assert_allclose(found - found.mean(axis=0), expected, atol=1e-5)


def test_weights_by_hand():
    graph = labelled.weighted_graph(np.array([[0.0], [1], [3]]), 2).toarray()
    # from 0 the distances are 1 and 3, from 1 they are 1 and 2, from 2 they are 2 and 3
    expected = {
        (0, 1): (np.exp(-4 / 9) + np.exp(-4 / 4)) / 2,
        (0, 2): np.exp(-4),
        (1, 2): (np.exp(-4) + np.exp(-4 * 4 / 9)) / 2,
    }
    for (i, j), weight in expected.items():
        assert graph[i, j] == graph[j, i] == pytest.approx(weight)
    assert (np.diag(graph) == 0).all()


@pytest.fixture
def moons():
    """Two rings in each other, a label each: what is near is of one class, what is on one line is not."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    labels = np.full(400, -1)
    labels[[0, 200]] = 0, 1
    return np.concatenate([ring, 3 * ring]), np.repeat([0, 1], 200), labels


def test_one_label_a_ring_is_enough_for_a_graph(moons):
    z, classes, labels = moons
    np.testing.assert_array_equal(clustering.poisson(z, labels, 2), classes)


@pytest.mark.parametrize("classify", [clustering.support_vectors, clustering.logistic_regression])
def test_classifiers_keep_what_is_known(classify):
    random = np.random.default_rng(0)
    classes = np.arange(300) % 3
    z = random.normal(size=(300, 4)) + 8 * np.eye(4)[classes]
    labels = np.where(np.arange(300) < 60, classes, -1)
    labels[0] = 1 - classes[0]  # a wrong one stays what was told
    found = classify(z, labels)
    assert found.dtype == np.int64 and found[0] == labels[0]
    assert (found == classes).mean() > 0.98


def test_where_no_path_leads_the_nearest_label_holds(moons):
    z, classes, labels = moons
    islands = np.concatenate([z, z[:20] / 100 + [50, 0]])
    found = clustering.poisson(islands, np.append(labels, np.full(20, -1)), 2)
    np.testing.assert_array_equal(found[:400], classes)
    assert (found[400:] == 1).all()  # the label at (3, 0) is the nearest
