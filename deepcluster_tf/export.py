"""SavedModels that plain TensorFlow, and TensorFlow Serving, load without this package."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from deepcluster_tf.networks import to_unit


class ImageModule(tf.Module):
    """Functions of images, with the preprocessing inside: uint8 in 0..255 or float32 in 0..1, any number of images."""

    def __init__(self, functions: dict, image_shape: tuple[int, int, int], parts: list, others: dict):
        super().__init__()
        self.parts = parts  # whose variables are saved
        self.signatures_ = {}
        for name, function in functions.items():
            traced = tf.function(_preprocessed(function))
            for dtype, suffix in ((tf.float32, ""), (tf.uint8, "_uint8")):
                spec = tf.TensorSpec((None, *image_shape), dtype, name="images")
                self.signatures_[name + suffix] = traced.get_concrete_function(spec)
            setattr(self, "__call__" if name == "serving_default" else name, traced)
        for name, (function, specs) in others.items():
            traced = tf.function(function, input_signature=specs)
            self.signatures_[name] = traced.get_concrete_function()
            setattr(self, name, traced)


def _preprocessed(function: Callable) -> Callable:
    return lambda images: function(to_unit(images))


def saved_model(
    path: Path | str,
    functions: dict[str, Callable],
    image_shape: tuple[int, int, int],
    parts: list,
    others: dict[str, tuple[Callable, list[tf.TensorSpec]]] | None = None,
) -> None:
    """Write functions of images as a TensorFlow SavedModel.

    Each function becomes a signature of its name that takes `images`, float32 in 0..1, and another with `_uint8` behind
    the name that takes uint8 in 0..255. The loaded object has the functions under their names too, and is itself
    `serving_default`; these take either.

    Args:
        path: the SavedModel's folder; an earlier SavedModel there is replaced.
        functions: name -> function of float32 (n, height, width, channels) in 0..1 that gives a dict of tensors; one
            of them is "serving_default".
        image_shape: (height, width, channels).
        parts: the Keras layers and models that the functions use.
        others: name -> function of other inputs, with their specifications; each becomes one signature.

    Raises:
        ValueError: the path exists and is no SavedModel.
    """
    path = Path(path)
    if path.exists() and not (path / "saved_model.pb").exists() and (path.is_file() or any(path.iterdir())):
        raise ValueError(f"{path} exists and is no SavedModel: expected a new folder; name another")
    module = ImageModule(functions, image_shape, parts, others or {})
    part = path.with_name(f"part-{path.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    tf.saved_model.save(module, str(part), signatures=module.signatures_)
    old = path.with_name(f"part-old-{path.name}")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    part.rename(path)
    shutil.rmtree(old, ignore_errors=True)
