"""Every answer, on disk as soon as it is given."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import reprlib
import warnings
from collections.abc import Iterable, Iterator
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf.annotation import Annotator, Answer, Question, is_number
from deepcluster_tf.files import replacing

COLUMNS = ["epoch", "cluster", "size", "label", "confidence", "picture"]


class Ledger:
    """Asks an annotator, and keeps what it says, so that nothing is asked twice.

    Args:
        annotator: who is asked.
        class_names: by class.
        path: a CSV file, one row an answer, with the name of the class or nothing under "label", and under "picture" a
            digest of what was shown; None keeps it in memory.

    Raises:
        ValueError: the file is damaged, or names a class that there is not; it stays as it is.
    """

    def __init__(self, annotator: Annotator, class_names: tuple[str, ...], path: Path | None = None):
        self.annotator, self.class_names, self.path = annotator, tuple(class_names), path
        self.rows = read_answers(path, self.class_names) if path and Path(path).exists() else {}

    def training(self, epoch: int, epochs: int, seconds: float | None, first: int = 1) -> None:
        """Tell an annotator who wants to know (`training`) that epoch `epoch` of so many is under way.

        Args:
            epoch, epochs: from 1.
            seconds: until its end; None where that is not known yet.
            first: the epoch after which someone is asked first; after the last one nobody is.
        """
        if hasattr(self.annotator, "training"):
            self.annotator.training(epoch, epochs, seconds, first)

    def ask(self, questions: list[Question], again: bool = False) -> list[Answer]:
        """The answers to questions, from the file where they were given before to the same pictures.

        Args:
            questions: of one round.
            again: ask even where all are answered, so that answers can be changed.

        Raises:
            ValueError: the annotator left a question without an answer.
            OSError: an answer could not be written.
        """
        mine = {question.key: question for question in questions}
        other = [
            key
            for key, row in self.rows.items()
            if key in mine and row["picture"] not in ("", picture_digest(mine[key]))
        ]
        if other:
            self._set_aside(other)
        given = {key: self._answer(row) for key, row in self.rows.items() if key in mine}  # in the order of the answers
        if again or len(given) < len(questions):
            for question, answer in self.annotator.annotate(questions, dict(given)):
                self._take(question, answer)
        missing = [question.cluster for question in questions if question.key not in self.rows]
        if missing:
            raise ValueError(f"cluster {', '.join(missing)} of epoch {questions[0].epoch} was not answered")
        return [self._answer(self.rows[question.key]) for question in questions]

    def _set_aside(self, keys: list[tuple[int, str]]) -> None:
        """Keep answers under another name that were given to other pictures than these.

        With them go the answers to the parts of their clusters, and to all later epochs, which follow from them.
        """
        epoch, names = keys[0][0], [name for _, name in keys]
        is_part = lambda cluster: any(cluster == name or cluster.startswith(f"{name}_") for name in names)
        aside = {
            key: row
            for key, row in self.rows.items()
            if row["epoch"] > epoch or row["epoch"] == epoch and is_part(row["cluster"])
        }
        self.rows = {key: row for key, row in self.rows.items() if key not in aside}
        if self.path:
            kept = free_name(self.path)
            write_answers(kept, aside)
            write_answers(self.path, self.rows)
            warnings.warn(
                f"the pictures after epoch {epoch} are not those that were named before (another machine, or other "
                f"versions): {len(aside)} answers are kept in {kept}, and asked for again",
                stacklevel=3,
            )

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
            what = (*question.key, question.size, name, float(answer.confidence), picture_digest(question))
            self.rows[question.key] = dict(zip(COLUMNS, what))
        if self.path:
            write_answers(self.path, self.rows)

    def _answer(self, row: dict) -> Answer:
        return Answer(label_of(row["label"], self.class_names), row["confidence"])


def picture_digest(question: Question) -> str:
    """Of the picture as it is seen, in 256 shades, so that the network's last digits seldom matter."""
    return hashlib.sha256(np.uint8(np.round(255 * question.picture)).tobytes()).hexdigest()[:8]


def free_name(path: Path) -> Path:
    """The first name of the kind annotations-before-1.csv that is not in use beside a file."""
    n = 1
    while (name := path.with_name(f"{path.stem}-before-{n}{path.suffix}")).exists():
        n += 1
    return name


def write_answers(path: Path, rows: dict[tuple[int, str], dict]) -> None:
    """Write answers as CSV, whole at every moment; an OSError names the file if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        pd.DataFrame(list(rows.values()), columns=COLUMNS).to_csv(part, index=False)


def label_of(name: str, class_names: tuple[str, ...]) -> int:
    """The class of that name, -1 for an empty one; a ValueError if there is none."""
    if name and name not in class_names:
        raise ValueError(
            f"no class is named {reprlib.repr(name)}: expected one of {', '.join(class_names)}, or nothing"
        )
    return class_names.index(name) if name else -1


def read_answers(path: Path | str, class_names: tuple[str, ...] | None = None) -> dict[tuple[int, str], dict]:
    """Read a file of answers.

    Args:
        path: CSV with the columns epoch, cluster, size, label and confidence, or JSON with a list of such objects; the
            column picture may be missing.
        class_names: by class, of which every label must be one, or nothing; None lets any label be.

    Returns:
        rows by (epoch, cluster).

    Raises:
        ValueError: the file is missing, or is no such file; the message names it, and the line.
    """
    found = {}
    try:
        for place, said in _json(path) if str(path).endswith(".json") else _csv(path):
            try:
                row = _row(said, class_names)
                if found.setdefault((row["epoch"], row["cluster"]), row) is not row:
                    raise ValueError("it answers a cluster twice: expected one row for each epoch and cluster")
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is no file of answers ({error}): expected CSV or JSON with {', '.join(COLUMNS[:5])}. Mend it, or "
            "move it away"
        ) from error
    return found


def _json(path: Path | str) -> Iterator[tuple[str, dict]]:
    answers = json.loads(Path(path).read_bytes())
    if not isinstance(answers, list):
        raise ValueError("it holds no list")
    yield from ((f"answer {i}", said) for i, said in enumerate(answers, 1))


def _csv(path: Path | str) -> Iterator[tuple[str, dict]]:
    content = Path(path).read_bytes()
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is no UTF-8") from error
    try:
        rows = filter(None, reader)  # a blank line says nothing
        names = next(rows, COLUMNS)  # nor does an empty file: nothing is answered yet
        _require_columns(names)
        for values in rows:
            if len(values) != len(names):
                raise ValueError(f"expected a value for each of {', '.join(names)}")
            yield f"line {reader.line_num}", dict(zip(names, values))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _require_columns(names: Iterable[str]) -> None:
    if sorted(names) not in (sorted(COLUMNS), sorted(COLUMNS[:5])):
        raise ValueError(f"expected the columns {', '.join(COLUMNS)}; received {reprlib.repr(list(names))}")


def _row(said: dict, class_names: tuple[str, ...] | None) -> dict:
    """One answer out of a file, if it can be one."""
    if not isinstance(said, dict):
        raise ValueError(f"expected an object; received {reprlib.repr(said)}")
    _require_columns(said)
    row = {
        "epoch": _number(said["epoch"], r"[0-9]{1,9}", int),
        "cluster": str(said["cluster"]),
        "size": _number(said["size"], r"[0-9]{1,15}", int),
        "label": "" if said["label"] is None else str(said["label"]),
        "confidence": _number(said["confidence"], r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+", float),
        "picture": said.get("picture") or "",
    }
    Answer(-1, row["confidence"])  # refuses what is none
    for name in ("epoch", "size"):
        if not (is_number(row[name], Integral) and row[name] >= 0):
            raise ValueError(f"expected a whole number as {name}; received {reprlib.repr(said[name])}")
    for name, pattern in (("cluster", r"[0-9]+(_[0-9]+)*|image [0-9]+"), ("picture", r"([0-9a-f]{8})?")):
        if not re.fullmatch(pattern, str(row[name])):
            raise ValueError(f"there is no {name} {reprlib.repr(said[name])}")
    if class_names is not None:
        label_of(row["label"], class_names)
    return row


def _number(value: object, pattern: str, kind: type) -> object:
    """The number that a text is; Python itself would also read "1_0". Anything else is left for others to refuse."""
    return kind(value) if isinstance(value, str) and re.fullmatch(pattern, value.strip()) else value
