"""Carry out a target: an experiment or a command, with its variables as they were typed."""

from __future__ import annotations

from deepcluster_tf import experiments
from deepcluster_tf.command import extras, start_tensorflow, targets
from deepcluster_tf.command.commands import COMMANDS
from deepcluster_tf.experiments import options


def pairs(target: str, words: list[str]) -> dict[str, str]:
    """The variables out of words such as SUP=0.01; a ValueError if a word is none."""
    split = [word.partition("=") for word in words]
    if unequal := [name for name, equals, _ in split if not equals]:
        raise ValueError(f"expected NAME=value after {target}; received {unequal[0]!r}")
    return {name: text for name, _, text in split}


def carry_out(target: str, typed: dict[str, str]) -> None:
    """Run an experiment and print its scores, or call what a command names.

    Args:
        target: of `make`.
        typed: its variables, as typed.

    Raises:
        ValueError: there is no such target, or a variable does not fit.
    """
    known = targets.variables(target)
    if target not in COMMANDS:
        return run_experiment(target, typed)
    values = options.parse(typed, known, target)
    return COMMANDS[target](**{name.lower(): value for name, value in values.items()}).carry_out(target)


def run_experiment(name: str, typed: dict[str, str]) -> None:
    """Run an experiment and print its scores.

    Args:
        name: of the experiment.
        typed: its variables, as typed.
    """
    experiment = experiments.get(name)
    settings, call = options.parse_experiment(experiment, typed)
    start_tensorflow()
    from deepcluster_tf.experiments import results, running
    from deepcluster_tf.reporting import tables

    method, protocol = running.prepare(experiment, settings, call.get("quick", False))
    extras.install([*method.packages, *protocol.packages, *(["umap-learn"] if call.get("count") else [])])
    results.reference()  # refuses a damaged file before anything is trained
    print(tables.summary(running.run(experiment, settings, **call), experiment))
