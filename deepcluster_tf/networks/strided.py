"""A plain encoder of strided convolutions, for pairs of views (Schultz)."""

from __future__ import annotations

import keras
from keras import layers


def strided_encoder(
    image_shape: tuple[int, int, int], embedding_dim: int = 128, filters: tuple[int, ...] = (32, 64, 128, 256)
) -> keras.Model:
    """Convolutions 3x3 of stride 2, their mean over the places, and a dense embedding.

    The mean lets the encoding forget where in the image something is, which is what Schultz wants of it.

    Args:
        image_shape: (height, width, channels).
        embedding_dim: units of the embedding, which is linear.
        filters: of the convolutions, which are rectified.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 (n, embedding_dim).
    """
    x = images = keras.Input(image_shape, name="images")
    for i, n in enumerate(filters, 1):
        x = layers.Conv2D(n, 3, 2, "same", activation="relu", name=f"conv{i}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(images, layers.Dense(embedding_dim, name="embedding")(x), name="encoder")
