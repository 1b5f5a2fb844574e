"""Windows that slide over a micrograph, and the numbers that describe them; the same in training and on a map."""

from persistem.windows.description import Description, describe, side, step, strips
from persistem.windows.pairs import Pairs, pairs_of_image
from persistem.windows.sampling import resample
from persistem.windows.sums import contributions

#: Raised when descriptions change for the same windows.
VERSION = 1

__all__ = ["Description", "Pairs", "contributions", "describe", "pairs_of_image", "resample", "side", "step", "strips"]
