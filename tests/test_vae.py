"""The VAE of VAE with named clusters: the loss by hand, names that reach the loss, resuming, the SavedModel."""

import math

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import fitting, layers, losses, networks
from deepcluster_tf.annotation import Answer
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.vae import VAE

SMALL = {"beta": 0.4, "n_clusters": 6, "epochs": 4, "z_dim": 3, "depth": 1, "unsupervised_epochs": 2}


class Fixed:
    """Names cluster j after class j mod 10, but cluster 0 not at all; counts what it is asked."""

    def __init__(self):
        self.asked = []

    def annotate(self, questions, given):
        for question in questions:
            self.asked.append(question.key)
            j = int(question.cluster.split()[-1])
            yield question, Answer(j % 10 if j else -1, 0.5)


def fit(digits, annotator=None, **how):
    settings = {**SMALL, **how.pop("settings", {})}
    idle = settings.get("query", "centers") != "centers" or not settings.get("gamma", 1)
    if idle and settings["depth"] == SMALL["depth"]:
        del settings["depth"]  # which has no effect there
    ledger = annotator and Ledger(annotator, digits.class_names, how.pop("path", None))
    return VAE(**settings).fit(digits.images[:600], annotator=ledger, progress=False, **how)


@pytest.fixture(scope="module")
def fitted(digits):
    return fit(digits, Fixed())


# ---------------------------------------------------------------------- the loss


def test_binary_cross_entropy_by_hand_by_loop_and_at_its_edge():
    # x = 1 and 0.5 under 0.8: -ln 0.8 = 0.223144; -(ln 0.8 + ln 0.2) / 2 = 0.916291; sum 1.139434
    x, y = np.array([[1, 0.5]], "float32").reshape(1, 1, 2, 1), np.full((1, 1, 2, 1), 0.8, "float32")
    np.testing.assert_allclose(losses.binary_cross_entropy(x, y), [1.139434], rtol=1e-5)
    random = np.random.default_rng(0)
    x, y = random.uniform(size=(2, 3, 4, 5, 2)).astype("float32")
    by_loop = [sum(-a * math.log(b) - (1 - a) * math.log(1 - b) for a, b in zip(p.flat, q.flat)) for p, q in zip(x, y)]
    np.testing.assert_allclose(losses.binary_cross_entropy(x, y), by_loop, rtol=1e-4)
    assert np.isfinite(losses.binary_cross_entropy(np.ones((1, 2, 2, 1), "float32"), np.zeros((1, 2, 2, 1), "float32")))


def test_kl_by_hand_by_sampling_and_at_its_edge():
    # mean 1, deviation 2: (1 + 4 - 1 - ln 4) / 2 = 1.306853; twice that in two dimensions
    np.testing.assert_allclose(losses.kl_standard_normal(np.ones((1, 2)), np.full((1, 2), 2.0)), [2.613706], rtol=1e-5)
    np.testing.assert_array_equal(losses.kl_standard_normal(np.zeros((3, 4)), np.ones((3, 4))), 0)
    z = 1 + 2 * np.random.default_rng(0).normal(size=400_000)
    sampled = np.mean(-0.5 * ((z - 1) / 2) ** 2 - math.log(2) + 0.5 * z**2)  # of ln q(z) - ln p(z)
    np.testing.assert_allclose(sampled, 1.306853, atol=0.01)


def test_cross_entropy_by_hand():
    found = losses.cross_entropy(np.array([1, 0]), np.array([[0.2, 0.8], [1.0, 0.0]], "float32"))
    np.testing.assert_allclose(found, [0.223144, 0], atol=1e-5)
    assert np.isfinite(losses.cross_entropy(np.array([1]), np.array([[1.0, 0.0]], "float32")))


def test_the_whole_loss_by_loop(digits):
    """L = L_VAE + gamma w CE over one batch, with z at its mean, against the sum of the parts."""
    method = VAE(**SMALL)
    method._build((8, 8, 1))
    images = digits.images[:12]
    model = method._model(images, 1)
    labels, weights = np.arange(12) % 10, np.linspace(0, 1, 12).astype("float32")
    model.labels.assign(labels)
    model.weights_of_labels.assign(weights)
    rows = tf.data.Dataset.from_tensors(tf.range(12, dtype=tf.int64))
    found = model.evaluate(rows, verbose=0, return_dict=True)["loss"]
    x = images / np.float32(255)
    z_mean, z_std = (np.array(part) for part in method._variational(x))
    y, p = np.array(method.decoder_(z_mean)), np.array(method.head_(z_mean))
    total = 0.0
    for i in range(12):
        total += -np.sum(x[i] * np.log(y[i]) + (1 - x[i]) * np.log(1 - y[i]))
        total += 0.4 * 0.5 * np.sum(z_mean[i] ** 2 + z_std[i] ** 2 - 1 - 2 * np.log(z_std[i]))
        total += 150 * weights[i] * -np.log(p[i, labels[i]])
    assert found == pytest.approx(total / 12, rel=1e-4)


def test_in_training_the_decoder_and_the_head_see_samples_and_elsewhere_the_mean(digits):
    method = VAE(**SMALL, learning_rate=0.02)
    method._build((8, 8, 1))
    images = digits.images[:5]
    model = method._model(images, 1)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    method._variational.get_layer("z_std").bias.assign(np.full(3, 5.0))
    x = images / np.float32(255)
    for name in ("reconstruction", "classes"):
        one, other = (np.array(model(x, training=True)[name]) for _ in range(2))
        assert np.abs(one - other).max() > 1e-3
        np.testing.assert_array_equal(model(x, training=False)[name], model(x, training=False)[name])
    np.testing.assert_allclose(method.transform(images), method._variational(x)[0], atol=1e-5)


def test_what_is_not_said_is_the_documents():
    said = VAE.defaults()
    assert {name: said[name] for name in ("beta", "gamma", "a", "z_dim", "batch_size", "epochs")} == {
        "beta": 5.0, "gamma": 150.0, "a": 5.0, "z_dim": 10, "batch_size": 64, "epochs": 5,
    }  # fmt: skip
    assert said["unsupervised_epochs"] == 1 and said["learning_rate"] == 0.003  # deviations 2 and 5
    assert (said["clustering"], said["distance"], said["decay"]) == ("kmeans", "euclidean", "exponential")


def test_sampling_is_the_mean_in_inference_and_normal_around_it_in_training():
    layer = layers.Sampling(seed=1)
    mean, std = np.full((50_000, 1), 3.0, "float32"), np.full((50_000, 1), 0.5, "float32")
    np.testing.assert_array_equal(layer([mean, std]), mean)
    drawn = np.array(layer([mean, std], training=True))
    assert drawn.mean() == pytest.approx(3, abs=0.02) and drawn.std() == pytest.approx(0.5, abs=0.01)
    assert layers.Sampling.from_config(layer.get_config()).seed == 1
    assert layer.compute_output_shape([(7, 2), (7, 2)]) == (7, 2)


def test_the_networks_of_the_document():
    encoder, decoder = networks.variational_encoder((28, 28, 1)), networks.variational_decoder((28, 28, 1))
    # 3*3*1*64+64, 3*3*64*128+128, 7*7*128*32+32, twice 32*10+10; 10*32+32, 32*6272+6272, 3*3*64*128+64, 3*3*64+1
    counts = [layer.count_params() for layer in [*encoder.layers, *decoder.layers] if layer.count_params()]
    assert counts == [640, 73856, 200736, 330, 330, 352, 206976, 73792, 577]
    z_mean, z_std = encoder(np.zeros((2, 28, 28, 1), "float32"))
    assert z_mean.shape == z_std.shape == (2, 10) and np.all(np.array(z_std) > 0)
    assert decoder(z_mean).shape == (2, 28, 28, 1)
    leaky = ["conv1", "conv2", "dense", "dense1", "dense2", "deconv1"]
    named = {layer.name: layer for layer in [*encoder.layers, *decoder.layers]}
    assert {named[name].activation.__name__ for name in leaky} == {"leaky_relu"}
    assert named["deconv2"].activation.__name__ == "sigmoid" and named["z_mean"].activation.__name__ == "linear"
    assert float(named["z_std"].activation(0.0)) == pytest.approx(math.log(2) + 1e-6)
    with pytest.raises(ValueError, match="height and width .SIZE. must be multiples of 4; received 30x28"):
        networks.variational_encoder((30, 28, 1))


# ---------------------------------------------------------------------- the fit


def test_the_annotator_is_asked_between_the_epochs_and_its_names_count(digits, fitted):
    annotator = Fixed()
    method = fit(digits, annotator)
    assert annotator.asked == [(epoch, str(j)) for epoch in (2, 3) for j in range(6)]  # neither before 2 nor after 4
    assert method.annotations_ == 12
    rows = method.history_
    assert [row["annotations"] for row in rows] == [0, 6, 12, 12]
    assert [row["named"] > 0 for row in rows] == [False, True, True, False]
    assert [row["classes_loss"] > 0 for row in rows] == [False, False, True, True]
    np.testing.assert_array_equal(method.transform(digits.images), fitted.transform(digits.images))  # of one seed
    assert set(method.centers_) == {f"{what}_{epoch}" for what in ("pictures", "labels") for epoch in (1, 2, 3, 4)}
    assert method.centers_["pictures_4"].shape == (6, 8, 8, 1)
    assert method.centers_["labels_2"].tolist() == [-1, 1, 2, 3, 4, 5]


def test_labels_of_the_data_set_reach_nothing(digits, fitted):
    ledger = Ledger(Fixed(), digits.class_names)
    shuffled = np.random.default_rng(0).permutation(digits.labels[:600])
    other = VAE(**SMALL).fit(digits.images[:600], shuffled, annotator=ledger, progress=False)
    assert other.class_names_ == digits.class_names
    np.testing.assert_array_equal(other.transform(digits.images), fitted.transform(digits.images))


def test_k_by_the_elbow_and_parts_of_clusters(digits):
    annotator = Fixed()  # which has no name for cluster 0, so that it is split, and its part 0 left out
    annotator.annotate = lambda asked, given: ((q, Answer(-1 if q.cluster in ("0", "0_0") else 3)) for q in asked)
    method = fit(digits, annotator, settings={"n_clusters": 0, "depth": 2})
    k = [row["clusters"] for row in method.history_]
    assert all(4 <= each <= 28 for each in k)
    assert [row["annotations"] for row in method.history_] == [0, 2 * k[1], 2 * (k[1] + k[2]), 2 * (k[1] + k[2])]


@pytest.mark.usefixtures("rare_checkpoints")
def test_pictures_that_were_being_named_are_those_of_the_first_time(digits, tmp_path, monkeypatch):
    """A process dies while a person answers; the epoch, trained again, comes out otherwise, as on another machine."""
    answers = tmp_path / "annotations.csv"

    class Dies(Fixed):
        def annotate(self, questions, given):
            for i, pair in enumerate(super().annotate(questions, given)):
                if i == 2:
                    raise KeyboardInterrupt
                yield pair

    class Goes(Fixed):
        def annotate(self, questions, given):
            before.append(dict(given))
            yield from ((q, a) for q, a in super().annotate(questions, given) if q.key not in given)

    before, how = [], {"path": answers, "directory": tmp_path / "work"}
    with pytest.raises(KeyboardInterrupt):
        fit(digits, Dies(), **how)
    assert not (tmp_path / "work" / "checkpoint.weights.h5").exists()  # which waits for its seconds
    original = fitting.shuffled_rows
    other = lambda n, size, seed, *rest: original(n, size, seed + 1, *rest)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "shuffled_rows", other)
        fit(digits, Goes(), **{**how, "path": answers})
    assert sorted(before[0]) == [(2, "0"), (2, "1")]
    assert not list(tmp_path.glob("annotations-before-*"))


def test_names_of_one_epoch_do_not_outlast_it(digits):
    """Named after the second epoch, not after the third: the fourth learns no class."""

    class Once(Fixed):
        def annotate(self, questions, given):
            yield from ((q, a if q.epoch == 2 else Answer(-1)) for q, a in super().annotate(questions, given))

    rows = fit(digits, Once()).history_
    assert [row["classes_loss"] > 0 for row in rows] == [False, False, True, False]


def test_few_images_are_gone_over_again_and_again(digits):
    method = fit(digits, settings={"min_steps": 25, "epochs": 1})
    assert method.n_iter_ == 30  # 10 batches an epoch, thrice


@pytest.fixture
def rare_checkpoints(monkeypatch):
    """However slow the machine is, none is written before the fit ends."""
    monkeypatch.setattr(checkpoints.Checkpoint.__init__, "__defaults__", (math.inf,))


@pytest.mark.usefixtures("rare_checkpoints")
def test_answers_to_later_epochs_keep_what_was_shown(digits, tmp_path):
    """A process dies in the third epoch's answers, and its checkpoint is of before the second's."""

    class Dies(Fixed):
        def annotate(self, questions, given):
            for pair in super().annotate(questions, given):
                if questions[0].epoch == 3:
                    raise KeyboardInterrupt
                yield pair

    with pytest.raises(KeyboardInterrupt):
        fit(digits, Dies(), directory=tmp_path, path=tmp_path / "annotations.csv")
    assert not (tmp_path / "checkpoint.weights.h5").exists()
    kept = (tmp_path / "asked-3.weights.h5").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fit(digits, Dies(), directory=tmp_path, path=tmp_path / "annotations.csv")
    assert (tmp_path / "asked-3.weights.h5").read_bytes() == kept


def test_an_annotator_of_other_classes_is_refused(digits):
    with pytest.raises(ValueError, match="the annotator names 2 classes: expected n_classes=10"):
        VAE(**SMALL).fit(digits.images[:100], annotator=Ledger(Fixed(), ("a", "b")), progress=False)


def test_nobody_to_ask_is_refused(digits):
    with pytest.raises(
        ValueError, match="nobody would be asked: expected more epochs than the 4 without names; received 4"
    ):
        fit(digits, Fixed(), settings={"unsupervised_epochs": 4})


def test_without_an_annotator_the_head_learns_nothing(digits):
    annotator = Fixed()
    for method in (fit(digits), fit(digits, annotator, settings={"gamma": 0.0})):
        assert method.annotations_ == 0 and all(row["classes_loss"] == 0 for row in method.history_)
    assert annotator.asked == []


@pytest.mark.parametrize("query", ["random", "uncertain"])
def test_single_images_are_asked_once_and_their_names_stay(digits, query):
    annotator = Fixed()
    method = fit(digits, annotator, settings={"query": query})
    assert len(set(annotator.asked)) == 12 and len({name for _, name in annotator.asked}) == 12
    answered = sum(name != "image 0" for _, name in annotator.asked)  # `Fixed` has no name for that one
    assert round(method.history_[2]["named"] * 600) == answered
    assert method.annotations_ == 12


@pytest.mark.parametrize("query", ["centers", "random"])
def test_interrupted_fit_resumes_to_the_same_numbers(digits, tmp_path, monkeypatch, query):
    """Killed in the middle of the second round of answers; what was answered is not asked again."""
    settings = {"query": query}
    whole = fit(digits, Fixed(), settings=settings)
    monkeypatch.setattr(checkpoints.Checkpoint.__init__, "__defaults__", (0.0,))

    class Dies(Fixed):
        def annotate(self, questions, given):
            for i, said in enumerate(super().annotate(questions, given)):
                yield said
                if questions[0].epoch == 3 and i == 2:
                    raise KeyboardInterrupt

    how = {"directory": tmp_path, "path": tmp_path / "annotations.csv", "settings": settings}
    with pytest.raises(KeyboardInterrupt):
        fit(digits, Dies(), **how)
    annotator = Fixed()
    annotator.annotate = lambda questions, given, ask=annotator.annotate: ask(
        [question for question in questions if question.key not in given], given
    )
    resumed = fit(digits, annotator, **how)
    assert len(annotator.asked) == 3 and {epoch for epoch, _ in annotator.asked} == {3}
    for ours, theirs in zip(resumed.history_, whole.history_, strict=True):
        assert {k: v for k, v in ours.items() if "seconds" not in k} == {
            k: v for k, v in theirs.items() if "seconds" not in k
        }
    np.testing.assert_array_equal(resumed.predict_proba(digits.images), whole.predict_proba(digits.images))
    for name, kept in whole.centers_.items():
        np.testing.assert_array_equal(resumed.centers_[name], kept)


def test_readings_every_300_steps(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting.Readings, "INTERVAL", 4)
    count = iter(range(100))
    method = fit(digits, directory=tmp_path, read=lambda *_: {"n": next(count)}, settings={"epochs": 2})
    # 600 images in batches of 64 are 10 steps an epoch
    assert [(row["iteration"], row["epoch"], row["n"]) for row in method.readings_] == [
        (4, 0.4, 0), (8, 0.8, 1), (14, 1.4, 2), (18, 1.8, 3),
    ]  # fmt: skip
    again = fit(digits, directory=tmp_path, read=lambda *_: {"n": next(count)}, settings={"epochs": 2})
    assert [row["n"] for row in again.readings_] == [0, 1, 2, 3]
    monkeypatch.setattr(fitting.Readings, "INTERVAL", 300)  # an epoch that is shorter reports at its end
    short = fit(digits, read=lambda *_: {}, settings={"epochs": 2})
    assert [row["iteration"] for row in short.readings_] == [10, 20]


def test_save_load_and_export(digits, fitted, tmp_path):
    fitted.save(tmp_path / "model.weights.h5")
    loaded = VAE(**fitted.get_params()).load(tmp_path / "model.weights.h5", (8, 8, 1))
    images = digits.images[:40]
    np.testing.assert_array_equal(loaded.predict_proba(images), fitted.predict_proba(images))
    loaded.export(tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    assert {"serving_default", "embed", "reconstruct", "generate"} <= set(served.signatures)
    found = served.signatures["serving_default_uint8"](images=tf.constant(images))
    np.testing.assert_allclose(found["probabilities"], fitted.predict_proba(images), atol=1e-6)
    np.testing.assert_array_equal(found["class"], fitted.predict(images))
    z = served.embed(images)["embeddings"]
    np.testing.assert_allclose(z, fitted.transform(images), atol=1e-5)
    made = served.signatures["generate"](z=z)["images"]
    np.testing.assert_allclose(made, fitted.reconstruct(images), atol=1e-5)
    np.testing.assert_allclose(served.reconstruct(images)["reconstructions"], made, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clustering": "mixture", "decay": "gaussian"}, "has its posterior, where decay=gaussian has no effect"),
        ({"query": "random", "n_clusters": 3, "depth": 3}, "query=random shows images, where depth=3 has no effect"),
        ({"gamma": 0.0, "depth": 3}, "gamma = 0 asks nobody, where depth=3 has no effect: leave it out"),
        ({"n_clusters": 1}, "n_clusters must be 2 or more, or 0 for the elbow; received 1"),
        ({"query": "random", "n_clusters": 0}, "query=random needs n_clusters .K., the pictures to show"),
        ({"clustering": "ward"}, "clustering must be kmeans or mixture"),
        ({"gamma": -1}, "gamma must be a number from 0 to 1000000"),
        ({"unsupervised_epochs": 0}, "unsupervised_epochs must be a whole number of 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        fit(digits, settings=settings)
