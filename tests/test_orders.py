"""What people do in unusual orders: settings changed after a fit, a model loaded over another, a backbone cloned."""

import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone

import deepcluster_tf
from deepcluster_tf import metrics
from deepcluster_tf.annotation import Answer
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.methods.base import given

FEW = {
    "DCEC": {"n_clusters": 3, "pretraining_epochs": 1, "max_iterations": 2, "n_init": 1, "filters": (4, 4, 4)},
    "SCAN": {"n_clusters": 3, "n_init": 1, "heads": 1, "stages": 2, "epochs": 1, "neighbors": 3, "network": "small",
             "pretext_epochs": 1},
    "Control": {"n_clusters": 3, "n_init": 1, "size": 4},
    "VAE": {"n_classes": 2, "n_clusters": 3, "epochs": 2, "batch_size": 20, "unsupervised_epochs": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def images():
    found = np.random.default_rng(0).integers(0, 60, (40, 8, 8, 1), np.uint8)
    found[::3] += 190
    found[1::3, 2:6] += 120
    return found


def fitted(name, images, **how):
    directory = {"directory": how.pop("directory")} if "directory" in how else {}
    return getattr(deepcluster_tf, name)(**{**FEW[name], **how}).fit(images, progress=False, **directory)


def network(width=6):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(width, "relu")]
    return keras.Sequential(layers)


# ---------------------------------------------------------------------- settings changed after a fit


@pytest.mark.parametrize(("name", "change"), [("DCEC", {"embedding_dim": 5}), ("Control", {"size": 2})])
def test_settings_changed_after_a_fit_are_for_the_next_one(name, change, images, tmp_path):
    method = fitted(name, images).set_params(**change)
    for other in (pickle.loads(pickle.dumps(method)), method):
        other.save(tmp_path / "model.weights.h5")
        assert other.get_params() == method.get_params()
        np.testing.assert_array_equal(other.predict(images), method.labels_)
    loaded = deepcluster_tf.load(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(loaded.predict(images), method.labels_)
    assert loaded.get_params() == getattr(deepcluster_tf, name)(**FEW[name]).get_params()


def test_whose_clusters_are_given_is_chosen_after_a_fit_too(images, tmp_path):
    method = fitted("Control", images).set_params(assign_by="mixture")
    method.save(tmp_path / "model.weights.h5")
    assert deepcluster_tf.load(tmp_path / "model.weights.h5").assign_by == "mixture"
    with pytest.raises(ValueError, match="assign_by must be kmeans or mixture; received 'nobody'"):
        method.set_params(assign_by="nobody").predict(images)


def test_an_autoencoder_of_another_size_is_refused(images):
    method = deepcluster_tf.DCEC(**FEW["DCEC"]).pretrain(images, progress=False).set_params(embedding_dim=5)
    with pytest.raises(ValueError, match="the autoencoder has embedding_dim=10; received 5: pretrain it anew"):
        method.fit(images, progress=False)


# ---------------------------------------------------------------------- a model loaded over another


def test_what_is_loaded_knows_nothing_of_an_earlier_fit(images, tmp_path):
    fitted("Control", images).save(tmp_path / "model.weights.h5")
    method = fitted("Control", images[:30]).load(tmp_path / "model.weights.h5")
    fresh = deepcluster_tf.load(tmp_path / "model.weights.h5")
    assert vars(method).keys() == vars(fresh).keys() and not hasattr(method, "labels_")
    np.testing.assert_array_equal(method.predict(images), fresh.predict(images))


def test_a_fit_after_load_pretrains_anew(images, tmp_path):
    fitted("DCEC", images).save(tmp_path / "model.weights.h5")
    large = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    method = deepcluster_tf.DCEC(**FEW["DCEC"]).pretrain(large, progress=False)
    method.load(tmp_path / "model.weights.h5")
    assert method.fit(images, progress=False).labels_.shape == (40,)


# ---------------------------------------------------------------------- a folder that another fit began


def test_clustering_on_another_encoder_goes_on_from_no_other(images, tmp_path):
    first = fitted("SCAN", images, directory=tmp_path)
    for name, value, said in (
        ("pretext_epochs", 2, "encoder"),
        ("n_clusters", 4, "n_clusters"),
        ("flip", False, "flip"),
    ):
        with pytest.raises(ValueError, match=f"clustering holds the fit of other .*{said}"):
            fitted("SCAN", images, directory=tmp_path, **{name: value})
    again = fitted("SCAN", images, directory=tmp_path)
    np.testing.assert_array_equal(again.predict_proba(images), first.predict_proba(images))


def test_names_in_another_order_go_on_from_no_other(images, tmp_path):
    class Namer:
        def annotate(self, questions, given):
            for question in questions:
                yield question, Answer(0 if question.picture.mean() > 0.3 else 1, 1.0)

    def fit(names, ledger):
        annotator = Ledger(Namer(), names, tmp_path / ledger)
        how = {"annotator": annotator, "directory": tmp_path / "work", "progress": False}
        return deepcluster_tf.VAE(**FEW["VAE"]).fit(images, **how)

    first = fit(("cat", "dog"), "a.csv")
    with pytest.raises(ValueError, match="holds the fit of other"):
        fit(("dog", "cat"), "b.csv")
    np.testing.assert_array_equal(fit(("cat", "dog"), "a.csv").labels_, first.labels_)


# ---------------------------------------------------------------------- backbones


def test_a_backbone_of_ones_own_is_neither_frozen_nor_overwritten_nor_shared(images, tmp_path):
    mine, other = network(), network()
    other.set_weights([0 * weights for weights in other.get_weights()])
    before = [mine.get_weights(), other.get_weights()]
    method = deepcluster_tf.Frozen(n_clusters=3, n_init=1).with_backbone(mine).fit(images, progress=False)
    method.save(tmp_path / "model.weights.h5")
    loaded = deepcluster_tf.Frozen(n_clusters=3, n_init=1).with_backbone(other).load(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(loaded.predict(images), method.labels_)
    for network_, weights in zip((mine, other), before):
        assert network_.trainable and len(network_.trainable_weights) == 2
        for now, then in zip(network_.get_weights(), weights):
            np.testing.assert_array_equal(now, then)
    mine.set_weights([0 * weights for weights in mine.get_weights()])
    np.testing.assert_array_equal(method.predict(images), method.labels_)


def test_a_clone_has_the_backbone(images):
    method = deepcluster_tf.Frozen(n_clusters=3, n_init=1, seed=2).with_backbone(network())
    labels = method.fit(images, progress=False).labels_
    copied = clone(method)
    assert copied.get_params() == method.get_params() and not hasattr(copied, "encoder_")
    np.testing.assert_array_equal(copied.fit(images, progress=False).labels_, labels)


def test_a_backbone_without_weights(images, tmp_path):
    pooled = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.AveragePooling2D(4), keras.layers.Flatten()])
    method = deepcluster_tf.Frozen(n_clusters=3, n_init=1).with_backbone(pooled)
    assert method.fit(images, shared=tmp_path, progress=False).transform(images).shape == (40, 4)


@pytest.mark.parametrize("kept", [False, True])
def test_features_that_16_bits_do_not_hold_are_refused(kept, images, tmp_path):
    large = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Rescaling(1e6)])
    method = deepcluster_tf.Frozen(n_clusters=3, n_init=1).with_backbone(large)
    with pytest.raises(ValueError, match="kept with 16 bits, up to 65,504: let the network scale them; received"):
        method.fit(images, progress=False, **({"shared": tmp_path} if kept else {}))


def test_a_fit_without_a_backbone_sees_nothing_of_one_before(images):
    frozen = {**FEW["SCAN"], "backbone": "own", "pretext_epochs": 100, "network": "full"}
    method = deepcluster_tf.SCAN(**frozen).with_backbone(network(128)).fit(images, progress=False)
    method.set_params(**FEW["SCAN"], backbone="none").fit(images, progress=False)
    np.testing.assert_allclose(method.transform(images), method.transform(images[::-1])[::-1], atol=1e-4)
    np.testing.assert_array_equal(method.labels_, fitted("SCAN", images).labels_)


# ---------------------------------------------------------------------- what is refused before anything is trained


@pytest.mark.parametrize("name", ["DCEC", "SCAN"])
@pytest.mark.parametrize(
    ("settings", "how", "message"),
    [
        ({"optimizer": "adamm"}, {}, "optimizer must be one of Keras's, or its name, such as 'sgd', .*; received 'ada"),
        ({"optimizer": 3}, {}, "optimizer must be .*; received 3"),
        ({}, {"callbacks": keras.callbacks.Callback()}, "callbacks must be a list of Keras's callbacks; received <"),
        ({}, {"callbacks": [3]}, r"callbacks must be .*; received \[3\]"),
    ],
)
def test_optimizers_and_callbacks_that_are_none_are_refused(name, settings, how, message, images, monkeypatch):
    def trained(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr("deepcluster_tf.fitting.train", trained)
    with pytest.raises(ValueError, match=message):
        getattr(deepcluster_tf, name)(**{**FEW[name], **settings}).fit(images, progress=False, **how)


@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 1, 1), (4, 4, 1), (64,)])
def test_a_decoder_of_other_images_is_refused(shape, images):
    layers = [keras.Input((10,)), keras.layers.Dense(int(np.prod(shape))), keras.layers.Reshape(shape)]
    method = deepcluster_tf.DCEC(**FEW["DCEC"], decoder=keras.Sequential(layers))
    with pytest.raises(ValueError, match=r"decoder gives \(None, .*: expected \(None, 8, 8, 1\), which"):
        method.fit(images, progress=False)


def test_images_of_several_shapes_and_without_an_end_are_refused():
    import tensorflow as tf

    with pytest.raises(ValueError, match="images must be of one shape, .*: resize them"):
        given.images_of([np.zeros((8, 8), np.uint8), np.zeros((9, 9), np.uint8)])
    endless = tf.data.Dataset.from_tensor_slices(np.zeros((4, 8, 8, 1), np.uint8)).repeat()
    with pytest.raises(ValueError, match="must come to an end; received one that repeats"):
        given.images_of(endless)


def test_a_confusion_smaller_than_its_ids_is_refused():
    with pytest.raises(ValueError, match=r"expected ids below \(3, 2\); received 5 and 1"):
        metrics.confusion([0, 5], [0, 1], n_classes=3)
    assert metrics.confusion([0, 2], [0, 1], n_classes=3).tolist() == [[1, 0], [0, 0], [0, 1]]
