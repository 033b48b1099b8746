"""Imports go one way, nothing names a place outside the repository, and what is written twice agrees."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepcluster_tf.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "deepcluster_tf"
RUNNERS = sorted((ROOT / "runners").glob("*.py"))
LATE = {"training", "tables", "figures", "experiments", "benchmark", "runners"}  # what may know a method by its name

# Files -> the rooms that they may import ...
ONLY = {
    "datasets/*": {"datasets"},
    "metrics.py": set(),
    "losses.py": set(),
    "layers.py": set(),
    "networks/*": {"networks"},
}
# ... or that they must not.
NEVER = {
    "clustering.py": {"methods", "datasets", "results"} | LATE,
    "methods/*": {"methods", "datasets", "results"} | LATE,
    "methods/base/*": {"methods", "datasets", "results"} | LATE,
    "fitting.py": {"methods"} | LATE,
    "protocols/*": {"methods", "protocols"} | LATE,
    "export.py": {"methods"} | LATE,
    "results.py": {"methods", "datasets"} | LATE,
    "*.py": {"runners"},
    "*/*.py": {"runners"},
}


def imported(path):
    """The rooms that a file imports anywhere in it, such as "losses"; the base of the methods is "methods.base"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not followed here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, *rooms = name.split(".")
            if top == "runners":
                found.add(top)
            elif top == PACKAGE.name:
                found.add("methods.base" if rooms[:2] == ["methods", "base"] else rooms[0])
    return found


@pytest.mark.parametrize("files", [*ONLY, *NEVER])
def test_imports_go_one_way(files):
    paths = [path for path in PACKAGE.glob(files) if path.suffix == ".py"]
    assert paths
    for path in paths:
        found = imported(path)
        wrong = found - ONLY[files] if files in ONLY else found & NEVER[files]
        assert not wrong, f"{path} imports {wrong}"


def test_imports_are_seen_wherever_they_stand(tmp_path):
    path = tmp_path / "code.py"
    path.write_text(
        "import numpy, deepcluster_tf.losses\nfrom deepcluster_tf import layers as a, metrics\n"
        "from deepcluster_tf.methods.base import Method\n\ndef f():\n    from deepcluster_tf.methods import vae\n"
        "    import runners.dcec\n"
    )
    assert imported(path) == {"losses", "layers", "metrics", "methods.base", "methods", "runners"}


def test_no_two_rooms_import_each_other():
    rooms = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        rooms.setdefault(room, set()).update({name.partition(".")[0] for name in imported(path)} - {room})
    graphlib.TopologicalSorter(rooms).prepare()  # raises CycleError


def test_some_rooms_cost_no_tensorflow():
    code = (
        "import importlib, sys\n"
        "for name in ('metrics', 'datasets', 'experiments', 'results'):\n"
        "    importlib.import_module(f'deepcluster_tf.{name}')\n"
        "    if {'tensorflow', 'keras'} & set(sys.modules): sys.exit(name)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"importing {run.stderr} costs TensorFlow"


def test_no_file_names_a_place_outside_the_repository():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    outside = re.compile(rb"\.\./shar" + rb"ed|(?<![\w>}*-])/wor" + rb"k/")  # in two parts, for this file is read too
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert [path for path in paths if path.is_file() and outside.search(path.read_bytes())] == []


def test_the_makefile_names_the_experiments():
    makefile = (ROOT / "Makefile").read_text()
    lines = [
        re.search(rf"^{name}\s*:=(.*)$", makefile, re.MULTILINE)[1]
        for name in ("DCEC", "AE", "RAW", "VAE", "CIFAR", "OWN")
    ]
    assert " ".join(lines).split() == list(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiments_method_and_settings_exist(name):
    experiment = EXPERIMENTS[name]
    assert experiment.name == name
    assert {*experiment.settings, *experiment.quick} <= set(experiment.method_class().defaults())


@pytest.mark.parametrize("path", RUNNERS, ids=lambda path: path.name)
def test_a_runner_is_short(path):
    assert len(path.read_text().splitlines()) <= 60
