"""The residual autoencoder of Singh's slides: a ResNet without its head, and its mirror."""

from __future__ import annotations

import keras
from keras import layers

from deepcluster_tf.networks.precision import in_precision
from deepcluster_tf.networks.sizes import require_multiples


@in_precision
def residual_encoder(
    image_shape: tuple[int, int, int], embedding_dim: int = 307, filters: tuple[int, int, int] = (32, 64, 128)
) -> keras.Model:
    """A convolution of stride 2 and three residual blocks, the last two of stride 2, then a dense embedding.

    Args:
        image_shape: (height, width, channels), both sides multiples of 8.
        embedding_dim: units of the embedding, which is linear.
        filters: of the three blocks.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 (n, embedding_dim).

    Raises:
        ValueError: a side is no multiple of 8.
    """
    require_multiples(image_shape, 8)
    images = keras.Input(image_shape, name="images")
    x = _convolution(images, filters[0], 3, 2, "stem")
    for i, n in enumerate(filters):
        x = _block(x, n, 1 if i == 0 else 2, f"block{i + 1}")
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(images, layers.Dense(embedding_dim, name="embedding")(x), name="encoder")


@in_precision
def residual_decoder(
    image_shape: tuple[int, int, int], embedding_dim: int = 307, filters: tuple[int, int, int] = (32, 64, 128)
) -> keras.Model:
    """The mirror of `residual_encoder`, with a sigmoid at its end.

    Args:
        image_shape: (height, width, channels), both sides multiples of 8.
        embedding_dim: units of the embedding.
        filters: of the encoder's blocks.

    Returns:
        a model: float32 (n, embedding_dim) -> float32 (n, height, width, channels) in (0, 1).

    Raises:
        ValueError: a side is no multiple of 8.
    """
    require_multiples(image_shape, 8)
    height, width, channels = image_shape
    small = (height // 8, width // 8, filters[-1])
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    x = layers.Dense(small[0] * small[1] * small[2], activation="relu", name="dense")(embeddings)
    x = layers.Reshape(small, name="reshape")(x)
    for i, n in reversed(list(enumerate(filters))):
        x = _block_back(x, n, filters[max(i - 1, 0)], 1 if i == 0 else 2, f"block{i + 1}")
    images = layers.Conv2DTranspose(channels, 3, 2, "same", activation="sigmoid", name="pixels")(x)
    return keras.Model(embeddings, images, name="decoder")


def _convolution(x, filters, size, strides, name, kind=layers.Conv2D, activation="relu"):
    x = kind(filters, size, strides, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def _block(x, filters, strides, name):
    """Two convolutions beside a shortcut, which is projected where the shape changes."""
    y = _convolution(x, filters, 3, strides, f"{name}_1")
    y = _convolution(y, filters, 3, 1, f"{name}_2", activation="linear")
    if strides > 1 or x.shape[-1] != filters:
        x = _convolution(x, filters, 1, strides, f"{name}_shortcut", activation="linear")
    return layers.Activation("relu", name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _block_back(x, filters, filters_out, strides, name):
    """The mirror of `_block`: the convolution that it ends with comes first, and its stride last."""
    y = _convolution(x, filters, 3, 1, f"{name}_2")
    y = _convolution(y, filters_out, 3, strides, f"{name}_1", layers.Conv2DTranspose, "linear")
    if strides > 1 or filters_out != filters:
        x = layers.UpSampling2D(strides, name=f"{name}_up")(x)
        x = _convolution(x, filters_out, 1, 1, f"{name}_shortcut", activation="linear")
    return layers.Activation("relu", name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
