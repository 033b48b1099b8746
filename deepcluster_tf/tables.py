"""Tables, made from recorded results alone: ours beside the document's."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments, results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.files import replacing

DASH = "–"


def deviations(method: type) -> list[str]:
    """The numbered deviations from the document, out of the docstring of the method's module."""
    text = inspect.cleandoc(sys.modules[method.__module__].__doc__)
    lines = text.partition("Deviations from the document:\n")[2].splitlines()
    found = []
    for line in lines:
        if line[:1].isdigit():
            found.append(line.strip())
        elif found and line.startswith("   "):
            found[-1] += " " + line.strip()
    return found


def command(experiment: str, supervision: float, lam: float = 1.0, seed: int = 0) -> str:
    """The command that makes one row's result."""
    words = ["make", experiment, f"SUP={supervision:.10g}"]
    words += [f"LAMBDA={lam:.10g}"] if lam != 1 else []
    return " ".join(words + ([f"SEED={seed}"] if seed else []))


def summary(result: dict, experiment: Experiment) -> str:
    """One run in a few lines: every score, beside the document's where it prints one, with the difference."""
    scored, printed = result["metrics"], _printed(result, experiment)
    lines = [f"{experiment.name} {result['directory'].parent.name}, seed {result['seed']}, budget {result['budget']}"]
    width = max(map(len, scored), default=0) + 1
    lines.append(f"{'score':<{width}} {'ours':>8} {'document':>9} {'difference':>11}   over")
    for name, score in scored.items():
        paper = printed.get(name)
        beside = f"{paper:>9.4f} {score['value'] - paper:>+11.4f}" if paper is not None else f"{DASH:>9} {DASH:>11}"
        lines.append(f"{name:<{width}} {score['value']:>8.4f} {beside}   {score['protocol']}")
    if not scored:
        lines.append(f"no classes are known: clusters of {', '.join(map(str, result['cluster_sizes']))} images")
    end = "the stopping rule held" if result["converged"] else "iterations ran out"
    spent = {**result["seconds"]}
    if "autoencoder" in result:
        spent["pretraining before"] = result["autoencoder"]["seconds"]
    seconds = ", ".join(f"{phase} {value:,.0f} s" for phase, value in spent.items())
    lines.append(f"{result['iterations']:,} iterations ({end}); {seconds}")
    lines += [f"notice: {notice}" for notice in result["notices"]]
    lines.append(f"{'recorded' if result['fresh'] else 'recorded before'} in {result['directory']}")
    if not result["fresh"]:
        lines.append("FORCE=1 runs it again")
    return "\n".join(lines)


def _printed(result: dict, experiment: Experiment) -> dict:
    """The document's numbers for the settings of a run, by the names of our scores."""
    if not experiment.reference or result["budget"] != "paper":
        return {}
    rows, settings = results.reference()[experiment.reference]["rows"], result["settings"]
    if "supervision" in settings:
        return rows.get(f"{settings['supervision']:g}", {}) if settings["lam"] == 1 else {}
    return rows.get(result["directory"].parent.name, {})


def runs_of(experiment: Experiment, root: Path | None = None) -> list[dict]:
    """The recorded runs of an experiment at the document's settings, but for supervision, lambda and seed.

    A run from an autoencoder trained anew (`PRETRAIN=scratch`) is not among them: it repeats one that is.
    """
    defaults = experiment.method_class().defaults()
    same = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items() if k not in ("lam", "seed")}
    return [
        result
        for result in results.all_results(root)
        if result["experiment"] == experiment.name
        and not result["autoencoder"]["scratch"]
        and all(result["settings"][name] == value for name, value in same.items())
    ]


def supervision_table(experiment: Experiment, root: Path | None = None) -> pd.DataFrame:
    """ACC and NMI against the supervision, ours beside the document's (document 004, Table 1).

    Args:
        experiment: one whose reference has a row for each supervision level.
        root: the results folder.

    Returns:
        a row for each level and protocol, and for each further lambda that was run; in the columns, mean and
        standard deviation over the seeds. NaN where nothing is recorded, with the command that would fill it.
    """
    reference = results.reference(root)[experiment.reference]
    printed = reference["rows"]
    runs = runs_of(experiment, root)
    levels = {(float(level), 1.0) for level in printed} | {
        (row["supervision"], row["lam"]) for row in reference["also"]
    }
    levels |= {(r["settings"]["supervision"], r["settings"]["lam"]) for r in runs}
    rows = []
    for protocol, suffix in (("all images", ""), ("unsupervised images", "_unsupervised")):
        for supervision, lam in sorted(levels, key=lambda level: (level[0], -level[1])):
            of = [r for r in runs if (r["settings"]["supervision"], r["settings"]["lam"]) == (supervision, lam)]
            row = {"scored": protocol, "supervision": supervision, "lambda": lam, "seeds": len(of)}
            paper = printed.get(f"{supervision:g}", {}) if lam == 1 and not suffix else {}
            for name in ("acc", "nmi", "ari"):
                values = [r["metrics"][name + suffix]["value"] for r in of]
                row[name] = np.mean(values) if values else np.nan
                row[f"{name}_std"] = np.std(values, ddof=1) if len(values) > 1 else np.nan
                row[f"{name}_document"] = paper.get(name, np.nan)
                row[f"{name}_difference"] = row[name] - row[f"{name}_document"]
            row["iterations"] = np.mean([r["iterations"] for r in of]) if of else np.nan
            row["command"] = command(experiment.name, supervision, lam)
            rows.append(row)
    return pd.DataFrame(rows)


def _cell(value: float, std: float = np.nan, sign: str = "") -> str:
    if np.isnan(value):
        return DASH
    return f"{value:{sign}.4f}" + ("" if np.isnan(std) else f" ± {std:.4f}")


def supervision_markdown(experiment: Experiment, root: Path | None = None) -> str:
    """`supervision_table` for people: one table a protocol, the document's numbers, and the deviations below."""
    reference = results.reference(root)[experiment.reference]
    table = supervision_table(experiment, root)
    lines = [f"# {experiment.name}: {reference['table']} of document {reference['document']}", ""]
    for protocol, rows in table.groupby("scored", sort=False):
        all_images = protocol == "all images"
        lines += [
            f"## Scored on {reference['protocol'] if all_images else 'the images that are not supervised, alone'}",
            "",
        ]
        header = ["Supervision", "lambda"]
        for name in ("ACC", "NMI"):
            header += [f"{name} ours", f"{name} document", "difference"] if all_images else [f"{name} ours"]
        header += ["ARI ours", "seeds", "iterations", "budget", "command"]
        lines += ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        for row in rows.to_dict("records"):
            cells = [f"{100 * row['supervision']:g} %", f"{row['lambda']:g}"]
            for name in ("acc", "nmi"):
                cells.append(_cell(row[name], row[f"{name}_std"]))
                if all_images:
                    cells += [_cell(row[f"{name}_document"]), _cell(row[f"{name}_difference"], sign="+")]
            recorded = row["seeds"] > 0
            cells += [_cell(row["ari"], row["ari_std"]), str(row["seeds"]) if recorded else DASH]
            cells += [
                f"{row['iterations']:,.0f}" if recorded else DASH,
                "paper" if recorded else DASH,
                f"`{row['command']}`",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        "ACC matches clusters and classes one to one (eq. 7). Mean ± standard deviation where there are several seeds.",
        "",
    ]
    lines += ["Deviations from the document:", "", *deviations(experiment.method_class())]
    return "\n".join(lines) + "\n"


def readme_table(experiment: Experiment, root: Path | None = None) -> str:
    """The rows over all images at lambda 1, without the details: the README's table."""
    table = supervision_table(experiment, root)
    table = table[(table["scored"] == "all images") & (table["lambda"] == 1)]
    lines = ["| Supervision | ACC | document | difference | NMI | document | difference | seeds |", "|" + " --- |" * 8]
    for row in table.to_dict("records"):
        cells = [f"{100 * row['supervision']:g} %"]
        for name in ("acc", "nmi"):
            cells += [_cell(row[name], row[f"{name}_std"]), _cell(row[f"{name}_document"])]
            cells.append(_cell(row[f"{name}_difference"], sign="+"))
        lines.append("| " + " | ".join([*cells, str(row["seeds"] or DASH)]) + " |")
    return "\n".join(lines)


def fill(text: str, marker: str, content: str) -> str:
    """Put content between the comment that begins with `marker` and the next end comment of a Markdown text."""
    head, start, rest = text.partition(f"<!-- {marker}:")
    comment, end, tail = rest.partition("<!-- end -->")
    if not end:
        raise ValueError(
            f"expected the comments '<!-- {marker}: ... -->' and '<!-- end -->'; received a text without them"
        )
    return f"{head}{start}{comment.partition('-->')[0]}-->\n{content}\n{end}{tail}"


def write_all(root: Path | None = None) -> list[Path]:
    """Write every table as Markdown and CSV under `results/tables`; returns the files."""
    root = root or results.ROOT
    folder = root / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for experiment in experiments.EXPERIMENTS.values():
        if experiment.reference:
            written += [folder / f"{experiment.name}.md", folder / f"{experiment.name}.csv"]
            with replacing(written[-2]) as part:
                part.write_text(supervision_markdown(experiment, root))
            with replacing(written[-1]) as part:
                supervision_table(experiment, root).to_csv(part, index=False, float_format="%.6f")
    return written


def write_readme(path: Path, root: Path | None = None) -> Path:
    """Bring the README's tables and deviations up to date with what is recorded; returns its path."""
    text = path.read_text()
    methods = {}
    for experiment in experiments.EXPERIMENTS.values():
        methods[experiment.method_class()] = experiment.document
        if experiment.reference:
            text = fill(text, f"table {experiment.name}", readme_table(experiment, root))
    said = [f"### {m.__name__} (document {number})\n\n" + "\n".join(deviations(m)) for m, number in methods.items()]
    with replacing(path) as part:
        part.write_text(fill(text, "deviations", "\n\n".join(said)))
    return path
