"""Clustering on the pixels themselves, without any encoding: k-means, a Gaussian mixture, or UMAP before it (Akula).

Deviations from the paper:
1. Its section 3.7 says that a mixture over 784 dimensions "would require heavy computation": here the mixture is fitted
   to the first 50 principal components, which makes its cost bearable. k-means sees every pixel.
2. The paper does not say of how many starts its k-means is the best. Here of 50, because clusterings of nearly the
   least inertia differ in their purity and few starts find the lowest; the mixture is the best of 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from deepcluster_tf import fitting
from deepcluster_tf.methods.base import EncodingMethod
from deepcluster_tf.methods.base.given import require_in_memory
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class Raw(EncodingMethod):
    """k-means on pixels, and a Gaussian mixture on their principal components.

    Attributes after `fit`:
        kmeans_, mixture_, pca_: fitted scikit-learn estimators. assigners_: the same as Keras layers, by name.
        labels_: int64 (n,).
    """

    keeps_embeddings = False  # they are the pixels
    starts_a_mixture = 5

    n_clusters: int = setting(10, "number of clusters", low=2)
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=1
    )
    assign_by: str = setting("kmeans", "whose clusters `predict` gives", choices=("mixture", "kmeans"))
    n_init: int = setting(50, "starts of k-means; the mixture, whose starts take longer, has a fifth of them", low=1)
    seed: int = setting(0, "of the starts", low=0, high=2_147_483_647)

    def _check(self, images):
        require_in_memory(images)

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
