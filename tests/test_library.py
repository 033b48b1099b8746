"""What Keras, scikit-learn and pickle expect of every method; and one task on which each of them must be right."""

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.base import clone, is_clusterer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

import deepcluster_tf
from deepcluster_tf import metrics, networks
from deepcluster_tf.annotation import Answer
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.methods.base import given

EASY = {
    "Autoencoder": {"architecture": "convolutional", "embedding_dim": 8, "max_epochs": 6, "n_init": 2},
    "Control": {"size": 8, "n_init": 2},
    "DCEC": {
        "pretraining_epochs": 60, "max_iterations": 20, "update_interval": 10, "batch_size": 48, "n_init": 3, "lam": 0.1
    },
    "DEC": {"pretext_epochs": 200, "epochs": 2, "batch_size": 48, "n_init": 3, "lam": 0.1},
    "DeepCluster": {"epochs": 2, "batch_size": 48},
    "FixMatch": {"iterations": 60, "labelled": 16, "batch_size": 32},
    "Frozen": {"n_init": 2},
    "Raw": {"n_init": 2, "n_components": 8},
    "SCAN": {"backbone": "EfficientNetLite0", "epochs": 30, "neighbors": 5, "heads": 5, "n_init": 2},
    "Siamese": {"epochs": 6, "batch_size": 48, "n_init": 2},
    "VAE": {"n_classes": 4, "epochs": 12, "unsupervised_epochs": 6, "batch_size": 24, "beta": 1.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def easy():
    """Pictures of four kinds, which no view mixes up: dark, bright, and stripes either way."""
    classes = np.arange(240) % 4
    images = np.random.default_rng(0).integers(0, 30, (240, 16, 16, 1), dtype=np.uint8)
    stripes = np.flatnonzero(np.arange(16) % 4 < 2)
    images[np.ix_(classes == 1, stripes)] += 200
    images[np.ix_(classes == 2, np.arange(16), stripes)] += 200
    images[classes == 3] += 200
    return images, classes


@pytest.fixture(scope="module", autouse=True)
def small_backbone():
    """In the place of a pretrained network, the means of patches, around 0 so that dark and bright are not alike."""

    def small(name, image_shape, side=0, pretrained=True):
        images = keras.Input(image_shape)
        pooled = keras.layers.Rescaling(1, -0.5)(keras.layers.AveragePooling2D(2)(images))
        return keras.Model(images, keras.layers.Flatten()(pooled))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "backbone", small)
        yield


class Namer:
    """Names a picture by the kind of the image that is nearest to it."""

    def __init__(self, images, classes):
        self.pixels, self.classes = images.reshape(len(images), -1) / 255, classes

    def annotate(self, questions, given):
        for question in questions:
            distances = np.square(self.pixels - question.picture.reshape(-1)).sum(axis=1)
            yield question, Answer(int(self.classes[distances.argmin()]), 1.0)


def check_method(name, images, classes, folder):
    """Fit, predict, save, load, pickle, export and go on: what every method does, on a task that each must solve."""
    kind = getattr(deepcluster_tf, name)
    groups = {} if name == "VAE" else {"n_clusters": 4}
    method = kind(**EASY[name], **groups)
    settings = method.get_params()
    labels = np.where(np.arange(len(classes)) < 24, classes, -1) if name == "FixMatch" else None
    ask = lambda: (
        {"annotator": Ledger(Namer(images, classes), tuple("abcd"), folder / "a.csv")} if name == "VAE" else {}
    )

    with pytest.raises(NotFittedError):
        check_is_fitted(method)
    assert not hasattr(method, "n_features_in_")
    assert is_clusterer(method) and not get_tags(method).input_tags.two_d_array
    found = method.fit_predict(images, labels, directory=folder / "work", progress=False, **ask())
    assert metrics.accuracy(classes, found) == 1.0
    assert found.dtype == np.int64 and found.shape == (240,) and method.n_features_in_ == 256
    check_is_fitted(method)
    assert method.get_params() == settings  # a fit changes no setting
    np.testing.assert_array_equal(method.predict(images), found)

    method.save(folder / "model.weights.h5")
    loaded = [deepcluster_tf.load(folder / "model.weights.h5"), kind(**EASY[name], **groups)]
    loaded[1].load(folder / "model.weights.h5")
    joblib.dump(method, folder / "model.joblib")
    kept = [pickle.loads(pickle.dumps(method)), copy.deepcopy(method), joblib.load(folder / "model.joblib")]
    for other in loaded + kept:
        np.testing.assert_array_equal(other.predict(images), found)
        np.testing.assert_allclose(other.transform(images), method.transform(images), atol=2e-3)  # features: 16 bits
        assert type(other) is kind and other.get_params() == settings
    for other in kept:
        np.testing.assert_array_equal(other.labels_, found)
        assert str(other.history_) == str(method.history_)

    method.model_.save(folder / "model.keras")
    outputs = keras.models.load_model(folder / "model.keras")(np.float32(images[:9]) / 255)
    np.testing.assert_allclose(outputs["embeddings"], method.transform(images)[:9], atol=2e-3)
    method.export(folder / "saved")
    served = tf.saved_model.load(str(folder / "saved"))(np.float32(images) / 255)
    np.testing.assert_array_equal(served["class" if name == "VAE" else "cluster"], found)

    again = clone(method).fit(images, labels, directory=folder / "work", progress=False, **ask())  # to its end already
    np.testing.assert_array_equal(again.labels_, found)


QUICK = sorted(set(EASY) - {"DEC"})


@pytest.mark.parametrize("name", QUICK)
def test_every_method_keeps_the_contract_and_solves_the_easy_task(name, easy, tmp_path):
    check_method(name, *easy, tmp_path)


@pytest.mark.slow
def test_so_does_the_slow_one(easy, tmp_path):
    check_method("DEC", *easy, tmp_path)


MIXED = {  # few steps, for on a CPU numbers of 16 bits are slow
    "Autoencoder": {"architecture": "convolutional", "embedding_dim": 8, "max_epochs": 2},
    "DCEC": {"pretraining_epochs": 20, "max_iterations": 20, "update_interval": 10, "filters": (8, 8, 8), "lam": 0.1},
    "DEC": {"network": "small", "pretext_epochs": 10, "epochs": 1, "lam": 0.01},
    "DeepCluster": {"epochs": 1},
    "FixMatch": {"iterations": 5, "labelled": 8},
    "SCAN": {"backbone": "none", "pretext_epochs": 1, "epochs": 1, "neighbors": 5},
    "Siamese": {"epochs": 1},
    "VAE": {"epochs": 2, "unsupervised_epochs": 1, "n_classes": 4},
}


@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", ["DCEC", *(pytest.param(name, marks=pytest.mark.slow) for name in MIXED if name != "DCEC")]
)
def test_networks_follow_keras_policy_and_nothing_else_does(name, policy, easy, tmp_path):
    images, classes = easy[0][:96], np.where(np.arange(96) < 40, easy[1][:96], -1)
    how = {"batch_size": 48} | ({"n_clusters": 4} if name != "VAE" else {})
    method = getattr(deepcluster_tf, name)(**how, **MIXED[name])
    given = {"directory": tmp_path / "work", "progress": False}
    if name == "VAE":
        given["annotator"] = Ledger(Namer(images, easy[1][:96]), tuple("abcd"), tmp_path / "a.csv")
    labels = classes if name == "FixMatch" else None
    keras.config.set_dtype_policy(policy)
    try:
        method.fit(images, labels, **given)
        assert method.encoder_.dtype_policy.name == "float32" or keras.config.dtype_policy().name == policy
        computing = {layer.compute_dtype for layer in method.encoder_._flatten_layers()}
        assert policy.removeprefix("mixed_") in computing and method.transform(images).dtype == np.float32
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(method)).predict(images), method.predict(images))
        again = clone(method).fit(images, labels, **given)  # to its end already
        np.testing.assert_array_equal(again.labels_, method.labels_)
        with pytest.raises(ValueError, match="precision"):
            keras.config.set_dtype_policy("float32")
            clone(method).fit(images, labels, **given)
    finally:
        keras.config.set_dtype_policy("float32")
    method.save(tmp_path / "model.weights.h5")
    whole = deepcluster_tf.load(tmp_path / "model.weights.h5")  # of 32 bits again
    assert {layer.compute_dtype for layer in whole.encoder_._flatten_layers()} == {"float32"}
    scale = np.abs(whole.transform(images)).max()
    np.testing.assert_allclose(whole.transform(images), method.transform(images), atol=0.05 * scale)


def test_another_policy_is_refused(easy):
    keras.config.set_dtype_policy("float16")
    try:
        with pytest.raises(ValueError, match="the precision must be one of float32, mixed_float16, mixed_bfloat16"):
            deepcluster_tf.Raw(n_clusters=4).fit(easy[0], progress=False)
    finally:
        keras.config.set_dtype_policy("float32")


def test_no_method_is_left_out():
    from deepcluster_tf import experiments

    used = {e.method_class().__name__ for e in experiments.EXPERIMENTS.values()}
    assert used == set(EASY) == set(deepcluster_tf.methods.CLASSES)


# ---------------------------------------------------------------------- scikit-learn


def score(method, images, labels):
    return metrics.scores(labels, method.predict(images))["ari"]


def test_a_pipeline_and_a_search_over_settings(easy):
    images, classes = easy
    steps = make_pipeline(FunctionTransformer(), deepcluster_tf.Raw(n_clusters=4, n_init=1, n_components=4))
    steps.set_params(raw__n_components=5)
    assert metrics.accuracy(classes, steps.fit(images).predict(images)) == 1.0
    search = GridSearchCV(
        deepcluster_tf.Raw(n_init=1, n_components=4), {"n_clusters": [2, 4]}, scoring=score, n_jobs=2, cv=2
    ).fit(images, classes)
    assert search.best_params_ == {"n_clusters": 4} and search.best_score_ == 1.0
    assert steps.fit_transform(images).shape == (240, 256)
    with pytest.raises(ValueError, match="Invalid parameter 'bogus'"):
        deepcluster_tf.Raw().set_params(bogus=1)


# ---------------------------------------------------------------------- images and labels as people have them


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x[..., 0],
        lambda x: x.astype(np.int64),
        lambda x: x.tolist(),
        lambda x: list(x),
        lambda x: tf.data.Dataset.from_tensor_slices(x),
        lambda x: tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(7),
        lambda x: tf.data.Dataset.from_tensor_slices(x[..., 0]).batch(10),  # of grey images without channels
        lambda x: tf.data.Dataset.from_tensor_slices(x[..., 0]).batch(7),
    ],
)
def test_images_in_many_forms(form, easy):
    found = given.images_of(form(easy[0][:20]), (16, 16, 1))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, easy[0][:20])


@pytest.mark.parametrize("batch", [0, 7])
def test_a_dataset_larger_than_memory_goes_to_a_file(batch, easy, monkeypatch):
    given_images = tf.data.Dataset.from_tensor_slices(easy[0][:20])
    given_images = given_images.batch(batch) if batch else given_images
    monkeypatch.setattr("deepcluster_tf.machine.LARGE", 0.0)
    found = given.images_of(given_images)
    assert isinstance(found, np.memmap) and found.shape == (20, 16, 16, 1)
    np.testing.assert_array_equal(found, easy[0][:20])


def test_a_keras_model_loads_in_another_process(easy, tmp_path):
    """As the guide says: the layers are registered first, for the package itself is imported lazily."""
    deepcluster_tf.Raw(n_clusters=4).fit(easy[0], progress=False).model_.save(tmp_path / "my.keras")
    code = "import deepcluster_tf.layers, keras; print(keras.models.load_model('my.keras').input_shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "(None, 16, 16, 1)\n", done.stderr


@pytest.mark.parametrize("name", ["m.h5", "m.weights", "m"])
def test_a_name_that_load_does_not_know_is_not_saved_under(name, easy, tmp_path):
    method = deepcluster_tf.Raw(n_clusters=4).fit(easy[0], progress=False)
    with pytest.raises(ValueError, match=r"must be called something.weights.h5, .* received .*" + name):
        method.save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_a_dataset_of_unlike_images_is_refused():
    unlike = tf.data.Dataset.from_generator(
        lambda: iter([np.zeros((4, 4, 1), np.uint8), np.zeros((4, 8, 1), np.uint8)]),
        output_signature=tf.TensorSpec((4, None, 1), tf.uint8),
    )
    with pytest.raises(ValueError, match=r"must be alike; received uint8 \(4, 4, 1\) and uint8 \(4, 8, 1\)"):
        given.images_of(unlike)


def test_images_mapped_from_a_file_are_not_copied(easy, tmp_path):
    np.save(tmp_path / "images.npy", easy[0])
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    found = given.images_of(mapped)
    assert np.shares_memory(found, mapped)
    labels = deepcluster_tf.Raw(n_clusters=4, n_init=1, n_components=4).fit_predict(mapped, progress=False)
    assert metrics.accuracy(easy[1], labels) == 1.0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((3, 4, 4), 256), "integer images must be in 0..255; received 256 to 256"),
        (np.full((3, 4, 4), -1), "integer images must be in 0..255; received -1 to -1"),
        (np.zeros((3, 4)), r"n >= 1; received \(3, 4\)"),
        (np.zeros((3, 4, 4), bool), "integers in 0..255 or floats in 0..1; received bool"),
        (tf.data.Dataset.range(0), r"received \(0,\)"),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        given.images_of(images)


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        (None, [-1, -1, -1], ()),
        ([2, 0, -1], [2, 0, -1], ()),
        (np.array([2.0, np.nan, 1.0]), [2, -1, 1], ()),
        (np.array([3, 1, -1]), [1, 0, -1], (1, 3)),  # from 1
        (["cat", None, "ant"], [1, -1, 0], ("ant", "cat")),
        (["cat", float("nan"), "cat"], [0, -1, 0], ("cat",)),
        (["cat", -1, "ant"], [1, -1, 0], ("ant", "cat")),
        ([-1, "cat", "ant"], [-1, 1, 0], ("ant", "cat")),
        (np.array(["cat", -1, "ant"]), [1, -1, 0], ("ant", "cat")),  # NumPy makes words of all
        (np.array(["cat", np.nan, "ant"]), [1, -1, 0], ("ant", "cat")),
        ([2, -1, None], [2, -1, -1], ()),
        (np.array(["b", "a", "b"]), [1, 0, 1], ("a", "b")),
        (pd.Series(["b", pd.NA, "a"], dtype="string"), [1, -1, 0], ("a", "b")),
        (pd.Series([7, None, 9], dtype="Int64"), [0, -1, 1], (7, 9)),
        (pd.Series(["x", "y", None], dtype="category"), [0, 1, -1], ("x", "y")),
        ([np.nan] * 3, [-1, -1, -1], ()),
    ],
)
def test_labels_in_many_forms(labels, numbers, names):
    found, named = given.labels_of(labels, 3, 3)
    assert found.dtype == np.int64 and found.tolist() == numbers and named == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"one for each of 3 images; received \(2,\)"),
        ([0.5, 1, 1], "not whole"),
        ([-2, 1, 1], "received -2 to 1"),
        (["a", "b", "c"], "name 2 classes at most; received 3: a, b, c"),
        ([5, 6, 7], "name 2 classes at most; received 3: 5, 6, 7"),
        ([1, "a", 2], "some of both"),
        (["a", 1, 2], "some of both"),
        (np.array([np.inf, 1, 1]), "not whole"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        given.labels_of(labels, 3, 2)


def test_names_of_classes_stay_with_the_model(easy, tmp_path):
    images, classes = easy
    names = np.array(["dark", "lying", "standing", "bright"], object)[classes]
    names[24:] = None
    method = deepcluster_tf.DCEC(**EASY["DCEC"], n_clusters=4).fit(images, names, progress=False)
    assert method.class_names_ == ("bright", "dark", "lying", "standing")
    said = np.array(method.class_names_)[method.predict(images)]
    assert metrics.accuracy(classes, method.labels_) == 1.0 and (said[:24] == names[:24]).all()
    method.save(tmp_path / "model.weights.h5")
    loaded = deepcluster_tf.load(tmp_path / "model.weights.h5")
    assert loaded.class_names_ == method.class_names_
    np.testing.assert_array_equal(loaded.classes_, method.classes_)


# ---------------------------------------------------------------------- the file of a model


def test_load_refuses_what_is_not_ours(easy, tmp_path):
    images, _ = easy
    with pytest.raises(ValueError, match="nothing.weights.h5 is missing, damaged"):
        deepcluster_tf.load(tmp_path / "nothing.weights.h5")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="does not say of which method it is"):
        deepcluster_tf.load(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="does not say of which images it is"):
        deepcluster_tf.Raw().load(tmp_path / "other.weights.h5")

    class Mine(deepcluster_tf.Raw):
        """A method of one's own."""

    Mine(n_init=1, n_components=2).fit(images, progress=False).save(tmp_path / "mine.weights.h5")
    assert type(deepcluster_tf.load(tmp_path / "mine.weights.h5")) is Mine
    whole = (tmp_path / "mine.weights.h5").read_bytes().replace(b'"sha256"', b'"sha255"')  # as files of before
    for damaged in (
        whole.replace(b'"n_init": 1', b'"x_init": 1'),
        whole.replace(b'"n_clusters": 10', b'"n_clusters": -1'),
    ):
        assert damaged != whole
        (tmp_path / "other.weights.h5").write_bytes(damaged)
        with pytest.raises(ValueError, match="other.weights.h5 has settings that no Mine has"):
            deepcluster_tf.load(tmp_path / "other.weights.h5")
    (tmp_path / "other.weights.h5").write_bytes(whole.replace(b'"Mine"', b'"os._"'))
    with pytest.raises(ValueError, match="is of the method os._: expected one of Autoencoder"):
        deepcluster_tf.load(tmp_path / "other.weights.h5")


def test_a_flipped_bit_is_seen_or_changes_nothing(easy, tmp_path):
    method = deepcluster_tf.Control(size=2, n_clusters=2, n_components=2, n_init=1).fit(easy[0][:40], progress=False)
    path, random = tmp_path / "model.weights.h5", np.random.default_rng(0)
    method.save(path)
    raw, weights, refused = path.read_bytes(), method._whole().get_weights(), 0
    centers, about = raw.index(method.kmeans_.cluster_centers_.tobytes()), raw.index(b'{"method"')
    somewhere = random.integers(len(raw), size=50)
    for at in (*random.integers(centers, centers + 32, 20), *random.integers(about, about + 300, 40), *somewhere):
        flipped = bytearray(raw)
        flipped[at] ^= 1 << random.integers(8)
        path.write_bytes(flipped)
        try:
            loaded = deepcluster_tf.load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path} ") and "\n" not in str(error)
            refused += 1
        else:
            assert loaded.get_settings() == method.get_settings()
            for mine, theirs in zip(weights, loaded._whole().get_weights(), strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert refused >= 50
    flipped = bytearray(raw)
    flipped[centers] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=f"^{path} is damaged: expected weights and settings of the SHA-256 that save"):
        method.load(path, (16, 16, 1))


def test_a_file_of_before_has_no_checksum_and_loads(easy, tmp_path):
    path = tmp_path / "model.weights.h5"
    method = deepcluster_tf.Control(size=2, n_clusters=2, n_components=2, n_init=1).fit(easy[0][:40], progress=False)
    method.save(path)
    with h5py.File(path, "r+") as file:
        about = json.loads(file["deepcluster_tf"].asstr()[()])
        assert len(about.pop("sha256")) == 64 and about == method._about()
        del file["deepcluster_tf"]
        file.create_dataset("deepcluster_tf", data=json.dumps(about))
    np.testing.assert_array_equal(deepcluster_tf.load(path).predict(easy[0][:40]), method.labels_)


# ---------------------------------------------------------------------- the package


def test_a_bare_import_costs_nothing_and_knows_its_names():
    code = (
        "import sys, time; start = time.perf_counter(); import deepcluster_tf; spent = time.perf_counter() - start\n"
        "assert spent < 0.1, spent\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert {'DCEC', 'VAE', 'Autoencoder', 'Siamese', 'SCAN', 'DeepCluster', 'load'} <= set(dir(deepcluster_tf))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(deepcluster_tf.__file__).parents[1])
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        deepcluster_tf.Nothing  # noqa: B018
    assert (Path(deepcluster_tf.__file__).parent / "py.typed").exists()


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert deepcluster_tf.__version__ == version("deepcluster_tf")
    citation = Path(__file__).parents[1] / "CITATION.cff"
    assert f"\nversion: {deepcluster_tf.__version__}\n" in citation.read_text()


def test_the_package_says_how_it_is_used(tmp_path, monkeypatch):
    import doctest

    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(deepcluster_tf)
    assert tried >= 8 and not failed


# ---------------------------------------------------------------------- a user's own networks, optimizer and callbacks


def networks_of_ones_own(dim=6):
    keras.utils.set_random_seed(3)
    flat = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(dim, name="mine")]
    back = [keras.Input((dim,)), keras.layers.Dense(256), keras.layers.Reshape((16, 16, 1))]
    return keras.Sequential(flat), keras.Sequential(back)


OWN = {name: EASY[name] for name in ("Autoencoder", "DCEC", "DeepCluster", "FixMatch", "Siamese")}


@pytest.mark.parametrize("name", OWN)
def test_networks_of_ones_own(name, easy, tmp_path):
    images, classes = easy
    encoder, decoder = networks_of_ones_own()
    kind, before = getattr(deepcluster_tf, name), encoder.get_weights()
    given_ = {"encoder": encoder, **({"decoder": decoder} if "decoder" in kind().get_params() else {})}
    labels = np.where(np.arange(240) < 24, classes, -1)
    method = kind(**OWN[name], **given_, n_clusters=4).fit(images, labels, directory=tmp_path / "work", progress=False)
    assert method.transform(images).shape == (240, 6)
    assert all((a == b).all() for a, b in zip(encoder.get_weights(), before))  # the user's own stay as they are
    assert all((a != b).any() for a, b in zip(method.encoder_.get_weights()[:1], before))
    copied = clone(method)
    assert copied.encoder is not encoder and copied.get_settings() == method.get_settings()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(method)).predict(images), method.predict(images))
    method.save(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match=rf"of a user's own encoder.*: expected {name}\(encoder=encoder"):
        deepcluster_tf.load(tmp_path / "model.weights.h5")
    loaded = kind(**OWN[name], **given_, n_clusters=4).load(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(loaded.predict(images), method.predict(images))
    other = kind(**OWN[name], n_clusters=4, **{**given_, "encoder": networks_of_ones_own(7)[0]})
    if "decoder" not in given_:
        with pytest.raises(ValueError, match="holds the fit of other encoder"):
            other.fit(images, labels, directory=tmp_path / "work", progress=False)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("ResNet50", "encoder is a str: expected a functional or sequential Keras model"),
        (keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]), r"it takes \(n, 8, 8, 1\); expected"),
        (keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(2, 3)]), "expected embeddings"),
    ],
)
def test_what_is_no_encoder_is_refused(encoder, message, easy):
    with pytest.raises(ValueError, match=message):
        deepcluster_tf.DCEC(encoder=encoder, n_clusters=4).fit(easy[0], progress=False)


@pytest.mark.parametrize("name", sorted({"VAE", "SCAN", *OWN}))
def test_an_optimizer_and_callbacks_of_ones_own(name, easy):
    """A learning rate of 0 leaves the weights as they were drawn."""
    images, classes = easy

    class Counts(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            Counts.epochs += 1
            assert np.isfinite(logs["loss"])

    how = {"n_classes": 4} if name == "VAE" else {"n_clusters": 4}
    few = {"max_epochs": 2, "epochs": 2, "pretraining_epochs": 2, "max_iterations": 10, "iterations": 100}
    short = {k: few.get(k, v) for k, v in EASY[name].items()} | how
    kind = getattr(deepcluster_tf, name)
    labels = np.where(np.arange(240) < 24, classes, -1)
    optimizer = keras.optimizers.SGD(0.0)
    short |= {"backbone": "none", "pretext_epochs": 3, "self_labelling_epochs": 2} if name == "SCAN" else {}
    method = kind(**short, optimizer=optimizer)
    method.fit(images, labels, progress=False, callbacks=[Counts()])
    pickle.dumps(method)
    assert Counts.epochs >= 1 and int(optimizer.iterations) == 0
    assert name != "SCAN" or Counts.epochs == 3 + 2 + 2  # the pretext too
    if name in ("Siamese", "DeepCluster"):
        kernel = kind(**short).fit(images, progress=False).encoder_.trainable_weights[0].numpy()
        assert (method.encoder_.trainable_weights[0].numpy() != kernel).any()
    assert clone(method).optimizer.get_config() == optimizer.get_config()


# ---------------------------------------------------------------------- images that do not fit into memory


STREAMED = ["Autoencoder", "DCEC", "Siamese"]
STREAMED += [pytest.param(name, marks=pytest.mark.slow) for name in ("DeepCluster", "FixMatch", "SCAN", "VAE")]


@pytest.mark.parametrize("name", STREAMED)
def test_images_that_are_not_held_give_the_same_numbers(name, easy, tmp_path, monkeypatch):
    """Read batch by batch out of a mapped file, in the same order as those in memory, to the same bit."""
    images, classes = easy
    labels = np.where(np.arange(240) < 24, classes, -1)
    few = {"max_epochs": 2, "epochs": 2, "pretraining_epochs": 2, "max_iterations": 10, "iterations": 20}
    how = {"unsupervised_epochs": 1} if name == "VAE" else {"n_clusters": 4}
    how |= {"backbone": "none", "pretext_epochs": 2, "batch_size": 64} if name == "SCAN" else {}
    short = {k: few.get(k, v) for k, v in EASY[name].items()} | how
    kind = getattr(deepcluster_tf, name)
    held = kind(**short).fit(images, labels, progress=False)
    np.save(tmp_path / "images.npy", images)
    monkeypatch.setattr("deepcluster_tf.machine.LARGE", 0.0)
    taken = []
    original = tf.numpy_function
    monkeypatch.setattr(tf, "numpy_function", lambda *given: taken.append(1) or original(*given))
    streamed = kind(**short).fit(np.load(tmp_path / "images.npy", mmap_mode="r"), labels, progress=False)
    assert taken
    for a, b in zip(held.encoder_.get_weights(), streamed.encoder_.get_weights()):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(held.labels_, streamed.labels_)


def test_a_checksum_is_that_of_the_whole_whatever_the_pieces(monkeypatch):
    import hashlib

    from deepcluster_tf.fitting import checkpoints

    array = np.random.default_rng(0).integers(0, 256, (50, 6, 7, 3), np.uint8)
    for each in (array, array[::2], array[..., :1], np.float32(array[:0]), np.array(3.0), array[:, 0, 0, 0]):
        whole = hashlib.sha256(f"{each.shape} {each.dtype} ".encode() + np.ascontiguousarray(each).tobytes())
        for piece in (1, 200, 2**24):
            monkeypatch.setattr(checkpoints, "PIECE", piece)
            assert checkpoints.digest(each) == whole.hexdigest()
