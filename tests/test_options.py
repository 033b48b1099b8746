"""What a variable of the command line becomes: a setting of a method, of a protocol, or how it is run."""

import difflib

import pytest

from deepcluster_tf import experiments
from deepcluster_tf.command import targets
from deepcluster_tf.experiments import EXPERIMENTS, PAPERS, TABLES, options, running
from deepcluster_tf.experiments.registry import Call


def told(words):
    name, *pairs = words.split(" ")
    return options.parse_experiment(experiments.get(name), dict(pair.split("=", 1) for pair in pairs))


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("cifar-control REDUCER=pca SCALE=4", {"reducer": "pca", "size": 4}),
        ("cifar-ae EPOCHS=3 DIM=20", {"max_epochs": 3, "embedding_dim": 20}),
        ("cifar-resnet LOSS=binary_crossentropy", {"loss": "binary_crossentropy"}),
        ("cifar-representation EPOCHS=3 CLUSTERS=5", {"epochs": 3, "n_clusters": 5}),
        ("cifar-representation FILTERS=8,16 BATCH=16", {"filters": (8, 16), "batch_size": 16}),
        ("cifar-similarity REGULARISATION=0.2", {"regularisation": 0.2}),
        (
            "cifar-similarity LOSS=contrastive VIEWS=strong TEMPERATURE=0.2",
            {"comparison": "contrastive", "views": "strong", "temperature": 0.2},
        ),
        ("fashion-ae ACTIVATION=sigmoid", {"activation": "sigmoid"}),
        ("fashion-ae ARCHITECTURE=pooling", {"architecture": "pooling"}),
        ("mnist-vae K=16 Z=3 RATE=0.001", {"n_clusters": 16, "z_dim": 3, "learning_rate": 0.001}),
        (
            "mnist-vae DISTANCE=mahalanobis DECAY=gaussian DEPTH=1 A=2",
            {"distance": "mahalanobis", "decay": "gaussian", "depth": 1, "a": 2.0},
        ),
        ("fashion-dcec SUP=0.3 LAMBDA=0.1 SEED=2", {"supervision": 0.3, "lam": 0.1, "seed": 2}),
        ("dcec CLUSTERS=12 EPOCHS=30", {"n_clusters": 12, "pretraining_epochs": 30}),
        (
            "vae ANNOTATOR=browser CLASSES=cat,dog PORT=9000 THRESHOLD=0.5",
            {"annotator": "browser", "class_names": ("cat", "dog"), "port": 9000, "threshold": 0.5},
        ),
    ],
)
def test_variables_become_settings(words, settings):
    assert told(words) == (settings, {})


def test_variables_become_how_it_is_run():
    settings, call = told("control IMAGES=a/$(b) SIZE=16 SCALE=4 QUICK=1 FORCE=0")
    assert settings == {"size": 4} and call == {"images": "a/$(b)", "side": 16, "quick": True, "force": False}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cifar-representation LOSS=contrastive", "LOSS is no variable of cifar-representation"),
        ("cifar-similarity LOSS=mse", "LOSS must be dot or contrastive; received 'mse'"),
        ("cifar-resnet LOSS=dot", "LOSS must be mse or binary_crossentropy; received 'dot'"),
        ("fashion-ae ARCHITECTURE=residual", "ARCHITECTURE must be dense or pooling; received 'residual'"),
        ("fashion-dcec SUPP=0.1", "SUPP is no variable of fashion-dcec: expected .*; did you mean SUP?"),
        ("fashion-dcec CLUSTERS=3", "CLUSTERS is no variable of fashion-dcec"),
        ("fashion-dcec SUP=", "SUP is empty: give it a value, or leave it out"),
        ("dcec IMAGES=a\nb", "IMAGES has a line break in it: expected one line"),
        ("digits-vae PORT=70000", "PORT must be a whole number from 0 to 65535; received 70000"),
    ],
)
def test_what_does_not_apply_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        told(words)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
class TestDeclared:
    def test_every_setting_that_it_names_exists(self, experiment):
        method, protocol = running.prepare(experiment)
        known = {**method.declared(), **protocol.declared()}
        assert not method.declared().keys() & protocol.declared().keys()
        assert {name: each.default for name, each in experiment.declared.items()} == {
            name: experiment.settings.get(name, each.default) for name, each in known.items()
        }
        assert {*experiment.settings, *experiment.quick} <= known.keys()
        assert {name for name, _ in experiment.variables.values()} <= known.keys() | Call.declared().keys()
        assert running.variant(experiment, *running.prepare(experiment, quick=True), quick=True).startswith("quick")

    def test_its_help_shows_each_of_its_variables_and_no_other(self, experiment):
        said = targets.help_of(experiment.name)
        shown = [line.strip().partition("=")[0] for line in said.splitlines() if line.startswith("  ") and "=" in line]
        assert [name for name in shown if name.isupper()] == list(experiment.options)

    def test_its_paper_is_declared_and_its_method_describes_itself(self, experiment):
        assert experiments.paper(experiment.paper) in PAPERS
        assert 20 < len(targets.summary(experiment)) < 120
        assert targets.describe(experiment.name) == targets.summary(experiment)


def test_help_tells_of_a_protocol_where_it_is_what_is_done():
    assert "k-means" in targets.describe("mnist-raw") and "ClustPy" in targets.describe("mnist-peers")
    assert "support vector" in targets.describe("fashion-classifier") and "named" in targets.describe("mnist-names")
    assert targets.describe("bench-peers") == targets.describe("peers-table") != targets.describe("all-tables")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_rows_command_gives_its_settings_back(table):
    for row in (*table.rows, *table.drawn):
        experiment = experiments.get(row.experiment)
        _, name, *pairs = experiment.command(row.settings).split(" ")
        assert (name, told(" ".join([name, *pairs]))) == (row.experiment, (row.settings, {}))
    column = lambda row: row.settings.items() if table.kind == "labels" else ()  # of a matrix of numbers of labels
    labels = [(row.label, *column(row)) for row in (*table.rows, *table.drawn)]
    assert len(set(labels)) == len(labels)


def test_early_records_name_their_paper_by_a_number():
    assert experiments.paper("004") is experiments.paper("SDCEC")


@pytest.mark.parametrize("name", ["fashion-dcce", "tabels", "fashion_dcec"])
def test_a_near_miss_of_a_target_is_hinted_at(name):
    near = difflib.get_close_matches(name, [*EXPERIMENTS, "tables"], 1)[0]
    with pytest.raises(ValueError, match=f"{name} is no target: make help lists them; did you mean {near}?"):
        targets.variables(name)
