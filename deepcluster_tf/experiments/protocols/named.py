"""A few pictures of a finished clustering are named, one for each of many small clusters, and so all images are.

The VAE with named clusters asks for names while it trains, of pictures that its decoder makes up. Here someone is asked
once, when the encoding is learned, and shown the most typical real image of each cluster.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcluster_tf import clustering, datasets, metrics
from deepcluster_tf.annotation import Question
from deepcluster_tf.annotation.ledger import Ledger, free_name
from deepcluster_tf.experiments import results
from deepcluster_tf.experiments.protocols.annotated import (
    SURE,
    digest_of_names,
    kept_reader,
    require_annotator,
    require_names,
)
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.files import locked
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.networks import to_unit
from deepcluster_tf.settings import setting

NEAREST = 8  # images of a cluster that are shown beside its most typical one


@dataclass(kw_only=True, eq=False)
class Named(Protocol):
    """Clusters of an encoding, by UMAP and a mixture, of each of which one picture is named; scored on the test images.

    The method sees all images and no label. Where a picture shows none of the classes, or cannot be read, the images
    of its cluster go to the likeliest cluster that has a name.
    """

    pictures: int = setting(20, "how many are shown: so many clusters, the most typical image of each", low=2)
    annotator: str = setting(
        "reader", "who names: a classifier that plays the person, or you in the browser", choices=("reader", "browser")
    )
    threshold: float = setting(0.7, "confidence below which the reader sees no class in a picture", low=0, high=1)
    class_names: tuple[str, ...] = setting((), "what can be named, where the images have no classes of their own")
    port: int = setting(8765, "of the page", low=0, high=65535)

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        found = {"pictures": self.pictures, "annotator": self.annotator}
        if self.threshold != SURE:
            found["threshold"] = self.threshold
        if self.class_names:
            found["classes"] = digest_of_names(self.class_names)
        return found

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return ["umap-learn", *(["flask"] if self.annotator == "browser" else [])]

    def check_settings(self) -> None:
        """Refuse what can be refused before there are data; raises ValueError."""
        super().check_settings()
        require_annotator(self)

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        known = (dataset.labels >= 0).all()
        if known and self.class_names:
            raise ValueError(f"{dataset.name} has classes of its own: expected no CLASSES")
        self._names = dataset.class_names if known else self.class_names
        if len(self._names) < 2:
            raise ValueError(f"{dataset.name} has no classes: expected CLASSES=name,name,... with two names or more")
        require_names(self._names)
        if self.annotator == "reader" and not known:
            raise ValueError("a reader learns from labelled images, and these have none: expected ANNOTATOR=browser")
        if self.annotator == "browser":
            from deepcluster_tf.annotation.browser import require_port

            require_port(self.port)
        fewest = max(self.pictures, clustering.FEWEST)
        if len(dataset.images) < fewest:
            raise ValueError(f"{self.pictures} pictures need {fewest} images; received {len(dataset.images)}")
        method.check(dataset.images)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        shared = results.ROOT / "pretrained" / results.folder_name(data)
        settings = checkpoints.digest(np.array([str(method.get_settings())]))[:8]
        place = shared / f"{type(method).__name__.lower()}-{settings}-seed-{method.seed}"
        with locked(place, wait=True):  # runs that show other numbers of pictures have this fit in common
            method.fit(dataset.images, directory=place / "work", shared=shared, **how)
        start, bar = time.perf_counter(), "UMAP and a mixture" if how["progress"] else None
        found = clustering.N2D(n_clusters=self.pictures, seed=method.seed)
        found.fit(method.transform(dataset.images), bar)
        seconds = {"n2d": round(time.perf_counter() - start, 1), **method.seconds_}
        seconds["training"] = round(sum(row["seconds"] for row in method.history_), 1)
        answers, ledger = self._ask(dataset, data, found, work, again, how["progress"])
        classes = spread(found.probabilities_, answers)
        return {
            "class_names_given": list(self._names),
            "annotations": ledger.shown(1),
            "cluster_sizes": np.bincount(classes, minlength=len(self._names)).tolist(),
            "notices": [*method.notices_, *_unnamed(answers)],
            "seconds": seconds,
            "metrics": self._metrics(dataset, classes),
            "clusters": {"class": np.array(self._names)[classes]} if dataset.files else {},
        }

    def _ask(self, dataset, data, found, work: Path, again: bool, progress: bool) -> tuple[np.ndarray, Ledger]:
        """The class of each cluster, int (pictures,), -1 where none was seen, and the ledger of the answers."""
        path = work.parent / "annotations.csv"
        elsewhere = (work.parent / "result.json").exists() and not work.exists()  # finished there, as in a fresh clone
        work.mkdir(parents=True, exist_ok=True)
        if path.exists() and self.annotator == "browser" and (again or elsewhere):
            path.rename(free_name(path))  # a person is asked anew, and the answers before are kept
        if self.annotator == "reader":
            rows = np.arange(len(dataset.images))[dataset.train]
            path.unlink(missing_ok=True)  # it gives the same answers again
            annotator = kept_reader(dataset, rows, f"{data}-training", self.threshold, progress)
        else:
            from deepcluster_tf.annotation.browser import Browser  # which needs flask, an extra

            annotator = Browser(self._names, self.port)
        ledger = Ledger(annotator, self._names, path)
        nothing = all(answer.label < 0 for answer in ledger.answers(1).values())  # none that spreads: asked once more
        try:
            answers = ledger.ask(questions(dataset.images, found.labels_, found.density_), again=nothing)
        finally:
            if self.annotator == "browser":
                annotator.close()
        return np.array([answer.label for answer in answers]), ledger

    def _metrics(self, dataset, classes: np.ndarray) -> dict:
        if not (dataset.labels >= 0).all():
            return {}
        who = "a reader, not a person," if self.annotator == "reader" else "a person"
        found = {}
        for name, rows in (("test_", dataset.test), ("", slice(None))):
            truth, said = dataset.labels[rows], classes[rows]
            if not len(truth):
                continue
            scores = {**metrics.scores(truth, said), "acc": float(np.mean(truth == said))}
            of = f"{len(truth):,} test images" if name else f"all {len(truth):,} images"
            for score, value in scores.items():
                protocol = f"{of}; {who} named {self.pictures} pictures"
                found[name + score] = {"value": value, "protocol": protocol, "n": len(truth)}
        return found


def questions(images: np.ndarray, clusters: np.ndarray, density: np.ndarray, epoch: int = 1) -> list[Question]:
    """The most typical image of each cluster that has any, and the next ones beside it.

    Args:
        images: (n, height, width, channels).
        clusters: int (n,).
        density: float (n,), the larger the more typical an image is of its cluster.
        epoch: after which it is asked; 0 when all is over.
    """
    asked = []
    for cluster in np.unique(clusters):
        rows = np.flatnonzero(clusters == cluster)
        first, *rest = rows[np.argsort(-density[rows], kind="stable")][: NEAREST + 1]
        picture = np.asarray(to_unit(images[first]))
        asked.append(Question(epoch, str(cluster), picture, images[rest], len(rows)))
    return asked


def spread(probabilities: np.ndarray, names: np.ndarray) -> np.ndarray:
    """The class of each image, int64 (n,): that of its likeliest cluster among those with a name.

    Args:
        probabilities: float (n, k), of each image's cluster.
        names: int (k,), the class of a cluster, -1 where it has none.

    Raises:
        ValueError: no cluster has a name.
    """
    known = np.flatnonzero(names >= 0)
    if not len(known):
        raise ValueError("no picture was named: expected a name for one at least; show more of them (PICTURES)")
    return names[known][np.argmax(probabilities[:, known], axis=1)].astype(np.int64)


def _unnamed(names: np.ndarray) -> list[str]:
    count = int(np.sum(names < 0))
    return [f"{count} of {len(names)} pictures show no class"] if count else []
