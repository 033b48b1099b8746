"""Target distributions and losses, in `keras.ops`: the pure functions, each named after its equation."""

from __future__ import annotations

from keras import ops


def target_distribution(q):
    """The target distribution P, which sharpens the soft assignments Q (document 004, eq. 2).

    Args:
        q: float (n, n_clusters), the soft assignments of *all* images; rows sum to 1.

    Returns:
        float (n, n_clusters); rows sum to 1. A cluster to which nothing is assigned keeps 0.
    """
    frequency = ops.sum(q, axis=0)
    weight = ops.divide_no_nan(q**2, frequency)
    return ops.divide_no_nan(weight, ops.sum(weight, axis=1, keepdims=True))


def supervised_target(p, labels):
    """The target distribution P* with the known rows set to their class (document 004, eq. 5).

    Args:
        p: float (n, n_clusters), the target distribution.
        labels: int (n,), the cluster an image is known to belong to, -1 where unknown.

    Returns:
        float (n, n_clusters): `p`, but one-hot in the rows whose label is known.
    """
    labels = ops.convert_to_tensor(labels, dtype="int32")
    return ops.where(ops.expand_dims(labels >= 0, 1), ops.one_hot(labels, p.shape[1], dtype=p.dtype), p)


def kl_divergence(p, q):
    """The clustering loss L_c = KL(P || Q) of each image (document 004, eq. 3, without the sum over i).

    Args:
        p: float (n, n_clusters), the target distribution; an entry of 0 adds exactly nothing.
        q: float (n, n_clusters), the soft assignments, positive.

    Returns:
        float (n,), 0 or more up to rounding, in nats.
    """
    tiny = 1e-7  # q is positive but may round to 0 in float32
    safe_p = ops.where(p > 0, p, 1.0)
    return ops.sum(p * (ops.log(safe_p) - ops.log(ops.maximum(q, tiny))), axis=-1)
