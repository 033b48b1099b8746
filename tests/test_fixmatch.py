"""FixMatch: answers and typical images by hand, an easy task with few labels and with none, resuming, export."""

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import metrics
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods import fixmatch
from deepcluster_tf.methods.fixmatch import FixMatch

SMALL = {
    "iterations": 250, "filters": (16, 32), "strides": (2,), "embedding_dim": 16, "batch_size": 64, "labelled": 16,
    "n_clusters": 4, "n_init": 1, "n_components": 4, "flip": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def blobs():
    """Pictures of four kinds: a bright corner each; and the labels of three of each kind."""
    classes = np.arange(400) % 4
    images = np.random.default_rng(0).integers(0, 40, (400, 8, 8, 1), dtype=np.uint8)
    for kind, (row, column) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        images[classes == kind, row : row + 4, column : column + 4] += 200
    return images, classes, np.where(np.arange(400) < 12, classes, -1)


@pytest.fixture(scope="module")
def fitted(blobs):
    return FixMatch(**SMALL).fit(blobs[0], blobs[2], progress=False)


def test_answers_by_hand():
    p = np.float32([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    mean, shares = np.float32([0.8, 0.2]), np.float32([0.5, 0.5])
    # 0.5 * 0.5 / 0.8 = 0.3125 against 0.5 * 0.5 / 0.2 = 1.25: 0.2 and 0.8; so 9 : 4 and 1 : 16
    unknown = np.full(3, -1)
    targets, sure = (np.asarray(each) for each in fixmatch.answers(p, unknown, mean, shares, 0.75))
    assert targets.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert sure.tolist() == [1, 0, 1]  # 9 / 13 = 0.69 is below
    targets, sure = (np.asarray(each) for each in fixmatch.answers(p, np.array([-1, 1, 0]), mean, shares, 0.75))
    assert targets.tolist() == [[0, 1], [0, 1], [1, 0]] and sure.tolist() == [1, 1, 1]  # known labels are sure
    same, _ = fixmatch.answers(p, unknown, shares, shares, 0.75)
    assert np.argmax(same, axis=1).tolist() == [0, 0, 1]  # a tie is the first's
    none, sure = fixmatch.answers(p, unknown, mean, np.float32([0, 0]), 0.75)  # no class has a share: nothing is sure
    assert np.asarray(sure).tolist() == [0, 0, 0] and np.isfinite(none).all()
    # the first mean is that of the shares: where a class has none, 0.5 : 0 and 0.9 : 0 are sure of the other
    targets, sure = (np.asarray(each) for each in fixmatch.answers(p, unknown, *[np.float32([1, 0])] * 2, 0.75))
    assert targets.tolist() == [[1, 0]] * 3 and sure.tolist() == [1, 1, 1]


def test_how_many_are_labelled_by_hand():
    # of 256: sqrt(0.01) is 25.6, fewer than 64; sqrt(0.1) is 80.95; sqrt(0.2) 114.5; sqrt(0.5) more than half
    shares = (0, 0.01, 0.0625, 0.1, 0.2, 0.25, 0.5, 1)
    assert [fixmatch.labelled_count(64, 256, share) for share in shares] == [64, 64, 64, 81, 114, 128, 128, 128]
    assert fixmatch.labelled_count(200, 256, 0.5) == 200  # more than half were asked for


def test_no_side_shrinks_to_one_place():
    given = (1, 2, 1, 2, 1, 2)
    assert fixmatch.strides_of(28, 6, given) == given == fixmatch.strides_of(32, 6, given)  # 28, 14, 7, 4
    assert fixmatch.strides_of(8, 6, given) == (1, 2, 1, 2, 1, 1)  # 8, 4, 2, and not 1
    assert fixmatch.strides_of(8, 4, (2,)) == (2, 2, 1, 1) and fixmatch.strides_of(10, 2, (1, 2, 3)) == (1, 2)
    method = FixMatch(filters=(4,) * 6)
    method._build((8, 8, 1))
    assert method.encoder_.get_layer("conv6").output.shape[1:3] == (2, 2)


def test_the_most_typical_by_hand():
    clusters, density = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([4.0, 1, 3, 2, 0, 5, -9])
    chosen = fixmatch.most_typical(clusters, density, 0.5)
    assert np.flatnonzero(chosen).tolist() == [0, 2, 5, 6]  # one of a single image
    assert fixmatch.most_typical(clusters, density, 1.0).all()


def test_three_labels_a_class_find_the_kinds(blobs, fitted):
    images, classes, _ = blobs
    assert (fitted.predict(images) == classes).mean() == 1.0  # by name, for names were given
    assert fitted.predict_proba(images).sum(axis=1) == pytest.approx(np.ones(400), abs=1e-5)
    assert len(fitted.history_) == 3 and fitted.history_[-1]["iteration"] == 250


def test_a_class_that_no_label_names_is_said(blobs):
    images, classes, labels = blobs
    method = FixMatch(**{**SMALL, "iterations": 1}).fit(images, np.where(labels == 2, -1, labels), progress=False)
    assert any("no label names cluster 2" in notice for notice in method.notices_)


def test_without_labels_it_begins_with_a_clustering(blobs):
    images, classes, _ = blobs
    assert metrics.scores(classes, FixMatch(**SMALL).fit(images, progress=False).labels_)["acc"] == 1.0


def test_an_interrupted_fit_goes_on(blobs, fitted, tmp_path):
    images, _, labels = blobs

    class Stop(Exception):
        pass

    stopping, saved = checkpoints.Checkpoint.on_epoch_end, []

    def stop(self, epoch, logs=None):
        self.on_train_end()
        saved.append(epoch)
        if len(saved) == 1:
            raise Stop

    checkpoints.Checkpoint.on_epoch_end = stop
    try:
        with pytest.raises(Stop):
            FixMatch(**SMALL).fit(images, labels, directory=tmp_path, progress=False)
        again = FixMatch(**SMALL).fit(images, labels, directory=tmp_path, progress=False)
    finally:
        checkpoints.Checkpoint.on_epoch_end = stopping
    assert saved == [0, 1, 2]
    np.testing.assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))
    with pytest.raises(ValueError, match="other"):
        FixMatch(**SMALL).fit(images, np.roll(labels, 4), directory=tmp_path, progress=False)


def test_what_is_exported_and_loaded(blobs, fitted, tmp_path):
    images = blobs[0][:20]
    fitted.export(tmp_path / "export")
    served = tf.saved_model.load(tmp_path / "export").signatures["serving_default"]
    given = served(images=tf.constant(np.float32(images) / 255))
    np.testing.assert_array_equal(given["cluster"], fitted.predict(images))
    fitted.save(tmp_path / "model.weights.h5")
    loaded = FixMatch(**SMALL).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(loaded.predict_proba(images), fitted.predict_proba(images))


def test_what_is_refused(blobs):
    images, _, labels = blobs
    with pytest.raises(ValueError, match="labels must be in 0..3"):
        FixMatch(**SMALL).fit(images, labels + 2, progress=False)
    with pytest.raises(ValueError, match="one or three channels"):
        FixMatch(**SMALL).fit(np.repeat(images, 2, axis=-1), progress=False)
    with pytest.raises(ValueError, match="typical must be"):
        FixMatch(typical=0.0).check_settings()
