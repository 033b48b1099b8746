"""The command that gives a recorded run again."""

from __future__ import annotations

from pathlib import Path

from deepcluster_tf import experiments
from deepcluster_tf.experiments import Experiment, running


def command(run: dict) -> str:
    """The `make` command of a recorded run, without its images where these are the user's own.

    Where a person gave names, they come out of the file where the run kept them.

    Args:
        run: from `results.read_result`, with its folder under "directory" where it has answers.
    """
    experiment, quick = experiments.get(run["experiment"]), run["budget"] == "quick"
    named = {name for name, _ in experiment.variables.values()}
    usual = {name: each.default for name, each in experiment.declared.items()}
    usual |= {**(experiment.quick if quick else {}), **_epochs(experiment, run, quick)}
    plain = lambda value: list(value) if isinstance(value, tuple) else value
    differs = lambda name, value: name in named and plain(value) != plain(usual.get(name))
    settings = {name: value for name, value in _given(run, named).items() if differs(name, value)}
    return experiment.command({**settings, **({"quick": True} if quick else {}), **seed(run)})


def seed(run: dict) -> dict:
    """The seed as a setting, where it is not the usual one."""
    return {"seed": run["seed"]} if run["seed"] else {}


def _given(run: dict, named: set[str]) -> dict:
    """What a user gave or may have given: the recorded settings, and what the record tells elsewhere."""
    found = dict(run["settings"])
    if found.get("annotator", "reader") != "reader" and "answers" in named:
        where = Path("results", "runs", *run["directory"].parts[-3:])
        found |= {"annotator": "file", "answers": str(where / "annotations.csv")}
    if run.get("autoencoder", {}).get("scratch") and "pretrain" in named:
        found["pretrain"] = "scratch"
    if run.get("strategy", "none") != "none":
        found["strategy"] = run["strategy"]
    if "classes" in found:  # a digest of their names
        found["class_names"] = run["class_names_given"]
    if "folder" in run["data"] and run["data"]["shape"][0] != experiments.registry.Call.defaults()["side"]:
        found["side"] = run["data"]["shape"][0]
    return found


def _epochs(experiment: Experiment, run: dict, quick: bool) -> dict:
    """The epochs that came to the steps of the budget, which nobody gave."""
    kind = experiment.method_class()
    method = kind(**{name: value for name, value in run["settings"].items() if name in kind.declared()})
    return running.budget(experiment, method, run["data"]["n"], {}, quick)
