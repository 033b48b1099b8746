"""What a user gives by name, NAME=value, and what it becomes: settings of the method, the protocol and the call."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

from deepcluster_tf.experiments.registry import AUTO, Call, Experiment
from deepcluster_tf.settings import Setting


def parse(given: dict[str, str], known: dict[str, Setting], target: str) -> dict[str, object]:
    """The values of the variables that a user gave.

    Args:
        given: variable -> text, as typed.
        known: the variables that there are.
        target: what they were given to, for the message.

    Returns:
        variable -> value, checked.

    Raises:
        ValueError: a variable is unknown or empty, or its value is out of range.
    """
    for name in given:
        if name not in known:
            raise ValueError(unknown(name, known, target))
    return {name: known[name].parse(_filled(name, text)) for name, text in given.items()}


def unknown(name: str, known: Iterable[str], target: str) -> str:
    """That a variable is none of a target's, and what it may have meant."""
    near = difflib.get_close_matches(name.upper(), known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name} is no variable of {target}: expected {', '.join(sorted(known)) or 'none'}{hint}"


def _filled(name: str, text: str) -> str:
    if not text.strip():
        raise ValueError(f"{name} is empty: give it a value, or leave it out")
    if "\n" in text or "\0" in text:
        raise ValueError(f"{name} has a line break in it: expected one line; received {text!r}")
    return text


def parse_experiment(experiment: Experiment, given: dict[str, str]) -> tuple[dict, dict]:
    """The settings of method and protocol, and those of the call, out of what a user gave by variable.

    Args:
        experiment: from `experiments.get`.
        given: variable -> text, as typed.

    Returns:
        both by the names of the settings.

    Raises:
        ValueError: as `parse`.
    """
    values = parse(given, {name: each for name, (_, each) in experiment.variables.items()}, experiment.name)
    named = {experiment.variables[variable][0]: value for variable, value in values.items()}
    call = {name: named.pop(name) for name in Call.declared() if name in named and name not in experiment.declared}
    if named.get("n_clusters") == AUTO:
        del named["n_clusters"]
        call["count"] = True
    return named, call


def help_lines(variables: dict[str, Setting]) -> list[str]:
    """What each variable is: its default, its meaning and its range, a few lines each at most."""
    said = {
        name: f"{name}={'' if each.default is None else each.say(each.default)}" for name, each in variables.items()
    }
    width, lines = max(map(len, said.values()), default=0), []
    for name, each in variables.items():
        ranged = "" if each.kind == "str" and not each.choices else f" ({each.expected()})"
        first, rest = f"  {said[name]:<{width}}  ", " " * (width + 4)
        lines += textwrap.wrap(each.help + ranged, 116, initial_indent=first, subsequent_indent=rest)
    return lines
