"""What the runners of experiments share: options, and running one."""

from runners import OneLineParser


def experiment_parser(prog: str, example: str) -> OneLineParser:
    """A parser with what every experiment can be told; the rest is the runner's to add."""
    parser = OneLineParser(prog=prog)
    parser.add_argument("experiment", help=f"such as {example}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", choices=("0", "1"), default="0", help="1: a first look, kept out of the tables")
    parser.add_argument("--force", choices=("0", "1"), default="0", help="1: run a finished experiment again")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="none", help="mirrored: all GPUs")
    parser.add_argument("--data-dir", help="folder with the data set's published files")
    parser.add_argument("--images", help="your own folder of images")
    parser.add_argument("--size", type=int, default=32, help="side to which your images are resized")
    return parser


def run_experiment(given: dict, protocol, settings: dict) -> None:
    """Run an experiment and print its scores.

    Args:
        given: the options of `experiment_parser`, by name.
        protocol: from `deepcluster_tf.protocols`.
        settings: of the method; None where the experiment's own holds.
    """
    from deepcluster_tf import experiments, results, tables, training

    results.reference()  # refuses a damaged file before anything is trained
    experiment = experiments.get(given["experiment"])
    how = {name: given[name] for name in ("seed", "strategy", "data_dir", "images", "size")}
    how |= {name: given[name] == "1" for name in ("quick", "force")}
    known = {name: value for name, value in settings.items() if value is not None}
    for name in known.keys() - experiment.method_class().defaults().keys():
        raise ValueError(f"{experiment.name} has no setting {name}: leave it out")
    print(tables.summary(training.run(experiment, protocol, settings=known, **how), experiment))
