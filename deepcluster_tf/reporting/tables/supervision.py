"""Scores against the supervision, ours beside the paper's (SDCEC, Table 1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Table, results
from deepcluster_tf.files import read_csv
from deepcluster_tf.reporting.tables import claims, markdown
from deepcluster_tf.reporting.tables.markdown import DASH, cell


def runs_of(of: Table, root: Path | None = None) -> list[dict]:
    """The recorded runs of the table's experiment at the paper's settings, but for supervision, the weights of the
    losses and seed.

    A run from an autoencoder trained anew (`PRETRAIN=scratch`) is not among them, for it repeats one that is, nor one
    with 16 bits.
    """
    experiment = experiments.get(of.rows[0].experiment)
    defaults = experiment.method_class().defaults()
    same = {
        k: list(v) if isinstance(v, tuple) else v
        for k, v in defaults.items()
        if k not in ("lam", "reconstruction", "seed")
    }
    return [
        result
        for result in results.all_results(root)
        if result["experiment"] == experiment.name
        and not result["autoencoder"]["scratch"]
        and "supervision" in result["settings"]
        and "precision" not in result["settings"]
        and all(result["settings"].get(name, value) == value for name, value in same.items())
    ]


def frame(of: Table, root: Path | None = None) -> pd.DataFrame:
    """ACC and NMI against the supervision, ours beside the paper's (SDCEC, Table 1).

    Args:
        of: whose rows are supervision levels, some with other weights of the losses.
        root: the results folder.

    Returns:
        a row for each level and protocol, and for each other weighting that was run; in the columns, mean and
        standard deviation over the seeds. NaN where nothing is recorded, with the command that would fill it.
    """
    printed, runs = results.reference()[of.name], runs_of(of, root)
    declared = {_level(row.settings): row for row in of.rows}
    levels = declared.keys() | {_level(r["settings"]) for r in runs}
    rows = []
    for protocol, suffix in (("all images", ""), ("unsupervised images", "_unsupervised")):
        for level in sorted(levels, key=lambda level: (level[0], -level[1], -level[2])):
            found = [r for r in runs if _level(r["settings"]) == level]
            named = dict(zip(("supervision", "lambda", "reconstruction"), level))
            row = {"scored": protocol, **named, "seeds": len(found)}
            known = declared.get(level)
            paper = printed.get(known.printed, {}) if known and not suffix else {}
            for name in ("acc", "nmi", "ari"):
                row |= results.mean_and_std([r["metrics"][name + suffix]["value"] for r in found], name)
                row[f"{name}_document"] = paper.get(name, np.nan)
                row[f"{name}_difference"] = row[name] - row[f"{name}_document"]
            row["minutes"] = np.mean([_minutes(r) for r in found]) if found else np.nan
            stood = [minutes_until(r, row["acc_document"]) for r in found] if not suffix else []
            row["minutes_until_document"] = np.mean(stood) if stood else np.nan  # NaN where a seed does not get there
            row["iterations"] = np.mean([r["iterations"] for r in found]) if found else np.nan
            weights = {"lam": named["lambda"], "reconstruction": named["reconstruction"]}
            settings = {"supervision": level[0], **{name: value for name, value in weights.items() if value != 1}}
            row["command"] = experiments.get(of.rows[0].experiment).command(settings)
            rows.append(row)
    return pd.DataFrame(rows)


def _level(settings: dict) -> tuple[float, float, float]:
    """Supervision, lambda and the reconstruction's weight."""
    return settings["supervision"], settings.get("lam", 1.0), settings.get("reconstruction", 1.0)


def usual(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of `frame` over all images whose losses have the paper's weights."""
    return found[(found["scored"] == "all images") & (found["lambda"] == 1) & (found["reconstruction"] == 1)]


def _minutes(run: dict) -> float:
    """Of clustering, without the autoencoder."""
    return run["seconds"].get("clustering", np.nan) / 60


def minutes_until(run: dict, acc: float) -> float:
    """Minutes of clustering after which a run's ACC over all images never falls below `acc` again; NaN if it does.

    The scores were noted at each renewal; they were not used to stop.
    """
    path = run["directory"] / "history.csv"
    if np.isnan(acc) or not path.exists():
        return np.nan
    history = read_csv(path, ("acc", "seconds"))
    below = np.flatnonzero(history["acc"].to_numpy() < acc)
    first = below[-1] + 1 if len(below) else 0
    return float(history["seconds"][: first + 1].sum() / 60) if first < len(history) else np.nan


def page(of: Table, root: Path | None = None) -> str:
    """`frame` for people: one table a protocol, the paper's numbers, and the deviations below."""
    lines = [markdown.heading(of), ""]
    for protocol, rows in frame(of, root).groupby("scored", sort=False):
        all_images = protocol == "all images"
        lines += [
            f"## Scored on {of.protocol if all_images else 'the images that are not supervised, alone'}",
            "",
        ]
        header = ["Supervision", "lambda", "reconstruction"]
        for name in ("ACC", "NMI"):
            header += [f"{name} ours", f"{name} paper", "difference"] if all_images else [f"{name} ours"]
        header += ["ARI ours", "seeds", "iterations", "minutes"]
        header += ["minutes until the paper's ACC stood"] if all_images else []
        header += ["budget", "command"]
        lines.append(markdown.rows(header, [_cells(row, all_images) for row in rows.to_dict("records")]))
        lines.append("")
    lines += [
        "ACC matches clusters and classes one to one (eq. 7). Mean ± standard deviation where there are several seeds. "
        "Minutes of clustering, on the machine of each run, without the autoencoder's, which several runs share.",
        "",
    ]
    lines += _without_reconstruction(frame(of, root))
    lines += ["## The paper's claims", "", *claims.sdcec(*_by_level(of, root)), ""]
    lines += ["Deviations from the paper:", "", *markdown.deviations(*markdown.methods_of(of))]
    return "\n".join(lines) + "\n"


def _without_reconstruction(found: pd.DataFrame) -> list[str]:
    """What the reconstruction's loss brings, where a level was run without it too; else nothing."""
    rows = found[(found["scored"] == "all images") & (found["lambda"] == 1) & (found["seeds"] > 0)]
    by = {weight: dict(zip(each["supervision"], each["acc"])) for weight, each in rows.groupby("reconstruction")}
    usual, without = by.get(1.0, {}), by.get(0.0, {})
    said = [f"{usual[b]:.4f} with it and {without[b]:.4f} without at {100 * b:g} %" for b in without if b in usual]
    why = "The released code of the paper's author gives one output two losses, so that the reconstruction teaches it "
    return [f"{why}nothing. Here ACC is {', '.join(said)} of the labels.", ""] if said else []


def _by_level(of: Table, root: Path | None) -> tuple[dict[float, float], dict[float, float]]:
    """Mean ACC and purity over all images, by supervision, with the paper's weights of the losses."""
    runs = [run for run in runs_of(of, root) if _level(run["settings"])[1:] == (1, 1)]
    levels = {run["settings"]["supervision"] for run in runs}
    mean = lambda name, level: float(
        np.mean([run["metrics"][name]["value"] for run in runs if run["settings"]["supervision"] == level])
    )
    acc, purity = ({level: mean(name, level) for level in levels} for name in ("acc", "purity"))
    return acc, purity


def _cells(row: dict, all_images: bool) -> list[str]:
    cells = [f"{100 * row['supervision']:g} %", f"{row['lambda']:g}", f"{row['reconstruction']:g}"]
    for name in ("acc", "nmi"):
        cells.append(cell(row[name], row[f"{name}_std"]))
        if all_images:
            cells += [cell(row[f"{name}_document"]), cell(row[f"{name}_difference"], sign="+")]
    recorded = row["seeds"] > 0
    cells += [cell(row["ari"], row["ari_std"]), str(row["seeds"]) if recorded else DASH]
    cells += [f"{row['iterations']:,.0f}" if recorded else DASH, _said(row["minutes"])]
    cells += [_said(row["minutes_until_document"])] if all_images else []
    cells.append("paper" if recorded else DASH)
    return [*cells, f"`{row['command']}`"]


def _said(minutes: float) -> str:
    return DASH if np.isnan(minutes) else f"{minutes:.1f}"


def readme(of: Table, root: Path | None = None) -> str:
    """The rows over all images with the paper's weights, without the details: the README's table."""
    found = usual(frame(of, root))
    header = ["Supervision", "ACC", "paper", "difference", "NMI", "paper", "difference", "seeds"]
    cells = []
    for row in found.to_dict("records"):
        cells.append([f"{100 * row['supervision']:g} %"])
        for name in ("acc", "nmi"):
            cells[-1] += [cell(row[name], row[f"{name}_std"]), cell(row[f"{name}_document"])]
            cells[-1].append(cell(row[f"{name}_difference"], sign="+"))
        cells[-1].append(str(row["seeds"] or DASH))
    return markdown.rows(header, cells)
