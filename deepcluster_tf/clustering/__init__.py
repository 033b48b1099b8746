"""Clusterings of embeddings, searches among them, and what keeps them from going wrong. NumPy in, NumPy out."""

from deepcluster_tf.clustering.affinity import affinity_propagation
from deepcluster_tf.clustering.centers import initial_centers, labelled_means, refill_empty, relocate_empty
from deepcluster_tf.clustering.counting import silhouettes
from deepcluster_tf.clustering.labelled import logistic_regression, poisson, support_vectors
from deepcluster_tf.clustering.manifold import FEWEST, N2D
from deepcluster_tf.clustering.partitions import agglomerative, elbow, elbow_of, gaussian_mixture, kmeans
from deepcluster_tf.clustering.power_iteration import neighbor_graph, power_iteration, power_iteration_of
from deepcluster_tf.clustering.search import most_similar, precision_by_class

__all__ = [
    "FEWEST",
    "N2D",
    "affinity_propagation",
    "agglomerative",
    "elbow",
    "elbow_of",
    "gaussian_mixture",
    "initial_centers",
    "kmeans",
    "labelled_means",
    "logistic_regression",
    "most_similar",
    "neighbor_graph",
    "poisson",
    "power_iteration",
    "power_iteration_of",
    "precision_by_class",
    "refill_empty",
    "relocate_empty",
    "silhouettes",
    "support_vectors",
]
