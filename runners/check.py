"""Refuse, before anything is made, what make was asked for and has not: python -m runners.check

make hands over, in the environment, MAKE_TARGETS and MAKE_GIVEN (the variables of its command line), and each of those
under its own name, as it was typed.
"""

import os
import sys

from deepcluster_tf.command import main, targets

ALWAYS = ("PYTHON", "VENV", "HELP")  # what the Makefile itself takes


def given() -> dict[str, str]:
    """The variables of make's command line, and those that may come from the environment."""
    names = [name for name in os.environ.get("MAKE_GIVEN", "").split() if name not in ALWAYS]
    beside = [name for name in targets.ENVIRONMENT if os.environ.get(name)]
    return {name: os.environ.get(name, "") for name in [*names, *beside]}


def run() -> None:
    """Check the targets, the names of the variables, and the values that can be checked now."""
    wanted = os.environ.get("MAKE_TARGETS", "").split() or ["help"]
    on_line = os.environ.get("MAKE_GIVEN", "").split()
    typed = [name for name in given() if name not in targets.ENVIRONMENT or name in on_line]
    if "help" in wanted:
        wanted = [target for target in wanted if target != "help"] or wanted
    targets.require(wanted, typed)
    for target in wanted:
        known = targets.variables(target)
        targets.options.parse({name: text for name, text in given().items() if name in known}, known, target)
        for name in known.keys() - set(given()):
            if name in os.environ:
                said = f"write make {target} {name}=..."
                print(f"note: {name} of the environment is not used: {said}", file=sys.stderr)


if __name__ == "__main__":
    main(run)
