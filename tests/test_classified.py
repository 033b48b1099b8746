"""Classifiers beside a clustering: the same labels, scores on the other images, records, what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from deepcluster_tf import experiments
from deepcluster_tf.experiments import finished, results, running, sorting
from deepcluster_tf.experiments.protocols.classified import Classified
from deepcluster_tf.experiments.protocols.labels import supervised_labels


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield


@pytest.fixture(scope="module")
def result(here):
    return running.run(experiments.get("digits-classifier"), {"labels_per_class": 10}, progress=False)


def test_labels_of_each_class():
    labels = np.repeat([0, 1, 2, -1], [50, 6, 30, 4])
    known = supervised_labels(labels, 0.0, 3, per_class=5)
    assert np.bincount(known[known >= 0]).tolist() == [5, 5, 5]
    np.testing.assert_array_equal(known[known >= 0], labels[known >= 0])
    np.testing.assert_array_equal(known, supervised_labels(labels, 0.5, 3, per_class=5))  # in place of a share
    with pytest.raises(ValueError, match="7 labels of each class .LABELS. are more than the 6 images of one"):
        supervised_labels(labels, 0.0, 3, per_class=7)
    with pytest.raises(ValueError, match="6 labels of each class selects all 12 images"):
        supervised_labels(np.repeat([0, 1], 6), 0.0, 0, per_class=6)


def test_it_is_scored_on_the_other_images(result, digits):
    known = supervised_labels(digits.labels, 0.0, 0, per_class=10)
    assert result["directory"].parent.name == "labels-10"
    read = json.loads((result["directory"] / "result.json").read_text())
    for by, least in (("svm", 0.85), ("logistic", 0.8), ("poisson", 0.9)):
        counts = np.array(read["confusion"][by])
        assert counts.sum() == read["metrics"][f"acc_unsupervised_{by}"]["n"] == (known < 0).sum() == 1697
        found = read["metrics"][f"acc_unsupervised_{by}"]["value"]
        assert found >= np.trace(counts) / 1697 > least
        assert sum(read["cluster_sizes"][by]) == 1797 and read["metrics"][f"acc_{by}"]["value"] > found


def test_classifiers_see_the_embedding_with_which_sdcec_begins(here, digits, monkeypatch):
    seen, asked = {}, []

    def classified(by, z, labels, n_classes, progress):
        seen[by] = z
        return np.maximum(labels, 0)

    def begin(method, images, data, **how):
        asked.append((type(method).__name__, method.seed, data))
        method.pretraining_epochs = 1
        method.pretrain(images, **how)
        seen["expected"] = method.transform(images)
        return {"images_sha256": "", "weights_sha256": "", "loss": 0.0, "seconds": 0.0}

    for name, double in (("classify", classified), ("begin", begin)):
        monkeypatch.setattr(f"deepcluster_tf.experiments.protocols.classified.{name}", double)
    settings = {"labels_per_class": 10, "features": "autoencoder", "ways": ("svm",), "seed": 3}
    result = running.run(experiments.get("digits-classifier"), settings, progress=False)
    assert result["directory"].parent.name == "features-autoencoder-labels-10" and asked == [("DCEC", 3, "digits")]
    assert seen["svm"].shape == (1797, 10)
    np.testing.assert_array_equal(seen["svm"], seen["expected"])
    assert result["settings"]["features"] == "autoencoder" and result["autoencoder"]["scratch"] is False


def test_a_class_of_which_every_label_is_told_has_a_row_of_its_own(here, digits, tmp_path):
    for kind, count in ((0, 12), (1, 12), (2, 4)):
        (tmp_path / "mine" / f"kind {kind}").mkdir(parents=True)
        for row in np.flatnonzero(digits.labels == kind)[:count]:
            Image.fromarray(digits.images[row, ..., 0]).save(tmp_path / "mine" / f"kind {kind}" / f"{row}.png")
    found = running.run(
        experiments.get("classifier"),
        {"labels_per_class": 4, "n_components": 3, "n_clusters": 3},
        images=str(tmp_path / "mine"), side=8, progress=False,
    )  # fmt: skip
    counts = np.array(results.read_result(found["directory"])["confusion"]["svm"])
    assert counts.shape == (3, 3) and counts.sum(axis=1).tolist() == [8, 8, 0]
    moved = sorting.sort(found["directory"], tmp_path / "sorted", "svm", progress=False)
    assert set(moved) <= {f"{kind} kind {kind}" for kind in range(3)} and sum(moved.values()) == 28
    with pytest.raises(ValueError, match="holds no model of its clusters: its classifiers are gone"):
        finished.read(found["directory"])


def test_what_is_refused(digits):
    method = experiments.get("digits-classifier").method_class()()
    with pytest.raises(ValueError, match="labels of two classes or more"):
        Classified(supervision=0.0).check(method, digits)
    with pytest.raises(ValueError, match="ways must be of svm, logistic, poisson; received forest"):
        Classified(ways=("forest", "svm")).check_settings()
