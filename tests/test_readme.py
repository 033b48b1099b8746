"""The README keeps its word: its Python runs, its tables are those of the results, its commands exist."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from deepcluster_tf.command import targets
from deepcluster_tf.experiments import TABLES
from deepcluster_tf.reporting import tables

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_tables_and_deviations_are_up_to_date(tmp_path):
    """What `make tables` would write is what is there; a user's own runs may not be in the tables yet."""
    status = ["git", "status", "--porcelain", "--", "results/runs"]
    if subprocess.run(status, cwd=REPOSITORY, capture_output=True, text=True).stdout:
        pytest.skip("there are runs that are not committed: make tables puts them into the tables")
    shutil.copy(REPOSITORY / "README.md", tmp_path)
    assert tables.write_readme(tmp_path / "README.md", REPOSITORY / "results").read_text() == README
    for name, table in TABLES.items():
        written = (REPOSITORY / "results" / "tables" / f"{name}.md").read_text()
        assert written == tables.page(table, REPOSITORY / "results")


def test_saved_model_example_runs(monkeypatch, tmp_path):
    (tmp_path / "results").symlink_to(REPOSITORY / "results")
    monkeypatch.chdir(tmp_path)
    if not Path("results/models/fashion-dcec-sup-0.01-seed-0").exists():
        pytest.skip("the SavedModel is not part of the repository yet")
    names = {}
    exec(BLOCKS[0], names)
    assert names["found"]["cluster"].shape == (3,) and names["embeddings"].shape == (3, 10)
    exec(BLOCKS[1], names)
    assert Path("model.tflite").stat().st_size > 500_000  # with its weights


def test_method_example_runs(digits, some_labels, monkeypatch, tmp_path):
    from conftest import SMALL

    monkeypatch.chdir(tmp_path)
    code = BLOCKS[2].replace("DCEC(n_clusters=10)", "DCEC(n_clusters=10, **SMALL)")
    assert code != BLOCKS[2]
    names = {"images": digits.images, "labels": some_labels, "SMALL": {**SMALL, "pretraining_epochs": 1}}
    exec(code, names)
    assert (tmp_path / "my-model" / "saved_model.pb").exists() and (tmp_path / "my.keras").exists()
    assert np.isfinite(names["dcec"].cluster_centers_).all()


def test_every_make_command_exists_and_takes_its_variables():
    used = re.findall(r"(?:^    |`)make ([^`#\n]+)", README, re.M)
    for words in used:
        names = [word for word in words.split() if "=" not in word]
        given = dict(word.split("=", 1) for word in words.split() if "=" in word)
        if names and names[0] not in ("TARGET", "digits-linear"):  # the latter is of the example
            targets.require([name for name in names if name != "help"] or ["help"], [*given.keys() - {"HELP"}])
    assert {"fashion-dcec", "test", "tables"} <= {words.split()[0] for words in used}
