"""The methods, a file each; imported when they are first used."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` gives, for those who read types
    from deepcluster_tf.methods.autoencoder import Autoencoder as Autoencoder
    from deepcluster_tf.methods.base import Method
    from deepcluster_tf.methods.control import Control as Control
    from deepcluster_tf.methods.dcec import DCEC as DCEC
    from deepcluster_tf.methods.dec import DEC as DEC
    from deepcluster_tf.methods.deepcluster import DeepCluster as DeepCluster
    from deepcluster_tf.methods.fixmatch import FixMatch as FixMatch
    from deepcluster_tf.methods.frozen import Frozen as Frozen
    from deepcluster_tf.methods.raw import Raw as Raw
    from deepcluster_tf.methods.scan import SCAN as SCAN
    from deepcluster_tf.methods.siamese import Siamese as Siamese
    from deepcluster_tf.methods.vae import VAE as VAE

CLASSES = {
    "Autoencoder": "autoencoder",
    "Control": "control",
    "DCEC": "dcec",
    "DEC": "dec",
    "DeepCluster": "deepcluster",
    "FixMatch": "fixmatch",
    "Frozen": "frozen",
    "Raw": "raw",
    "SCAN": "scan",
    "Siamese": "siamese",
    "VAE": "vae",
}

__all__ = [*CLASSES, "load"]


def __getattr__(name: str):
    if name not in CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{CLASSES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *CLASSES])


def load(path: Path | str) -> Method:
    """A fitted method from the file that its `save` wrote, ready for `transform`, `predict` and `export`.

    Reading the file runs no code of it. What a fit leaves behind that is no part of the model (`labels_`, `history_`)
    is not in it; pickle keeps that too.

    Args:
        path: the `.weights.h5` file.

    Raises:
        ValueError: it is missing or damaged, does not say what it is, or is of a method that is not known here.
    """
    from deepcluster_tf.fitting import checkpoints
    from deepcluster_tf.methods.base import Method

    about = checkpoints.read_about(path)
    if not about:
        raise ValueError(
            f"{path} does not say of which method it is: expected a file that save wrote. A method's own load takes "
            "weights without it, with the shape of the images"
        )
    name = about.get("method")
    mine = {kind.__name__: kind for kind in _below(Method)}  # a user's own, once it is imported
    if name not in CLASSES and name not in mine:
        raise ValueError(
            f"{path} is of the method {name}: expected one of {', '.join(CLASSES)}, or one imported before"
        )
    kind = mine.get(name) or __getattr__(name)
    if own := about.get("own"):
        how = ", ".join(f"{each}={each}" for each in own)
        raise ValueError(f"{path} is of a user's own {' and '.join(own)}: expected {name}({how}, ...).load(path)")
    if about["settings"].get("backbone") == "own":
        raise ValueError(
            f"{path} is of a backbone of one's own, which is not in it: expected "
            f"{name}(...).with_backbone(network).load(path)"
        )
    try:
        method = kind(**about["settings"])
        method.check_settings()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} has settings that no {name} has: expected a file of this version ({error})"
        ) from error
    return method.load(path)


def _below(kind: type) -> list[type]:
    return [each for direct in kind.__subclasses__() for each in (direct, *_below(direct))]
