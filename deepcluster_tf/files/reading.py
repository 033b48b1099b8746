"""Files that are checked when they are read: whatever is wrong is one line that names the file."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file is one line that names it."""
    try:
        yield
    except (
        OSError, ValueError, KeyError, EOFError, RuntimeError, RecursionError, csv.Error, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is missing or damaged ({reason}): restore it from git, or remove it") from error


def read_json(path: Path) -> dict:
    """Read a JSON file that holds an object.

    Raises:
        ValueError: it is missing or damaged; the message names it.
    """
    with _reading(path):
        content = json.loads(Path(path).read_text())
        if not isinstance(content, dict):
            raise ValueError("no object")
        return content


def read_csv(path: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read columns of numbers from a CSV file whose first row names them; an empty cell is NaN.

    Args:
        path: the file, such as a history; every line of it ends, and there is one at least under the names.
        columns: those to read; None: all of them. The others may hold anything.

    Returns:
        them in that order, each int64 or float64, to the last bit as they are written.

    Raises:
        ValueError: it is missing or damaged, lacks a column, or a cell is no number; the message names it.
    """
    with _reading(path), open(path, newline="", encoding="utf-8") as file:
        text = file.read()
        head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True) if text else [[]]
        columns = head if columns is None else list(columns)
        missing = [name for name in columns if head.count(name) != 1]
        if missing:
            raise ValueError(f"expected one column each for {', '.join(missing)}")
        if not rows or not text.endswith("\n") or any(len(row) != len(head) for row in rows):
            raise ValueError(f"expected rows of {len(head)} cells and a last line that ends")
        return pd.DataFrame({name: _numbers([row[head.index(name)] for row in rows]) for name in columns})


def _numbers(cells: list[str]) -> np.ndarray:
    """int64 where all are whole, or float64; pandas would round some."""
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        return np.array([float(cell or "nan") for cell in cells])


def read_npz(path: Path, names: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays from an `.npz` file, and no pickled objects.

    Args:
        path: the file.
        names: of arrays that must be there.

    Returns:
        all arrays by name.

    Raises:
        ValueError: it is missing or damaged, or lacks an array; the message names it.
    """
    with _reading(path), zipfile.ZipFile(path) as file:
        damaged = file.testzip()  # NumPy alone would not see an array whose shape lost some rows
        if damaged:
            raise ValueError(f"the checksum of {damaged} differs")
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        missing = [name for name in names if name not in found]
        if missing:
            raise ValueError(f"expected arrays {', '.join(missing)}")
        return found
