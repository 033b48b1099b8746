"""The pages: what is on them is what is recorded, and what users wrote stays text."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_finished import run, save  # noqa: F401  (a fixture)

from deepcluster_tf import datasets, experiments
from deepcluster_tf.experiments import TABLES, finished, options, results, running
from deepcluster_tf.reporting import report
from deepcluster_tf.reporting.report import one_run, overview, pages


@pytest.fixture(scope="module")
def page():
    return report.page()


def test_every_table_and_every_run_is_on_the_page(page):
    assert all(f'<article id="{name}">' in page for name in TABLES)
    places = re.findall(r'<tr id="([^"]+)"', page)
    assert places == ["/".join(found["directory"].parts[-3:]) for found in results.all_results()]
    drawn = {name.replace("%20", " ") for name in re.findall(r'src="\.\./figures/([^"]+)"', page)}
    assert drawn == {path.name for path in (results.ROOT / "figures").glob("*.png")}


def test_claims_have_their_verdicts(page):
    marked = re.findall(r'<strong class="(confirmed|refuted)">\1</strong>', page)
    written = sum(
        len(re.findall(r": (?:confirmed|refuted) \(", overview.tables.page(each))) for each in TABLES.values()
    )
    assert len(marked) == written > 10


def test_a_command_gives_its_run_again():
    """Of every recorded run: the command that the page prints leads to the run's own folder."""
    found, rows = results.all_results(), overview._rows_of_runs()
    assert len(found) > 200
    for each in found:
        words = overview._line(each, rows["/".join(each["directory"].parts[-3:-1])])["command"].split()
        experiment = experiments.get(words[1])
        settings, _ = options.parse_experiment(experiment, dict(word.split("=", 1) for word in words[2:]))
        method, protocol = running.prepare(experiment, settings)
        assert running.variant(experiment, method, protocol) == each["directory"].parent.name
        assert method.seed == each["seed"]


def test_text_stays_text():
    html = overview._html("# name\n\n| a |\n| --- |\n| <script>alert(1)</script> |\n\n- x: confirmed (<b>)\n")
    assert "<script>" not in html and "&lt;script&gt;" in html and "<b>" not in html
    assert '<strong class="confirmed">' in html
    rendered = pages.render("run.html", name="</title><script>alert(1)</script>", **PLAIN)
    assert "<script>alert(1)" not in rendered


PLAIN = {
    "command": "make",
    "machine": "",
    "scores": [],
    "shown": 2,
    "result": {"date": "", "data": {"n": 2}, "settings": {"<i>": "</td>"}, "notices": [], "versions": {},
               "git_commit": None},
}  # fmt: skip


def test_arrays_are_packed_little_endian():
    kept = pages.packed(np.array([1, 258, -1]), "int16")
    assert kept == {"kind": "int16", "base64": base64.b64encode(b"\x01\x00\x02\x01\xff\xff").decode()}


def test_curves_are_thinned_and_have_no_nan(tmp_path):
    table = {"epoch": range(1000), "iteration": range(1000), "loss": [np.nan, *np.linspace(9, 1, 999)]}
    table = pd.DataFrame({**table, "seconds": 0.5, "training_seconds": 0.25})
    table.to_csv(tmp_path / "history.csv", index=False)
    pd.DataFrame({"file": ["a"], "kmeans": [1]}).to_csv(tmp_path / "clusters.csv", index=False)
    found = pages.curves(tmp_path)
    assert list(found) == ["history"] and list(found["history"]) == list(table)
    assert len(found["history"]["loss"]) == 400 and found["history"]["iteration"][-1] == 999
    assert found["history"]["loss"][0] is None and found["history"]["loss"][-1] == 1


LOG = "epoch,iteration,loss,seconds,training_seconds\n"
LOG += "".join(f"{i},{7 * i},{9 / i:.3f},0.5,0.25\n" for i in range(1, 5))
DAMAGED = {
    "a short row": LOG.replace(",0.25\n2,", "\n2,"),
    "a cut end": LOG[:-3],
    "no last row": "".join(LOG.splitlines(True)[:-1]),
    "no first row": LOG.replace("1,7,9.000,0.5,0.25\n", ""),
    "no row between": LOG.replace("3,21,3.000,0.5,0.25\n", ""),
    "a row twice": LOG.replace("3,21,3.000,0.5,0.25\n", 2 * "3,21,3.000,0.5,0.25\n"),
    "no rows": LOG.splitlines(True)[0],
    "a renamed column": LOG.replace("iteration", "iterations"),
    "another renamed column": LOG.replace("epoch", "xpoch"),
    "no number": LOG.replace("9.000", "9.o00"),
    "garbage": "\0garbage",
    "nothing": "",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_history_is_one_line(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(LOG)
    assert pages.curves(tmp_path, 28)["history"]["iteration"] == [7, 14, 21, 28]
    path.write_text(text)
    with pytest.raises(
        ValueError, match=f"^{path} is missing or damaged .*: restore it from git, or remove"
    ) as refused:
        pages.curves(tmp_path, 28)
    assert "\n" not in str(refused.value)


def test_a_history_of_another_name_is_checked_and_other_lists_are_passed_over(tmp_path):
    readings = [f"{i / 7},{i},1,0.5,0.25\n" for i in (2, 4, 6, 9, 11, 13)]  # every two steps of seven
    (tmp_path / "mine.csv").write_text(LOG.splitlines(True)[0] + "".join(readings))
    for name, text in {"predicted-a.csv": "file,cluster\na\n", "names.csv": "", "thesis.csv": "\0\xff\n1,2\n"}.items():
        (tmp_path / name).write_text(text, "latin-1")
    (tmp_path / "folder.csv").mkdir()
    assert list(pages.curves(tmp_path, 28)) == ["mine"]
    for i in range(5):
        kept = readings[:i] + readings[i + 1 :]
        (tmp_path / "mine.csv").write_text(LOG.splitlines(True)[0] + "".join(kept))
        with pytest.raises(ValueError, match=f"^{tmp_path / 'mine.csv'} is missing or damaged .rows are missing"):
            pages.curves(tmp_path, 28)


def test_neighbours_are_those_of_a_naive_loop():
    z = np.random.default_rng(0).normal(size=(30, 3))
    found = one_run.neighbours(z, 4)
    for i in range(30):
        order = sorted((np.linalg.norm(z[i] - z[j]), j) for j in range(30) if j != i)
        assert found[i].tolist() == [j for _, j in order[:4]]
    assert one_run.neighbours(z[:3], 4)[0].tolist()[2:] == [-1, -1]  # there are only two others
    same = one_run.neighbours(np.zeros((6, 2)), 3)  # equals are all nearest: never the image itself
    assert all(i not in row and -1 not in row for i, row in enumerate(same))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_at_its_place_on_its_sheet(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (1100, 4, 8, channels), np.uint8)
    (tmp_path / "sheet-7.png").write_text("of an earlier run")
    one_run._write_sheets(tmp_path, images, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet-0.png", "sheet-1.png"]
    for i in (0, 31, 32, 1023, 1024, 1099):
        sheet = np.asarray(Image.open(tmp_path / f"sheet-{i // 1024}.png")).reshape(-1, 32 * 8, channels)
        y, x = divmod(i % 1024, 32)
        np.testing.assert_array_equal(sheet[4 * y : 4 * y + 4, 8 * x : 8 * x + 8], images[i])


def read(path, name):
    return json.loads(path.read_text().partition(f"window.{name} = ")[2].rstrip(";\n"))


def unpacked(kept):
    return np.frombuffer(base64.b64decode(kept["base64"]), kept["kind"])


def test_a_run_has_its_page(run):  # noqa: F811
    root, directory = run
    left = directory / "report" / "part-9999999-sheet-0.png"  # of a killed process: none has so large a number
    left.parent.mkdir()
    left.write_text("half")
    path = report.write_run(directory, progress=False)
    assert not left.exists()
    assert path == directory / "report" / "index.html" and "own/" in path.read_text()
    points, of = read(path.parent / "points.js", "points"), finished.contents(directory, progress=False)
    assert points["n"] == 200 and points["files"] == list(of.dataset.files) and points["rows"] == []
    np.testing.assert_array_equal(unpacked(points["cluster"]), of.method.predict(of.dataset.images))
    np.testing.assert_array_equal(unpacked(points["class"]), of.dataset.labels)
    p = of.method.predict_proba(of.dataset.images).max(axis=1)
    assert np.abs(unpacked(points["confidence"]) / 255 - p).max() < 0.003
    assert points["sizes"] == np.bincount(of.clusters, minlength=10).tolist()
    assert points["clusterNames"] == [f"no {j}" for j in range(10)]
    for j in range(10):  # the naive loop
        mine = [i for i in range(200) if of.clusters[i] == j]
        mean = np.mean([of.embeddings[i] for i in mine], axis=0)
        assert points["typical"][j][0] == min(mine, key=lambda i: np.linalg.norm(of.embeddings[i] - mean))
        assert points["doubtful"][j][0] == min(mine, key=lambda i: of.confidence[i])
    for name in ("x", "y"):
        assert unpacked(points[name]).min() == 0 and unpacked(points[name]).max() == 65535
    assert (path.parent / "plotly.min.js").stat().st_size > 1_000_000
    curves = read(path.parent / "curves.js", "recorded")["curves"][""]
    assert "loss" in curves["history"]


def test_of_many_images_some_are_drawn(run, monkeypatch):  # noqa: F811
    monkeypatch.setattr(one_run, "MOST", 50)
    path = report.write_run(run[1], progress=False)
    points = read(path.parent / "points.js", "points")
    assert points["n"] == len(points["rows"]) == len(points["files"]) == 50 and sum(points["sizes"]) == 200
    assert "of which 50 drawn at random" in path.read_text()


def test_images_that_changed_are_refused(run, digits, tmp_path):  # noqa: F811
    root, directory = run
    save(root / "photos", 255 - digits.images[:1], [f"no {digits.labels[0]}/000.png"])
    try:
        with pytest.raises(ValueError, match=r"are not those of .*: expected them as they were"):
            report.write_run(directory, progress=False)
    finally:
        save(root / "photos", digits.images[:1], [f"no {digits.labels[0]}/000.png"])
    with pytest.raises(ValueError, match="holds no run"):
        report.write_run(tmp_path, progress=False)
    assert len(datasets.load_folder(root / "photos", 8, progress=False).files) == 200
