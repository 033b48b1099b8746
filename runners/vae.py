"""Document 000: train a variational autoencoder whose cluster centres someone names, and print the scores.

python -m runners.vae mnist-vae --clustering mixture
"""

from runners import main, start_tensorflow
from runners.experiment import experiment_parser, run_experiment

SETTINGS = {"k": "n_clusters", "z": "z_dim", "rate": "learning_rate"}  # option -> setting
SETTINGS |= {
    name: name for name in ("beta", "gamma", "a", "clustering", "distance", "decay", "depth", "query", "epochs")
}


def run() -> None:
    parser = experiment_parser("vae", "mnist-vae")
    parser.add_argument("--k", type=int, help="clusters to name after an epoch; 0 for the elbow")
    parser.add_argument("--z", type=int, help="dimensions of the latent space")
    parser.add_argument("--beta", type=float, help="weight of the KL divergence")
    parser.add_argument("--epochs", type=int, help="of training; the first asks nobody")
    parser.add_argument("--gamma", type=float, help="weight of the classification; 0 asks nobody")
    parser.add_argument("--a", type=float, help="rate of the confidence's decay")
    parser.add_argument("--clustering", choices=("kmeans", "mixture"))
    parser.add_argument("--distance", choices=("euclidean", "mahalanobis"))
    parser.add_argument("--decay", choices=("exponential", "gaussian"))
    parser.add_argument("--depth", type=int, help="levels of the hierarchy; 1 splits no cluster")
    parser.add_argument("--query", choices=("centers", "random", "uncertain"))
    parser.add_argument("--rate", type=float, help="Adam's learning rate")
    parser.add_argument("--annotator", choices=("reader", "file", "browser"), default="reader")
    parser.add_argument("--threshold", type=float, default=0.7, help="confidence below which the reader sees no class")
    parser.add_argument("--answers", help="a file of answers, such as a run's annotations.csv")
    parser.add_argument("--classes", default="", help="names for your own images: cat,dog")
    parser.add_argument("--port", type=int, default=8765, help="of the page")
    given = vars(parser.parse_args())

    start_tensorflow()
    from deepcluster_tf.protocols.annotated import Annotated

    names = tuple(name.strip() for name in given["classes"].split(",") if name.strip())
    about = {name: given[name] for name in ("annotator", "threshold", "answers", "port")}
    settings = {setting: given[option] for option, setting in SETTINGS.items()}
    run_experiment(given, Annotated(**about, class_names=names), settings)


if __name__ == "__main__":
    main(run)
