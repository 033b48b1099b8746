"""Akula's runs on the digits: raw pixels and encodings, training and test images, purity and one-to-one ACC."""

import json

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import clustering, experiments, metrics
from deepcluster_tf.experiments import Experiment, Row, Table, finished, results, running
from deepcluster_tf.experiments.protocols.encodings import Encodings
from deepcluster_tf.methods.raw import Raw
from deepcluster_tf.reporting import tables
from deepcluster_tf.reporting.figures import encodings

SETTINGS = {"autoencoder:Autoencoder": {"max_epochs": 3, "n_init": 1, "batch_size": 64}, "raw:Raw": {"n_init": 1}}


@pytest.fixture(params=SETTINGS)
def result(request, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    experiment = Experiment(
        "digits-x", "digits", request.param, "encodings:Encodings", settings=SETTINGS[request.param]
    )
    return {**running.run(experiment, progress=False), "of": experiment}


def test_every_score_is_recorded_and_is_that_of_the_model(result, digits):
    assert set(result["metrics"]) == {
        f"{name}_{by}_{where}"
        for name in ("acc", "nmi", "ari", "purity")
        for by in ("kmeans", "mixture", "n2d")
        for where in ("training", "test")
    }
    assert len(result["starts"]["n2d"]) == 5
    assert result["starts"]["n2d"][0] == result["metrics"]["acc_n2d_training"]["value"]  # the likeliest
    method = _loaded(result)
    n2d = clustering.N2D(n_clusters=10).fit(method.transform(digits.images[:1500]))
    clusters = n2d.predict(method.transform(digits.images[1500:]))
    assert result["metrics"]["purity_n2d_test"]["value"] == metrics.purity(digits.labels[1500:], clusters)
    for by in ("kmeans", "mixture"):
        clusters = method.predict(digits.images[1500:], by)
        assert result["metrics"][f"purity_{by}_test"]["value"] == metrics.purity(digits.labels[1500:], clusters)
        assert np.sum(result["confusion"][f"{by}_training"]) == 1500
    assert result["metrics"]["purity_kmeans_test"] == {
        **result["metrics"]["purity_kmeans_test"],
        "protocol": "the 297 test images, majority class",
        "n": 297,
    }
    assert "purity_mixture_training" in tables.summary(result, result["of"])


def test_pictures_are_kept_and_drawn(result, digits, tmp_path):
    with np.load(result["directory"] / "pictures.npz") as arrays:
        kept = dict(arrays)
    assert set(kept) == {"originals", "classes", "reconstructions", "centers_kmeans", "centers_mixture"}
    assert all(
        images.shape == (10, 8, 8, 1) and images.dtype == np.uint8 for n, images in kept.items() if n != "classes"
    )
    np.testing.assert_array_equal(kept["classes"], range(10))
    first = [np.flatnonzero(digits.labels[1500:] == c)[0] + 1500 for c in range(10)]
    np.testing.assert_array_equal(kept["originals"], digits.images[first])
    if result["of"].method.startswith("raw"):
        np.testing.assert_array_equal(kept["reconstructions"], kept["originals"])
        clusters = _loaded(result).predict(digits.images[:1500], "kmeans")
        mean = digits.images[:1500][clusters == 3].mean(axis=0)
        np.testing.assert_allclose(kept["centers_kmeans"][3], mean, atol=1)
    drawn = [*encodings.pictures(result, tmp_path, "x"), encodings.confusions(result, tmp_path / "confusion.png")]
    if (result["directory"] / "history.csv").exists():
        drawn.append(encodings.losses([result, result], tmp_path / "losses.png"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    kinds = {"confusion", "centers"} | ({"losses", "reconstructions"} if len(drawn) > 3 else set())
    of = Table("x", "Akula", "encodings", "", "", rows=(Row("x", "digits-x"),))
    written = encodings.write(of, tmp_path / "figures", results.ROOT)
    assert {path.name for path in written} == {f"digits-x-{kind}.png" for kind in kinds}


def test_majority_of_a_cluster_by_hand():
    """Of cluster 0's ten images five are of class a, the first of the largest; cluster 2 is empty."""
    run = {"class_names": ["a", "b", "c"], "confusion": {"kmeans_training": [[5, 0, 0], [3, 4, 0], [2, 6, 0]]}}
    assert encodings._majorities(run, "kmeans") == ["0: a\n50 %", "1: c\n60 %", "2: a\n0 %"]


def test_clusters_that_are_empty_are_noticed(digits, monkeypatch):
    monkeypatch.setattr(Raw, "predict", lambda self, images, by=None: np.zeros(len(images), int))
    notices = Encodings().carry_out(Raw(n_init=1), digits, "digits", None, False, progress=False)["notices"]
    assert "kmeans leaves 9 clusters without training images" in notices
    assert "mixture leaves 9 clusters without test images" in notices


def _loaded(result):
    method = result["of"].method_class()(**result["settings"])
    return method.load(result["directory"] / "model.weights.h5", (8, 8, 1))


def test_finished_run_is_shown_and_exported(result, tmp_path, digits, monkeypatch):
    again = running.run(result["of"], progress=False)
    assert not again["fresh"] and again["metrics"] == result["metrics"]
    saved = json.loads((result["directory"] / "result.json").read_text())
    assert saved["experiment"] == "digits-x" and saved["budget"] == "paper"
    monkeypatch.setitem(experiments.EXPERIMENTS, "digits-x", result["of"])
    served = tf.saved_model.load(str(finished.export(result["directory"], tmp_path / "saved")))
    clusters = _loaded(result).predict(digits.images[:40])
    np.testing.assert_array_equal(served(digits.images[:40])["cluster"], clusters)


def test_raws_mixture_has_a_fifth_of_the_starts(digits, monkeypatch):
    starts, original = [], clustering.gaussian_mixture
    monkeypatch.setattr(clustering, "gaussian_mixture", lambda *args: starts.append(args[2]) or original(*args))
    for n_init in (1, 10):
        Raw(n_init=n_init).fit(digits.images[:200], progress=False)
    assert starts == [1, 2]


def test_raw_is_scikit_learn_on_pixels(digits, tmp_path):
    method = Raw(n_init=1).fit(digits.images)
    pixels = digits.images.reshape(len(digits.images), -1) / np.float32(255)
    assert np.mean(method.predict(digits.images, "kmeans") == method.kmeans_.predict(pixels)) > 0.999
    posterior = method.mixture_.predict_proba(method.pca_.transform(pixels))
    assert np.mean(method.predict(digits.images, "mixture") == posterior.argmax(axis=1)) > 0.999
    center = method.pca_.mean_ + method.mixture_.means_[3] @ method.pca_.components_
    np.testing.assert_allclose(method.decoded_centers()["mixture"][3].ravel(), center, atol=1e-5)
    method.export(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_array_equal(served(digits.images[:40])["cluster"], method.labels_[:40])
    few = Raw(n_components=65, n_clusters=2, n_init=1).fit(digits.images[:20])  # of fewer images than components
    assert few.n_components_ == few.pca_.n_components_ == 20
