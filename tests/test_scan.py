"""SCAN: its losses by hand, by loop and at their edges; the stages, an easy task, resuming, what is exported."""

import math

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import fitting, losses, metrics, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import ClusterHead
from deepcluster_tf.methods import heads
from deepcluster_tf.methods.scan import SCAN

SMALL = {
    "pretext_epochs": 3, "epochs": 30, "self_labelling_epochs": 5, "batch_size": 150, "heads": 3, "n_clusters": 4,
    "n_init": 1, "n_components": 4, "learning_rate": 1e-3, "neighbors": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def blobs():
    """Pictures of four kinds, as far from one another as pictures can be: a bright corner each."""
    classes = np.arange(400) % 4
    images = np.random.default_rng(0).integers(0, 40, (400, 8, 8, 1), dtype=np.uint8)
    for kind, (row, column) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        images[classes == kind, row : row + 4, column : column + 4] += 200
    return images, classes


@pytest.fixture(scope="module", autouse=True)
def small_backbone():
    """A network of few weights in the place of a pretrained one: the means of patches."""
    import keras

    def small(name, image_shape, side=0, pretrained=True):
        images = keras.Input(image_shape)
        return keras.Model(images, keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(images)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "backbone", small)
        yield


@pytest.fixture(scope="module")
def fitted(blobs):
    score = lambda clusters: metrics.scores(blobs[1], clusters)
    return SCAN(**FROZEN).fit(blobs[0], score=score, progress=False)


FROZEN = {**{k: v for k, v in SMALL.items() if k != "pretext_epochs"}, "backbone": "EfficientNetLite2"}


# ---------------------------------------------------------------------- losses


def test_consistency_by_hand_by_loop_and_at_its_edges():
    p, q = np.array([[0.5, 0.5], [1, 0], [1, 0]], "float32"), np.array([[0.25, 0.75], [1, 0], [0, 1]], "float32")
    found = np.array(losses.neighbor_consistency(p, q))
    np.testing.assert_allclose(found[:2], [math.log(2), 0], atol=1e-6)
    assert 15 < found[2] < 20  # of no agreement at all: large, and finite
    random = np.random.default_rng(0)
    p, q = (random.dirichlet(np.ones(5), (7, 3)).astype("float32") for _ in range(2))
    by_loop = [[-math.log(sum(p[i, h, c] * q[i, h, c] for c in range(5))) for h in range(3)] for i in range(7)]
    np.testing.assert_allclose(losses.neighbor_consistency(p, q), by_loop, rtol=1e-4)


def test_entropy_of_the_mean_by_hand_by_loop_and_at_its_edges():
    assert float(losses.mean_entropy(np.array([[1, 0], [0, 1]], "float32"))) == pytest.approx(math.log(2))
    assert float(losses.mean_entropy(np.array([[1, 0], [1, 0]], "float32"))) == pytest.approx(0, abs=1e-6)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 6).astype("float32")
    mean = [sum(p[i, c] for i in range(6)) / 6 for c in range(4)]
    assert float(losses.mean_entropy(p)) == pytest.approx(-sum(m * math.log(m) for m in mean), rel=1e-5)


def test_known_labels_take_the_place_of_the_neighbour():
    pairs = np.array([[[[0.5, 0.5]], [[0.9, 0.1]]], [[[0.2, 0.8]], [[0.9, 0.1]]]], "float32")  # (2, 2, 1 head, 2)
    known = heads.one_hot(np.array([-1, 1]), 2)
    np.testing.assert_array_equal(known, [[0, 0], [0, 1]])
    found = np.array(heads.clustering_loss(known, pairs, 0.0))
    np.testing.assert_allclose(found, [-math.log(0.5), -math.log(0.8)], rtol=1e-5)
    with_entropy = np.array(heads.clustering_loss(known, pairs, 2.0))
    mean = np.array([0.35, 0.65])
    np.testing.assert_allclose(with_entropy, found + 2 * np.sum(mean * np.log(mean)), rtol=1e-4)
    twice = np.repeat(pairs, 2, axis=2)  # heads add up
    np.testing.assert_allclose(heads.clustering_loss(known, twice, 2.0), 2 * with_entropy, rtol=1e-5)


def test_sure_labels_by_hand_and_where_nobody_is_sure():
    p = np.array([[0.95, 0.05], [0.92, 0.08], [0.05, 0.95], [0.6, 0.4], [0.6, 0.4]], "float32")
    known = heads.one_hot(np.array([-1, -1, -1, -1, 1]), 2)
    labels, weights = map(np.array, heads.sure_labels(p, known, 0.9))
    np.testing.assert_array_equal(labels.argmax(axis=1), [0, 0, 1, 0, 1])
    np.testing.assert_allclose(weights, [1.25, 1.25, 1.25, 0, 1.25])  # two of each class, five images
    alone, weights = map(np.array, heads.sure_labels(p[:4], known[:4], 0.9))
    np.testing.assert_allclose(weights, [1, 1, 2, 0])  # one of the second class weighs as two of the first
    _, none = heads.sure_labels(p[3:4], known[3:4], 0.9)
    np.testing.assert_array_equal(none, [0])


def test_heads_begin_towards_the_classes_whose_labels_are_known():
    z = np.array([[0, 0], [2, 0], [1, 4], [9, 9]], float)  # the means (1, 0) and (1, 4) lie 2 from their centre (1, 2)
    labels, drawn = np.array([2, 2, 0, -1]), np.ones((2, 2 * 3))
    kernel, bias = heads.towards_classes(drawn, np.zeros(6), z, labels, 3)
    # (mean - centre) / 4 is (0, 0.5) for class 0 and (0, -0.5) for class 2; at (1, 2) both add -0.5
    np.testing.assert_allclose(kernel, [[1, 1, 1, 1, 1, 1], [1.5, 1, 0.5, 1.5, 1, 0.5]])
    np.testing.assert_allclose(bias, [-1.5, 0, 0.5, -1.5, 0, 0.5])
    np.testing.assert_array_equal(drawn, 1)  # what was given stays
    alone = heads.towards_classes(drawn, np.zeros(6), z, np.array([2, 2, -1, -1]), 3)
    np.testing.assert_array_equal(alone[0], drawn)
    np.testing.assert_array_equal(alone[1], np.zeros(6))


def test_a_heads_loss_by_loop():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 6).astype("float32")
    nearest = np.array([[1, 2], [0, 3], [4, 5], [1, 0], [2, 5], [4, 2]])
    by_loop = np.mean([-math.log(np.dot(p[i], p[j])) for i in range(6) for j in nearest[i]])
    mean = p.mean(axis=0)
    assert heads.head_loss(p, nearest) == pytest.approx(by_loop + np.sum(mean * np.log(mean)), rel=1e-4)


def test_a_head_gives_the_softmax_of_its_logits():
    head = ClusterHead(3)
    z = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    p = np.array(head(z))
    logits = np.array(head.logits(z))
    np.testing.assert_allclose(p, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5)
    assert ClusterHead.from_config(head.get_config()).units == 3


# ---------------------------------------------------------------------- the stages


def test_an_easy_task_is_solved_and_every_stage_is_reported(fitted, blobs):
    assert [stage["stage"] for stage in fitted.stages_] == ["clustering", "self-labelling"]
    assert all(stage["acc"] == 1 for stage in fitted.stages_)
    assert metrics.scores(blobs[1], fitted.predict(blobs[0]))["acc"] == 1
    assert fitted.stages_[1]["confident"] >= fitted.stages_[0]["confident"]
    assert len(fitted.head_losses_) == 3
    assert {row["stage"] for row in fitted.history_} == {"clustering", "self-labelling"}


def test_the_head_of_the_least_loss_is_kept(blobs):
    method = SCAN(**{**FROZEN, "epochs": 2, "stages": 2}).fit(blobs[0], progress=False)
    nearest = method._nearest(method.transform(blobs[0]), None, False)
    assert heads.head_loss(method.predict_proba(blobs[0]), nearest) == pytest.approx(
        method.head_losses_.min(), abs=1e-3
    )


def test_nearest_leaves_the_image_itself_out(fitted, blobs):
    z = fitted.transform(blobs[0])
    nearest = fitted._nearest(z, None, False)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    similar = unit @ unit.T
    np.fill_diagonal(similar, -2)
    np.testing.assert_allclose(np.take_along_axis(similar, nearest, 1), -np.sort(-similar, axis=1)[:, :10], atol=1e-6)


def test_known_labels_name_the_clusters(blobs):
    images, classes = blobs
    labels = np.where(np.arange(400) < 40, (classes + 1) % 4, -1)
    method = SCAN(**FROZEN).fit(images, labels, progress=False)
    np.testing.assert_array_equal(method.predict(images), (classes + 1) % 4)


def test_a_collapse_is_noticed(blobs):
    method = SCAN(**{**FROZEN, "entropy_weight": 0.0, "stages": 2}).fit(blobs[0], progress=False)
    assert any("heads collapsed" in notice for notice in method.notices_)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SMALL, FROZEN], ids=["own", "frozen"])
def test_where_self_labelling_collapses_the_stage_before_is_kept(settings, blobs, monkeypatch):
    settings = {**settings, "self_labelling_epochs": 40, "learning_rate": 0.01}
    before = SCAN(**settings, stages=2).fit(blobs[0], progress=False)
    first = lambda p, known, confidence: (p * 0 + np.float32([1, 0, 0, 0]), p[:, 0] * 0 + 1)
    monkeypatch.setattr(heads, "sure_labels", first)
    found = SCAN(**settings).fit(blobs[0], progress=False)
    assert [stage["stage"] for stage in found.stages_] == ["clustering", "self-labelling"]
    assert found.stages_[1]["smallest"] == 0 and found.stages_[0] == before.stages_[0]
    assert any("the clusters of the stage before are kept" in notice for notice in found.notices_)
    np.testing.assert_array_equal(found.predict_proba(blobs[0]), before.predict_proba(blobs[0]))
    np.testing.assert_array_equal(found.transform(blobs[0]), before.transform(blobs[0]))


def test_an_encoder_of_its_own_is_trained_once_and_shared(blobs, tmp_path):
    settings = {**SMALL, "network": "small", "pretext_epochs": 1, "epochs": 2, "self_labelling_epochs": 1}
    first = SCAN(**settings).fit(blobs[0], directory=tmp_path / "a", shared=tmp_path / "s", progress=False)
    (kept,) = (tmp_path / "s").iterdir()
    before = (kept / "checkpoint.weights.h5").stat().st_mtime_ns
    second = SCAN(**{**settings, "entropy_weight": 2.0, "stages": 2}).fit(
        blobs[0], directory=tmp_path / "b", shared=tmp_path / "s", progress=False
    )
    assert (kept / "checkpoint.weights.h5").exists() and before
    assert not np.array_equal(first.transform(blobs[0]), second.transform(blobs[0]))  # clustering trains it too
    again = SCAN(**settings).fit(blobs[0], progress=False)
    np.testing.assert_array_equal(again.transform(blobs[0]), first.transform(blobs[0]))


@pytest.mark.parametrize(
    "settings", [pytest.param(SMALL, id="own", marks=pytest.mark.slow), pytest.param(FROZEN, id="frozen")]
)
def test_an_interrupted_fit_ends_as_an_uninterrupted_one(settings, blobs, tmp_path, monkeypatch):
    whole = SCAN(**settings).fit(blobs[0], progress=False)
    original, dying = fitting.History.on_epoch_end, []

    def dies(self, epoch, logs=None):
        if self.path and self.path.parent.name == dying[-1] and epoch == 2:
            raise KeyboardInterrupt
        original(self, epoch, logs)

    for stage in ("clustering", "self-labelling"):
        dying.append(stage)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(fitting.History, "on_epoch_end", dies)
            patch.setattr(checkpoints.Checkpoint, "__init__", every_epoch)
            SCAN(**settings).fit(blobs[0], directory=tmp_path, progress=False)
    resumed = SCAN(**settings).fit(blobs[0], directory=tmp_path, progress=False)
    np.testing.assert_array_equal(resumed.predict_proba(blobs[0]), whole.predict_proba(blobs[0]))
    plain = lambda rows: [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]
    assert plain(resumed.history_) == plain(whole.history_)
    assert (tmp_path / "clustering.csv").exists() and (tmp_path / "self-labelling.csv").exists()


def every_epoch(self, path, seconds=0.0):
    super(checkpoints.Checkpoint, self).__init__()
    self.path, self.seconds, self._saved = path, 0.0, 0.0


def test_what_is_saved_and_exported_is_what_was_fitted(fitted, blobs, tmp_path):
    fitted.save(tmp_path / "model.weights.h5")
    loaded = SCAN(**FROZEN).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(loaded.predict(blobs[0]), fitted.predict(blobs[0]))
    loaded.export(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    for name in ("serving_default_uint8", "scan_uint8"):
        found = served.signatures[name](images=tf.constant(blobs[0][:9]))
        np.testing.assert_array_equal(found["cluster"], fitted.predict(blobs[0][:9]))
    assert "kmeans" in served.signatures


def test_a_feature_that_is_the_same_for_all_images_says_nothing(blobs):
    images = blobs[0].copy()
    images[:, :4, :4] = 7  # one patch, whose mean is a feature of the small backbone
    method = SCAN(**FROZEN).fit(images, progress=False)
    z = method.transform(images)
    same = np.flatnonzero(z.std(axis=0) == 0)
    assert 0 < len(same) < z.shape[1]
    p = method.predict_proba(images)
    assert np.isfinite(p).all() and len(np.unique(method.labels_)) > 1
    kernel, _ = method.assigners_["scan"].get_weights()
    assert (kernel[same] == 0).all() and (kernel != 0).any()


def test_no_epoch_of_a_stage_leaves_no_history(blobs, tmp_path):
    settings = {**FROZEN, "epochs": 0, "self_labelling_epochs": 0}
    method = SCAN(**settings).fit(blobs[0], directory=tmp_path, progress=False)
    assert method.n_iter_ == 0 and not list(tmp_path.glob("*.csv")) and len(method.stages_) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": 1}, "stages must be a whole number from 2 to 3"),
        ({"backbone": "resnet"}, "the backbone .BACKBONE. must be"),
        ({"backbone": "ResNet50", "pretext_epochs": 3}, "pretext_epochs has no effect with the backbone ResNet50"),
        ({"backbone_side": 64}, "backbone_side has no effect with the backbone none"),
        ({"confidence": 1.0}, "confidence must be"),
        ({"neighbors": 400}, "neighbors must be a whole number from 1 to 399; received 400"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, blobs):
    with pytest.raises(ValueError, match=message):
        SCAN(**settings).fit(blobs[0], progress=False)


# ---------------------------------------------------------------------- an encoder of its own


@pytest.mark.parametrize("network", ["full", "small"])
def test_the_heads_see_embeddings_of_a_mean_deviation_of_1(blobs, network):
    images, method = blobs[0][:60], SCAN(**SMALL, network=network)
    method._build(images.shape[1:])
    before = method.transform(images)
    method._scale(before)
    np.testing.assert_allclose(method.transform(images), before / before.std(axis=0).mean(), rtol=1e-3, atol=1e-4)


def test_the_steps_of_an_epoch_are_those_of_its_stage():
    """Whole batches: 300 images are one of 256 and four of 64; an epoch of few images is one step."""
    assert SCAN().steps_of("pretext_epochs", 300) == 1 and SCAN(network="small").steps_of("pretext_epochs", 300) == 4
    assert SCAN(batch_size=100).steps_of("epochs", 399) == 3 and SCAN().steps_of("epochs", 300) == 1
