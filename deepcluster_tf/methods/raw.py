"""Clustering on the pixels themselves: k-means and a Gaussian mixture, without any encoding (document 002).

Deviations from the document:
1. Its section 3.7 says that a mixture over 784 dimensions "would require heavy computation": here the mixture is fitted
   to the first 50 principal components, which makes its cost bearable. k-means sees every pixel.
2. The document does not say of how many starts its k-means is the best. Here of 50, because clusterings of nearly the
   least inertia differ in their purity and few starts find the lowest; the mixture is the best of 10.
"""

from __future__ import annotations

import keras
import numpy as np

from deepcluster_tf import fitting
from deepcluster_tf.methods.base import EncodingMethod


class Raw(EncodingMethod):
    """k-means on pixels, and a Gaussian mixture on their principal components.

    Args:
        n_clusters: number of clusters.
        n_components: principal components that the mixture sees.
        assign_by: whose clusters `labels_`, `predict` and `predict_proba` give, "kmeans" or "mixture".
        n_init: starts of k-means; the mixture, whose starts take longer, has a fifth of them.
        seed: of the starts.

    Attributes after `fit`:
        kmeans_, mixture_, pca_: fitted scikit-learn estimators. assigners_: the same as Keras layers, by name.
        labels_: int64 (n,).
    """

    keeps_embeddings = False  # they are the pixels
    starts_a_mixture = 5

    def __init__(
        self,
        *,
        n_clusters: int = 10,
        n_components: int = 50,
        assign_by: str = "kmeans",
        n_init: int = 50,
        seed: int = 0,
    ):
        self.n_clusters = n_clusters
        self.n_components = n_components
        self.assign_by = assign_by
        self.n_init = n_init
        self.seed = seed

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        self._require(n_clusters=(2, np.inf), n_components=(1, np.inf), n_init=(1, np.inf), seed=(0, 2**31 - 1))
        self._require_one_of("assign_by", "mixture", "kmeans")

    def check(self, images: np.ndarray) -> np.ndarray:
        """Refuse settings or images out of range; returns the images as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        self.check_settings()
        images = self.checked_images(images)
        self._require(n_clusters=(2, len(images)), n_components=(1, min(len(images), int(np.prod(images.shape[1:])))))
        return images

    def _learn(self, images, directory, progress, strategy):
        self._build(images.shape[1:])

    def _build(self, image_shape):
        images = keras.Input(image_shape, name="images")
        pixels = keras.layers.Flatten(name="pixels")(images)
        self.encoder_ = keras.Model(images, pixels, name="encoder")
        back = keras.Input(pixels.shape[1:], name="pixels")
        self.decoder_ = keras.Model(back, keras.layers.Reshape(image_shape)(back), name="decoder")
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()
