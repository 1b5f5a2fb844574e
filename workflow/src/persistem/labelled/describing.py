"""The description of a real micrograph: what its labels are learned from, and what its map is made of.

The camera sets gain, offset and noise, and the specimen's thickness the contrast, so numbers of one image are not those
of the next. Each block therefore counts relative to the image: less its mean over the image's windows, over their
standard deviation. ``intensity`` and ``filters`` are relative by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.descriptors import windows
from persistem.descriptors.windows.filters import level
from persistem.errors import PersistemError
from persistem.model.bundle import DESCRIPTIONS
from persistem.store.files import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from persistem.reading import Image
    from persistem.study import Windows

    Blocks = dict[str, NDArray[np.float32]]

#: Bundles of models state it too, as a model takes images for nothing but their descriptions.
VERSION = DESCRIPTIONS
#: Blocks that are relative to their image as they are described.
RELATIVE = ("intensity", "filters")
#: What the names of arrays in a file begin with.
BLOCK, USUAL = "block:", "usual:"
#: Windows at either end, by a feature, that have no part in its mean and standard deviation over the image.
EXTREME = 0.02
#: A feature that varies less than this over an image is not scaled up.
LEAST = 1e-3


class Described(NamedTuple):
    """An image's windows on a grid: their centres are ``step`` pixels apart, from the image's first pixel on.

    Blocks (rows, columns, length) as they are described, not relative; of each, ``usual`` (2, length), the mean and the
    standard deviation over the image's valid windows without the ``EXTREME`` ones; whether a window is ``valid``, and
    its ``mean`` (rows, columns). ``relief`` is how much the brightness changes from place to place, over the median
    deviation within a window: neither gain nor offset changes it. ``shape`` is the image's at the ``sampling`` (Å) of
    its windows, which are ``size`` pixels wide; its own pixels are ``pixel_size`` Å.
    """

    blocks: Mapping[str, NDArray[np.float32]]
    usual: dict[str, NDArray[np.float64]]
    valid: NDArray[np.bool_]
    mean: NDArray[np.float64]
    relief: float
    shape: tuple[int, int]
    sampling: float
    step: int
    size: int
    pixel_size: float


def describe(
    image: Image,
    wanted: Windows,
    stride: float,
    blocks: Iterable[str],
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Described:
    """Describe the windows about the places of an image, ``stride`` Å apart.

    The image is mirrored beyond its edges by half a window, so that every place has a window. Raises PersistemError as
    ``check`` does, or if no window shows anything.
    """
    check(image, wanted)
    assert image.pixel_size is not None
    side = windows.side(wanted)
    step = windows.step(wanted, stride)
    try:
        pixels = windows.resample(image.pixels, image.pixel_size, wanted.sampling)
        mirrored = np.pad(pixels, (side // 2, (side - 1) // 2), mode="reflect")
        found = windows.describe_windows(mirrored, wanted, step, {"contrast", *blocks}, jobs, progress)
    except PersistemError as error:
        raise PersistemError(f"{image.path}: {error}") from error
    if not found.valid.any():
        raise PersistemError(f"{image.path}: no part of it shows anything: constant, saturated or not finite")
    shape = pixels.shape[0], pixels.shape[1]
    relief = _relief(pixels, found.valid, side, step)
    usual = {name: _usual(block[found.valid]) for name, block in found.blocks.items()}
    return Described(
        found.blocks, usual, found.valid, found.mean, relief, shape, wanted.sampling, step, side, image.pixel_size
    )


def check(image: Image, wanted: Windows) -> None:
    """Raise PersistemError if an image's pixel size is not known, too coarse or too fine, or a window is wider."""
    if image.pixel_size is None:
        raise PersistemError(f"{image.path}: its pixel size is not in the file; give it as pixel_size, in Å")
    try:
        windows.check_pixel_size(image.pixel_size, wanted.sampling)
    except PersistemError as error:
        raise PersistemError(f"{image.path}: {error}") from error
    shape = windows.resampled_shape(image.pixels.shape, image.pixel_size, wanted.sampling)
    if min(shape) < windows.side(wanted):
        raise PersistemError(
            f"{image.path}: it shows {' x '.join(f'{n * wanted.sampling:.3g}' for n in shape)} Å, but a window alone is"
            f" {wanted.size:g} Å wide"
        )


def _relief(pixels: NDArray[np.float32], valid: NDArray[np.bool_], side: int, step: int) -> float:
    """The deviation of brightness from place to place, over the median deviation within a valid window."""
    import cv2

    # about its mean, or an offset would take the digits that the deviation is made of
    greys = level(pixels)
    own = np.where(np.isfinite(pixels), (pixels - np.float32(greys.mean)) / np.float32(greys.deviation), 0)
    places = np.ix_(*(step * np.arange(count) for count in valid.shape))
    mean, square = (
        cv2.blur(of, (side, side), borderType=cv2.BORDER_REFLECT_101)[places][valid].astype(float)
        for of in (own, own**2)
    )
    return 1 / (float(np.median(np.sqrt(np.maximum(square - mean**2, 0)))) or 1.0)


def _usual(block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean and standard deviation (2, length) of a block (windows, length)."""
    found = np.empty((2, block.shape[1]))
    for k, column in enumerate(block.T):  # one by one: a large image has hundreds of MB of them
        known = column.astype(float)
        kept = np.clip(known, *np.quantile(known, [EXTREME, 1 - EXTREME]))
        found[:, k] = kept.mean(), kept.std()
    return found


def relative(described: Described, names: Iterable[str], places: NDArray[np.intp] | None = None) -> Blocks:
    """Blocks (rows, columns, length) by name, relative to their image; of windows that are not valid, 0.

    With the numbers of ``places``, counted along rows, blocks (places, length) of these.
    """
    found: Blocks = {}
    for name in names:
        block, valid = described.blocks[name], described.valid
        if places is not None:
            block, valid = block.reshape(-1, block.shape[-1])[places], valid.ravel()[places]
        if name not in RELATIVE:
            mean, deviation = described.usual[name]
            block = ((block - mean) / np.maximum(deviation, LEAST)).astype(np.float32)
        found[name] = np.where(valid[..., None], block, np.float32(0))
    return found


class Stored(Mapping[str, "NDArray[np.float32]"]):
    """The blocks in a file of ``write``, each read when it is asked for: those of many micrographs are large."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._path, self._names = path, names

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._names:
            raise KeyError(name)
        with np.load(self._path, allow_pickle=False) as arrays:
            block: NDArray[np.float32] = arrays[f"{BLOCK}{name}"]
        return block

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write(described: Described, out: Path) -> None:
    """Write a description as NPZ."""
    arrays: dict[str, Any] = {
        "valid": described.valid,
        "mean": described.mean,
        "relief": described.relief,
        "shape": described.shape,
        "sampling": described.sampling,
        "step": described.step,
        "size": described.size,
        "pixel_size": described.pixel_size,
    }
    arrays |= {f"{USUAL}{name}": usual for name, usual in described.usual.items()}
    arrays |= {f"{BLOCK}{name}": block for name, block in described.blocks.items()}
    with atomic(Path(out)) as part, open(part, "wb") as file:
        np.savez(file, **arrays)


def read(path: Path, stored: bool = False) -> Described:
    """The description in an NPZ file; if ``stored``, its blocks stay there."""
    path = Path(path).absolute()
    with np.load(path, allow_pickle=False) as arrays:
        names = [key.removeprefix(BLOCK) for key in arrays.files if key.startswith(BLOCK)]
        held = {key: arrays[key] for key in arrays.files if not key.startswith(BLOCK)}
    rows, columns = held["shape"].tolist()
    blocks = Stored(path, names)
    return Described(
        blocks if stored else dict(blocks),
        {name: held[f"{USUAL}{name}"] for name in names},
        held["valid"],
        held["mean"],
        shape=(rows, columns),
        **{name: held[name].item() for name in ("relief", "sampling", "step", "size", "pixel_size")},
    )
