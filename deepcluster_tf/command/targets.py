"""The targets that `make` passes on: the experiments and the commands, each with its variables; and their help."""

from __future__ import annotations

import ast
import difflib
import os
import re
import textwrap
from pathlib import Path

from deepcluster_tf import experiments
from deepcluster_tf.command.commands import COMMANDS
from deepcluster_tf.experiments import TABLES, Experiment, options
from deepcluster_tf.experiments.registry import PACKAGE
from deepcluster_tf.settings import Setting

MAKEFILE = Path(__file__).parents[2] / "Makefile"  # which an installed package has not


ENVIRONMENT = ("DATA_DIR",)  # variables that may come from the environment as well


def from_environment(target: str) -> dict[str, str]:
    """The variables of a target that the environment gives."""
    known = variables(target)
    return {name: os.environ[name] for name in ENVIRONMENT if name in known and os.environ.get(name)}


def makes_own() -> dict[str, str]:
    """The targets that the Makefile itself carries out, with what it says of them."""
    text = MAKEFILE.read_text() if MAKEFILE.exists() else ""
    return dict(re.findall(r"^([a-z-]+):.*?## (.*)$", text, re.MULTILINE))


def variables(target: str) -> dict[str, Setting]:
    """The variables of a target, by name; a ValueError that suggests the nearest target if there is none."""
    if target in makes_own():
        return {}
    if target in COMMANDS:
        declared = COMMANDS[target].declared()
        return {name.upper(): each.renamed(name.upper()) for name, each in declared.items()}
    if target in experiments.EXPERIMENTS:
        return {name: each for name, (_, each) in experiments.get(target).variables.items()}
    near = difflib.get_close_matches(target, [*experiments.EXPERIMENTS, *COMMANDS, *makes_own()], 1)
    raise ValueError(f"{target} is no target: make help lists them{f'; did you mean {near[0]}?' if near else ''}")


def require(targets: list[str], given: list[str]) -> None:
    """Refuse a target that there is not, and a variable that none of the targets takes; raises ValueError."""
    known = {name for target in targets for name in variables(target)}
    for name in given:
        if name not in known:
            raise ValueError(options.unknown(name, known, " ".join(targets)))


def describe(target: str) -> str:
    """What a target does, in a line."""
    if target in makes_own():
        return makes_own()[target]
    name = target.removeprefix("bench-").removesuffix("-table")
    if target != name and name in TABLES:
        table = TABLES[name]
        return f"every row of {table.name} ({table.where} of {table.paper}) that is not recorded yet; may take hours"
    if target in COMMANDS:
        return COMMANDS[target].__doc__.partition("\n")[0]
    return summary(experiments.get(target))


def summary(experiment: Experiment) -> str:
    """What an experiment does, out of the docstring of its method's or its protocol's module: nothing is imported."""
    rooms = {"method": ("methods", experiment.method), "protocol": ("experiments/protocols", experiment.protocol)}
    room, where = rooms[experiment.told_by]
    source = (PACKAGE / room / f"{where.partition(':')[0]}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)).partition("\n")[0].rstrip(".")


def overview() -> str:
    """All targets, those of one method in a line; `make help`."""
    methods: dict[str, list[str]] = {}
    for name, experiment in experiments.EXPERIMENTS.items():
        methods.setdefault(summary(experiment), []).append(name)
    lines = ["make TARGET [VARIABLE=value ...]      make help TARGET lists its variables", "", "experiments:"]
    for said, names in methods.items():
        names = ", ".join(names)  # a name is never broken at its hyphen
        lines += textwrap.wrap(names, 116, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        lines += textwrap.wrap(said, 112, initial_indent="      ", subsequent_indent="      ")
    others = [*COMMANDS, *makes_own()]
    width = max(map(len, others))
    lines += ["", "other targets:", *(f"  {name:<{width}}  {describe(name)}" for name in others)]
    return "\n".join([*lines, "", "of every target: PYTHON=python3.11, or later; VENV=.venv, for the packages"])


def help_of(target: str) -> str:
    """One target's variables, with defaults, meanings and ranges; `make help TARGET`."""
    known = variables(target)
    head = [f"make {target}{' [VARIABLE=value ...]' if known else ''}", f"  {describe(target)}"]
    return "\n".join([*head, *(["", *options.help_lines(known)] if known else [])])
