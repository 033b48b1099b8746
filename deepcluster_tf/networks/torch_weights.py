"""Tensors out of a PyTorch file of weights, by NumPy alone: nothing but tensors is unpickled, and no PyTorch needed."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of PyTorch's files before its version 1.6
DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


class _Storage(str):
    """The name of a kind of storage, which stands for PyTorch's class of that name."""


class _Tensor:
    """Where a tensor lies in a storage whose values come later in the file."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def of(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        values = storages[self.storage[1]][self.offset :]
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides))
        if self.offset < 0 or min(self.strides, default=0) < 0 or min(self.shape, default=1) < 1 or last >= len(values):
            raise ValueError("a tensor that does not lie inside its storage")
        steps = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values, self.shape, steps, writeable=False).copy()


class _Tensors(pickle.Unpickler):
    """An unpickler that knows dictionaries and tensors, and refuses all else before it is run."""

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in DTYPES:
            return _Storage(name)
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, saved):
        kind, storage, key, _, count, *_ = saved
        if kind != "storage" or not isinstance(storage, _Storage):
            raise pickle.UnpicklingError(f"{kind} is no storage")
        return storage, str(key), int(count)


def read_torch(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors of a state dictionary that PyTorch before 1.6 saved.

    Args:
        path: the `.pth` file, whose checksum the caller has compared.

    Returns:
        name -> array.

    Raises:
        ValueError: it is no such file, is damaged, or holds something else than tensors.
    """
    try:
        with open(path, "rb") as file:
            if (_Tensors(file).load(), _Tensors(file).load()) != (MAGIC, PROTOCOL):
                raise ValueError("no file of PyTorch before 1.6")
            _Tensors(file).load()  # of the machine that wrote it
            tensors = _Tensors(file).load()
            kinds = {tensor.storage[1]: tensor.storage for tensor in tensors.values()}
            storages = {str(key): _storage(file, *kinds[str(key)]) for key in _Tensors(file).load()}
        return {name: tensor.of(storages) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} holds no weights of PyTorch before 1.6 ({error}): expected the published file"
        ) from error


def _storage(file, kind: str, key: str, count: int) -> np.ndarray:
    size = np.dtype(DTYPES[kind]).itemsize * count
    (found,) = np.frombuffer(file.read(8), "<i8")
    content = file.read(size)
    if found != count or len(content) != size:
        raise ValueError(f"storage {key} is cut off")
    return np.frombuffer(content, DTYPES[kind])
