"""Draw every figure from what is recorded: python -m runners.figures"""

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    OneLineParser(prog="figures").parse_args()
    start_tensorflow()
    from deepcluster_tf import figures

    for path in figures.write_all():
        print(path)


if __name__ == "__main__":
    main(run)
