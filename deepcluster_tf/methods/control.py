"""The control: clustering on images scaled down, or on their principal components (Schultz, "Attempt 0").

Deviations from the paper:
1. It does not print the size to which it scales; here 8x8, an option.
2. It calls PCA too slow for 3,072 values and does not run it; here a randomised PCA makes it bearable.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from sklearn.decomposition import PCA

from deepcluster_tf import fitting
from deepcluster_tf.methods.base import EncodingMethod
from deepcluster_tf.methods.base.given import require_in_memory
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class Control(EncodingMethod):
    """Reduces images without learning a network.

    Attributes after `fit`:
        encoder_, decoder_: Keras models. kmeans_, mixture_: fitted scikit-learn estimators.
        assigners_: the same as Keras layers, by name. labels_: int64 (n,).
    """

    n_clusters: int = setting(10, "number of clusters", low=2)
    reducer: str = setting("downscale", "the mean of each patch, or principal components", choices=("downscale", "pca"))
    size: int = setting(
        8, "side of the scaled image, which divides the images'; pca keeps as many components as it has values", low=1
    )
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=1
    )
    assign_by: str = setting("kmeans", "whose clusters `predict` gives", choices=("mixture", "kmeans"))
    n_init: int = setting(3, "starts of k-means and of the mixture", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)

    def _check(self, images):
        if self.reducer == "pca":
            require_in_memory(images)
        _, height, width, channels = images.shape
        if height % self.size or width % self.size:
            raise ValueError(f"the scaled size (SCALE) must divide the images' {height}x{width}; received {self.size}")
        values = self.size**2 * channels
        if self.reducer == "pca" and values > len(images):
            raise ValueError(
                f"{values} principal components need as many images; received {len(images)}: give more, or a smaller "
                "scaled size (SCALE)"
            )

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
