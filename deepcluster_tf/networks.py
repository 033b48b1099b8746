"""Encoders and decoders, built as Keras functional models.

Each builder takes the shape of one image (height, width, channels) and returns a model that maps float images
in [0, 1] to embeddings, or embeddings back to images. Nothing here knows a loss, a data set or a method.
"""

from __future__ import annotations

import keras
from keras import layers, ops


def to_unit(images):
    """Scale images to [0, 1].

    Args:
        images: tensor or array, (n, height, width, channels); uint8 in 0..255, or floats already in 0..1.

    Returns:
        float32, the same shape.
    """
    if keras.backend.standardize_dtype(images.dtype) == "uint8":
        return ops.cast(images, "float32") / 255.0
    return ops.cast(images, "float32")


def convolutional_padding(image_shape: tuple[int, int, int]) -> str:
    """The padding of the third convolution with which the mirrored decoder gives back the image's size.

    Args:
        image_shape: (height, width, channels); both sides a multiple of 4, and both or neither one of 8.

    Returns:
        "same" where the sides are multiples of 8, else "valid" (28 -> 14 -> 7 -> 3, and back).

    Raises:
        ValueError: the sides are such that no mirrored decoder exists.
    """
    height, width, _ = image_shape
    if height % 8 == 0 and width % 8 == 0 and min(height, width) >= 8:
        return "same"
    if height % 8 == 4 and width % 8 == 4 and min(height, width) >= 12:
        return "valid"
    raise ValueError(
        "the convolutional autoencoder needs images whose height and width are both multiples of 8, or both "
        f"4 more than one (12, 20, 28, ...); received {height}x{width}. Resize the images."
    )


def convolutional_encoder(
    image_shape: tuple[int, int, int], embedding_dim: int = 10, filters: tuple[int, int, int] = (32, 64, 128)
) -> keras.Model:
    """The encoder conv 5x5 -> conv 5x5 -> conv 3x3 -> dense, all of stride 2 (document 004, section 5).

    Args:
        image_shape: (height, width, channels).
        embedding_dim: units of the embedding, which is linear.
        filters: filters of the three convolutions, which are rectified.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> float32 (n, embedding_dim).

    Raises:
        ValueError: no mirrored decoder exists for this image size.
    """
    padding = convolutional_padding(image_shape)
    images = keras.Input(image_shape, name="images")
    x = layers.Conv2D(filters[0], 5, 2, "same", activation="relu", name="conv1")(images)
    x = layers.Conv2D(filters[1], 5, 2, "same", activation="relu", name="conv2")(x)
    x = layers.Conv2D(filters[2], 3, 2, padding, activation="relu", name="conv3")(x)
    x = layers.Flatten(name="flatten")(x)
    embeddings = layers.Dense(embedding_dim, name="embedding")(x)
    return keras.Model(images, embeddings, name="encoder")


def convolutional_decoder(
    image_shape: tuple[int, int, int], embedding_dim: int = 10, filters: tuple[int, int, int] = (32, 64, 128)
) -> keras.Model:
    """The mirror of `convolutional_encoder`; its last transposed convolution is linear (DCEC authors' code).

    Args:
        image_shape: (height, width, channels).
        embedding_dim: units of the embedding.
        filters: filters of the encoder's three convolutions.

    Returns:
        a model: float32 (n, embedding_dim) -> float32 (n, height, width, channels).

    Raises:
        ValueError: no mirrored decoder exists for this image size.
    """
    padding = convolutional_padding(image_shape)
    height, width, channels = image_shape
    small = (height // 8, width // 8, filters[2])
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    x = layers.Dense(small[0] * small[1] * small[2], activation="relu", name="dense")(embeddings)
    x = layers.Reshape(small, name="reshape")(x)
    x = layers.Conv2DTranspose(filters[1], 3, 2, padding, activation="relu", name="deconv3")(x)
    x = layers.Conv2DTranspose(filters[0], 5, 2, "same", activation="relu", name="deconv2")(x)
    images = layers.Conv2DTranspose(channels, 5, 2, "same", name="deconv1")(x)
    return keras.Model(embeddings, images, name="decoder")


def dense_encoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    units: tuple[int, ...] = (2000, 1000, 500),
    activation: str = "relu",
    embedding_activation: str = "linear",
) -> keras.Model:
    """The encoder 784-2000-1000-500-10 of fully connected layers (document 002, section 4.2).

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


def dense_decoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    units: tuple[int, ...] = (2000, 1000, 500),
    activation: str = "relu",
) -> keras.Model:
    """The mirror of `dense_encoder`, with a sigmoid at its end (document 002, section 4.2).

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


def pooling_encoder(
    image_shape: tuple[int, int, int],
    embedding_dim: int = 10,
    filters: tuple[int, int] = (32, 64),
    activation: str = "relu",
    embedding_activation: str = "linear",
    dropout: float = 0.25,
) -> keras.Model:
    """Convolutions with pooling and dropout, as document 002's abstract and conclusion describe, without sizes.

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
    _require_quarters(image_shape)
    x = images = keras.Input(image_shape, name="images")
    for i, n in enumerate(filters, 1):
        x = layers.Conv2D(n, 3, padding="same", activation=activation, name=f"conv{i}")(x)
        x = layers.MaxPooling2D(name=f"pool{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    embeddings = layers.Dense(embedding_dim, activation=embedding_activation, name="embedding")(x)
    return keras.Model(images, embeddings, name="encoder")


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
    _require_quarters(image_shape)
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


def _require_quarters(image_shape) -> None:
    if image_shape[0] % 4 or image_shape[1] % 4:
        raise ValueError(f"height and width must be multiples of 4; received {image_shape[0]}x{image_shape[1]}")
