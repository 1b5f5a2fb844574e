"""Maps: where on a micrograph which state is, how sure that is, and where the model should not be believed."""

from __future__ import annotations

from persistem.maps.files import write
from persistem.maps.mapping import Map, map_image

__all__ = ["Map", "map_image", "write"]
