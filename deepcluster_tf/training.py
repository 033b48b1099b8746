"""Run an experiment: data -> fit -> score -> record."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from deepcluster_tf import checkpoints, datasets, experiments, fitting, metrics, results
from deepcluster_tf.experiments import Experiment
from deepcluster_tf.files import read_json, replacing, write_json


def require_fraction(fraction: float) -> None:
    """Refuse a supervision outside [0, 1)."""
    if not 0 <= fraction < 1:
        raise ValueError(f"supervision must be a fraction in [0, 1), such as 0.01 for 1 %; received {fraction}")


def supervised_labels(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Keep the labels of a share of the images, drawn at random without replacement (document 004, section 5).

    Args:
        labels: int (n,), -1 where unknown.
        fraction: share of all images, in [0, 1).
        seed: of the draw.

    Returns:
        int64 (n,): the label where drawn and known, else -1.

    Raises:
        ValueError: the fraction is out of range, selects all images, or none though it is not 0.
    """
    n = len(labels)
    require_fraction(fraction)
    count = round(fraction * n)
    if count == n:
        raise ValueError(f"a supervision of {fraction} selects all {n} images and leaves none to score: use less")
    if fraction and not count:
        raise ValueError(f"a supervision of {fraction} selects none of {n} images: use {1 / n:.2g} or more, or 0")
    if fraction and (labels < 0).all():
        raise ValueError("supervision needs images whose class is known: one sub-folder a class; received none")
    drawn = np.random.default_rng(seed).choice(n, count, replace=False)
    known = np.full(n, -1, np.int64)
    known[drawn] = labels[drawn]
    return known


def run(
    experiment: Experiment,
    *,
    supervision: float = 0.0,
    seed: int = 0,
    settings: dict | None = None,
    quick: bool = False,
    force: bool = False,
    scratch: bool = False,
    data_dir: str | None = None,
    images: str | None = None,
    size: int = 32,
    strategy: str = "none",
    progress: bool = True,
) -> dict:
    """Run an experiment to its recorded result, from wherever an earlier run of it stopped.

    Args:
        experiment: from `experiments.get`.
        supervision: share of the images whose class is known, in [0, 1).
        seed: of everything random.
        settings: method settings that differ from the experiment's.
        quick: the small budget of a first look, recorded apart and kept out of the tables.
        force: run again what is finished on this machine.
        scratch: pretrain the autoencoder anew instead of using a kept one.
        data_dir: a folder with the data set's published files.
        images: the user's own folder of images, for the experiment "dcec".
        size: side to which those images are resized.
        strategy: "none", or "mirrored" for all GPUs of the machine.
        progress: show bars and lines.

    Returns:
        the recorded result, with its folder under "directory" and whether it was run now under "fresh".

    Raises:
        ValueError, datasets.DataError, OSError, FloatingPointError, RuntimeError: each with one line that says what
            was expected, what was received, and what to do.
    """
    budget = experiment.quick if quick else {}
    method = experiment.method_class()(**{**experiment.settings, **budget, **(settings or {}), "seed": seed})
    require_fraction(supervision)
    method.check_settings()
    dataset = load_data(experiment, images, size, data_dir, progress)
    labels = supervised_labels(dataset.labels, supervision, seed)
    if supervision and len(dataset.class_names) > method.n_clusters:
        raise ValueError(
            f"{method.n_clusters} clusters are too few (CLUSTERS): expected one for each of {len(dataset.class_names)} "
            "classes"
        )
    method.check(dataset.images, labels)
    known = {"supervision": supervision, **method.get_params()}
    named = {name: value for name, value in known.items() if name != "seed"}
    variant = results.variant(named, {**method.defaults(), **budget}, quick)
    data = experiment.data or f"{dataset.name}-{checkpoints.digest(dataset.images)[:8]}"  # a folder's images may change
    kept = f"{data}-cae-{method.pretraining_epochs}-epochs-seed-{seed}"
    if scratch:
        variant, kept = f"{variant}-scratch", f"{kept}-scratch"
    directory = results.run_directory(experiment.name, variant if experiment.data else f"{data}-{variant}", seed)
    pretrained = results.ROOT / "pretrained" / kept
    if is_finished(directory) and not force:
        return recorded(directory, known)
    results.require_writable(directory)
    with results.locked(directory):
        again = is_finished(directory)
        if again:
            unfinish(directory)
        what = {
            "experiment": experiment.name,
            "document": experiment.document,
            "seed": seed,
            "budget": "quick" if quick else "paper",
            "settings": known,
            "strategy": strategy,
            **results.provenance(),
        }
        fitting.seed_everything(seed)
        spread = fitting.strategy(strategy)
        with results.locked(pretrained):
            if again and scratch:
                (pretrained / "record.json").unlink(missing_ok=True)
                shutil.rmtree(pretrained / "work", ignore_errors=True)
            start = {**autoencoder(method, dataset.images, pretrained, progress, spread), "scratch": scratch}
        score = (lambda clusters: metrics.scores(dataset.labels, clusters)) if (dataset.labels >= 0).all() else None
        work = directory / "work"
        method.fit(dataset.images, labels, directory=work, score=score, progress=progress, strategy=spread)
        return {**record(directory, what, dataset, labels, method, start), "directory": directory, "fresh": True}


def is_finished(directory: Path) -> bool:
    """Whether a run was completed on this machine: its result and its model are both there."""
    return (directory / "result.json").exists() and (directory / "model.weights.h5").exists()


def unfinish(directory: Path) -> None:
    """Make a finished run one that has not begun; its recorded result stays until the new one replaces it."""
    old = directory / "part-old-work"
    shutil.rmtree(old, ignore_errors=True)
    if (directory / "work").exists():
        (directory / "work").rename(old)  # at once, so that a kill leaves no half of it to resume from
    (directory / "model.weights.h5").unlink()
    shutil.rmtree(old, ignore_errors=True)


def recorded(directory: Path, settings: dict) -> dict:
    """The result of a finished run; a ValueError if it was made with other settings than these."""
    result = results.read_result(directory)
    if result["settings"] != json.loads(json.dumps(settings)):
        raise ValueError(f"{directory} records a run of other settings: expected {settings}. FORCE=1 replaces it")
    return {**result, "directory": directory, "fresh": False}


def load_data(
    experiment: Experiment, images: str | None, size: int, data_dir: str | None, progress: bool
) -> datasets.Dataset:
    """The experiment's data set, or the user's own folder of images for an experiment that has none."""
    if experiment.data and images:
        raise ValueError(f"{experiment.name} runs on {experiment.data}: expected no IMAGES; use the experiment dcec")
    if experiment.data:
        return datasets.load(experiment.data, data_dir=data_dir, progress=progress)
    if not images:
        raise ValueError(f"{experiment.name} runs on your own images: expected IMAGES=folder, received none")
    return datasets.load_folder(images, size=size, progress=progress)


def autoencoder(method, images: np.ndarray, directory: Path, progress: bool, strategy=None) -> dict:
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
        if not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() != kept["weights_sha256"]:
            raise ValueError(f"{weights} is missing or altered: restore it, or give PRETRAIN=scratch to train it anew")
        if kept["images_sha256"] != checkpoints.digest(images):
            raise ValueError(f"{weights} was made from other images: give PRETRAIN=scratch to train it anew")
        method.load_autoencoder(weights, images.shape[1:])
        return kept
    provenance = results.provenance()
    method.pretrain(images, directory=directory / "work", progress=progress, strategy=strategy)
    method.save_autoencoder(weights)
    shutil.copyfile(directory / "work" / "history.csv", directory / "history.csv")
    record = {
        "images_sha256": checkpoints.digest(images),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "loss": method.pretraining_history_[-1]["loss"] if method.pretraining_history_ else None,
        "seconds": round(sum(row["seconds"] for row in method.pretraining_history_), 1),
        **provenance,
    }
    write_json(path, record)
    return record


def measure(classes: np.ndarray, labels: np.ndarray, clusters: np.ndarray, initial: dict) -> dict:
    """Score a clustering over all images, and over those whose class the fit was not told.

    Args:
        classes: int (n,), the true classes.
        labels: int (n,), what the fit was told, -1 where nothing.
        clusters: int (n,), what it found.
        initial: the scores at iteration 0.

    Returns:
        {name: {"value", "protocol", "n"}}; values are fractions.
    """
    rest = labels < 0
    told = f"{np.sum(~rest):,} supervised"
    found = {}
    for suffix, rows, protocol in (
        ("", slice(None), f"all {len(classes):,} images, the {told} ones included"),
        ("_unsupervised", rest, f"the {rest.sum():,} images that are not supervised"),
    ):
        for name, value in metrics.scores(classes[rows], clusters[rows]).items():
            how = {"acc": ", one to one", "purity": ", majority class"}.get(name, "")
            found[name + suffix] = {"value": value, "protocol": protocol + how, "n": len(classes[rows])}
    for name in ("acc", "nmi", "ari", "purity"):
        found[f"{name}_initial"] = {**found[name], "value": initial[name]}
    return found


def record(directory: Path, what: dict, dataset: datasets.Dataset, labels: np.ndarray, method, start: dict) -> dict:
    """Write what a fit leaves behind: embeddings, history, the result and, last, the model.

    Args:
        directory: the run's folder.
        what: experiment, document, seed, budget, settings, machine and versions.
        dataset: the data set.
        labels: int (n,), what the fit was told.
        method: fitted.
        start: the record of the autoencoder that it started from.

    Returns:
        the result as recorded.

    Raises:
        OSError: it could not be recorded; checkpoints are kept.
    """
    known = (dataset.labels >= 0).all()
    result = {
        "schema": results.SCHEMA,
        **what,
        "data": {
            "name": dataset.name,
            "n": len(dataset.images),
            "shape": list(dataset.images.shape[1:]),
            "sha256": checkpoints.digest(dataset.images),
        },
        "metrics": measure(dataset.labels, labels, method.labels_, method.history_[0]) if known else {},
        "confusion": metrics.confusion(dataset.labels, method.labels_, None, method.n_clusters).tolist()
        if known
        else [],
        "classes": method.classes_.tolist(),
        "class_names": list(dataset.class_names),
        "cluster_sizes": np.bincount(method.labels_, minlength=method.n_clusters).tolist(),
        "iterations": method.n_iter_,
        "converged": bool(method.converged_),
        "notices": method.notices_,
        "autoencoder": start,
        "seconds": {"clustering": round(sum(row["seconds"] for row in method.history_), 1)},
    }
    with replacing(directory / "embeddings.npz") as part:
        np.savez(part, embeddings=method.transform(dataset.images), classes=dataset.labels)
    shutil.copyfile(directory / "work" / "history.csv", directory / "history.csv")
    write_json(directory / "result.json", result)
    (directory / "projection.npz").unlink(missing_ok=True)  # of an earlier run's embeddings
    method.save(directory / "model.weights.h5")  # last: with it, the run is finished on this machine
    return result


def export(directory: Path, to: Path | None = None) -> Path:
    """Write the SavedModel of a run that was completed on this machine.

    Args:
        directory: the run's folder.
        to: the SavedModel's folder; None: `results/models/<experiment>-<variant>-seed-<n>`.

    Returns:
        the SavedModel's folder.

    Raises:
        ValueError: the folder holds no run that was completed here, or `to` is in use.
    """
    if not is_finished(directory):
        raise ValueError(
            f"{directory} holds no run that was completed on this machine: expected result.json and model.weights.h5; "
            "run its experiment first (make fashion-dcec SUP=0.01)"
        )
    result = results.read_result(directory)
    experiment = experiments.get(result["experiment"])
    settings = {name: value for name, value in result["settings"].items() if name != "supervision"}
    method = experiment.method_class()(**settings)
    method.load(directory / "model.weights.h5", tuple(result["data"]["shape"]), np.array(result["classes"]))
    name = f"{result['experiment']}-{directory.parent.name}-{directory.name}"
    to = to or results.ROOT / "models" / name
    to.parent.mkdir(parents=True, exist_ok=True)
    method.export(to)
    return to
