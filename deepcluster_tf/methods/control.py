"""The control: clustering on images scaled down, or on their principal components (document 003, "Attempt 0").

Deviations from the document:
1. It does not print the size to which it scales; here 8x8, an option.
2. It calls PCA too slow for 3,072 values and does not run it; here a randomised PCA makes it bearable.
"""

from __future__ import annotations

import keras
import numpy as np
from sklearn.decomposition import PCA

from deepcluster_tf import fitting
from deepcluster_tf.methods.base import EncodingMethod


class Control(EncodingMethod):
    """Reduces images without learning a network.

    Args:
        n_clusters: number of clusters.
        reducer: "downscale", the mean of each patch; or "pca".
        size: of the scaled image, which divides its sides; `pca` keeps as many components as that image has values.
        n_components: principal components that the mixture sees, at most the values and the images.
        assign_by: whose clusters `labels_`, `predict` and `predict_proba` give, "kmeans" or "mixture".
        n_init: starts of k-means and of the mixture.
        seed: of everything random.

    Attributes after `fit`:
        encoder_, decoder_: Keras models. kmeans_, mixture_: fitted scikit-learn estimators.
        assigners_: the same as Keras layers, by name. labels_: int64 (n,).
    """

    def __init__(
        self,
        *,
        n_clusters: int = 10,
        reducer: str = "downscale",
        size: int = 8,
        n_components: int = 50,
        assign_by: str = "kmeans",
        n_init: int = 3,
        seed: int = 0,
    ):
        self.n_clusters = n_clusters
        self.reducer = reducer
        self.size = size
        self.n_components = n_components
        self.assign_by = assign_by
        self.n_init = n_init
        self.seed = seed

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        self._require(n_clusters=(2, np.inf), size=(1, np.inf), n_components=(1, np.inf), n_init=(1, np.inf))
        self._require(seed=(0, 2**31 - 1))
        self._require_one_of("reducer", "downscale", "pca")
        self._require_one_of("assign_by", "mixture", "kmeans")

    def check(self, images: np.ndarray) -> np.ndarray:
        """Refuse settings or images out of range; returns the images as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        self.check_settings()
        images = self.checked_images(images)
        _, height, width, channels = images.shape
        if height % self.size or width % self.size:
            raise ValueError(f"the scaled size (SCALE) must divide the images' {height}x{width}; received {self.size}")
        values = self.size**2 * channels
        self._require(n_clusters=(2, len(images)))
        self.n_components = min(self.n_components, values, len(images))
        if self.reducer == "pca" and values > len(images):
            raise ValueError(
                f"{values} principal components need as many images; received {len(images)}: give more, or a smaller "
                "scaled size (SCALE)"
            )
        return images

    def _learn(self, images, directory, progress, strategy):
        self._build(images.shape[1:])
        if self.reducer == "pca":
            pixels = fitting.batched(keras.Model(self.encoder_.input, self.encoder_.get_layer("pixels").output))(images)
            found = PCA(self.encoder_.output_shape[1], svd_solver="randomized", random_state=self.seed).fit(pixels)
            self.encoder_.get_layer("components").set_weights([found.components_.T, -found.mean_ @ found.components_.T])
            self.decoder_.get_layer("pixels").set_weights([found.components_, found.mean_])

    def _build(self, image_shape):
        height, width, channels = image_shape
        values, patch = self.size**2 * channels, (height // self.size, width // self.size)
        images = keras.Input(image_shape, name="images")
        z = keras.Input((values,), name="embeddings")
        if self.reducer == "pca":
            embeddings = keras.layers.Dense(values, name="components")(keras.layers.Flatten(name="pixels")(images))
            back = keras.layers.Dense(height * width * channels, name="pixels")(z)
        else:
            embeddings = keras.layers.Flatten(name="small")(keras.layers.AveragePooling2D(patch, name="means")(images))
            back = keras.layers.Reshape((self.size, self.size, channels), name="small")(z)
            back = keras.layers.UpSampling2D(patch, name="patches")(back)
        self.encoder_ = keras.Model(images, embeddings, name="encoder")
        self.decoder_ = keras.Model(z, keras.layers.Reshape(image_shape, name="reshape")(back), name="decoder")
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()
