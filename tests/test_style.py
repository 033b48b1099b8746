"""What all figures share: any name can be written, and powers of ten stay powers of ten."""

import hashlib

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from deepcluster_tf.figures import style

NAMES = ["cost $5", "a$b$", "$", "$$", r"$\frac$", "a_b^c", "a\\b", r"\$5", "two\nlines", "{}%&#~", "猫", "x" * 250]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_drawn(name, tmp_path):
    rows = {name: np.zeros((2, 8, 8, 1), np.uint8), "other": np.zeros((2, 8, 8, 3), np.uint8)}
    style.rows_of_images(rows, f"of {name} and {name}", tmp_path / "rows.png", {name: [name, name]})
    axes = plt.subplots(layout="constrained")[1]
    style.confusion_matrix(axes, np.eye(2, dtype=int), [name, name])
    axes.plot([0, 1], [0, 1], label=name)
    axes.legend(title=name)
    axes.figure.legend(loc="outside lower center", title=name)
    style.save(axes.figure, tmp_path / "confusion.png")
    assert all((tmp_path / f).read_bytes().startswith(b"\x89PNG") for f in ("rows.png", "confusion.png"))


def test_a_dollar_is_drawn_and_not_taken_for_mathematics(tmp_path):
    """ "$b$" as mathematics would be an italic b."""

    def drawn(name, math):
        figure = plt.figure()
        figure.text(0.5, 0.5, name)
        if math:
            figure.savefig(tmp_path / "drawn.png", dpi=150, metadata={"Software": None})
        else:
            style.save(figure, tmp_path / "drawn.png")
        return hashlib.sha256((tmp_path / "drawn.png").read_bytes()).hexdigest()

    assert drawn("$b$", math=False) == drawn(r"\$b\$", math=True) != drawn("$b$", math=True)


@pytest.mark.parametrize("scales", [{"xscale": "log"}, {"yscale": "log"}, {"xscale": "log", "yscale": "log"}, {}])
def test_powers_of_ten_at_an_axis_stay_what_they_are(scales, tmp_path):
    def figure():
        figure, axes = plt.subplots(layout="constrained")
        axes.plot([1, 30, 4000], [0.01, 0.5, 3])
        axes.set(**scales)
        return figure

    figure().savefig(tmp_path / "usual.png", dpi=150, metadata={"Software": None})
    style.save(figure(), tmp_path / "ours.png")
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "usual.png").read_bytes()
    assert matplotlib.rcParams["text.parse_math"]
