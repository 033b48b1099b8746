"""What is done with a finished run: new images predicted, its own sorted into folders."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from PIL import Image

from deepcluster_tf import datasets
from deepcluster_tf.experiments import Experiment, finished, results, running, sorting
from deepcluster_tf.methods.base import Method

OWN = Experiment(
    name="own",
    data="",
    method="dcec:DCEC",
    protocol="semi_supervised:SemiSupervised",
    paper="SDCEC",
    settings={**SMALL, "pretraining_epochs": 4},
)


def save(folder, images, names):
    for image, name in zip(images, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / name)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A run on 200 digits in a folder of one sub-folder a class."""
    root = tmp_path_factory.mktemp("finished")
    save(root / "photos", digits.images[:200], [f"no {y}/{i:03d}.png" for i, y in enumerate(digits.labels[:200])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "ROOT", root / "results")
        settings = {"supervision": 0.3, "n_clusters": 10}
        found = running.run(OWN, settings, images=str(root / "photos"), side=8, progress=False)
        patch.setattr("deepcluster_tf.experiments.EXPERIMENTS", {"own": OWN})
        yield root, found["directory"]


def test_predictions_are_those_of_the_method(run, digits):
    root, directory = run
    save(root / "new", digits.images[200:260], [f"{i:03d}.png" for i in range(60)])
    (root / "new" / "broken.png").write_text("none")
    path, unread = finished.predict(directory, root / "new", progress=False)
    assert unread == 1 and path == directory / "predicted-new.csv"
    table = pd.read_csv(path, dtype={"cluster": "Int64"}).set_index("file")
    assert table.loc["broken.png"].isna().all() and len(table) == 61
    table = table.drop("broken.png")
    result, method = finished.read(directory)
    images = datasets.load_folder(root / "photos", 8, progress=False).images
    known, z = method.transform(images), method.transform(digits.images[200:260])
    p = method.predict_proba(digits.images[200:260])
    np.testing.assert_array_equal(table["cluster"], p.argmax(axis=1))
    np.testing.assert_allclose(table["confidence"], p.max(axis=1), rtol=1e-4)
    assert result["classes"] == list(range(10))
    assert table["class"].tolist() == [f"no {j}" for j in table["cluster"]]
    clusters = method.predict(images)
    for row, j, share in zip(z, table["cluster"], table["farther_than"]):  # the naive loop
        mean = known[clusters == j].mean(axis=0)
        nearer = sum(np.linalg.norm(other - mean) < np.linalg.norm(row - mean) for other in known[clusters == j])
        assert share == pytest.approx(nearer / np.sum(clusters == j), abs=1e-3)


def test_predictions_of_a_folder_with_a_long_name_have_a_shorter_one(run, digits):
    root, directory = run
    save(root / ("x" * 250), digits.images[:3], ["0.png", "1.png", "2.png"])
    path, _ = finished.predict(directory, root / ("x" * 250), progress=False)
    assert re.fullmatch(r"predicted-x{150}-[0-9a-f]{8}\.csv", path.name) and len(pd.read_csv(path)) == 3


def test_any_number_of_images_is_read_some_at_a_time(run, digits):
    root, _ = run
    parts = [*datasets.stream_folder(root / "photos", (8, 8, 1), batch_size=7, progress=False)]
    assert [len(files) for files, _, _ in parts] == [7] * 28 + [4]
    whole = datasets.load_folder(root / "photos", 8, progress=False)
    assert tuple(name for files, _, _ in parts for name in files) == whole.files
    np.testing.assert_array_equal(np.concatenate([images for _, images, _ in parts]), whole.images)


@pytest.mark.parametrize("copied", [False, True])
def test_images_are_sorted_and_nothing_is_replaced(run, tmp_path, copied):
    root, directory = run
    counts = sorting.sort(directory, tmp_path / "sorted", copied=copied, progress=False)
    table = pd.read_csv(directory / "clusters.csv")
    assert sum(counts.values()) == 200
    for file, cluster in zip(table["file"], table["cluster"]):
        placed = tmp_path / "sorted" / f"{cluster} no {cluster}" / file
        assert placed.read_bytes() == (root / "photos" / file).read_bytes() and placed.is_symlink() != copied
    before = sorted(tmp_path.rglob("*"))
    placed.unlink()  # as where the disk was full
    assert sorting.sort(directory, tmp_path / "sorted", copied=copied, progress=False) == counts
    assert sorted(tmp_path.rglob("*")) == before
    for kind in (not copied, copied):
        with pytest.raises(ValueError, match="is there already"):
            sorting.sort(directory, tmp_path / "sorted", copied=kind, progress=False)
        placed.unlink()
        placed.write_text("mine")  # another file of that name
    assert placed.read_text() == "mine" and sorted(tmp_path.rglob("*")) == before


def test_a_copy_that_does_not_fit_on_the_disk_is_not_left_there(run, tmp_path, monkeypatch):
    def full(source, to):
        Path(to).write_bytes(b"")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("shutil.copyfile", full)
        sorting.sort(run[1], tmp_path / "sorted", copied=True, progress=False)
    assert not [each for each in (tmp_path / "sorted").rglob("*.png") if not each.stat().st_size]
    assert sum(sorting.sort(run[1], tmp_path / "sorted", copied=True, progress=False).values()) == 200


def test_the_folder_of_the_images_is_no_place_for_them(run):
    for to in (run[0] / "photos", run[0] / "photos" / "sorted"):
        with pytest.raises(ValueError, match="sorted images would be taken for more of them: name another TO"):
            sorting.sort(run[1], to)


@pytest.mark.parametrize("file", ["../away.png", "/etc/away.png"])
def test_no_file_outside_of_the_folder_is_sorted(file, run, tmp_path):
    path = run[1] / "clusters.csv"
    text = path.read_text()
    first = text.splitlines()[1].partition(",")[0]
    path.write_text(text.replace(first, file, 1))
    try:
        with pytest.raises(ValueError, match="expected files inside the folder of images; received .*away.png"):
            sorting.sort(run[1], tmp_path / "sorted")
    finally:
        path.write_text(text)


def test_one_image_alone_is_predicted(run, digits, tmp_path):
    save(tmp_path / "one", digits.images[:1], ["a.png"])
    path, unread = finished.predict(run[1], tmp_path / "one", tmp_path / "one.csv", progress=False)
    assert len(pd.read_csv(path)) == 1 and not unread


def test_an_image_is_encoded_once_to_be_predicted(run, digits, tmp_path, monkeypatch):
    save(tmp_path / "some", digits.images[:5], [f"{i}.png" for i in range(5)])
    seen, usual = [], Method.transform
    monkeypatch.setattr(Method, "transform", lambda self, images: seen.append(len(images)) or usual(self, images))
    finished.predict(run[1], tmp_path / "some", tmp_path / "some.csv", progress=False)
    assert seen == [5]


def test_two_runs_are_exported_to_two_places(run, monkeypatch):
    monkeypatch.chdir(run[1])
    to = finished.export(Path())
    assert to.name == f"{run[1].parts[-3]}-{run[1].parts[-2]}-{run[1].parts[-1]}"
    shutil.rmtree(to)


def test_what_cannot_be_sorted_is_refused_before_the_first_file(run, tmp_path):
    root, directory = run
    with pytest.raises(ValueError, match="BY must be cluster; received 'kmeans'"):
        sorting.sort(directory, tmp_path / "sorted", by="kmeans")
    with pytest.raises(ValueError, match="no finished run on a folder of images"):
        sorting.sort(tmp_path, tmp_path / "sorted")
    first = root / "photos" / pd.read_csv(directory / "clusters.csv")["file"].iloc[-1]
    first.rename(tmp_path / "away.png")
    try:
        with pytest.raises(ValueError, match="is gone: expected the images where they were"):
            sorting.sort(directory, tmp_path / "sorted")
    finally:
        (tmp_path / "away.png").rename(first)
    assert not (tmp_path / "sorted").exists()


CLUMSY = {
    "a cut end": lambda text: "".join(text.splitlines(True)[:100]),
    "a row twice": lambda text: text + text.splitlines(True)[-1],
    "a row for another": lambda text: "".join([*text.splitlines(True)[:-1], text.splitlines(True)[-2]]),
    "another column": lambda text: text.replace("file,cluster", "file,kluster", 1),
    "another first column": lambda text: text.replace("file,cluster", "fyle,cluster", 1),
    "a column more": lambda text: text.replace("\n", ",0\n"),
    "another number": lambda text: text[:-2] + str((int(text[-2]) + 1) % 10) + "\n",
    "a large number": lambda text: text[:-2] + "9" * 30 + "\n",
    "a number below": lambda text: text[:-2] + "-2\n",
    "no whole number": lambda text: text[:-1] + ".5\n",
    "no number": lambda text: text[:-2] + "\n",
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("damage", CLUMSY.values(), ids=CLUMSY)
def test_a_damaged_list_of_clusters_is_refused(run, damage, tmp_path):
    path = run[1] / "clusters.csv"
    text = path.read_text()
    path.write_text(damage(text))
    try:
        with pytest.raises(ValueError, match=f"^{path} is missing or damaged .*: run the experiment again") as refused:
            sorting.sort(run[1], tmp_path / "sorted", progress=False)
        assert "\n" not in str(refused.value) and not (tmp_path / "sorted").exists()
    finally:
        path.write_text(text)


def test_clusterings_of_some_images_and_classes_by_name_are_read(tmp_path):
    path = tmp_path / "clusters.csv"
    path.write_text("file,kmeans,affinity\na,1,0\nb,0,-1\n")
    result = {"data": {"n": 2}, "cluster_sizes": {"kmeans": [1, 1], "random": [2], "affinity": [1]}}
    assert sorting._clusters(path, result).to_numpy().tolist() == [["a", 1, 0], ["b", 0, -1]]
    path.write_text("file,class\na,dog\nb,NA\n")
    result = {"data": {"n": 2}, "cluster_sizes": [1, 0], "class_names_given": ["NA", "dog"]}
    assert sorting._clusters(path, result)["class"].tolist() == [1, 0]
    path.write_text("file,class\na,dog\nb,cat\n")
    with pytest.raises(ValueError, match="damaged .'cat' is not in list"):
        sorting._clusters(path, result)


def test_predict_replaces_its_own_csv_and_nothing_else(run, tmp_path, monkeypatch):
    root, directory = run
    for path in (tmp_path / "thesis.csv", tmp_path / "empty.csv", directory / "result.json"):
        if not path.exists():
            path.write_text("file,cluster\nthree,years\n" * (path.name == "thesis.csv"))
        before = path.read_bytes()
        with (
            monkeypatch.context() as patch,
            pytest.raises(ValueError, match=f"^{path} exists and is no CSV that predict"),
        ):
            patch.setattr(finished, "read", lambda directory: pytest.fail("read"))
            finished.predict(directory, root / "photos", path, progress=False)
        assert path.read_bytes() == before
    with pytest.raises(ValueError, match=f"^{tmp_path} exists and is no CSV that predict wrote"):
        finished.predict(directory, root / "photos", tmp_path, progress=False)
    dead = subprocess.Popen(["true"])
    dead.wait()
    parts = [tmp_path / f"part-{dead.pid}-{name}.csv" for name in ("said", "thesis")]
    for part in parts:
        part.write_text("half")
    for _ in range(2):
        path, _ = finished.predict(directory, root / "photos", tmp_path / "said.csv", progress=False)
        assert len(pd.read_csv(path)) == 200 and [part.exists() for part in parts] == [False, True]


def test_a_run_without_embeddings_knows_no_distances(run, digits, tmp_path):
    root, directory = run
    kept = directory / "embeddings.npz"
    kept.rename(tmp_path / "away.npz")
    try:
        path, _ = finished.predict(directory, root / "photos", tmp_path / "said.csv", progress=False)
        assert pd.read_csv(path)["farther_than"].isna().all()
    finally:
        (tmp_path / "away.npz").rename(kept)
