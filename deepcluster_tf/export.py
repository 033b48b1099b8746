"""SavedModels that plain TensorFlow, and TensorFlow Serving, load without this package."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from deepcluster_tf.files import sweep
from deepcluster_tf.layers import portable
from deepcluster_tf.networks import to_unit

ROUNDING = 1e-6  # by which a float may miss 0..1 and still be a pixel's value
FILES = re.compile(r"(saved_model|fingerprint)\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})")
FOLDERS = re.compile(r"variables|assets")  # the latter empty: a method has none


class ImageModule(tf.Module):
    """Functions of batches of images, with the preprocessing inside: see `saved_model`."""

    def __init__(self, functions: dict, image_shape: tuple[int, int, int], parts: list, others: dict):
        super().__init__()
        # TensorFlow's own variables: its converters see no others, and would leave the weights out
        self.values = [variable.value for part in parts for variable in part.variables]
        self.signatures_ = {}
        for name, function in functions.items():
            traced = tf.function(_preprocessed(function))
            batches = inspect.signature(function).parameters
            for dtype, suffix in ((tf.float32, ""), (tf.uint8, "_uint8")):
                specs = [tf.TensorSpec((None, *image_shape), dtype, name=batch) for batch in batches]
                self.signatures_[name + suffix] = traced.get_concrete_function(*specs)
            setattr(self, "__call__" if name == "serving_default" else name, traced)
        for name, (function, specs) in others.items():
            traced = tf.function(function, input_signature=specs)
            self.signatures_[name] = traced.get_concrete_function()
            setattr(self, name, traced)


def _preprocessed(function: Callable) -> Callable:
    """The function of images of either kind and any number, which marks the rows of what is no image."""

    @functools.wraps(function)  # for the names of the inputs
    def preprocessed(*batches):
        sizes = [tf.shape(batch)[0] for batch in batches]
        units = [_some(to_unit(batch)) for batch in batches]
        pixels = [(unit >= -ROUNDING) & (unit <= 1 + ROUNDING) for unit in units]  # false for NaN
        fine = [tf.reduce_all(each, axis=(1, 2, 3), keepdims=True) for each in pixels]
        # blank in the place of what is no image, so that no kernel can spread it over the rows beside it
        outputs = function(*(tf.where(mask, unit, 0.0) for mask, unit in zip(fine, units)))
        return {name: _marked(output, fine)[tuple(map(slice, sizes))] for name, output in outputs.items()}

    return preprocessed


def _some(images):
    """The batch, or one blank image in the place of none, for which TensorFlow's convolutions fail (2.21, on a CPU)."""
    blank = tf.zeros((1, *images.shape[1:]))
    return tf.concat([images, blank[tf.shape(images)[0] :]], axis=0)


def _marked(output, fine: list):
    """The output with -1, or NaN, where it tells of what is no image: on its first axis, of a pair its second too."""
    mark = tf.constant(-1 if output.dtype.is_integer else float("nan"), output.dtype)
    for axis, mask in enumerate(fine):
        shape = [-1 if each == axis else 1 for each in range(output.shape.rank)]
        output = tf.where(tf.reshape(mask, shape), output, mark)
    return output


def saved_model(
    path: Path | str,
    functions: dict[str, Callable],
    image_shape: tuple[int, int, int],
    parts: list,
    others: dict[str, tuple[Callable, list[tf.TensorSpec]]] | None = None,
    names: tuple[str, ...] = (),
) -> None:
    """Write functions of images as a TensorFlow SavedModel.

    Each function becomes a signature of its name that takes `images`, float32 in 0..1, and another with `_uint8` behind
    the name that takes uint8 in 0..255; of a function of two batches each is an input by its parameter's name. The
    loaded object has the functions under their names too, and is itself `serving_default`; these take either.

    A batch may be empty. An image with a value that is no number, infinite, or outside 0..1 by more than 1e-6 spoils
    its own row alone: integers are -1 there and floats NaN (of a pair, its row or its column).

    Args:
        path: the SavedModel's folder; an earlier SavedModel there is replaced, if nothing else is in it.
        functions: name -> function of one or two batches, float32 (n, height, width, channels) in 0..1, that gives a
            dict of tensors (n, ...), of two batches (n, m, ...); one of them is "serving_default".
        image_shape: (height, width, channels).
        parts: the Keras layers and models that the functions use.
        others: name -> function of other inputs, with their specifications; each becomes one signature.
        names: of the clusters, "" where one has none; where given, `names` takes nothing and gives "names", text (k,).

    Raises:
        ValueError: the path is no folder, or one with something in it that no export writes.
        OSError: it cannot be written; what was there before is kept.
    """
    path = Path(path)
    _require_replaceable(path)
    others = {**(others or {}), **({"names": (lambda: {"names": tf.constant(names)}, [])} if names else {})}
    with portable():
        module = ImageModule(functions, image_shape, parts, others)
    with _replacing(path) as part:
        tf.saved_model.save(module, str(part), signatures=module.signatures_)


def _require_replaceable(path: Path) -> None:
    """Refuse a place where something else is than `saved_model` writes; raises ValueError."""
    if path.name in ("", ".."):
        raise ValueError(f"{path} is no name for a SavedModel: expected a folder of its own; name another")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ValueError(f"{path} exists and is no SavedModel, but a file or a link: name another folder")
    is_one = (path / "saved_model.pb").is_file()
    for inside in _contents(path):
        name = inside.relative_to(path).as_posix()
        pattern = FOLDERS if inside.is_dir() else FILES
        if not is_one or inside.is_symlink() or not pattern.fullmatch(name):
            raise ValueError(f"{path} exists and is no SavedModel alone, for {name} is in it: name another folder")


def _contents(path: Path) -> Iterator[Path]:
    """What is in a folder that may be a SavedModel, no deeper than one is; nothing where there is no folder."""
    for inside in sorted(path.iterdir()) if path.exists() else ():
        yield inside
        if inside.is_dir() and FOLDERS.fullmatch(inside.name):
            yield from sorted(inside.iterdir())


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Write a folder beside its place, under a name that nobody else has, and move it there once it is whole."""
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # its own may be as long as one can be
    prefix = f"part-{os.getpid()}-{name}-"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent, ignore_cleanup_errors=True) as beside:
            part, old = Path(beside, "new"), Path(beside, "old")
            yield part
            _require_replaceable(path)  # again, for the writing took seconds
            if path.exists():
                path.rename(old)
            try:
                part.rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
        sweep(path.parent, name)  # not before: a killed export may have left the only model in there
    except (OSError, UnicodeError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "message", None) or error
        raise OSError(
            f"{path} could not be written ({why}): what was there before is kept. Free some space, change the "
            "permissions, or name another folder"
        ) from error
