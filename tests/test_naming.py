"""Names for clusters: the confidences by hand, the hierarchy on points whose clusters are known, the elbow."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from deepcluster_tf import clustering
from deepcluster_tf.annotation import Answer
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.methods import naming

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
    if how.get("by") == "mixture":
        assert np.all(found.closeness > 0.99)  # of its own component, far from the others


def test_closeness_by_mahalanobis_and_gaussian_decay_by_loop():
    z = np.random.default_rng(0).normal(size=(200, 2)) * [1, 0.2] + np.repeat([[0, 0], [20, 0]], 100, axis=0)
    found = naming.partition(z, 2, **{**HOW, "distance": "mahalanobis", "decay": "gaussian", "a": 2.0})
    for i in range(0, 200, 7):
        center = found.centers[found.assigned[i]]
        group = z[found.assigned == found.assigned[i]] - center
        distance = (z[i] - center) @ np.linalg.inv(group.T @ group / len(group)) @ (z[i] - center)
        assert found.closeness[i] == pytest.approx(np.exp(-distance / 8), rel=1e-6)


def test_the_seed_reaches_the_clustering(monkeypatch):
    seeds = []
    for name in ("kmeans", "gaussian_mixture"):
        original = getattr(clustering, name)
        note = lambda *args, original=original, **how: seeds.append(how["seed"]) or original(*args, **how)
        monkeypatch.setattr(clustering, name, note)
    z = groups()[0]
    for by in ("kmeans", "mixture"):
        naming.partition(z, 4, **{**HOW, "by": by, "seed": 7})
    assert set(seeds) == {7} and len(seeds) >= 2


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
    naming.top_down(z[[0, 40, 80, 120]], images[:4], 4, epoch=1, depth=1, decode=decode, ask=person, **HOW)
    assert [len(asked) for asked in person.rounds] == [4]  # just as many


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


# ---------------------------------------------------------------------- between the epochs


class Row:
    """Names the picture of image n after class n mod 10, with a confidence of a quarter; keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def annotate(self, questions, given):
        for question in questions:
            self.asked.append(int(question.cluster.split()[-1]))
            yield question, Answer(self.asked[-1] % 10, 0.25)


def between(z, annotator, probabilities=None, **settings):
    """A `Naming` over points z as the latent means of as many images, and the variables that it sets."""
    how = {
        "n_clusters": 3,
        "clustering": "kmeans",
        "distance": "euclidean",
        "decay": "exponential",
        "a": 5.0,
        "seed": 0,
    }
    how |= {"depth": 1, "query": "centers", "unsupervised_epochs": 1, "epochs": 9, **settings}
    transform, proba = lambda images: z, lambda images: probabilities
    decode = lambda centers: np.zeros((len(centers), 1, 1, 1), np.float32)
    method = SimpleNamespace(transform=transform, predict_proba=proba, decode=decode, **how)
    images = np.zeros((len(z), 1, 1, 1), np.uint8)
    callback = naming.Naming(method, images, Ledger(annotator, tuple("0123456789")), None, 1)
    names = ("labels", "int32"), ("weights_of_labels", "float32")
    model = SimpleNamespace(**{name: keras.Variable(np.zeros(len(z), kind), dtype=kind) for name, kind in names})
    callback.set_model(model)
    return callback, model


def test_the_most_uncertain_are_asked_and_their_answers_are_theirs():
    sure = np.array([0.9, 0.4, 0.8, 0.3, 0.7, 0.95, 0.2, 0.6])
    probabilities = np.stack([sure, 1 - sure], axis=1)  # the larger: .9 .6 .8 .7 .7 .95 .8 .6
    annotator = Row()
    callback, model = between(np.zeros((8, 2)), annotator, probabilities, query="uncertain")
    found = callback._name(1)
    assert annotator.asked == [1, 7, 3]  # 0.6, 0.6, 0.7
    np.testing.assert_array_equal(np.flatnonzero(model.weights_of_labels), [1, 3, 7])
    np.testing.assert_array_equal(np.array(model.weights_of_labels)[[1, 3, 7]], 0.25)
    np.testing.assert_array_equal(np.array(model.labels)[[1, 3, 7]], [1, 3, 7])
    assert found == {"clusters": 3, "annotations": 3, "named": 3 / 8, "weight": 0.25}
    callback._name(2)
    assert sorted(annotator.asked[3:]) == [0, 2, 4] or sorted(annotator.asked[3:]) == [2, 4, 6]  # never twice


def test_random_images_are_those_of_seed_and_epoch():
    asked = []
    for seed in (0, 0, 1):
        annotator = Row()
        callback, _ = between(np.zeros((500, 2)), annotator, query="random", seed=seed)
        callback._name(1), callback._name(2)
        asked.append(annotator.asked)
    assert asked[0] == asked[1] != asked[2] and len(set(asked[0])) == 6


def test_the_weight_is_the_mean_over_what_is_named():
    z, _ = groups()

    class Half:
        def annotate(self, questions, given):
            yield from ((q, Answer(0 if q.cluster == "0" else -1, 0.5)) for q in questions)

    found = between(z, Half(), n_clusters=2)[0]._name(1)
    # half of the points, in two groups 1/2 from their centre: w = 0.5 exp(-5 / 2)
    assert found["named"] == 0.5 and found["weight"] == pytest.approx(0.5 * np.exp(-2.5), rel=0.05)


def test_the_elbow_sees_images_of_all_places(monkeypatch):
    """Files may lie in the order of their classes."""
    seen = []
    monkeypatch.setattr(clustering, "elbow", lambda z, *rest: seen.append(z[:, 0]) or 3)
    z = np.stack([np.arange(10_050.0), np.zeros(10_050)], axis=1).astype(np.float32)
    assert between(z, Row(), n_clusters=0)[0]._name(1)["clusters"] == 3
    assert len(seen[0]) == 10_000 and seen[0].max() > 10_000 and np.all(np.diff(seen[0]) > 0)
