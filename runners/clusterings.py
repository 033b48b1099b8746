"""Documents 003 and 001: encode images without labels, cluster the encodings in several ways, and print the scores.

python -m runners.clusterings cifar-similarity --loss contrastive
"""

from runners import main, start_tensorflow
from runners.experiment import experiment_parser, run_experiment

SETTINGS = {  # option -> setting, of the methods that have it
    "clusters": "n_clusters", "dim": "embedding_dim", "scale": "size", "batch": "batch_size", "filters": "filters",
    "reducer": "reducer", "regularisation": "regularisation", "temperature": "temperature", "views": "views",
}  # fmt: skip


def whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def run() -> None:
    parser = experiment_parser("clusterings", "cifar-similarity")
    parser.add_argument("--epochs", type=int, help="of training")
    parser.add_argument("--dim", type=int, help="values of an encoding")
    parser.add_argument("--loss", choices=("mse", "binary_crossentropy", "dot", "contrastive"))
    parser.add_argument("--regularisation", type=float, help="weight of the regulariser")
    parser.add_argument("--temperature", type=float, help="by which the cosines of a batch are divided")
    parser.add_argument("--views", choices=("plain", "strong"), help="strong: cut out and of other colours too")
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--filters", type=whole_numbers, help="of the encoder's convolutions, such as 32,64,128,256")
    parser.add_argument("--reducer", choices=("downscale", "pca"))
    parser.add_argument("--scale", type=int, help="size to which the control scales images")
    parser.add_argument("--clusters", type=int, help="number of clusters")
    given = vars(parser.parse_args())

    start_tensorflow()
    from deepcluster_tf import experiments
    from deepcluster_tf.protocols.clusterings import Clusterings

    experiment = experiments.get(given["experiment"])
    known = experiment.method_class().defaults()
    names = {**SETTINGS, "epochs": "epochs" if "epochs" in known else "max_epochs"}
    names["loss"] = "comparison" if "comparison" in known else "loss"
    losses = ("dot", "contrastive") if "comparison" in known else ("mse", "binary_crossentropy")
    if given["loss"] and "comparison" in known and "comparison" not in experiment.settings:
        raise ValueError(f"{experiment.name} compares by layers: expected no LOSS")
    if given["loss"] not in (None, *losses):
        raise ValueError(f"the loss (LOSS) of {experiment.name} must be {' or '.join(losses)}")
    protocol = Clusterings(sample=5000 if given["quick"] == "1" else 0)
    run_experiment(given, protocol, {setting: given[option] for option, setting in names.items()})


if __name__ == "__main__":
    main(run)
