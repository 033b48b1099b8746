"""Who names a cluster centre: a reader that plays the human, a saved file, or a person in a browser.

An annotator is anything with `annotate(questions, given)`. It sees pictures, never the labels of a data set.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Question:
    """One picture to be named.

    Attributes:
        epoch: after which epoch it is asked, from 1.
        cluster: its name within the epoch: "3", "3_7" for a part of a cluster that was split, "image 512".
        picture: float32 (height, width, channels) in 0..1: the decoded centre, or the image itself.
        nearest: uint8 or float32 (m, height, width, channels), the real images nearest to the centre.
        size: how many images will take the name.
        splits: whether the cluster is split where the picture shows none of the classes.
        decoded: whether the picture is made up by a decoder, and no real image.
        learns: whether a network learns from the name, the more the surer it is given.
    """

    epoch: int
    cluster: str
    picture: np.ndarray
    nearest: np.ndarray
    size: int
    splits: bool = False
    decoded: bool = False
    learns: bool = False

    @property
    def key(self) -> tuple[int, str]:
        """What tells it from all others of a run."""
        return self.epoch, self.cluster


@dataclass(frozen=True)
class Answer:
    """What an annotator says of a picture.

    Attributes:
        label: the class, from 0; -1 where the picture shows none.
        confidence: p_c in 0..1 (VAE with named clusters, eq. 2).
    """

    label: int
    confidence: float = 1.0

    def __post_init__(self):
        is_class = is_number(self.label, Integral) and self.label >= -1
        if not (is_class and is_number(self.confidence, Real) and 0 <= self.confidence <= 1):
            raise ValueError(
                "an answer is a class or -1, and a confidence in 0..1; "
                f"received {reprlib.repr(self.label)} and {reprlib.repr(self.confidence)}"
            )


def is_number(value: object, kind: type) -> bool:
    """Whether a value is a number of a kind, `numbers.Integral` or `Real`; to Python True is one, here it is not."""
    return isinstance(value, kind) and not isinstance(value, bool)


class Annotator(Protocol):
    """Gives pictures their names."""

    def annotate(
        self, questions: list[Question], given: dict[tuple[int, str], Answer]
    ) -> Iterator[tuple[Question, Answer | None]]:
        """Answer all questions, each as soon as it can be.

        Args:
            questions: of one round.
            given: answers that were given before, by `Question.key`; they need no second one.

        Yields:
            a question and its answer, in any order; a later answer replaces an earlier one, None takes it back.
        """
        ...
