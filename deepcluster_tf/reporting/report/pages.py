"""What the pages share: templates, whose values are text and never markup, and data for their scripts."""

from __future__ import annotations

import base64
import json
import shutil
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from deepcluster_tf.files import replacing
from deepcluster_tf.reporting.figures.style import COLOURS

HERE = resources.files(__package__) / "page"
SCRIPT = "plotly.min.js"  # which draws; megabytes, so that it lies beside a page and is not committed
_POINTS = 400  # of a curve; a longer one is thinned


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


def curves(directory: Path) -> dict[str, dict[str, list]]:
    """The histories of a run: the name of each -> its columns, thinned where they are long; None where a value is none.

    Args:
        directory: the run's folder.
    """
    found = {}
    for path in sorted(directory.glob("*.csv")):
        table = pd.read_csv(path)
        if "iteration" not in table:  # a list of something else, such as of clusters
            continue
        rows = np.unique(np.linspace(0, len(table) - 1, _POINTS).round().astype(int)) if len(table) else []
        numbers = table.iloc[rows].select_dtypes("number")
        found[path.stem] = {
            name: [None if not np.isfinite(value) else float(f"{value:.5g}") for value in column]
            for name, column in numbers.items()
        }
    return found
