"""Document 002: cluster encodings, or raw pixels, and print the scores.

python -m runners.encodings fashion-ae --seed 1
"""

from runners import main, start_tensorflow
from runners.experiment import experiment_parser, run_experiment


def run() -> None:
    parser = experiment_parser("encodings", "fashion-ae or fashion-raw")
    parser.add_argument("--architecture", choices=("dense", "pooling"), help="of the autoencoder")
    parser.add_argument("--activation", choices=("relu", "sigmoid"), help="of its hidden layers")
    given = vars(parser.parse_args())

    start_tensorflow()
    from deepcluster_tf.protocols.encodings import Encodings

    run_experiment(given, Encodings(), {name: given[name] for name in ("architecture", "activation")})


if __name__ == "__main__":
    main(run)
