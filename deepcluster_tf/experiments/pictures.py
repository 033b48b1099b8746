"""Pictures that a run keeps beside its scores, so that figures need neither the data nor the model."""

from __future__ import annotations

import numpy as np

from deepcluster_tf import fitting


def to_bytes(images: np.ndarray) -> np.ndarray:
    """uint8 images, of uint8 images or floats in 0..1; what lies outside is clipped."""
    return images if images.dtype == np.uint8 else np.uint8(np.round(255 * np.clip(images, 0, 1)))


def reconstructions(method, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
    """An image of each class beside its reconstruction, and the decoded cluster centres.

    Args:
        method: a fitted `EncodingMethod` with a decoder.
        images: (n, height, width, channels).
        classes: int (n,), -1 where unknown.

    Returns:
        "originals", "reconstructions", "centers_kmeans", "centers_mixture", uint8; "classes" int16 of the originals.
    """
    first = examples(classes)
    found = {
        "originals": images[first],
        "reconstructions": fitting.batched(method.decoder_)(method.transform(images[first])),
    }
    found |= {f"centers_{by}": centers for by, centers in method.decoded_centers().items()}
    return {**{name: to_bytes(kept) for name, kept in found.items()}, "classes": classes[first].astype(np.int16)}


def examples(classes: np.ndarray, n: int = 10) -> np.ndarray:
    """Rows to show: the first of each class, or the first n where no class is known; int (classes or n,)."""
    return np.unique(classes, return_index=True)[1] if (classes >= 0).all() else np.arange(min(n, len(classes)))
