"""A setting is checked, parsed, said and read out of the source by one declaration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deepcluster_tf import settings
from deepcluster_tf.settings import Setting, Settings, setting


@dataclass(kw_only=True, eq=False)
class Some(Settings):
    """One of each kind."""

    count: int = setting(3, "a count", low=2, high=9)
    share: float = setting(0.5, "a share", low=0, below=1)
    weight: float = setting(1.0, "a weight", low=0)
    way: str = setting("one", "a way", choices=("one", "two"))
    path: str = setting(None, "a path")
    quick: bool = setting(False, "a switch")
    filters: tuple[int, ...] = setting((1, 2), "some numbers", low=1)
    names: tuple[str, ...] = setting((), "some words")


SOME = Some.declared()


def test_an_array_is_a_tuple_however_it_is_set():
    made, set_later = Some(filters=np.array([3, 4]), names=np.array(["a"])), Some()
    set_later.filters, set_later.count = np.array([3, 4]), np.int64(5)
    set_later.check_settings()
    assert made.filters == set_later.filters == (3, 4) and made.names == ("a",)
    assert [type(each) for each in (set_later.filters, set_later.filters[0], set_later.count)] == [tuple, int, int]


@pytest.mark.parametrize("given", [np.array([0.5, 1]), np.array([[1], [2]]), np.zeros(0, int), np.array([0])])
@pytest.mark.parametrize("name", ["filters", "way", "count", "path", "quick"])
def test_an_array_that_does_not_fit_is_one_line(name, given):
    some = Some()
    setattr(some, name, given)
    with pytest.raises(ValueError, match=f"^{name} must be .*; received [^\\n]*$"):
        some.check_settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "2", 2),
        ("count", "9", 9),
        ("share", "0", 0.0),
        ("share", "1e-3", 0.001),
        ("weight", "7", 7.0),
        ("way", "two", "two"),
        ("path", "a $5 b", "a $5 b"),
        ("quick", "1", True),
        ("filters", "8", (8,)),
        ("filters", "8,16", (8, 16)),
        ("names", " a cat, dog,", ("a cat", "dog")),
    ],
)
def test_what_is_said_is_what_is_parsed(name, text, value):
    found = SOME[name].parse(text)
    assert found == value and type(found) is type(value)
    assert SOME[name].parse(SOME[name].say(found)) == found


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("count", "1", "a whole number from 2 to 9; received 1"),
        ("count", "10", "a whole number from 2 to 9; received 10"),
        ("count", "2.0", "a whole number from 2 to 9; received '2.0'"),
        ("count", "many", "a whole number from 2 to 9; received 'many'"),
        ("share", "1", r"a fraction in \[0, 1\), such as 0.01 for 1 %; received 1.0"),
        ("share", "nan", r"a fraction in \[0, 1\), .*received nan"),
        ("weight", "inf", "a number of 0 or more; received inf"),
        ("weight", "-0.1", "a number of 0 or more; received -0.1"),
        ("way", "three", "one or two; received 'three'"),
        ("quick", "yes", "0 or 1; received 'yes'"),
        ("filters", "", "whole numbers of 1 or more, at least one; received ''"),
        ("filters", "8,0", r"whole numbers of 1 or more, at least one; received \(8, 0\)"),
        ("filters", "8,x", "whole numbers of 1 or more, at least one; received '8,x'"),
    ],
)
def test_a_text_that_is_no_value_is_refused(name, text, expected):
    with pytest.raises(ValueError, match=f"^{name} must be {expected}"):
        SOME[name].parse(text)


@pytest.mark.parametrize(
    "given",
    [
        {"count": True},
        {"count": 2.0},
        {"count": np.array([3])},
        {"share": None},
        {"weight": "1"},
        {"way": None},
        {"path": 3},
        {"quick": 1},
        {"filters": None},
        {"filters": ()},
        {"filters": (1.5,)},
    ],
)
def test_a_value_of_another_type_is_refused(given):
    with pytest.raises(ValueError, match=f"^{next(iter(given))} must be .*; received"):
        Some(**given).check_settings()


def test_numbers_of_numpy_and_minus_zero_become_pythons():
    some = Some(count=np.int64(3), share=np.float32(0.5), weight=-0.0, filters=[np.int32(4), 5])
    some.check_settings()
    assert [type(value) for value in (some.count, some.share)] == [int, float] and str(some.weight) == "0.0"
    assert some.filters == (4, 5) and str(SOME["share"].parse("-0.0")) == "0.0"


def test_what_was_given_is_kept_as_the_same_object():
    """scikit-learn's `clone` looks."""
    filters, share = (3, 4), 0.25
    some = Some(filters=filters, share=share)
    assert some.filters is filters and some.share is share


def test_settings_are_read_out_of_the_source_as_they_are():
    assert settings.read(Path(__file__), "Some") == SOME
    assert SOME["count"] == Setting("count", "int", 3, "a count", low=2, high=9)


def test_a_source_that_cannot_be_read_is_refused(tmp_path):
    source = tmp_path / "toy.py"
    source.write_text("class Toy:\n    size: int = setting(2 ** 3, 'computed')\n")
    with pytest.raises(ValueError, match="toy.py, line 2: expected setting.default, help, .*of plain values"):
        settings.read(source, "Toy")
    with pytest.raises(ValueError, match="has no class Other"):
        settings.read(source, "Other")
