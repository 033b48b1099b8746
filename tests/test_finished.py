"""What is done with a finished run: new images predicted, its own sorted into folders."""

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from PIL import Image

from deepcluster_tf import datasets
from deepcluster_tf.experiments import Experiment, finished, results, running

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
    counts = finished.sort(directory, tmp_path / "sorted", copied=copied, progress=False)
    table = pd.read_csv(directory / "clusters.csv")
    assert sum(counts.values()) == 200
    for file, cluster in zip(table["file"], table["cluster"]):
        placed = tmp_path / "sorted" / f"{cluster} no {cluster}" / file
        assert placed.read_bytes() == (root / "photos" / file).read_bytes() and placed.is_symlink() != copied
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="is there already"):
        finished.sort(directory, tmp_path / "sorted", progress=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_sorted_is_refused_before_the_first_file(run, tmp_path):
    root, directory = run
    with pytest.raises(ValueError, match="BY must be cluster; received 'kmeans'"):
        finished.sort(directory, tmp_path / "sorted", by="kmeans")
    with pytest.raises(ValueError, match="no finished run on a folder of images"):
        finished.sort(tmp_path, tmp_path / "sorted")
    first = root / "photos" / pd.read_csv(directory / "clusters.csv")["file"].iloc[-1]
    first.rename(tmp_path / "away.png")
    try:
        with pytest.raises(ValueError, match="is gone: expected the images where they were"):
            finished.sort(directory, tmp_path / "sorted")
    finally:
        (tmp_path / "away.png").rename(first)
    assert not (tmp_path / "sorted").exists()


def test_a_run_without_embeddings_knows_no_distances(run, digits, tmp_path):
    root, directory = run
    kept = directory / "embeddings.npz"
    kept.rename(tmp_path / "away.npz")
    try:
        path, _ = finished.predict(directory, root / "photos", tmp_path / "said.csv", progress=False)
        assert pd.read_csv(path)["farther_than"].isna().all()
    finally:
        (tmp_path / "away.npz").rename(kept)
