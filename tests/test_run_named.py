"""The clusters of a finished run are named afterwards, and all that is done with the run uses the names."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from test_finished import run, save  # noqa: F401  (a fixture)

from deepcluster_tf.annotation import Answer
from deepcluster_tf.experiments import finished, naming, results, running, sorting

NAMES = ("cat", "dog")


class Person:
    """Answers on a page as a person would, cluster by cluster, and stops where it is told to."""

    def __init__(self, names, port, stop=None):
        self.names, self.stop, self.closed = names, stop, False

    def __call__(self, names, port):
        self.names = names
        return self

    def annotate(self, questions, given):
        self.asked, self.given = questions, given
        for number, question in enumerate(questions):
            if number == self.stop:
                raise KeyboardInterrupt
            yield question, Answer(number % 2) if number else Answer(-1)

    def close(self):
        self.closed = True


@pytest.fixture
def nameless(run):  # noqa: F811
    yield run
    (run[1] / results.NAMES).unlink(missing_ok=True)


def test_a_person_names_the_clusters(nameless, monkeypatch):
    _, directory = nameless
    of = finished.contents(directory, progress=False)
    person = Person(NAMES, 0, stop=3)
    monkeypatch.setattr("deepcluster_tf.annotation.browser.Browser", person)
    with pytest.raises(KeyboardInterrupt):
        naming.name(directory, NAMES, progress=False)
    assert person.closed and len(finished.read_names(directory)) == 2  # what was answered is kept
    person.stop = None
    found = naming.name(directory, NAMES, progress=False)
    assert len(person.given) == 3
    clusters = np.unique(of.clusters)
    assert found == {int(j): NAMES[i % 2] for i, j in enumerate(clusters) if i}
    for question, j in zip(person.asked, clusters):  # the naive loop: nearest to the mean first
        rows = [i for i in range(200) if of.clusters[i] == j]
        mean = np.mean([of.embeddings[i] for i in rows], axis=0)
        order = sorted(rows, key=lambda i: (np.linalg.norm(of.embeddings[i] - mean), i))
        np.testing.assert_array_equal(np.round(255 * question.picture), of.dataset.images[order[0]])
        np.testing.assert_array_equal(question.nearest, of.dataset.images[order[1:9]])
        assert question.size == len(rows) and question.epoch == 0
    naming.name(directory, NAMES, progress=False)  # asked again, to change it
    assert len(person.given) == len(clusters)


def test_predictions_folders_models_and_pages_have_the_names(nameless, digits, tmp_path):
    root, directory = nameless
    lines = ["epoch,cluster,size,label,confidence", *(f"0,{j},9,{NAMES[j % 2] if j else ''},1" for j in range(10))]
    (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match="no exact repetition"):
        found = naming.name(directory, NAMES, answers=str(tmp_path / "answers.csv"), progress=False)
    clusters = np.unique(finished.contents(directory, progress=False).clusters)
    assert found == {int(j): NAMES[j % 2] for j in clusters if j}
    result = results.read_result(directory)
    assert finished.cluster_names(directory, result) == found
    save(tmp_path / "new", digits.images[200:220], [f"{i:03d}.png" for i in range(20)])
    path, _ = finished.predict(directory, tmp_path / "new", tmp_path / "said.csv", progress=False)
    table = pd.read_csv(path, keep_default_na=False)
    assert table["class"].tolist() == [found.get(j, "") for j in table["cluster"]]
    folders = sorting.sort(directory, tmp_path / "sorted", progress=False)
    assert set(folders) == {f"{j} {found[j]}" if j in found else f"{j}" for j in clusters}
    loaded = tf.saved_model.load(str(finished.export(directory, tmp_path / "model")))
    names = [each.decode() for each in loaded.names()["names"].numpy()]
    assert names == [found.get(j, "") for j in range(10)]
    assert loaded(tf.zeros((1, 8, 8, 1)))["cluster"].shape == (1,)


def test_what_cannot_be_named_is_refused(nameless, tmp_path):
    _, directory = nameless
    with pytest.raises(ValueError, match="expected CLASSES=name,name"):
        naming.name(directory, ("cat",), answers="none.csv", progress=False)
    with pytest.raises(ValueError, match="words that can be printed"):
        naming.name(directory, ("cat", "d\rog"), answers="none.csv", progress=False)
    (tmp_path / "answers.csv").write_text("epoch,cluster,size,label,confidence\n0,0,9,cow,1\n")
    with pytest.raises(ValueError, match="no class is named 'cow'"):
        naming.name(directory, NAMES, answers=str(tmp_path / "answers.csv"), progress=False)
    with pytest.raises(ValueError, match="holds no run"):
        naming.name(tmp_path, NAMES, progress=False)
    assert not (directory / results.NAMES).exists()
    (directory / results.NAMES).write_text("what")
    with pytest.raises(ValueError, match=r"names\.csv is no file of answers"):
        finished.cluster_names(directory, results.read_result(directory))


def answers(directory, said):
    lines = ["epoch,cluster,size,label,confidence", *(f"0,{j},9,{name},1" for j, name in said.items())]
    (directory / results.NAMES).write_text("\n".join(lines) + "\n")


def test_names_of_a_model_do_not_become_those_of_another(nameless):
    """FORCE=1 with the same numbers keeps them; another model has none."""
    _, directory = nameless
    answers(directory, {0: "cat"})
    result = results.read_result(directory)
    running._set_names_aside(directory, result["model_sha256"])
    assert finished.read_names(directory) == {0: "cat"}
    with pytest.warns(UserWarning, match="their names are kept in names-before-1.csv; make name gives others"):
        running._set_names_aside(directory, "another")
    assert finished.read_names(directory) == {}
    (directory / "names-before-1.csv").unlink()


def test_a_name_is_one_folder_and_of_its_own_clustering(nameless, tmp_path, monkeypatch):
    _, directory = nameless
    answers(directory, {0: "T-shirt/top", 1: "../up"})
    kept, result = pd.read_csv(directory / "clusters.csv"), results.read_result(directory)
    sizes = {"cluster": result["cluster_sizes"], "kmeans": [67, 67, 66]}  # as runs of several clusterings record them
    monkeypatch.setattr(results, "read_result", lambda _: {**result, "cluster_sizes": sizes})
    try:
        kept.assign(kmeans=np.arange(200) % 3).to_csv(directory / "clusters.csv", index=False)
        assert set(sorting.sort(directory, tmp_path / "others", by="kmeans", progress=False)) == {"0", "1", "2"}
        mine = set(sorting.sort(directory, tmp_path / "mine", progress=False))
    finally:
        kept.to_csv(directory / "clusters.csv", index=False)
    expected = {0: "0 T-shirt-top", 1: "1 ..-up"}
    assert mine == {expected.get(j, str(j)) for j in set(kept["cluster"])}
    assert {path.name for path in (tmp_path / "mine").iterdir()} == mine


def test_embeddings_that_are_not_there_or_of_other_images_are_a_line(nameless):
    _, directory = nameless
    kept = directory / "embeddings.npz"
    z = np.load(kept)["embeddings"]
    try:
        np.savez(kept, embeddings=z[:-1])
        with pytest.raises(ValueError, match="embeddings.npz is of 199 images: expected the run's 200"):
            naming.name(directory, NAMES, progress=False)
        kept.unlink()
        with pytest.raises(ValueError, match="embeddings.npz is not on this machine: run the experiment again"):
            naming.name(directory, NAMES, progress=False)
    finally:
        np.savez(kept, embeddings=z)


def test_two_names_are_not_the_same_and_a_cluster_is_a_number(nameless):
    _, directory = nameless
    with pytest.raises(ValueError, match="class names must be different words; received 'cat', 'dog', 'cat'"):
        naming.name(directory, (*NAMES, "cat"), progress=False)
    answers(directory, {"0_1": "cat"})
    with pytest.raises(ValueError, match="names.csv names 0_1, which is no cluster of a run"):
        finished.read_names(directory)
