"""CLUSTERS=auto: as many clusters as there are, where these are plain; recorded, kept, refused where it cannot be."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from test_finished import save

from deepcluster_tf import clustering, experiments, machine
from deepcluster_tf.command import targets
from deepcluster_tf.experiments import counting, options, results, running


def blobs(k, each=40, d=20, seed=0):
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(center, 0.05, (each, d)) for center in random.normal(size=(k, d))])


@pytest.mark.parametrize("k", [3, 12])
def test_plain_clusters_are_counted(k):
    found = clustering.silhouettes(blobs(k), range(2, 20))
    assert found.shape == (18,) and found.argmax() + 2 == k and found.max() > 0.8
    assert (found[: k - 2] < found.max()).all()


def test_a_silhouette_is_that_of_the_map_and_of_a_sample(monkeypatch):
    monkeypatch.setattr("deepcluster_tf.clustering.counting.SAMPLE", 50)
    z = blobs(4, each=20)
    (found,) = clustering.silhouettes(z, [4], seed=3)
    placed = clustering.N2D(seed=3).place(z)
    some = np.random.default_rng(3).permutation(80)[:50]
    labels = clustering.kmeans(placed, 4, n_init=5, seed=3).labels_
    assert found == pytest.approx(silhouette_score(placed[some], labels[some]))


def test_a_folder_of_three_kinds_is_counted_and_recorded(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path / "results")
    rows = np.concatenate([np.flatnonzero(digits.labels == digit)[:60] for digit in (0, 4, 6)])
    save(tmp_path / "mine", digits.images[rows], [f"{i:03d}.png" for i in range(180)])
    umap = experiments.get("umap")
    settings, call = options.parse_experiment(umap, {"CLUSTERS": "auto", "IMAGES": str(tmp_path / "mine"), "SIZE": "8"})
    assert "n_clusters" not in settings and call["count"]
    result = running.run(umap, {**settings, "ways": ("kmeans",)}, progress=False, **call)
    counted = result["counted"]
    assert counted["n_clusters"] == result["settings"]["n_clusters"] == 3 and counted["of"] == "pixels"
    assert counted["candidates"] == list(range(2, 31)) and len(counted["silhouettes"]) == 29
    assert len(result["cluster_sizes"]["kmeans"]) == 3 and "clusters-3" in str(result["directory"])
    with monkeypatch.context() as patch:
        patch.setattr(clustering, "silhouettes", None)  # it is kept
        assert not running.run(umap, {**settings, "ways": ("kmeans",)}, progress=False, **call)["fresh"]
    monkeypatch.setattr(clustering, "silhouettes", lambda *_: np.eye(29)[0])
    monkeypatch.setattr(machine, "of_umap", lambda: "another version of it")
    assert running.run(umap, {**settings, "ways": ("kmeans",)}, progress=False, **call)["counted"]["n_clusters"] == 2


def test_what_was_counted_is_shown(tmp_path, monkeypatch):
    from matplotlib import pyplot as plt
    from test_tables import record

    from deepcluster_tf.reporting import tables
    from deepcluster_tf.reporting.figures import counting as drawing

    counted = {"n_clusters": 3, "of": "pixels", "candidates": [2, 3, 10], "silhouettes": [0.1, 0.5, 0.25]}
    more = {"counted": counted, "accuracy_curve": [[0, 0], [1, 1]]}
    record(tmp_path, "digits-umap", "clusters-3", 0, {}, {"ari_kmeans": 0.5, "ari_mixture": 0.5}, **more)
    (tmp_path / "README.md").write_text("<!-- counted: -->\n<!-- end -->\n")
    tables.write_pages(tmp_path / "README.md", tmp_path)
    (line,) = [line for line in (tmp_path / "README.md").read_text().splitlines() if "pixels" in line]
    assert line.endswith("| pixels | 10 | 3 | 0.500 | 0.250 |")
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: drawn.append((figure, path)) or path)
    assert drawing.write(tmp_path / "figures", tmp_path) == [tmp_path / "figures" / "how-many.png"]
    curve, best, classes = drawn[0][0].axes[0].lines
    assert list(curve.get_ydata()) == [0.1, 0.5, 0.25] and list(curve.get_xdata()) == [2, 3, 10]
    assert (best.get_xdata(), best.get_ydata()) == ([3], [0.5]) and (classes.get_xdata(), classes.get_ydata()) == (
        [10],
        [0.25],
    )
    plt.close("all")


def test_few_images_and_other_words_are_refused(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    method, _ = running.prepare(experiments.get("umap"))
    few = type("Few", (), {"images": digits.images[:49]})
    with pytest.raises(ValueError, match="CLUSTERS=auto needs 50 images; received 49: give a number"):
        counting.count(method, few, "few", progress=False)
    with pytest.raises(ValueError, match="CLUSTERS must be a whole number"):
        options.parse_experiment(experiments.get("umap"), {"CLUSTERS": "automatic"})
    with pytest.raises(ValueError, match="BATCH"):
        options.parse_experiment(experiments.get("similarity"), {"BATCH": "auto"})
    assert "auto: as many as the images suggest" in " ".join(targets.help_of("umap").split())
