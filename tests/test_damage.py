"""Damaged files, deaths at any moment, and full disks: a line that names the file, or the same numbers."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from deepcluster_tf import files, fitting
from deepcluster_tf.annotation import Answer
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.annotation.reader import Reader
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.autoencoder import Autoencoder
from deepcluster_tf.methods.base import Method
from deepcluster_tf.methods.dcec import DCEC
from deepcluster_tf.methods.vae import VAE

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 2, 2, 1), np.uint8)
DAMAGE = {
    "a flipped bit": lambda raw: bytes([*raw[:-9], raw[-9] ^ 1, *raw[-8:]]),
    "a cut end": lambda raw: raw[:-5],
    "a row less": lambda raw: raw[: raw[:-1].rfind(b"\n") + 1],
    "another name": lambda raw: raw.replace(raw[raw.find(b"e") : raw.find(b"e") + 1], b"x", 1),
    "garbage": lambda raw: b"\0garbage",
    "nothing": lambda raw: b"",
}
damaged = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


def fit(directory, epochs=2):
    """A tiny fit with everything that a fit may go on from; returns weights, history and readings, without seconds."""
    checkpoints.claim(directory, {"lam": 1.0}, images=IMAGES)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 2, 1))
    z = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    outputs = {"reconstruction": keras.layers.Reshape((2, 2, 1))(keras.layers.Dense(4)(z))}
    model = fitting.ResidentModel(inputs, outputs)
    model.compile("adam", {"reconstruction": "mse"}, run_eagerly=True)  # what is traced takes longer
    model.hold(IMAGES)
    rows = lambda iteration: fitting.shuffled_rows(8, 4, 0, iteration)
    readings = fitting.Readings(directory / "readings.csv", 2, lambda number, logs: {"n": logs["loss"]})
    best = fitting.EarlyStopping(3, directory / "best.weights.h5")
    how = {"validation": fitting.rows_between(8, 12, 4)}
    history = Method()._train(model, rows, 2, 2 * epochs, directory, "tiny", False, best, readings, **how)
    timeless = lambda rows: [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]
    return [weights.tolist() for weights in model.get_weights()], timeless(history), timeless(readings.rows)


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after every epoch."""
    monkeypatch.setattr(checkpoints.Checkpoint.__init__, "__defaults__", (0.0,))


class Killed(BaseException):
    """As SIGKILL: nobody catches it, and nothing is tidied up."""


def die_at(patch, number):
    """Die in the place of the n-th renaming; returns the names renamed so far."""
    renamed, replace = [], os.replace

    def replace_or_die(source, to):
        if len(renamed) == number:
            patch.setattr(pathlib.Path, "unlink", lambda self, missing_ok=False: None)
            raise Killed
        renamed.append(pathlib.Path(to).name)
        replace(source, to)

    patch.setattr(os, "replace", replace_or_die)
    return renamed


# ---------------------------------------------------------------------- checked files


def written(path, *contents):
    for content in contents:
        with files.replacing(path, checked=True) as part:
            part.write_bytes(content)
    return path


def test_a_checked_file_is_known_by_what_sha256sum_writes(tmp_path):
    path = written(tmp_path / "a.txt", b"first", b"second")
    files.verify(path)
    first = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"  # by hand: printf first | sha256sum
    lines = (tmp_path / "a.txt.sha256").read_text().splitlines()
    assert lines == [f"{files.sha256(path)}  a.txt", f"{first}  a.txt"]
    files.remove(path)
    files.remove(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["a.txt", "a.txt.sha256"])
@pytest.mark.parametrize("damage", ["a flipped bit", "a cut end", "garbage", "nothing", "gone"])
def test_a_damaged_file_or_checksum_is_refused(tmp_path, which, damage):
    path, broken = written(tmp_path / "a.txt", b"only once, " * 9), tmp_path / which
    raw = broken.read_bytes()
    broken.unlink() if damage == "gone" else broken.write_bytes(b"x" + DAMAGE[damage](raw)[1:])
    with pytest.raises(ValueError, match=f"^{path} is missing or damaged: .*Remove {tmp_path} to begin anew$"):
        files.verify(path)


def test_a_checked_file_is_whole_whenever_the_process_dies(tmp_path, monkeypatch):
    path = written(tmp_path / "a.txt", b"first", b"second")
    for number, content in enumerate([b"second", b"second", b"third"]):  # before the checksums, the file, and after
        with monkeypatch.context() as patch:
            renamed = die_at(patch, number)
            if number < 2:
                with pytest.raises(Killed):
                    written(path, b"third")
            else:
                written(path, b"third")
            assert renamed == ["a.txt.sha256", "a.txt"][:number]
        files.verify(path)
        assert path.read_bytes() == content
    path.write_bytes(b"first")  # two versions ago
    with pytest.raises(ValueError, match="missing or damaged"):
        files.verify(path)


def test_a_damaged_file_is_not_made_good_by_a_write_that_dies(tmp_path, monkeypatch):
    path = written(tmp_path / "a.txt", b"first")
    path.write_bytes(b"farst")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        die_at(patch, 1)
        written(path, b"second")
    with pytest.raises(ValueError, match="missing or damaged"):
        files.verify(path)


def test_only_the_files_of_dead_processes_are_swept_away(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone = [f"part-{child.pid}-history.csv", f"part-{child.pid}-fit.json.sha256", f"part-{child.pid}"]
    stay = [
        f"part-{os.getpid()}-history.csv", f"part-{os.getppid()}-a.npz", f"part-0{child.pid}-a.npz", "part-a.txt",
        "part-0-a.txt", "part-99999999999999-a.csv", f"my-part-{child.pid}-a.csv", f"parts-{child.pid}-a.csv",
    ]  # fmt: skip
    for name in [*gone, *stay]:
        (tmp_path / name).write_text("x")
    for name in ("part-old-work", f"part-{child.pid}-folder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.weights.h5").write_text("x")
    files.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*stay, f"part-{child.pid}-folder"}


def test_in_a_folder_of_the_user_only_what_is_named_is_swept_away(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone = [f"part-{child.pid}-said.csv", f"part-{child.pid}-said.csv-abcd_123"]
    stay = [f"part-{child.pid}-thesis.csv", f"part-{child.pid}", "part-old-work", f"part-{os.getpid()}-said.csv",
            f"part-{child.pid}-said.csv-of-1", f"part-{child.pid}-my-said.csv"]  # fmt: skip
    for name in [*gone, *stay]:
        (tmp_path / name).mkdir() if name in (gone[1], "part-old-work") else (tmp_path / name).write_text("x")
    for inside in ("new", "old"):
        (tmp_path / gone[1] / inside).mkdir()
    files.sweep(tmp_path / "none", "said.csv")
    files.sweep(tmp_path, "said.csv")
    assert {path.name for path in tmp_path.iterdir()} == set(stay)


def test_a_fit_sweeps_its_own_folder_only(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    mine = tmp_path / f"part-{child.pid}-history.csv"
    mine.write_text("x")
    checkpoints.claim(tmp_path, {"lam": 1.0})
    assert mine.exists()  # the folder was not yet a fit's
    with pytest.raises(ValueError, match="holds the fit of other lam"):
        checkpoints.claim(tmp_path, {"lam": 2.0})
    assert mine.exists()
    checkpoints.claim(tmp_path, {"lam": 1.0})
    assert not mine.exists()


# ---------------------------------------------------------------------- fits


@pytest.mark.usefixtures("often")
def test_a_fit_killed_at_any_renaming_ends_with_the_same_numbers(tmp_path, monkeypatch):
    """From copies of its folder as a kill before each renaming would leave it, between checksums and file too."""
    renamed, replace = [], os.replace

    def copy_and_replace(source, to):
        shutil.copytree(tmp_path / "whole", tmp_path / str(len(renamed)))
        renamed.append(pathlib.Path(to).name)
        replace(source, to)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", copy_and_replace)
        whole = fit(tmp_path / "whole")
    assert len(whole[1]) == len(whole[2]) == 2
    checked = {"checkpoint.weights.h5", "best.weights.h5", "history.csv", "readings.csv", "fit.json"}
    assert set(renamed) == checked | {f"{name}.sha256" for name in checked} and len(renamed) == 20
    for number, name in enumerate(renamed):
        assert fit(tmp_path / str(number)) == whole, f"killed before {name}, renaming {number}"


@damaged
@pytest.mark.parametrize(
    "name", ["checkpoint.weights.h5", "best.weights.h5", "history.csv", "readings.csv", "fit.json"]
)
@pytest.mark.usefixtures("often")
def test_a_fit_does_not_go_on_from_a_damaged_file(name, damage, tmp_path):
    fit(tmp_path, epochs=1)
    path = tmp_path / name
    raw = path.read_bytes()
    path.write_bytes(damage(raw))
    assert path.read_bytes() != raw
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match=f"^{path} (is missing or damaged: .*|ends .*)[Rr]emove {tmp_path} to begin"):
        fit(tmp_path)  # a row less than at the end is what the file was before it
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("best.weights.h5", "best.weights.h5 is missing or damaged"),
        ("history.csv", "history.csv does not end where the checkpoint stands"),
        ("readings.csv", "readings.csv ends before the checkpoint: remove"),
        ("fit.json", "fit.json is missing or damaged"),
        ("*.sha256", "fit.json is missing or damaged"),
    ],
)
@pytest.mark.usefixtures("often")
def test_a_fit_does_not_go_on_without_a_file(name, said, tmp_path):
    fit(tmp_path, epochs=1)
    for path in tmp_path.glob(name):
        path.unlink()
    with pytest.raises(ValueError, match=said):
        fit(tmp_path)


class DiesInTheThirdEpoch:
    """Names every cluster, and dies when it is asked after epoch 3."""

    def annotate(self, questions, given):
        if questions[0].epoch == 3:
            raise Killed
        yield from ((question, Answer(1, 0.5)) for question in questions)


@pytest.mark.usefixtures("often")
def test_what_draws_the_pictures_is_checked(digits, tmp_path):
    settings = {"beta": 0.4, "n_clusters": 4, "epochs": 4, "z_dim": 3, "depth": 1, "unsupervised_epochs": 2}

    def fit(annotator):
        ledger = Ledger(annotator, digits.class_names, tmp_path / "annotations.csv")
        VAE(**settings).fit(digits.images[:128], annotator=ledger, directory=tmp_path / "work", progress=False)

    with pytest.raises(Killed):
        fit(DiesInTheThirdEpoch())
    names = {path.name for path in (tmp_path / "work").iterdir()}
    assert not names & {"asked-2.weights.h5", "asked-2.weights.h5.sha256"}
    for name in ("asked-3.weights.h5", "centers.npz"):  # which is read first
        path = tmp_path / "work" / name
        path.write_bytes(DAMAGE["a flipped bit"](path.read_bytes()))
        with pytest.raises(ValueError, match=f"^{path} is missing or damaged"):
            fit(DiesInTheThirdEpoch())


@damaged
def test_a_damaged_reader_is_refused(damage, tmp_path):
    path = tmp_path / "reader.weights.h5"
    labels = np.arange(12) % 3
    reader = Reader(3, steps=1).fit(np.repeat(np.repeat(IMAGES, 4, 1), 4, 2), labels, progress=False)
    reader.save(path)
    assert Reader(3).load(path, (8, 8, 1)).model.get_weights()[0].tolist() == reader.model.get_weights()[0].tolist()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"^{path} is missing or damaged"):
        Reader(3).load(path, (8, 8, 1))


# ---------------------------------------------------------------------- weights without a checksum, full disks


@pytest.mark.parametrize("seed", range(3))
def test_damaged_weights_are_one_line_or_another_model(seed, tmp_path):
    """Without a checksum a changed number cannot be seen; HDF5 meets everything else, in errors of many kinds."""
    random, path = np.random.default_rng(seed), tmp_path / "a.weights.h5"
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)])
    checkpoints.save_weights(model, path)
    raw, refused = path.read_bytes(), 0
    for _ in range(150):
        path.write_bytes(mutated(raw, random))
        try:
            checkpoints.load_weights(model, path)
        except ValueError as error:
            assert f"{path} is missing, damaged, or of another model" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "load",
    [
        lambda path: DCEC().load_autoencoder(path, (8, 8, 1)),
        lambda path: DCEC().load(path, (8, 8, 1)),
        lambda path: Autoencoder().load(path, (8, 8, 1)),
    ],
)
def test_what_is_no_model_is_not_loaded(load, tmp_path):
    path = tmp_path / "model.weights.h5"
    said = f"^{path} is missing, damaged, or of another model .*expected the weights of one with the same settings"
    for content in (None, b"", b"garbage"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            load(path)


FULL = """
import keras, resource, sys
from pathlib import Path
from deepcluster_tf.fitting import checkpoints
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
checkpoints.save_weights(model, Path(sys.argv[1]), checked=True)
model.set_weights([2 * weights for weights in model.get_weights()])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # no file may be longer: as a full disk
try:
    checkpoints.save_weights(model, Path(sys.argv[1]), checked=True)
except OSError as error:
    print(error)
checkpoints.load_weights(model, Path(sys.argv[1]), checked=True)
print("alive")
"""


def test_a_full_disk_keeps_the_old_weights_and_the_process(tmp_path):
    path = tmp_path / "a.weights.h5"
    run = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True)
    assert run.returncode == 0 and "Traceback" not in run.stderr, run.stderr  # HDF5 itself would die of it, by 139
    assert run.stdout.splitlines() == [
        f"{path} could not be written (File too large): what was there before is kept. Free some space or change the "
        "permissions, and give the same command again",
        "alive",
    ]
    assert sorted(tmp_path.iterdir()) == [path, files.checksums(path)]


# ---------------------------------------------------------------------- tables and arrays


def mutated(raw, random):
    """Bytes with a bit flipped, some overwritten, put in or taken out, or the end cut off."""
    raw, i, n = bytearray(raw), int(random.integers(len(raw))), int(random.integers(1, 9))
    kind = random.integers(5)
    if kind == 0:
        raw[i] ^= 1 << (n - 1)
    else:
        till = [None, i + n, i, i + n, len(raw)][kind]
        raw[i:till] = random.bytes(n) if kind < 3 else b""
    return bytes(raw)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_one_line_or_the_same_arrays(save, tmp_path):
    random, path = np.random.default_rng(0), tmp_path / "a.npz"
    arrays = {"z": np.arange(20, dtype=np.float32).reshape(5, 4), "labels": np.int16([1, 2, -1])}
    save(path, **arrays, more=np.zeros(3, np.uint8))
    assert list(files.read_npz(path)) == ["z", "labels", "more"]
    raw, refused = path.read_bytes(), 0
    shorter = raw.replace(b"(5, 4)", b"(1, 4)")  # a shape that NumPy believes
    for content in [shorter, b"", b"\x93NUMPY", *(mutated(raw, random) for _ in range(1000))]:
        path.write_bytes(content)
        try:
            found = files.read_npz(path, arrays)
        except ValueError as error:
            assert str(error).startswith(f"{path} is missing or damaged (") and "\n" not in str(error)
            refused += 1
        else:
            for name, array in arrays.items():
                np.testing.assert_array_equal(found[name], array, strict=True)
    assert refused > 700


def test_an_npz_of_other_arrays_or_of_pickled_ones_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(3))
    assert files.read_npz(path, ["a"])["a"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=f"^{path} is missing or damaged .expected arrays b, c"):
        files.read_npz(path, ["a", "b", "c"])
    np.savez(path, a=np.arange(3), b=np.array([{}], object))
    for names in ([], ["a"], ["b"]):
        with pytest.raises(ValueError, match=f"^{path} is missing or damaged"):
            files.read_npz(path, names)
    with pytest.raises(ValueError, match="none.npz is missing or damaged"):
        files.read_npz(tmp_path / "none.npz", ["a"])


def test_a_csv_is_read_to_the_last_bit(tmp_path):
    path, random = tmp_path / "history.csv", np.random.default_rng(0)
    frame = pd.DataFrame({"epoch": range(500), "loss": random.random(500), "of": "a", "late": [np.nan, *range(499)]})
    frame.to_csv(path, index=False)
    found = files.read_csv(path, ["loss", "epoch", "late"])
    pd.testing.assert_frame_equal(found, frame[["loss", "epoch", "late"]], check_exact=True)
    with pytest.raises(ValueError, match="could not convert string to float: 'a'"):
        files.read_csv(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "one column each for epoch, loss"),
        ("epoch,lass\n1,2\n", "one column each for loss"),
        ("epoch,loss,loss\n1,2,3\n", "one column each for loss"),
        ("epoch,loss\n", "rows of 2 cells"),
        ("epoch,loss\n1,2\n3\n", "rows of 2 cells"),
        ("epoch,loss\n1,2\n3,4,5\n", "rows of 2 cells"),
        ("epoch,loss\n1,2\n\n", "rows of 2 cells"),
        ("epoch,loss\n1,2\n3,4.56", "last line that ends"),
        ("epoch,loss\n1,two\n", "could not convert string to float: 'two'"),
        ('epoch,loss\n1,"2\n', "unexpected end of data"),
        (None, "No such file"),
    ],
)
def test_a_damaged_csv_is_one_line(text, reason, tmp_path):
    path = tmp_path / "curve.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{path} is missing or damaged \(.*{reason}.*\): restore it from git, or"):
        files.read_csv(path, ["epoch", "loss"])


def test_whatever_befalls_a_csv_is_one_line_or_numbers(tmp_path):
    random, path = np.random.default_rng(0), tmp_path / "curve.csv"
    pd.DataFrame({"epoch": range(9), "loss": random.random(9)}).to_csv(path, index=False)
    raw, refused = path.read_bytes(), 0
    for _ in range(1000):
        path.write_bytes(mutated(raw, random))
        try:
            found = files.read_csv(path, ["epoch", "loss"])
            assert {str(kind) for kind in found.dtypes} <= {"int64", "float64"}
        except ValueError as error:
            assert str(error).startswith(f"{path} is missing or damaged (") and "\n" not in str(error)
            refused += 1
    assert refused > 500


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "{", '{"a": NaN', "\udcff"])
def test_json_that_holds_no_object_is_one_line(text, tmp_path):
    path = tmp_path / "fit.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=f"^{path} is missing or damaged"):
        files.read_json(path)
    files.write_json(path, {"a": 1})
    assert files.read_json(path) == json.loads(path.read_text()) == {"a": 1}
