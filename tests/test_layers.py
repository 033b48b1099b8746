"""Soft assignments (eq. 1) and the layer that holds the centres."""

import json

import keras
import numpy as np
import pytest

from deepcluster_tf import losses
from deepcluster_tf.layers import ClusteringLayer, soft_assignments


def assignments(z, centers, *alpha):
    return np.array(soft_assignments(np.float32(z), np.float32(centers), *alpha))


def by_loops(z, centers, alpha=1.0):
    kernel = [[(1 + sum((a - b) ** 2 for a, b in zip(x, m)) / alpha) ** (-(alpha + 1) / 2) for m in centers] for x in z]
    return [[value / sum(row) for value in row] for row in kernel]


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(9, 4)), rng.normal(size=(5, 4))


@pytest.mark.parametrize(
    ("z", "centers", "alpha", "expected"),
    [
        # Squared distances 0 and 25: kernels 1 and 1/26.
        ([[0, 0]], [[0, 0], [3, 4]], 1.0, [[26 / 27, 1 / 27]]),
        # The same for alpha = 3: (1 + 25/3) ** -2 = 9/784.
        ([[0, 0]], [[0, 0], [3, 4]], 3.0, [[784 / 793, 9 / 793]]),
        ([[5]], [[5], [5]], 1.0, [[0.5, 0.5]]),  # two identical centres, distance 0
        ([[1], [9]], [[0], [0], [2]], 1.0, [[1 / 3] * 3, [50 / 182, 50 / 182, 82 / 182]]),  # 1/82, 1/82, 1/50
        ([[7, 7]], [[1, 2]], 1.0, [[1]]),  # one cluster
    ],
)
def test_by_hand(z, centers, alpha, expected):
    np.testing.assert_allclose(assignments(z, centers, alpha), expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 10.0])
def test_against_loops(points, alpha):
    np.testing.assert_allclose(assignments(*points, alpha), by_loops(*points, alpha), rtol=1e-5)


def test_alpha_is_one_unless_said(points):
    np.testing.assert_array_equal(assignments(*points), assignments(*points, 1.0))


@pytest.mark.parametrize(("distance", "alpha"), [(1e3, 1.0), (1e8, 1.0), (1e15, 1.0), (30, 100.0), (1e6, 10.0)])
def test_a_point_far_from_every_centre_still_has_a_cluster(distance, alpha):
    """In float32 the kernels of a far point must not all become 0, nor their sum's inverse infinite."""
    centers = [[-distance / 2], [0], [0]]
    np.testing.assert_allclose(
        assignments([[distance]], centers, alpha), by_loops([[distance]], centers, alpha), rtol=1e-3
    )


def test_close_centres_far_from_the_origin():
    """|z|^2 - 2 z.mu + |mu|^2 would lose these distances in float32."""
    z, centers = [[4096.5], [4097.0]], [[4096.0], [4097.0]]
    np.testing.assert_allclose(assignments(z, centers), [[0.5, 0.5], [1 / 3, 2 / 3]], rtol=1e-6)  # 1/2 and 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1,), "n_clusters must be 2 or more; received 1"),
        ((0,), "n_clusters must be 2 or more; received 0"),
        ((2, 0.0), "alpha must be positive; received 0.0"),
        ((2, -1), "alpha must be positive; received -1"),
        ((2, float("nan")), "alpha must be positive; received nan"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClusteringLayer(*arguments)


def test_the_layer_is_the_function_of_its_centres(points):
    z, centers = map(np.float32, points)
    layer = ClusteringLayer(5, alpha=2.5)
    assert layer(keras.Input((4,))).shape == layer.compute_output_shape((None, 4)) == (None, 5)
    assert [(weight.name, weight.shape) for weight in layer.trainable_weights] == [("cluster_centers", (5, 4))]
    layer.cluster_centers.assign(centers)
    np.testing.assert_array_equal(layer(z), assignments(z, centers, 2.5))


def test_config_round_trip():
    config = ClusteringLayer(7, alpha=2.5, name="assignments").get_config()
    again = ClusteringLayer.from_config(json.loads(json.dumps(config)))
    assert (again.n_clusters, again.alpha, again.name) == (7, 2.5, "assignments")
    assert again.get_config() == config


def test_a_saved_model_comes_back(points, tmp_path):
    z, centers = map(np.float32, points)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), ClusteringLayer(5, alpha=2.5)])
    model.layers[-1].cluster_centers.assign(centers)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")  # registered: no custom_objects
    assert again.layers[-1].alpha == 2.5
    for weight, expected in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(weight, expected)
    np.testing.assert_array_equal(again(z), model(z))


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_centres_assigned_after_the_optimizer_was_built_are_trained(points, alpha):
    """One step of gradient descent on eq. 3 moves them along its gradient, worked out on paper (DEC, its eq. 5):

    dL/dmu_j = -(alpha + 1) / alpha * sum_i (p_ij - q_ij) (z_i - mu_j) / (1 + |z_i - mu_j|^2 / alpha)
    """
    z, centers = map(np.float32, points)
    model = keras.Sequential([keras.Input((4,)), ClusteringLayer(5, alpha)])
    model.compile(keras.optimizers.SGD(0.1), losses.kl_divergence)
    model.optimizer.build(model.trainable_variables)
    p = np.random.default_rng(1).dirichlet(np.ones(5), len(z)).astype(np.float32)
    model.train_on_batch(z, p)  # the step is traced with the first centres
    model.layers[-1].cluster_centers.assign(centers)
    model.train_on_batch(z, p)
    difference = z[:, None] - centers[None]
    weight = (p - by_loops(z, centers, alpha)) / (1 + np.square(difference).sum(axis=2) / alpha)
    gradient = -(alpha + 1) / alpha * (weight[:, :, None] * difference).sum(axis=0) / len(z)  # Keras takes the mean
    np.testing.assert_allclose(model.get_weights()[0], centers - 0.1 * gradient, rtol=1e-5, atol=1e-6)
