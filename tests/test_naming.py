"""Names for clusters: the confidences by hand, the hierarchy on points whose clusters are known, the elbow."""

import numpy as np
import pytest

from deepcluster_tf import clustering, naming
from deepcluster_tf.annotation import Answer

HOW = {"by": "kmeans", "distance": "euclidean", "decay": "exponential", "a": 5.0, "seed": 0}


def test_confidence_by_hand():
    # 0.8 exp(-5 * 0.2) = 0.8 * 0.367879 = 0.294304; at the centre it is p_c itself
    np.testing.assert_allclose(naming.confidence(0.8, np.array([0.2, 0.0]), 5.0), [0.294304, 0.8], rtol=1e-5)
    # 0.8 exp(-2^2 / (2 * 5^2)) = 0.8 * 0.923116
    np.testing.assert_allclose(naming.confidence(0.8, np.array([2.0]), 5.0, "gaussian"), [0.738493], rtol=1e-5)
    np.testing.assert_allclose(naming.confidence(1.0, np.array([1e6])), [0.0])


def test_mahalanobis_by_hand():
    # covariance around 0 of (+-2, 0) and (0, +-1) is diag(2, 1/2): all four lie at sqrt(4 / 2) = sqrt(1 / 0.5) = 1.414
    z = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    np.testing.assert_allclose(naming.mahalanobis(z, np.zeros(2)), np.sqrt(2))
    np.testing.assert_array_equal(naming.mahalanobis(np.ones((3, 2)), np.ones(2)), 0)  # no spread at all


@pytest.mark.parametrize("how", [{}, {"distance": "mahalanobis", "decay": "gaussian"}, {"by": "mixture"}])
def test_partition(how):
    z = np.random.default_rng(0).normal(size=(300, 2)) * 0.1 + np.repeat([[0, 0], [4, 0], [0, 4]], 100, axis=0)
    found = naming.partition(z.astype(np.float32), 3, **{**HOW, **how})
    assert sorted(np.bincount(found.assigned)) == [100, 100, 100]
    assert len(set(found.assigned[:100])) == len(set(found.assigned[100:200])) == 1
    assert np.all((found.closeness >= 0) & (found.closeness <= 1))
    if not how:
        centers = found.centers[found.assigned]
        by_hand = [np.exp(-5 * np.sqrt(((p - c) ** 2).sum())) for p, c in zip(z, centers)]
        np.testing.assert_allclose(found.closeness, by_hand, rtol=1e-4)


def groups(n=40):
    """Four far groups of n points in the plane; image i is the number i."""
    z = np.random.default_rng(0).normal(size=(4 * n, 2)) * 0.01
    z += np.repeat([[0, 0], [0, 1], [9, 0], [9, 1]], n, axis=0)
    return z.astype(np.float32), np.arange(4 * n, dtype=np.float32).reshape(-1, 1, 1, 1)


class Person:
    """Names a centre by its place: left of 4 is class 0, unless the centre lies between two groups."""

    def __init__(self):
        self.rounds = []

    def __call__(self, questions):
        self.rounds.append(questions)
        places = [question.picture.ravel() for question in questions]
        return [Answer(-1) if 0.2 < y < 0.8 else Answer(int(x > 4) * 2 + int(y > 0.5), 0.5) for x, y in places]


def decode(centers):
    return centers.reshape(-1, 1, 2, 1)


def test_top_down_splits_what_shows_no_class():
    z, images = groups()
    person = Person()
    labels, weights = naming.top_down(z, images, 2, epoch=3, depth=2, decode=decode, ask=person, **HOW)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2, 3], 40))  # two clusters of two groups, each split in two
    assert [len(asked) for asked in person.rounds] == [2, 4]
    assert sorted(question.cluster for question in person.rounds[1]) == ["0_0", "0_1", "1_0", "1_1"]
    assert [question.splits for question in person.rounds[0]] == [True, True] and not person.rounds[1][0].splits
    assert all(question.epoch == 3 and question.size == 40 for question in person.rounds[1])
    for j in range(4):  # w = p_c exp(-a d), by a loop
        rows = np.flatnonzero(labels == j)
        center = z[rows].mean(axis=0)
        np.testing.assert_allclose(
            weights[rows], [0.5 * np.exp(-5 * np.linalg.norm(z[r] - center)) for r in rows], rtol=1e-3
        )
    nearest = person.rounds[1][0].nearest.ravel().astype(int)
    center = person.rounds[1][0].picture.ravel()
    expected = np.argsort(np.linalg.norm(z - center, axis=1))[: naming.NEAREST]
    np.testing.assert_array_equal(nearest, expected)


def test_top_down_leaves_out_what_has_no_name():
    z, images = groups()
    labels, weights = naming.top_down(z, images, 2, epoch=1, depth=1, decode=decode, ask=Person(), **HOW)
    assert np.all(labels == -1) and not weights.any()
    person = Person()
    never = naming.top_down(z[:3], images[:3], 4, epoch=1, depth=2, decode=decode, ask=person, **HOW)
    assert np.all(never[0] == -1) and person.rounds == []  # fewer points than clusters: nothing to ask


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("how", [{}, {"distance": "mahalanobis", "decay": "gaussian"}])
def test_fewer_different_points_than_clusters(how):
    """Copies of two images: some clusters have none of them, and nobody is asked about those."""
    z, images = np.repeat(np.float32([[0, 0], [9, 1]]), 5, axis=0), np.zeros((10, 1, 1, 1), np.float32)
    person = Person()
    labels, weights = naming.top_down(z, images, 4, epoch=1, depth=1, decode=decode, ask=person, **{**HOW, **how})
    np.testing.assert_array_equal(labels, np.repeat([0, 3], 5))
    np.testing.assert_allclose(weights, 0.5)
    assert len(person.rounds[0]) == 2


def test_elbow_of_a_curve_by_hand():
    # the line from (2, 100) to (6, 20) passes 80, 60, 40: the curve lies 40, 30, 15 below it
    assert clustering.elbow_of([100, 40, 30, 25, 20], range(2, 7)) == 3
    assert clustering.elbow_of([4, 3, 2, 1], range(2, 6)) == 2  # a line has none


def test_elbow_finds_the_groups():
    z = np.random.default_rng(1).normal(size=(500, 5)) * 0.05 + np.repeat(np.eye(5) * 9, 100, axis=0)
    assert clustering.elbow(z, range(2, 12)) == 5
