"""Deep clustering in Keras and TensorFlow: the methods of the papers, and ways beyond them.

>>> import deepcluster_tf
>>> digits = deepcluster_tf.datasets.load("digits")
>>> labels = digits.labels.copy()
>>> labels[100:] = -1  # the first hundred are known
>>> method = deepcluster_tf.FixMatch(iterations=400, flip=False)  # any of scikit-learn's ways works with it
>>> clusters = method.fit_predict(digits.images, labels, progress=False)
>>> deepcluster_tf.metrics.accuracy(digits.labels[100:], clusters[100:]) > 0.9
True
>>> method.save("digits.weights.h5")
>>> deepcluster_tf.load("digits.weights.h5").predict(digits.images[:4]).tolist()
[0, 1, 2, 3]
"""

from __future__ import annotations

import importlib

from deepcluster_tf import methods

__version__ = "0.1.0"

_ROOMS = ("annotation", "clustering", "datasets", "layers", "losses", "metrics", "networks")
_NAMES = (*methods.CLASSES, "load")

__all__ = [*_NAMES, *_ROOMS, "methods"]


def __getattr__(name: str):
    """The methods and rooms by name: each is imported when it is first used, for TensorFlow takes seconds."""
    if name in _NAMES:
        return getattr(methods, name)
    if name in _ROOMS:
        return importlib.import_module(f"deepcluster_tf.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
