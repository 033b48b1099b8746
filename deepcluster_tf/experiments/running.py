"""Run an experiment: data -> fit -> score -> record."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from deepcluster_tf import datasets, experiments, fitting, machine, networks
from deepcluster_tf.annotation.ledger import free_name
from deepcluster_tf.experiments import Experiment, Row, counting, results, schema
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.files import (
    copy,
    locked,
    read_json,
    replacing,
    require_utf8,
    require_writable,
    sha256,
    sweep,
    write_json,
)
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.base import Method


def prepare(experiment: Experiment, settings: dict | None = None, quick: bool = False) -> tuple[Method, Protocol]:
    """The method and the protocol of an experiment with some settings, checked as far as they can be without data.

    Args:
        experiment: from `experiments.get`.
        settings: of method or protocol, by name, that differ from the experiment's.
        quick: the small budget of a first look.

    Raises:
        ValueError: a setting is unknown or out of range.
    """
    given = {**experiment.settings, **(experiment.quick if quick else {}), **(settings or {})}
    for name in given.keys() - experiment.declared.keys():
        raise ValueError(f"{experiment.name} has no setting {name}: leave it out")
    parts = []
    for kind in (experiment.method_class(), experiment.protocol_class()):
        parts.append(kind(**{name: value for name, value in given.items() if name in kind.declared()}))
        parts[-1].check_settings()
    parts[-1].check_given(settings or {})
    return tuple(parts)


def budget(experiment: Experiment, method: Method, n: int, settings: dict, quick: bool) -> dict:
    """The epochs that come to the steps of a first look, or of a full fit to few images of one's own.

    Args:
        experiment: whose `steps` tell.
        method: which tells how many steps an epoch has.
        n: number of images.
        settings: what the user gave, which holds.
        quick: whether it is a first look.

    Returns:
        setting -> epochs.
    """
    found = {}
    for name, (first_look, least) in experiment.steps.items() if method.counts_steps else ():
        an_epoch = method.steps_of(name, n)
        if name not in settings and quick:
            found[name] = -(-first_look // an_epoch)
        elif name not in settings and not experiment.data:
            found[name] = max(getattr(method, name), -(-least // an_epoch))
    return found


def variant(
    experiment: Experiment, method: Method, protocol: Protocol, quick: bool = False, epochs: dict | None = None
) -> str:
    """The name of a run's settings: those of the method that differ from the experiment's, and the protocol's own.

    Args:
        experiment: from `experiments.get`.
        method, protocol: from `prepare`.
        quick: whether it is a first look.
        epochs: those of `budget`, which are the experiment's too.
    """
    usual = {**method.defaults(), **experiment.settings, **(experiment.quick if quick else {}), **(epochs or {})}
    known = {**protocol.named, **method.get_settings()}
    named = {name: value for name, value in known.items() if name != "seed"}
    usual = {name: value for name, value in usual.items() if name not in protocol.named}
    return results.variant(named, usual, quick) + protocol.suffix


def variant_of(row: Row) -> str:
    """The name of a table's row's settings: of the folder of its runs."""
    experiment = experiments.get(row.experiment)
    return variant(experiment, *prepare(experiment, row.settings))


def runs_of(row: Row, root: Path | None = None) -> list[dict]:
    """The recorded runs of a table's row, a seed each; as `results.runs_of`."""
    return results.runs_of(row.experiment, variant_of(row), root)


def runs_with(row: Row, score: str, root: Path | None = None) -> list[dict]:
    """Those of `runs_of` that have a score: early ones lack clusterings that were added later."""
    return [run for run in runs_of(row, root) if score in run["metrics"]]


def run(
    experiment: Experiment,
    settings: dict | None = None,
    *,
    quick: bool = False,
    force: bool = False,
    data_dir: str | None = None,
    images: str | None = None,
    side: int = 32,
    broken: str = "skip",
    strategy: str = "none",
    precision: str = "float32",
    progress: bool = True,
    count: bool = False,
) -> dict:
    """Run an experiment to its recorded result, from wherever an earlier run of it stopped.

    Args:
        experiment: from `experiments.get`.
        settings: of method or protocol, by name, that differ from the experiment's; "seed" among them.
        quick: the small budget of a first look, recorded apart and kept out of the tables.
        force: run again what is finished on this machine.
        data_dir: a folder with the data set's published files.
        images: the user's own folder of images, for an experiment without a data set.
        side: height and width to which those images are resized.
        broken: "skip" passes over those that cannot be read, with a warning; "refuse" does not.
        strategy: "none", or "mirrored" for all GPUs of the machine.
        precision: "float32", or one of Keras's mixed policies for the networks; such a run is kept apart.
        progress: show bars and lines.
        count: take as many clusters as the images suggest.

    Returns:
        the recorded result, with its folder under "directory" and whether it was run now under "fresh".

    Raises:
        ValueError, datasets.DataError, OSError, FloatingPointError, RuntimeError: each with one line that says what
            was expected, what was received, and what to do.
    """
    require_utf8(results.ROOT)
    method, protocol = prepare(experiment, settings, quick)
    dataset = load_data(
        experiment, images, data_dir, size=side, broken=broken, batch_size=method.images_a_step, progress=progress
    )
    epochs = budget(experiment, method, len(dataset.images[dataset.train]), settings or {}, quick)
    vars(method).update(epochs)
    data = experiment.data or f"{dataset.name}-{checkpoints.digest(dataset.images)[:8]}"  # a folder's images may change
    counted = {"counted": counting.count(method, dataset, data, progress)} if count else {}
    if counted:
        method.n_clusters = counted["counted"]["n_clusters"]
    protocol.check(method, dataset)
    name, seed, known = variant(experiment, method, protocol, quick, epochs), method.seed, method.get_settings()
    known = {**protocol.named, **known}
    if precision != "float32":
        name, known = f"{name}-{precision}", {**known, "precision": precision}
    directory = results.run_directory(experiment.name, name if experiment.data else f"{data}-{name}", seed)
    if is_finished(directory) and not force:
        return recorded(directory, known, method.defaults(), dataset, counted)
    require_writable(directory)
    with locked(directory):
        sweep(directory)
        again = is_finished(directory)
        if again:
            unfinish(directory)
        earlier = results.read_result(directory) or {}
        if earlier.get("counted", {}).get("n_clusters") == getattr(method, "n_clusters", None):
            counted = {"counted": earlier["counted"], **counted}  # as many suggested themselves, whoever asks now
        what = {
            "experiment": experiment.name,
            "paper": experiment.paper,
            "protocol": experiment.protocol.partition(":")[0],
            "seed": seed,
            "budget": "quick" if quick else "paper",
            "settings": known,
            "strategy": strategy,
            **counted,
            **machine.provenance(),
        }
        fitting.seed_everything(seed)
        how = {"progress": progress, "strategy": fitting.strategy(strategy)}
        with networks.mixed(precision):
            what |= protocol.carry_out(method, dataset, data, directory / "work", again, **how)
        return {**record(directory, what, dataset, method), "directory": directory, "fresh": True}


def is_finished(directory: Path) -> bool:
    """Whether a run was completed on this machine: its result is there, and the model that it tells of."""
    model, result = directory / "model.weights.h5", results.read_result(directory)
    return bool(result) and model.exists() and result.get("model_sha256") == sha256(model)


def _set_names_aside(directory: Path, model_sha256: str) -> None:
    """Keep the names of clusters under another name where they are those of another model."""
    names = directory / results.NAMES
    if names.exists() and (results.read_result(directory) or {}).get("model_sha256") != model_sha256:
        kept = names.rename(free_name(names))
        warnings.warn(
            f"the clusters of {directory} are new: their names are kept in {kept.name}; make name gives others, or "
            f"with ANSWERS={kept} the same",
            stacklevel=3,
        )


def unfinish(directory: Path) -> None:
    """Make a finished run one that has not begun; its recorded result stays until the new one replaces it."""
    old = directory / "part-old-work"
    shutil.rmtree(old, ignore_errors=True)
    if (directory / "work").exists():
        (directory / "work").rename(old)  # at once, so that a kill leaves no half of it to resume from
    (directory / "model.weights.h5").unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)


def recorded(directory: Path, settings: dict, usual: dict, dataset: datasets.Dataset, counted: dict) -> dict:
    """The result of a finished run; a ValueError if it was made with other settings, or of images of other names.

    Args:
        directory: the run's folder.
        settings: those that are asked for.
        usual: the values of settings that there were not yet when it was recorded.
        dataset: the images.
        counted: how many clusters they suggest, where that was asked: it is recorded where it was not before.
    """
    result = results.read_result(directory)
    if dataset.folder and result["data"].get("told", _told(dataset)) != _told(dataset):
        raise ValueError(
            f"{directory} records a run of these images under other names or in other classes. FORCE=1 replaces it"
        )
    if json.loads(json.dumps({**usual, **result["settings"]})) != json.loads(json.dumps(settings)):
        raise ValueError(f"{directory} records a run of other settings: expected {settings}. FORCE=1 replaces it")
    if counted and "counted" not in result:
        write_json(directory / "result.json", {**read_json(directory / "result.json"), **counted})
    return {**counted, **result, "directory": directory, "fresh": False}


def _told(dataset: datasets.Dataset) -> str:
    """A digest of what a folder tells of its images beside their pixels: the files, and the class of each."""
    names = [dataset.class_names[label] if label >= 0 else "" for label in dataset.labels]
    return checkpoints.digest(np.frombuffer("\0".join([*dataset.files, *names]).encode(), np.uint8))


def load_data(
    experiment: Experiment, images: str | None, data_dir: str | None, progress: bool, **how
) -> datasets.Dataset:
    """The experiment's data set, or, for an experiment that has none, the user's own folder of images, read as told."""
    own = experiment.name.removeprefix(f"{experiment.data}-")
    if experiment.data and images:
        raise ValueError(
            f"{experiment.name} runs on {experiment.data}: expected no IMAGES; for your own images use make {own}"
        )
    if experiment.data:
        return datasets.load(experiment.data, data_dir=data_dir, progress=progress)
    if not images:
        raise ValueError(f"{experiment.name} runs on your own images: expected IMAGES=folder, received none")
    return datasets.load_folder(images, progress=progress, **how)


def record(directory: Path, what: dict, dataset: datasets.Dataset, method) -> dict:
    """Write what a fit leaves behind: model, embeddings, history and, last, the result.

    Args:
        directory: the run's folder.
        what: experiment, settings, scores, machine and versions; "arrays", if any, are written as files of their
            names, and "clusters", columns by name, as one table beside the names of the user's own images.
        dataset: the data set.
        method: fitted.

    Returns:
        the result as recorded.

    Raises:
        OSError: it could not be recorded; checkpoints are kept.
        RuntimeError: it is not what `schema` asks of a record; checkpoints and the earlier record are kept.
    """
    arrays, clusters = what.pop("arrays", {}), what.pop("clusters", {})
    model = directory / "model.weights.h5"
    method.save(model)
    _set_names_aside(directory, sha256(model))
    result = {
        "schema": results.SCHEMA,
        **what,
        "data": {
            "name": dataset.name,
            "n": len(dataset.images),
            "shape": list(dataset.images.shape[1:]),
            "sha256": checkpoints.digest(dataset.images),
            **({"folder": dataset.folder, "told": _told(dataset)} if dataset.folder else {}),
        },
        "class_names": list(dataset.class_names),
        "iterations": method.n_iter_,
        "converged": None if method.converged_ is None else bool(method.converged_),
        "model_sha256": sha256(model),
    }
    result.setdefault("peak_gib", machine.peak())
    if method.keeps_embeddings:
        with replacing(directory / "embeddings.npz") as part:
            np.savez(part, embeddings=method.transform(dataset.images), classes=dataset.labels)
    for name, kept in arrays.items():
        with replacing(directory / f"{name}.npz") as part:
            np.savez_compressed(part, **kept)
    if dataset.files and clusters:
        with replacing(directory / "clusters.csv") as part:
            pd.DataFrame({"file": dataset.files, **clusters}).to_csv(part, index=False)
    for log in sorted((directory / "work").glob("*.csv")):
        copy(log, directory / log.name)
    (directory / "projection.npz").unlink(missing_ok=True)  # of an earlier run's embeddings
    shutil.rmtree(directory / "report", ignore_errors=True)  # and its page
    if fault := schema.fault(json.loads(json.dumps(result))):  # no table could be made beside it
        raise RuntimeError(f"{directory} is not recorded, by a defect of this program: {fault}. Its work is kept there")
    write_json(directory / "result.json", result)  # last: with it, the run is finished on this machine
    return result
