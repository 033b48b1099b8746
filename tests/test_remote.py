"""Rows as tasks of Ray, on a real cluster of two nodes: in parallel, through lost workers and nodes, and cancelled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepcluster_tf import machine
from deepcluster_tf.experiments import Row, Table, remote, results, running, sweep
from deepcluster_tf.experiments import get as experiment

REPOSITORY = Path(__file__).parents[1]
ray = pytest.importorskip("ray", reason="the extra ray is not installed: make test-slow installs it")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = pytest.mark.slow
BRIEF = {"epochs": 16, "n_clusters": 8, "clustering": "mixture", "depth": 1}
LONG = {**BRIEF, "epochs": 60}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to record in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    return tmp_path


@pytest.fixture
def cluster(here):
    """Two nodes of one processor each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def jobs(*rows):
    return sweep.jobs([Table("t", "", "annotation", "", "", rows=rows)])


def in_the_middle(storage, seconds=120):
    """Wait until a fit under the storage has a checkpoint; returns the processes that train."""
    deadline = time.monotonic() + seconds
    while not list(storage.rglob("checkpoint.weights.h5")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    listed = subprocess.run(["pgrep", "-f", "ray::carry_out"], capture_output=True, text=True).stdout
    return [int(pid) for pid in listed.split()]


def alone(settings, tmp_path):
    """What a run at home records, on one processor."""
    code = (
        "import json, sys\nfrom deepcluster_tf.command import start_tensorflow\nstart_tensorflow()\n"
        "from deepcluster_tf.experiments import get, running\n"
        "found = running.run(get('digits-vae'), json.loads(sys.argv[1]), progress=False)\n"
        "print(json.dumps(found['metrics']))\n"
    )
    environment = {**os.environ, machine.LIMIT: "1", "PYTHONPATH": str(REPOSITORY)}
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-c", code, json.dumps(settings)]
    done = subprocess.run(command, cwd=tmp_path / "home", env=environment, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_two_rows_in_parallel_and_one_that_fails(cluster, here):
    other = Row("other", "digits-vae", {**BRIEF, "n_clusters": 9})
    bad = Row("bad", "digits-dcec", {"supervision": 0.0001})
    of = jobs(Row("one", "digits-vae", BRIEF), other, bad)
    failed = remote.run_all(of, cluster.address, storage=str(here / "shared"), code=REPOSITORY)
    assert len(failed) == 1 and failed[0].startswith("make digits-dcec SUP=0.0001 (")
    assert "selects none of 1797 images" in failed[0]
    found = [results.read_result(job.directory) for job in of[:2]]
    assert [result["machine"]["processors"] for result in found] == [1, 1]
    assert results.read_result(of[2].directory) is None
    assert found[0]["metrics"] == alone(BRIEF, here)
    assert running.is_finished(of[0].directory) and not (of[0].directory / "work").exists()
    assert found[0]["git_commit"] == machine.git_commit()
    trained = [sum(result["seconds"].values()) for result in found]
    ended = [(job.directory / "result.json").stat().st_mtime for job in of[:2]]
    assert abs(ended[0] - ended[1]) < min(trained)  # beside one another: else the second had begun when the first ended
    assert not remote.run_all(jobs(Row("one", "digits-vae", BRIEF)), cluster.address, code=REPOSITORY)  # nothing left


def test_a_worker_that_is_killed_goes_on_from_its_checkpoint(cluster, here):
    of, storage = jobs(Row("long", "digits-vae", LONG)), here / "shared"
    asking = asked(here, cluster)
    (worker, *_) = in_the_middle(storage)
    os.kill(worker, signal.SIGKILL)
    assert asking.wait(timeout=300) == 0
    assert results.read_result(of[0].directory)["metrics"] == alone(LONG, here)


def test_a_node_that_is_lost_and_a_url_for_the_checkpoints(cluster, here):
    node = next(iter(cluster.worker_nodes))
    of = jobs(Row("long", "digits-vae", LONG))
    asking = asked(here, cluster, "True")
    deadline = time.monotonic() + 200
    while not list((here / "shared").glob("*.tar")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    cluster.remove_node(node)
    assert asking.wait(timeout=400) == 0
    assert results.read_result(of[0].directory)["metrics"] == alone(LONG, here)
    assert not list((here / "shared").glob("*.tar"))


def asked(folder, cluster, url="False"):
    """The process that asks for a long run, which can be stopped."""
    code = f"import tests.test_remote as t\nt.long_run({str(folder)!r}, {cluster.address!r}, {url})"
    usual = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, preexec_fn=usual, stderr=subprocess.PIPE)


def long_run(folder, address, url=False):
    """What the tests above start in a process of its own."""
    os.chdir(folder)
    remote.SECONDS = 3
    storage = Path(folder) / "shared"
    where = f"file://{storage}" if url else str(storage)
    assert not remote.run_all(jobs(Row("long", "digits-vae", LONG)), address, storage=where, code=REPOSITORY)


def test_ctrl_c_cancels_and_keeps_what_is_recorded(cluster, here):
    asking = asked(here, cluster)
    workers = in_the_middle(here / "shared")
    asking.send_signal(signal.SIGINT)
    assert asking.wait(timeout=60) and b"KeyboardInterrupt" in asking.stderr.read()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert results.read_result(jobs(Row("long", "digits-vae", LONG))[0].directory) is None


def test_a_cluster_that_is_not_there_is_one_line(here):
    with pytest.raises(ValueError, match="no cluster of Ray can be joined at 127.0.0.1:1 .*: expected RAY=local"):
        remote.run_all(jobs(Row("one", "digits-vae", BRIEF)), "127.0.0.1:1", code=REPOSITORY)


def test_experiments_are_found_by_name():
    assert experiment("digits-vae").data == "digits"
