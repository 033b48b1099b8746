"""Scores against the supervision, ours beside the document's (document 004, Table 1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.tables import markdown
from deepcluster_tf.tables.markdown import DASH, cell


def command(experiment: str, supervision: float, lam: float = 1.0, seed: int = 0) -> str:
    """The command that makes one row's result."""
    words = ["make", experiment, f"SUP={supervision:.10g}"]
    words += [f"LAMBDA={lam:.10g}"] if lam != 1 else []
    return " ".join(words + ([f"SEED={seed}"] if seed else []))


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
        and all(result["settings"].get(name, value) == value for name, value in same.items())
    ]


def table(experiment: Experiment, root: Path | None = None) -> pd.DataFrame:
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


def page(experiment: Experiment, root: Path | None = None) -> str:
    """`table` for people: one table a protocol, the document's numbers, and the deviations below."""
    reference = results.reference(root)[experiment.reference]
    found = table(experiment, root)
    lines = [f"# {experiment.name}: {reference['table']} of document {reference['document']}", ""]
    for protocol, of in found.groupby("scored", sort=False):
        all_images = protocol == "all images"
        lines += [
            f"## Scored on {reference['protocol'] if all_images else 'the images that are not supervised, alone'}",
            "",
        ]
        header = ["Supervision", "lambda"]
        for name in ("ACC", "NMI"):
            header += [f"{name} ours", f"{name} document", "difference"] if all_images else [f"{name} ours"]
        header += ["ARI ours", "seeds", "iterations", "budget", "command"]
        lines.append(markdown.rows(header, [_cells(row, all_images) for row in of.to_dict("records")]))
        lines.append("")
    lines += [
        "ACC matches clusters and classes one to one (eq. 7). Mean ± standard deviation where there are several seeds.",
        "",
    ]
    lines += ["Deviations from the document:", "", *markdown.deviations(experiment.method_class())]
    return "\n".join(lines) + "\n"


def _cells(row: dict, all_images: bool) -> list[str]:
    cells = [f"{100 * row['supervision']:g} %", f"{row['lambda']:g}"]
    for name in ("acc", "nmi"):
        cells.append(cell(row[name], row[f"{name}_std"]))
        if all_images:
            cells += [cell(row[f"{name}_document"]), cell(row[f"{name}_difference"], sign="+")]
    recorded = row["seeds"] > 0
    cells += [cell(row["ari"], row["ari_std"]), str(row["seeds"]) if recorded else DASH]
    cells += [f"{row['iterations']:,.0f}" if recorded else DASH, "paper" if recorded else DASH]
    return [*cells, f"`{row['command']}`"]


def readme(experiment: Experiment, root: Path | None = None) -> str:
    """The rows over all images at lambda 1, without the details: the README's table."""
    found = table(experiment, root)
    found = found[(found["scored"] == "all images") & (found["lambda"] == 1)]
    header = ["Supervision", "ACC", "document", "difference", "NMI", "document", "difference", "seeds"]
    cells = []
    for row in found.to_dict("records"):
        cells.append([f"{100 * row['supervision']:g} %"])
        for name in ("acc", "nmi"):
            cells[-1] += [cell(row[name], row[f"{name}_std"]), cell(row[f"{name}_document"])]
            cells[-1].append(cell(row[f"{name}_difference"], sign="+"))
        cells[-1].append(str(row["seeds"] or DASH))
    return markdown.rows(header, cells)
