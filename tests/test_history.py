"""What a fit keeps beside its checkpoint: the history, and the claim on its folder."""

import json

import numpy as np
import pandas as pd
import pytest

from deepcluster_tf import fitting
from deepcluster_tf.fitting import checkpoints

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 1), np.uint8)


# History


def recorded(path, *iterations):
    history, rng = fitting.History(path), np.random.default_rng(0)
    for iteration in iterations:
        history.add(
            {"iteration": iteration, "loss": rng.random(dtype=np.float32), "ari": rng.random(), "n": np.int64(7)}
        )
    return history


def test_history_is_taken_up_where_the_checkpoint_stands(tmp_path):
    """The file may be ahead of the checkpoint: no epoch may stand in it twice."""
    path = tmp_path / "history.csv"
    written = recorded(path, *range(0, 1400, 14)).rows
    history = fitting.History(path, done=1190)
    assert history.rows == written[:86]  # to the last bit
    history.add({"iteration": 1204, "loss": 0.5})
    assert pd.read_csv(path)["iteration"].tolist() == list(range(0, 1205, 14))
    assert fitting.History(path, done=1190).rows == written[:86]


def test_history_starts_anew_where_nothing_was_done(tmp_path):
    path = tmp_path / "history.csv"
    recorded(path, 0, 140)
    assert fitting.History(path, done=0).rows == fitting.History(None, 140).rows == []
    assert fitting.History(tmp_path / "none.csv", done=140).rows == []


def test_history_holds_plain_numbers_and_seconds(tmp_path):
    row = recorded(None, 5).rows[0]
    assert {type(value) for value in row.values()} == {int, float}
    assert 0 <= row["seconds"] < 60
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_history_whole(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    history = recorded(path, 0, 140)
    before = path.read_bytes()
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda self, part, **_: part.write_text("half a li") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        history.add({"epoch": 2, "iteration": 280})
    assert path.read_bytes() == before


# Claims


def test_a_folder_is_claimed_again_by_the_same_fit(tmp_path):
    for _ in range(2):
        checkpoints.claim(tmp_path / "a" / "fit", {"filters": (32, 64), "lam": 0.1, "seed": 0}, images=IMAGES)
    assert json.loads((tmp_path / "a" / "fit" / "fit.json").read_text())["filters"] == [32, 64]
    assert sorted(path.name for path in (tmp_path / "a" / "fit").iterdir()) == ["fit.json", "fit.json.sha256"]


@pytest.mark.parametrize(
    ("settings", "images", "differs"),
    [
        ({"lam": 0.5, "seed": 0}, IMAGES, "lam"),
        ({"lam": 0.5, "seed": 1}, IMAGES, "lam, seed"),
        ({"lam": 1.0}, IMAGES, "seed"),
        ({"lam": 1.0, "seed": 0, "new": 3}, IMAGES, "new"),
        ({"lam": 1.0, "seed": 0}, IMAGES[::-1], "images"),
        ({"lam": 1.0, "seed": 0}, IMAGES[:9], "images"),
        ({"lam": 1.0, "seed": 0}, IMAGES.reshape(10, 1, 4, 1), "images"),  # the same bytes, other images
        ({"lam": 1.0, "seed": 0}, None, "images"),
    ],
)
def test_a_claimed_folder_refuses_another_fit(settings, images, differs, tmp_path):
    checkpoints.claim(tmp_path, {"lam": 1.0, "seed": 0}, images=IMAGES)
    before = (tmp_path / "fit.json").read_bytes()
    with pytest.raises(
        ValueError, match=f"holds the fit of other {differs}: expected a new folder or the same settings"
    ):
        checkpoints.claim(tmp_path, settings, **({} if images is None else {"images": images}))
    assert (tmp_path / "fit.json").read_bytes() == before
