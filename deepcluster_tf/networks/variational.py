"""The encoder and decoder of the VAE with named clusters."""

from __future__ import annotations

import keras
from keras import layers, ops

from deepcluster_tf.networks.precision import in_precision
from deepcluster_tf.networks.sizes import require_multiples


@in_precision
def variational_encoder(
    image_shape: tuple[int, int, int], z_dim: int = 10, filters: tuple[int, int] = (64, 128), units: int = 32
) -> keras.Model:
    """The encoder conv 3x3 -> conv 3x3, of stride 2 -> dense -> mean and deviation (VAE with named clusters, Figure 1).

    Args:
        image_shape: (height, width, channels), both sides multiples of 4.
        z_dim: dimensions of the latent space.
        filters: of the two convolutions.
        units: of the dense layer.

    Returns:
        a model: float32 (n, height, width, channels) in [0, 1] -> z_mean, which is linear, and z_std, which is
        positive, each float32 (n, z_dim).

    Raises:
        ValueError: a side is no multiple of 4.
    """
    require_multiples(image_shape, 4)
    x = images = keras.Input(image_shape, name="images")
    for i, n in enumerate(filters, 1):
        x = layers.Conv2D(n, 3, 2, "same", activation="leaky_relu", name=f"conv{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(units, activation="leaky_relu", name="dense")(x)
    z_mean = layers.Dense(z_dim, name="z_mean")(x)
    z_std = layers.Dense(z_dim, activation=_positive, name="z_std")(x)
    return keras.Model(images, [z_mean, z_std], name="encoder")


@in_precision
def variational_decoder(
    image_shape: tuple[int, int, int], z_dim: int = 10, filters: tuple[int, int] = (64, 128), units: int = 32
) -> keras.Model:
    """The mirror of `variational_encoder`, with a sigmoid at its end.

    Args:
        image_shape: (height, width, channels), both sides multiples of 4.
        z_dim: dimensions of the latent space.
        filters: of the encoder's two convolutions.
        units: of the first dense layer.

    Returns:
        a model: float32 (n, z_dim) -> float32 (n, height, width, channels) in (0, 1).

    Raises:
        ValueError: a side is no multiple of 4.
    """
    require_multiples(image_shape, 4)
    height, width, channels = image_shape
    small = (height // 4, width // 4, filters[1])
    z = keras.Input((z_dim,), name="z")
    x = layers.Dense(units, activation="leaky_relu", name="dense1")(z)
    x = layers.Dense(small[0] * small[1] * small[2], activation="leaky_relu", name="dense2")(x)
    x = layers.Reshape(small, name="reshape")(x)
    x = layers.Conv2DTranspose(filters[0], 3, 2, "same", activation="leaky_relu", name="deconv1")(x)
    images = layers.Conv2DTranspose(channels, 3, 2, "same", activation="sigmoid", name="deconv2")(x)
    return keras.Model(z, images, name="decoder")


def _positive(x):
    return ops.softplus(x) + 1e-6
