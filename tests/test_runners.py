"""What an option of the command line becomes: the setting of a method, or of how it is run."""

import importlib

import pytest

from deepcluster_tf import experiments


@pytest.fixture
def told(monkeypatch):
    """Runs a runner's command line up to the experiment; gives its name, its protocol and its settings."""

    def tell(runner, *words):
        module, came = importlib.import_module(f"runners.{runner}"), []
        monkeypatch.setattr(module, "start_tensorflow", lambda: None)
        monkeypatch.setattr(module, "run_experiment", lambda *what: came.append(what))
        monkeypatch.setattr("sys.argv", [runner, *words])
        module.run()
        given, protocol, settings = came[0]
        known = {name: value for name, value in settings.items() if value is not None}
        known_to_it = experiments.get(given["experiment"]).method_class().defaults()
        assert known.keys() <= known_to_it.keys()
        return protocol, known

    return tell


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("clusterings cifar-control --reducer=pca --scale=4", {"reducer": "pca", "size": 4}),
        ("clusterings cifar-ae --epochs=3 --dim=20", {"max_epochs": 3, "embedding_dim": 20}),
        ("clusterings cifar-resnet --loss=binary_crossentropy", {"loss": "binary_crossentropy"}),
        ("clusterings cifar-representation --epochs=3 --clusters=5", {"epochs": 3, "n_clusters": 5}),
        (
            "clusterings cifar-representation --filters=8,16 --batch=16",
            {"filters": (8, 16), "batch_size": 16},
        ),
        ("clusterings cifar-similarity --regularisation=0.2", {"regularisation": 0.2}),
        (
            "clusterings cifar-similarity --loss=contrastive --views=strong --temperature=0.2",
            {"comparison": "contrastive", "views": "strong", "temperature": 0.2},
        ),
        ("encodings fashion-ae --activation=sigmoid", {"activation": "sigmoid"}),
        ("encodings fashion-ae --architecture=pooling", {"architecture": "pooling"}),
        ("vae mnist-vae --k=16 --z=3 --rate=0.001", {"n_clusters": 16, "z_dim": 3, "learning_rate": 0.001}),
        (
            "vae mnist-vae --distance=mahalanobis --decay=gaussian --depth=1 --a=2",
            {"distance": "mahalanobis", "decay": "gaussian", "depth": 1, "a": 2.0},
        ),
        ("dcec fashion-dcec --lambda=0.1 --clusters=12", {"lam": 0.1, "n_clusters": 12}),
    ],
)
def test_options_become_settings(told, words, settings):
    assert told(*words.split())[1] == settings


def test_options_become_how_it_is_run(told):
    assert told("clusterings", "cifar-ae")[0].sample == 0
    assert told("clusterings", "cifar-ae", "--quick=1")[0].sample == 5000
    protocol = told("vae", "vae", "--annotator=browser", "--classes=a cat, dog,", "--port=9000", "--threshold=0.5")[0]
    assert protocol.class_names == ("a cat", "dog") and (protocol.annotator, protocol.port) == ("browser", 9000)
    assert protocol.threshold == 0.5
    assert told("dcec", "fashion-dcec", "--sup=0.3")[0].supervision == 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cifar-representation --loss=contrastive", "cifar-representation compares by layers: expected no LOSS"),
        ("cifar-similarity --loss=mse", "LOSS.* of cifar-similarity must be dot or contrastive"),
        ("cifar-resnet --loss=dot", "LOSS.* of cifar-resnet must be mse or binary_crossentropy"),
    ],
)
def test_a_loss_that_an_encoding_does_not_have_is_refused(told, words, message):
    with pytest.raises(ValueError, match=message):
        told("clusterings", *words.split())
