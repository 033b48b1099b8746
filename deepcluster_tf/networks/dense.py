"""The dense autoencoder of Akula."""

from __future__ import annotations

import keras
from keras import layers

from deepcluster_tf.networks.precision import in_precision


@in_precision
def dense_encoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    units: tuple[int, ...] = (2000, 1000, 500),
    activation: str = "relu",
    embedding_activation: str = "linear",
) -> keras.Model:
    """The encoder 784-2000-1000-500-10 of fully connected layers (Akula, section 4.2).

    Args:
        image_shape: (height, width, channels).
        embedding_dim: units of the embedding.
        units: of the hidden layers, from the image on.
        activation: of the hidden layers, "relu" or "sigmoid".
        embedding_activation: of the embedding.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 (n, embedding_dim).
    """
    images = keras.Input(image_shape, name="images")
    x = layers.Flatten(name="flatten")(images)
    for i, n in enumerate(units, 1):
        x = layers.Dense(n, activation=activation, name=f"dense{i}")(x)
    embeddings = layers.Dense(embedding_dim, activation=embedding_activation, name="embedding")(x)
    return keras.Model(images, embeddings, name="encoder")


@in_precision
def dense_decoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    units: tuple[int, ...] = (2000, 1000, 500),
    activation: str = "relu",
) -> keras.Model:
    """The mirror of `dense_encoder`, with a sigmoid at its end (Akula, section 4.2).

    Args:
        image_shape: (height, width, channels).
        embedding_dim: units of the embedding.
        units: of the encoder's hidden layers.
        activation: of the hidden layers.

    Returns:
        a model: float32 (n, embedding_dim) -> float32 (n, height, width, channels) in (0, 1).
    """
    height, width, channels = image_shape
    x = embeddings = keras.Input((embedding_dim,), name="embeddings")
    for i, n in enumerate(reversed(units), 1):
        x = layers.Dense(n, activation=activation, name=f"dense{i}")(x)
    x = layers.Dense(height * width * channels, activation="sigmoid", name="pixels")(x)
    images = layers.Reshape(image_shape, name="reshape")(x)
    return keras.Model(embeddings, images, name="decoder")
