"""Figures, drawn from what is recorded; nothing is trained here. A file a kind of table."""

from __future__ import annotations

import importlib
from pathlib import Path

import matplotlib

from deepcluster_tf.experiments import TABLES, results
from deepcluster_tf.files import sweep
from deepcluster_tf.reporting.figures import counting

__all__ = ["write_all"]


def write_all(root: Path | None = None, kind: str = "png") -> list[Path]:
    """Draw every figure under `results/figures`; returns the files. What is not recorded is left blank in words.

    Args:
        root: the results folder.
        kind: of the files: png, svg or pdf.
    """
    root = root or results.ROOT
    sweep(root / "figures")
    with matplotlib.rc_context({"savefig.format": kind, "svg.hashsalt": "deepcluster_tf"}):
        return [
            path
            for table in TABLES.values()
            for path in importlib.import_module(f"{__name__}.{table.kind}").write(table, root / "figures", root)
        ] + counting.write(root / "figures", root)
