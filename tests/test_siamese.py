"""The siamese encoders and the control: views, losses by hand, plateau, resuming, what is exported."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import fitting, losses, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods import control
from deepcluster_tf.methods.control import Control
from deepcluster_tf.methods.siamese import Siamese

SMALL = {
    "batch_size": 128, "epochs": 6, "filters": (16, 32), "embedding_dim": 16, "n_components": 0, "n_init": 1,
}  # fmt: skip
DOT = {**SMALL, "comparison": "dot", "regularisation": 0.01}


@pytest.fixture(scope="module", params=Siamese.declared()["comparison"].choices)
def fitted(request, digits):
    settings = DOT if request.param == "dot" else {**SMALL, "comparison": request.param}
    return Siamese(**settings).fit(digits.images, progress=False)


def assert_same_training(ours, theirs):
    """Row by row, but for the time that it took."""
    plain = lambda rows: [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]
    assert plain(ours) == plain(theirs)


# ---------------------------------------------------------------------- losses and layers


def test_matching_cross_entropy_by_hand_by_loop_and_where_all_are_alike():
    # rows: ln(1 + e^-2), ln(1 + e^0): the first view finds its partner, the second is undecided; columns likewise
    found = np.array(losses.matching_cross_entropy(None, np.array([[2.0, 0], [1, 1]], "float32")))
    forth = [math.log(1 + math.exp(-2)), math.log(2)]
    back = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(-1))]
    np.testing.assert_allclose(found, [(f + b) / 2 for f, b in zip(forth, back)], rtol=1e-5)
    s = np.random.default_rng(0).normal(size=(5, 5)).astype("float32")
    by_loop = [
        -(s[i, i] - math.log(sum(math.exp(x) for x in s[i])) + s[i, i] - math.log(sum(math.exp(x) for x in s[:, i])))
        / 2
        for i in range(5)
    ]
    np.testing.assert_allclose(losses.matching_cross_entropy(None, s), by_loop, rtol=1e-4)
    np.testing.assert_allclose(losses.matching_cross_entropy(None, np.zeros((4, 4), "float32")), math.log(4), rtol=1e-6)


def test_pairs_are_a_match_and_the_next_image(digits):
    """The first column compares two views of one image, the second a view with the view of the image before it."""
    method = Siamese(**{**DOT, "rotation": 0.0, "zoom": 0.0})
    method._build((8, 8, 1))
    model = method._model(1)
    x = digits.images[:6] / np.float32(255)
    outputs = model(x, training=False)  # views change nothing outside training
    z = np.array(method.encoder_(x))
    for i in range(6):
        np.testing.assert_allclose(outputs["pairs"][i], [z[i] @ z[i], z[i] @ z[i - 1]], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(outputs["size"][i], [np.abs(z[i]).mean()], rtol=1e-5)


def test_a_matrix_of_cosines(digits):
    method = Siamese(**SMALL, comparison="contrastive", temperature=0.5)
    method._build((8, 8, 1))
    x = digits.images[:5] / np.float32(255)
    z = np.array(method.encoder_(x))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)  # directions are what is compared and clustered
    cosines = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) / 0.5 for b in z] for a in z]
    np.testing.assert_allclose(method._model(1)(x, training=False)["pairs"], cosines, rtol=1e-3, atol=1e-4)


def test_views_differ_from_each_other_and_from_the_image(digits):
    method = Siamese(seed=3)
    x = digits.images[:64] / np.float32(255)
    one, other = (np.array(method.view(number)(x, training=True)) for number in (0, 1))
    for a, b in ((one, other), (one, x), (other, x)):
        assert np.mean(np.abs(a - b).max(axis=(1, 2, 3)) > 0.05) > 0.9
    np.testing.assert_array_equal(method.view(0)(x, training=False), x)


def test_plain_views_turn_and_scale():
    """A square of 100 pixels: scaled it is larger or smaller; turned its corners move, and its size stays."""
    x = np.zeros((64, 30, 30, 1), "float32")
    x[:, 10:20, 10:20] = 1
    view = lambda **how: np.array(Siamese(**{"rotation": 0.0, "zoom": 0.0, **how}).view(0)(x, training=True))
    np.testing.assert_allclose(view(), x, atol=1e-3)
    area = view(zoom=0.4).sum(axis=(1, 2, 3))
    assert area.min() < 70 and area.max() > 150
    turned = view(rotation=0.25)
    np.testing.assert_allclose(turned.sum(axis=(1, 2, 3)), 100, rtol=0.05)
    reach = (turned > 0.2).any(axis=(2, 3)).sum(axis=1)  # rows that the square covers: up to 10 sqrt 2
    assert reach.max() >= 13 and reach.min() <= 11


def test_in_training_two_views_are_compared(digits):
    """Not the images themselves; without rotation and zoom a view is the image or its mirror image."""
    method = Siamese(**{**DOT, "rotation": 0.0, "zoom": 0.0})
    method._build((8, 8, 1))
    model, x = method._model(1), digits.images[:32] / np.float32(255)
    compared = [np.array(model(x, training=training)["pairs"]) for training in (True, False)]
    assert np.abs(compared[0] - compared[1]).max() > 1e-3
    view = np.array(method.view(0)(x, training=True))
    mirrored = [np.abs(a - b[:, ::-1]).max() < 1e-4 for a, b in zip(view, x)]
    same = [np.abs(a - b).max() < 1e-4 for a, b in zip(view, x)]
    assert any(mirrored) and any(same) and all(m or s for m, s in zip(mirrored, same))


def test_the_seed_reaches_weights_views_and_order(digits, monkeypatch):
    orders, views, weights = [], [], []
    original = fitting.shuffled_rows
    note = lambda n, size, seed, *rest, **how: orders.append(seed) or original(n, size, seed, *rest, **how)
    monkeypatch.setattr(fitting, "shuffled_rows", note)
    for seed in (0, 1):
        method = Siamese(**{**SMALL, "epochs": 0}, seed=seed)
        method._build((8, 8, 1))
        weights.append(method.encoder_.get_weights()[0])
        views += [np.array(method.view(i)(digits.images[:8] / np.float32(255), training=True)) for i in (0, 1)]
        Siamese(**{**SMALL, "epochs": 1}, seed=seed).fit(digits.images[:128], progress=False)
    assert set(orders) == {0, 1} and np.abs(weights[0] - weights[1]).max() > 0.01
    assert all(np.abs(a - b).max() > 0.01 for a, b in itertools.combinations(views, 2))


def test_strong_views_are_cut_out_and_of_other_colours():
    """A grey image may not become coloured, a coloured one may become grey; a cut shows a part, larger."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.uniform(size=(64, 16, 16, 1)), 3, axis=3).astype("float32")
    method = Siamese(seed=3, views="strong", rotation=0.0)
    views = np.array(method.view(0)(x, training=True))
    assert np.ptp(views, axis=3).max() < 0.01 and views.min() >= 0 and views.max() <= 1
    coloured = x * np.float32([1.0, 0.5, 0.2])
    views = np.array(method.view(1)(coloured, training=True))
    grey = np.ptp(views, axis=3).max(axis=(1, 2)) < 0.01
    assert 0.05 < grey.mean() < 0.45  # a fifth, of 64
    x = np.zeros((64, 16, 16, 3), "float32")
    x[:, 4:12, 4:12] = 0.8  # a quarter of the image
    share = (np.array(method.view(0)(x, training=True)).mean(axis=3) > 0.3).mean(axis=(1, 2))
    assert share.max() > 0.4 and share.mean() > 0.25
    np.testing.assert_array_equal(method.view(0)(x, training=False), x)


# ---------------------------------------------------------------------- the fit


def test_it_begins_at_the_plateau_and_learns(digits, fitted):
    name = "pairs_loss" if fitted.comparison == "dot" else "loss"
    plateau = math.log(128) if fitted.comparison == "contrastive" else math.log(2)
    first, last = fitted.history_[0][name], fitted.history_[-1][name]
    assert first == pytest.approx(plateau, rel=0.15) and last < 0.97 * first
    if fitted.comparison == "dot":
        for row in fitted.history_:
            assert row["loss"] == pytest.approx(row["pairs_loss"] + 0.01 * row["size_loss"], rel=1e-5)
    assert fitted.labels_.shape == (1797,) and fitted.n_iter_ == 6 * 14


def test_an_encoder_that_only_guesses_is_noticed(digits, fitted):
    """A regulariser that outweighs the pairs shrinks all encodings to nothing, whose dot products say nothing."""
    assert not any("guessing" in notice for notice in fitted.notices_)
    crushed = Siamese(**{**DOT, "regularisation": 100.0}).fit(digits.images, progress=False)
    assert np.abs(crushed.transform(digits.images)).mean() < 0.01
    assert len(crushed.notices_) == 1 and "a loss of 0.693" in crushed.notices_[0]
    assert "of guessing 0.6931" in crushed.notices_[0] and "less REGULARISATION" in crushed.notices_[0]
    untrained = Siamese(**{**SMALL, "epochs": 0}).fit(digits.images[:300], progress=False)
    assert untrained.notices_ == []  # nothing was tried


def test_guessing_among_the_images_of_a_batch(digits):
    method = Siamese(**{**SMALL, "comparison": "contrastive", "epochs": 1}).fit(digits.images, progress=False)
    for loss, noticed in ((0.995 * math.log(128), True), (0.985 * math.log(128), False)):
        method.history_[-1]["loss"] = loss
        method._cluster(digits.images, False)
        assert any("of guessing 4.8520" in notice for notice in method.notices_) == noticed


def test_the_loss_is_reported_several_times_an_epoch(fitted):
    """Here after each of the 14 steps an epoch; the mean over an epoch's reports is the epoch's own loss."""
    name = "pairs_loss" if fitted.comparison == "dot" else "loss"
    assert [row["iteration"] for row in fitted.curve_] == list(range(1, 85))
    for row in fitted.history_:
        mine = [each["pairs_loss"] for each in fitted.curve_ if row["epoch"] - 1 < each["epoch"] <= row["epoch"]]
        assert np.mean(mine) == pytest.approx(row[name], rel=1e-4)


@pytest.mark.parametrize(("batch_size", "interval"), [(128, 1), (4, 25)])
def test_an_epoch_of_many_steps_is_reported_every_25(digits, batch_size, interval):
    """14 steps an epoch are reported one by one, 449 are not reported fifteen times alone."""
    method = Siamese(**{**SMALL, "batch_size": batch_size, "epochs": 1}).fit(digits.images, progress=False)
    steps = 1797 // batch_size
    assert [row["iteration"] for row in method.curve_] == list(range(interval, steps + 1, interval))


@pytest.mark.parametrize("n", [30, 129])
def test_few_images_and_a_last_batch_of_one(digits, n):
    settings = {**SMALL, "epochs": 1, "n_components": 50, "n_clusters": 3}
    method = Siamese(**settings).fit(digits.images[:n], progress=False)
    assert (
        method.n_iter_ == 1
        and method.labels_.shape == (n,)
        and method.n_components_ == 16
        and method.n_components == 50
    )


def test_interrupted_fit_resumes_to_the_same_numbers(digits, tmp_path, monkeypatch, fitted):
    monkeypatch.setattr(checkpoints.Checkpoint.__init__, "__defaults__", (0.0,))
    original = fitting.History.on_epoch_end

    def dies(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt
        original(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting.History, "on_epoch_end", dies)
        Siamese(**fitted.get_params()).fit(digits.images, directory=tmp_path, progress=False)
    resumed = Siamese(**fitted.get_params()).fit(digits.images, directory=tmp_path, progress=False)
    assert_same_training(resumed.history_, fitted.history_)
    assert_same_training(resumed.curve_, fitted.curve_)
    np.testing.assert_array_equal(resumed.transform(digits.images), fitted.transform(digits.images))


def test_export_compares_two_batches(digits, tmp_path, fitted):
    fitted.save(tmp_path / "model.weights.h5")
    loaded = Siamese(**fitted.get_params()).load(tmp_path / "model.weights.h5", (8, 8, 1))
    loaded.export(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    assert "reconstruct" not in served.signatures
    images, others = digits.images[:7], digits.images[7:12]
    found = served.signatures["similarity_uint8"](images=tf.constant(images), others=tf.constant(others))["similarity"]
    z, theirs = fitted.transform(images), fitted.transform(others)
    expected = z @ theirs.T
    if fitted.comparison == "layers":  # what they say of each pair
        expected = [[float(fitted.comparison_([a[None], b[None]])[0, 0]) for b in theirs] for a in z]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(served.embed(images)["embeddings"], fitted.transform(images), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"comparison": "cosine"}, "comparison must be layers or dot or contrastive; received 'cosine'"),
        ({"comparison": "contrastive", "regularisation": 0.2}, "has no effect on comparison=contrastive"),
        ({"temperature": 0.5}, "temperature has no effect on comparison=layers"),
        ({"views": "weak"}, "views must be plain or strong; received 'weak'"),
        ({"strides": (0,)}, "strides must be whole numbers of 1 or more"),
        ({"projector": 8}, "projector has no effect on comparison=layers"),
        ({"negatives": "all"}, "negatives has no effect on comparison=layers"),
        ({"batch_size": 1}, "batch_size must be a whole number of 2 or more"),
        ({"filters": ()}, "filters must be whole numbers of 1 or more, at least one; received .."),
        ({"filters": 32}, "filters must be whole numbers of 1 or more, at least one; received 32"),
        ({"filters": (32, 0)}, "filters must be whole numbers"),
        ({"rotation": 0.7}, "rotation must be a number from 0 to 0.5"),
    ],
)
def test_what_does_not_fit_is_refused(digits, settings, message):
    settings = dict(settings)
    n = settings.pop("n", 200)
    with pytest.raises(ValueError, match=message):
        Siamese(**settings).fit(digits.images[:n], progress=False)


# ---------------------------------------------------------------------- the control and the residual networks


def test_downscaling_is_the_mean_of_patches(digits, tmp_path):
    method = Control(size=4, n_components=8, n_init=1).fit(digits.images)
    x = digits.images[:3] / np.float32(255)
    by_loop = [
        [x[i, 2 * a : 2 * a + 2, 2 * b : 2 * b + 2, 0].mean() for a in range(4) for b in range(4)] for i in range(3)
    ]
    np.testing.assert_allclose(method.transform(digits.images[:3]), by_loop, rtol=1e-5)
    back = method.decoder_(method.transform(digits.images[:1])).numpy()[0, ..., 0]
    assert back.shape == (8, 8) and back[0, 0] == back[1, 1] == pytest.approx(by_loop[0][0])
    method.save(tmp_path / "model.weights.h5")
    again = Control(**method.get_params()).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(again.predict(digits.images), method.labels_)
    assert method.decoded_centers()["mixture"].shape == (10, 8, 8, 1)


def test_principal_components_are_scikit_learns(digits, monkeypatch):
    from sklearn.decomposition import PCA

    method = Control(reducer="pca", size=4, n_components=8, n_init=1).fit(digits.images)
    pixels = digits.images.reshape(1797, -1) / np.float32(255)
    found = PCA(16, svd_solver="randomized", random_state=0).fit(pixels)
    seeds = []
    monkeypatch.setattr(control, "PCA", lambda *_, random_state, **__: seeds.append(random_state) or found)
    Control(reducer="pca", size=4, n_components=8, n_init=1, seed=7).fit(digits.images)
    assert seeds == [7]
    np.testing.assert_allclose(method.transform(digits.images), found.transform(pixels), atol=1e-3)
    back = method.decoder_(method.transform(digits.images[:5])).numpy().reshape(5, -1)
    np.testing.assert_allclose(back, found.inverse_transform(found.transform(pixels[:5])), atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 3}, "size .SCALE. must divide the images' 8x8; received 3"),
        ({"reducer": "umap"}, "reducer must be downscale or p"),
        ({"reducer": "pca", "size": 8, "n": 50}, "need as many images; received 50: give more, or a smaller .*SCALE"),
    ],
)
def test_control_refuses(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        settings = dict(settings)
        n = settings.pop("n", 1797)
        Control(**{"n_components": 4, **settings}).fit(digits.images[:n])


def test_residual_networks_mirror_each_other():
    encoder, decoder = networks.residual_encoder((32, 32, 3)), networks.residual_decoder((32, 32, 3))
    z = encoder(np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype("float32"))
    images = np.array(decoder(z))
    assert z.shape == (2, 307) and images.shape == (2, 32, 32, 3) and images.min() > 0 and images.max() < 1
    assert len([layer for layer in encoder.layers if "add" in layer.name]) == 3
    # each convolution without a bias and with four numbers a filter for its normalisation, two of which train
    block = lambda i, o, short: 9 * i * o + 4 * o + 9 * o * o + 4 * o + (i * o + 4 * o if short else 0)
    stem, dense = 9 * 3 * 32 + 4 * 32, 4 * 4 * 128 * 307 + 307
    assert encoder.count_params() == stem + block(32, 32, 0) + block(32, 64, 1) + block(64, 128, 1) + dense
    back = lambda i, o, short: 9 * i * i + 4 * i + 9 * i * o + 4 * o + (i * o + 4 * o if short else 0)
    first, last = 307 * 2048 + 2048, 9 * 32 * 3 + 3
    assert decoder.count_params() == first + back(128, 64, 1) + back(64, 32, 1) + back(32, 32, 0) + last
    linear = [layer for layer in encoder.layers if layer.name.endswith("_2_linear")]
    assert len(linear) == len([layer for layer in decoder.layers if layer.name.endswith("_1_linear")]) == 3
    with pytest.raises(ValueError, match="height and width .SIZE. must be multiples of 8; received 28x28"):
        networks.residual_encoder((28, 28, 1))


def test_a_block_whose_convolutions_are_nothing_is_its_shortcut():
    images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype("float32")
    for network, block, given in (
        (networks.residual_encoder((32, 32, 3)), "block1", "stem_relu"),
        (networks.residual_decoder((32, 32, 3)), "block1", "block2_relu"),
    ):
        for part in ("1", "2"):
            kernel = network.get_layer(f"{block}_{part}")
            kernel.set_weights([0 * weight for weight in kernel.get_weights()])
        parts = [network.get_layer(name).output for name in (given, f"{block}_relu")]
        x = images if network.name == "encoder" else images.reshape(2, -1)[:, :307]
        before, after = keras.Model(network.input, parts)(x)
        np.testing.assert_allclose(after, before, atol=1e-6)
        assert np.abs(before).max() > 0.01
