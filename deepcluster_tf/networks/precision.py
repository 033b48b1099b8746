"""Networks that compute with 16 bits where Keras's policy asks for it, and answer with 32."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator

import keras

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
_asked = contextvars.ContextVar("precision", default="")  # "": what Keras's own policy says


def precision() -> str:
    """The policy under which networks are built: of `mixed` where that is given, else Keras's own."""
    return _asked.get() or keras.config.dtype_policy().name


@contextlib.contextmanager
def mixed(policy: str = "") -> Iterator[None]:
    """Have networks built under a policy of Keras, and nothing beside them: losses and clusters keep 32 bits.

    Args:
        policy: one of `POLICIES`; "" for what holds already, which is Keras's own policy at first.

    Raises:
        ValueError: another policy.
    """
    usual, policy = keras.config.dtype_policy(), policy or precision()
    if policy not in POLICIES:
        raise ValueError(f"the precision must be one of {', '.join(POLICIES)}; received {policy!r}")
    token = _asked.set(policy)
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        _asked.reset(token)
        keras.config.set_dtype_policy(usual)


def in_precision(builder: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """A builder of networks whose layers follow `precision`; what goes in and comes out is float32."""

    @functools.wraps(builder)
    def build(*args, **how) -> keras.Model:
        policy, usual = precision(), keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return to_float32(builder(*args, **how))
        finally:
            keras.config.set_dtype_policy(usual)

    return build


def to_float32(network: keras.Model) -> keras.Model:
    """A network with outputs of 32 bits: itself, if they are."""
    outputs = keras.tree.flatten(network.output)
    if all(output.dtype == "float32" for output in outputs):
        return network
    found = [keras.layers.Activation("linear", dtype="float32", name=f"float32_{i}")(x) for i, x in enumerate(outputs)]
    return keras.Model(network.input, keras.tree.pack_sequence_as(network.output, found), name=network.name)
