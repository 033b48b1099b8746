"""Write a run's SavedModel: python -m runners.export --run results/runs/fashion-dcec/sup-0.01/seed-0"""

from pathlib import Path

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    parser = OneLineParser(prog="export")
    parser.add_argument("--run", required=True, type=Path, help="a run's folder under results/runs")
    parser.add_argument(
        "--to", type=Path, help="the SavedModel's folder; results/models/<experiment>-<variant>-seed-<n>"
    )
    arguments = parser.parse_args()
    start_tensorflow()
    from deepcluster_tf import training

    print(training.export(arguments.run, arguments.to))


if __name__ == "__main__":
    main(run)
