"""A plain encoder of strided convolutions, for pairs of views (Schultz)."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from deepcluster_tf.networks.precision import in_precision

MOMENTUM = 0.9  # with Keras's 0.99 half of a batch normalisation's statistics are still the first ones after 70 steps


@in_precision
def strided_encoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 128,
    filters: tuple[int, ...] = (32, 64, 128, 256),
    strides: tuple[int, ...] = (2,),
    normalised: bool = False,
    momentum: float = MOMENTUM,
) -> keras.Model:
    """Convolutions 3x3, most of stride 2, their mean over the places, and a dense embedding.

    The mean lets the encoding forget where in the image something is, which is what Schultz wants of it.

    Args:
        image_shape: (height, width, channels).
        embedding_dim: units of the embedding, which is linear.
        filters: of the convolutions, which are rectified.
        strides: of the convolutions; the last one holds for the rest.
        normalised: whether each convolution is followed by batch normalisation.
        momentum: of its running statistics.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 (n, embedding_dim).
    """
    x = images = keras.Input(image_shape, name="images")
    for i, (n, stride) in enumerate(zip(filters, (*strides, *[strides[-1]] * len(filters))), 1):
        if normalised:
            x = layers.Conv2D(n, 3, stride, "same", use_bias=False, name=f"conv{i}")(x)
            x = layers.ReLU(name=f"relu{i}")(layers.BatchNormalization(momentum=momentum, name=f"norm{i}")(x))
        else:
            x = layers.Conv2D(n, 3, stride, "same", activation="relu", name=f"conv{i}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(images, layers.Dense(embedding_dim, name="embedding")(x), name="encoder")


@in_precision
def projector(embedding_dim: int, dim: int) -> keras.Model:
    """Two layers from an encoding to what a contrastive loss compares (SimCLR), of length 1.

    Args:
        embedding_dim: values of the encoding, which are also the units of the hidden layer.
        dim: values of the projection.

    Returns:
        a model: float32 (n, embedding_dim) -> float32 (n, dim), rows of length 1.
    """
    z = keras.Input((embedding_dim,), name="encoding")
    x = layers.ReLU(name="rectified")(layers.BatchNormalization(momentum=MOMENTUM, name="norm")(z))
    x = layers.Dense(embedding_dim, use_bias=False, name="hidden")(x)
    x = layers.ReLU(name="hidden_relu")(layers.BatchNormalization(momentum=MOMENTUM, name="hidden_norm")(x))
    x = layers.UnitNormalization(axis=-1, name="unit")(layers.Dense(dim, name="projection")(x))
    return keras.Model(z, x, name="projector")


def sobel(image_shape: tuple[int, int, int]) -> keras.Model:
    """The edges of grey images, by two fixed filters (DeepCluster, section 4.1).

    Args:
        image_shape: (height, width, channels), one channel or three.

    Returns:
        a model: float32 (n, height, width, channels) -> float32 (n, height, width, 2), the slopes to the right and
        downwards. It does not learn.
    """
    images = keras.Input(image_shape, name="images")
    right = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    grey = np.array([0.299, 0.587, 0.114]) if image_shape[-1] == 3 else np.ones(1)
    filters = np.stack([right, right.T], axis=-1)[:, :, None] * grey[:, None]
    edges = layers.Conv2D(2, 3, padding="same", use_bias=False, name="edges")
    model = keras.Model(images, edges(images), name="sobel")
    edges.set_weights([filters])
    model.trainable = False
    return model
