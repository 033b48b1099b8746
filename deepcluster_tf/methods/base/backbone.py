"""What the methods share that see images through a pretrained network that stays as it is."""

from __future__ import annotations

import numpy as np

from deepcluster_tf import fitting, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.base.encoding import EncodingMethod


class BackboneMethod(EncodingMethod):
    """Base of the methods with a frozen backbone, whose features are made once and shared by all fits to the images.

    A subclass has the settings `backbone` and `backbone_side`, and its `_learn` calls `_make_features`.
    """

    _features_of = None  # the digest of the images whose features are kept

    @property
    def packages(self) -> list[str]:
        """The package with the backbone's weights, unless Keras downloads them."""
        package = networks.package_of(self.backbone)
        return [package] if package else []

    def _make_features(self, images: np.ndarray, progress: bool) -> np.ndarray:
        """Features, float16 (n, d), of the images: those kept on disk, or made now."""
        self.encoder_ = networks.backbone(self.backbone, images.shape[1:], self.backbone_side)
        self._embed = fitting.batched(self.encoder_, fitting.STEP)
        self._features_of = checkpoints.digest(images)
        made_of = {"backbone": self.backbone, "side": self.backbone_side, "images": self._features_of}
        self.features_ = fitting.kept_features(
            self._embed, images, self.encoder_.output_shape[1], self._place, made_of, progress
        )
        return self.features_

    @property
    def _place(self):
        """The folder of what all fits with this backbone have in common; None where nothing is kept."""
        return self._shared and self._shared / f"{self.backbone}-{self.backbone_side or 'native'}"

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Features, float32 (n, d), of images (n, height, width, channels); as kept, of those that it was fitted to."""
        if self._features_of and len(images) == len(self.features_) and checkpoints.digest(images) == self._features_of:
            return np.float32(self.features_)
        return super().transform(images)
