"""Scores: eq. 7 against every mapping, eq. 8 from its entropies, the Rand index from pairs, and their edges."""

import itertools
import math

import numpy as np
import pytest

from deepcluster_tf import metrics

SCORES = (
    metrics.accuracy,
    metrics.purity,
    metrics.normalized_mutual_information,
    metrics.adjusted_rand_index,
    metrics.match,
    metrics.confusion,
    metrics.scores,
)


def by_all_mappings(classes, clusters):
    """Eq. 7 as it is written: the maximum over all one-to-one mappings m."""
    size = max(*classes, *clusters) + 1
    return max(np.mean(np.take(m, clusters) == classes) for m in itertools.permutations(range(size)))


def test_large_ids_take_no_more_memory_than_small_ones():
    classes, clusters = [0, 10**12, 10**12, 7], [5, 10**9, 5, 10**9]
    assert metrics.accuracy(classes, clusters) == 0.5 and metrics.purity(classes, clusters) == 0.5
    assert metrics.balanced_accuracy([3, 3, 10**12], [10**9, 10**9, 2]) == 1


def by_entropies(classes, clusters):
    """Eq. 8 from I and H, each a sum over probabilities."""

    def entropy(ids):
        return -sum(np.mean(ids == i) * math.log(np.mean(ids == i)) for i in set(ids.tolist()))

    mutual = 0.0
    for y, c in set(zip(classes.tolist(), clusters.tolist())):
        both = np.mean((classes == y) & (clusters == c))
        mutual += both * math.log(both / (np.mean(classes == y) * np.mean(clusters == c)))
    return mutual / ((entropy(classes) + entropy(clusters)) / 2)


def by_pairs(classes, clusters):
    """The adjusted Rand index from a double loop over all pairs of images."""
    pairs = list(itertools.combinations(range(len(classes)), 2))
    same_class = sum(classes[i] == classes[j] for i, j in pairs)
    same_cluster = sum(clusters[i] == clusters[j] for i, j in pairs)
    both = sum(classes[i] == classes[j] and clusters[i] == clusters[j] for i, j in pairs)
    expected = same_class * same_cluster / len(pairs)
    return (both - expected) / ((same_class + same_cluster) / 2 - expected)


@pytest.mark.parametrize(
    ("classes", "clusters", "acc", "nmi", "ari", "purity"),
    [
        # Counts [[2, 2, 0], [0, 0, 2]]. One to one, cluster 1 stays without a class: (2 + 2) / 6.
        # C determines Y, so I = H(Y) = ln 3 - 2/3 ln 2 = 0.636514; H(C) = ln 3 = 1.098612; I / mean = 0.733681.
        # Pairs: 1 + 1 + 1 together in both, 6 + 1 in Y, 3 in C, of 15: (3 - 1.4) / (5 - 1.4) = 4/9.
        pytest.param([0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2], 4 / 6, 0.733681, 4 / 9, 1, id="more-clusters"),
        # The same the other way round; the clusters' majorities are right in 2 + 2 of 6.
        pytest.param([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1], 4 / 6, 0.733681, 4 / 9, 4 / 6, id="fewer-clusters"),
        pytest.param([0, 0, 1, 1, 2], [2, 2, 0, 0, 1], 1, 1, 1, 1, id="perfect-but-renamed"),
        pytest.param([7, 7, 3], [100, 100, 2], 1, 1, 1, 1, id="ids-with-gaps"),
        pytest.param([0, 0, 1, 1], [0, 0, 0, 0], 1 / 2, 0, 0, 1 / 2, id="all-in-one-cluster"),
        pytest.param([0, 0, 0, 0], [0, 1, 2, 3], 1 / 4, 0, 0, 1, id="one-class"),
        # I = ln 2, H = ln 2 and ln 4: ln 2 / (1.5 ln 2).
        pytest.param([0, 0, 1, 1], [0, 1, 2, 3], 2 / 4, 2 / 3, 0, 1, id="each-its-own-cluster"),
        pytest.param([0, 0, 1, 1], [0, 1, 0, 1], 1 / 2, 0, -1 / 2, 1 / 2, id="independent"),  # (0 - 2/3) / (2 - 2/3)
        pytest.param([4, 4, 4], [9, 9, 9], 1, 1, 1, 1, id="one-class-one-cluster"),
        pytest.param([0], [0], 1, 1, 1, 1, id="one-image"),
        pytest.param([1, 1, 0], [2, 2, 5], 1, 1, 1, 1, id="empty-clusters-between"),
    ],
)
def test_scores_by_hand(classes, clusters, acc, nmi, ari, purity):
    expected = {"acc": acc, "nmi": nmi, "ari": ari, "purity": purity}
    assert metrics.scores(classes, clusters) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_scores_against_their_definitions(seed):
    rng = np.random.default_rng(seed)
    classes, clusters = (rng.integers(0, size, 25) for size in rng.integers(2, 6, 2))
    assert metrics.accuracy(classes, clusters) == by_all_mappings(classes, clusters)
    assert metrics.normalized_mutual_information(classes, clusters) == pytest.approx(by_entropies(classes, clusters))
    assert metrics.adjusted_rand_index(classes, clusters) == pytest.approx(by_pairs(classes, clusters))
    majority = sum(max(np.sum(classes[clusters == c] == y) for y in classes) for c in set(clusters.tolist()))
    assert metrics.purity(classes, clusters) == majority / 25
    assert metrics.purity(classes, clusters) >= metrics.accuracy(classes, clusters)
    renamed = rng.permutation(6)[clusters]
    assert metrics.scores(classes, renamed) == pytest.approx(metrics.scores(classes, clusters))


@pytest.mark.parametrize(("n_classes", "n_clusters"), [(3, 3), (3, 5), (5, 3)])
def test_match_is_one_to_one_and_gives_the_accuracy(n_classes, n_clusters):
    rng = np.random.default_rng(n_clusters)
    classes, clusters = rng.integers(0, n_classes, 60), rng.integers(0, n_clusters, 60)
    found = metrics.match(classes, clusters)
    assert len(found) == len(set(found.values())) == min(n_classes, n_clusters)
    assert set(found) <= set(range(n_clusters)) and set(found.values()) <= set(range(n_classes))
    right = np.mean([found.get(cluster) == class_ for class_, cluster in zip(classes.tolist(), clusters.tolist())])
    assert right == metrics.accuracy(classes, clusters)


def test_a_left_over_cluster_stands_for_no_class():
    assert metrics.match([0, 0, 0, 0, 1], [2, 2, 2, 0, 1]) == {2: 0, 1: 1}  # and not {..., 0: 0}


def test_confusion_counts_classes_down_and_clusters_across():
    classes, clusters = [0, 0, 1, 2, 2], [1, 1, 0, 1, 3]
    expected = [[0, 2, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]]
    counts = metrics.confusion(classes, clusters)
    assert counts.dtype == np.int64 and counts.tolist() == expected
    larger = metrics.confusion(classes, clusters, n_classes=4, n_clusters=6)
    assert larger.tolist() == [[*row, 0, 0] for row in expected] + [[0] * 6]


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.__name__)
@pytest.mark.parametrize(
    ("classes", "clusters", "message"),
    [
        ([0, 1], [0, 1, 2], r"two vectors of one length.*received shapes \(2,\) and \(3,\)"),
        ([], [], r"at least 1; received shapes \(0,\) and \(0,\)"),
        ([[0, 1]], [[0, 1]], r"received shapes \(1, 2\) and \(1, 2\)"),
        (0, 0, r"received shapes \(\) and \(\)"),
        ([0, -1], [0, 1], r"must be 0 or more: leave out the images whose class is unknown \(-1\)"),
        ([0, 1], [-1, 1], "must be 0 or more"),
        ([-1, -1], [0, 1], "must be 0 or more"),
    ],
)
def test_refused(score, classes, clusters, message):
    with pytest.raises(ValueError, match=message):
        score(classes, clusters)


def test_labels_of_a_prescribed_accuracy():
    classes = np.arange(20_000) % 10
    for accuracy in (0.0, 0.3, 1.0):
        labels = metrics.labels_of_accuracy(classes, accuracy, 10, np.random.default_rng(0))
        assert np.mean(labels == classes) == pytest.approx(accuracy, abs=0.01)
        assert labels.min() >= 0 and labels.max() <= 9
    wrong = metrics.labels_of_accuracy(np.zeros(9000, int), 0.0, 10, np.random.default_rng(1))
    np.testing.assert_allclose(np.bincount(wrong, minlength=10)[1:] / 9000, 1 / 9, atol=0.02)  # any other, evenly
    assert wrong.min() == 1


def test_equivalent_accuracy_inverts_the_simulation():
    classes = np.arange(5000) % 10
    curve = metrics.accuracy_curve(classes, 10)
    assert curve[0, 0] == 0.1 and curve[-1].tolist() == [1, 1] and np.all(np.diff(curve[:, 1]) >= 0)
    for accuracy in (0.3, 0.6, 0.9):
        labels = metrics.labels_of_accuracy(classes, accuracy, 10, np.random.default_rng(5))
        found = metrics.equivalent_accuracy(metrics.adjusted_rand_index(classes, labels), curve)
        assert found == pytest.approx(np.mean(labels == classes), abs=0.02)
    assert metrics.equivalent_accuracy(-0.1, curve) == 0.1 and metrics.equivalent_accuracy(1.0, curve) == 1


def test_the_curve_rises_and_is_of_its_seed():
    classes = np.arange(60) % 3
    curves = [metrics.accuracy_curve(classes, 3, seed) for seed in (*range(10), 0)]
    assert all(np.all(np.diff(curve[:, 1]) >= 0) for curve in curves)
    assert np.any(curves[0] != curves[1]) and np.all(curves[0] == curves[-1])
    # of sixty labels one draw says little: over the seeds it deviates by 0.08, the mean of twenty by 0.02
    assert np.std([curve[:, 1] for curve in curves[:10]], axis=0).max() < 0.04


def test_equivalent_accuracy_by_hand():
    # ari 0.25 lies halfway between the points (0.5, 0.2) and (0.6, 0.3)
    assert metrics.equivalent_accuracy(0.25, np.array([[0.1, 0], [0.5, 0.2], [0.6, 0.3]])) == pytest.approx(0.55)


def test_balanced_accuracy_by_hand():
    classes = [0, 0, 0, 0, 0, 0, 1, 1]
    assert metrics.balanced_accuracy(classes, [3, 3, 3, 3, 3, 1, 1, 0]) == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert metrics.balanced_accuracy(classes, [0] * 8) == pytest.approx(0.5)  # one class has no cluster
    assert metrics.balanced_accuracy([0, 0, 2, 2], [1, 1, 0, 0]) == 1  # a class without images does not count
    even, clusters = np.repeat([0, 1, 2], 4), np.array([0, 0, 1, 2, 1, 1, 1, 1, 2, 2, 2, 0])
    assert metrics.balanced_accuracy(even, clusters) == pytest.approx(metrics.accuracy(even, clusters))
