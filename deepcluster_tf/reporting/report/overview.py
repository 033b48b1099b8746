"""One page of all that is recorded: a table a paper with its verdicts, figures, every run, and the runs' curves."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections import defaultdict
from pathlib import Path

from markdown_it import MarkdownIt

from deepcluster_tf import experiments
from deepcluster_tf.experiments import TABLES, Row, Table, again, results, running
from deepcluster_tf.files import sweep
from deepcluster_tf.reporting import tables
from deepcluster_tf.reporting.report import pages
from deepcluster_tf.reporting.tables.markdown import experiments_of

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_VERDICT = re.compile(r": (confirmed|refuted) \(")
_SCORES = ("acc", "nmi", "ari")


def write(root: Path | None = None) -> Path:
    """Write the page, what its curves are drawn from, and the reference of the package; returns the page.

    Args:
        root: the results folder; the page lies in its `report`.
    """
    root = root or results.ROOT
    folder, runs = root / "report", results.all_results(root)
    sweep(folder)
    pages.put_script(folder)
    found = {_place(run): pages.curves(run["directory"], run["iterations"]) for run in runs}
    here = [_place(run) for run in runs if (run["directory"] / "report" / "index.html").exists()]
    pages.write_data(folder / "curves.js", "recorded", {"curves": found, "here": here})
    _write_reference(folder / "api")
    return pages.write_text(folder / "index.html", page(root))


def page(root: Path | None = None) -> str:
    """The page alone, made from what is committed: the same on every machine."""
    root = root or results.ROOT
    runs, rows = results.all_results(root), _rows_of_runs()
    papers = defaultdict(list)
    for name, table in TABLES.items():
        papers[table.paper].append(
            {"name": name, "html": _html(tables.page(table, root)), "figures": _figures(table, root)}
        )
    shown = {figure["file"] for of in papers.values() for table in of for figure in table["figures"]}
    return pages.render(
        "overview.html",
        others=[figure for figure in _drawn(root) if figure["file"] not in shown],
        papers=[{"cite": experiments.paper(name).cite(), "name": name, "tables": of} for name, of in papers.items()],
        runs=[_line(run, rows[_place(run).rpartition("/")[0]]) for run in runs],
        tables=list(TABLES),
    )


def _place(run: dict) -> str:
    """experiment/variant/seed-n."""
    return "/".join(run["directory"].parts[-3:])


def _html(text: str) -> str:
    """A table's page for a browser: what is text in it stays text; headings one level down, verdicts marked."""
    text = text.partition("\n")[2]  # its first line is its name, which stands above
    text = text.partition("\nFigures:")[0]  # which stand below it
    html = _MARKDOWN.render(re.sub(r"^## ", "#### ", text, flags=re.MULTILINE))
    return _VERDICT.sub(r': <strong class="\1">\1</strong> (', html)


def _figures(table: Table, root: Path) -> list[dict[str, str]]:
    """The figures of a table, found by their names, as its page says."""
    named = tuple(dict.fromkeys([table.name, *(f"{experiment.name}-" for experiment in experiments_of(table))]))
    return [figure for figure in _drawn(root) if figure["file"].startswith(named)]


def _drawn(root: Path) -> list[dict[str, str]]:
    """The files of all figures, and what they show."""
    files = sorted(path.name for path in (root / "figures").glob("*.png"))
    return [{"file": name, "alt": name.removesuffix(".png").replace("-", " ")} for name in files]


def _rows_of_runs() -> dict[str, list[tuple[str, Row]]]:
    """experiment/variant -> the rows that show it, each with its table's name."""
    found = defaultdict(list)
    for name, table in TABLES.items():
        for row in (*table.rows, *table.drawn):
            found[f"{row.experiment}/{results.folder_name(running.variant_of(row))}"].append((name, row))
    return found


def _line(run: dict, rows: list[tuple[str, Row]]) -> dict:
    """What the list of runs says of one; its command is that of its row, for an early record has settings unused."""
    machine, versions = run["machine"], run["versions"]
    of_row = lambda row: experiments.get(row.experiment).command({**row.settings, **again.seed(run)})
    return {
        "place": _place(run),
        "rows": list(dict.fromkeys((name, row.label) for name, row in rows)),
        "scores": _headline(run["metrics"]),
        "minutes": f"{sum(run['seconds'].values()) / 60:.1f}",
        "date": run["date"],
        "machine": ", ".join([machine["processor"], f"{machine['cores']} cores", *machine["gpus"]]),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": run["git_commit"] or "",
        "settings": ", ".join(f"{name} {_said(value)}" for name, value in run["settings"].items()),
        "notices": run["notices"],
        "command": of_row(rows[0][1]) if rows else again.command(run),
    }


def _headline(metrics: dict) -> str:
    """The scores by which a run is known, in a line: ACC first, the clusterings that it compares in order."""
    plain = [name for name in (*_SCORES, "test_acc") if name in metrics]
    shown = plain or [name for name in metrics if re.match(r"acc_(?!random|initial|unsupervised)", name)]
    return ", ".join(f"{name} {metrics[name]['value']:.4f}" for name in shown)


def _said(value: object) -> str:
    return "×".join(map(str, value)) if isinstance(value, list) else str(value)


def _write_reference(folder: Path) -> None:
    """The reference of the package, from its docstrings."""
    import pdoc
    import pdoc.render

    for name in ("deepcluster_tf", "deepcluster_tf.methods"):
        module = importlib.import_module(name)  # its names come when they are asked for, which pdoc does not do
        vars(module).update({name: getattr(module, name) for name in module.__all__})
    pdoc.render.configure(docformat="google", footer_text="deepcluster_tf")
    with contextlib.redirect_stderr(io.StringIO()):
        pdoc.pdoc("deepcluster_tf", output_directory=folder)
