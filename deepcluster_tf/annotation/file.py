"""An annotator that repeats what a saved file says, such as the `annotations.csv` of a person's run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from deepcluster_tf.annotation import Answer, Question
from deepcluster_tf.annotation.ledger import label_of, picture_digest, read_answers


class File:
    """Answers out of a file.

    Args:
        path: as `ledger.read_answers` takes it.
        class_names: by class.

    Raises:
        ValueError: the file is no file of answers, or names a class that there is not.
    """

    def __init__(self, path: Path | str, class_names: tuple[str, ...]):
        self.path = path
        names = tuple(class_names)
        self.rows = read_answers(path, names)
        self.answers = {key: Answer(label_of(row["label"], names), row["confidence"]) for key, row in self.rows.items()}

    def annotate(
        self, questions: list[Question], given: dict[tuple[int, str], Answer]
    ) -> Iterator[tuple[Question, Answer | None]]:
        """Every question's answer; a ValueError where the file has none, a warning where its cluster is another."""
        for question in questions:
            if question.key not in self.answers:
                raise ValueError(
                    f"{self.path} has no answer for cluster {question.cluster} after epoch {question.epoch}: expected "
                    "the answers of a run of the same data, settings and seed"
                )
            for notice in self._difference(question.key, question.size, picture_digest(question)):
                warnings.warn(notice, stacklevel=2)
            yield question, self.answers[question.key]

    def notices(self, shown: dict[tuple[int, str], dict]) -> list[str]:
        """What is said of a run whose pictures, rows as `ledger.read_answers` gives them, are not those of the file."""
        return [notice for key, row in shown.items() for notice in self._difference(key, row["size"], row["picture"])]

    def _difference(self, key: tuple[int, str], size: int, picture: str) -> list[str]:
        said = self.rows[key]
        if said["size"] == size and said["picture"] in ("", picture):
            return []
        return [
            f"cluster {key[1]} of epoch {key[0]} had {said['size']:,} images when it was named, here it has {size:,}, "
            "or shows another picture: this is no exact repetition"
        ]
