"""What a user may bring beside settings: networks and an optimizer of Keras."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np

from deepcluster_tf.fitting import checkpoints


def part(help: str):
    """A dataclass field that holds a user's own Keras object; None for the method's.

    Args:
        help: one line.
    """
    return dataclasses.field(default=None, metadata={"part": help}, repr=False)


def names(kind: type) -> list[str]:
    """The parts that a method takes."""
    return [field.name for field in dataclasses.fields(kind) if "part" in field.metadata]


def describe(given: object) -> str:
    """What a fit depends on of a part: its configuration and its weights, as a checksum, or an optimizer's name."""
    if isinstance(given, str):
        return given
    if isinstance(given, keras.Model):
        about, weights = given.get_config(), [np.ravel(each) for each in given.get_weights()]
    else:
        about, weights = keras.optimizers.serialize(given), []
    text = json.dumps(_without_names(about), sort_keys=True, default=str).encode()
    return checkpoints.digest(np.concatenate([np.frombuffer(text, np.uint8), *weights]))[:16]


def _without_names(about: object) -> object:
    """A configuration whose objects are called by their order: Keras counts their names up from one to the next."""
    found: dict[str, str] = {}

    def look(value):
        if isinstance(value, dict):
            if isinstance(value.get("name"), str):
                found.setdefault(value["name"], f"object {len(found)}")
            value = list(value.values())
        if isinstance(value, list | tuple):
            for each in value:
                look(each)

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(each) for each in value]
        return found.get(value, value) if isinstance(value, str) else value

    look(about)
    return renamed(about)


def require_optimizer(given: object) -> None:
    """Refuse what is no optimizer of Keras, nor None; raises ValueError."""
    try:
        if given is not None:
            keras.optimizers.get(given)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"optimizer must be one of Keras's, or its name, such as 'sgd', or None; received {given!r}"
        ) from error


def network(given: keras.Model, what: str, shape: tuple[int, ...], gives: tuple[int, ...] = ()) -> keras.Model:
    """A copy of a user's encoder or decoder, to be trained: the user's own stays as it is.

    Args:
        given: the model.
        what: "encoder" or "decoder".
        shape: of one input. gives: of one output, where it must be of one shape.

    Raises:
        ValueError: it is no Keras model that can be copied, or does not take such inputs, or give such outputs (an
            encoder: (n, d)).
    """
    expected = f"expected a functional or sequential Keras model of inputs (n, {', '.join(map(str, shape))})"
    if not isinstance(given, keras.Model):
        raise ValueError(f"{what} is a {type(given).__name__}: {expected}")
    try:
        if not given.built:
            given = keras.models.clone_model(given)
            given.build((None, *shape))
        takes = given.input_shape[1:]
        if len(takes) != len(shape) or any(mine not in (None, theirs) for mine, theirs in zip(takes, shape)):
            raise ValueError(f"it takes (n, {', '.join(map(str, takes))})")
        copied = _functional(keras.models.clone_model(given), shape)
        copied.set_weights(given.get_weights())
    except (ValueError, AttributeError, NotImplementedError) as error:
        raise ValueError(f"{what} {given.name}: {str(error).partition(chr(10))[0]}; {expected}") from error
    if what == "encoder" and (len(copied.output_shape) != 2 or copied.output_shape[1] is None):
        raise ValueError(
            f"encoder gives {copied.output_shape}: expected embeddings (n, d), as after pooling or Flatten"
        )
    if gives and any(mine not in (None, theirs) for mine, theirs in zip(copied.output_shape[1:], gives, strict=True)):
        raise ValueError(f"{what} gives {copied.output_shape}: expected {(None, *gives)}, which the images have")
    return copied


def _functional(model: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """A functional model of inputs of that very shape, with the same layers."""
    if not isinstance(model, keras.Sequential) and model.input_shape[1:] == shape:
        return model
    inputs = x = keras.Input(shape)
    for layer in model.layers if isinstance(model, keras.Sequential) else [model]:
        x = layer(x)
    return keras.Model(inputs, x, name=model.name)
