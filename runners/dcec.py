"""Semi-supervised DCEC: run an experiment and print its row beside the document's.

python -m runners.dcec fashion-dcec --sup 0.01
"""

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    parser = OneLineParser(prog="dcec")
    parser.add_argument("experiment", help="such as fashion-dcec")
    parser.add_argument("--sup", type=float, help="share of supervised images, in [0, 1)")
    parser.add_argument("--lambda", dest="lam", type=float, help="weight of the clustering loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", choices=("0", "1"), default="0", help="1: a first look, kept out of the tables")
    parser.add_argument("--force", choices=("0", "1"), default="0", help="1: run a finished experiment again")
    parser.add_argument("--pretrain", choices=("kept", "scratch"), default="kept", help="scratch: a new autoencoder")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="none", help="mirrored: all GPUs")
    parser.add_argument("--data-dir", help="folder with the data set's published files")
    parser.add_argument("--images", help="your own folder of images (experiment dcec)")
    parser.add_argument("--size", type=int, default=32, help="side to which your images are resized")
    parser.add_argument("--clusters", type=int, help="number of clusters")
    arguments = parser.parse_args()

    start_tensorflow()
    from deepcluster_tf import experiments, results, tables, training
    from deepcluster_tf.protocols.semi_supervised import SemiSupervised

    results.reference()  # refuses a damaged file before anything is trained
    experiment = experiments.get(arguments.experiment)
    settings = {"lam": arguments.lam, "n_clusters": arguments.clusters}
    supervision = (0 if arguments.images else 0.01) if arguments.sup is None else arguments.sup
    result = training.run(
        experiment,
        SemiSupervised(supervision, arguments.pretrain == "scratch"),
        seed=arguments.seed,
        settings={name: value for name, value in settings.items() if value is not None},
        quick=arguments.quick == "1",
        force=arguments.force == "1",
        data_dir=arguments.data_dir,
        images=arguments.images,
        size=arguments.size,
        strategy=arguments.strategy,
    )
    print(tables.summary(result, experiment))


if __name__ == "__main__":
    main(run)
