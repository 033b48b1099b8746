"""What all figures share: colours that stay apart, any name can be written, powers of ten stay powers of ten."""

import hashlib

import colorspacious
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from deepcluster_tf.reporting.figures import style

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


def seen(colours, by):
    """Colours in CAM02-UCS, as a reader sees them."""
    rgb = [matplotlib.colors.to_rgb(colour) for colour in colours]
    if by != "normal":
        blind = {"name": "sRGB1+CVD", "cvd_type": by, "severity": 100}
        rgb = np.clip(colorspacious.cspace_convert(rgb, blind, "sRGB1"), 0, 1)
    return colorspacious.cspace_convert(rgb, "sRGB1", "CAM02-UCS")


@pytest.mark.parametrize("by", ["normal", "deuteranomaly", "protanomaly", "tritanomaly"])
def test_colours_stay_apart_for_every_reader(by):
    found = seen([*style.COLOURS, "white"], by)
    distances = [np.linalg.norm(a - b) for i, a in enumerate(found) for b in found[:i]]
    assert len(style.COLOURS) == 10 and min(distances) >= 20.5
    lines = seen(style.LINES, by)
    assert len(lines) == 8 and (lines[:, 0] < 82).all()  # lightness, beside 100 of the paper


@pytest.mark.parametrize("n", [1, 3, 8, 9, 20])
def test_no_two_lines_look_alike_and_a_later_one_is_thinner(n):
    found = style.looks(n)
    widths = [look["lw"] for look in found]
    assert len(found) == n and widths == sorted(widths, reverse=True)
    assert len({(look["color"], look["marker"], look["lw"]) for look in found}) == n
    assert len({look["marker"] for look in found}) == len({look["color"] for look in found}) == min(n, 8)
    assert not any("markevery" in look for look in found)  # of a few points, each is marked
    assert len({look["markevery"] for look in style.looks(n, dense=True)}) == n


def test_a_map_names_its_classes_where_their_points_are():
    axes = plt.subplots()[1]
    points = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0), np.full((50, 2), 9.0)]) + np.eye(2)[0] * 0.01
    points += np.random.default_rng(0).normal(scale=0.01, size=points.shape)
    style.scatter(axes, points, np.repeat([0, 1, 3], 50), ("a", "b", "c", "d"), size=1)
    (a, b, d) = axes.texts
    assert [text.get_text() for text in axes.texts] == ["a", "b", "d"]
    np.testing.assert_allclose([a.get_position(), b.get_position()], [[0, 0], [9, 9]], atol=0.1)
    assert d.get_position()[1] - b.get_position()[1] > 0.4  # not on one another
    plt.close(axes.figure)


def test_a_frame_is_around_a_hit_alone(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(style, "save", lambda figure, path: drawn.append(figure))
    images = np.zeros((3, 8, 8, 1), np.uint8)
    style.rows_of_images({"one": images, "other": images}, "", tmp_path, framed={"one": [False, True, False]})
    assert [axes.spines["top"].get_visible() for axes in drawn[0].axes] == [False, True, *[False] * 4]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_figure_drawn_twice_is_the_same_file(kind, tmp_path, monkeypatch):
    from deepcluster_tf.reporting import figures

    def write(table, folder, root):
        axes = plt.subplots(layout="constrained")[1]
        axes.plot([0, 1], [0, 1], label="$5")
        axes.legend()
        return [style.save(axes.figure, folder / "one.png")]

    for module in {f"deepcluster_tf.reporting.figures.{table.kind}" for table in figures.TABLES.values()}:
        monkeypatch.setattr(f"{module}.write", write)
    first = {path: path.read_bytes() for path in figures.write_all(tmp_path, kind)}
    assert set(first) == {tmp_path / "figures" / f"one.{kind}"}
    assert {path: path.read_bytes() for path in figures.write_all(tmp_path, kind)} == first
    assert plt.rcParams["savefig.format"] == "png"
