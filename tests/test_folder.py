"""The user's own images, read from a folder."""

from __future__ import annotations

import errno
import io
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from deepcluster_tf import datasets, machine
from deepcluster_tf.datasets import folder, reading

ROOT = pathlib.Path(__file__).parents[1]


def picture(path, value, size=(8, 8), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def flat(tmp_path):
    for i, name in enumerate(["c.png", "a.bmp", "b.GIF", "B.webp"]):
        picture(tmp_path / "flat" / name, 10 * i)
    return tmp_path / "flat"


@pytest.fixture
def classes(tmp_path):
    for i, name in enumerate(["dog/2.png", "cat/9.png", "cat/10.png", "dog/1.png"]):
        picture(tmp_path / "pets" / name, (10 * i, 0, 255), (12, 20), "RGB")
    return tmp_path / "pets"


def test_flat_folder_in_sorted_order(flat, monkeypatch):
    listing = pathlib.Path.iterdir
    for seed in range(3):  # whatever the file system gives

        def shuffled(path, seed=seed):
            return iter(random.Random(seed).sample(entries := list(listing(path)), len(entries)))

        monkeypatch.setattr(pathlib.Path, "iterdir", shuffled)
        ds = datasets.load_folder(flat, size=8)
        assert ds.images[:, 0, 0, 0].tolist() == [30, 10, 20, 0]  # B.webp, a.bmp, b.GIF, c.png
    assert ds.files == ("B.webp", "a.bmp", "b.GIF", "c.png")
    assert ds.images.shape == (4, 8, 8, 1) and ds.images.dtype == np.uint8
    assert ds.labels.tolist() == [-1] * 4 and ds.labels.dtype == np.int64 and ds.class_names == ()
    assert ds.name == "flat" and ds.source == f"the folder {flat}"
    assert len(ds.labels[ds.train]) == 4 and len(ds.labels[ds.test]) == 0


def test_one_sub_folder_a_class(classes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = datasets.load_folder(str(classes))
    assert ds.images.shape == (4, 32, 32, 3) and ds.class_names == ("cat", "dog")
    assert ds.labels.tolist() == [0, 0, 1, 1] and ds.files == ("cat/10.png", "cat/9.png", "dog/1.png", "dog/2.png")
    assert ds.images[:, 5, 5].tolist() == [[20, 0, 255], [10, 0, 255], [30, 0, 255], [0, 0, 255]]


def test_channels(flat, classes):
    assert datasets.load_folder(classes, grayscale=True).images.shape == (4, 32, 32, 1)
    assert datasets.load_folder(flat, grayscale=True, size=12).images.shape == (4, 12, 12, 1)
    picture(flat / "colour.jpg", (255, 0, 0), mode="RGB")
    assert datasets.load_folder(flat).images.shape == (5, 32, 32, 3)


def test_depth_orientation_and_transparency(tmp_path):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "1-deep.png")
    upright = Image.new("L", (8, 8), 0)
    upright.paste(255, (0, 0, 8, 4))  # white at the top, once it is turned by a half
    exif = Image.Exif()
    exif[274] = 3
    upright.save(tmp_path / "2-turned.png", exif=exif)
    picture(tmp_path / "3-clear.png", (7, 7, 7, 0), mode="RGBA")
    images = datasets.load_folder(tmp_path, size=8).images[..., 0]
    assert (images[0] == 40_000 >> 8).all()
    assert (images[1, :4] == 0).all() and (images[1, 4:] == 255).all()
    assert (images[2] == 7).all()


def test_skipped_files_are_counted_in_one_warning(classes):
    (classes / "notes.txt").write_text("not an image")
    (classes / ".DS_Store").write_text("hidden")
    (classes / "empty").mkdir()
    (classes / ".thumbnails").mkdir()
    (classes / "cat" / "Thumbs.db").write_text("other")
    picture(classes / "cat" / "deeper" / "1.png", 0)
    with pytest.warns(UserWarning) as caught:
        ds = datasets.load_folder(classes)
    assert len(caught) == 1 and "skipped 6 " in str(caught[0].message) and caught[0].filename == __file__
    assert len(ds.images) == 4 and ds.class_names == ("cat", "dog")


def refused(path, **settings) -> str:
    with pytest.raises(datasets.DataError) as error:
        datasets.load_folder(path, **settings)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("size", [0, 4, 7, 30, -8, 8.0, "32", True])
def test_folder_refuses_a_size(flat, size):
    assert "multiple of 4 and at least 8" in refused(flat, size=size)


def test_folder_refuses_what_is_no_folder_of_images(flat, tmp_path):
    assert "which is none" in refused(tmp_path / "absent") and "which is none" in refused(flat / "c.png")
    (tmp_path / "empty").mkdir()
    assert "received no images" in refused(tmp_path / "empty")
    picture(tmp_path / "single" / "1.png", 0)
    assert "at least 2 images" in refused(tmp_path / "single") and "received 1" in refused(tmp_path / "single")
    picture(flat / "class" / "1.png", 0)
    assert "received both (B.webp, class/...)" in refused(flat)


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "text.png", "nothing.gif"])
def test_folder_names_a_broken_image(flat, name):
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(
        whole, "JPEG" if name.endswith("jpg") else "PNG"
    )
    content = {"text.png": b"not an image", "nothing.gif": b""}.get(name, whole.getvalue()[:1500])
    (flat / name).write_bytes(content)
    message = refused(flat, broken="refuse")
    assert str(flat / name) in message and "replace or remove" in message
    with pytest.warns(UserWarning, match=f"passed over 1 of 5 images, which cannot be read: .*{name}"):
        found = datasets.load_folder(flat)
    assert name not in found.files and len(found.images) == len(found.labels) == 4


def test_a_class_of_which_no_image_can_be_read_is_none(classes):
    picture(classes / "eel" / "1.png", 9)
    for file in (classes / "dog").iterdir():
        file.write_text("none")
    with pytest.warns(UserWarning, match="passed over 2 of 5 images"):
        found = datasets.load_folder(classes, size=8, progress=False)
    assert found.class_names == ("cat", "eel") and found.labels.tolist() == [0, 0, 1]
    assert found.files == ("cat/10.png", "cat/9.png", "eel/1.png")


def test_one_image_that_can_be_read_is_too_few(tmp_path):
    picture(tmp_path / "a.png", 0)
    (tmp_path / "b.png").write_text("none")
    assert "at least 2 images" in refused(tmp_path) and "that can be read, received 1" in refused(tmp_path)


def test_a_jpeg_is_read_at_a_smaller_scale_and_looks_the_same(tmp_path):
    """Smooth pictures, in a noise that no scale keeps: within two grey levels of the whole one, resized."""
    x, y = np.meshgrid(np.linspace(0, 1, 1600), np.linspace(0, 1, 1200))
    whole = np.uint8(255 * np.stack([x, y, (x + y) / 2], axis=-1))
    Image.fromarray(whole).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        image.draft(None, (64, 64))
        assert image.size == (200, 150)  # an eighth
    found = reading.decode(tmp_path / "a.jpg", (32, 32, 3))
    expected = np.asarray(Image.fromarray(whole).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_what_takes_long_to_read_is_kept_until_a_file_changes(flat, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = lambda: sorted((tmp_path / "cache").rglob("*.npz"))
    first = datasets.load_folder(flat, size=8)
    assert not kept()  # it was quick
    monkeypatch.setattr(reading, "SLOW", -1.0)
    (flat / "z.png").write_text("none")
    with pytest.warns(UserWarning, match="passed over 1 of 5"):
        datasets.load_folder(flat, size=8)
    assert len(kept()) == 1
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="passed over 1 of 5"):
        patch.setattr(reading, "load_image", lambda *_: pytest.fail("read"))
        again = datasets.load_folder(flat, size=8)
    np.testing.assert_array_equal(again.images, first.images)
    (flat / "z.png").unlink()
    picture(flat / "c.png", 255)
    changed = datasets.load_folder(flat, size=8)
    assert (changed.images != first.images).any() and len(kept()) == 1  # what was there before is gone
    whole = kept()[0].read_bytes()
    rows = whole.index(b"(4,")  # of the shape, in the head of the array
    for damaged in (b"PK damaged", whole[:rows] + b"(2," + whole[rows + 3 :], whole[:4] + b"\xff" * 8 + whole[12:]):
        kept()[0].write_bytes(damaged)
        np.testing.assert_array_equal(datasets.load_folder(flat, size=np.int64(8)).images, changed.images)


@pytest.mark.parametrize("at", ["file", "class", "folder"])
def test_folder_refuses_a_name_that_is_not_utf8_before_reading(flat, classes, at, monkeypatch):
    monkeypatch.setattr(reading, "load_image", lambda *_: pytest.fail("read"))
    odd = os.fsdecode(b"caf\xe9.png")
    if at == "folder":
        path = flat.rename(flat.with_name(odd))
    elif at == "class":
        path = (classes / "cat").rename(classes / odd).parent
    else:
        path = flat
        shutil.copy(flat / "c.png", flat / odd)
    message = refused(path)
    assert r"caf\xe9.png" in message and message.endswith("; rename it") and message.encode()


def test_a_name_that_is_not_utf8_may_be_that_of_another_file(flat):
    (flat / os.fsdecode(b"\xe9.txt")).write_text("no image")
    (flat / "é 猫 $.png").write_bytes((flat / "c.png").read_bytes())
    with pytest.warns(UserWarning, match="skipped 1"):
        assert datasets.load_folder(flat, size=8).files == ("B.webp", "a.bmp", "b.GIF", "c.png", "é 猫 $.png")


@pytest.mark.parametrize(
    ("there", "size", "fits"),
    # 4 images of 1024x1024: 200 bytes a pixel while a network learns from them, beside 700 MiB of TensorFlow itself
    [
        (4 * 1024**2 * 200 + 700 * 2**20, 1024, True),
        (4 * 1024**2 * 200 + 700 * 2**20 - 1, 1024, False),
        (2**33, 4096, False),
        (2**33, 32, True),
    ],
)
def test_images_that_do_not_fit_are_refused_before_reading(flat, there, size, fits, monkeypatch):
    monkeypatch.setattr(folder, "memory", lambda: there)
    if fits:
        assert datasets.load_folder(flat, size=size).images.shape == (4, size, size, 1)
        return
    monkeypatch.setattr(reading, "load_image", lambda *_: pytest.fail("read"))
    message = refused(flat, size=size)
    assert f"received images of {size}x{size}" in message and f"{there / 2**30:.1f} GiB are there" in message
    assert message.endswith("choose a smaller SIZE, or a smaller BATCH where the method has one")


def test_the_batch_of_the_method_is_what_has_to_fit(flat, monkeypatch):
    """As DCEC with its 256 images a step did not, of 224x224 under 3 GiB: the kernel killed it."""
    monkeypatch.setattr(reading, "load_image", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(folder, "memory", lambda: 700 * 2**20 + 3 * 1024**2 * 200)
    assert "to learn from 4 at a time" in refused(flat, size=1024, batch_size=256)
    with pytest.raises(pytest.fail.Exception, match="read"):
        datasets.load_folder(flat, size=1024, batch_size=3)


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("", "memory.max"),  # a container that sees its own group as the top one
        ("0::/user/mine\n", "user/mine/memory.max"),
        ("0::/user/mine\n", "user/memory.max"),  # the limit of a group above
        ("4:cpu,memory:/job\n0::/\n", "memory/job/memory.limit_in_bytes"),  # the older kind
        ("4:memory:/outside/names\n", "memory/memory.limit_in_bytes"),  # ... in a container
    ],
)
def test_memory_is_what_the_control_groups_allow(groups, file, tmp_path, monkeypatch):
    whole = machine.memory()
    (tmp_path / "of-process").write_text(groups)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OF_PROCESS", tmp_path / "of-process")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    for said, allowed in (("max\n", whole), ("1048576\n", 2**20), (f"{2**62}\n", whole)):
        (tmp_path / file).write_text(said)
        assert machine.memory() == allowed


def test_memory_of_a_group_that_is_not_mine_is_no_limit(tmp_path, monkeypatch):
    whole = machine.memory()
    (tmp_path / "of-process").write_text("0::/user/mine\n")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OF_PROCESS", tmp_path / "of-process")
    (tmp_path / "user" / "other").mkdir(parents=True)
    (tmp_path / "user" / "other" / "memory.max").write_text("1")
    assert machine.memory() == whole


def test_memory_is_what_the_process_may_still_take(flat):
    """As after `ulimit -v`: a size that would end in a MemoryError is one line."""
    code = f"from deepcluster_tf import datasets; datasets.load_folder({str(flat)!r}, size=4096, progress=False)"
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, preexec_fn=limit)
    assert "DataError: expected batches that fit into memory, received images of 4096x4096" in done.stderr


def test_images_too_many_for_the_memory_are_mapped_from_the_cache(flat, monkeypatch, tmp_path, capsys):
    held = datasets.load_folder(flat, size=8)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "LARGE", 0.0)
    (flat / "broken.png").write_text("none")
    place = tmp_path / "cache" / "deepcluster_tf" / "folders"
    place.mkdir(parents=True)
    for again in (False, True):
        if again:
            monkeypatch.setattr(reading, "load_image", lambda *_: pytest.fail("read"))
        with pytest.warns(UserWarning, match="passed over 1 of 5"):
            found = datasets.load_folder(flat, size=8)
        assert isinstance(found.images, np.memmap) and found.files == held.files
        np.testing.assert_array_equal(found.images, held.images)
        assert sorted(path.suffix for path in place.iterdir()) == [".npy", ".npz"]
    assert f"they go to {place}, and are read from there" in capsys.readouterr().err


def test_what_a_killed_process_began_to_write_is_removed(flat, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "LARGE", 0.0)
    datasets.load_folder(flat, size=8)
    kept = next((tmp_path / "cache").rglob("*.npy"))
    dead = subprocess.Popen(["true"])
    dead.wait()
    parts = [kept.with_name(f"part-{pid}-{kept.name}") for pid in (dead.pid, os.getppid())]
    for part in parts:
        part.write_bytes(b"half")
    kept.unlink()  # so that it is read anew
    datasets.load_folder(flat, size=8)
    assert kept.exists() and [part.exists() for part in parts] == [False, True]


def test_a_disk_that_fills_up_after_the_look_is_one_line(flat, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "LARGE", 0.0)

    def full(*_, **of):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module, name in ((os, "posix_fallocate"), (np, "savez")):  # the images, and what is known of them
        with monkeypatch.context() as patch, pytest.raises(OSError, match="could not be written .No space") as refused:
            patch.setattr(module, name, full)
            datasets.load_folder(flat, size=8)
        assert str(tmp_path / "cache") in str(refused.value) and "\n" not in str(refused.value)
        assert list((tmp_path / "cache" / "deepcluster_tf" / "folders").iterdir()) == []
    assert len(datasets.load_folder(flat, size=8).images) == 4


def test_images_that_the_disk_cannot_hold_are_refused_before_reading(flat, monkeypatch):
    monkeypatch.setattr(machine, "LARGE", 0.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 999, 1))
    monkeypatch.setattr(reading, "load_image", lambda *_: pytest.fail("read"))
    assert "fit into memory or on the disk" in refused(flat, size=8)
