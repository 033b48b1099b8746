"""The convolutional autoencoder of SDCEC: strides for pooling."""

from __future__ import annotations

import keras
from keras import layers

from deepcluster_tf.networks.precision import in_precision


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


@in_precision
def convolutional_encoder(
    image_shape: tuple[int, int, int], embedding_dim: int = 10, filters: tuple[int, int, int] = (32, 64, 128)
) -> keras.Model:
    """The encoder conv 5x5 -> conv 5x5 -> conv 3x3 -> dense, all of stride 2 (SDCEC, section 5).

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


@in_precision
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
