"""Windows that slide over a micrograph, and the numbers that describe them; the same in training and on a map."""

from persistem.descriptors.windows.description import Description, describe_windows, lengths, side, step, strips
from persistem.descriptors.windows.pairs import pair_table
from persistem.descriptors.windows.sampling import (
    check_pixel_size,
    forget,
    nearest_pixels,
    resample,
    resampled_shape,
)

#: Bump when this stage's results change for the same study.
VERSION = 2

__all__ = [
    "VERSION",
    "Description",
    "check_pixel_size",
    "describe_windows",
    "forget",
    "lengths",
    "nearest_pixels",
    "pair_table",
    "resample",
    "resampled_shape",
    "side",
    "step",
    "strips",
]
