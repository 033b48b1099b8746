"""DeepCluster: pseudo-labels and draws by hand, edges, an easy task, resuming, what is exported."""

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import fitting, metrics, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods import deepcluster
from deepcluster_tf.methods.deepcluster import DeepCluster

SMALL = {
    "epochs": 4, "filters": (16, 32), "strides": (2,), "embedding_dim": 16, "batch_size": 64, "n_clusters": 4,
    "prototypes": 12, "n_init": 1, "n_components": 4, "whitened": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def blobs():
    """Pictures of four kinds: a bright corner each."""
    classes = np.arange(400) % 4
    images = np.random.default_rng(0).integers(0, 40, (400, 8, 8, 1), dtype=np.uint8)
    for kind, (row, column) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        images[classes == kind, row : row + 4, column : column + 4] += 200
    return images, classes


@pytest.fixture(scope="module", params=["new", "centers"])
def fitted(request, blobs):
    return DeepCluster(**SMALL, head=request.param, views="plain", flip=False).fit(blobs[0], progress=False)


def test_an_epoch_draws_as_many_images_of_every_cluster():
    assigned = np.array([0] * 90 + [2] * 9 + [5])
    drawn = deepcluster.drawn_evenly(assigned, 100, np.random.default_rng(0))
    counts = np.bincount(assigned[drawn], minlength=6)
    assert len(drawn) == 100 and counts[[1, 3, 4]].sum() == 0
    assert (abs(counts[[0, 2, 5]] - 33) <= 2).all()  # 34 of each, of which the last two are cut off
    assert set(drawn[assigned[drawn] == 5]) == {99}
    assert not np.array_equal(drawn, np.sort(drawn))
    alone = deepcluster.drawn_evenly(np.zeros(5, int), 5, np.random.default_rng(0))
    assert len(alone) == 5 and set(alone) <= set(range(5))
    often = deepcluster.drawn_evenly(assigned, 3000, np.random.default_rng(0))
    assert np.bincount(assigned[often]).tolist() == [1000, 0, 1000, 0, 0, 1000]


def test_an_epoch_of_few_images_lasts_long_enough_for_a_new_top_layer():
    steps = DeepCluster(batch_size=256).steps_of
    assert [steps("epochs", n) for n in (300, 25_600, 25_601, 60_000)] == [100, 100, 101, 235]


def test_pseudo_labels_are_of_whitened_features_of_length_one():
    random = np.random.default_rng(0)
    z = random.normal(size=(300, 6)) * [1, 10, 1, 1, 100, 1] + 5
    found = deepcluster.pseudo_labels(z, 3, 4, np.random.default_rng(1))
    white = z @ found["kernel"] + found["bias"]
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(white.std(axis=0, ddof=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.corrcoef(white.T), np.eye(3), atol=1e-6)
    unit = white / np.linalg.norm(white, axis=1, keepdims=True)
    distances = np.linalg.norm(unit[:, None] - found["centers"], axis=2)
    assert (distances.argmin(axis=1) == found["labels"]).mean() > 0.95  # twenty iterations may not be the end
    few = deepcluster.pseudo_labels(z[:3], 5, 2, np.random.default_rng(1))
    assert few["centers"].shape == (2, 3)  # three images have no more components


def test_edges_by_hand():
    image = np.zeros((1, 5, 5, 1), "float32")
    image[0, :, 3:] = 1  # a step to the right
    found = np.array(networks.sobel((5, 5, 1))(image))[0]
    assert found[2, 2].tolist() == [4, 0] and found[2, 1].tolist() == [0, 0]
    turned = np.array(networks.sobel((5, 5, 1))(image.transpose(0, 2, 1, 3)))[0]
    np.testing.assert_allclose(turned, found.transpose(1, 0, 2)[:, :, ::-1])
    grey = np.repeat(image, 3, axis=-1)  # whose brightness is that of the picture
    np.testing.assert_allclose(networks.sobel((5, 5, 3))(grey)[0], found, atol=1e-5)
    assert not networks.sobel((5, 5, 1)).trainable_variables


def test_an_easy_task_is_solved_and_reported(fitted, blobs):
    assert metrics.scores(blobs[1], fitted.predict(blobs[0]))["acc"] == 1
    assert len(fitted.history_) == 4 and np.isnan(fitted.history_[0]["nmi"])
    assert all(0 < row["nmi"] <= 1 and row["smallest"] > 0 for row in fitted.history_[1:])


def test_the_top_layer_begins_anew_and_the_centres_are_one(blobs):
    method = DeepCluster(**{**SMALL, "epochs": 0, "head": "centers"})
    method._build((8, 8, 1))
    model, top, whiten = method._model(400, 400, 5)
    pseudo = deepcluster.PseudoLabels(method, top, whiten, blobs[0])
    pseudo.set_model(model)
    model.hold(blobs[0])
    pseudo.on_epoch_begin(0)
    z = method._embed(blobs[0])
    logits = np.array(top(tf.math.l2_normalize(whiten(z), axis=1)))
    distances = np.linalg.norm(
        np.array(tf.math.l2_normalize(whiten(z), axis=1))[:, None] - np.array(top.kernel).T * 0.1, axis=2
    )
    assert (distances.argmin(axis=1) == np.array(top.assigned)).mean() > 0.9
    assert logits.shape == (400, 12) and np.isfinite(logits).all()
    method.head, first = "new", np.array(top.kernel)
    pseudo.on_epoch_begin(1)
    assert np.abs(np.array(top.kernel)).max() < 0.06 < np.abs(first).max()


def test_an_interrupted_fit_ends_as_an_uninterrupted_one(fitted, blobs, tmp_path, monkeypatch):
    original = fitting.History.on_epoch_end

    def dies(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        original(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting.History, "on_epoch_end", dies)
        patch.setattr(checkpoints.Checkpoint, "on_epoch_end", lambda self, epoch, logs=None: self.on_train_end())
        DeepCluster(**fitted.get_params()).fit(blobs[0], directory=tmp_path, progress=False)
    assert (tmp_path / "checkpoint.weights.h5").exists()
    resumed = DeepCluster(**fitted.get_params()).fit(blobs[0], directory=tmp_path, progress=False)
    np.testing.assert_array_equal(resumed.transform(blobs[0]), fitted.transform(blobs[0]))
    plain = lambda rows: [{k: v for k, v in row.items() if "seconds" not in k and k != "nmi"} for row in rows]
    assert plain(resumed.history_) == plain(fitted.history_)
    nmi = lambda rows: np.array([row["nmi"] for row in rows])
    np.testing.assert_array_equal(nmi(resumed.history_), nmi(fitted.history_))


def test_edges_alone_are_seen_and_exported(blobs, tmp_path):
    method = DeepCluster(**{**SMALL, "epochs": 1}, sobel=True).fit(blobs[0], progress=False)
    brighter = np.clip(blobs[0].astype(int) + 15, 0, 255).astype(np.uint8)[:, :, :]
    inside = slice(1, 7)
    edges = networks.sobel((8, 8, 1))
    np.testing.assert_allclose(
        edges(brighter / np.float32(255))[:, inside, inside], edges(blobs[0] / np.float32(255))[:, inside, inside],
        atol=0.3,
    )  # fmt: skip
    method.save(tmp_path / "model.weights.h5")
    loaded = DeepCluster(**method.get_params()).load(tmp_path / "model.weights.h5", (8, 8, 1))
    loaded.export(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    found = served.signatures["serving_default_uint8"](images=tf.constant(blobs[0][:9]))["cluster"]
    np.testing.assert_array_equal(found, method.predict(blobs[0][:9]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "old"}, "head must be new or centers; received 'old'"),
        ({"prototypes": 500}, "500 clusters while it learns .PROTOTYPES. need as many images; received 400"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"epochs": -1}, "epochs must be"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, blobs):
    with pytest.raises(ValueError, match=message):
        DeepCluster(**{**SMALL, **settings}).fit(blobs[0], progress=False)
