"""Document 000: train a variational autoencoder whose cluster centres someone names, and print the scores.

python -m runners.vae mnist-vae --clustering mixture
"""

from runners import OneLineParser, main, start_tensorflow

SETTINGS = {"k": "n_clusters", "z": "z_dim", "rate": "learning_rate"}  # options whose settings have longer names


def run() -> None:
    parser = OneLineParser(prog="vae")
    parser.add_argument("experiment", help="such as mnist-vae")
    parser.add_argument("--k", type=int, help="clusters to name after an epoch; 0 for the elbow")
    parser.add_argument("--z", type=int, help="dimensions of the latent space")
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", choices=("0", "1"), default="0", help="1: a first look, kept out of the tables")
    parser.add_argument("--force", choices=("0", "1"), default="0", help="1: run a finished experiment again")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="none", help="mirrored: all GPUs")
    parser.add_argument("--data-dir", help="folder with the data set's published files")
    parser.add_argument("--images", help="your own folder of images (experiment vae)")
    parser.add_argument("--size", type=int, default=32, help="side to which your images are resized")
    given = vars(parser.parse_args())

    start_tensorflow()
    from deepcluster_tf import experiments, tables, training
    from deepcluster_tf.protocols.annotated import Annotated

    experiment = experiments.get(given.pop("experiment"))
    names = tuple(name.strip() for name in given.pop("classes").split(",") if name.strip())
    about = {name: given.pop(name) for name in ("annotator", "threshold", "answers", "port")}
    how = {name: given.pop(name) for name in ("seed", "data_dir", "images", "size", "strategy")}
    how |= {name: given.pop(name) == "1" for name in ("quick", "force")}
    settings = {SETTINGS.get(name, name): value for name, value in given.items() if value is not None}
    result = training.run(experiment, Annotated(**about, class_names=names), settings=settings, **how)
    print(tables.summary(result, experiment))


if __name__ == "__main__":
    main(run)
