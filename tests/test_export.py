"""The SavedModel, loaded by plain TensorFlow in a process that cannot import this package."""

import os
import subprocess
import sys

import numpy as np
import pytest

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
        lambda: Raw(n_components=5, n_init=1),
        lambda: Control(size=4, n_components=5, n_init=1),
        lambda: Autoencoder(max_epochs=1, n_init=1),
        lambda: Siamese(filters=(8,), embedding_dim=6, epochs=1, n_components=3, n_init=1),
        lambda: Siamese(filters=(8,), embedding_dim=6, epochs=1, comparison="contrastive", n_init=1),
    ],
    ids=["raw", "control", "autoencoder", "representation", "contrastive"],
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


def test_export_replaces_a_saved_model_and_nothing_else(fitted, tmp_path):
    fitted.export(tmp_path / "model")
    fitted.export(tmp_path / "model")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("three years of work")
    with pytest.raises(ValueError, match="exists and is no SavedModel"):
        fitted.export(tmp_path / "other")
    assert (tmp_path / "other" / "thesis.txt").exists()
