"""Images in grey levels, and pictures as pages hold them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Percentiles of an image that are black and white.
RANGE = (0.5, 99.5)


def ends(pixels: NDArray[Any]) -> tuple[float, float]:
    """What is black and white in a picture of an image: the percentiles ``RANGE`` of its finite pixels."""
    finite = pixels[np.isfinite(pixels)]
    low, high = np.percentile(finite, RANGE) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def grey(pixels: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Pixels as grey levels, 0 for ``low`` and 255 for ``high``; those that are not finite are black."""
    known = np.where(np.isfinite(pixels), pixels, low)
    levels: NDArray[np.uint8] = np.clip((known - low) * (255 / ((high - low) or 1)), 0, 255).round().astype(np.uint8)
    return levels


def data_url(picture: bytes, kind: str = "png") -> str:
    """A picture as it stands in a page that loads nothing."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
