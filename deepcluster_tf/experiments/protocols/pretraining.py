"""The autoencoder with which SDCEC begins: trained once, and kept for all runs that share it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from deepcluster_tf import machine
from deepcluster_tf.experiments import results, schema
from deepcluster_tf.files import copy, locked, read_json, sha256, write_json
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods import DCEC
from deepcluster_tf.networks import precision


def begin(method: DCEC, images: np.ndarray, data: str, scratch: bool = False, again: bool = False, **how) -> dict:
    """Give a method the autoencoder of its settings: the one kept under `results/pretrained`, or one trained now.

    Args:
        method: unfitted.
        images: uint8 or float (n, height, width, channels).
        data: the data set's name in file names.
        scratch: whether it is one of the user's own, apart from the shipped one.
        again: whether one of the user's own is trained again.
        how: progress and strategy, as of `autoencoder`.

    Returns:
        its record, as of `autoencoder`; raises as it does.
    """
    differs = "" if method.views == "none" else f"-{method.views}-views"
    differs += "" if method.batch_size == method.defaults()["batch_size"] else f"-batch-{method.batch_size}"
    differs += "" if precision() == "float32" else f"-{precision()}"
    name = f"{data}-cae-{method.pretraining_epochs}-epochs{differs}-seed-{method.seed}{'-scratch' * scratch}"
    directory = results.ROOT / "pretrained" / results.folder_name(name)
    with locked(directory, wait=True):
        if again and scratch:
            (directory / "record.json").unlink(missing_ok=True)
            shutil.rmtree(directory / "work", ignore_errors=True)
        return autoencoder(method, images, directory, **how)


def autoencoder(method, images: np.ndarray, directory: Path, progress: bool = True, strategy=None) -> dict:
    """Give a method its autoencoder: the one kept in `directory`, or one trained now and kept there.

    Args:
        method: with `pretrain`, `save_autoencoder` and `load_autoencoder`.
        images: uint8 or float (n, height, width, channels).
        directory: of the kept autoencoder: `autoencoder.weights.h5`, `record.json`, `history.csv`, `work/`.
        progress: show a bar.
        strategy: a `tf.distribute.Strategy`, or None.

    Returns:
        its record: the images' and the weights' SHA-256, the final loss, the seconds, machine, versions, commit.

    Raises:
        ValueError: the kept autoencoder is damaged, or was made from other images.
    """
    weights, path = directory / "autoencoder.weights.h5", directory / "record.json"
    if path.exists():
        kept = read_json(path)
        schema.require(path, kept, "autoencoder")
        if not weights.exists() or sha256(weights) != kept.get("weights_sha256"):
            raise ValueError(f"{weights} is missing or altered: restore it, or remove {directory} to train it anew")
        if kept.get("images_sha256") != checkpoints.digest(images):
            raise ValueError(f"{weights} was made from other images: remove {directory} to train it anew")
        method.load_autoencoder(weights, images.shape[1:])
        return kept
    provenance = machine.provenance()
    method.pretrain(images, directory=directory / "work", progress=progress, strategy=strategy)
    method.save_autoencoder(weights)
    if method.pretraining_history_:
        copy(directory / "work" / "history.csv", directory / "history.csv")
    record = {
        "images_sha256": checkpoints.digest(images),
        "weights_sha256": sha256(weights),
        "loss": method.pretraining_history_[-1]["loss"] if method.pretraining_history_ else None,
        "seconds": round(sum(row["seconds"] for row in method.pretraining_history_), 1),
        **provenance,
    }
    write_json(path, record)
    return record
