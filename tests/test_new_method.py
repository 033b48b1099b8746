"""The guide's method is added to a copy of the tree, as it says: nothing else needs to know of it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
GUIDE = (REPOSITORY / "results" / "guides" / "adding.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.S)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the package and the runners, with the guide's method and its two lines of declaration."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("deepcluster_tf", "runners"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "setup.cfg", "README.md"):
        shutil.copy(REPOSITORY / name, root)
    for name in ("methods", "guides"):
        shutil.copytree(REPOSITORY / "results" / name, root / "results" / name)
    code = next(block for block in BLOCKS if "class Linear(EncodingMethod)" in block)
    (root / "deepcluster_tf" / "methods" / "linear.py").write_text(code)
    experiment, row = re.findall(r"^    ((?:Experiment|Row)\(.*\),)$", GUIDE, re.M)
    for name, after, line in (
        ("declarations.py", "_ALL = (\n", experiment),
        ("tables/documents.py", 'printed="autoencoder, mixture"),\n', row),
    ):
        path = root / "deepcluster_tf" / "experiments" / name
        text = path.read_text()
        assert text.count(after) == 1
        path.write_text(text.replace(after, f"{after}    {line}\n"))
    return root


def runner(tree, *words):
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300, env=environment)


def test_it_is_listed_with_its_variable(tree):
    said = runner(tree, "runners.help").stdout
    assert "digits-linear" in said and "A linear autoencoder, whose encodings are clustered" in said
    help_ = runner(tree, "runners.help", "digits-linear").stdout
    assert "UNITS=8  values of the encoding (a whole number from 1 to 512)" in help_ and "EPOCHS" not in help_


@pytest.mark.parametrize("given", ["UNITS=0", "UNITS=513", "UNITS=many", "UNTIS=4"])
def test_an_unknown_value_is_refused(tree, given):
    done = runner(tree, "runners.run", "digits-linear", given)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "UNITS" in done.stderr and ("from 1 to 512; received" in done.stderr or "did you mean" in done.stderr)


def test_it_runs_and_has_its_row_and_its_curve(tree):
    dry = runner(tree, "runners.run", "fashion-encodings-table", "DRY=1", "ROWS=linear").stdout
    assert dry.count("to run") == 3 and "make digits-linear SEED=2" in dry
    done = runner(tree, "runners.run", "digits-linear")
    assert done.returncode == 0 and "purity_kmeans_training" in done.stdout, done.stderr
    done = runner(tree, "runners.run", "tables")
    page = (tree / "results/tables/fashion-encodings.md").read_text()
    mine = next(line for line in page.splitlines() if line.startswith("| linear autoencoder, k-means |"))
    assert "| 1 | `make digits-linear` |" in mine and "Linear:" in page and "There is no paper" in page
    assert "linear autoencoder, k-means" in (tree / "results" / "methods" / "autoencoder.md").read_text()
    done = runner(tree, "runners.run", "figures")
    assert "results/figures/digits-linear-losses.png" in done.stdout.splitlines(), done.stderr


@pytest.mark.slow
def test_its_variable_has_a_folder_of_its_own(tree):
    done = runner(tree, "runners.run", "digits-linear", "UNITS=4")
    assert done.returncode == 0, done.stderr
    assert (tree / "results/runs/digits-linear/units-4/seed-0/result.json").exists()
