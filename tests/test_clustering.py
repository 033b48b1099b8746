"""k-means, where the centres start (eq. 6), and what happens to an empty cluster."""

import inspect
import itertools

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from deepcluster_tf import clustering, metrics
from deepcluster_tf.clustering import affinity, initial_centers, kmeans, labelled_means, partitions, relocate_empty

CORNERS = np.float32([[0, 0], [10, 0], [0, 10], [10, 10]])


@pytest.fixture
def corners():
    """80 points, 20 around each of four corners, and which corner."""
    which = np.repeat(np.arange(4), 20)
    noise = np.random.default_rng(0).normal(0, 0.3, (80, 2))
    return np.float32(CORNERS[which] + noise), which


def in_some_order(centers, expected, atol=0.5):
    return any(np.allclose(centers, order, atol=atol) for order in itertools.permutations(np.asarray(expected)))


# k-means


def test_the_best_start_is_that_of_scikit_learn(digits):
    """Starts one by one, with a bar, are those that its `n_init` makes in one call."""
    z = digits.images[:400].reshape(400, -1) / 255.0
    ours, theirs = clustering.kmeans(z, 10, 4, seed=3), KMeans(10, n_init=4, random_state=3).fit(z)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    z = z[:, 20:26]
    theirs = GaussianMixture(4, n_init=3, max_iter=500, random_state=3).fit(z)
    assert clustering.gaussian_mixture(z, 4, 3, seed=3).lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-9)


def test_kmeans_by_hand():
    model = kmeans(np.float32([[0, 0], [0, 2], [8, 0], [8, 2]]), 2)
    assert in_some_order(model.cluster_centers_, [[0, 1], [8, 1]], atol=1e-6)
    assert model.inertia_ == pytest.approx(4)  # four points, each 1 away
    assert inspect.signature(kmeans).parameters["n_init"].default == 20  # restarts, as in the paper


def test_kmeans_takes_the_best_of_its_starts():
    embeddings = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    first, best = ([kmeans(embeddings, 8, n_init, seed).inertia_ for seed in range(5)] for n_init in (1, 20))
    assert all(np.less_equal(best, first)) and sum(best) < 0.99 * sum(first)


def test_kmeans_repeats_itself():
    embeddings = np.random.default_rng(0).normal(size=(3000, 10)).astype(np.float32)
    first, second, other = (kmeans(embeddings, 10, n_init=2, seed=seed).cluster_centers_ for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other) and first.dtype == np.float32


def test_kmeans_of_one_cluster_of_as_many_as_points_and_of_more():
    points = np.float32([[0, 0], [2, 4]])
    np.testing.assert_allclose(kmeans(points, 1).cluster_centers_, [[1, 2]])
    assert kmeans(points, 2).inertia_ == 0
    with pytest.raises(ValueError, match="n_samples=2 should be >= n_clusters=3"):
        kmeans(points, 3)


# eq. 6


def test_labelled_means_by_hand():
    embeddings = np.float32([[0, 2], [4, 4], [9, 9], [6, 0], [1, 1]])
    means = labelled_means(embeddings, np.array([0, 2, -1, 2, 0]), 4)
    np.testing.assert_array_equal(means, [[0.5, 1.5], [np.nan] * 2, [5, 2], [np.nan] * 2])
    assert means.dtype == np.float32


@pytest.mark.parametrize("n_clusters", [1, 3, 6])
def test_labelled_means_against_loops(n_clusters):
    rng = np.random.default_rng(n_clusters)
    embeddings, labels = rng.normal(size=(50, 3)), rng.integers(-1, n_clusters, 50)
    for j, mean in enumerate(labelled_means(embeddings, labels, n_clusters)):
        members = [z for z, label in zip(embeddings, labels) if label == j]
        np.testing.assert_allclose(mean, sum(members) / len(members))


def test_labelled_means_where_nothing_or_one_image_is_labelled():
    embeddings = np.float32([[1, 2], [3, 4]])
    assert np.isnan(labelled_means(embeddings, np.array([-1, -1]), 2)).all()
    np.testing.assert_array_equal(labelled_means(embeddings[:1], np.array([1]), 2), [[np.nan] * 2, [1, 2]])


def test_labelled_means_of_half_of_fashion_mnist_in_float32():
    embeddings = np.random.default_rng(0).normal(10, 2, (35_000, 10)).astype(np.float32)
    means = labelled_means(embeddings, np.zeros(35_000, int), 1)
    np.testing.assert_allclose(means[0], embeddings.mean(axis=0, dtype=float), rtol=2e-5)


def test_with_all_classes_labelled_kmeans_is_not_asked(corners, monkeypatch):
    monkeypatch.setattr(partitions, "kmeans", None)
    labels = np.where(np.arange(80) % 20 < 2, corners[1], -1)
    centers, missing = initial_centers(*corners, 4)
    np.testing.assert_array_equal(centers, labelled_means(*corners, 4))
    assert missing == []
    few, _ = initial_centers(corners[0], labels, 4)
    np.testing.assert_allclose(few[3], corners[0][60:62].mean(axis=0))


def test_without_labels_the_centres_are_those_of_kmeans(corners):
    centers, missing = initial_centers(corners[0], np.full(80, -1), 4, n_init=3, seed=7)
    np.testing.assert_array_equal(centers, kmeans(corners[0], 4, n_init=3, seed=7).cluster_centers_)
    assert missing == [0, 1, 2, 3]


@pytest.mark.parametrize("absent", [[0], [2], [1, 3], [0, 1, 2]])
def test_a_class_without_a_label_starts_where_no_labelled_class_is(corners, absent):
    labels = np.where(np.isin(corners[1], absent), -1, corners[1])
    centers, missing = initial_centers(corners[0], labels, 4)
    assert missing == absent and centers.shape == (4, 2) and centers.dtype == np.float32
    known = np.setdiff1d(range(4), absent)
    np.testing.assert_array_equal(centers[known], labelled_means(corners[0], labels, 4)[known])
    assert in_some_order(centers[absent], CORNERS[absent])


def test_more_clusters_than_classes(corners):
    """The last two corners are of no class: their centres come from k-means."""
    centers, missing = initial_centers(corners[0], np.where(corners[1] < 2, corners[1], -1), 4)
    assert missing == [2, 3] and in_some_order(centers[2:], CORNERS[2:])


def test_two_classes_in_one_place_take_two_centres_of_kmeans(corners):
    """Both labelled means are nearest to one centre of k-means: no centre may be lost, nor used twice."""
    labels = np.full(80, -1)
    labels[:2] = 0, 1
    centers, missing = initial_centers(corners[0], labels, 4)
    assert missing == [2, 3]
    gaps = np.linalg.norm(centers[2:, None] - CORNERS, axis=2)
    assert (gaps.min(axis=1) < 0.5).all()
    assert 0 not in gaps.argmin(axis=1) and len(set(gaps.argmin(axis=1))) == 2


# Empty clusters


def test_where_no_cluster_is_empty_nothing_moves(corners):
    centers, empty = relocate_empty(corners[0], CORNERS, corners[1])
    assert centers is CORNERS and empty == []


@pytest.mark.parametrize(
    ("assigned", "empty", "expected"),
    [
        # Distances to their own centres, squared: 1, 4 and 9, then 100 away from the last point
        ([0, 0, 0, 0], [1, 2], [[0, 0], [10, 0], [3, 0]]),  # the farthest point to the first empty cluster
        ([0, 0, 0, 1], [2], [[0, 0], [11, 0], [3, 0]]),  # the last is 1 from its centre, the third 3
        ([2, 2, 2, 2], [0, 1], [[1, 0], [2, 0], [50, 0]]),  # squared 2401, 2304, 2209, 1600
    ],
)
def test_empty_clusters_move_to_the_farthest_points(assigned, empty, expected):
    points, centers = np.float32([[1, 0], [2, 0], [3, 0], [10, 0]]), np.float32([[0, 0], [11, 0], [50, 0]])
    before = centers.copy()
    moved, found = relocate_empty(points, centers, np.array(assigned))
    assert found == empty and moved.dtype == np.float32
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(centers, before)


def test_of_equally_far_points_the_first_are_taken():
    directions = np.array(list(itertools.product((-1.0, 1.0), repeat=7)))
    length = np.random.default_rng(0).integers(1, 3, 128)
    moved, _ = relocate_empty(directions * length[:, None], np.zeros((9, 7)), np.zeros(128, int))
    np.testing.assert_array_equal(moved[1:], 2 * directions[length == 2][:8])


@pytest.mark.parametrize("seed", range(3))
def test_relocation_against_loops(seed):
    rng = np.random.default_rng(seed)
    points, centers, assigned = rng.normal(size=(30, 3)), rng.normal(size=(6, 3)), rng.integers(0, 3, 30)
    far = sorted(range(30), key=lambda i: -sum((points[i] - centers[assigned[i]]) ** 2))
    moved, empty = relocate_empty(points, centers, assigned)
    assert empty == [3, 4, 5]
    np.testing.assert_array_equal(moved, [*centers[:3], *points[far[:3]]])


def blobs(n, k, d=4, spread=0.05, seed=0):
    """n points around k corners, and their corners."""
    corner = np.arange(n) % k
    return np.random.default_rng(seed).normal(size=(n, d)) * spread + np.eye(k, d)[corner] * 3 + 1, corner


def agree(found, truth):
    return metrics.adjusted_rand_index(truth, np.asarray(found)) == 1


def test_agglomerative_and_affinity_propagation_find_blobs():
    points, truth = blobs(120, 3)
    assert agree(clustering.agglomerative(points, 3), truth)
    assert agree(clustering.affinity_propagation(points, 3), truth)


def test_power_iteration_finds_blobs():
    points, truth = blobs(300, 3)
    assert agree(clustering.power_iteration(points, 3), truth)


def test_power_iteration_against_the_papers_loop(monkeypatch):
    """v <- W v / |W v|_1 with W = D^-1 A, until |d_t - d_{t-1}| <= 1e-5 / n; every start gives a column."""
    random = np.random.default_rng(0)
    graph = random.uniform(size=(30, 30)) * (random.uniform(size=(30, 30)) < 0.3)
    graph = graph + graph.T + 0.01
    given = []
    original = clustering.kmeans
    monkeypatch.setattr(partitions, "kmeans", lambda z, *rest, **how: given.append(z) or original(z, *rest, **how))
    for seed in (0, 5):
        clustering.power_iteration_of(csr_matrix(graph), 3, n_vectors=2, seed=seed)
        draws = np.random.default_rng(seed)
        for column in range(2):
            v = draws.uniform(size=30)
            v, speed = v / v.sum(), None
            while True:
                moved = np.array([sum(graph[i] * v) / sum(graph[i]) for i in range(30)])
                moved /= sum(abs(moved))
                before, speed, v = speed, abs(moved - v), moved
                if before is not None and max(abs(speed - before)) <= 1e-5 / 30:
                    break
            np.testing.assert_allclose(given[-1][:, column], (v - v.mean()) / v.std(), rtol=1e-6, atol=1e-9)


def test_neighbors_of_one_side_alone_and_opposite_ones():
    # 2 is nearest to 1 alone, by cos = (1 + 0.05) / (|1, .1| |1, .5|); a cosine below 0 is no edge
    graph = clustering.neighbor_graph(np.array([[1, 0], [1, 0.1], [1, 0.5]]), 1)
    assert graph[1, 2] == graph[2, 1] == pytest.approx(1.05 / np.sqrt(1.01 * 1.25))
    assert clustering.neighbor_graph(np.array([[1, 0], [-1, 0.2], [-1, -0.3]]), 2).toarray().min() == 0


def test_agglomerative_is_wards():
    for seed in range(50):
        points = np.random.default_rng(seed).normal(size=(30, 2))
        wards = hierarchy.fcluster(hierarchy.ward(points), 4, "maxclust")
        average = hierarchy.fcluster(hierarchy.average(points), 4, "maxclust")
        assert agree(clustering.agglomerative(points, 4), wards)
        if not agree(average, wards):
            return
    raise AssertionError("the points do not tell the two apart")


class Affine:
    """Finds more clusters the higher the preference is: 12 + log2 of its distance from 0, negated; keeps all."""

    runs = []

    def __init__(self, preference, random_state, **_):
        self.runs.append((preference, random_state))
        self.k = int(np.clip(np.round(12 - np.log2(-preference)), 0, 30))

    def fit_predict(self, similarity):
        labels = np.arange(len(similarity)) % max(self.k, 1)
        return labels if self.k else labels - 1


@pytest.mark.parametrize("wanted", [4, 7, 9, 16])
def test_affinity_propagation_looks_for_the_number_that_is_wanted(monkeypatch, wanted):
    points = np.random.default_rng(0).normal(size=(60, 3))
    monkeypatch.setattr(Affine, "runs", [])
    monkeypatch.setattr(affinity, "AffinityPropagation", Affine)
    found = clustering.affinity_propagation(points, wanted, seed=5)
    assert len(np.unique(found)) == wanted
    similarity = -cdist(points, points, "sqeuclidean")
    first = -np.sqrt(similarity.sum(axis=1).min() * np.median(similarity))  # the geometric mean
    assert Affine.runs[0] == (pytest.approx(first), 5) and len({p for p, _ in Affine.runs}) == len(Affine.runs)


def test_affinity_propagation_keeps_the_nearest_number(monkeypatch):
    monkeypatch.setattr(Affine, "runs", [])
    monkeypatch.setattr(affinity, "AffinityPropagation", Affine)
    monkeypatch.setattr(Affine, "fit_predict", lambda self, s: np.arange(len(s)) % (5 if len(self.runs) == 2 else 9))
    points = np.random.default_rng(0).normal(size=(60, 3))
    assert len(np.unique(clustering.affinity_propagation(points, 4))) == 5  # neither the first nor the last


def test_affinity_propagation_closes_in_on_a_number_that_there_is_not(monkeypatch):
    """Two more than wanted above a preference of -0.5, three fewer below: it looks nowhere but around there."""
    monkeypatch.setattr(Affine, "runs", [])
    monkeypatch.setattr(affinity, "AffinityPropagation", Affine)
    fewer = lambda self, s: np.arange(len(s)) % (9 if self.runs[-1][0] > -0.5 else 4)
    monkeypatch.setattr(Affine, "fit_predict", fewer)
    points = np.random.default_rng(0).normal(size=(60, 3))
    assert len(np.unique(clustering.affinity_propagation(points, 7, tries=30))) == 9
    assert Affine.runs[-1][0] == pytest.approx(-0.5, rel=1e-3)


def test_affinity_propagation_of_points_at_like_distances():
    """At first each of them is its own exemplar, then none is, and so on: taken for an end, that is 600 clusters."""
    points = np.random.default_rng(0).normal(size=(600, 128))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = clustering.affinity_propagation(points, 2, tries=3)
    assert found is not None and len(np.unique(found)) < 10


def test_affinity_propagation_does_not_take_its_beginning_for_an_end(monkeypatch):
    monkeypatch.setattr(Affine, "runs", [])
    monkeypatch.setattr(affinity, "AffinityPropagation", Affine)
    monkeypatch.setattr(Affine, "fit_predict", lambda self, s: np.arange(len(s)))
    points = np.random.default_rng(0).normal(size=(60, 3))
    assert clustering.affinity_propagation(points, 4) is None
    assert len(np.unique(clustering.affinity_propagation(points, 60))) == 60


def test_affinity_propagation_of_copies_and_of_more_clusters_than_blobs():
    copies = np.concatenate([np.zeros((40, 2)), np.random.default_rng(0).normal(size=(10, 2)) * 5 + 20])
    found = clustering.affinity_propagation(copies, 3)
    assert found is not None and 1 < len(np.unique(found)) < 8
    assert len(np.unique(clustering.affinity_propagation(blobs(120, 4)[0], 10))) > 6


@pytest.mark.parametrize("points", [np.zeros((20, 4)), np.eye(3) - 1 / 3, np.array([[1.0, 0], [-1, 0]])])
def test_power_iteration_of_points_that_no_edge_joins(points):
    found = clustering.power_iteration(points, 2)
    assert found.shape == (len(points),) and set(found) <= {0, 1}


def test_power_iteration_parts_a_graph_of_two_cliques():
    """Two complete graphs of 6 and 4 nodes with one weak edge between them: the answer is known."""
    graph = np.zeros((10, 10))
    graph[:6, :6] = graph[6:, 6:] = 1
    graph[5, 6] = graph[6, 5] = 0.01
    np.fill_diagonal(graph, 0)
    found = clustering.power_iteration_of(csr_matrix(graph), 2)
    assert len(set(found[:6])) == len(set(found[6:])) == 1 and found[0] != found[9]


def test_neighbor_graph_by_hand():
    # cosines: 0-1 is 1 / sqrt 2, 1-2 is 1 / sqrt 2, 0-2 is 0: the nearest of 0 and of 2 is 1
    graph = clustering.neighbor_graph(np.array([[1.0, 0], [1, 1], [0, 2]]), 1).toarray()
    np.testing.assert_allclose(graph[0, 1], np.sqrt(0.5))
    np.testing.assert_allclose(graph, graph.T)
    np.testing.assert_array_equal(np.diag(graph), 0)
    assert graph[0, 2] == 0


def test_an_embedding_of_zeros_is_like_no_other():
    graph = clustering.neighbor_graph(np.array([[0.0, 0], [1, 0], [0, 1], [1, 0.1], [-1, 0]]), 2).toarray()
    assert not graph[0].any() and not graph[:, 0].any()
    np.testing.assert_allclose(graph[1, 3], 1 / np.sqrt(1.01))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_a_mixture_finds_clusters_of_any_scale(scale):
    points, truth = blobs(300, 3)
    assert agree(clustering.gaussian_mixture(points * scale, 3, n_init=1).predict(points * scale), truth)


def test_power_iteration_on_a_graph_with_a_lonely_point():
    graph = np.ones((5, 5)) - np.eye(5)
    graph[4] = graph[:, 4] = 0
    found = clustering.power_iteration_of(csr_matrix(graph), 2)
    assert len(set(found[:4])) == 1 and found[4] != found[0]


def test_empty_clusters_are_refilled():
    z = np.array([[0.0], [0.1], [0.2], [5.0], [9.0]])
    # 5 and 9 are the farthest from their mean 7, and the first of them moves; then nothing of that cluster may
    clusters, empty = clustering.refill_empty(np.array([0, 0, 0, 1, 1]), z, 3)
    assert empty == [2] and clusters.tolist() == [0, 0, 0, 2, 1]
    # two are empty: after 5 has left, 9 is the last of its cluster and stays
    clusters, _ = clustering.refill_empty(np.array([0, 0, 0, 1, 1]), z, 4)
    assert clusters.tolist() == [3, 0, 0, 2, 1]
    same, none = clustering.refill_empty(np.array([0, 1, 2, 2, 2]), z, 3)
    assert none == [] and same.tolist() == [0, 1, 2, 2, 2]
    copies, empty = clustering.refill_empty(np.zeros(4, int), np.ones((4, 2)), 3)  # equal points go to one each
    assert empty == [1, 2] and sorted(np.bincount(copies)) == [1, 1, 2]


def test_affinity_propagation_that_does_not_converge_says_so(monkeypatch):
    points, _ = blobs(60, 3)
    original = affinity.AffinityPropagation
    never = lambda **how: original(**{**how, "convergence_iter": 10_000})
    monkeypatch.setattr(affinity, "AffinityPropagation", never)
    assert clustering.affinity_propagation(points, 3, tries=2) is None
