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
# A room -> what it may import beside itself, from the leaves to the runners.
LEAVES = {"files", "machine", "settings"}
MODEL = {"layers", "losses", "metrics", "networks"}
ARROWS = {
    "files": set(),
    "machine": set(),
    "settings": set(),
    "metrics": set(),
    "losses": set(),
    "layers": set(),
    "datasets": {"machine", "files"},
    "networks": {"layers"},
    "clustering": set(),
    "fitting": {"networks"} | LEAVES,
    "export": {"networks", "layers", "files"},
    "annotation": {"fitting", "networks"} | LEAVES,
    "methods": {"clustering", "fitting", "annotation", "export"} | MODEL | LEAVES,
    "experiments": {"datasets", "clustering", "fitting", "annotation", "methods", "export"} | MODEL | LEAVES,
    "reporting": {"experiments", "metrics", "files"},
    "benchmark": {"fitting", "methods"},
    "command": {"benchmark", "datasets", "experiments", "fitting", "reporting", "machine", "settings"},
}


def imported(path):
    """The rooms that a file imports anywhere in it, such as "losses"."""
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
            elif top == PACKAGE.name and rooms != ["__version__"]:
                found.add(rooms[0])
    return found


def test_every_room_has_its_arrows():
    rooms = {
        path.stem if path.is_file() else path.name
        for path in PACKAGE.iterdir()
        if path.name[0] not in "_." and path.name != "py.typed"
    }
    assert rooms == set(ARROWS)
    graphlib.TopologicalSorter(ARROWS).prepare()  # raises CycleError


def test_the_guide_lists_every_room_below_those_it_imports():
    guide = (ROOT / "results" / "guides" / "adding.md").read_text().partition("| room |")[2]
    rooms = [
        re.sub(r"\.py$|/$", "", name)
        for line in re.findall(r"^\| (`.*?) \|", guide, re.M)
        for name in line.split("`")[1::2]
    ]
    assert sorted(rooms) == sorted(ARROWS)
    for place, room in enumerate(rooms):
        assert ARROWS[room] <= set(rooms[:place]), room


@pytest.mark.parametrize("room", ARROWS)
def test_imports_go_one_way(room):
    paths = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else [*(PACKAGE / room).rglob("*.py")]
    for path in paths:
        wrong = imported(path) - ARROWS[room] - {room}
        assert not wrong, f"{path} imports {wrong}"


def test_no_method_imports_another():
    for path in (PACKAGE / "methods").glob("*.py"):
        if path.stem == "__init__":  # which names them all
            continue
        names = re.findall(r"deepcluster_tf\.methods\.(\w+)", path.read_text())
        allowed = {"base", "heads", "naming", "pretext", "renewal"} | (
            {"siamese"} if path.stem in ("pretext", "dec") else set()
        )
        assert set(names) <= allowed, f"{path} imports {names}"


def test_setup_asks_for_every_package_that_is_imported_by_name(imported_packages):
    """What only another package brings may go with a later version of that."""
    asked = set(re.findall(r"^    ([\w-]+) ?[>=]", (ROOT / "setup.cfg").read_text(), re.M))
    assert imported_packages <= asked, imported_packages - asked


def test_imports_are_seen_wherever_they_stand(tmp_path):
    path = tmp_path / "code.py"
    path.write_text(
        "import numpy, deepcluster_tf.losses\nfrom deepcluster_tf import layers as a, metrics\n"
        "from deepcluster_tf.methods.base import Method\n\ndef f():\n    from deepcluster_tf.methods import vae\n"
        "    import runners.dcec\n"
    )
    assert imported(path) == {"losses", "layers", "metrics", "methods", "runners"}


def test_some_rooms_cost_no_tensorflow():
    code = (
        "import importlib, sys\n"
        "for name in ('metrics', 'datasets', 'files', 'machine', 'experiments', 'experiments.results'):\n"
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


def test_names_and_help_need_the_standard_library_alone():
    """`make help` runs before there is an environment: whatever it imports comes with Python."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from deepcluster_tf.command import targets\n"
        "from runners import check, help, run\n"
        "targets.overview(), targets.help_of('fashion-dcec'), targets.help_of('mnist-vae-table')\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - {'deepcluster_tf', 'runners'}\n"
        "sys.exit(', '.join(sorted(new - sys.stdlib_module_names)) or None)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"help costs {run.stderr}"


def test_the_makefile_is_a_page_and_has_no_list_of_its_own():
    makefile = (ROOT / "Makefile").read_text()
    assert len(makefile.splitlines()) <= 90
    variables = {name for experiment in EXPERIMENTS.values() for name in experiment.options if len(name) > 1}
    assert not [word for word in [*EXPERIMENTS, *variables] if re.search(rf"\b{word}\b", makefile)]


@pytest.mark.parametrize("path", RUNNERS, ids=lambda path: path.name)
def test_a_runner_is_short(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 90
    functions = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < 30 for node in functions)


def test_what_is_run_on_images_of_ones_own_is_not_committed():
    own = [f"results/runs/{each.name}/x/seed-0/result.json" for each in EXPERIMENTS.values() if not each.data]
    git = ["git", "check-ignore", "--no-index", *own]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 128:
        pytest.skip("no git here")
    assert done.stdout.splitlines() == own
