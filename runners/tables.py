"""Write every table from what is recorded: python -m runners.tables"""

from runners import OneLineParser, main


def run() -> None:
    OneLineParser(prog="tables").parse_args()
    from deepcluster_tf import tables

    for path in tables.write_all():
        print(path)
        if path.suffix == ".md":
            print(path.read_text())


if __name__ == "__main__":
    main(run)
