"""Encoders and decoders, built as Keras functional models; a file a kind.

Each builder takes the shape of one image (height, width, channels) and returns a model that maps float images
in [0, 1] to embeddings, or embeddings back to images. Nothing here knows a loss, a data set or a method.
"""

from __future__ import annotations

import keras
from keras import ops

from deepcluster_tf.networks.convolutional import convolutional_decoder, convolutional_encoder, convolutional_padding
from deepcluster_tf.networks.dense import dense_decoder, dense_encoder
from deepcluster_tf.networks.pooling import pooling_decoder, pooling_encoder
from deepcluster_tf.networks.precision import POLICIES, mixed, precision, to_float32
from deepcluster_tf.networks.pretrained import (
    backbone,
    own_backbone,
    package_of,
    require_backbone,
    require_colours,
    require_network,
)
from deepcluster_tf.networks.residual import residual_decoder, residual_encoder
from deepcluster_tf.networks.sizes import require_multiples
from deepcluster_tf.networks.strided import projector, sobel, strided_encoder
from deepcluster_tf.networks.variational import variational_decoder, variational_encoder

__all__ = [
    "POLICIES",
    "backbone",
    "convolutional_decoder",
    "convolutional_encoder",
    "convolutional_padding",
    "dense_decoder",
    "dense_encoder",
    "mixed",
    "own_backbone",
    "package_of",
    "pooling_decoder",
    "pooling_encoder",
    "precision",
    "projector",
    "require_backbone",
    "require_colours",
    "require_multiples",
    "require_network",
    "residual_decoder",
    "residual_encoder",
    "sobel",
    "strided_encoder",
    "to_float32",
    "to_unit",
    "variational_decoder",
    "variational_encoder",
]


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
