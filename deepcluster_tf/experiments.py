"""The experiments by name: which data set, which method, which settings, and where the document prints its numbers.

Names only; the method's class and the data are loaded when an experiment is run. A new method or data set is a
line here.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Experiment:
    """One data set, one method.

    Attributes:
        name: as in `make fashion-dcec`.
        data: a name that `datasets.load` knows; "" where the user brings a folder of images.
        method: "module:class" under `deepcluster_tf.methods`.
        document: the number of the document whose settings it follows.
        reference: the key of its numbers in `results/reference.json`, "" where the document has none.
        settings: method settings that differ from the document's.
        quick: settings for a first look (`QUICK=1`), kept out of the tables.
    """

    name: str
    data: str
    method: str
    document: str
    reference: str = ""
    settings: dict = field(default_factory=dict)
    quick: dict = field(default_factory=dict)

    def method_class(self) -> type:
        """Import and return the method's class."""
        module, name = self.method.split(":")
        return getattr(importlib.import_module(f"deepcluster_tf.methods.{module}"), name)


_OWN_VAE = {"min_steps": 900}  # about an epoch of MNIST, before someone is asked what the decoder shows
_DCEC = {"method": "dcec:DCEC", "document": "004"}
_AE = {"method": "autoencoder:Autoencoder", "document": "002", "quick": {"max_epochs": 2, "n_init": 1}}
_RAW = {"method": "raw:Raw", "document": "002", "quick": {"n_init": 1}}
_VAE = {"method": "vae:VAE", "document": "000", "quick": {"epochs": 2}}
# 64 pixels weigh less against the KL divergence than 784, and 1,372 images are few steps
_FEW = {"beta": 0.4, "epochs": 30, "unsupervised_epochs": 15}
_LARGE = {"pretraining_epochs": 3, "max_iterations": 700}  # about three minutes for 70,000 images on two cores
_SMALL = {"pretraining_epochs": 50, "max_iterations": 700}  # seconds for two thousand

_CIFAR = {"embedding_dim": 307, "n_components": 50, "n_init": 3, "assign_by": "kmeans"}  # a tenth of 3,072 values
_BRIEF = {"quick": {"epochs": 2, "n_init": 1}}
_ENCODINGS = {  # document 003's, and document 001's residual autoencoder
    "control": {"method": "control:Control", "document": "003", "quick": {"n_init": 1}},
    "ae": {
        "method": "autoencoder:Autoencoder", "document": "003", "quick": {"max_epochs": 2, "n_init": 1},
        "settings": {"architecture": "convolutional", "max_epochs": 60, **_CIFAR},
    },
    "resnet": {
        "method": "autoencoder:Autoencoder", "document": "001", "quick": {"max_epochs": 1, "n_init": 1},
        "settings": {"architecture": "residual", "max_epochs": 20, **_CIFAR},
    },
    "representation": {"method": "siamese:Siamese", "document": "003", **_BRIEF},
    "similarity": {"method": "siamese:Siamese", "document": "003", "settings": {"comparison": "dot"}, **_BRIEF},
}  # fmt: skip

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment("fashion-dcec", "fashion", reference="fashion-dcec", quick=_LARGE, **_DCEC),
        Experiment("mnist-dcec", "mnist", quick=_LARGE, **_DCEC),
        Experiment("digits-dcec", "digits", quick=_SMALL, **_DCEC),
        Experiment("dcec", "", quick=_LARGE, **_DCEC),
        Experiment("fashion-ae", "fashion", reference="fashion-encodings", **_AE),
        Experiment("mnist-ae", "mnist", **_AE),
        Experiment("digits-ae", "digits", **_AE),
        Experiment("fashion-raw", "fashion", reference="fashion-encodings", **_RAW),
        Experiment("mnist-raw", "mnist", **_RAW),
        Experiment("digits-raw", "digits", **_RAW),
        Experiment("mnist-vae", "mnist", reference="mnist-vae", **_VAE),
        Experiment("fashion-vae", "fashion", **_VAE),
        Experiment("digits-vae", "digits", settings=_FEW, **{**_VAE, "quick": {"epochs": 18}}),
        Experiment("vae", "", settings=_OWN_VAE, **_VAE),
        *(Experiment(f"cifar-{name}", "cifar", reference="cifar-encodings", **how) for name, how in _ENCODINGS.items()),
        *(Experiment(name, "", **how) for name, how in _ENCODINGS.items()),
    )
}


def get(name: str) -> Experiment:
    """The experiment of that name; a ValueError that suggests the nearest name if there is none."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"no experiment is named {name!r}: expected one of {', '.join(EXPERIMENTS)}{hint}")
    return EXPERIMENTS[name]
