"""One round of names for a finished clustering: what is shown, how a name spreads, a whole run, what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from deepcluster_tf import datasets, experiments
from deepcluster_tf.annotation import Answer
from deepcluster_tf.experiments import finished, running
from deepcluster_tf.experiments.protocols import named
from deepcluster_tf.experiments.protocols.named import Named

FEW = {"iterations": 80}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield


@pytest.fixture(scope="module")
def result(here):
    return running.run(experiments.get("digits-names"), FEW, progress=False)


def test_the_most_typical_image_is_shown_by_hand():
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    asked = named.questions(images, np.array([1, 0, 1, 0, 1, 1]), np.array([3.0, 1, 9, 2, 5, 5]))
    assert [(each.cluster, each.size) for each in asked] == [("0", 2), ("1", 4)]
    assert [float(each.picture[0, 0, 0]) for each in asked] == pytest.approx([3 / 255, 2 / 255])
    assert asked[1].nearest.ravel().tolist() == [4, 5, 0]


def test_a_name_spreads_by_hand():
    p = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]])
    assert named.spread(p, np.array([5, 2, 5])).tolist() == [5, 5, 5]
    assert named.spread(p, np.array([-1, 2, 5])).tolist() == [2, 5, 2]  # cluster 0 has no name
    with pytest.raises(ValueError, match="no picture was named"):
        named.spread(p, np.array([-1, -1, -1]))


def test_a_run_asks_once_and_keeps_the_answers(result, digits):
    read = json.loads((result["directory"] / "result.json").read_text())
    lines = (result["directory"] / "annotations.csv").read_text().splitlines()
    assert read["annotations"] == 20 == len(lines) - 1 and read["settings"]["pictures"] == 20
    assert 0.7 < read["metrics"]["test_acc"]["value"] < 1 and read["metrics"]["test_acc"]["n"] == 297
    assert read["metrics"]["acc"]["n"] == 1797 == sum(read["cluster_sizes"])
    assert "a reader, not a person, named 20 pictures" in read["metrics"]["acc"]["protocol"]


def test_other_numbers_of_pictures_share_the_fit(result, here, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("deepcluster_tf.fitting.ResidentModel.train_step", forbidden)
    more = running.run(experiments.get("digits-names"), {**FEW, "pictures": 40}, progress=False)
    assert more["annotations"] == 40 and more["iterations"] == result["iterations"] == FEW["iterations"]
    assert more["metrics"]["acc"]["value"] > result["metrics"]["acc"]["value"] - 0.05


def test_a_person_is_asked_anew_where_a_run_is_made_anew_and_of_other_names(here, digits, tmp_path, monkeypatch):
    class Person:
        asked = []

        def __init__(self, names, port):
            self.names = names

        def annotate(self, questions, given):
            assert not any(each.learns or each.decoded for each in questions)
            for number, question in enumerate(each for each in questions if blind or each.key not in given):
                self.asked.append(self.names)
                if len(self.asked) == stop:
                    raise KeyboardInterrupt
                yield question, Answer(-1 if blind == 1 else number % len(self.names))

        def close(self):
            pass

    for row in range(64):
        Image.fromarray(digits.images[row, ..., 0]).save(tmp_path / f"{row:02d}.png")
    monkeypatch.setattr("deepcluster_tf.annotation.browser.Browser", Person)
    settings = {"iterations": 1, "pictures": 3, "annotator": "browser", "port": 0, "class_names": ("cat", "dog")}

    def named(names=("cat", "dog"), force=False):
        how = {"images": str(tmp_path), "side": 8, "progress": False, "force": force}
        return running.run(experiments.get("names"), {**settings, "class_names": names}, **how)["directory"]

    stop = blind = 0
    directory = named()
    assert len(Person.asked) == 3 and named() == directory and len(Person.asked) == 3  # finished: nobody is asked
    assert named(("cat", "dog", "owl")) != directory and len(Person.asked) == 6
    stop = 8
    with pytest.raises(KeyboardInterrupt):
        named(force=True)
    assert len(Person.asked) == 8 and len(list(directory.glob("annotations*.csv"))) == 2  # those before are kept
    stop = 0
    assert named() == directory and len(Person.asked) == 10  # the one that was answered is not asked again
    blind = 1
    with pytest.raises(ValueError, match="no picture was named"):
        named(("ox", "owl"))
    blind = 2
    assert named(("ox", "owl")).exists() and len(Person.asked) == 16  # who saw nothing is asked once more
    with pytest.raises(ValueError, match="class names must be different words"):
        named(("cat", "cat"))
    with pytest.raises(ValueError, match="names went to its own images alone"):
        finished.read(directory)


def test_what_is_refused(digits):
    method = experiments.get("digits-names").method_class()()
    unknown = datasets.Dataset("x", digits.images[:60], np.full(60, -1), slice(0, 60), slice(60, 60), (), "")
    with pytest.raises(ValueError, match="has no classes: expected CLASSES"):
        Named().check(method, unknown)
    with pytest.raises(ValueError, match="a reader learns from labelled images"):
        Named(class_names=("a", "b")).check(method, unknown)
    with pytest.raises(ValueError, match="has classes of its own"):
        Named(class_names=("a", "b")).check(method, digits)
    with pytest.raises(ValueError, match="64 pictures need 64 images; received 60"):
        Named(pictures=64, annotator="browser", class_names=("a", "b"), port=0).check(method, unknown)
