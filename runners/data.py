"""Fetch and verify the data sets: python -m runners.data [name ...]"""

from runners import OneLineParser, main


def run() -> None:
    parser = OneLineParser(prog="data")
    parser.add_argument("--data-dir", help="folder with the published files; one data set")
    parser.add_argument("names", nargs="*", help="data sets; all where none is named")
    arguments = parser.parse_args()
    from deepcluster_tf import datasets

    for name in arguments.names or datasets.NAMES:
        dataset = datasets.load(name, data_dir=arguments.data_dir)
        print(f"{name}: {len(dataset.images):,} images {dataset.images.shape[1:]}, verified, from {dataset.source}")


if __name__ == "__main__":
    main(run)
