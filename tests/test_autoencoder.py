"""The autoencoder of Akula on the digits: sizes, early stopping, both clusterings, resuming, export."""

import pickle

import numpy as np
import pytest
import tensorflow as tf
from sklearn.mixture import GaussianMixture

from deepcluster_tf import clustering, fitting, metrics, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import MixtureLayer
from deepcluster_tf.methods.autoencoder import Autoencoder
from deepcluster_tf.methods.deepcluster import DeepCluster

SMALL = {"batch_size": 64, "max_epochs": 6, "n_init": 2}


@pytest.fixture(scope="module", params=["dense", "pooling"])
def fitted(request, digits):
    return Autoencoder(**SMALL, architecture=request.param).fit(digits.images, progress=False)


def test_the_documents_number_of_parameters():
    encoder, decoder = networks.dense_encoder((28, 28, 1)), networks.dense_decoder((28, 28, 1))
    counts = [layer.count_params() for layer in [*encoder.layers, *decoder.layers] if layer.count_params()]
    assert counts == [1570000, 2001000, 500500, 5010, 5500, 501000, 2002000, 1568784]  # the paper's table
    assert sum(counts) == 8153794
    assert decoder.get_layer("pixels").activation.__name__ == "sigmoid"
    assert {encoder.get_layer(f"dense{i}").activation.__name__ for i in (1, 2, 3)} == {"relu"}


def test_pooling_shapes_and_refusal():
    encoder, decoder = networks.pooling_encoder((28, 28, 3)), networks.pooling_decoder((28, 28, 3))
    assert encoder.get_layer("pool2").output.shape == (None, 7, 7, 64)
    assert decoder.output_shape == (None, 28, 28, 3)
    with pytest.raises(ValueError, match="multiples of 4; received 30x28"):
        networks.pooling_encoder((30, 28, 1))


def test_fit_gives_what_it_promises(fitted, digits):
    n = len(digits.images)
    assert fitted.labels_.shape == (n,) and fitted.labels_.dtype == np.int64
    np.testing.assert_array_equal(fitted.predict(digits.images), fitted.labels_)
    for by in ("mixture", "kmeans"):
        np.testing.assert_allclose(fitted.predict_proba(digits.images[:9], by).sum(axis=1), 1, rtol=1e-5)
    assert len(fitted.history_) == 6 and not fitted.converged_
    assert min(row["val_loss"] for row in fitted.history_) < fitted.history_[0]["val_loss"]


def test_layers_assign_as_scikit_learn_does(fitted, digits):
    z = fitted.transform(digits.images)
    assert np.mean(fitted.predict(digits.images, "kmeans") == fitted.kmeans_.predict(z)) > 0.999
    np.testing.assert_allclose(fitted.predict_proba(digits.images), fitted.mixture_.predict_proba(z), atol=0.01)


def test_mixture_layer_by_hand_and_far_away():
    """Two components in one dimension: N(0, 1) and N(4, 4), weights 1/4 and 3/4."""
    mixture = GaussianMixture(2)
    mixture.weights_ = np.array([0.25, 0.75])
    mixture.means_ = np.array([[0.0], [4.0]])
    mixture.precisions_cholesky_ = np.array([[[1.0]], [[0.5]]])
    layer = MixtureLayer(2)
    layer.take(mixture)
    # at z = 1: 0.25 exp(-1/2) / 1 = 0.151633 and 0.75 exp(-9/8) / 2 = 0.121745 -> 0.151633 / 0.273378 = 0.554665
    np.testing.assert_allclose(layer(np.array([[1.0]], "float32")), [[0.554665, 0.445335]], rtol=1e-4)
    far = np.array(layer(np.array([[1e4]], "float32")))  # both densities underflow; the wider one is the larger
    np.testing.assert_allclose(far, [[0, 1]], atol=1e-6)
    again = MixtureLayer.from_config(layer.get_config())
    assert (again.n_clusters, again.trainable, again.name) == (2, False, layer.name)
    with pytest.raises(ValueError, match="must be full; received 'diag'"):
        layer.take(GaussianMixture(2, covariance_type="diag"))


def test_stops_after_the_patience_and_keeps_the_best(digits, monkeypatch):
    losses = iter([0.5, 0.4, 0.45, 0.41, 0.3, 0.35, 0.36, 0.2])
    kept = []

    class Scripted(fitting.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = next(losses)
            kept.append(self.model.get_weights())
            super().on_epoch_end(epoch, logs)

    class Watched(fitting.Progress):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            totals.append(self.bar.total)

    totals = []
    monkeypatch.setattr(fitting, "Progress", Watched)
    monkeypatch.setattr(fitting, "EarlyStopping", Scripted)
    method = Autoencoder(**{**SMALL, "max_epochs": 50}, patience=2).fit(digits.images[:200], progress=False)
    assert [row["val_loss"] for row in method.history_] == [0.5, 0.4, 0.45, 0.41]  # two without a lower one than 0.4
    assert method.converged_ and method.n_iter_ == 4 * 3
    assert totals == [3 * 3, 4 * 3, 4 * 3, 4 * 3]  # the bar's end: the best epoch so far, and two more
    for ours, best in zip(method.encoder_.get_weights(), kept[1]):
        np.testing.assert_array_equal(ours, best)


def test_a_fit_that_stopped_early_is_not_trained_on(digits, tmp_path, monkeypatch):
    """As if the process had died while it clustered: the same call finds the best weights, and trains no further."""
    images = digits.images[:200]
    losses = iter([0.5, 0.4, 0.45, 0.41])

    class Scripted(fitting.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = next(losses)  # there is no fifth
            super().on_epoch_end(epoch, logs)

    monkeypatch.setattr(fitting, "EarlyStopping", Scripted)
    settings = {**SMALL, "max_epochs": 50, "patience": 2}
    whole = Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)
    again = Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)
    assert again.history_ == whole.history_ and again.converged_
    np.testing.assert_array_equal(again.transform(images), whole.transform(images))


def test_a_killed_fit_keeps_its_patience_and_says_when_its_best_weights_are_damaged(digits, tmp_path, monkeypatch):
    """Three epochs without a lower loss than the second's: two before it is killed, one after."""
    images, losses = digits.images[:200], [0.5, 0.4, 0.45, 0.41, 0.42, 0.43, 0.44]

    class Scripted(fitting.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = losses[epoch]
            super().on_epoch_end(epoch, logs)

    original = fitting.History.on_epoch_end

    def dies(self, epoch, logs=None):
        if epoch == 4:
            raise KeyboardInterrupt
        original(self, epoch, logs)

    monkeypatch.setattr(fitting, "EarlyStopping", Scripted)
    monkeypatch.setattr(checkpoints.Checkpoint.__init__, "__defaults__", (0.0,))
    settings = {**SMALL, "max_epochs": 50, "patience": 3}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting.History, "on_epoch_end", dies)
        Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)
    resumed = Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)
    assert [row["val_loss"] for row in resumed.history_] == losses[:5] and resumed.converged_
    best = tmp_path / "best.weights.h5"
    best.write_bytes(best.read_bytes()[:100])
    with pytest.raises(ValueError, match="best.weights.h5 is missing or damaged: expected, to the bit, the file"):
        Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)


def test_centres_are_decoded_and_a_mixture_that_ran_out_of_iterations_is_noticed(digits, monkeypatch):
    original = clustering.gaussian_mixture

    def ran_out(*args):
        found = original(*args)
        found.converged_ = False
        return found

    monkeypatch.setattr(clustering, "gaussian_mixture", ran_out)
    method = Autoencoder(**{**SMALL, "max_epochs": 1}).fit(digits.images[:200], progress=False)
    assert method.notices_ == ["the mixture's iterations ran out before it converged"]
    centers = {"kmeans": method.kmeans_.cluster_centers_, "mixture": method.mixture_.means_}
    for by, decoded in method.decoded_centers().items():
        np.testing.assert_allclose(decoded, method.decoder_(np.float32(centers[by])), atol=1e-6)
        assert decoded.shape == (10, 8, 8, 1) and decoded.std(axis=0).max() > 0


@pytest.mark.parametrize("n_components", [0, 3])
def test_centres_are_decoded_after_load_where_the_file_has_them(digits, n_components, tmp_path):
    settings = {**SMALL, "max_epochs": 1, "n_components": n_components}
    fitted = Autoencoder(**settings).fit(digits.images[:200], progress=False)
    fitted.save(tmp_path / "model.weights.h5")
    pickled = pickle.loads(pickle.dumps(fitted))
    for other in (pickled, Autoencoder(**settings).load(tmp_path / "model.weights.h5"), fitted):
        if other is not pickled and n_components:  # the one fitted before forgets what is not of the file
            with pytest.raises(ValueError, match="cannot take its mixture back out of 3 principal components"):
                other.load(tmp_path / "model.weights.h5").decoded_centers()
        else:
            for by, decoded in other.decoded_centers().items():
                np.testing.assert_array_equal(decoded, fitted.decoded_centers()[by])


def test_centres_without_a_decoder_are_refused(digits):
    method = DeepCluster(epochs=0, n_init=1).fit(digits.images[:100], progress=False)
    with pytest.raises(ValueError, match="this DeepCluster has no decoder: expected a method that reconstructs"):
        method.decoded_centers()


@pytest.mark.parametrize("architecture", ["dense", "pooling", pytest.param("residual", marks=pytest.mark.slow)])
def test_interrupted_fit_resumes_to_the_same_numbers(digits, tmp_path, monkeypatch, architecture):
    """Stopped by an error in the fourth epoch, after a checkpoint of the second or third."""
    images = digits.images[:200]
    settings = {**SMALL, "architecture": architecture, "max_epochs": 5, "n_clusters": 4}
    if architecture == "residual":
        settings |= {"loss": "binary_crossentropy", "n_components": 5}
    whole = Autoencoder(**settings).fit(images, progress=False)
    monkeypatch.setattr(checkpoints.Checkpoint.__init__, "__defaults__", (0.0,))
    original = fitting.History.on_epoch_end

    def dies(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt
        original(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting.History, "on_epoch_end", dies)
        Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)
    for _ in range(2 if architecture == "dense" else 1):  # the second time there is nothing left to train
        resumed = Autoencoder(**settings).fit(images, directory=tmp_path, progress=False)
        for ours, theirs in zip(resumed.history_, whole.history_):
            assert {k: v for k, v in ours.items() if "seconds" not in k} == {
                k: v for k, v in theirs.items() if "seconds" not in k
            }
        np.testing.assert_array_equal(resumed.transform(images), whole.transform(images))


def test_clusters_are_found(fitted, digits):
    assert metrics.purity(digits.labels, fitted.labels_) > 0.5


def test_save_load_and_export(fitted, digits, tmp_path):
    fitted.save(tmp_path / "model.weights.h5")
    loaded = Autoencoder(**fitted.get_params()).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(loaded.predict_proba(digits.images[:50]), fitted.predict_proba(digits.images[:50]))
    loaded.export(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    found = served.signatures["serving_default_uint8"](images=tf.constant(digits.images[:50]))
    np.testing.assert_array_equal(found["cluster"], fitted.labels_[:50])
    np.testing.assert_array_equal(
        served.kmeans(digits.images[:50])["cluster"], fitted.predict(digits.images[:50], "kmeans")
    )
    reconstructed = served.reconstruct(digits.images[:5])["reconstructions"]
    assert reconstructed.shape == (5, 8, 8, 1) and np.min(reconstructed) >= 0 and np.max(reconstructed) <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": "transformer"},
            "architecture must be dense or pooling or convolutional or residual; received 'transformer'",
        ),
        ({"activation": "tanh"}, "activation must be relu or sigmoid"),
        ({"architecture": "residual", "activation": "sigmoid"}, "activation must be relu; received 'sigmoid'"),
        ({"architecture": "convolutional", "loss": "binary_crossentropy"}, "loss must be mse; received"),
        ({"assign_by": "chance"}, "assign_by must be mixture or kmeans"),
        ({"validation_share": 0}, "validation_share must be a number from 0.01 to 0.9"),
        ({"patience": 0}, "patience must be a whole number of 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        Autoencoder(**settings).fit(digits.images, progress=False)


def test_cross_entropy_is_what_the_residual_variant_trains_on(digits):
    settings = {"architecture": "residual", "loss": "binary_crossentropy", "max_epochs": 1, "n_init": 1}
    method = Autoencoder(**settings, embedding_dim=8, n_components=4).fit(digits.images[:100], progress=False)
    x = digits.images[:100] / np.float32(255)
    y = np.array(method.decoder_(method.transform(digits.images[:100])))
    by_hand = -np.mean(x * np.log(y) + (1 - x) * np.log(1 - y))
    assert method.history_[0]["loss"] == pytest.approx(by_hand, abs=0.15) and by_hand > 0.4  # an error is 0.25 at most
