"""The command `deepcluster`, which is also `python -m deepcluster_tf.command`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from deepcluster_tf import __version__
from deepcluster_tf.command import main, targets
from deepcluster_tf.command.run import carry_out, pairs

EPILOG = "what make does in the repository: make fashion-dcec SUP=0.01 is deepcluster run fashion-dcec SUP=0.01"


def parser() -> argparse.ArgumentParser:
    """The command line: a command, what it is about, and variables, NAME=value, as `make` has them."""
    top = argparse.ArgumentParser("deepcluster", description="Deep clustering in Keras and TensorFlow.", epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"deepcluster_tf {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about, words in (
        ("list", "the experiments, tables and commands; or the variables of those named", {"target": "*"}),
        ("run", "an experiment, such as fashion-dcec SUP=0.01", {"target": None}),
        ("table", "every row of a table that is not recorded yet, such as fashion-dcec SEEDS=1", {"table": None}),
        ("cluster", "sort a folder of images: METHOD=scan, or any other; CLUSTERS=10", {"folder": None}),
        ("predict", "ask a finished run about a folder of images", {"run": None, "folder": None}),
        ("sort", "the images of a finished run into a folder a cluster", {"run": None, "to": None}),
        ("name", "the clusters of a finished run, in the browser; CLASSES=cat,dog", {"run": None}),
        ("export", "a finished run as a SavedModel", {"run": None}),
        ("data", "fetch and verify the data sets", {}),
        ("tables", "write every table, from what is recorded", {}),
        ("figures", "draw every figure, from what is recorded", {}),
        ("report", "a page to look at, of all that is recorded; RUN=folder: of one run", {}),
    ):
        command = commands.add_parser(name, help=about, description=about)
        for word, count in words.items():
            command.add_argument(word, nargs=count)
        if name != "list":
            command.add_argument(
                "variables", nargs="*", metavar="NAME=value", help="deepcluster list TARGET lists them"
            )
        command.add_argument(
            "--results", default=os.environ.get("DEEPCLUSTER_RESULTS", "results"), help="the folder of runs, tables "
            "and figures (also from the environment as DEEPCLUSTER_RESULTS); results if not given",
        )  # fmt: skip
    return top


def translated(given: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """The target of `make` that a command stands for, and its variables."""
    typed = pairs(given.command, given.variables)
    if given.command == "run":
        return given.target, typed
    if given.command == "table":
        return f"{given.table}-table", typed
    if given.command == "cluster":
        method = typed.pop("METHOD", "scan")
        best = {"BACKBONE": "EfficientNetLite2"} if method == "scan" else {}  # few images teach no network to see
        return method, {**best, "IMAGES": given.folder, **typed}
    if given.command == "predict":
        return "predict", {"RUN": given.run, "IMAGES": given.folder, **typed}
    if given.command in ("sort", "export", "name"):
        words = {"RUN": given.run, **({"TO": given.to} if given.command == "sort" else {})}
        return given.command, {**words, **typed}
    return given.command, typed


def run() -> None:
    """Parse the command line, then do as `make` does."""
    given, rest = parser().parse_known_args()  # variables may stand after an option too
    if unknown := [word for word in rest if word.startswith("-") or "=" not in word or given.command == "list"]:
        parser().error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        given.variables += rest
    if given.command == "list":
        print("\n\n".join(map(targets.help_of, given.target)) if given.target else targets.overview())
        return
    from deepcluster_tf.experiments import results

    results.ROOT = Path(given.results)
    target, typed = translated(given)
    carry_out(target, {**targets.from_environment(target), **typed})


def entry() -> None:
    """The console script."""
    main(run)


if __name__ == "__main__":
    entry()
