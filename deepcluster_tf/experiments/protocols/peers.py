"""What the library that people would use instead makes of the same images: ClustPy's DEC, IDEC, N2D and VaDE."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf import datasets, files, machine, metrics
from deepcluster_tf.datasets.sources import cache
from deepcluster_tf.experiments import peer
from deepcluster_tf.experiments.protocols.base import Protocol
from deepcluster_tf.experiments.protocols.labels import HOW
from deepcluster_tf.settings import setting

PACKAGES = ("clustpy ==0.0.3", "torch ==2.14.1", "torchvision ==0.29.1", "umap-learn ==0.5.12")


@dataclass(kw_only=True, eq=False)
class Peers(Protocol):
    """An algorithm of ClustPy's on the pixels, in an environment of its own, with its own settings.

    It starts anew after a kill: ClustPy keeps no checkpoints. N2D lays out by UMAP with its authors' settings.
    """

    algorithm: str = setting("DEC", "of ClustPy's", choices=("DEC", "IDEC", "N2D", "VaDE"))
    pretrain_epochs: int = setting(-1, "of its autoencoder; -1 for as many as ClustPy takes", low=-1)
    clustering_epochs: int = setting(-1, "of its clustering, which N2D has none of; -1 as above", low=-1)

    @property
    def epochs(self) -> dict:
        """The epochs that are not the library's own."""
        asked = {"pretrain_epochs": self.pretrain_epochs, "clustering_epochs": self.clustering_epochs}
        if self.algorithm == "N2D":
            del asked["clustering_epochs"]  # it trains its autoencoder alone
        return {name: value for name, value in asked.items() if value >= 0}

    @property
    def named(self) -> dict:
        """What the run's variant and its record name beside the method's settings."""
        return {"algorithm": self.algorithm, **self.epochs}

    def check_given(self, given: dict) -> None:
        """As of every protocol; a first look gives all algorithms the same epochs."""
        super().check_given(given)
        if self.algorithm == "N2D" and given.get("clustering_epochs", -1) >= 0:
            raise ValueError("N2D trains its autoencoder alone: EPOCHS has no effect, leave it out")

    def check(self, method, dataset: datasets.Dataset) -> None:
        """Refuse what does not fit the data; raises ValueError."""
        method.check(dataset.images)

    def carry_out(self, method, dataset: datasets.Dataset, data: str, work: Path, again: bool, **how) -> dict:
        python = environment(PACKAGES, cache() / "environments" / "peers")
        method.fit(dataset.images, directory=work, **how)  # the pixels, which are what is clustered
        found = self._fit(python, method, dataset.images, work, how["progress"])
        clusters = found["clusters"]
        record = {
            "metrics": {},
            "cluster_sizes": {"peer": np.bincount(clusters, minlength=method.n_clusters).tolist()},
            "clusters": {"peer": clusters},
            "confusion": {},
            "notices": [],
            "seconds": {"training": 0.0, "peer": round(float(found["seconds"]), 1)},
            "peak_gib": round(float(found["peak_gib"]), 2),
            "peer": json.loads(str(found["versions"])),
        }
        if (dataset.labels >= 0).all():
            for name, value in metrics.scores(dataset.labels, clusters).items():
                which = f"all {len(clusters):,} images" + HOW.get(name, "")
                record["metrics"][f"{name}_peer"] = {"value": value, "protocol": which, "n": len(clusters)}
            counts = metrics.confusion(dataset.labels, clusters, len(dataset.class_names), method.n_clusters)
            record["confusion"]["peer"] = counts.tolist()
        return record

    def _fit(self, python: Path, method, images: np.ndarray, work: Path, progress: bool) -> dict:
        work.mkdir(parents=True, exist_ok=True)
        pixels, to, log = work / "peer-images.npy", work / "peer.npz", work / "peer.log"
        with files.replacing(pixels) as part:
            np.save(part, method.transform(images))
        asked = {
            "images": str(pixels), "to": str(to), "algorithm": self.algorithm, "n_clusters": method.n_clusters,
            "seed": method.seed, "threads": machine.processors(), "epochs": self.epochs,
        }  # fmt: skip
        with log.open("w") as said:
            code = subprocess.run(  # its bars go where ours do
                [python, peer.__file__, json.dumps(asked)], stdout=said, stderr=None if progress else said, check=False
            ).returncode
        pixels.unlink()
        if code:
            last = log.read_text().strip().rpartition("\n")[2]
            raise RuntimeError(f"ClustPy's {self.algorithm} ended with the code {code}: {last or 'see above'}")
        with np.load(to, allow_pickle=False) as found:
            return dict(found)


def environment(packages: tuple[str, ...], directory: Path) -> Path:
    """The Python of an environment that holds these packages, made if it is not there.

    Args:
        packages: with their versions, as pip takes them.
        directory: of the environment; one that holds other packages or is half made is made anew.

    Returns:
        the path of its Python.

    Raises:
        ValueError: pip could not install them.
    """
    python, made = directory / "bin" / "python", directory / "packages.txt"
    with files.locked(directory.with_name(f"{directory.name}-lock"), wait=True):  # the folder itself may be made anew
        if made.exists() and made.read_text() == "\n".join(packages):
            return python
        tqdm.write(f"installing {', '.join(packages)} into {directory} (some minutes) ...", file=sys.stderr)
        venv.create(directory, clear=True, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        if subprocess.run(command, check=False).returncode:
            raise ValueError(f"pip could not install {', '.join(packages)}: expected a network or a package mirror")
        made.write_text("\n".join(packages))
    return python
