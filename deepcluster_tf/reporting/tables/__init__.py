"""Tables, made from recorded results alone: ours beside the paper's. A file a kind of table."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

from deepcluster_tf import experiments
from deepcluster_tf.experiments import TABLES, Table, results
from deepcluster_tf.files import replacing, sweep
from deepcluster_tf.reporting.tables import counting, times
from deepcluster_tf.reporting.tables.markdown import deviations, experiments_of, fill, outdated
from deepcluster_tf.reporting.tables.summary import summary

__all__ = ["deviations", "fill", "page", "summary", "write_all", "write_pages"]


def _kind(table: Table):
    """The module that shows such a table: its `frame`, its `page`, its rows of the README."""
    return importlib.import_module(f"{__name__}.{table.kind}")


def write_all(root: Path | None = None) -> list[Path]:
    """Write every table as Markdown and CSV under `results/tables`; returns the files."""
    folder = (root or results.ROOT) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
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
    said = outdated(table, root)
    due = f"\n{said}\n" if said else ""
    return f"{_kind(table).page(table, root)}{due}\nFigures: [results/figures](../figures), {drawn}\n"


def write_pages(readme: Path, root: Path | None = None) -> list[Path]:
    """Bring the README and the pages beside the results up to date with what is recorded; returns their files.

    A page is any Markdown file in the results folder or in its `methods` and `guides`. Where it has a comment such as
    `<!-- table fashion-dcec: ... -->`, what stands until the comment `<!-- end -->` is written anew: a table in brief,
    the deviations of a method by the name of its file, the commands that there are, how long the experiments took, or
    how many clusters were counted.

    Args:
        readme: the README.
        root: the results folder.

    Raises:
        ValueError: a comment names nothing that there is, or has no end; the message names the file.
    """
    root = root or results.ROOT
    pages = [readme, *sorted(page for folder in ("", "methods", "guides") for page in (root / folder).glob("*.md"))]
    for path in pages:
        sweep(path.parent, path.name)
        text = before = path.read_text()
        for what, name in re.findall(r"<!-- (table|deviations|commands|times|counted) ?([\w-]*):", before):
            content = _contents(root).get(f"{what} {name}".strip())
            if content is None or "<!-- end -->" not in before:
                raise ValueError(
                    f"{path}: expected the comment of a table, a method or times, and its end; received {what} {name}"
                )
            text = fill(text, f"{what} {name}".strip(), content())
        if text != before:
            with replacing(path) as part:
                part.write_text(text)
    return pages


def _brief(table: Table, root: Path) -> str:
    """A table's rows alone, and below them which are of other settings than now."""
    return "\n\n".join(filter(None, (_kind(table).readme(table, root), outdated(table, root))))


def _contents(root: Path) -> dict[str, Callable[[], str]]:
    """What a page's comment may ask for -> what makes it."""
    found = {f"table {name}": lambda table=table: _brief(table, root) for name, table in TABLES.items()}
    for method in {experiment.method_class() for experiment in experiments.EXPERIMENTS.values()}:
        name = method.__module__.rpartition(".")[2]
        found[f"deviations {name}"] = lambda method=method: "\n".join(deviations(method))
    others = {"commands": times.commands, "times": times.readme, "counted": counting.readme}
    return found | {name: lambda make=make: make(root) for name, make in others.items()}
