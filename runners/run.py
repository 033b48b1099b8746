"""Run an experiment or a command: python -m runners.run fashion-dcec SUP=0.01

Called by make with the target alone, it takes the variables that make was given.
"""

import sys

from deepcluster_tf import experiments
from deepcluster_tf.experiments import options
from runners import check, extras, main, start_tensorflow, targets
from runners.commands import COMMANDS


def run() -> None:
    """Parse the command line, then call what it names."""
    if len(sys.argv) < 2:
        raise ValueError("expected a target, such as fashion-dcec; make help lists them")
    target, *words = sys.argv[1:]
    known = targets.variables(target)
    if words:
        pairs = [word.partition("=") for word in words]
        if unequal := [name for name, equals, _ in pairs if not equals]:
            raise ValueError(f"expected NAME=value after {target}; received {unequal[0]!r}")
        typed = {name: text for name, _, text in pairs}
    else:  # one of several targets takes only its own
        typed = {name: text for name, text in check.given().items() if name in known}
    if target in COMMANDS:
        values = options.parse(typed, known, target)
        command = COMMANDS[target](**{name.lower(): value for name, value in values.items()})
        command.carry_out(target)
    else:
        run_experiment(target, typed)


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

    method, _ = running.prepare(experiment, settings, call.get("quick", False))
    extras.install(method.packages)
    results.reference()  # refuses a damaged file before anything is trained
    print(tables.summary(running.run(experiment, settings, **call), experiment))


if __name__ == "__main__":
    main(run)
