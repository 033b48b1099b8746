"""Training in which someone names pictures, scored on the test images (VAE with named clusters)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from deepcluster_tf import datasets, machine
from deepcluster_tf.annotation.file import File
from deepcluster_tf.annotation.ledger import Ledger, free_name
from deepcluster_tf.annotation.reader import Reader
from deepcluster_tf.experiments import results
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.files import locked, read_json, write_json
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.settings import setting

VALIDATION = 128  # images on which reconstructions are read (VAE with named clusters, 3.2)
SURE = 0.7  # confidence from which a reader is taken to see a class; of the scores, always


@dataclass(kw_only=True, eq=False)
class Annotated(Protocol):
    """How the VAE with named clusters is run and scored: someone names pictures while it trains."""

    annotator: str = setting(
        "reader",
        "who names: a classifier that plays the person, a file of answers (ANSWERS), or you in the browser",
        choices=("reader", "file", "browser"),
    )
    threshold: float = setting(0.7, "confidence below which the reader sees no class in a picture", low=0, high=1)
    answers: str = setting(None, "a file of answers, such as a run's annotations.csv")
    class_names: tuple[str, ...] = setting((), "what can be named, where the images have no classes of their own")
    port: int = setting(8765, "of the page", low=0, high=65535)

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        settings = {"annotator": self.annotator}
        if self.threshold != SURE:
            settings["threshold"] = self.threshold
        if self.class_names:
            settings["classes"] = digest_of_names(self.class_names)
        if self.annotator == "file":
            settings["answers"] = _short(self._answers.read_bytes())
        return settings

    def check_settings(self) -> None:
        """Refuse what can be refused before there are data; raises ValueError."""
        super().check_settings()
        if (self.annotator == "file") != (self.answers is not None):
            raise ValueError("the annotator file reads ANSWERS=path, and no other does: give both, or neither")
        require_annotator(self)
        require_names(self.class_names)

    @property
    def _answers(self) -> Path:
        return Path(self.answers).expanduser()

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return ["flask"] if self.annotator == "browser" else []

    def _browser(self):
        from deepcluster_tf.annotation.browser import Browser  # which needs flask, an extra

        return Browser(self._names, self.port)

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data, and tell the method how many classes there are; raises ValueError."""
        known = (dataset.labels >= 0).all()
        if known and self.class_names:
            raise ValueError(f"{dataset.name} has classes of its own: expected no CLASSES")
        self._names = dataset.class_names if known else self.class_names
        if known and len(self._names) < 2:
            raise ValueError(
                f"{dataset.name} has one class: expected two sub-folders, or images without any and CLASSES"
            )
        if len(self._names) < 2:
            raise ValueError(f"{dataset.name} has no classes: expected CLASSES=name,name,... with two names or more")
        require_names(self._names)
        if self.annotator == "reader" and not known:
            raise ValueError(
                "a reader learns from labelled images, and these have none: use ANNOTATOR=browser, or file with ANSWERS"
            )
        if self.annotator != "reader" and not method.gamma:
            raise ValueError(f"gamma = 0 asks nobody: expected no ANNOTATOR={self.annotator}, or another GAMMA")
        if self.threshold != SURE and not method.gamma:
            raise ValueError("gamma = 0 asks nobody: expected no THRESHOLD, or another GAMMA")
        if method.gamma:
            method.require_epochs_with_names()
        if self.annotator == "file":
            answered = {epoch for epoch, _ in File(self._answers, self._names).rows}
            for epoch in range(method.unsupervised_epochs, method.epochs):
                if epoch not in answered:
                    raise ValueError(
                        f"{self.answers} has no answer after epoch {epoch}: expected the file of such a run"
                    )
        if self.annotator == "browser":
            from deepcluster_tf.annotation.browser import require_port

            require_port(self.port)
        method.n_classes = len(self._names)
        self._training, self._validation = split(dataset) if known else (np.arange(len(dataset.images)), None)
        method.check(dataset.images[self._training])

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        # of a finished run that is run again, or was finished elsewhere, a person's answers are kept under another name
        reader = None
        if self._validation is not None:
            reader = kept_reader(dataset, self._training, data, self.threshold, how["progress"])
        annotator = {
            "reader": lambda: reader,
            "file": lambda: File(self._answers, self._names),
            "browser": self._browser,
        }[self.annotator]()
        answers = work.parent / "annotations.csv"  # not in work, which may be removed
        elsewhere = (work.parent / "result.json").exists() and not (work / "fit.json").exists()  # as in a fresh clone
        if answers.exists() and self.annotator == "browser" and (again or elsewhere):
            answers.rename(free_name(answers))
        elif self.annotator != "browser" and not (work / "history.csv").exists() and not self._reads(answers):
            answers.unlink(missing_ok=True)  # who can be asked again gives the same answers
        ledger = Ledger(annotator, self._names, answers) if method.gamma else None
        score, read = self._reports(method, dataset, reader)
        try:
            method.fit(dataset.images[self._training], annotator=ledger, directory=work, score=score, read=read, **how)
        finally:
            if self.annotator == "browser":
                annotator.close()
        return {
            "class_names_given": list(self._names),
            "annotations": method.annotations_,
            "naming": _naming(method.history_),
            "cluster_sizes": np.bincount(method.labels_, minlength=method.n_classes).tolist(),
            "notices": annotator.notices(ledger.rows) if self.annotator == "file" else [],
            "seconds": {
                phase: round(sum(row[f"{phase}_seconds"] for row in method.history_), 1)
                for phase in ("training", "naming")
            },
            "metrics": self._metrics(method, dataset, reader),
            "arrays": {"centers": method.centers_},
            "clusters": {"class": np.array(self._names)[method.predict(dataset.images)]} if dataset.files else {},
        }

    def _reads(self, answers: Path) -> bool:
        return self.answers is not None and self._answers.resolve() == answers.resolve()

    def _reports(self, method, dataset, reader):
        """What is reported after each epoch and every 300 steps; nothing where no class is known."""
        if reader is None:
            return None, None
        test = dataset.test if len(dataset.images[dataset.test]) else self._validation
        images, classes = dataset.images[test], dataset.labels[test]
        return (
            lambda: {"test_acc": float(np.mean(method.predict(images) == classes))},
            lambda *_: {"reconstruction_acc": reconstruction_accuracy(method, reader, dataset, self._validation)},
        )

    def _metrics(self, method, dataset, reader) -> dict:
        if reader is None:
            return {}
        what = "centres" if method.query == "centers" else f"{method.query} images"
        named = {"reader": f"a reader, not a person, named the {what}", "file": f"a file named the {what}"}
        stood_in = named.get(self.annotator, f"a person named the {what}") if method.gamma else "nobody named anything"
        test = dataset.test if len(dataset.images[dataset.test]) else self._validation
        where = f"{len(dataset.images[test]):,} {'test' if test is dataset.test else 'validation'} images"
        rows = self._validation
        values = {
            "test_acc": (
                float(np.mean(method.predict(dataset.images[test]) == dataset.labels[test])),
                f"class head on the {where}; {stood_in}",
                len(dataset.images[test]),
            ),
            "reconstruction_acc": (
                reconstruction_accuracy(method, reader, dataset, rows),
                f"{len(rows)} validation images whose reconstruction a reader, not a person, names rightly, with a "
                f"confidence of {SURE} or more",
                len(rows),
            ),
            "reconstruction_acc_guessed": (
                reconstruction_accuracy(method, reader, dataset, rows, sure=0),
                f"the same {len(rows)} images, however unsure the reader is",
                len(rows),
            ),
            "reader_acc": (
                float(np.mean(reader.read(dataset.images[test])[0] == dataset.labels[test])),
                f"the reader itself on the {where}",
                len(dataset.images[test]),
            ),
        }
        return {name: dict(zip(("value", "protocol", "n"), what)) for name, what in values.items()}


def _naming(history: list[dict]) -> dict[str, float]:
    """Means over the epochs after which somebody was asked: clusters, share of images named, weight w of these."""
    before = [0, *(row["annotations"] for row in history)]
    asked = [row for row, shown in zip(history, before) if row["annotations"] > shown]
    return {name: float(np.mean([row[name] for row in asked])) for name in ("clusters", "named", "weight") if asked}


def require_annotator(protocol: Protocol) -> None:
    """Refuse what has no effect on the one who names, and a port that is none; raises ValueError."""
    who, port = protocol.annotator, protocol.port
    if who != "reader" and protocol.threshold != SURE:
        raise ValueError(f"THRESHOLD is the reader's: it has no effect on ANNOTATOR={who}, leave it out")
    if who != "browser" and port != protocol.defaults()["port"]:
        raise ValueError(f"PORT is the page's: it has no effect on ANNOTATOR={who}, leave it out")
    if port and port < 1024:
        raise ValueError(f"the port (PORT) must be in 1024..65535; received {port}")


def require_names(names: tuple[str, ...]) -> None:
    """Refuse names of classes of which two are the same, or that a file of answers cannot hold; raises ValueError."""
    if len(set(names)) != len(names) or "" in names:
        raise ValueError(f"class names must be different words; received {', '.join(map(repr, names))}")
    if broken := [name for name in names if not name.isprintable()]:
        raise ValueError(
            f"class names must be words that can be printed, for a file of answers; received {broken[0]!r}"
        )


def digest_of_names(names: tuple[str, ...]) -> str:
    """What stands for names of classes in the name of a run, whose length and signs are limited."""
    return _short("\n".join(names).encode())


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def split(dataset: datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Training rows without 128 (a tenth at most) set apart for validation, by class; the same for every seed."""
    rows = np.arange(len(dataset.images))[dataset.train]
    count = min(VALIDATION, max(len(rows) // 10, 1))  # of the user's own images there may be few
    classes = dataset.labels[rows]
    sizes = np.unique(classes, return_counts=True)[1]
    even = classes if sizes.min() > 1 and len(sizes) <= count else None
    training, validation = train_test_split(rows, test_size=count, stratify=even, random_state=0)
    return np.sort(training), np.sort(validation)


def reconstruction_accuracy(
    method, reader: Reader, dataset: datasets.Dataset, rows: np.ndarray, sure: float = SURE
) -> float:
    """The share of images whose reconstruction the reader names rightly, 0..1 (VAE with named clusters, Figure 5).

    Args:
        method: fitted, with `reconstruct`.
        reader: stands in for the paper's person.
        dataset: with a class for each image.
        rows: int (n,), of the images.
        sure: confidence below which the reader counts as seeing no class, in 0..1; 0 counts every guess.
    """
    classes, confidences = reader.read(method.reconstruct(dataset.images[rows]))
    return float(np.mean((classes == dataset.labels[rows]) & (confidences >= sure)))


def kept_reader(
    dataset: datasets.Dataset, rows: np.ndarray, data: str, threshold: float, progress: bool = True
) -> Reader:
    """The data set's reader: the one kept under `results/pretrained`, or one trained now and kept there.

    Raises:
        ValueError: the kept reader is damaged, or was made from other images.
    """
    directory = results.ROOT / "pretrained" / results.folder_name(f"{data}-reader")
    weights, path = directory / "reader.weights.h5", directory / "record.json"
    images = dataset.images[rows]
    reader = Reader(len(dataset.class_names), threshold)
    made_of = [checkpoints.digest(images), checkpoints.digest(dataset.labels[rows]), reader.steps]
    with locked(directory, wait=True):
        if path.exists():
            if read_json(path).get("made_of") != made_of:
                raise ValueError(
                    f"{weights} was made from other images or classes: remove {directory} to train it anew"
                )
            return reader.load(weights, images.shape[1:])
        provenance = machine.provenance()
        reader.fit(images, dataset.labels[rows], progress).save(weights)
        write_json(path, {"made_of": made_of, **provenance})
    return reader
