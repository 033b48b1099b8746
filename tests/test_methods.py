"""The contract that every method keeps."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from deepcluster_tf import experiments
from deepcluster_tf.methods.base import Method

METHODS = sorted({e.method_class() for e in experiments.EXPERIMENTS.values()}, key=lambda method: method.__name__)


@pytest.mark.parametrize("method", METHODS)
class TestContract:
    def test_settings_are_keyword_only_with_defaults_and_stored_as_given(self, method):
        for parameter in inspect.signature(method).parameters.values():
            assert parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
        assert method().get_params() == method.defaults()
        assert clone(method(seed=3)).get_params() == {**method.defaults(), "seed": 3}

    def test_has_the_common_interface(self, method):
        assert issubclass(method, Method)
        for name in ("fit", "transform", "predict", "save", "load", "export", "check", "check_settings"):
            assert inspect.getdoc(getattr(method, name)), f"{method.__name__}.{name} has no docstring"

    def test_deviations_are_numbered(self, method):
        from deepcluster_tf import tables

        said = tables.deviations(method)
        assert [line.split(".")[0] for line in said] == [str(i + 1) for i in range(len(said))] and said

    def test_use_before_fit_is_refused(self, method, tmp_path):
        for use in (lambda m: m.predict(np.zeros((1, 8, 8, 1))), lambda m: m.export(tmp_path / "model")):
            with pytest.raises(NotFittedError, match="is not fitted: call fit or load first"):
                use(method())
