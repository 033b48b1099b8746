"""Fetch and verify the data sets: python -m runners.data [--data fashion]"""

from runners import OneLineParser, main


def run() -> None:
    parser = OneLineParser(prog="data")
    parser.add_argument("--data-dir", help="folder with the published files")
    parser.add_argument("--data", help="one data set; all where none is named")
    arguments = parser.parse_args()
    from deepcluster_tf import datasets

    failed = []
    for name in [arguments.data] if arguments.data else datasets.NAMES:
        try:
            dataset = datasets.load(name, data_dir=arguments.data_dir)
            print(f"{name}: {len(dataset.images):,} images {dataset.images.shape[1:]}, verified, from {dataset.source}")
        except datasets.DataError as error:  # the others may be there
            failed.append(f"{name}: {error}")
    if failed:
        raise ValueError("; ".join(failed))


if __name__ == "__main__":
    main(run)
