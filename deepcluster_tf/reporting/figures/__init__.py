"""Figures, drawn from what is recorded; nothing is trained here. A file a kind of table."""

from __future__ import annotations

import importlib
from pathlib import Path

from deepcluster_tf.experiments import TABLES, results

__all__ = ["write_all"]


def write_all(root: Path | None = None) -> list[Path]:
    """Draw every figure under `results/figures`; returns the files. What is not recorded is left blank in words."""
    root = root or results.ROOT
    return [
        path
        for table in TABLES.values()
        for path in importlib.import_module(f"{__name__}.{table.kind}").write(table, root / "figures", root)
    ]
