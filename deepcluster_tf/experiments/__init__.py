"""What is run and recorded: the declarations, how they are carried out and scored, and their results."""

from __future__ import annotations

import difflib

from deepcluster_tf.experiments.declarations import EXPERIMENTS, PAPERS
from deepcluster_tf.experiments.registry import Experiment, Paper, Row, Table
from deepcluster_tf.experiments.tables import TABLES

__all__ = ["EXPERIMENTS", "PAPERS", "TABLES", "Experiment", "Paper", "Row", "Table", "get", "paper"]


def get(name: str) -> Experiment:
    """The experiment of that name; a ValueError that suggests the nearest name if there is none."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"no experiment is named {name!r}: expected one of {', '.join(EXPERIMENTS)}{hint}")
    return EXPERIMENTS[name]


def paper(name: str) -> Paper:
    """The paper of that name, or of the number by which an early record names it."""
    return next(each for each in PAPERS if name in (each.name, each.number))
