"""The SavedModel, loaded by plain TensorFlow in a process that cannot import this package."""

import os
import subprocess
import sys

import numpy as np
import pytest

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
for kind, given in (("uint8", images), ("float", images.astype("float32") / 255)):
    for name in ("serving_default", "embed", "assign", "reconstruct"):
        signature = model.signatures[name + ("_uint8" if kind == "uint8" else "")]
        for key, value in signature(images=tf.constant(given)).items():
            found[f"{kind}/{name}/{key}"] = value.numpy()
    for key, value in model(given).items():
        found[f"{kind}/call/{key}"] = value.numpy()
one = model.embed(images[:1])["embeddings"].numpy()
found["one"] = one
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def loaded(fitted, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    fitted.export(folder / "model")
    np.save(folder / "images.npy", digits.images[:33])
    words = [sys.executable, "-c", LOADER, folder / "model", folder / "images.npy", folder / "found.npz"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_signatures_give_what_the_method_gives(loaded, fitted, digits, kind):
    images = digits.images[:33]
    for name in ("serving_default", "call"):
        np.testing.assert_array_equal(loaded[f"{kind}/{name}/cluster"], fitted.predict(images))
        np.testing.assert_array_equal(loaded[f"{kind}/{name}/class"], fitted.classes_[fitted.predict(images)])
        np.testing.assert_allclose(loaded[f"{kind}/{name}/assignments"], fitted.predict_proba(images), atol=1e-5)
    np.testing.assert_allclose(loaded[f"{kind}/embed/embeddings"], fitted.transform(images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loaded[f"{kind}/assign/assignments"], fitted.predict_proba(images), atol=1e-5)
    expected = fitted.decoder_(fitted.transform(images))
    np.testing.assert_allclose(loaded[f"{kind}/reconstruct/reconstructions"], expected, atol=1e-4)


def test_any_batch_size(loaded):
    np.testing.assert_allclose(loaded["one"], loaded["uint8/embed/embeddings"][:1], rtol=1e-4, atol=1e-5)


def test_export_replaces_a_saved_model_and_nothing_else(fitted, tmp_path):
    fitted.export(tmp_path / "model")
    fitted.export(tmp_path / "model")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("three years of work")
    with pytest.raises(ValueError, match="exists and is no SavedModel"):
        fitted.export(tmp_path / "other")
    assert (tmp_path / "other" / "thesis.txt").exists()
