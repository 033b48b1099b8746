"""Tables, made from recorded results alone: ours beside the document's."""

from __future__ import annotations

from pathlib import Path

from deepcluster_tf import experiments, results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.files import replacing
from deepcluster_tf.tables import annotation, clusterings, encodings, supervision
from deepcluster_tf.tables.markdown import deviations, fill
from deepcluster_tf.tables.summary import summary

__all__ = ["KINDS", "deviations", "fill", "referenced", "summary", "write_all", "write_readme"]

KINDS = {  # a reference's table, page and README rows
    "fashion-dcec": supervision,
    "fashion-encodings": encodings,
    "mnist-vae": annotation,
    "cifar-encodings": clusterings,
}


def referenced() -> dict[str, Experiment]:
    """The references that have a table, each with the first experiment that names it."""
    found = {}
    for experiment in experiments.EXPERIMENTS.values():
        if experiment.reference:
            found.setdefault(experiment.reference, experiment)
    return found


def write_all(root: Path | None = None) -> list[Path]:
    """Write every table as Markdown and CSV under `results/tables`; returns the files."""
    folder = (root or results.ROOT) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, experiment in referenced().items():
        written.append(folder / f"{name}.md")
        with replacing(written[-1]) as part:
            part.write_text(page(name, root))
        found = KINDS[name].table(experiment, root)
        # what is scored on other images has a file of its own: two such scores never stand in one column
        for scored, rows in found.groupby("scored") if "scored" in found else [("", found)]:
            written.append(folder / "-".join([name, *scored.split()]) if scored else folder / name)
            written[-1] = written[-1].with_suffix(".csv")
            with replacing(written[-1]) as part:
                rows.to_csv(part, index=False, float_format="%.6f")
    return written


def page(name: str, root: Path | None = None) -> str:
    """A table for people, and where its figures are: their files begin with its name or with its experiments'."""
    of = [each.name for each in experiments.EXPERIMENTS.values() if each.reference == name]
    drawn = ", ".join(f"`{each}*`" for each in dict.fromkeys([name, *of]))
    return f"{KINDS[name].page(referenced()[name], root)}\nFigures: [results/figures](../figures), {drawn}\n"


def write_readme(path: Path, root: Path | None = None) -> Path:
    """Bring the README's tables and deviations up to date with what is recorded; returns its path."""
    text = path.read_text()
    for name, experiment in referenced().items():
        text = fill(text, f"table {name}", KINDS[name].readme(experiment, root))
    methods = {}
    for experiment in experiments.EXPERIMENTS.values():
        methods.setdefault(experiment.method_class(), experiment.document)
    said = [f"### {m.__name__} (document {number})\n\n" + "\n".join(deviations(m)) for m, number in methods.items()]
    with replacing(path) as part:
        part.write_text(fill(text, "deviations", "\n\n".join(said)))
    return path
