"""Write every table from what is recorded: python -m runners.tables"""

from pathlib import Path

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    OneLineParser(prog="tables").parse_args()
    start_tensorflow()
    from deepcluster_tf import tables

    for path in [*tables.write_all(), tables.write_readme(Path("README.md"))]:
        print(path)
        if path.parent.name == "tables" and path.suffix == ".md":
            print(path.read_text())


if __name__ == "__main__":
    main(run)
