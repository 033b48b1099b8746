"""Figures, drawn from what is recorded; nothing is trained here. One file a document."""

from __future__ import annotations

from pathlib import Path

from deepcluster_tf import results
from deepcluster_tf.figures import annotation, clusterings, encodings, supervision

__all__ = ["write_all"]


def write_all(root: Path | None = None) -> list[Path]:
    """Draw every figure under `results/figures`; returns the files. What is not recorded is left blank in words."""
    root = root or results.ROOT
    return [
        path
        for kind in (supervision, encodings, annotation, clusterings)
        for path in kind.write(root / "figures", root)
    ]
