"""A convolutional autoencoder with pooling and dropout, as Akula's conclusion describes it."""

from __future__ import annotations

import keras
from keras import layers

from deepcluster_tf.networks.precision import in_precision
from deepcluster_tf.networks.sizes import require_multiples


@in_precision
def pooling_encoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    filters: tuple[int, int] = (32, 64),
    activation: str = "relu",
    embedding_activation: str = "linear",
    dropout: float = 0.25,
) -> keras.Model:
    """Convolutions with pooling and dropout, as Akula's abstract and conclusion describe, without sizes.

    Args:
        image_shape: (height, width, channels), both sides multiples of 4.
        embedding_dim: units of the embedding.
        filters: of the two 3x3 convolutions, each followed by 2x2 max pooling.
        activation: of the convolutions.
        embedding_activation: of the embedding.
        dropout: share of the features dropped before the embedding.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 (n, embedding_dim).

    Raises:
        ValueError: a side is no multiple of 4.
    """
    require_multiples(image_shape, 4)
    x = images = keras.Input(image_shape, name="images")
    for i, n in enumerate(filters, 1):
        x = layers.Conv2D(n, 3, padding="same", activation=activation, name=f"conv{i}")(x)
        x = layers.MaxPooling2D(name=f"pool{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    embeddings = layers.Dense(embedding_dim, activation=embedding_activation, name="embedding")(x)
    return keras.Model(images, embeddings, name="encoder")


@in_precision
def pooling_decoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    filters: tuple[int, int] = (32, 64),
    activation: str = "relu",
) -> keras.Model:
    """The mirror of `pooling_encoder`: upsampling for pooling, and a sigmoid at its end.

    Args:
        image_shape: (height, width, channels), both sides multiples of 4.
        embedding_dim: units of the embedding.
        filters: of the encoder's convolutions.
        activation: of the convolutions.

    Returns:
        a model: float32 (n, embedding_dim) -> float32 (n, height, width, channels) in (0, 1).

    Raises:
        ValueError: a side is no multiple of 4.
    """
    require_multiples(image_shape, 4)
    height, width, channels = image_shape
    small = (height // 4, width // 4, filters[1])
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    x = layers.Dense(small[0] * small[1] * small[2], activation=activation, name="dense")(embeddings)
    x = layers.Reshape(small, name="reshape")(x)
    for i, n in enumerate(reversed(filters), 1):
        x = layers.Conv2D(n, 3, padding="same", activation=activation, name=f"conv{i}")(x)
        x = layers.UpSampling2D(name=f"up{i}")(x)
    images = layers.Conv2D(channels, 3, padding="same", activation="sigmoid", name="pixels")(x)
    return keras.Model(embeddings, images, name="decoder")
