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
from typing import TYPE_CHECKING

from deepcluster_tf import methods

if TYPE_CHECKING:  # what `__getattr__` gives, for those who read types
    from deepcluster_tf.methods import DCEC as DCEC
    from deepcluster_tf.methods import DEC as DEC
    from deepcluster_tf.methods import SCAN as SCAN
    from deepcluster_tf.methods import VAE as VAE
    from deepcluster_tf.methods import Autoencoder as Autoencoder
    from deepcluster_tf.methods import Control as Control
    from deepcluster_tf.methods import DeepCluster as DeepCluster
    from deepcluster_tf.methods import FixMatch as FixMatch
    from deepcluster_tf.methods import Frozen as Frozen
    from deepcluster_tf.methods import Raw as Raw
    from deepcluster_tf.methods import Siamese as Siamese
    from deepcluster_tf.methods import load as load

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
