"""What the methods share that see images through a pretrained network that stays as it is."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from sklearn.base import clone

from deepcluster_tf import fitting, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.base import parts
from deepcluster_tf.methods.base.encoding import EncodingMethod
from deepcluster_tf.methods.base.given import Images
from deepcluster_tf.methods.base.method import FEW


class BackboneMethod(EncodingMethod):
    """Base of the methods with a frozen backbone, whose features are made once and shared by all fits to the images.

    A subclass has the settings `backbone` and `backbone_side`, and its `_learn` calls `_make_features`.
    """

    _kept = ("_own_backbone",)

    _own_backbone = None  # a Keras model in place of a named one

    _features_of = None  # the digest of the images whose features are kept

    @property
    def packages(self) -> list[str]:
        """The package with the backbone's weights, unless Keras downloads them."""
        package = networks.package_of(self.backbone)
        return [package] if package else []

    @property
    def images_a_step(self) -> int:
        """As of every method; a frozen backbone sees fewer at a time than heads see features."""
        return super().images_a_step if self.backbone == "none" else FEW

    def with_backbone(self, network: keras.Model) -> BackboneMethod:
        """Take any Keras model in the place of a named backbone, for `fit` and `load`; returns self.

        Args:
            network: float32 images (n, height, width, 1 or 3) in [0, 1] -> features (n, d), or maps of them; it is
                copied, and stays as it is. The setting `backbone` becomes "own".

        Raises:
            ValueError: it is no such model.
        """
        networks.require_network(network)
        self._own_backbone, self.backbone = network, "own"
        return self

    @property
    def _own(self) -> keras.Model | None:
        """The user's network, where the setting says that it is seen through: another name may have been set since."""
        return self._own_backbone if self.backbone == "own" else None

    def _require_backbone(self) -> None:
        if self._own is None:
            networks.require_backbone(self.backbone)

    def _build_backbone(self, image_shape, pretrained: bool) -> keras.Model:
        if self._own is not None:
            return networks.own_backbone(self._own, image_shape, self.backbone_side)
        return networks.backbone(self.backbone, image_shape, self.backbone_side, pretrained=pretrained)

    def to_count(self, images: np.ndarray, shared: Path, progress: bool) -> tuple[str, np.ndarray]:
        """The features of a frozen backbone; without one, as every method has it."""
        if self.backbone == "none":
            return super().to_count(images, shared, progress)
        self._shared = shared
        return self._place.name, np.float32(self._make_features(images, progress))

    def _make_features(self, images: np.ndarray, progress: bool) -> np.ndarray:
        """Features, float16 (n, d), of the images: those kept on disk, or made now."""
        self.encoder_ = self._build_backbone(images.shape[1:], pretrained=True)
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
        which = self.backbone
        if self._own is not None:
            which += f"-{parts.describe(self._own)[:8]}"  # the same weights may be of other layers
        return self._shared and self._shared / f"{which}-{self.backbone_side or 'native'}"

    def __sklearn_clone__(self):
        """What scikit-learn's `clone` gives: one of the same settings and the same backbone, not fitted."""
        new = type(self)(**{name: clone(value, safe=False) for name, value in self.get_params().items()})
        new._own_backbone = self._own_backbone
        return new

    def __getstate__(self):
        return {**super().__getstate__(), "network": self._own_backbone}

    def __setstate__(self, state):
        self._own_backbone = state["network"]
        super().__setstate__(state)

    def transform(self, images: Images) -> np.ndarray:
        """Features, float32 (n, d), of images (n, height, width, channels); as kept, of those that it was fitted to."""
        images = self._given(images)
        if self._features_of and len(images) == len(self.features_) and checkpoints.digest(images) == self._features_of:
            return np.float32(self.features_)
        return super().transform(images)
