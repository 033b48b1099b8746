"""SavedModels in the runtimes of others: TFLite, by its converter and LiteRT, and ONNX, by tf2onnx and ONNX Runtime."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import deepcluster_tf

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="the extra convert: make test-slow installs it")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="the extra convert is not installed: make test-slow installs it"
)
pytestmark = pytest.mark.slow

METHODS = {
    "DCEC": {"pretraining_epochs": 5, "max_iterations": 20},
    "FixMatch": {"iterations": 10},
    "Raw": {"n_init": 1},
    "VAE": {"epochs": 2},
}


@pytest.fixture(scope="module", params=METHODS)
def exported(request, digits, some_labels, tmp_path_factory):
    method = getattr(deepcluster_tf, request.param)(**METHODS[request.param])
    method.fit(digits.images, some_labels, progress=False)
    folder = tmp_path_factory.mktemp(request.param) / "model"
    method.export(folder)
    return folder, method


def agree(said, method, images):
    """The clusters, and what they follow from, are those of the method."""
    name, by = ("class", "probabilities") if "probabilities" in said else ("cluster", "assignments")
    np.testing.assert_array_equal(said[name], method.predict(images))
    np.testing.assert_allclose(said[by], method.predict_proba(images), atol=1e-6)
    return True


def test_tflite(exported, digits):
    folder, method = exported
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    model = interpreter.Interpreter(model_content=converter.convert())
    images = np.float32(digits.images[:50] / 255)
    assert agree(model.get_signature_runner("serving_default")(images=images), method, images)


def test_onnx(exported, digits, tmp_path):
    folder, method = exported
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", folder, "--output", tmp_path / "model.onnx"]
    subprocess.run([*command, "--signature_def", "serving_default", "--opset", "17"], check=True, capture_output=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    images = np.float32(digits.images[:50] / 255)
    names = [output.name for output in session.get_outputs()]
    assert agree(dict(zip(names, session.run(names, {"images": images}))), method, images)


LOADED = """
import sys
import numpy as np
import tensorflow as tf
model, images = tf.saved_model.load(sys.argv[1]), tf.constant(np.load("images.npy"))
said = {name: value.numpy() for name, value in model(images).items()}
np.savez("said.npz", embeddings=model.embed(images)["embeddings"].numpy(), **said)
"""


@pytest.fixture(scope="module")
def earliest(tmp_path_factory):
    """A Python with the earliest TensorFlow that is promised to load what we write."""
    folder = tmp_path_factory.mktemp("earliest")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [folder / "bin" / "pip", "install", "--quiet", "tensorflow-cpu==2.16.*"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "bin" / "python"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="TensorFlow 2.16 ends with Python 3.12")
def test_the_earliest_tensorflow(exported, earliest, digits, tmp_path):
    folder, method = exported
    images = np.float32(digits.images[:50] / 255)
    np.save(tmp_path / "images.npy", images)
    subprocess.run([earliest, "-c", LOADED, folder], check=True, cwd=tmp_path, capture_output=True)
    said = dict(np.load(tmp_path / "said.npz"))
    np.testing.assert_allclose(said["embeddings"], method.transform(images), atol=1e-5)
    assert agree(said, method, images)
