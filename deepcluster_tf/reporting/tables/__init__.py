"""Tables, made from recorded results alone: ours beside the paper's. A file a kind of table."""

from __future__ import annotations

import importlib
from pathlib import Path

from deepcluster_tf import experiments
from deepcluster_tf.experiments import TABLES, Table, results
from deepcluster_tf.files import replacing
from deepcluster_tf.reporting.tables.markdown import deviations, experiments_of, fill
from deepcluster_tf.reporting.tables.summary import summary

__all__ = ["deviations", "fill", "page", "summary", "write_all", "write_readme"]


def _kind(table: Table):
    """The module that shows such a table: its `frame`, its `page`, its rows of the README."""
    return importlib.import_module(f"{__name__}.{table.kind}")


def write_all(root: Path | None = None) -> list[Path]:
    """Write every table as Markdown and CSV under `results/tables`; returns the files."""
    folder = (root or results.ROOT) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in TABLES.items():
        written.append(folder / f"{name}.md")
        with replacing(written[-1]) as part:
            part.write_text(page(table, root))
        found = _kind(table).frame(table, root)
        # what is scored on other images has a file of its own: two such scores never stand in one column
        for scored, rows in found.groupby("scored") if "scored" in found else [("", found)]:
            written.append(folder / "-".join([name, *scored.split()]) if scored else folder / name)
            written[-1] = written[-1].with_suffix(".csv")
            with replacing(written[-1]) as part:
                rows.to_csv(part, index=False, float_format="%.6f")
    return written


def page(table: Table, root: Path | None = None) -> str:
    """A table for people, and where its figures are: their files begin with its name or with its experiments'."""
    of = [experiment.name for experiment in experiments_of(table)]
    drawn = ", ".join(f"`{each}*`" for each in dict.fromkeys([table.name, *of]))
    return f"{_kind(table).page(table, root)}\nFigures: [results/figures](../figures), {drawn}\n"


def write_readme(path: Path, root: Path | None = None) -> Path:
    """Bring the README's tables and deviations up to date with what is recorded; returns its path."""
    text = path.read_text()
    for name, table in TABLES.items():
        text = fill(text, f"table {name}", _kind(table).readme(table, root))
    methods = {}
    for experiment in experiments.EXPERIMENTS.values():
        methods.setdefault(experiment.method_class(), experiment.paper)
    said = [f"### {method.__name__} ({paper})\n\n" + "\n".join(deviations(method)) for method, paper in methods.items()]
    with replacing(path) as part:
        part.write_text(fill(text, "deviations", "\n\n".join(said)))
    return path
