"""The SavedModel, loaded by plain TensorFlow in a process that cannot import this package."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import export
from deepcluster_tf.methods.autoencoder import Autoencoder
from deepcluster_tf.methods.control import Control
from deepcluster_tf.methods.raw import Raw
from deepcluster_tf.methods.siamese import Siamese
from deepcluster_tf.methods.vae import VAE

LOADER = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "deepcluster_tf":
            raise ImportError(name + " is not to be had here")

sys.meta_path.insert(0, Refuse())
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2])
found = {}
for name, signature in model.signatures.items():
    inputs = {}
    for spec in signature.structured_input_signature[1].values():
        given = {"images": images, "others": images[:5], "z": np.zeros((3, spec.shape[-1] or 1))}[spec.name]
        inputs[spec.name] = given if spec.dtype == tf.uint8 or spec.name == "z" else given / 255
        inputs[spec.name] = tf.constant(inputs[spec.name], spec.dtype)
    for key, value in signature(**inputs).items():
        found[f"{name}/{key}"] = value.numpy()
for suffix, given in (("_uint8", images), ("", np.float32(images / 255))):
    for key, value in model(given).items():
        found[f"call{suffix}/{key}"] = value.numpy()
found["one"] = model.embed(images[:1])["embeddings"].numpy()
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def loaded(digits, tmp_path_factory):
    """A function: fitted method -> what its SavedModel's signatures give for 33 digits, by "signature/output"."""

    def load(method):
        folder = tmp_path_factory.mktemp("saved")
        method.export(folder / "model")
        np.save(folder / "images.npy", digits.images[:33])
        words = [sys.executable, "-c", LOADER, folder / "model", folder / "images.npy", folder / "found.npz"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        return dict(np.load(folder / "found.npz"))

    return load


def test_signatures_give_what_dcec_gives(loaded, fitted, digits):
    images, found = digits.images[:33], loaded(fitted)
    for suffix in ("", "_uint8"):
        for name in ("serving_default", "call"):
            np.testing.assert_array_equal(found[f"{name}{suffix}/cluster"], fitted.predict(images))
            np.testing.assert_array_equal(found[f"{name}{suffix}/class"], fitted.classes_[fitted.predict(images)])
            np.testing.assert_allclose(found[f"{name}{suffix}/assignments"], fitted.predict_proba(images), atol=1e-5)
        np.testing.assert_allclose(found[f"embed{suffix}/embeddings"], fitted.transform(images), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[f"assign{suffix}/assignments"], fitted.predict_proba(images), atol=1e-5)
        expected = fitted.decoder_(fitted.transform(images))
        np.testing.assert_allclose(found[f"reconstruct{suffix}/reconstructions"], expected, atol=1e-4)
    np.testing.assert_allclose(found["one"], found["embed_uint8/embeddings"][:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Raw(n_components=5, n_init=1), id="raw"),
        pytest.param(
            lambda: Siamese(filters=(8,), embedding_dim=6, epochs=1, n_components=3, n_init=1), id="representation"
        ),
        pytest.param(lambda: Control(size=4, n_components=5, n_init=1), id="control", marks=pytest.mark.slow),
        pytest.param(lambda: Autoencoder(max_epochs=1, n_init=1), id="autoencoder", marks=pytest.mark.slow),
        pytest.param(
            lambda: Siamese(filters=(8,), embedding_dim=6, epochs=1, comparison="contrastive", n_init=1),
            id="contrastive",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_signatures_give_what_an_encoding_gives(loaded, digits, make):
    images = digits.images[:33]
    method = make().fit(digits.images[:300], progress=False)
    found = loaded(method)
    z = method.transform(images)
    for suffix in ("", "_uint8"):
        np.testing.assert_allclose(found[f"embed{suffix}/embeddings"], z, rtol=1e-4, atol=1e-5)
        for name, by in (("kmeans", "kmeans"), ("mixture", "mixture"), ("serving_default", None), ("call", None)):
            expected = method.predict_proba(images, by)
            np.testing.assert_allclose(found[f"{name}{suffix}/assignments"], expected, rtol=1e-3, atol=1e-3)
            np.testing.assert_array_equal(found[f"{name}{suffix}/cluster"], method.predict(images, by))
        expected = method.similarity(z, z[:5])
        np.testing.assert_allclose(found[f"similarity{suffix}/similarity"], expected, rtol=1e-3, atol=1e-4)
        if method.decoder_ is not None:
            np.testing.assert_allclose(found[f"reconstruct{suffix}/reconstructions"], method.decoder_(z), atol=1e-4)


def test_signatures_give_what_the_vae_gives(loaded, digits):
    images = digits.images[:33]
    method = VAE(epochs=1, gamma=0.0, z_dim=4).fit(digits.images[:300], progress=False)
    found = loaded(method)
    for suffix in ("", "_uint8"):
        np.testing.assert_allclose(found[f"embed{suffix}/embeddings"], method.transform(images), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[f"reconstruct{suffix}/reconstructions"], method.reconstruct(images), atol=1e-4)
        for name in ("serving_default", "call"):
            np.testing.assert_allclose(found[f"{name}{suffix}/probabilities"], method.predict_proba(images), atol=1e-5)
            np.testing.assert_array_equal(found[f"{name}{suffix}/class"], method.predict(images))
    np.testing.assert_allclose(found["generate/images"], method.decode(np.zeros((3, 4), np.float32)), atol=1e-5)


METHODS = {
    "raw": lambda: Raw(n_components=5),
    "downscale": lambda: Control(size=4, n_components=5),
    "pca": lambda: Control(reducer="pca", size=4, n_components=5),
    "dense": lambda: Autoencoder(embedding_dim=6),
    "pooling": lambda: Autoencoder(architecture="pooling", embedding_dim=6),
    "convolutional": lambda: Autoencoder(architecture="convolutional", embedding_dim=6),
    "residual": lambda: Autoencoder(architecture="residual", embedding_dim=6),
    "layers": lambda: Siamese(comparison="layers", filters=(8,), embedding_dim=6, n_components=3),
    "dot": lambda: Siamese(comparison="dot", filters=(8,), embedding_dim=6, n_components=0),
    "contrastive": lambda: Siamese(comparison="contrastive", filters=(8,), embedding_dim=6, n_components=3),
    "vae": lambda: VAE(z_dim=4),
    "dcec": None,
}


@pytest.fixture(scope="module", params=METHODS)
def served(request, tmp_path_factory):
    """The loaded SavedModel of every method, hardly trained or not at all."""
    if request.param == "dcec":
        method = request.getfixturevalue("fitted")
    else:
        method = METHODS[request.param]()
        method._build((8, 8, 1))
        for weight in method._whole().weights:
            if weight.path.endswith("factors"):  # without them a mixture is no number anywhere
                weight.assign(np.broadcast_to(np.eye(weight.shape[-1]), weight.shape))
    folder = tmp_path_factory.mktemp("served") / "model"
    method.export(folder)
    return tf.saved_model.load(str(folder))


def _inputs(signature):
    """A signature's inputs, those of `images` before those of `others`."""
    return sorted(signature.structured_input_signature[1].items())


def test_no_image_gives_no_row(served):
    for name, signature in served.signatures.items():
        inputs = _inputs(signature)
        for sizes in ((0,),) if len(inputs) == 1 else ((0, 3), (3, 0), (0, 0)):
            given = {k: tf.zeros((n, *spec.shape[1:]), spec.dtype) for n, (k, spec) in zip(sizes, inputs)}
            for key, value in signature(**given).items():
                assert tuple(value.shape[: len(sizes)]) == sizes, (name, key, value.shape)
    for dtype in (np.float32, np.uint8):
        assert all(len(value) == 0 for value in served(np.zeros((0, 8, 8, 1), dtype)).values())


def test_what_is_no_image_spoils_its_own_row_alone(served):
    rng = np.random.default_rng(0)
    fine = np.float32(rng.random((9, 8, 8, 1)))
    fine[0, 0, 0], fine[0, 1, 1] = 1 + 9e-7, -9e-7  # rounding
    bad, images = [1, 2, 4, 5, 7], fine.copy()
    images[bad, 3, 3, 0] = np.nan, np.inf, -np.inf, 1.001, -0.001
    good = np.setdiff1d(np.arange(9), bad)
    for name, signature in served.signatures.items():
        inputs = _inputs(signature)
        if inputs[0][0] != "images" or inputs[0][1].dtype != tf.float32:
            continue
        found = signature(**{k: tf.constant(images) for k, _ in inputs})
        for key, expected in signature(**{k: tf.constant(fine) for k, _ in inputs}).items():
            value, expected = found[key].numpy(), expected.numpy()
            whole = np.issubdtype(value.dtype, np.integer)
            for axis in range(len(inputs)):
                rows = np.take(value, bad, axis)
                assert (rows == -1).all() if whole else np.isnan(rows).all(), (name, key)
            kept = np.ix_(*[good] * len(inputs))
            np.testing.assert_array_equal(value[kept], expected[kept], f"{name}/{key}")
            assert (expected >= 0).all() if whole else np.isfinite(expected).all(), (name, key)


def write(folder):
    """Write the smallest SavedModel there is."""
    export.saved_model(folder, {"serving_default": lambda images: {"same": images}}, (2, 2, 1), [])


def test_images_of_another_shape_are_an_error_and_end_no_process(tmp_path):
    write(tmp_path / "model")
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    for shape in ((5, 2, 2), (5, 2, 2, 3), (5, 3, 2, 1), (0, 2, 2), (2,)):
        for name, dtype in (("serving_default", tf.float32), ("serving_default_uint8", tf.uint8)):
            with pytest.raises(tf.errors.InvalidArgumentError):  # a convolution of these would abort the process
                signatures[name](images=tf.zeros(shape, dtype))


def test_export_replaces_a_saved_model_and_nothing_else(tmp_path):
    folder, beside = tmp_path / "model", {"part-model": "mine", "part-old-model": "mine too"}
    for name, text in beside.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text(text)
    folder.mkdir()
    write(folder)
    (folder / "fingerprint.pb").write_text("of an earlier one")
    write(folder)
    assert (folder / "fingerprint.pb").read_bytes() != b"of an earlier one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", *sorted(beside)]
    for name, text in beside.items():
        assert (tmp_path / name / "thesis.txt").read_text() == text


KILLED = """
import os, signal, sys
import tensorflow as tf
from deepcluster_tf import export
save = tf.saved_model.save
def dies(*values, **named):
    save(*values, **named)
    os.kill(os.getpid(), signal.SIGKILL)
tf.saved_model.save = dies
export.saved_model(sys.argv[1], {"serving_default": lambda images: {"same": images}}, (2, 2, 1), [])
"""


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path / "model"], capture_output=True).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("part-") and (left / "new" / "saved_model.pb").exists()
    mine = tmp_path / f"{left.name[:-1]}{'a' if left.name[-1] == 'b' else 'b'}"
    mine.mkdir()
    (mine / "thesis.txt").write_text("three years of work")
    write(tmp_path / "another")
    assert left.exists()  # beside it, it is not known to be of no use
    write(tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "another", mine.name}


@pytest.mark.parametrize(
    "foreign",
    [
        "thesis.txt",
        "variables.index",
        "saved_model.pb.bak",
        "assets/words.txt",
        "a/saved_model.pb",
        "variables/thesis.txt",
        "variables/variables/variables.index",
        "variables/variables.data-00000-of-00001/thesis.txt",
    ],
)
@pytest.mark.parametrize("model", [True, False])
def test_a_folder_with_something_else_in_it_is_kept(tmp_path, foreign, model):
    folder = tmp_path / "model"
    if model:
        write(folder)
    if (folder / foreign).parent.is_file():
        (folder / foreign).parent.unlink()
    (folder / foreign).parent.mkdir(parents=True, exist_ok=True)
    (folder / foreign).write_text("three years of work")
    with pytest.raises(ValueError, match="exists and is no SavedModel.* name another folder") as refused:
        write(folder)
    assert foreign.split("/")[0] in str(refused.value) and "\n" not in str(refused.value)
    assert (folder / foreign).read_text() == "three years of work"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_links_are_not_followed(tmp_path):
    write(tmp_path / "model")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "mine").mkdir()
    (tmp_path / "model" / "variables" / "variables.data-00001-of-00002").symlink_to(tmp_path / "mine")
    for name in ("link", "nowhere", "model"):
        with pytest.raises(ValueError, match=f"{name} exists and is no SavedModel.* name another folder"):
            write(tmp_path / name)


@pytest.mark.parametrize("name", [".", "..", "/", "", "file", "file/model", "n" * 256])
def test_places_for_no_folder_are_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises((ValueError, OSError)) as refused:
        write(name)
    assert "\n" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


def test_a_long_name_is_written(tmp_path):
    write(tmp_path / ("n" * 255))
    assert (tmp_path / ("n" * 255) / "saved_model.pb").exists()


def test_a_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    write(tmp_path / "model")
    before = (tmp_path / "model" / "saved_model.pb").read_bytes()

    def full(module, folder, signatures):
        export.Path(folder).mkdir()
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match=r"model could not be written \(No space left on device\): what was there before"):
        write(tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_failing_move_puts_back_what_was_there(tmp_path, monkeypatch):
    write(tmp_path / "model")
    before = (tmp_path / "model" / "saved_model.pb").read_bytes()
    rename = export.Path.rename

    def failing(source, target):
        if source.name == "new":
            raise OSError(28, "No space left on device")
        return rename(source, target)

    monkeypatch.setattr(export.Path, "rename", failing)
    with pytest.raises(OSError, match="model could not be written"):
        write(tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").read_bytes() == before


def test_what_comes_into_the_folder_meanwhile_is_kept(tmp_path, monkeypatch):
    write(tmp_path / "model")
    save = tf.saved_model.save

    def slow(*arguments, **how):
        save(*arguments, **how)
        (tmp_path / "model" / "thesis.txt").write_text("three years of work")

    monkeypatch.setattr(tf.saved_model, "save", slow)
    with pytest.raises(ValueError, match="thesis.txt is in it"):
        write(tmp_path / "model")
    assert (tmp_path / "model" / "thesis.txt").read_text() == "three years of work"
