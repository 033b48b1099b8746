"""What can be asked for beside the experiments: a class each, its settings the variables, its docstring the help."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from deepcluster_tf.command import start_tensorflow
from deepcluster_tf.experiments import TABLES
from deepcluster_tf.settings import Settings, setting


def _path(text: str) -> Path:
    """A path as typed, its `~` too where the shell left it."""
    return Path(text).expanduser()


def _from_anywhere(place: str | None) -> str | None:
    """A path as a process sees it that runs in another folder; a URL stays."""
    return place if place is None or "://" in place else str(_path(place).resolve())


@dataclass(kw_only=True, eq=False)
class Sweep(Settings):
    """Run every row that is not recorded yet, in turn; goes on where it stopped, and makes tables and figures."""

    seeds: int = setting(None, "seeds of each row, from 0; as many as the table wants where it is not given", low=1)
    seed: int = setting(None, "one seed alone", low=0, high=2_147_483_647)
    rows: str = setting(None, "rows with this in their label or command alone")
    dry: bool = setting(False, "1: print the commands, and what each took last time")
    strategy: str = setting("none", "mirrored: on all GPUs of the machine", choices=("none", "mirrored"))
    data_dir: str = setting(None, "folder with the data set's published files; also from the environment")
    ray: str = setting(None, "run the rows as tasks of Ray: auto, local or a cluster's address")
    cpus: int = setting(1, "processors of a task of Ray", low=1)
    gpus: float = setting(0.0, "GPUs of a task of Ray, a part of one too", low=0)
    storage: str = setting(None, "a path or URL that all nodes of Ray see, for checkpoints")

    def check_settings(self) -> None:
        """Refuse what has no effect; raises ValueError."""
        super().check_settings()
        if self.seeds is not None and self.seed is not None:
            raise ValueError("SEEDS counts seeds from 0, SEED is one alone: give one of them")
        idle = ("strategy",) if self.ray else ("cpus", "gpus", "storage")
        for name in idle:
            if getattr(self, name) != self.defaults()[name]:
                raise ValueError(f"{name.upper()} has no effect {'with' if self.ray else 'without'} RAY: leave it out")

    def carry_out(self, target: str) -> None:
        """Run the pending rows of the table that the target names, or of all."""
        self.check_settings()
        start_tensorflow()
        from deepcluster_tf.command import extras
        from deepcluster_tf.experiments import sweep

        name = target.removeprefix("bench-").removesuffix("-table")
        tables = list(TABLES.values()) if target == "all-tables" else [TABLES[name]]
        seeds = None if self.seeds is None else range(self.seeds)
        jobs = sweep.jobs(tables, seeds=[self.seed] if self.seed is not None else seeds, rows=self.rows)
        if self.dry:
            print("\n".join(sweep.listing(jobs)))
            return
        shared = {"STRATEGY": self.strategy, "DATA_DIR": self.data_dir}
        given = {name: value for name, value in shared.items() if value not in (None, "none")}
        if self.ray:
            from deepcluster_tf.experiments import remote

            extras.install(sweep.packages(jobs))
            how = {"cpus": self.cpus, "gpus": self.gpus}
            how |= {"storage": _from_anywhere(self.storage), "data_dir": _from_anywhere(self.data_dir)}
            failed = remote.run_all(jobs, self.ray, **how)
        else:
            failed = sweep.run_all(jobs, given)
        Tables().carry_out("tables")
        Figures().carry_out("figures")
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(jobs)} rows failed: {'; '.join(failed)}")


@dataclass(kw_only=True, eq=False)
class Tables(Settings):
    """Write every table, from what is recorded; trains nothing."""

    def carry_out(self, target: str) -> None:
        """Write the tables, and those of the README and the pages, and print them."""
        start_tensorflow()
        from deepcluster_tf.experiments import results
        from deepcluster_tf.reporting import tables

        readme = Path("README.md") if Path("results") == results.ROOT and Path("README.md").exists() else None
        for path in [*tables.write_all(), *(tables.write_pages(readme) if readme else [])]:
            print(path)
            if path.parent.name == "tables" and path.suffix == ".md":
                print(path.read_text())


@dataclass(kw_only=True, eq=False)
class Figures(Settings):
    """Draw every figure, from what is recorded; trains nothing."""

    format: str = setting("png", "of the files; svg and pdf are for papers", choices=("png", "svg", "pdf"))

    def carry_out(self, target: str) -> None:
        """Draw the figures, and print their files."""
        start_tensorflow()
        from deepcluster_tf.command import extras
        from deepcluster_tf.experiments import results
        from deepcluster_tf.reporting import figures

        left = [path for path in results.ROOT.rglob("embeddings.npz") if not path.with_name("projection.npz").exists()]
        extras.install(["umap-learn"] if left else [])  # for the maps of these
        for path in figures.write_all(kind=self.format):
            print(path)


@dataclass(kw_only=True, eq=False)
class Report(Settings):
    """Make a page to look at: of all that is recorded, or of one run that is on this machine, with RUN."""

    run: str = setting(None, "a run's folder, such as results/runs/dcec/photos-1a2b3c4d-sup-0/seed-0")
    data_dir: str = setting(None, "folder with the data set's published files; also from the environment")

    def carry_out(self, target: str) -> None:
        """Write the page, and print its file."""
        from deepcluster_tf.command import extras

        start_tensorflow()
        # the reference of the package imports every module of it
        extras.install(["plotly", "markdown-it-py", "pdoc", "umap-learn" if self.run else "flask"])
        from deepcluster_tf.reporting import report

        print(report.write_run(_path(self.run), self.data_dir) if self.run else report.write())


@dataclass(kw_only=True, eq=False)
class Data(Settings):
    """Fetch and verify the data sets."""

    data: str = setting(None, "fashion, mnist, cifar or digits alone")
    data_dir: str = setting(None, "folder with the published files")

    def carry_out(self, target: str) -> None:
        """Load each data set, and say where it came from."""
        from deepcluster_tf import datasets

        failed = []
        for name in [self.data] if self.data else datasets.NAMES:
            try:
                found = datasets.load(name, data_dir=self.data_dir)
                print(f"{name}: {len(found.images):,} images {found.images.shape[1:]}, verified, from {found.source}")
            except datasets.DataError as error:  # the others may be there
                failed.append(f"{name}: {error}")
        if failed:
            raise ValueError("; ".join(failed))


@dataclass(kw_only=True, eq=False)
class Export(Settings):
    """Write a run's SavedModel, which plain TensorFlow loads."""

    run: str = setting(None, "the run's folder, such as results/runs/fashion-dcec/sup-0.01/seed-0")
    to: str = setting(None, "the SavedModel's folder; results/models/<experiment>-<variant>-seed-<n> if not given")

    def carry_out(self, target: str) -> None:
        """Export, and print the folder."""
        if not self.run:
            raise ValueError("export needs a run: expected RUN=results/runs/<experiment>/<variant>/seed-<n>")
        start_tensorflow()
        from deepcluster_tf.experiments import finished

        print(finished.export(_path(self.run), _path(self.to) if self.to else None))


@dataclass(kw_only=True, eq=False)
class Predict(Settings):
    """Ask a run's model about a folder of images: a CSV with cluster, class and confidence of each."""

    run: str = setting(None, "the run's folder, such as results/runs/dcec/photos-1a2b3c4d-sup-0/seed-0")
    images: str = setting(None, "the folder of images, of any number")
    to: str = setting(None, "the CSV; predicted-<folder>.csv in the run's folder if not given")

    def carry_out(self, target: str) -> None:
        """Predict, and print the file."""
        if not self.run or not self.images:
            raise ValueError("predict needs a run and images: expected RUN=results/runs/... IMAGES=folder")
        start_tensorflow()
        from deepcluster_tf.experiments import finished

        path, unread = finished.predict(_path(self.run), Path(self.images), _path(self.to) if self.to else None)
        print(path if not unread else f"{path} ({unread} images could not be read)")


@dataclass(kw_only=True, eq=False)
class Sort(Settings):
    """Put the images of a run on a folder into folders, one a cluster; nothing that is there is replaced."""

    run: str = setting(None, "the run's folder, such as results/runs/dcec/photos-1a2b3c4d-sup-0/seed-0")
    to: str = setting(None, "where the clusters' folders go")
    by: str = setting(None, "which clustering, where the run has several, such as kmeans")
    copy: bool = setting(False, "1: copies, rather than links")

    def carry_out(self, target: str) -> None:
        """Sort, and print the folders."""
        if not self.run or not self.to:
            raise ValueError("sort needs a run and a place: expected RUN=results/runs/... TO=folder")
        start_tensorflow()
        from deepcluster_tf.experiments import sorting

        for name, count in sorting.sort(_path(self.run), _path(self.to), self.by, self.copy).items():
            print(f"{_path(self.to) / name}: {count:,} images")


@dataclass(kw_only=True, eq=False)
class Name(Settings):
    """Name the clusters of a finished run, in the browser; predict, sort, export and report use the names."""

    run: str = setting(None, "the run's folder, such as results/runs/dcec/photos-1a2b3c4d-sup-0/seed-0")
    classes: tuple[str, ...] = setting((), "what can be named, as cat,dog; the classes of the data if not given")
    answers: str = setting(None, "a file of answers, such as a names.csv, in place of a person")
    port: int = setting(8765, "of the page", low=1024, high=65535)
    data_dir: str = setting(None, "folder with the data set's published files; also from the environment")

    def carry_out(self, target: str) -> None:
        """Ask, and print the names."""
        if not self.run:
            raise ValueError("name needs a run: expected RUN=results/runs/<experiment>/<variant>/seed-<n>")
        if self.answers and self.port != self.defaults()["port"]:
            raise ValueError("PORT is the page's, which ANSWERS takes the place of: give one of them")
        from deepcluster_tf.command import extras

        start_tensorflow()
        extras.install([] if self.answers else ["flask"])
        from deepcluster_tf.experiments import naming

        found = naming.name(
            _path(self.run), self.classes, self.answers and _path(self.answers), self.port, self.data_dir
        )
        for cluster, name in found.items():
            print(f"cluster {cluster}: {name}")


@dataclass(kw_only=True, eq=False)
class Bench(Settings):
    """Measure training, clustering and encoding beside a matrix product, on a quiet machine."""

    images: int = setting(70_000, "number of images", low=500)

    def carry_out(self, target: str) -> None:
        """Measure, and print a line a figure."""
        load, cores = os.getloadavg()[0], os.cpu_count()
        if load > 0.3 * cores:
            busy = f"the machine is busy (a load of {load:.1f} on {cores} cores): times mean little"
            print(f"warning: {busy}", file=sys.stderr)
        start_tensorflow()
        from deepcluster_tf import benchmark

        for what, value, unit in benchmark.measure(self.images):
            print(f"{what:<48} {value:>12,.1f} {unit}")


COMMANDS = {
    **{f"{name}-table": Sweep for name in TABLES},
    "all-tables": Sweep,
    "bench-peers": Sweep,
    "tables": Tables,
    "figures": Figures,
    "report": Report,
    "data": Data,
    "export": Export,
    "predict": Predict,
    "sort": Sort,
    "name": Name,
    "bench": Bench,
}
