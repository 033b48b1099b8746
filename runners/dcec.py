"""Semi-supervised DCEC: run an experiment and print its row beside the document's.

python -m runners.dcec fashion-dcec --sup 0.01
"""

from runners import main, start_tensorflow
from runners.experiment import experiment_parser, run_experiment


def run() -> None:
    parser = experiment_parser("dcec", "fashion-dcec")
    parser.add_argument("--sup", type=float, help="share of supervised images, in [0, 1)")
    parser.add_argument("--lambda", dest="lam", type=float, help="weight of the clustering loss")
    parser.add_argument("--pretrain", choices=("kept", "scratch"), default="kept", help="scratch: a new autoencoder")
    parser.add_argument("--clusters", type=int, help="number of clusters")
    given = vars(parser.parse_args())

    start_tensorflow()
    from deepcluster_tf.protocols.semi_supervised import SemiSupervised

    supervision = (0 if given["images"] else 0.01) if given["sup"] is None else given["sup"]
    protocol = SemiSupervised(supervision, given["pretrain"] == "scratch")
    run_experiment(given, protocol, {"lam": given["lam"], "n_clusters": given["clusters"]})


if __name__ == "__main__":
    main(run)
