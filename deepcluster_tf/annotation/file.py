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
        self.path, self.notices = path, []
        self.rows = read_answers(path)
        self.answers = {
            key: Answer(label_of(row["label"], tuple(class_names)), row["confidence"]) for key, row in self.rows.items()
        }

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
            said = self.rows[question.key]
            if said["size"] != question.size or said["picture"] not in ("", picture_digest(question)):
                self.notices.append(
                    f"cluster {question.cluster} of epoch {question.epoch} had {said['size']:,} images when it was "
                    f"named, here it has {question.size:,}, or shows another picture: this is no exact repetition"
                )
                warnings.warn(self.notices[-1], stacklevel=2)
            yield question, self.answers[question.key]
