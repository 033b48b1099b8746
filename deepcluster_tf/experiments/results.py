"""Where a run lives, how it is recorded, and how it is read back.

    results/runs/<experiment>/<variant>/seed-<n>/result.json, history.csv     committed
    ... /model.weights.h5, embeddings.npz, work/                              on this machine only

`result.json` is written under a temporary name and renamed: where it is, the run was completed. Where the model
whose SHA-256 it names lies beside it, it was completed on this machine.
"""

from __future__ import annotations

import glob
import hashlib
import os
import warnings
from pathlib import Path

import numpy as np

from deepcluster_tf.experiments import schema
from deepcluster_tf.files import read_json

SCHEMA = 1
LONGEST = 150  # bytes of a folder's name, of the 255 that file systems take: what is put before and behind it fits too
ROOT = Path("results")
NAMES = "names.csv"  # of a run's clusters, as someone gave them when it was finished
REFERENCE = Path(__file__).with_name("reference.json")  # what papers and peers print
EARLY = {  # by the numbers under which early records name their papers
    "000": "annotated",
    "001": "clusterings",
    "002": "encodings",
    "003": "clusterings",
    "004": "semi_supervised",
}
SHORT = {"supervision": "sup", "lam": "lambda", "n_clusters": "clusters", "labels_per_class": "labels"}


def variant(settings: dict, defaults: dict, quick: bool = False) -> str:
    """Name a variant by the settings that differ from the experiment's.

    Args:
        settings: every setting of the run, without the seed.
        defaults: the experiment's values, or the quick budget's; a setting that is not among them is always named.
        quick: whether the run has the small budget of a first look.

    Returns:
        such as "sup-0.01", "sup-0-lambda-0.1", "quick-sup-0.01" or "paper".
    """
    named = {k: v for k, v in settings.items() if k not in defaults or v != defaults[k]}
    parts = [f"{SHORT.get(name, name.replace('_', '-'))}-{_plain(value)}" for name, value in named.items()]
    return "-".join((["quick"] if quick else []) + parts) or "paper"


def _plain(value) -> str:
    if isinstance(value, (tuple, list)):
        return "x".join(map(_plain, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def folder_name(name: str) -> str:
    """A name that a file system takes, of any: beyond `LONGEST` bytes, its beginning and a digest of the whole."""
    whole = os.fsencode(name)
    if len(whole) <= LONGEST:
        return name
    return f"{whole[:LONGEST].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"


def run_directory(experiment: str, variant_name: str, seed: int, root: Path | None = None) -> Path:
    """The folder of a run; nothing is made."""
    return (root or ROOT) / "runs" / experiment / folder_name(variant_name) / f"seed-{seed}"


def read_result(directory: Path) -> dict | None:
    """The result of a run, or None where it is not complete.

    Raises:
        ValueError: the file is there but is no whole result; the message names it and the place in it.
    """
    path = directory / "result.json"
    if not path.exists():
        return None
    result = read_json(path)
    if result.get("schema") != SCHEMA:
        found = f"schema {result.get('schema')}"
        raise ValueError(f"{path} is no result of schema {SCHEMA} ({found}): restore it from git, or remove it")
    result = {"protocol": EARLY.get(str(result.get("document"))), **result}
    schema.require(path, result)
    return result


def all_results(root: Path | None = None, budget: str = "paper", where: str = "*/*") -> list[dict]:
    """Every recorded result of a budget, each with its folder under "directory".

    A folder that is no run's, such as a copy of one, is passed over with a warning.

    Args:
        root: the results folder.
        budget: "paper" or "quick".
        where: experiment/variant, as a pattern.

    Returns:
        in the order of their paths, the seeds by number.

    Raises:
        ValueError: a run's result is damaged or incomplete; the message names it.
    """
    found, known = [], {}
    paths = ((root or ROOT) / "runs").glob(f"{where}/seed-*/result.json")
    for directory in sorted((path.parent for path in paths), key=lambda path: (len(str(path)), path)):
        result = (directory.name.removeprefix("seed-").isdecimal() and read_result(directory)) or {}
        place = (result.get("experiment"), f"seed-{result.get('seed')}")
        same = known.setdefault(result.get("model_sha256"), [])
        if place != (directory.parts[-3], directory.name) or result in same:  # a copy's name is the longer one
            said = f"{directory} is passed over: it is a copy of a run, or renamed; move it away, or name it as before"
            warnings.warn(said, stacklevel=2)
            continue
        same.append(result)
        if result["budget"] == budget:
            found.append({**result, "directory": directory})
    return sorted(found, key=lambda result: (result["directory"].parts[:-1], result["seed"]))


def runs_of(experiment: str, variant_name: str, root: Path | None = None) -> list[dict]:
    """The recorded results of one experiment and variant at the paper's budget, a seed each."""
    return all_results(root, where=f"{glob.escape(experiment)}/{glob.escape(variant_name)}")


def mean_and_std(values: list[float], name: str) -> dict[str, float]:
    """`name` and `name_std`: mean and standard deviation (n - 1) of a score over seeds; NaN where there are too few."""
    return {
        name: float(np.mean(values)) if values else np.nan,
        f"{name}_std": float(np.std(values, ddof=1)) if len(values) > 1 else np.nan,
    }


def reference() -> dict:
    """The numbers that the papers print, by table."""
    return read_json(REFERENCE)
