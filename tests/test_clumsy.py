"""Whatever is typed or damaged: a result as before, or one line that says what to do; never a traceback."""

import dataclasses
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepcluster_tf import experiments
from deepcluster_tf.command import targets
from deepcluster_tf.command.commands import COMMANDS
from deepcluster_tf.experiments import EXPERIMENTS, options, results, running
from deepcluster_tf.reporting import figures, tables

RECORDED = Path(__file__).parents[1] / "results"
FORESEEN = (ValueError, OSError, FloatingPointError, RuntimeError)  # what the runner shows as one line
usual = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "-0.0", "1e400", "nan", "-inf", "0x10", "1_0", "1,2", ",", "on", "None", "$(ls)", "a\nb", "\0"]
    ),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(width=32).map(str),
    st.sampled_from(["0", "1", "2", "0.5", "mixture", "dot", "contrastive", "pca", "file", "browser", "pooling"]),
)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 300), st.floats(allow_nan=True), st.text(max_size=5),
    st.lists(st.integers(-1, 9), max_size=4), st.tuples(st.integers(1, 9)), st.just(np.int64(3)), st.just(np.zeros(2)),
    st.sampled_from(["mixture", "kmeans", "dot", "contrastive", "pca", "strong", "gaussian", "random", "residual"]),
)  # fmt: skip


def one_line(error):
    """What the user reads: not empty, in one line, and no Python."""
    said = " ".join(str(error).split())
    assert len(said) > 10 and "Traceback" not in said and "object at 0x" not in said


def test_a_command_says_a_small_number_whole():
    small = 1.401298464324817e-45
    said = EXPERIMENTS["fashion-dcec"].command({"supervision": small, "lam": 5.0})
    assert said.endswith("SUP=1.401298464324817e-45 LAMBDA=5")


@usual
@given(st.data())
def test_any_variables_of_any_experiment(data):
    experiment = data.draw(st.sampled_from(list(EXPERIMENTS.values())))
    names = st.one_of(st.sampled_from(list(experiment.options)), st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1))
    typed = data.draw(st.dictionaries(names, words, max_size=4))
    try:
        found, call = options.parse_experiment(experiment, typed)
        method, protocol = running.prepare(experiment, found)
    except ValueError as error:
        one_line(error)
        return
    assert {**method.get_settings(), **protocol.get_settings()} == {
        **{name: each.default for name, each in experiment.declared.items()}, **found
    }  # fmt: skip
    assert set(call) <= {"quick", "force", "strategy", "data_dir", "images", "side", "broken"}
    again = experiment.command(found).split(" ", 2)[2:]  # what a table would say of it gives the same
    if again and not any(" " in str(value) for value in found.values()):
        pairs = dict(pair.split("=", 1) for pair in again[0].split(" "))
        assert options.parse_experiment(experiment, pairs)[0] == found


@usual
@given(st.data())
def test_any_variables_of_any_command(data):
    name = data.draw(st.sampled_from(list(COMMANDS)))
    known = targets.variables(name)
    typed = data.draw(st.dictionaries(st.sampled_from(list(known) or ["SEED"]), words, max_size=3))
    try:
        options.parse(typed, known, name)
    except ValueError as error:
        one_line(error)


@usual
@given(st.data())
def test_any_settings_of_any_method(data):
    experiment = data.draw(st.sampled_from(list(EXPERIMENTS.values())))
    kind = data.draw(st.sampled_from([experiment.method_class(), experiment.protocol_class()]))
    drawn = data.draw(st.dictionaries(st.sampled_from(list(kind.declared()) or ["none"]), values, max_size=3))
    made = kind(**{name: value for name, value in drawn.items() if name in kind.declared()})
    try:
        made.check_settings()
    except ValueError as error:
        one_line(error)
        return
    for name, each in kind.declared().items():
        assert each.allows(getattr(made, name))


@usual
@given(st.text(max_size=300), st.integers(0, 9))
def test_a_run_of_any_name_has_a_folder(name, seed):
    directory = results.run_directory("dcec", name, seed, Path("root"))
    assert all(len(part.encode(errors="surrogateescape")) < 256 for part in directory.parts if part.isprintable())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A results folder with a run or two of each kind, without what is large."""
    root = tmp_path_factory.mktemp("recorded")
    for run in (
        "fashion-dcec/sup-0.01/seed-0", "fashion-ae/paper/seed-0", "mnist-vae/annotator-reader/seed-0",
        "mnist-vae/annotator-reader/seed-1", "cifar-similarity/paper/seed-0", "cifar-control/paper/seed-0",
    ):  # fmt: skip
        shutil.copytree(RECORDED / "runs" / run, root / "runs" / run)
    return root


def changed(raw, rng):
    """Bytes with something wrong: a flipped bit, a cut, a gap, a copy of a part, another word, or nothing left."""
    at = rng.randrange(len(raw))
    to = min(at + rng.randrange(1, 40), len(raw))
    return {
        "bit": lambda: raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :],
        "cut": lambda: raw[:at],
        "gap": lambda: raw[:at] + raw[to:],
        "copy": lambda: raw[:to] + raw[at:],
        "word": lambda: raw[:at] + rng.choice([b"null", b'"x"', b"-1", b"1e999", b"[]", b"{}", b"\0"]) + raw[to:],
        "none": lambda: b"",
    }[rng.choice(["bit", "cut", "gap", "copy", "word", "none"])]()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(100))
def test_any_damaged_file_of_a_record(recorded, tmp_path, number):
    """Tables and figures are made, or the damaged file is named; no other file changes."""
    root, rng = tmp_path / "results", random.Random(number)
    shutil.copytree(recorded, root)
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix in (".json", ".csv", ".npz"))
    path = rng.choice(files)
    path.write_bytes(changed(path.read_bytes(), rng))
    before = {each: each.read_bytes() for each in files}
    for make in (tables.write_all, figures.write_all):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                make(root)
        except FORESEEN as error:
            one_line(error)
            assert str(path) in str(error) or path.parent.name in str(error), f"{path}: {error}"
    assert {each: each.read_bytes() for each in files} == before


def test_a_setting_outside_its_range_names_itself():
    for experiment in EXPERIMENTS.values():
        for name, each in experiment.declared.items():
            if each.low is not None:
                low = dataclasses.replace(each, kind="int") if each.kind == "int" else each
                beyond = (low.low - 1,) if each.kind.startswith("tuple") else low.low - 1
                with pytest.raises(ValueError, match=f"^{name} must be"):
                    running.prepare(experiments.get(experiment.name), {name: beyond})
