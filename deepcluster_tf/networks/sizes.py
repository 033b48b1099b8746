"""Which image sizes a network takes."""

from __future__ import annotations


def require_quarters(image_shape: tuple[int, int, int]) -> None:
    """Refuse an image whose sides two poolings, or two strides, cannot halve; raises ValueError."""
    if image_shape[0] % 4 or image_shape[1] % 4:
        raise ValueError(f"height and width must be multiples of 4; received {image_shape[0]}x{image_shape[1]}")
