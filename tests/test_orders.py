"""What people do in unusual orders: settings changed after a fit, a model loaded over another, a backbone cloned."""

import pickle
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
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


@pytest.mark.parametrize("name", ["SCAN", "DEC"])
def test_a_folder_of_another_seed_is_refused_before_the_pretext(name, images, tmp_path, monkeypatch):
    few = {**FEW["SCAN"], "heads": 1} if name == "SCAN" else {"n_clusters": 3, "n_init": 1, "epochs": 1}
    how = {**few, "network": "small", "pretext_epochs": 1}
    getattr(deepcluster_tf, name)(**how).fit(images, directory=tmp_path, progress=False)
    monkeypatch.setattr("deepcluster_tf.methods.pretext.learn", lambda *_: pytest.fail("trained"))
    with pytest.raises(ValueError, match="clustering holds the fit of other seed: expected a new folder"):
        getattr(deepcluster_tf, name)(**how, seed=1).fit(images, directory=tmp_path, progress=False)


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


# ---------------------------------------------------------------------- networks and optimizers of one's own


def test_networks_changed_after_a_fit_are_for_the_next_one(images, tmp_path):
    for first, then in ((network(), None), (None, network())):
        method = fitted("DCEC", images, encoder=first).set_params(encoder=then)
        expected = method.predict(images)
        other = pickle.loads(pickle.dumps(method))
        np.testing.assert_array_equal(other.predict(images), expected)
        assert (other.encoder is None) == (then is None)
        method.save(tmp_path / "model.weights.h5")
        given_anew = {} if first is None else {"encoder": network()}
        loaded = deepcluster_tf.DCEC(**FEW["DCEC"], **given_anew).load(tmp_path / "model.weights.h5")
        np.testing.assert_array_equal(loaded.predict(images), expected)
    pretrained = deepcluster_tf.DCEC(**FEW["DCEC"]).pretrain(images, progress=False).set_params(encoder=network())
    with pytest.raises(ValueError, match="the autoencoder was made with another encoder than is set now"):
        pretrained.fit(images, progress=False)


def test_equal_networks_and_optimizers_made_twice_are_the_same_to_a_folder(images, tmp_path):
    for _ in range(2):  # as in a notebook's cell, to whose objects Keras gives new names
        own = {"encoder": network(), "optimizer": keras.optimizers.Adam(1e-3)}
        fitted("DCEC", images, directory=tmp_path / "fit", **own)
    unbuilt = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(6)])
    for _ in range(2):
        fitted("DCEC", images, directory=tmp_path / "other", encoder=unbuilt)
        assert not unbuilt.built  # the user's own stays as it is
    with pytest.raises(ValueError, match="holds the fit of other encoder"):
        fitted("DCEC", images, directory=tmp_path / "fit", encoder=network(5), optimizer=keras.optimizers.Adam(1e-3))


def test_a_backbone_of_ones_own_is_not_seen_through_under_another_name(images):
    own = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3)])
    method = deepcluster_tf.Frozen(n_clusters=3, n_init=1).with_backbone(own).set_params(backbone="no such network")
    with pytest.raises(ValueError, match="no such network"):
        method.fit(images, progress=False)


def test_gathered_gradients_are_counted_by_the_step(images, tmp_path):
    def fit():
        optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
        how = {"n_clusters": 3, "epochs": 2, "batch_size": 10, "n_init": 1, "optimizer": optimizer}
        return deepcluster_tf.Siamese(**how).fit(images, directory=tmp_path, progress=False)

    first = fit()
    assert [row["iteration"] for row in first.history_] == [4, 8] and first.n_iter_ == 8
    again = fit()  # to its end already
    assert again.history_ == first.history_
    np.testing.assert_array_equal(again.transform(images), first.transform(images))


# ---------------------------------------------------------------------- callbacks of one's own


class StopAt(keras.callbacks.Callback):
    def __init__(self, name, step):
        super().__init__()
        self.name, self.left = name, step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.name == self.name:
            self.left -= 1
            self.model.stop_training |= self.left == 0


def test_a_fit_that_a_callback_ends_tells_what_was_done_and_goes_on_whole(images, tmp_path):
    how = {"max_iterations": 30, "update_interval": 5, "tolerance": 0.0, "optimizer": keras.optimizers.SGD(1e-6)}
    stopped = deepcluster_tf.DCEC(**{**FEW["DCEC"], **how}).fit(
        images, progress=False, directory=tmp_path, callbacks=[StopAt("dcec", 2)]
    )
    assert stopped.n_iter_ == stopped.history_[-1]["iteration"] < 30 and len(stopped.history_) == 3
    whole = deepcluster_tf.DCEC(**{**FEW["DCEC"], **how}).fit(images, progress=False, directory=tmp_path)
    assert [row["iteration"] for row in whole.history_] == list(range(0, 31, 5))
    at = deepcluster_tf.Autoencoder(n_clusters=3, n_init=1, max_epochs=9, batch_size=10).fit(
        images, progress=False, callbacks=[StopAt("autoencoder", 1)]
    )
    assert at.converged_ is False and at.n_iter_ < 36


def test_labels_are_those_of_the_weights_at_the_end(images):
    class Turn(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            if self.model.name == "dcec":
                self.model.set_weights([-weights for weights in self.model.get_weights()])

    method = deepcluster_tf.DCEC(**FEW["DCEC"]).fit(images, progress=False, callbacks=[Turn()])
    np.testing.assert_array_equal(method.labels_, method.predict(images))


# ---------------------------------------------------------------------- what is refused before anything is trained


def test_what_gives_no_named_numbers_is_no_score(images):
    with pytest.raises(ValueError, match="score must give named numbers, .* received 0.5"):
        deepcluster_tf.DCEC(**FEW["DCEC"]).fit(images, score=lambda clusters: 0.5, progress=False)


def test_who_is_no_ledger_is_asked_nothing(images):
    with pytest.raises(ValueError, match="annotator must be an annotation.ledger.Ledger, or None"):
        deepcluster_tf.VAE(**FEW["VAE"]).fit(images, annotator=object(), progress=False)


def test_typical_images_are_of_fits_without_labels(images):
    labels = np.where(np.arange(40) < 9, np.arange(40) % 3, -1)
    with pytest.raises(ValueError, match="typical .TYPICAL. has no effect where labels are known"):
        deepcluster_tf.FixMatch(n_clusters=3, typical=0.3, iterations=1).fit(images, labels, progress=False)


def test_single_images_of_four_channels_in_a_dataset_are_to_be_batched():
    some = np.zeros((5, 8, 8, 4), np.uint8)
    with pytest.raises(ValueError, match="may be one image or several: batch it"):
        given.images_of(tf.data.Dataset.from_tensor_slices(some))
    assert given.images_of(tf.data.Dataset.from_tensor_slices(some).batch(2)).shape == (5, 8, 8, 4)


def test_pixels_that_do_not_fit_together_are_refused(images, monkeypatch):
    monkeypatch.setattr(given, "memory", lambda: 10_000)
    for method in (
        deepcluster_tf.Raw(n_clusters=3),
        deepcluster_tf.Control(n_clusters=3, size=2, reducer="pca"),
        deepcluster_tf.FixMatch(n_clusters=3, iterations=1),
    ):
        with pytest.raises(ValueError, match="all pixels together take .* GiB: expected|all pixels together"):
            method.fit(images, progress=False)


# ---------------------------------------------------------------------- what is left behind


def test_what_is_drawn_next_is_not_changed_by_loading(images, tmp_path):
    method = fitted("DCEC", images)
    method.save(tmp_path / "model.weights.h5")

    def draw():
        return random.random(), np.random.rand()  # noqa: NPY002, what a user may have

    keras.utils.set_random_seed(1)
    expected = draw()
    keras.utils.set_random_seed(1)
    pickle.loads(pickle.dumps(method))
    deepcluster_tf.load(tmp_path / "model.weights.h5")
    assert draw() == expected


def test_a_model_lets_go_of_its_images_after_training(images):
    held = []

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            held.append((self.model, self.model.images.shape.as_list()))

    method = deepcluster_tf.Siamese(n_clusters=3, epochs=1, n_init=1, batch_size=10)
    method.fit(images, progress=False, callbacks=[Look()])
    assert tf.shape(held[0][0].images).numpy().tolist() == [0, 8, 8, 1]
