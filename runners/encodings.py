"""Document 002: cluster encodings, or raw pixels, and print the scores.

python -m runners.encodings fashion-ae --seed 1
"""

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    parser = OneLineParser(prog="encodings")
    parser.add_argument("experiment", help="such as fashion-ae or fashion-raw")
    parser.add_argument("--architecture", choices=("dense", "pooling"), help="of the autoencoder")
    parser.add_argument("--activation", choices=("relu", "sigmoid"), help="of its hidden layers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", choices=("0", "1"), default="0", help="1: a first look, kept out of the tables")
    parser.add_argument("--force", choices=("0", "1"), default="0", help="1: run a finished experiment again")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="none", help="mirrored: all GPUs")
    parser.add_argument("--data-dir", help="folder with the data set's published files")
    arguments = parser.parse_args()

    start_tensorflow()
    from deepcluster_tf import experiments, tables, training
    from deepcluster_tf.protocols.encodings import Encodings

    experiment = experiments.get(arguments.experiment)
    settings = {"architecture": arguments.architecture, "activation": arguments.activation}
    result = training.run(
        experiment,
        Encodings(),
        seed=arguments.seed,
        settings={name: value for name, value in settings.items() if value is not None},
        quick=arguments.quick == "1",
        force=arguments.force == "1",
        data_dir=arguments.data_dir,
        strategy=arguments.strategy,
    )
    print(tables.summary(result, experiment))


if __name__ == "__main__":
    main(run)
