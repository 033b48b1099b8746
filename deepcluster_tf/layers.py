"""Keras layers of the documents' methods."""

from __future__ import annotations

import keras
from keras import ops


def soft_assignments(embeddings, cluster_centers, alpha: float = 1.0):
    """The probability q_ij that embedding i belongs to cluster j, by Student's t (document 004, eq. 1).

    Args:
        embeddings: float (n, d), z.
        cluster_centers: float (n_clusters, d), mu.
        alpha: degrees of freedom, positive; 1 in the document.

    Returns:
        float (n, n_clusters); rows sum to 1.
    """
    differences = ops.expand_dims(embeddings, 1) - ops.expand_dims(cluster_centers, 0)
    distances = ops.sum(ops.square(differences), axis=2)
    # softmax of the kernel's logarithm: the kernel itself underflows for far points, and 0 / 0 is no assignment
    return ops.softmax(-(alpha + 1.0) / 2.0 * ops.log1p(distances / alpha), axis=1)


@keras.saving.register_keras_serializable("deepcluster_tf")
class ClusteringLayer(keras.layers.Layer):
    """Soft assignments of embeddings to trainable cluster centres (document 004, eq. 1).

    Args:
        n_clusters: number of clusters, 2 or more.
        alpha: degrees of freedom of Student's t, positive.

    Input: float (n, d), embeddings. Output: float (n, n_clusters), soft assignments.
    The weight `cluster_centers`, (n_clusters, d), is set in place by `assign`, so that the optimizer trains it.
    """

    def __init__(self, n_clusters: int, alpha: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if n_clusters < 2:
            raise ValueError(f"n_clusters must be 2 or more; received {n_clusters}")
        if not alpha > 0:
            raise ValueError(f"alpha must be positive; received {alpha}")
        self.n_clusters = n_clusters
        self.alpha = alpha

    def build(self, input_shape):
        self.cluster_centers = self.add_weight(
            name="cluster_centers", shape=(self.n_clusters, input_shape[-1]), initializer="glorot_uniform"
        )

    def call(self, embeddings):
        return soft_assignments(embeddings, self.cluster_centers, self.alpha)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n_clusters)

    def get_config(self):
        return {**super().get_config(), "n_clusters": self.n_clusters, "alpha": self.alpha}
