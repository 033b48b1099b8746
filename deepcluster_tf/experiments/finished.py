"""What is done with a run that was completed on this machine: its model exported, and asked about new images."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from deepcluster_tf import datasets, experiments, fitting
from deepcluster_tf.annotation.ledger import read_answers
from deepcluster_tf.experiments import results
from deepcluster_tf.experiments.running import is_finished
from deepcluster_tf.files import read_npz, replacing, require_writable, sweep
from deepcluster_tf.fitting import checkpoints

COLUMNS = ["file", "cluster", "class", "confidence", "farther_than"]  # of what is predicted
NOT_KEPT = {  # protocols whose runs keep another model than gave their clusters, and why
    "classified": "its classifiers are gone; what they said of its own images is there for make sort",
    "peers": "ClustPy's model is gone; its clusters of the run's own images are there for make sort",
    "named": "names went to its own images alone, which make sort has; for others, make fixmatch and make name",
}


def read(directory: Path) -> tuple[dict, object]:
    """The result of a run, and its fitted method.

    Args:
        directory: the run's folder.

    Raises:
        ValueError: the folder holds no run that was completed here, or one of which no model is kept.
    """
    if not is_finished(directory):
        raise ValueError(
            f"{directory} holds no run that was completed on this machine: expected result.json and the "
            "model.weights.h5 that it tells of; run its experiment first, as make fashion-dcec SUP=0.01 does"
        )
    result = results.read_result(directory)
    if reason := NOT_KEPT.get(result["protocol"]):
        raise ValueError(f"{directory} holds no model of its clusters: {reason}")
    kind = experiments.get(result["experiment"]).method_class()
    method = kind(**{name: value for name, value in result["settings"].items() if name in kind.defaults()})
    learned = {"classes": result["classes"]} if "classes" in result else {}
    return result, method.load(directory / "model.weights.h5", tuple(result["data"]["shape"]), **learned)


@dataclass(frozen=True, eq=False)
class Contents:
    """A finished run with all that it was made of.

    Attributes:
        result: the recorded result.
        method: fitted.
        dataset: the images that were clustered, and what is known of them.
        embeddings: float (n, d), a row an image.
        clusters: int (n,), those that `predict` gives.
        confidence: float (n,) in 0..1, the largest soft assignment.
    """

    result: dict
    method: object
    dataset: datasets.Dataset
    embeddings: np.ndarray
    clusters: np.ndarray
    confidence: np.ndarray


def contents(directory: Path, data_dir: str | None = None, progress: bool = True) -> Contents:
    """A finished run, its images and where they came to lie.

    Args:
        directory: the run's folder.
        data_dir: a folder with the data set's published files.
        progress: show bars.

    Raises:
        ValueError: the folder holds no run that was completed here, or its images are not what they were.
        datasets.DataError: the images are not to be had.
    """
    result, method = read(directory)
    about = result["data"]
    if "folder" in about:
        dataset = datasets.load_folder(about["folder"], size=about["shape"][0], progress=progress)
    else:
        dataset = datasets.load(about["name"], data_dir=data_dir, progress=progress)
    if checkpoints.digest(dataset.images) != about["sha256"]:
        raise ValueError(
            f"the images of {about.get('folder', about['name'])} are not those of {directory}: expected them as they "
            "were when the run was made; run its experiment again on those that are there now"
        )
    if method.keeps_embeddings:
        kept = directory / "embeddings.npz"
        if not kept.exists():
            raise ValueError(f"{kept} is not on this machine: run the experiment again with FORCE=1, or bring it here")
        z = read_npz(kept, ("embeddings",))["embeddings"]
        if len(z) != len(dataset.images):
            raise ValueError(f"{kept} is of {len(z):,} images: expected the run's {len(dataset.images):,}")
    else:
        z = method.transform(dataset.images)
    p = np.asarray(fitting.batched(method.main_head())(z))
    return Contents(result, method, dataset, z, p.argmax(axis=1), p.max(axis=1))


def export(directory: Path, to: Path | None = None) -> Path:
    """Write the SavedModel of a run.

    Args:
        directory: the run's folder.
        to: the SavedModel's folder; None: `results/models/<experiment>-<variant>-seed-<n>`.

    Returns:
        the SavedModel's folder.

    Raises:
        ValueError: the folder holds no run that was completed here, or `to` is in use.
    """
    result, method = read(directory)
    whole = directory.resolve()
    to = to or results.ROOT / "models" / f"{result['experiment']}-{whole.parent.name}-{whole.name}"
    require_writable(to.parent)
    given = read_names(directory)
    k = getattr(method, "n_classes", method.n_clusters)  # a VAE's classes are what it gives
    method.export(to, tuple(given.get(j, "") for j in range(k)) if given else ())
    return to


def predict(directory: Path, folder: Path, to: Path | None = None, progress: bool = True) -> tuple[Path, int]:
    """Ask a run's model about a folder of images, any number of them, and write a CSV of a line each.

    Its columns: "file"; "cluster"; "class", the name for which the cluster stands, where that is known; "confidence",
    the largest soft assignment; "farther_than", the share of the images of that cluster which the model was fitted to
    that lie nearer to their mean: 1 is farther than all of them. An image that cannot be read has none of these.

    Args:
        directory: the run's folder.
        folder: of images, as `datasets.load_folder` takes it.
        to: the CSV; None: into the run's folder, under the name of the images'.
        progress: show a bar.

    Returns:
        the CSV, and how many images could not be read.

    Raises:
        ValueError: the folder holds no run that was completed here, or `to` is something else than a prediction.
        datasets.DataError: the folder of images cannot be used.
    """
    folder = Path(folder).expanduser().resolve()
    to = to or directory / f"predicted-{results.folder_name(folder.name)}.csv"
    _require_prediction(to)
    result, method = read(directory)
    require_writable(to.parent)
    sweep(to.parent, to.name)
    names, far, unread = cluster_names(directory, result), _Distances(directory, method), 0
    head = fitting.batched(method.main_head())
    with replacing(to) as part, open(part, "w", encoding="utf-8", newline="") as file:
        write = lambda columns, **how: pd.DataFrame(columns, columns=COLUMNS).to_csv(
            file, index=False, float_format="%.6g", **{"header": False, **how}
        )
        write({}, header=True)
        for files, images, broken in datasets.stream_folder(folder, tuple(result["data"]["shape"]), progress=progress):
            if files:
                z = method.transform(images)
                p = np.asarray(head(z))
                clusters = p.argmax(axis=1)
                said = [names.get(int(each), "") for each in clusters]
                write(dict(zip(COLUMNS, (files, clusters, said, p.max(axis=1), far(z, clusters)))))
            write({"file": [*broken]})
            unread += len(broken)
            for why in broken.values():
                tqdm.write(f"not read: {why}", file=sys.stderr)
    return to, unread


def _require_prediction(path: Path) -> None:
    """Refuse to replace what no `predict` wrote; raises ValueError."""
    if not os.path.lexists(path):
        return
    header = ",".join(COLUMNS).encode()
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.readline(len(header) + 2)
    if head.rstrip(b"\r\n") != header:
        raise ValueError(
            f"{path} exists and is no CSV that predict wrote, for its first line is not {header.decode()}: nothing is "
            "replaced; name another TO, or move it away"
        )


def cluster_names(directory: Path, result: dict) -> dict[int, str]:
    """What a cluster is called, by cluster: as it was named afterwards, else the class for which it stands.

    Args:
        directory: the run's folder.
        result: what is recorded of it.
    """
    if given := read_names(directory):
        return given
    if result["protocol"] == "annotated":  # the clusters are the classes
        return dict(enumerate(result["class_names_given"]))
    names = result["class_names"]
    return {j: names[label] for j, label in enumerate(result.get("classes", ())) if 0 <= label < len(names)}


def read_names(directory: Path) -> dict[int, str]:
    """The names that `naming.name` left in a run's folder, by cluster; a ValueError if the file is damaged."""
    path = directory / results.NAMES
    rows = read_answers(path).values() if path.exists() else ()
    if wrong := [row["cluster"] for row in rows if not row["cluster"].isdecimal()]:
        raise ValueError(f"{path} names {wrong[0]}, which is no cluster of a run: mend it, or move it away")
    return {int(row["cluster"]): row["label"] for row in rows if row["label"]}


def from_means(z: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """How far each embedding lies from the mean of its cluster, float (n,): the least is the most typical.

    Args:
        z: float (n, ...). clusters: int (n,).
    """
    z, distances = z.reshape(len(z), -1), np.zeros(len(z))
    for cluster in np.unique(clusters):
        rows = clusters == cluster
        distances[rows] = np.linalg.norm(z[rows] - z[rows].mean(axis=0), axis=1)
    return distances


class _Distances:
    """How far an embedding lies from the mean of its cluster, beside those of the images that were fitted."""

    def __init__(self, directory: Path, method):
        self.means, self.known = {}, {}
        kept = directory / "embeddings.npz"
        if not method.keeps_embeddings or not kept.exists():
            return
        z = read_npz(kept, ("embeddings",))["embeddings"]
        clusters = np.asarray(fitting.batched(method.main_head())(z)).argmax(axis=1)
        distances = from_means(z, clusters)
        for cluster in np.unique(clusters):
            self.means[cluster] = z[clusters == cluster].mean(axis=0)
            self.known[cluster] = np.sort(distances[clusters == cluster])

    def __call__(self, z: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """The shares that lie nearer, float (n,) in 0..1; NaN where no image of the cluster is known."""
        found = np.full(len(z), np.nan)
        for cluster in set(clusters) & set(self.means):
            rows = clusters == cluster
            distances = np.linalg.norm(z[rows] - self.means[cluster], axis=1)
            found[rows] = np.searchsorted(self.known[cluster], distances) / len(self.known[cluster])
        return found
