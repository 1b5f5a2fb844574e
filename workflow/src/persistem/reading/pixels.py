"""Pixels of an image: real, finite, not constant, and never more than the file can hold."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from persistem.errors import Setting
from persistem.reading.found import BadImage, Found

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Most pixels of one image.
MOST_PIXELS = 20_000 * 20_000
#: Most frames of a file: each is checked, and mapped by itself.
MOST_FRAMES = 10_000
#: How many times larger than its file an image may become when decompressed, and the bytes that are always allowed.
EXPANSION, ALWAYS = 64, 16 * 2**20
#: Fewest rows and columns.
FEWEST = 16
#: The channels of a coloured pixel.
RGB = ("R", "G", "B")
#: Bytes of a data set held in memory; a larger one that is not a plain part of its file goes to a temporary file.
IN_MEMORY = 512 * 2**20


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logs of libraries: an exception says once what is wrong with a file."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def one_line(error: BaseException) -> str:
    """An exception as part of a sentence."""
    text = " ".join(str(error).split())
    plain = "".join(letter for letter in text if letter.isprintable())
    return f"{type(error).__name__}: {plain[:160]}" if plain else type(error).__name__


def fits(shape: tuple[int, ...], dtype: Any, size: int, compressed: bool) -> None:
    """Refuse an array before anything is allocated for it.

    ``shape`` (…, rows, columns) and ``dtype`` come from a header; ``size`` is the bytes of the file, or of its
    part from where the data begin. Raises BadImage.
    """
    rows, columns = shape[-2:]
    if rows * columns > MOST_PIXELS:
        raise BadImage(f"it declares {columns} x {rows} px; up to 20000 x 20000 can be read")
    declared = math.prod(shape) * np.dtype(dtype).itemsize
    if not compressed and declared > size:
        raise BadImage(f"truncated: {declared} bytes of pixels are declared, but only {max(size, 0)} are there")
    unpacks(declared, size)


def unpacks(declared: int, size: int) -> None:
    """Refuse more bytes than a file of ``size`` bytes can hold, however packed; raises BadImage."""
    if declared > max(EXPANSION * size, ALWAYS):
        raise BadImage(
            f"it declares {declared} bytes of pixels in a file of {size}, more than {EXPANSION} times as many"
        )


def countable(frames: int) -> None:
    """Refuse more frames than can be read; raises BadImage."""
    if frames > MOST_FRAMES:
        raise BadImage(f"it holds {frames} frames; up to {MOST_FRAMES} can be read: cut it into parts")


def held(shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse pixels that have to be in memory all at once, and are too many for it; raises BadImage."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > IN_MEMORY:
        raise BadImage(
            f"{size / 2**20:.0f} MiB of pixels that can only be unpacked together; up to {IN_MEMORY // 2**20} MiB can"
            " be read: save it as an uncompressed grey TIFF"
        )


def in_file(file: IO[bytes], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array in an open file; OSError if the disk has no room for it, of which a memmap would die later."""
    os.posix_fallocate(file.fileno(), 0, max(1, math.prod(shape) * np.dtype(dtype).itemsize))
    return np.memmap(file, dtype=dtype, mode="r+", shape=shape)


def coloured(channels: NDArray[Any]) -> NDArray[Any]:
    """Channels (…, 3 or more), red, green and blue first, as one array of pixels with the fields R, G, B, as ``frames``
    takes them; raises BadImage if they are too many."""
    held((*channels.shape[:-1], len(RGB)), channels.dtype)
    pixels = np.empty(channels.shape[:-1], [(name, channels.dtype) for name in RGB])
    for k, name in enumerate(RGB):
        pixels[name] = channels[..., k]
    return pixels


def frames(found: Found, grey: bool = False) -> Iterator[NDArray[Any] | BadImage]:
    """Every frame of a data set, (rows, columns); for a bad frame of a stack, what is wrong with it.

    Pixels with the fields R, G and B are a grey image if all three are equal; if they are not, ``grey`` takes their
    mean, as ImageJ does, and ``found.facts["colour"]`` says so; without it they are a colour image.

    Raises BadImage if the data are neither an image nor a stack of images.
    """
    data, axes = _squeezed(found)
    shape, dtype = tuple(int(size) for size in data.shape), np.dtype(data.dtype)
    rgb = dtype.names is not None and set(RGB) <= set(dtype.names)
    if rgb:
        dtype = dtype[RGB[0]]
    if dtype.kind == "c":
        raise BadImage("complex numbers, such as a Fourier transform, not an image")
    if dtype.kind not in "iufb":
        raise BadImage(f"holds {dtype}, not numbers")
    if len(shape) not in (2, 3):
        raise BadImage(f"{len(shape)}-dimensional data, neither an image nor a stack of images")
    if min(shape[-2:]) < FEWEST or 0 in shape:
        size = " x ".join(str(size) for size in shape[::-1][:2])
        raise BadImage(f"{size} px, but a micrograph has {FEWEST} rows and columns or more")
    if sum(not axis.get("navigate", False) for axis in axes) not in (0, 2) and len(shape) == 3:
        raise BadImage("spectra at points, not images")
    countable(shape[0] if len(shape) == 3 else 1)
    spilled = None
    if math.prod(shape) * dtype.itemsize > IN_MEMORY and not isinstance(data, np.ndarray):
        with tempfile.TemporaryFile() as file:  # one for all frames: a memmap keeps its file open
            spilled = in_file(file, shape, np.float32 if dtype == np.float16 else dtype)
    for index in range(shape[0]) if len(shape) == 3 else (None,):
        pixels = data if index is None else data[index]
        try:
            pixels = _plain(_grey(found, np.asarray(pixels), grey) if rgb else pixels)
            if spilled is not None:
                kept = spilled if index is None else spilled[index]
                kept[:] = pixels
                pixels = kept
            _check(pixels, "" if index is None else f"frame {index}: ")
        except BadImage as error:
            if index is None:
                raise
            yield error  # a closed shutter spoils one frame, not the others
        else:
            yield pixels


def _grey(found: Found, pixels: NDArray[Any], grey: bool) -> NDArray[Any]:
    """The red channel if green and blue are equal to it; else the mean, rounded if the channels are whole numbers.

    Raises BadImage unless ``grey`` asks for the mean.
    """
    red, green, blue = (pixels[name] for name in RGB)
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)
    if not grey:
        raise BadImage(
            "a colour image (RGB), but a micrograph is grey; ", Setting("grey"), " takes the mean of its channels"
        )
    found.facts["colour"] = "the mean of its channels was taken"
    mean: NDArray[Any] = (red.astype(np.float64) + green + blue) / 3
    if red.dtype.kind in "iu":
        mean = np.rint(mean)
    return mean.astype(red.dtype)


def _squeezed(found: Found) -> tuple[Any, list[dict[str, Any]]]:
    """Data and axes without the leading axes of length 1; TIFF and HDF5 have them."""
    data, axes = found.data, list(found.axes)
    extra = max(len(data.shape) - 2, 0)
    keep = [k for k, size in enumerate(data.shape) if size != 1 or k >= extra]
    axes = [axes[k] for k in keep] if len(axes) == len(data.shape) else axes
    if len(keep) < len(data.shape):
        data = data[tuple(slice(None) if k in keep else 0 for k in range(len(data.shape)))]
    return data, axes


def _plain(data: Any) -> NDArray[Any]:
    """One frame as a numpy array: the file's own bytes if possible."""
    pixels = data if isinstance(data, np.ndarray) else np.asarray(data)
    if pixels.dtype.kind == "b":
        pixels = pixels.view(np.uint8)
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    return pixels


def _check(pixels: NDArray[Any], where: str) -> None:
    """Refuse pixels that are not finite, or all the same; checked some rows at a time."""
    step = max(1, 2**22 // pixels.shape[1])
    low, high, wrong = math.inf, -math.inf, 0
    for start in range(0, pixels.shape[0], step):
        part = pixels[start : start + step]
        if pixels.dtype.kind == "f":
            finite = np.isfinite(part)
            wrong += part.size - int(finite.sum())
            part = part[finite]
        if part.size:
            low, high = min(low, part.min().item()), max(high, part.max().item())
    if wrong:
        raise BadImage(f"{where}{wrong} of {pixels.size} pixels are not finite numbers (NaN or infinite)")
    if low == high:
        raise BadImage(f"{where}every pixel is {low:g}: a constant image shows nothing")
