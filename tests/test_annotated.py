"""The VAE with named clusters on the digits: what is scored and recorded, repeated from a file, and refused."""

import json
import pathlib
import re
import shutil
import threading
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from deepcluster_tf import datasets, experiments
from deepcluster_tf.annotation import Answer, browser
from deepcluster_tf.annotation.reader import Reader
from deepcluster_tf.experiments import Experiment, results, running, sorting
from deepcluster_tf.experiments import finished as finished_run
from deepcluster_tf.experiments.protocols import annotated
from deepcluster_tf.reporting import tables
from deepcluster_tf.reporting.report import one_run

SOME = pathlib.Path(__file__).parent / "data" / "answers-of-one-epoch.csv"
SETTINGS = {"beta": 0.4, "n_clusters": 8, "clustering": "mixture", "epochs": 6, "unsupervised_epochs": 4, "depth": 1}
TINY = Experiment("digits-x", "digits", "vae:VAE", "annotated:Annotated", settings=SETTINGS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("annotated") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "ROOT", root)
        patch.setattr(Reader.__init__, "__defaults__", (10, 0.7, 300, 0))
        yield running.run(TINY, {"threshold": 0.3}, progress=False)


def test_split_is_stratified_and_the_same_for_every_seed(digits):
    training_rows, validation = annotated.split(digits)
    assert len(validation) == 128 and len(training_rows) == 1500 - 128
    assert not set(training_rows) & set(validation) and validation.max() < 1500
    share = np.bincount(digits.labels[:1500]) / 1500
    np.testing.assert_allclose(np.bincount(digits.labels[validation]) / 128, share, atol=0.01)
    np.testing.assert_array_equal(annotated.split(digits)[1], validation)


def test_everything_is_recorded_and_is_that_of_the_model(finished, digits, monkeypatch):
    directory = finished["directory"]
    assert directory.parent.name == "annotator-reader-threshold-0.3"
    assert finished["annotations"] == 16 and finished["class_names_given"] == list("0123456789")
    method = TINY.method_class()(
        **{k: v for k, v in finished["settings"].items() if k not in ("annotator", "threshold")}
    )
    method.load(directory / "model.weights.h5", (8, 8, 1))
    scored = finished["metrics"]["test_acc"]
    assert scored["value"] == np.mean(method.predict(digits.images[1500:]) == digits.labels[1500:])
    assert scored["protocol"] == "class head on the 297 test images; a reader, not a person, named the centres"
    last = (directory / "history.csv").read_text().splitlines()
    column = last[0].split(",").index("test_acc")
    assert float(last[-1].split(",")[column]) == scored["value"] and len(last) == 7
    answers = (directory / "annotations.csv").read_text().splitlines()
    assert len(answers) == 17 and answers[0] == "epoch,cluster,size,label,confidence,picture"
    with np.load(directory / "centers.npz") as kept:
        assert kept["pictures_6"].shape == (8, 8, 8, 1)
    monkeypatch.setattr(results, "ROOT", directory.parents[3])
    rows, validation = annotated.split(digits)
    assert finished["cluster_sizes"] == np.bincount(method.predict(digits.images[rows]), minlength=10).tolist()
    reader = annotated.kept_reader(digits, rows, "digits", 0.3)  # a ValueError if it was trained on other images
    assert reader.threshold == 0.3
    read = np.mean(reader.read(digits.images[1500:])[0] == digits.labels[1500:])
    assert finished["metrics"]["reader_acc"]["value"] == read
    seen = annotated.reconstruction_accuracy(method, reader, digits, validation)
    assert finished["metrics"]["reconstruction_acc"]["value"] == seen
    guessed = annotated.reconstruction_accuracy(method, reader, digits, validation, sure=0)
    assert finished["metrics"]["reconstruction_acc_guessed"]["value"] == guessed >= seen
    assert pd.read_csv(directory / "readings.csv")["reconstruction_acc"].iloc[-1] == seen  # of the last step
    assert "16 annotations" in tables.summary(finished, TINY)


def test_answers_from_a_file_repeat_the_run_exactly(finished, tmp_path, monkeypatch):
    answers = tmp_path / "answers.csv"
    answers.write_text((finished["directory"] / "annotations.csv").read_text())
    root = finished["directory"].parents[3]
    monkeypatch.setattr(results, "ROOT", root)
    again = running.run(TINY, {"annotator": "file", "answers": str(answers)}, progress=False)
    assert again["directory"] != finished["directory"] and again["notices"] == []
    assert again["metrics"]["test_acc"]["value"] == finished["metrics"]["test_acc"]["value"]
    ours, theirs = (json.loads((r["directory"] / "result.json").read_text()) for r in (again, finished))
    assert ours["cluster_sizes"] == theirs["cluster_sizes"]
    with (
        np.load(again["directory"] / "embeddings.npz") as one,
        np.load(finished["directory"] / "embeddings.npz") as two,
    ):
        np.testing.assert_array_equal(one["embeddings"], two["embeddings"])

    def dies(*_):
        raise KeyboardInterrupt

    own = again["directory"] / "annotations.csv"  # as the table's command has it
    monkeypatch.setattr(annotated.Ledger, "ask", dies)
    with pytest.raises(KeyboardInterrupt):
        running.run(TINY, {"annotator": "file", "answers": str(own)}, progress=False, force=True)
    assert own.read_text() == answers.read_text()


def test_accuracy_of_reconstructions_by_hand(digits):
    class Blurred:
        def reconstruct(self, images):
            return images

    class Sure:
        threshold = 0.7

        def read(self, images):
            return digits.labels[:4] + np.array([0, 1, 0, 0]), np.array([0.9, 0.9, 0.5, 0.7])

    # the first and the last are right and sure enough; the second is wrong, the third is not sure
    assert annotated.reconstruction_accuracy(Blurred(), Sure(), digits, np.arange(4)) == 0.5
    assert annotated.reconstruction_accuracy(Blurred(), Sure(), digits, np.arange(4), sure=0) == 0.75


@pytest.fixture
def shades(tmp_path, monkeypatch):
    """How an experiment runs on sixty images, dark and light by turns, in a flat folder."""
    random = np.random.default_rng(0)
    (tmp_path / "mine").mkdir()
    for i in range(60):
        pixels = np.clip(random.normal(40 if i % 2 else 200, 10, (12, 12)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{i:02}.png")
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    return {"images": str(tmp_path / "mine"), "side": 12, "progress": False}


BY_HAND = {"annotator": "browser", "class_names": ("dark", "light")}
OWN = Experiment(
    "vae", "", "vae:VAE", "annotated:Annotated", settings={**SETTINGS, "n_clusters": 2, "clustering": "kmeans"}
)


def test_a_persons_answers_outlast_a_process_that_dies_in_the_first_round(shades, monkeypatch):
    given_again = []

    class Page:
        def __init__(self, names, port):
            pass

        def annotate(self, questions, given):
            given_again.append(len(given))
            for question in questions:
                if question.key not in given:
                    yield question, Answer(0)
                    if len(given_again) == 1:
                        raise KeyboardInterrupt

        def close(self):
            pass

    monkeypatch.setattr(browser, "Browser", Page)
    early = {**BY_HAND, "epochs": 2, "unsupervised_epochs": 1}
    with pytest.raises(KeyboardInterrupt):  # in the first epoch, of which nothing else is on disk yet
        running.run(OWN, early, **shades)
    running.run(OWN, early, **shades)
    assert given_again == [0, 1]


def test_own_images_are_named_in_the_browser(shades, monkeypatch, tmp_path):
    """No class is known: a person gives the names, here through the page's own routes."""
    pages = []

    class Page(browser.Browser):
        def __init__(self, names, port):
            super().__init__(names, 0)
            pages.append(self)

        def annotate(self, questions, given):
            person = threading.Thread(target=self.person, args=(questions,), daemon=True)
            person.start()
            yield from super().annotate(questions, given)

        def person(self, questions):
            while not self.questions:
                time.sleep(0.01)
            for question in questions:
                assert self._send(self.round, question, Answer(int(question.nearest.mean() > 120)))
            assert self._send(self.round, None, None)

    monkeypatch.setattr(browser, "Browser", Page)
    result = running.run(OWN, BY_HAND, **shades)
    assert result["metrics"] == {} and result["annotations"] == 4 and sum(result["cluster_sizes"]) == 60
    assert result["settings"]["n_classes"] == 2
    found = pd.read_csv(result["directory"] / "clusters.csv")
    assert len(found) == 60 and set(found["class"]) <= {"dark", "light"}
    sizes = {f"{j} {name}": n for j, (name, n) in enumerate(zip(("dark", "light"), result["cluster_sizes"])) if n}
    assert sorting.sort(result["directory"], tmp_path / "sorted", progress=False) == sizes
    lines = ["epoch,cluster,size,label,confidence", "0,1,9,bright,1"]
    (result["directory"] / results.NAMES).write_text("\n".join(lines) + "\n")
    served = tf.saved_model.load(str(finished_run.export(result["directory"], tmp_path / "model")))
    assert served.names()["names"].numpy().tolist() == [b"", b"bright"]
    named = [line.split(",")[3] for line in (result["directory"] / "annotations.csv").read_text().splitlines()[1:]]
    assert sorted(named) == ["dark", "dark", "light", "light"]
    assert pages[0].server.socket.fileno() == -1  # closed with the run
    # names of any length and with any sign, such as T-shirt/top, are in the record; the folder has a digest of them
    assert re.match("mine-[0-9a-f]{8}-annotator-browser-classes-[0-9a-f]{8}-", result["directory"].parent.name)
    assert result["class_names_given"] == ["dark", "light"]
    before = (result["directory"] / "annotations.csv").read_text()
    again = running.run(OWN, BY_HAND, **shades, force=True)  # asks anew, and keeps what was said before
    assert len(pages) == 2 and again["directory"] == result["directory"]
    assert (result["directory"] / "annotations-before-1.csv").read_text() == before
    shutil.rmtree(result["directory"] / "work")
    (result["directory"] / "model.weights.h5").unlink()
    running.run(OWN, BY_HAND, **shades)  # as in a clone: a finished record, whose answers someone else gave
    assert len(pages) == 3 and len(list(result["directory"].glob("annotations-before-*.csv"))) == 2


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"annotator": "oracle"}, "annotator must be reader or file or browser; received 'oracle'"),
        ({"annotator": "file"}, "the annotator file reads ANSWERS=path"),
        ({"answers": "x.csv"}, "the annotator file reads ANSWERS=path"),
        ({"annotator": "file", "answers": "missing.csv"}, "missing.csv is no file of answers"),
        ({"annotator": "file", "answers": str(SOME)}, "answers-of-one-epoch.csv has no answer after epoch 5"),
        ({"annotator": "browser", "threshold": 0.5}, "it has no effect on ANNOTATOR=browser, leave it out"),
        ({"threshold": 1.5}, "threshold must be a number from 0 to 1; received 1.5"),
        ({"annotator": "browser", "port": 80}, "the port .PORT. must be in 1024..65535; received 80"),
        ({"class_names": ("a", "a")}, "class names must be different words; received 'a', 'a'"),
        ({"class_names": ("a", "b")}, "digits has classes of its own: expected no CLASSES"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(tmp_path, monkeypatch, how, message):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    with pytest.raises(ValueError, match=message):
        running.run(TINY, how, progress=False)
    assert not (tmp_path / "results").exists()


def test_epochs_without_names_are_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    with pytest.raises(ValueError, match="nobody would be asked: expected more epochs than the 4"):
        running.run(TINY, {"epochs": 4}, progress=False)
    assert not (tmp_path / "results").exists()


def test_means_over_the_epochs_after_which_somebody_was_asked():
    history = [
        {"annotations": shown, "clusters": k, "named": named, "weight": w}
        for shown, k, named, w in ((0, 9, 0.0, 0.0), (4, 4, 0.0, 0.0), (8, 6, 0.5, 0.1), (8, 9, 0.5, 0.1))
    ]
    assert annotated._naming(history) == pytest.approx({"clusters": 5, "named": 0.25, "weight": 0.05})
    assert annotated._naming(history[:1]) == {}


def test_reconstructions_are_read_alike_by_any_reader(finished, digits, monkeypatch):
    """A bolder annotator does not make reconstructions better."""
    method = TINY.method_class()(
        **{k: v for k, v in finished["settings"].items() if k in TINY.method_class().defaults()}
    )
    method.load(finished["directory"] / "model.weights.h5", (8, 8, 1))
    rows = annotated.split(digits)[1]

    class Sure:
        threshold = 0.1

        def read(self, images):
            return digits.labels[rows], np.where(np.arange(len(rows)) % 4 == 0, 0.6, 0.8)

    assert annotated.reconstruction_accuracy(method, Sure(), digits, rows) == 0.75


def test_who_is_not_asked_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    with pytest.raises(ValueError, match="gamma = 0 asks nobody: expected no ANNOTATOR=browser, or another GAMMA"):
        running.run(TINY, {"annotator": "browser", "gamma": 0.0, "depth": 2}, progress=False)
    with pytest.raises(ValueError, match="gamma = 0 asks nobody: expected no THRESHOLD, or another GAMMA"):
        running.run(TINY, {"threshold": 0.5, "gamma": 0.0, "depth": 2}, progress=False)


def test_few_images_of_ones_own_leave_some_to_train_on():
    few = datasets.Dataset(
        "mine", np.zeros((60, 8, 8, 1), np.uint8), np.arange(60) % 2, slice(0, 60), slice(60, 60), "ab", ""
    )
    rows, validation = annotated.split(few)
    assert len(validation) == 6 and len(rows) == 54 and np.bincount(few.labels[validation]).tolist() == [3, 3]
    lonely = datasets.Dataset(**{**vars(few), "labels": np.array([0] + [1] * 59)})
    assert len(annotated.split(lonely)[1]) == 6  # a class of one image cannot be on both sides


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"annotator": "browser"}, "mine has no classes: expected CLASSES=name,name"),
        ({"class_names": ("a", "b")}, "a reader learns from labelled images, and these have none"),
        ({**BY_HAND, "class_names": ("a\rb", "c")}, "class names must be words that can be printed"),
    ],
)
def test_own_images_need_names_and_a_person(tmp_path, monkeypatch, how, message):
    (tmp_path / "mine").mkdir()
    for i in range(3):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / "mine" / f"{i}.png")
    with pytest.raises(ValueError, match=message):
        running.run(experiments.get("vae"), how, images=str(tmp_path / "mine"), side=8, progress=False)


def test_the_page_of_a_run_has_its_classes_and_no_more(finished, monkeypatch):
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"digits-x": TINY})
    of = finished_run.contents(finished["directory"], progress=False)
    of.method.n_clusters = 16  # of its latent space, of which several may have one name
    monkeypatch.setattr(one_run, "_map", lambda *_: np.zeros((len(of.clusters), 2)))
    points = one_run._points(finished["directory"], of, np.arange(len(of.clusters)), False)
    assert points["clusterNames"] == list("0123456789") and len(points["sizes"]) == 10 == len(points["typical"])
