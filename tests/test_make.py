"""The Makefile refuses what does not apply before it makes anything, and hands values on as they were typed."""

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepcluster_tf import experiments

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path):
    """A copy of what make needs, without an environment: a runner that only says what it was given."""
    for name in ("deepcluster_tf", "runners", "Makefile", "setup.cfg", "pyproject.toml"):
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    return tmp_path


def make(folder, *words, **environment):
    given = {**{k: v for k, v in os.environ.items() if not k.startswith("MAKE")}, **environment}
    return subprocess.run(
        ["make", *words], cwd=folder, capture_output=True, text=True, timeout=60, env=given, errors="surrogateescape"
    )


@pytest.fixture
def echoing(tree):
    """The tree with an environment in which the runner prints the variables of its target, and runs nothing."""
    (tree / "env" / "bin").mkdir(parents=True)
    (tree / "env" / "pyvenv.cfg").write_text("")
    (tree / "env" / "bin" / "python").symlink_to(sys.executable)
    (tree / "env" / ".installed").touch()
    (tree / "runners" / "run.py").write_text(
        "import sys\nfrom deepcluster_tf.command import targets\nfrom runners import check\n"
        "known = targets.variables(sys.argv[1])\n"
        "print(sys.argv[1], ascii({k: v for k, v in check.given().items() if k in known}))\n"
    )
    return lambda *words, **environment: make(tree, "VENV=env", *words, **environment)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fashion-dcec", "SUPP=0.01"), "SUPP is no variable of fashion-dcec: expected"),
        (("tables", "SUP=0.01"), "SUP is no variable of tables: expected none"),
        (("tables", "figures", "SUP=0.01"), "SUP is no variable of tables figures: expected FORMAT"),
        (("fashion-dcec", "IMAGES=x"), "IMAGES is no variable of fashion-dcec"),
        (("fashion-dcec", "SUP="), "SUP is empty"),
        (("fashion-dcec", "SUP=1"), "SUP must be a fraction in [0, 1), such as 0.01 for 1 %; received 1.0"),
        (("fashion-dcec", "SEED=1\n2"), "SEED has a line break in it: expected one line"),
        (("fashion-dcce",), "fashion-dcce is no target: make help lists them; did you mean fashion-dcec?"),
        (("test", "SEED=1"), "SEED is no variable of test: expected none"),
    ],
)
def test_what_does_not_apply_is_refused_before_anything_is_made(tree, words, message):
    done = make(tree, *words)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert done.returncode == 2 and len(errors) == 1 and message in errors[0]
    assert not (tree / ".venv").exists()


@pytest.mark.parametrize(
    "value",
    [
        "$(shell touch pwned)", "`touch pwned`", "$(touch pwned)", "cost $5", "a b  c", "it's", 'say "hi"', "-n",
        "=", "*", "a;touch pwned", "a\\b", "# no comment", "50%", "~/photos", "caf\xe9", "$$", "a&b|c",
    ],
)  # fmt: skip
def test_values_are_handed_on_as_they_were_typed(echoing, tree, value):
    done = echoing("dcec", f"IMAGES={value}", "CLUSTERS=3")
    assert done.returncode == 0, done.stderr
    given = ast.literal_eval(done.stdout.splitlines()[-1].removeprefix("dcec "))
    assert given == {"IMAGES": value, "CLUSTERS": "3"}
    assert not (tree / "pwned").exists()


def test_each_of_several_targets_takes_its_own(echoing):
    done = echoing("digits-dcec", "digits-ae", "tables", "SUP=0.1", "SEED=2")
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[0].startswith("digits-dcec") and "'SUP': '0.1'" in lines[0] and "'SEED': '2'" in lines[0]
    assert lines[1] == "digits-ae {'SEED': '2'}" and lines[2] == "tables {}"


def test_variables_of_the_environment_are_not_used_silently(echoing, tree):
    done = echoing("digits-dcec", SUP="$(shell touch pwned)", EDITOR="vi", DATA_DIR="here")
    assert "note: SUP of the environment is not used: write make digits-dcec SUP=" in done.stderr
    assert "EDITOR" not in done.stderr and done.stdout.splitlines()[-1] == "digits-dcec {}"
    assert echoing("fashion-dcec", DATA_DIR="here").stdout.splitlines()[-1] == "fashion-dcec {'DATA_DIR': 'here'}"
    assert not (tree / "pwned").exists()


def test_help_needs_no_environment_and_little_time(tree):
    start = time.monotonic()
    done = make(tree, "help")
    assert done.returncode == 0 and time.monotonic() - start < 5  # on a busy machine; a quiet one takes 0.2 s
    assert all(name in done.stdout for name in experiments.EXPERIMENTS) and "test-slow" in done.stdout
    assert done.stdout == make(tree).stdout and not (tree / ".venv").exists()


def test_help_of_one_target_lists_its_variables_alone(tree):
    said = make(tree, "help", "fashion-dcec").stdout
    assert "SUP=0.01" in said and "(a fraction in [0, 1), such as 0.01 for 1 %)" in said
    assert "FILTERS" not in said and "IMAGES" not in said and "mnist" not in said
    assert make(tree, "fashion-dcec", "HELP=1").stdout == said
    assert make(tree, "fashion-dcec", "help").stdout == said and not (tree / ".venv").exists()


def test_a_folder_that_is_no_environment_is_left_alone(tree):
    (tree / "photos").mkdir()
    (tree / "photos" / "cat.png").write_text("mine")
    for name in ("photos", "./photos"):
        done = make(tree, "lint", f"VENV={name}")
        assert done.returncode == 2 and f"{name} holds something else than packages of Python" in done.stdout
    assert make(tree, "clean", "VENV=photos").returncode == 0
    assert (tree / "photos" / "cat.png").read_text() == "mine"


def test_an_environment_with_a_space_is_refused(tree):
    (tree / "v 2").mkdir()
    (tree / "v").mkdir()
    (tree / "v" / "cat.png").write_text("mine")
    done = make(tree, "lint", "VENV=v 2")
    assert done.returncode == 2 and 'without spaces, colons and percent signs; received "v 2"' in done.stderr
    assert (tree / "v" / "cat.png").read_text() == "mine"
    for name in ("a:b", "a%b"):
        assert f'received "{name}"' in make(tree, "lint", f"VENV={name}").stderr


def test_a_pattern_is_no_target(tree):
    done = make(tree, "a%b")
    assert done.returncode == 2 and "a%b is no target: make help lists them" in done.stderr


@pytest.mark.parametrize("name", ["GIVEN", "PY", "GPU", "MARK", "DEV", "OWN"])
def test_what_the_makefile_calls_its_own_is_not_expanded(tree, name):
    make(tree, "help", f"{name}=$(shell touch done)")
    assert not (tree / "done").exists()


def test_clean_removes_what_the_project_made_alone(tree):
    for name in (".venv/bin", "other.egg-info", "deepcluster_tf.egg-info", ".ruff_cache", "results"):
        (tree / name).mkdir(parents=True)
    assert make(tree, "clean").returncode == 0
    assert (tree / ".venv" / "bin").exists()  # not made by make: it has no mark
    (tree / ".venv" / ".installed").touch()
    assert "note: .venv is left as it is" in make(tree, "clean").stdout  # installed into, but of the user's making
    assert (tree / ".venv" / "bin").exists()
    (tree / ".venv" / ".made").touch()
    assert make(tree, "clean").returncode == 0
    left = {path.name for path in tree.iterdir()}
    assert not left & {".venv", "deepcluster_tf.egg-info", ".ruff_cache"} and {"other.egg-info", "results"} <= left


@pytest.mark.parametrize("mine", [False, True])
def test_an_environment_is_marked_where_make_made_it(tree, mine):
    """With a Python whose module venv makes a folder, and whose pip installs nothing."""
    if mine:
        (tree / "env").mkdir()
        (tree / "env" / "pyvenv.cfg").touch()
    fake = tree / "fake"
    fake.write_text(
        f'#!/bin/bash\nif [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; touch "$3/pyvenv.cfg"\n'
        f'elif [ "$2" = pip ]; then true\nelse exec {sys.executable} "$@"; fi\n'
    )
    fake.chmod(0o755)
    (tree / "runners" / "run.py").write_text("")
    assert make(tree, "data", f"PYTHON={fake}", "VENV=env").returncode == 0
    assert (tree / "env" / ".installed").exists() and (tree / "env" / ".made").exists() is not mine
    assert not (tree / "env" / ".installed-dev").exists()  # what tests need waits for them
    make(tree, "clean", "VENV=env")
    assert (tree / "env").exists() is mine


def test_an_old_python_is_refused(tree):
    done = make(tree, "help", "PYTHON=/nonexistent/python3.4")
    assert done.returncode == 2 and "is older than Python 3.11, or missing" in done.stdout
