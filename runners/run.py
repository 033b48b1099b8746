"""Run an experiment or a command: python -m runners.run fashion-dcec SUP=0.01

Called by make with the target alone, it takes the variables that make was given.
"""

import sys

from deepcluster_tf.command import main, targets
from deepcluster_tf.command.run import carry_out, pairs
from runners import check


def run() -> None:
    """Parse the command line, then call what it names."""
    if len(sys.argv) < 2:
        raise ValueError("expected a target, such as fashion-dcec; make help lists them")
    target, *words = sys.argv[1:]
    known = targets.variables(target)
    # one of several targets takes only its own
    typed = pairs(target, words) if words else {name: text for name, text in check.given().items() if name in known}
    carry_out(target, typed)


if __name__ == "__main__":
    main(run)
