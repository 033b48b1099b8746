"""A setting, declared once: its type, default, range and one line of help stand at the field that holds it.

A class of settings is a keyword-only dataclass that derives from `Settings`; each of its fields is a call of `setting`.
The checks, the command line, the help and the names of runs all follow from these calls. `read` takes them out of the
source, so that a Python without any package can list them.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import math
import numbers
import operator
from dataclasses import dataclass
from pathlib import Path

YES_AND_NO = {"1": True, "0": False}


@dataclass(frozen=True)
class Setting:
    """What is known of one setting.

    Attributes:
        name: of the field; on the command line, of the variable.
        kind: "int", "float", "str", "bool", "tuple[int, ...]" or "tuple[str, ...]"; "str" may be None by default.
        default: the paper's value.
        help: one line.
        low, high: the range of a number, or of the numbers of a tuple, ends included; None for no end.
        below: an end that is not included.
        choices: of a word; () for any.
        word: what may stand in the place of a number on the command line, and is left to who reads it; "" for nothing.
    """

    name: str
    kind: str
    default: object
    help: str
    low: float | None = None
    high: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    word: str = ""

    def renamed(self, name: str, **changed) -> Setting:
        """The same under another name, such as its variable's."""
        return dataclasses.replace(self, name=name, **changed)

    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return " or ".join(self.choices)
        if self.kind == "bool":
            return "0 or 1"
        if self.kind == "str":
            return "a word"
        if self.kind == "tuple[str, ...]":
            return "words, with commas between them"
        if self.below is not None:
            return f"a fraction in [{self.low:g}, {self.below:g}), such as 0.01 for 1 %"
        between = f" of {self.low:g} or more" if self.high is None else f" from {self.low:g} to {self.high:.10g}"
        if self.kind == "tuple[int, ...]":
            return f"whole numbers{between}, at least one"
        return ("a whole number" if self.kind == "int" else "a number") + between + (self.word and f", or {self.word}")

    def allows(self, value: object) -> bool:
        """Whether a value has the type and lies in the range."""
        if self.kind.startswith("tuple"):
            one = dataclasses.replace(self, kind=self.kind[6:-6])
            some = isinstance(value, (tuple, list)) and (len(value) > 0 or self.kind == "tuple[str, ...]")
            return some and all(map(one.allows, value))
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "str":
            known = isinstance(value, str) and (value in self.choices or not self.choices)
            return known or (value is None and self.default is None)
        if value is None and self.default is None:
            return True
        if isinstance(value, bool) or not isinstance(value, numbers.Integral if self.kind == "int" else numbers.Real):
            return False
        least = self.low is None or self.low <= value
        most = (self.high is None or value <= self.high) and (self.below is None or value < self.below)
        return least and most and abs(value) < float("inf")  # a NaN is in no range

    def check(self, value: object) -> None:
        """Refuse a value of another type or out of range.

        Raises:
            ValueError: with what was expected and what was received.
        """
        if not self.allows(value):
            raise ValueError(f"{self.name} must be {self.expected()}; received {value!r}")

    def parse(self, text: str) -> object:
        """The value that a text of the command line stands for; a ValueError if it is none, or out of range."""
        if self.word and text == self.word:
            return text
        try:
            value = _PARSERS[self.kind](text)
        except (ValueError, KeyError, OverflowError):
            raise ValueError(f"{self.name} must be {self.expected()}; received {text!r}") from None
        value = plain(value)
        self.check(value)
        return value

    def say(self, value: object) -> str:
        """A value as the command line takes it: what `parse` reads."""
        if isinstance(value, (tuple, list)):
            return ",".join(map(self.say, value))
        if isinstance(value, bool):
            return str(int(value))
        return str(value).removesuffix(".0") if isinstance(value, float) else str(value)  # which reads back the same


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


_PARSERS = {
    "int": int,
    "float": float,
    "str": str,
    "bool": YES_AND_NO.__getitem__,
    "tuple[int, ...]": lambda text: tuple(int(number) for number in text.split(",")),
    "tuple[str, ...]": _words,
}


def plain(value: object) -> object:
    """A value of Python's own: numbers and arrays of NumPy, -0.0 and lists become int, float, 0.0 and tuples."""
    if getattr(value, "shape", ()) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        ours = tuple(map(plain, value))
        same = isinstance(value, tuple) and all(map(operator.is_, ours, value))
        return value if same else ours  # the same object: scikit-learn's `clone` looks
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    return 0.0 if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0 else value


def setting(
    default: object,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
):
    """A dataclass field that is a setting; all arguments are plain values, as `read` needs them.

    Args:
        default: the paper's value.
        help: one line.
        low, high, below, choices: as `Setting` has them.
    """
    about = {"help": help, "low": low, "high": high, "below": below, "choices": choices}
    return dataclasses.field(default=default, metadata=about)


class Settings:
    """Base of what has settings: by name, and checked."""

    @classmethod
    def declared(cls) -> dict[str, Setting]:
        """Its settings by name, in the order in which they are declared."""
        fields = [f for f in dataclasses.fields(cls) if "help" in f.metadata]
        return {f.name: Setting(f.name, f.type, f.default, **f.metadata) for f in fields}

    @classmethod
    def defaults(cls) -> dict:
        """The settings and their values in the paper."""
        return {name: setting.default for name, setting in cls.declared().items()}

    def get_settings(self) -> dict:
        """All settings by name."""
        return {name: getattr(self, name) for name in self.declared()}

    def __post_init__(self):
        for name in self.declared():
            given = getattr(self, name)
            if (value := plain(given)) is not given:
                setattr(self, name, value)

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        self.__post_init__()  # `set_params` and whoever sets an attribute leave them as they were given
        for name, setting in self.declared().items():
            setting.check(getattr(self, name))

    def _require_at_most(self, name: str, high: float) -> None:
        """Refuse a setting above what the data allow."""
        dataclasses.replace(self.declared()[name], high=high).check(getattr(self, name))


@functools.cache
def read(path: Path, class_name: str) -> dict[str, Setting]:
    """The settings that a class declares, out of its file's source: nothing is imported.

    Args:
        path: a Python file.
        class_name: of a class in it.

    Returns:
        the same as the class's `declared()`.

    Raises:
        ValueError: there is no such class, or a field is not declared by plain values.
    """
    module = ast.parse(path.read_text(encoding="utf-8"))
    body = next((node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == class_name), None)
    if body is None:
        raise ValueError(f"{path} has no class {class_name}: expected one with the settings of an experiment")
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.value or node).startswith("setting("):
            try:
                default, help = map(ast.literal_eval, node.value.args)
                about = {each.arg: ast.literal_eval(each.value) for each in node.value.keywords}
            except ValueError:
                raise ValueError(
                    f"{path}, line {node.lineno}: expected setting(default, help, ...) of plain values"
                ) from None
            found[node.target.id] = Setting(node.target.id, ast.unparse(node.annotation), default, help, **about)
    return found
