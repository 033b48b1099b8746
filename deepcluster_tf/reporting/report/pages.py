"""What the pages share: templates, whose values are text and never markup, and data for their scripts."""

from __future__ import annotations

import base64
import json
import shutil
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np

from deepcluster_tf.files import read_csv, replacing
from deepcluster_tf.reporting.figures.style import COLOURS

HERE = resources.files(__package__) / "page"
SCRIPT = "plotly.min.js"  # which draws; megabytes, so that it lies beside a page and is not committed
_POINTS = 400  # of a curve; a longer one is thinned
_HISTORIES = ("history", "readings", "curve", "clustering", "self-labelling")  # how those of a run are called
_COLUMNS = ("iteration", "seconds", "training_seconds")  # of each of them, beside the epoch


def render(template: str, **values) -> str:
    """A page out of a template of `page/`, its style and scripts within it.

    Args:
        template: the file's name.
        values: of the template; text is escaped, whatever is in it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (HERE / name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values, script=SCRIPT, colours=COLOURS)


def write_text(path: Path, text: str) -> Path:
    """Write a file that is whole at every moment; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(text, "utf-8")
    return path


def write_data(path: Path, name: str, values: object) -> Path:
    """Write what a page's script reads, as a script itself: from the disk, a browser reads no other file."""
    said = json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return write_text(path, f'"use strict";\nwindow.{name} = {said};\n')


def put_script(folder: Path) -> None:
    """Lay the plotting library beside a page."""
    import plotly  # here: the page without it is made too

    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / SCRIPT) as part:
        shutil.copyfile(resources.files(plotly) / "package_data" / SCRIPT, part)


def packed(values: np.ndarray, kind: str) -> dict[str, str]:
    """An array as a script unpacks it: its numbers, little-endian, in base 64.

    Args:
        values: of any shape.
        kind: of NumPy, such as "uint16".
    """
    raw = np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<"))
    return {"kind": kind, "base64": base64.b64encode(raw.tobytes()).decode("ascii")}


def curves(directory: Path, iterations: int | None = None) -> dict[str, dict[str, list]]:
    """The histories of a run: the name of each -> its columns, thinned where they are long; None where a value is none.

    Args:
        directory: the run's folder; what else lies in it, such as a list of clusters, is passed over.
        iterations: where its `history.csv` ends; None: anywhere.

    Raises:
        ValueError: a history is damaged; the message names it.
    """
    found = {}
    for path in filter(_is_history, sorted(directory.glob("*.csv"))):
        _require_whole(path, iterations if path.stem == "history" else None)
        table = read_csv(path)
        rows = np.unique(np.linspace(0, len(table) - 1, _POINTS).round().astype(int))
        found[path.stem] = {
            name: [None if not np.isfinite(value) else float(f"{value:.5g}") for value in column]
            for name, column in table.iloc[rows].items()
        }
    return found


def _is_history(path: Path) -> bool:
    """Whether a CSV is a history, or was one: by its name, or by two of the columns that no other has."""
    if not path.is_file():
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        head = set(file.readline(10_000).strip().split(","))
    return path.stem in _HISTORIES or len(head & set(_COLUMNS)) > 1


def _require_whole(path: Path, iterations: int | None) -> None:
    """Refuse a history that lacks a column that all have, or a row between or at the end; raises ValueError."""
    table = read_csv(path, ("epoch", *_COLUMNS))
    gaps = np.diff(table["epoch"], prepend=0)  # in epochs: the first row may be of none
    longest = min(1.0001, 1.99 * gaps[gaps > 0].min(initial=1))  # an epoch; the gap at its end is less than two others
    whole = (gaps[1:] > 0).all() and gaps.min() >= 0 and gaps.max() <= longest
    if not whole or iterations not in (None, table["iteration"].iloc[-1]):
        raise ValueError(f"{path} is missing or damaged (rows are missing): restore it from git, or remove it")
