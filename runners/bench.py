"""Print how fast training, clustering and encoding are here: python -m runners.bench (on a quiet machine)"""

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    parser = OneLineParser(prog="bench")
    parser.add_argument("--images", type=int, default=70_000, help="number of images")
    arguments = parser.parse_args()
    start_tensorflow()
    from deepcluster_tf import benchmark

    for what, value, unit in benchmark.measure(arguments.images):
        print(f"{what:<48} {value:>12,.1f} {unit}")


if __name__ == "__main__":
    main(run)
