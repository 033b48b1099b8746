"""What a record must hold before anything is made of it: a JSON schema, `result.schema.json`, and what none can say."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import fastjsonschema


def require(path: Path, record: dict, part: str = "") -> None:
    """Refuse a record that is not whole.

    Args:
        path: the file that it was read from, for the message.
        record: what the file holds.
        part: "" for a run's result; "autoencoder" for what is kept beside an autoencoder's weights.

    Raises:
        ValueError: a key is missing, a value is of another type, or two lists do not fit; names the file, the place
            in it, and what was expected.
    """
    if wrong := fault(record, part):
        raise ValueError(f"{path} is incomplete or altered ({wrong}): restore it from git, or remove it")


def fault(record: dict, part: str = "") -> str:
    """What keeps a record from being whole, "" where nothing does; arguments as of `require`."""
    try:
        _validator(part)(record, name_prefix=part or "result")
        return "" if part else _disagreement(record)
    except fastjsonschema.JsonSchemaValueException as error:
        return error.message + ("" if error.rule == "required" else f", received {error.value!r:.80}")


@functools.cache
def _validator(part: str) -> Callable:
    schema = json.loads(resources.files(__package__).joinpath("result.schema.json").read_text("utf-8"))
    if part:
        schema = {"$ref": f"#/definitions/{part}", "definitions": schema["definitions"]}
    return fastjsonschema.compile(schema, use_default=False)


def _disagreement(record: dict) -> str:
    """What is wrong with the lengths of a record's lists beside one another; "" where all fit."""
    names, confusion, scores = record["class_names"], record.get("confusion", []), record["metrics"]
    for matrix in confusion.values() if isinstance(confusion, dict) else [confusion]:
        if matrix and (len(matrix) != len(names) or len(set(map(len, matrix))) > 1):
            return "result.confusion must have a row for each of class_names, and rows of one length"
    if names and record.get("class_names_given", names) != names:
        return "result.class_names_given must be class_names, where the classes are known"
    if len(record.get("classes", record["cluster_sizes"])) != len(record["cluster_sizes"]):
        return "result.classes must have an item for each of cluster_sizes"
    searched_all = (
        "precision" in scores and scores["precision"]["n"] == record["data"]["n"]
    )  # a sample may lack a class
    missing = [name for name in names if searched_all and f"precision_{name}" not in scores]
    return f"result.metrics must contain precision_{missing[0]}" if missing else ""
