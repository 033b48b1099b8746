"""DEC on a contrastive encoder: its loss by hand, an easy task, labels, resuming, what it shares, what is exported."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import ops

from deepcluster_tf import clustering, losses, metrics
from deepcluster_tf.experiments import results
from deepcluster_tf.files import verify
from deepcluster_tf.methods import pretext, renewal
from deepcluster_tf.methods.dec import DEC
from deepcluster_tf.methods.scan import SCAN

SETTINGS = {"n_clusters": 4, "pretext_epochs": 60, "epochs": 3, "batch_size": 50, "n_init": 2, "flip": False}


@pytest.fixture(scope="module")
def blobs():
    """Pictures of four kinds: so many bright stripes each, whatever is cut out of them."""
    classes = np.arange(300) % 4
    images = np.random.default_rng(0).integers(0, 30, (300, 16, 16, 1), dtype=np.uint8)
    for kind, period in enumerate((2, 4, 8, 16)):
        rows = np.flatnonzero(np.arange(16) % period < period / 2)
        images[np.ix_(classes == kind, rows)] += 200
    return images, classes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dec")


@pytest.fixture(scope="module")
def fitted(blobs, folder):
    return DEC(**SETTINGS).fit(blobs[0], directory=folder / "work", shared=folder / "shared", progress=False)


def test_it_finds_the_kinds_and_says_how_it_went(blobs, fitted):
    images, classes = blobs
    assert metrics.scores(classes, fitted.labels_)["acc"] > 0.9
    assert [row["iteration"] for row in fitted.history_] == [0, 6, 12, 18][: len(fitted.history_)]
    assert {"pairs_loss", "assignments_loss", "changed", "smallest"} <= set(fitted.history_[-1])
    assert fitted.predict_proba(images).sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)


def test_its_history_is_kept_where_a_run_looks_for_it(fitted, folder):
    kept = pd.read_csv(folder / "work" / "history.csv")
    assert kept["iteration"].tolist() == [row["iteration"] for row in fitted.history_]


@pytest.mark.parametrize("even", [True, False])
def test_clusters_weigh_the_same_unless_they_need_not(blobs, even, monkeypatch):
    targets, assign = [], renewal.losses.supervised_target
    keep = lambda p, labels: targets.append(ops.convert_to_numpy(p)) or assign(p, labels)
    monkeypatch.setattr(renewal.losses, "supervised_target", keep)
    uneven = blobs[0][(blobs[1] == 0) | (np.arange(300) < 60)]
    DEC(**{**SETTINGS, "pretext_epochs": 0, "epochs": 0, "even": even}).fit(uneven, progress=False)
    assert (np.ptp(targets[0].sum(axis=0)) < 0.1 * len(uneven) / 4) == even


@pytest.mark.parametrize(
    ("patience", "changes", "stops"),
    [
        (0, [1.0, 0.2, 0.3, 0.4], False),
        (1, [1.0], False),
        (1, [1.0, 0.2, 0.1], False),
        (1, [1.0, 0.2, 0.1, 0.1], True),
        (2, [1.0, 0.2, 0.1, 0.1], False),
        (2, [1.0, 0.2, 0.1, 0.3, 0.2], False),
        (2, [0.2, 0.1, 0.1, 0.3], True),
        (3, [0.1, 0.2, 0.3], False),
    ],
)
def test_when_assignments_change_no_less_than_before(patience, changes, stops):
    callback = renewal.TargetRenewal(
        lambda x: x, None, np.zeros(1), np.zeros(1), tolerance=0, n_init=1, seed=0, patience=patience
    )
    callback.changes = changes
    assert callback.stalled() == stops


def test_patience_stops_it_and_a_fit_that_was_stopped_stays_so(blobs, folder):
    settings = {**SETTINGS, "epochs": 8, "tolerance": 0, "patience": 1}
    fit = lambda: DEC(**settings).fit(blobs[0], directory=folder / "soon", shared=folder / "shared", progress=False)
    stopped, again = fit(), fit()
    changes = [row["changed"] for row in stopped.history_]
    assert len(changes) < 9 and changes[-1] >= changes[-2]
    assert all(a > b for a, b in zip(changes[:-1], changes[1:-1], strict=False))
    assert stopped.converged_ and again.converged_ and again.n_iter_ == stopped.n_iter_


@pytest.mark.parametrize("network", ["full", "small"])
def test_the_loss_is_that_of_the_views_and_of_the_assignments(blobs, network):
    """With lambda 2: the contrastive loss, and twice the divergence of p from q, each the mean over the batch."""
    images = blobs[0]
    method = DEC(**SETTINGS, lam=2.0)
    start = pretext.pretext(network, 0, False, 0)
    start._build(images.shape[1:])
    method._take(start)
    model = method._model(start, 6, images)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 300).astype(np.float32)
    model.target.assign(p)
    x, y = model._batch(np.arange(50))
    said = model(x, training=False)
    q = ops.convert_to_numpy(said["assignments"])
    expected = np.mean(losses.nt_xent(y["pairs"], said["pairs"])) + 2 * np.mean(np.sum(p[:50] * np.log(p[:50] / q), 1))
    assert float(model.compute_loss(x, y, said)) == pytest.approx(expected, rel=1e-5)


def test_the_scale_is_that_of_the_centres(blobs):
    method = DEC(**SETTINGS)
    method._build(blobs[0].shape[1:])
    method._scale(method.transform(blobs[0]))
    z = method.transform(blobs[0])
    centres = clustering.kmeans(z, 4, 1, 0).cluster_centers_
    assert np.mean(np.min(np.sum((z[:, None] - centres) ** 2, axis=2), axis=1)) == pytest.approx(1, rel=1e-3)


def test_labels_name_the_clusters(blobs, folder):
    images, classes = blobs
    labels = np.where(np.arange(300) < 40, 3 - classes, -1)
    named = DEC(**SETTINGS).fit(images, labels, shared=folder / "shared", progress=False)
    assert (named.labels_ == 3 - classes).mean() > 0.9


def test_a_shared_pretext_is_that_of_a_fit_alone(blobs, tmp_path):
    few = {**SETTINGS, "network": "small", "pretext_epochs": 1, "epochs": 1}
    shared, alone = (DEC(**few).fit(blobs[0], shared=place, progress=False) for place in (tmp_path, None))
    np.testing.assert_array_equal(alone.predict_proba(blobs[0]), shared.predict_proba(blobs[0]))


def test_the_pretext_is_shared_and_a_fit_goes_on(blobs, fitted, folder, monkeypatch):
    assert len(list((folder / "shared").glob("similarity-*-seed-0"))) == 1
    again = DEC(**SETTINGS).fit(blobs[0], directory=folder / "work", shared=folder / "shared", progress=False)
    np.testing.assert_array_equal(again.predict_proba(blobs[0]), fitted.predict_proba(blobs[0]))
    assert again.seconds_["pretext"] == fitted.seconds_["pretext"] > 0  # as long as it took, though it was there
    with pytest.raises(ValueError, match="other .*lam"):
        DEC(**SETTINGS, lam=0.5).fit(blobs[0], directory=folder / "work", shared=folder / "shared", progress=False)
    monkeypatch.setattr("deepcluster_tf.methods.pretext.processors", lambda: 64)  # gives other numbers
    assert not pretext.folder(fitted._pretext(), folder / "shared").exists()


def test_what_is_exported_and_loaded(blobs, fitted, tmp_path):
    images = blobs[0][:20]
    fitted.export(tmp_path / "export")
    served = tf.saved_model.load(tmp_path / "export").signatures["serving_default"]
    np.testing.assert_array_equal(
        served(images=tf.constant(np.float32(images) / 255))["cluster"], fitted.predict(images)
    )
    fitted.save(tmp_path / "model.weights.h5")
    loaded = DEC(**SETTINGS).load(tmp_path / "model.weights.h5", (16, 16, 1))
    np.testing.assert_array_equal(loaded.predict_proba(images), fitted.predict_proba(images))


def test_without_a_projector_the_length_of_an_embedding_is_free(blobs):
    """What is clustered may be scaled: the small network's contrastive loss is about angles."""
    images = blobs[0][:20]
    method, start = DEC(**SETTINGS, network="small"), pretext.pretext("small", 0, False, 0)
    start._build(images.shape[1:])
    method._take(start)
    z = method.transform(images)
    compared = [np.array(pretext.projected(start)(each)) for each in (z, 3 * z)]
    np.testing.assert_allclose(*compared, rtol=1e-5)
    np.testing.assert_allclose(compared[0], z / np.linalg.norm(z, axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(compared[0], start.transform(images), rtol=1e-5)


def test_the_shipped_encoder_is_found_and_whole(monkeypatch):
    monkeypatch.setattr("deepcluster_tf.methods.pretext.processors", lambda: 2)  # those of its training
    shipped = pretext.folder(SCAN(seed=0)._pretext(), results.ROOT / "pretrained" / "cifar")
    assert shipped == pretext.folder(DEC(seed=0)._pretext(), shipped.parent)
    for name in ("fit.json", "history.csv", "curve.csv", "checkpoint.weights.h5"):
        verify(shipped / name)
