"""DCEC on the digits: what it learns, what it refuses, and that it resumes and repeats."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL
from sklearn.exceptions import NotFittedError

from deepcluster_tf import losses, metrics
from deepcluster_tf.methods.dcec import DCEC


def without_seconds(history):
    return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in history]


def assert_same_history(first, second):
    assert len(first) == len(second)
    for a, b in zip(without_seconds(first), without_seconds(second)):
        assert a.keys() == b.keys()
        np.testing.assert_array_equal([a[k] for k in a], [b[k] for k in a])  # NaN equals NaN here


def test_fit_gives_what_it_promises(fitted, digits):
    n = len(digits.images)
    assert fitted.labels_.shape == (n,) and fitted.labels_.dtype == np.int64
    assert fitted.cluster_centers_.shape == (10, 10)
    assert fitted.transform(digits.images).shape == (n, 10)
    np.testing.assert_array_equal(fitted.predict(digits.images), fitted.labels_)
    np.testing.assert_allclose(fitted.predict_proba(digits.images[:7]).sum(axis=1), 1, rtol=1e-5)
    assert fitted.n_iter_ == 35  # no multiple of the update interval: 3 renewals and 5 iterations more
    assert [row["iteration"] for row in fitted.history_] == [0, 10, 20, 30, 35]
    assert not fitted.converged_
    np.testing.assert_array_equal(fitted.classes_, np.arange(10))


def test_floats_and_bytes_are_the_same_images(fitted, digits):
    floats = digits.images[:20].astype(np.float64) / 255
    np.testing.assert_allclose(fitted.transform(floats), fitted.transform(digits.images[:20]), rtol=1e-5, atol=1e-6)


def test_supervision_helps(cluster, digits, some_labels):
    found = {}
    for name, labels in (("without", None), ("with", some_labels)):
        method = cluster(labels, {"update_interval": 40, "max_iterations": 200, "n_init": 20})
        found[name] = metrics.accuracy(digits.labels[some_labels < 0], method.labels_[some_labels < 0])
    assert found["with"] > max(found["without"], 0.75) and found["without"] > 0.55


def test_target_holds_the_known_rows(cluster, digits, some_labels, monkeypatch):
    """What the model trains on is eq. 5 of its own assignments at the last renewal."""
    from deepcluster_tf.methods import dcec

    seen = {}

    class Spy(dcec.TargetRenewal):
        def _renew(self, *args, **how):
            row = super()._renew(*args, **how)
            z = self.embed(self.images)
            seen["q"] = np.array(self.layer(z))
            seen["p"] = np.array(self.model.target)
            return row

    monkeypatch.setattr(dcec, "TargetRenewal", Spy)
    cluster(some_labels, {"max_iterations": 10})
    known = some_labels >= 0
    np.testing.assert_array_equal(seen["p"][known], np.eye(10)[some_labels[known]])
    np.testing.assert_allclose(seen["p"][~known], np.array(losses.target_distribution(seen["q"]))[~known], rtol=1e-4)


@pytest.mark.parametrize("lam", [0.0, 0.1, 1.0])
def test_loss_is_the_weighted_sum(cluster, digits, some_labels, lam):
    """L = L_r + lambda L_c (eq. 4); with lambda = 0 nothing moves the centres."""
    before, after = (cluster(some_labels, {"lam": lam, "max_iterations": n}) for n in (0, 35))
    for row in after.history_[1:3]:  # Keras weighs the short batch of the third one otherwise
        assert row["loss"] == pytest.approx(row["reconstruction_loss"] + lam * row["assignments_loss"], rel=1e-4)
    moved = np.abs(after.cluster_centers_ - before.cluster_centers_).max()
    assert moved == 0 if lam == 0 else moved > 1e-3


def test_loss_of_the_first_step_by_hand(cluster, digits):
    """All labels known, so that p is one-hot: L_c is the mean of -log q of each image's own class (eq. 2, 4, 5)."""
    settings = {"batch_size": len(digits.images), "lam": 0.1}
    start = cluster(digits.labels, {**settings, "max_iterations": 0})
    squares = np.square(start.decoder_(start.transform(digits.images)) - digits.images / 255.0)
    q = start.predict_proba(digits.images)
    expected = squares.mean() + 0.1 * np.mean(-np.log(q[np.arange(len(q)), digits.labels]))
    step = cluster(digits.labels, {**settings, "max_iterations": 1})
    assert step.history_[1]["loss"] == pytest.approx(expected, rel=1e-4)


def test_zero_iterations_is_the_initialisation(cluster, digits, some_labels):
    method = cluster(some_labels, {"max_iterations": 0})
    embeddings = method.transform(digits.images)
    expected = np.array([embeddings[some_labels == j].mean(axis=0) for j in range(10)])  # eq. 6
    np.testing.assert_allclose(method.cluster_centers_, expected, rtol=1e-4, atol=1e-5)


def test_converges_and_stops(cluster, digits):
    method = cluster(settings={"tolerance": 1.0, "max_iterations": 1000})
    assert method.converged_ and method.n_iter_ == 10
    np.testing.assert_array_equal(method.predict(digits.images), method.labels_)


def test_second_fit_is_a_fit_of_its_own(digits, some_labels):
    method = DCEC(**{**SMALL, "pretraining_epochs": 1, "max_iterations": 10})
    first = method.fit(digits.images, some_labels, progress=False).history_
    assert_same_history(method.fit(digits.images, some_labels, progress=False).history_, first)


def test_one_seed_is_one_result_and_two_are_two(fitted, digits, some_labels):
    again = DCEC(**SMALL).fit(digits.images, some_labels, progress=False)
    assert_same_history(again.history_, fitted.history_)
    np.testing.assert_array_equal(again.predict_proba(digits.images), fitted.predict_proba(digits.images))
    other = DCEC(**{**SMALL, "pretraining_epochs": 1}, seed=1).pretrain(digits.images, progress=False)
    assert other.pretraining_history_[0]["loss"] != again.pretraining_history_[0]["loss"]


def test_class_without_a_label_is_said_and_finite(cluster, some_labels):
    labels = np.where(some_labels == 3, -1, some_labels)
    with pytest.warns(UserWarning, match="no labelled image of class 3"):
        method = cluster(labels)
    assert np.isfinite(method.cluster_centers_).all()
    assert method.classes_.tolist() == [0, 1, 2, -1, 4, 5, 6, 7, 8, 9]
    assert method.notices_ == ["no labelled image of class 3: those centres start from k-means"]


def test_empty_cluster_is_said_and_restarted(cluster, monkeypatch):
    from deepcluster_tf import clustering

    def with_a_far_centre(embeddings, *_):
        centers = embeddings[np.random.default_rng(0).choice(len(embeddings), 10, replace=False)].copy()
        centers[4] = 1e4
        return centers, []

    monkeypatch.setattr(clustering, "initial_centers", with_a_far_centre)
    with pytest.warns(UserWarning, match=r"cluster \[4\] is empty"):
        method = cluster()
    assert method.history_[0]["restarted"] == 1 and method.history_[0]["smallest"] > 0
    assert method.notices_ == ["iteration 0: 1 empty cluster(s) restarted"]


def test_collapse_is_said_and_stops(cluster, monkeypatch):
    from deepcluster_tf import clustering

    far = np.full((10, 10), 1e4, np.float32)
    far[2] = 0
    monkeypatch.setattr(clustering, "initial_centers", lambda *_: (far, []))
    with pytest.raises(RuntimeError, match="all 1797 images are in cluster 2: the clustering has collapsed"):
        cluster()


def test_loss_that_is_no_number_stops_and_is_not_kept(digits, tmp_path):
    method = DCEC(**{**SMALL, "pretraining_epochs": 0, "max_iterations": 10}).pretrain(digits.images, progress=False)
    method.decoder_.set_weights([np.full_like(w, np.nan) for w in method.decoder_.get_weights()])
    method.save_autoencoder(tmp_path / "broken.weights.h5")
    method.load_autoencoder(tmp_path / "broken.weights.h5", (8, 8, 1))
    with pytest.raises(FloatingPointError, match="the loss is nan after 10 iterations: expected a finite number"):
        method.fit(digits.images, directory=tmp_path / "work", progress=False)
    assert not (tmp_path / "work" / "checkpoint.weights.h5").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 1}, "n_clusters must be a whole number of 2 or more; received 1"),
        ({"n_clusters": 2.5}, "n_clusters must be a whole number"),
        ({"n_clusters": 5000}, "n_clusters must be a whole number from 2 to 1797; received 5000"),
        ({"lam": -1.0}, "lam must be a number from 0 to 1000000; received -1.0"),
        ({"lam": float("nan")}, "lam must be a number"),
        ({"tolerance": 2}, "tolerance must be a number from 0 to 1"),
        ({"batch_size": 0}, "batch_size must be a whole number of 1 or more"),
        ({"update_interval": 0}, "update_interval must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_settings_out_of_range_are_refused(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        DCEC(**settings).fit(digits.images, progress=False)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((5, 8)), None, r"shape \(n, height, width, channels\)"),
        (np.zeros((0, 8, 8, 1)), None, "n >= 1"),
        (np.full((20, 8, 8, 1), 256), None, "integer images must be in 0..255; received 256 to 256"),
        (np.full((20, 8, 8, 1), 2.0), None, "must be in 0..1; received 2 to 2"),
        (np.full((20, 8, 8, 1), np.nan), None, "must be in 0..1"),
        (np.zeros((20, 10, 10, 1)), None, "multiples of 8"),
        (np.zeros((20, 8, 8, 1)), np.zeros(19, int), "one for each of 20 images"),
        (np.zeros((20, 8, 8, 1)), np.full(20, 0.5), "must be integers"),
        (np.zeros((20, 8, 8, 1)), np.arange(20), "in 0..9, or name 10 classes at most; received 20: 0, 1, 2"),
        (np.zeros((20, 8, 8, 1)), np.full(20, -2), "received -2 to -2"),
    ],
)
def test_bad_images_and_labels_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        DCEC(**SMALL).fit(images, labels, progress=False)


def test_an_autoencoder_alone_has_embeddings_and_no_clusters(digits, tmp_path):
    images = digits.images[:60]
    method = DCEC(n_clusters=3, pretraining_epochs=1, max_iterations=0, n_init=1)
    method.pretrain(images, progress=False).save_autoencoder(tmp_path / "a.weights.h5")
    method.fit(images, progress=False).predict(images)
    for begun in (
        DCEC(n_clusters=3, pretraining_epochs=1).pretrain(images, progress=False),
        method.load_autoencoder(tmp_path / "a.weights.h5", images.shape[1:]),  # its clusters went with its networks
    ):
        assert begun.transform(images).shape == (60, 10)
        refused = [
            lambda begun=begun: begun.predict(images),
            lambda begun=begun: begun.cluster_centers_,
            lambda begun=begun: begun.model_,
            lambda begun=begun: begun.save(tmp_path / "b.weights.h5"),
            lambda begun=begun: begun.export(tmp_path / "b"),
        ]
        for what in refused:
            with pytest.raises(NotFittedError, match="this DCEC is not fitted"):
                what()


def test_folder_of_another_fit_is_refused(cluster, some_labels, tmp_path):
    cluster(some_labels, directory=tmp_path)
    with pytest.raises(ValueError, match="holds the fit of other lam"):
        cluster(some_labels, {"lam": 0.1}, directory=tmp_path)


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from conftest import SMALL
from deepcluster_tf import datasets
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.dcec import DCEC
import numpy as np
checkpoints.Checkpoint.__init__.__defaults__ = (0.0,)  # a checkpoint after every epoch
digits = datasets.load("digits")
labels = np.full(len(digits.labels), -1)
drawn = np.random.default_rng(0).choice(len(labels), 90, replace=False)
labels[drawn] = digits.labels[drawn]
print("start", flush=True)
DCEC(**SMALL).fit(digits.images, labels, directory={directory!r}, progress=False)
print("end", flush=True)
"""


def _rows(path):
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


@pytest.mark.parametrize(("phase", "rows"), [("pretraining", 3), (".", 3)])
def test_killed_fit_resumes_to_the_same_numbers(fitted, digits, some_labels, tmp_path, phase, rows):
    code = CHILD.format(tests=str(Path(__file__).parent), directory=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while _rows(tmp_path / phase / "history.csv") < rows and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert rows <= _rows(tmp_path / phase / "history.csv") < (16 if phase == "pretraining" else 5), (
        "killed in the phase"
    )
    resumed = DCEC(**SMALL).fit(digits.images, some_labels, directory=tmp_path, progress=False)
    assert_same_history(resumed.history_, fitted.history_)
    np.testing.assert_array_equal(resumed.predict_proba(digits.images), fitted.predict_proba(digits.images))


def test_slight_views_are_drawn_by_the_seed(digits, tmp_path):
    settings = {**SMALL, "pretraining_epochs": 2, "max_iterations": 10}
    fit = lambda views, **where: DCEC(**settings, views=views).fit(digits.images, progress=False, **where)
    slight = fit("slight", directory=tmp_path)
    np.testing.assert_array_equal(fit("slight").predict_proba(digits.images), slight.predict_proba(digits.images))
    assert fit("none").history_[-1]["reconstruction_loss"] != slight.history_[-1]["reconstruction_loss"]
    with pytest.raises(ValueError, match="other .*views"):
        fit("none", directory=tmp_path)


def test_finished_fit_is_not_trained_again(cluster, fitted, some_labels, tmp_path):
    for _ in range(2):
        method = cluster(some_labels, directory=tmp_path)
        assert_same_history(method.history_, fitted.history_)


def test_save_and_load(fitted, digits, tmp_path):
    fitted.save(tmp_path / "model.weights.h5")
    loaded = DCEC(**SMALL).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(loaded.predict_proba(digits.images[:50]), fitted.predict_proba(digits.images[:50]))


MIRRORED = """
import sys
sys.path.insert(0, {tests!r})
from conftest import SMALL
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from deepcluster_tf import datasets
from deepcluster_tf.methods.dcec import DCEC
digits = datasets.load("digits")
images = digits.images[:1796]  # batches of 64 and 4: each splits evenly
labels = np.where(np.arange(1796) < 90, digits.labels[:1796], -1)  # k-means could tip over by a rounding error
found = {{}}
for name, strategy in (("one", None), ("two", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))):
    method = DCEC(**SMALL).fit(images, labels, progress=False, strategy=strategy)
    found[name] = method.predict_proba(images)
    found[name + "_losses"] = [row["loss"] for row in method.pretraining_history_ + method.history_[1:]]
np.savez({path!r}, **found)
"""


@pytest.mark.slow
def test_two_devices_agree_with_one(tmp_path):
    code = MIRRORED.format(tests=str(Path(__file__).parent), path=str(tmp_path / "found.npz"))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
    found = np.load(tmp_path / "found.npz")
    # The same sums in another order: equal to rounding at first, which training then amplifies.
    np.testing.assert_allclose(found["two_losses"][:5], found["one_losses"][:5], rtol=1e-5)
    np.testing.assert_allclose(found["two_losses"], found["one_losses"], rtol=0.01)
    assert np.mean(found["two"].argmax(axis=1) == found["one"].argmax(axis=1)) > 0.98
