"""The microscope of a composite: the study's, with a larger field of view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from persistem.errors import PersistemError
from persistem.specimens.slabs import EDGE

if TYPE_CHECKING:
    from persistem.study import Imaging

#: Most pixels along a micrograph, as ``study.Imaging`` allows.
MOST = 16384


def enlarged(imaging: Imaging, field: float) -> Imaging:
    """The same microscope with a field of at least ``field`` Å, a whole number of pixels wide.

    The pixel size is the study's. There is no margin: a composite is periodic across its field, as its exit wave is.
    Raises PersistemError if a micrograph cannot have so many pixels.
    """
    size = imaging.field / imaging.pixels
    pixels = math.ceil(field / size - EDGE)
    if pixels > MOST:
        raise PersistemError(f"a field of {field:g} Å has {pixels} pixels of {size:g} Å; allowed are at most {MOST}")
    return imaging.model_copy(update={"field": pixels * size, "pixels": pixels, "margin": 0.0})
