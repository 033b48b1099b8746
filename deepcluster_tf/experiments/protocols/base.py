"""What every protocol has."""

from __future__ import annotations

from pathlib import Path

from deepcluster_tf import datasets
from deepcluster_tf.methods.base import Method
from deepcluster_tf.settings import Settings


class Protocol(Settings):
    """Base of the protocols; a subclass is a keyword-only dataclass whose fields are its settings."""

    suffix = ""  # what the name of the run's variant ends in

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        return {}

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return []

    def check_given(self, given: dict) -> None:
        """Refuse what a user gave and what another setting makes idle; raises ValueError.

        Args:
            given: settings of method and protocol by name, those alone that were given.
        """
        if given.get("labels_per_class") and "supervision" in given:
            raise ValueError("SUP and LABELS both say which labels are known: give one of them")

    def check(self, method: Method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        raise NotImplementedError

    def carry_out(self, method: Method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        """Fit and score.

        Args:
            method: unfitted.
            dataset: checked.
            data: the data set's name in file names.
            work: the folder of checkpoints.
            again: whether a finished run is run again.
            how: progress and strategy, as `fit` takes them.

        Returns:
            the record's fields.
        """
        raise NotImplementedError
