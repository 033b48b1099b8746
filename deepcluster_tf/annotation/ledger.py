"""Every answer, on disk as soon as it is given."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd

from deepcluster_tf.annotation import Annotator, Answer, Question
from deepcluster_tf.files import replacing

COLUMNS = ["epoch", "cluster", "size", "label", "confidence"]


class Ledger:
    """Asks an annotator, and keeps what it says, so that nothing is asked twice.

    Args:
        annotator: who is asked.
        class_names: by class.
        path: a CSV file, one row an answer, the name of the class or nothing under "label"; None keeps it in memory.
    """

    def __init__(self, annotator: Annotator, class_names: tuple[str, ...], path: Path | None = None):
        self.annotator, self.class_names, self.path = annotator, tuple(class_names), path
        self.rows = read_answers(path) if path and Path(path).exists() else {}
        for row in self.rows.values():
            self._answer(row)

    def ask(self, questions: list[Question]) -> list[Answer]:
        """The answers to questions, from the file where they were given before.

        Raises:
            ValueError: the annotator left a question without an answer.
            OSError: an answer could not be written.
        """
        given = {q.key: self._answer(self.rows[q.key]) for q in questions if q.key in self.rows}
        if len(given) < len(questions):
            for question, answer in self.annotator.annotate(questions, dict(given)):
                self._take(question, answer)
        missing = [question.cluster for question in questions if question.key not in self.rows]
        if missing:
            raise ValueError(f"cluster {', '.join(missing)} of epoch {questions[0].epoch} was not answered")
        return [self._answer(self.rows[question.key]) for question in questions]

    def shown(self, epoch: int) -> int:
        """How many pictures were shown after the epochs up to this one: the number of annotations."""
        return sum(row["epoch"] <= epoch for row in self.rows.values())

    def answers(self, epoch: int) -> dict[str, Answer]:
        """All answers up to an epoch, by the cluster's name."""
        return {row["cluster"]: self._answer(row) for row in self.rows.values() if row["epoch"] <= epoch}

    def _take(self, question: Question, answer: Answer | None) -> None:
        self.rows.pop(question.key, None)
        if answer is not None:
            name = self.class_names[answer.label] if answer.label >= 0 else ""
            what = (*question.key, question.size, name, answer.confidence)
            self.rows[question.key] = dict(zip(COLUMNS, what))
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part:
                pd.DataFrame(list(self.rows.values()), columns=COLUMNS).to_csv(part, index=False)

    def _answer(self, row: dict) -> Answer:
        return Answer(label_of(row["label"], self.class_names), row["confidence"])


def label_of(name: str, class_names: tuple[str, ...]) -> int:
    """The class of that name, -1 for an empty one; a ValueError if there is none."""
    if name and name not in class_names:
        raise ValueError(f"no class is named {name!r}: expected one of {', '.join(class_names)}, or nothing")
    return class_names.index(name) if name else -1


def read_answers(path: Path | str) -> dict[tuple[int, str], dict]:
    """Read a file of answers.

    Args:
        path: CSV with the columns epoch, cluster, size, label and confidence, or JSON with a list of such objects.

    Returns:
        rows by (epoch, cluster).

    Raises:
        ValueError: the file is missing, or is no such file; the message names it.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = json.load(file) if str(path).endswith(".json") else list(csv.DictReader(file))
        rows = [
            {
                "epoch": int(row["epoch"]),
                "cluster": str(row["cluster"]),
                "size": int(row["size"]),
                "label": str(row["label"] or ""),
                "confidence": float(row["confidence"]),
            }
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no column {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} is no file of answers ({reason}): expected CSV or JSON with {', '.join(COLUMNS)}"
        ) from error
    return {(row["epoch"], row["cluster"]): row for row in rows}
