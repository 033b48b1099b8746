"""Target distributions and losses, in `keras.ops`: the pure functions, each named after its equation."""

from __future__ import annotations

import keras
from keras import ops

ROUNDS = 50  # of scaling a target distribution: its columns are even then to a hundredth or two


def target_distribution(q):
    """The target distribution P, which sharpens the soft assignments Q (SDCEC, eq. 2).

    Args:
        q: float (n, n_clusters), the soft assignments of *all* images; rows sum to 1.

    Returns:
        float (n, n_clusters); rows sum to 1. A cluster to which nothing is assigned keeps 0.
    """
    frequency = ops.sum(q, axis=0)
    weight = ops.divide_no_nan(q**2, frequency)
    return ops.divide_no_nan(weight, ops.sum(weight, axis=1, keepdims=True))


def even_target(q):
    """A target distribution whose clusters weigh the same: Q squared, scaled to it (Sinkhorn and Knopp, 1967).

    `target_distribution` divides by the weights of the clusters once; here until they are even.

    Args:
        q: float (n, n_clusters), the soft assignments of *all* images; rows sum to 1.

    Returns:
        float (n, n_clusters); rows sum to 1, columns nearly to n / n_clusters. A cluster to which nothing is assigned
        keeps 0.
    """
    p = q**2
    for _ in range(ROUNDS):
        p = ops.divide_no_nan(p, ops.sum(p, axis=0))
        p = ops.divide_no_nan(p, ops.sum(p, axis=1, keepdims=True))
    return p


def supervised_target(p, labels):
    """The target distribution P* with the known rows set to their class (SDCEC, eq. 5).

    Args:
        p: float (n, n_clusters), the target distribution.
        labels: int (n,), the cluster an image is known to belong to, -1 where unknown.

    Returns:
        float (n, n_clusters): `p`, but one-hot in the rows whose label is known.
    """
    labels = ops.convert_to_tensor(labels, dtype="int32")
    return ops.where(ops.expand_dims(labels >= 0, 1), ops.one_hot(labels, p.shape[1], dtype=p.dtype), p)


def kl_divergence(p, q):
    """The clustering loss L_c = KL(P || Q) of each image (SDCEC, eq. 3, without the sum over i).

    Args:
        p: float (n, n_clusters), the target distribution; an entry of 0 adds exactly nothing.
        q: float (n, n_clusters), the soft assignments, positive.

    Returns:
        float (n,), 0 or more up to rounding, in nats.
    """
    tiny = 1e-7  # q is positive but may round to 0 in float32
    safe_p = ops.where(p > 0, p, 1.0)
    return ops.sum(p * (ops.log(safe_p) - ops.log(ops.maximum(q, tiny))), axis=-1)


def binary_cross_entropy(images, reconstructions):
    """The reconstruction loss of each image: binary cross-entropy summed over pixels (VAE with named clusters, eq. 1).

    Args:
        images: float (n, height, width, channels), x in 0..1.
        reconstructions: float, the same shape, in 0..1.

    Returns:
        float (n,), in nats; finite where a reconstruction is exactly 0 or 1.
    """
    pixels = keras.losses.binary_crossentropy(images, reconstructions)  # the mean over the channels
    return ops.sum(pixels, axis=(1, 2)) * images.shape[-1]


def kl_standard_normal(z_mean, z_std):
    """KL(N(z_mean, z_std^2) || N(0, I)) of each image, in closed form (VAE with named clusters, eq. 1).

    Args:
        z_mean, z_std: float (n, z_dim); deviations are positive.

    Returns:
        float (n,), 0 or more, in nats.
    """
    return 0.5 * ops.sum(ops.square(z_mean) + ops.square(z_std) - 1.0 - 2.0 * ops.log(z_std), axis=-1)


def cross_entropy(labels, probabilities):
    """The classification loss of each image, -ln y_label (VAE with named clusters, eq. 3, before the weight w).

    Args:
        labels: int (n,), the class given to an image; any class where the image's weight is 0.
        probabilities: float (n, n_classes), rows sum to 1.

    Returns:
        float (n,), in nats.
    """
    return keras.losses.sparse_categorical_crossentropy(labels, probabilities)


def matching_cross_entropy(_, similarities):
    """Cross-entropy over a matrix of all similarities in a batch, whose diagonal are the pairs (Schultz, end).

    The paper asks for a better-behaved loss than its own; this is the one of contrastive methods, symmetric as in
    CLIP: each view has to find its partner among the others, and each partner its view.

    Args:
        _: not used; the pairs are on the diagonal.
        similarities: float (n, n), of view i and view j, divided by the temperature.

    Returns:
        float (n,), in nats; ln n where all similarities are alike.
    """
    forth, back = (ops.diagonal(ops.log_softmax(similarities, axis=axis)) for axis in (1, 0))
    return -(forth + back) / 2


def nt_xent(_, similarities):
    """Cross-entropy of each view's partner among all 2n - 1 other views of a batch (SimCLR, eq. 1).

    Args:
        _: not used.
        similarities: float (n, 2, 2n), divided by the temperature: of the first and of the second view of image i with
            the first views of all images and then their second ones; that of a view with itself is to be passed over.

    Returns:
        float (n,), in nats: the mean of both views; ln(2n - 1) where all similarities are alike.
    """
    n = ops.shape(similarities)[0]
    first, second = ops.eye(n, dtype=similarities.dtype), ops.zeros((n, n), dtype=similarities.dtype)
    itself = ops.stack([ops.concatenate(pair, axis=1) for pair in ((first, second), (second, first))], axis=1)
    log_p = ops.log_softmax(similarities - 1e9 * itself, axis=-1)
    partner = ops.flip(itself, axis=1)
    return -ops.sum(log_p * partner, axis=(1, 2)) / 2


def neighbor_consistency(p, neighbors):
    """How little an image and its neighbour agree, -ln <p, p'> (SCAN, eq. 2, first term).

    Args:
        p: float (..., n_clusters), the soft assignments of images; rows sum to 1.
        neighbors: float, the same shape, those of a neighbour of each.

    Returns:
        float (...,), 0 or more, in nats; 0 where both are sure of the same cluster.
    """
    return -ops.log(ops.maximum(ops.sum(p * neighbors, axis=-1), 1e-8))


def mean_entropy(p):
    """The entropy of the mean assignment of a batch (SCAN, eq. 2, second term, without its sign).

    Args:
        p: float (n, ..., n_clusters), soft assignments; rows sum to 1.

    Returns:
        float (...,), 0 to ln n_clusters, in nats; 0 where all images are in one cluster.
    """
    mean = ops.mean(p, axis=0)
    return -ops.sum(mean * ops.log(ops.maximum(mean, 1e-8)), axis=-1)
