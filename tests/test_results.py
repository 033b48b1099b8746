"""Where results live: names of variants, writing that survives a full disk, reading back, what a record says."""

import copy
import errno
import fcntl
import importlib.util
import json
import os
import random
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from deepcluster_tf import files, machine
from deepcluster_tf.experiments import results, schema
from deepcluster_tf.experiments.protocols import pretraining

RECORDED = Path(__file__).parents[1] / "results"
KINDS = [  # a record of each kind
    "fashion-dcec/sup-0.01/seed-0",
    "fashion-ae/paper/seed-0",
    "mnist-vae/annotator-reader/seed-0",
    "cifar-similarity/paper/seed-0",
]
DEFAULTS = {"n_clusters": 10, "filters": (32, 64, 128), "lam": 1.0, "batch_size": 256, "max_iterations": 20_000}


@pytest.mark.parametrize(
    ("changed", "plain", "quick"),
    [
        ({"supervision": 0.01}, "sup-0.01", "quick-sup-0.01"),
        ({"supervision": 0}, "sup-0", "quick-sup-0"),
        ({"supervision": 0.0, "lam": 0.1}, "sup-0-lambda-0.1", "quick-sup-0-lambda-0.1"),
        ({"lam": 1}, "paper", "quick"),  # 1 and 1.0 are one setting
        ({"n_clusters": 7}, "clusters-7", "quick-clusters-7"),
        (
            {"supervision": 0.1 + 0.2, "max_iterations": 700},
            "sup-0.3-max-iterations-700",
            "quick-sup-0.3-max-iterations-700",
        ),
        ({"lam": 1e-5, "batch_size": 64}, "lambda-1e-05-batch-size-64", "quick-lambda-1e-05-batch-size-64"),
        ({"filters": (8, 16, 32)}, "filters-8x16x32", None),
        ({}, "paper", "quick"),
    ],
)
def test_a_variant_is_named_by_what_differs(changed, plain, quick):
    settings = {name: changed.get(name, DEFAULTS.get(name)) for name in ("supervision", *DEFAULTS)}
    if "supervision" not in changed:
        del settings["supervision"]
    assert results.variant(settings, DEFAULTS) == plain
    assert quick is None or results.variant(settings, DEFAULTS, quick=True) == quick


def test_what_two_runs_need_is_waited_for(tmp_path, capsys):
    begun, order = threading.Event(), []

    def second():
        begun.set()
        with files.locked(tmp_path, wait=True):
            order.append("second")

    with files.locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait()
        thread.join(0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "waiting for another process" in capsys.readouterr().err


def test_run_directory_makes_nothing(tmp_path):
    found = results.run_directory("fashion-dcec", "sup-0.01", 3, tmp_path)
    assert found == tmp_path / "runs" / "fashion-dcec" / "sup-0.01" / "seed-3" and not list(tmp_path.iterdir())
    assert results.run_directory("a", "b", 0).parts == ("results", "runs", "a", "b", "seed-0")


@pytest.mark.parametrize("letter", ["x", "é", "猫", "\udce9"])
def test_no_name_is_too_long_for_a_folder(letter, tmp_path):
    long, other = 250 * letter, 249 * letter + "y"
    found = {results.run_directory("vae", f"{name}-annotator-reader", 0, tmp_path) for name in (long, other)}
    assert len(found) == 2  # however alike their beginnings
    for directory in found:
        directory.mkdir(parents=True)
        assert len(os.fsencode(directory.parent.name)) <= results.LONGEST + 9
    assert results.folder_name("x" * results.LONGEST) == "x" * results.LONGEST


@pytest.mark.parametrize("fault", ["a file for a folder", "a folder for the lock", "no locks"])
def test_a_folder_that_cannot_be_locked_is_said_in_one_line(fault, tmp_path, monkeypatch):
    if fault == "a file for a folder":
        (tmp_path / "run").write_text("")
    elif fault == "a folder for the lock":
        (tmp_path / "run" / "lock").mkdir(parents=True)
    else:
        monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "No locks")))
    expected = rf"^{tmp_path}/run.* cannot be (written|locked) \(.+\): expected .*$"
    with pytest.raises(OSError, match=expected) as error, files.locked(tmp_path / "run"):
        pass
    assert "nothing has been trained" in str(error.value)


# Writing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_json_is_read_back(tmp_path):
    content = {"schema": 1, "value": 0.1 + 0.2, "names": ["é"], "none": None}
    files.write_json(tmp_path / "result.json", content)
    files.write_json(tmp_path / "result.json", content)
    assert json.loads((tmp_path / "result.json").read_text()) == content and names(tmp_path) == ["result.json"]


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("content", "breaks", "error", "message"),
    [
        ({"a": 1, "b": float("nan")}, None, ValueError, "not JSON compliant"),
        ({"a": 1, "b": object()}, None, TypeError, "not JSON serializable"),
        (
            {"a": 1},
            "fsync",
            OSError,
            r"result.json could not be written \(No space left on device\): .*Free some space",
        ),
        (
            {"a": 1},
            "replace",
            OSError,
            r"result.json could not be written \(No space left on device\): .*the same command",
        ),
    ],
)
def test_a_failing_write_leaves_the_old_file(content, breaks, error, message, tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("the old one")
    if breaks:
        monkeypatch.setattr(os, breaks, full)
    with pytest.raises(error, match=message):
        files.write_json(path, content)
    assert path.read_text() == "the old one" and names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("below", ["", "sub", "sub/deeper"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(below, tmp_path):
    (tmp_path / "file").write_text("no folder: nothing can be written below it, not even by root")
    with pytest.raises(
        OSError, match=r"cannot be written \(.+\): expected a writable folder.*nothing has been trained"
    ):
        files.require_writable(tmp_path / "file" / below)


def test_a_result_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for folder in ("none", "file"):
        with pytest.raises(OSError, match=r"result.json could not be written \(.+\): what was there before is kept"):
            files.write_json(tmp_path / folder / "result.json", {})


def test_a_full_disk_is_noticed_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(results.Path, "write_text", full)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\)"):
        files.require_writable(tmp_path)
    assert names(tmp_path) == []


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    for _ in range(2):
        files.require_writable(tmp_path / "a" / "b")
    assert names(tmp_path) == ["a"] and names(tmp_path / "a" / "b") == []


# Reading


def test_where_nothing_is_recorded_there_is_no_result(tmp_path):
    assert results.read_result(tmp_path) is results.read_result(tmp_path / "none") is None
    assert results.all_results(tmp_path) == []


@pytest.mark.parametrize(
    ("garbage", "why"),
    [
        (b"", "Expecting value"),
        (b'{"schema": 1, "met', "Unterminated string"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b"{}", "schema None"),
        (b'{"schema": 2}', "schema 2"),
        (b'{"schema": null}', "schema None"),
        (b"[1, 2]", "no object"),
        (b"null", "no object"),
        (b"3", "no object"),
    ],
)
def test_garbage_is_refused_with_the_file_and_the_reason(garbage, why, tmp_path):
    (tmp_path / "result.json").write_bytes(garbage)
    expected = (
        rf"{tmp_path}/result.json is (missing or damaged|no result of schema 1) \(.*{why}.*\): restore it from git"
    )
    with pytest.raises(ValueError, match=expected):
        results.read_result(tmp_path)


@pytest.mark.parametrize("part", ["", "autoencoder"])
def test_every_recorded_run_is_whole(part):
    found = results.all_results(RECORDED)
    assert len(found) >= 175
    for run in found:
        if part in run:
            schema.require(run["directory"], run[part], part)


def changed(record, rng):
    """A record with one thing in it, at any depth, removed, shortened or of another type."""
    record = copy.deepcopy(record)
    at = record
    while True:
        place = rng.choice([*at] if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[place], (dict, list)) or not at[place] or rng.random() < 0.3:
            break
        at = at[place]
    old = at.pop(place)
    new = {"nothing": None, "text": str(old), "number": -1.5, "list": [old], "object": {"value": old}}
    if isinstance(old, (dict, list)):
        new["shorter"] = dict([*old.items()][:-1]) if isinstance(old, dict) else old[:-1]
    how = rng.choice(["removed", *new])
    if how != "removed":
        at.update({place: new[how]}) if isinstance(at, dict) else at.insert(place, new[how])
    return record


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_whole_or_refused_by_name(kind, tmp_path):
    record, rng, path = results.read_result(RECORDED / "runs" / kind), random.Random(kind), tmp_path / "result.json"
    refused = 0
    for _ in range(300):
        given = changed(record, rng)
        path.write_text(json.dumps(given))
        try:
            found = results.read_result(tmp_path)
            assert found == {"protocol": record["protocol"], **given}  # early records have a number instead
        except ValueError as error:
            message = str(error).removeprefix(f"{path} is ")
            assert message != str(error) and message.endswith(": restore it from git, or remove it")
            assert len(message.splitlines()) == 1 and len(message) < 300
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        (0, lambda r: r.pop("seed"), r"result must contain \['seed'\] properties"),
        (0, lambda r: r["metrics"].pop("acc"), r"result.metrics must contain \['acc'\] properties"),
        (1, lambda r: r["metrics"]["acc_kmeans_test"].pop("value"), r"result.metrics.acc_kmeans_test must contain"),
        (2, lambda r: r["metrics"]["test_acc"].update(value="0.8"), "test_acc.value must be number, received '0.8'"),
        (2, lambda r: r.update(class_names=["0", None]), r"result.class_names\[1\] must be string, received None"),
        (3, lambda r: r["accuracy_curve"][2].pop(), r"result.accuracy_curve\[2\] must contain at least 2 items"),
        (0, lambda r: r.update(iterations=True), "result.iterations must be integer, received True"),
        (0, lambda r: r["settings"].update(lam="1"), "result.settings.lam must be number, received '1'"),
        (0, lambda r: r["confusion"][3].pop(), "rows of one length"),
        (1, lambda r: r["confusion"]["mixture_test"].pop(), "result.confusion must have a row for each of class_names"),
        (0, lambda r: r["classes"].pop(), "result.classes must have an item for each of cluster_sizes"),
        (2, lambda r: r["class_names_given"].pop(), "result.class_names_given must be class_names"),
        (3, lambda r: r["metrics"].pop("precision_cat"), "result.metrics must contain precision_cat"),
    ],
)
def test_an_incomplete_record_is_refused_with_the_place(kind, change, why, tmp_path):
    record = results.read_result(RECORDED / "runs" / KINDS[kind])
    change(record)
    files.write_json(tmp_path / "result.json", record)
    with pytest.raises(
        ValueError, match=rf"^{tmp_path}/result.json is incomplete or altered \(.*{why}.*\): restore it"
    ):
        results.read_result(tmp_path)


@pytest.mark.parametrize("gone", ["seconds", "loss", "weights_sha256", "images_sha256"])
def test_an_incomplete_record_of_an_autoencoder_is_refused_before_training(gone, tmp_path):
    whole = {"seconds": 1, "loss": 0.1, "weights_sha256": "", "images_sha256": ""}
    files.write_json(tmp_path / "record.json", {**whole, gone: []})
    with pytest.raises(ValueError, match=rf"record.json is incomplete or altered \(autoencoder.{gone} must be"):
        pretraining.autoencoder(None, np.zeros((2, 8, 8, 1), np.uint8), tmp_path)


@pytest.fixture
def records(tmp_path):
    """Six recorded runs, written in no order, and what is no record."""
    made = [
        ("b", "sup-0", 1),
        ("b", "sup-0", 0),
        ("a", "sup-0.1", 0),
        ("a", "sup-0", 0),
        ("a", "quick-sup-0", 0),
        ("a", "sup-0", 2),
    ]
    whole = results.read_result(RECORDED / "runs" / KINDS[0])
    for experiment, variant, seed in made:
        directory = results.run_directory(experiment, variant, seed, tmp_path)
        directory.mkdir(parents=True)
        own = {"experiment": experiment, "budget": "quick" if "quick" in variant else "paper", "seed": seed}
        own["settings"] = {**whole["settings"], "variant": variant}
        files.write_json(directory / "result.json", {**whole, **own})
    (directory / "part-1-result.json").write_text("half")
    results.run_directory("a", "unfinished", 0, tmp_path).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "copied"),
    [
        ("a/sup-0/seed-0", "a/sup-0/seed-0-old"),
        ("a/sup-0/seed-0", "a/sup-0/seed-"),
        ("a/sup-0/seed-0", "a/sup-0/seed-x"),
        ("a/sup-0/seed-0", "a/sup-0/seed-1"),
        ("a/sup-0/seed-0", "a/sup-0/seed-00"),
        ("a/sup-0/seed-0", "a/sup-0-old/seed-0"),
        ("a/sup-0/seed-0", "c/sup-0/seed-0"),
    ],
)
def test_what_is_no_run_is_passed_over_with_a_word(records, source, copied):
    runs, before = records / "runs", results.all_results(records)
    shutil.copytree(runs / source, runs / copied)
    with pytest.warns(
        UserWarning, match=rf"^{runs / copied} is passed over: it is a copy of a run, or renamed"
    ) as said:
        assert results.all_results(records) == before
    assert len(said) == 1
    (runs / "a" / "sup-0" / "seed-file").write_text("no folder")
    shutil.rmtree(runs / copied)
    assert results.all_results(records) == before


def test_a_damaged_copy_is_passed_over_too(records):
    before, old = results.all_results(records), records / "runs" / "a" / "sup-0" / "seed-0-old"
    old.mkdir()
    (old / "result.json").write_text("{")
    with pytest.warns(UserWarning, match="seed-0-old is passed over"):
        assert results.all_results(records) == before


def test_the_runs_of_a_variant_are_found_whatever_its_name(records):
    assert [run["seed"] for run in results.runs_of("a", "sup-0", records)] == [0, 2]
    assert results.runs_of("a", "sup-*", records) == results.runs_of("a", "quick-sup-0", records) == []
    (records / "runs" / "a" / "sup-0.1").rename(records / "runs" / "a" / "[x]-sup-0.1")
    assert len(results.runs_of("a", "[x]-sup-0.1", records)) == 1


def test_all_results_are_in_the_order_of_their_paths(records, monkeypatch):
    found = results.all_results(records)
    assert [(r["directory"].parts[-3:], r["seed"]) for r in found] == [
        (("a", "sup-0", "seed-0"), 0),
        (("a", "sup-0", "seed-2"), 2),
        (("a", "sup-0.1", "seed-0"), 0),
        (("b", "sup-0", "seed-0"), 0),
        (("b", "sup-0", "seed-1"), 1),
    ]
    assert [r["directory"].parts[-2] for r in results.all_results(records, "quick")] == ["quick-sup-0"]
    monkeypatch.setattr(results, "ROOT", records)
    assert results.all_results() == found


def test_one_damaged_record_is_named(records):
    (records / "runs" / "b" / "sup-0" / "seed-1" / "result.json").write_text("{")
    with pytest.raises(ValueError, match=r"b/sup-0/seed-1/result\.json is missing or damaged"):
        results.all_results(records)


# What a record says


def test_the_reference_holds_table_1_of_sdcec():
    rows = results.reference()["fashion-dcec"]
    table = {
        "0": (0.5847, 0.6294),
        "0.01": (0.7371, 0.6666),
        "0.03": (0.7604, 0.6872),
        "0.05": (0.7722, 0.6968),
        "0.1": (0.8022, 0.7254),
        "0.2": (0.8653, 0.7891),
        "0.3": (0.9034, 0.8331),
        "0.5": (0.9391, 0.8800),
    }
    assert {level: (row["acc"], row["nmi"]) for level, row in rows.items()} == table


def test_versions_and_machine_name_what_decides_the_numbers():
    versions = machine.versions()
    umap = {"umap-learn", "pynndescent", "numba"}
    assert {"python", "deepcluster_tf", "tensorflow", "keras", "numpy", "scikit-learn", "scipy"} == set(versions) - umap
    assert bool(umap & set(versions)) == bool(importlib.util.find_spec("umap"))
    assert all(version[0].isdigit() for version in versions.values())
    found = machine.machine()
    assert found["processor"] and found["cores"] >= found["processors"] >= 1
    assert found["memory_gib"] >= 1 and found["gpus"] is not None


def test_the_commit_is_that_of_the_code_and_of_no_other_project(tmp_path, monkeypatch):
    for words in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m first"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    ours = machine.git_commit()
    monkeypatch.chdir(tmp_path)
    assert machine.git_commit() == ours  # wherever it is run
    (tmp_path / "site-packages" / "deepcluster_tf").mkdir(parents=True)
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "site-packages" / "deepcluster_tf" / "machine.py"))
    Path(machine.__file__).write_text("")
    assert machine.git_commit() == "unknown"  # in an environment that another project has
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert machine.git_commit().removesuffix("-dirty") != ours and len(machine.git_commit()) >= 40
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert machine.git_commit() == "unknown"
