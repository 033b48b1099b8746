"""Which image sizes a network takes."""

from __future__ import annotations


def require_multiples(image_shape: tuple[int, int, int], of: int) -> None:
    """Refuse an image whose sides a network's poolings or strides cannot halve and double again; raises ValueError."""
    if image_shape[0] % of or image_shape[1] % of:
        received = f"{image_shape[0]}x{image_shape[1]}"
        raise ValueError(f"height and width (SIZE) must be multiples of {of}; received {received}")
