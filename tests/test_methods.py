"""The contract that every method keeps."""

import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from deepcluster_tf import experiments, networks, settings
from deepcluster_tf.methods.base import Method
from deepcluster_tf.methods.control import Control

METHODS = sorted({e.method_class() for e in experiments.EXPERIMENTS.values()}, key=lambda method: method.__name__)


@pytest.mark.parametrize("method", METHODS)
class TestContract:
    def test_settings_are_keyword_only_with_defaults_and_stored_as_given(self, method):
        for parameter in inspect.signature(method).parameters.values():
            assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
        assert settings.read(Path(inspect.getfile(method)), method.__name__) == method.declared()
        assert method().get_settings() == method.defaults()
        assert clone(method(seed=3)).get_settings() == {**method.defaults(), "seed": 3}

    def test_has_the_common_interface(self, method):
        assert issubclass(method, Method)
        for name in ("fit", "transform", "predict", "save", "load", "export", "check", "check_settings"):
            assert inspect.getdoc(getattr(method, name)), f"{method.__name__}.{name} has no docstring"

    def test_deviations_are_numbered(self, method):
        from deepcluster_tf.reporting import tables

        said = tables.deviations(method)
        assert [line.split(".")[0] for line in said] == [str(i + 1) for i in range(len(said))] and said

    def test_use_before_fit_is_refused(self, method, tmp_path):
        for use in (lambda m: m.predict(np.zeros((1, 8, 8, 1))), lambda m: m.export(tmp_path / "model")):
            with pytest.raises(NotFittedError, match="is not fitted: call fit or load first"):
                use(method())

    def test_so_is_what_some_methods_have_beside(self, method, tmp_path):
        kept = tmp_path / "autoencoder.weights.h5"
        arguments = {"main_head": (), "decoded_centers": (), "reconstruct": (np.zeros((1, 8, 8, 1)),)}
        for name, given in {**arguments, "save_autoencoder": (kept,)}.items():
            if hasattr(method, name):
                with pytest.raises(NotFittedError, match="is not fitted: call fit or load first"):
                    getattr(method(), name)(*given)
        assert not kept.exists()

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"strategy": "mirrored"}, "strategy must be a tf.distribute.Strategy, .*; received 'mirrored'"),
            ({"directory": 3}, "directory must be a folder's path, or None to keep nothing; received 3"),
            ({"directory": 0}, "directory must be a folder's path, or None to keep nothing; received 0"),
            ({"directory": b"here"}, "directory must be a folder's path, .*; received b'here'"),
            ({"directory": "a\udcff"}, r"the name of the folder a\\xff is not UTF-8: expected one that TensorFlow .*"),
        ],
    )
    def test_no_strategy_and_no_folder_is_refused(self, method, how, message, monkeypatch):
        monkeypatch.setattr("deepcluster_tf.fitting.train", lambda *_: pytest.fail("it trains"))
        images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
        for fit in filter(None, (method().fit, getattr(method(), "pretrain", None), method().fit_predict)):
            with pytest.raises(ValueError, match=f"^{message}$"):
                fit(images, progress=False, **how)

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((1, 8, 8, 1)), "two images or more; received one"),
            (np.zeros((0, 8, 8, 1)), r"or \(n, height, width\), n >= 1; received \(0, 8, 8, 1\)"),
            (np.full((40, 8, 8, 1), np.nan), "float images must be in 0..1; received nan"),
            (np.full((40, 8, 8, 1), 2.0), "float images must be in 0..1; received 2 to 2"),
            (np.zeros((40, 8, 8, 1), bool), "integers in 0..255 or floats in 0..1; received bool"),
            (None, "must have the shape"),
            ("photos", "must have the shape"),
        ],
    )
    def test_what_is_no_batch_of_images_is_refused(self, method, images, message):
        with pytest.raises(ValueError, match=message):
            method().fit(images, progress=False)

    def test_a_keras_of_another_configuration_is_refused(self, method):
        """A keras.json can set these; the numbers would be others."""
        others = {"floatx": "float64", "epsilon": 1e-3, "image_data_format": "channels_first", "max_epochs": 1}
        for name, other in others.items():
            if not hasattr(keras.config, name):  # an older Keras
                continue
            usual = getattr(keras.config, name)()
            getattr(keras.config, f"set_{name}")(other)
            try:
                with pytest.raises(ValueError, match=f"Keras's {name} is {other}: expected {usual}"):
                    method().fit(np.zeros((40, 8, 8, 1)), progress=False)
            finally:
                getattr(keras.config, f"set_{name}")(usual)

    def test_a_seed_of_numpy_is_a_seed(self, method):
        given = method(seed=np.int64(3))
        given.check_settings()
        assert type(given.seed) is int and repr(given) == repr(method(seed=3))

    def test_save_before_fit_is_refused(self, method, tmp_path):
        with pytest.raises(NotFittedError, match="call fit or load first"):
            method().save(tmp_path / "model.weights.h5")

    def test_a_fit_that_fails_leaves_the_object_as_it_was(self, method, monkeypatch):
        """Whatever goes wrong after the networks were built."""
        images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
        few = ("size", "n_clusters", "n_components", "embedding_dim")
        unfitted = method(**{name: 2 for name in few if name in method.declared()})

        def broken(*_, **__):
            raise FloatingPointError("the loss is nan")

        monkeypatch.setattr("deepcluster_tf.fitting.train", broken)
        monkeypatch.setattr("deepcluster_tf.clustering.kmeans", broken)
        # in place of a pretrained network, which is not installed everywhere
        small = networks.strided_encoder((8, 8, 1), 2, (4,))
        monkeypatch.setattr("deepcluster_tf.networks.backbone", lambda *_, **__: small)
        with pytest.raises(FloatingPointError):
            unfitted.fit(images, progress=False)
        with pytest.raises(NotFittedError):
            unfitted.predict(images)

    def test_a_load_that_fails_leaves_the_object_as_it_was(self, method, tmp_path):
        (tmp_path / "model.weights.h5").write_bytes(b"nothing of the kind")
        loaded = method(**{name: 2 for name in ("size", "embedding_dim") if name in method.declared()})
        with pytest.raises(ValueError, match="model.weights.h5 is missing, damaged, or of another model"):
            loaded.load(tmp_path / "model.weights.h5", (8, 8, 1))
        with pytest.raises(NotFittedError):
            loaded.predict(np.zeros((2, 8, 8, 1)))


@pytest.mark.parametrize("by", ["bogus", "", 0, "decoder", np.array(["kmeans", "mixture"]), ["kmeans"]])
def test_a_clustering_that_there_is_not_is_refused(by):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    method = Control(size=4, n_clusters=3, n_components=4, n_init=1).fit(images, progress=False)
    for predict in (method.predict, method.predict_proba):
        with pytest.raises(ValueError, match=re.escape(f"by must be kmeans or mixture; received {by!r}")):
            predict(images, by)
