"""What can be declared: papers, experiments, the rows of tables. The standard library is enough to list them."""

from __future__ import annotations

import dataclasses
import importlib
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from deepcluster_tf.settings import Setting, Settings, read, setting

PACKAGE = Path(__file__).parents[1]
AUTO = "auto"  # in the place of a number of clusters


@dataclass(frozen=True)
class Paper:
    """A paper, or the like, whose method or numbers are reproduced.

    Attributes:
        name: what it is called here, as in "SDCEC, eq. 5".
        authors, title: as printed; the authors may be unnamed.
        year: as printed, or None.
        link: where it is published, or "".
        number: by which early records name it.
    """

    name: str
    title: str
    authors: str = ""
    year: int | None = None
    link: str = ""
    number: str = ""

    def cite(self) -> str:
        """Authors, title, year and link in a line."""
        said = [self.authors, self.title, str(self.year or ""), self.link]
        return ", ".join(filter(None, said))


@dataclass(kw_only=True, eq=False)
class Call(Settings):
    """How an experiment is run, whatever its method."""

    quick: bool = setting(False, "1: a first look of one to three minutes, kept out of the tables")
    force: bool = setting(False, "1: run a finished experiment again")
    strategy: str = setting("none", "mirrored: on all GPUs of the machine", choices=("none", "mirrored"))
    precision: str = setting(
        "float32", "mixed: networks compute with 16 bits, which GPUs do faster",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )  # fmt: skip
    data_dir: str = setting(None, "folder with the data set's published files; also from the environment")
    images: str = setting(None, "your own images: a flat folder, or a sub-folder a class")
    side: int = setting(32, "to which your images are resized, height and width, a multiple of 4", low=8)
    broken: str = setting("skip", "images that cannot be read: passed over, or refused", choices=("skip", "refuse"))


@dataclass(frozen=True)
class Experiment:
    """One data set, one method.

    Attributes:
        name: as in `make fashion-dcec`.
        data: a name that `datasets.load` knows; "" where the user brings a folder of images.
        method: "module:Class" under `deepcluster_tf.methods`.
        protocol: "module:Class" under `deepcluster_tf.experiments.protocols`: how it is carried out and scored.
        paper: the name of the paper whose settings it follows.
        options: what a user may name: the variable -> the setting of method, protocol or `Call`; or a tuple of the
            setting and the choices that this experiment leaves.
        settings: those that differ from the paper's, of the method or the protocol.
        quick: settings of a first look (`QUICK=1`), kept out of the tables.
        steps: a setting that counts epochs -> the training steps of a first look, and the least of the full budget on
            images of the user's own, of which there may be few. Where a user gives the setting, that holds.
        told_by: "method" or "protocol": whose module says in its first line what is done.
    """

    name: str
    data: str
    method: str
    protocol: str
    paper: str = ""
    options: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    quick: dict = field(default_factory=dict)
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    told_by: str = "method"

    def method_class(self) -> type:
        """Import and return the method's class."""
        return _class("methods", self.method)

    def protocol_class(self) -> type:
        """Import and return the protocol's class."""
        return _class("experiments.protocols", self.protocol)

    @cached_property
    def declared(self) -> dict[str, Setting]:
        """The settings of method and protocol by name, with the defaults of this experiment; nothing is imported."""
        found = {**_read("experiments/protocols", self.protocol), **_read("methods", self.method)}
        return {
            name: dataclasses.replace(each, default=self.settings.get(name, each.default))
            for name, each in found.items()
        }

    @cached_property
    def variables(self) -> dict[str, tuple[str, Setting]]:
        """The variables that a user may name -> the setting's name, and the setting under the variable's name."""
        known, found = {**Call.declared(), **self.declared}, {}
        for variable, target in self.options.items():
            name, *choices = (target,) if isinstance(target, str) else target
            narrowed = {"choices": tuple(choices)} if choices else {}
            if name == "n_clusters":
                narrowed |= {"word": AUTO, "help": f"{known[name].help}; {AUTO}: as many as the images suggest"}
            found[variable] = name, known[name].renamed(variable, **narrowed)
        return found

    def command(self, settings: dict) -> str:
        """The `make` command of these settings, as a user writes it in a shell."""
        variable = {name: (each, setting) for each, (name, setting) in self.variables.items()}
        said = [(variable[name][0], variable[name][1].say(value)) for name, value in settings.items()]
        words = [f"{name}={shlex.quote(text)}" for name, text in said]
        return " ".join(["make", self.name, *words])


def _class(room: str, where: str) -> type:
    module, name = where.split(":")
    return getattr(importlib.import_module(f"deepcluster_tf.{room}.{module}"), name)


def _read(room: str, where: str) -> dict[str, Setting]:
    module, name = where.split(":")
    return read(PACKAGE / room / f"{module}.py", name)


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a table: an experiment with some settings, and what is printed of it.

    Attributes:
        label: what the table calls it.
        experiment: by name.
        settings: those of method and protocol that differ from the experiment's.
        by: which of the run's clusterings it shows, where a run has several.
        printed: the key of the paper's numbers in `experiments/reference.json`, "" where it prints none.
        beyond: whether the paper has no such row, so that its claims are not judged by it.
        curve: what a figure of chosen curves calls it; "" where it is not among them.
        whose: the code that ran; what others print has no row here.
    """

    label: str
    experiment: str
    settings: dict = field(default_factory=dict)
    by: str = ""
    printed: str = ""
    beyond: bool = False
    curve: str = ""
    whose: str = "ours"


@dataclass(frozen=True)
class Table:
    """The rows of a paper, how they are scored, and where its numbers stand.

    Attributes:
        name: of its files, of `make NAME-table` and of its numbers in `experiments/reference.json`.
        paper: by name.
        kind: the module under `reporting.tables` and `reporting.figures` that shows it.
        where: the table's place in the paper.
        protocol: what is measured, over which images, beside which of the paper's numbers.
        rows: in the order of the table.
        drawn: rows that figures alone show.
        seeds: how many runs of each row are wanted: seeds 0 to seeds - 1.
        scores: what a table of clusterings without labels shows.
    """

    name: str
    paper: str
    kind: str
    where: str
    protocol: str
    rows: tuple[Row, ...]
    drawn: tuple[Row, ...] = ()
    seeds: int = 1
    scores: tuple[str, ...] = ("acc", "nmi", "ari")
