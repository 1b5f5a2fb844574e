"""Crops: a micrograph as 8-bit grey levels, cut into the small images whose diagrams are computed.

The paper cuts 256 x 256 px from 1024 x 1024 px, and converts 16-bit micrographs to 8 bit with OpenCV's contrast
limited adaptive histogram equalisation. Two other conversions show how much of a result is contrast: a window of
absolute intensity that is the same for all micrographs, and crops standardised one by one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.detector import detected
from persistem.imaging.micrographs import calibration, read_micrograph
from persistem.store.files import atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.study import Clahe, Crops, Detector, MinMax, Recipe, Standardised, Window

    Conversion = Clahe | MinMax | Window | Standardised

#: Bump when this stage's results change for the same study.
VERSION = 1

SMALLEST = 8  # px; the side of the smallest crop
FEWEST = 100  # electrons on a crop in vacuum: its mean intensity is then known to 10 %


def positions(shape: tuple[int, ...], crops: Crops) -> NDArray[Any]:
    """Row and column of the first pixel of every crop: (n, 2) int; row by row, or ``crops.random`` at random places.

    Raises PersistemError if a micrograph of ``shape`` (rows, columns) holds no crop.
    """
    if min(shape) < crops.size:
        raise PersistemError(
            f"crops.size = {crops.size} px, but the micrograph has {shape[0]} x {shape[1]} px: a crop must fit in it"
        )
    if crops.random is not None:
        rng = np.random.default_rng(crops.seed)
        return rng.integers(0, [side - crops.size + 1 for side in shape], (crops.random, 2))
    rows, columns = (np.arange(0, side - crops.size + 1, crops.stride) for side in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def number(side: int, crops: Crops) -> int:
    """Number of crops of a micrograph with this side (px); 0 if none fits."""
    if crops.random is not None and side >= crops.size:
        return crops.random
    return max(0, (side - crops.size) // crops.stride + 1) ** 2


def check_detector(detector: Detector, crops: Crops, shape: tuple[int, ...], pixel_size: float) -> None:
    """Raise PersistemError if a detector's pixels do not fit micrograph and crops, or count next to nothing.

    ``shape`` (rows, columns), ``pixel_size`` (Å) and the crops' size and stride are before binning.
    """
    binning, dose = detector.binning, detector.dose
    sides = [("imaging.pixels", side) for side in shape]
    sides += [("crops.size", crops.size), *([("crops.stride", crops.stride)] if crops.random is None else [])]
    for name, side in sides:
        if side % binning:
            raise PersistemError(f"detector.binning = {binning}: {name} = {side} px must be a multiple of it")
    if crops.size // binning < SMALLEST:
        raise PersistemError(
            f"detector.binning = {binning}: crops.size = {crops.size} px becomes {crops.size // binning} px;"
            f" allowed is at most {crops.size // SMALLEST}, which leaves {SMALLEST} px"
        )
    area = (crops.size * pixel_size) ** 2
    if dose is not None and dose * area < FEWEST:
        raise PersistemError(
            f"detector.dose = {dose:g} e/Å²: {dose * area:.3g} electrons hit a crop of {area:.4g} Å², too few for an"
            f" image; needs {FEWEST}, {FEWEST / area:.3g} e/Å² or more"
        )


def cut(intensity: NDArray[Any], intensity_recipe: Conversion, crops: Crops) -> NDArray[Any]:
    """Crops of a micrograph in 8-bit grey levels.

    Parameters
    ----------
    intensity
        absolute intensity, (rows, columns), where vacuum is 1
    intensity_recipe
        conversion to grey levels, see ``study.Clahe``, ``MinMax``, ``Window`` and ``Standardised``
    crops
        size in pixels, and stride or number

    Returns
    -------
    NDArray
        (n, size, size) uint8 in the order of ``positions``

    Raises
    ------
    PersistemError
        if the micrograph is not a finite image, is smaller than a crop, or has no positive mean to refer to.
    """
    image = np.asarray(intensity, dtype=float)
    if image.ndim != 2:
        raise PersistemError(f"a micrograph has rows and columns, but this array has the shape {image.shape}")
    if bad := np.count_nonzero(~np.isfinite(image)):
        raise PersistemError(f"{bad} of the micrograph's {image.size} intensities are not finite numbers")
    corners = positions(image.shape, crops)

    def pieces(image: NDArray[Any]) -> list[NDArray[Any]]:
        return [image[row : row + crops.size, column : column + crops.size] for row, column in corners]

    recipe = intensity_recipe
    if recipe.method == "standardised":
        return np.stack([grey_levels(crop, recipe) for crop in pieces(image)])
    if recipe.method == "minmax" and recipe.scope == "crop":
        return np.stack([grey_levels(crop, recipe) for crop in pieces(image)])
    if recipe.method == "clahe" and recipe.scope == "crop":
        return np.stack([_equalised(crop, recipe) for crop in pieces(_sixteen_bit(image))])
    return np.stack(pieces(grey_levels(image, recipe)))


def grey_levels(image: NDArray[Any], recipe: Conversion) -> NDArray[Any]:
    """8-bit grey levels of a finite image (rows, columns) as a whole.

    A standardised image without contrast is mid-grey. Raises PersistemError if a window of mean intensities has no
    positive mean to refer to.
    """
    if recipe.method == "standardised":
        return _standardised(image, recipe)
    if recipe.method == "window":
        return _windowed(image, recipe)
    if recipe.method == "minmax":
        return _eight_bit(_sixteen_bit(image) / 257)
    return _equalised(_sixteen_bit(image), recipe)


def crops_of(micrograph: Path, recipe: Recipe, crops: Crops) -> tuple[NDArray[Any], NDArray[Any], float]:
    """The crops of the micrograph in a file, (n, size, size) uint8; their first pixels, (n, 2) int; pixel size, Å.

    If the detector bins, the crops have its pixels; places and ``crops`` count the micrograph's pixels.

    Raises PersistemError, naming the file, as ``check_detector``, ``detected`` and ``cut`` do.
    """
    intensity, metadata = read_micrograph(micrograph)
    pixel_size, detector = metadata["pixel_size_A"], recipe.detector
    binning = 1
    try:
        if detector is not None:
            check_detector(detector, crops, intensity.shape, pixel_size)
            intensity = detected(intensity, pixel_size, detector)
            binning = detector.binning
            crops = crops.model_copy(update={"size": crops.size // binning, "stride": crops.stride // binning})
        stack = cut(intensity, recipe.intensity, crops)
    except PersistemError as error:
        raise PersistemError(f"{micrograph}: {error}") from error
    if recipe.inverted:
        stack = 255 - stack
    return stack, binning * positions(intensity.shape, crops), binning * pixel_size


def crop_file(micrograph: Path, recipe: Recipe, crops: Crops, out: Path) -> None:
    """Write ``crops_of`` a micrograph as an 8-bit ImageJ stack with the pixel size in nm."""
    import tifffile

    stack, corners, pixel_size = crops_of(micrograph, recipe, crops)
    per_nm = 10 / pixel_size
    with atomic(out) as part:
        tifffile.imwrite(
            part,
            stack,
            imagej=True,
            resolution=(per_nm, per_nm),
            extratags=calibration(1 / per_nm),
            metadata={"axes": "ZYX", "unit": "nm", "Labels": [f"row {row} column {column}" for row, column in corners]},
        )


def read_crops(path: Path) -> NDArray[Any]:
    """The crops that ``crop_file`` wrote: (n, size, size) uint8.

    Raises PersistemError if the file is not a stack of square 8-bit images.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            stack: NDArray[Any] = file.asarray()
            pages = (file.imagej_metadata or {}).get("images", 1)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise PersistemError(f"{path}: not a TIFF file of crops ({error})") from error
    if stack.ndim not in (2, 3) or stack.shape[-1] != stack.shape[-2] or stack.dtype != "uint8":
        raise PersistemError(
            f"{path}: a {stack.dtype} array of the shape {stack.shape}, but crops are square 8-bit images"
        )
    stack = stack.reshape(-1, *stack.shape[-2:])
    if len(stack) != pages:  # tifffile reads only the first page of a stack that is cut short
        raise PersistemError(f"{path}: holds {len(stack)} of its {pages} crops; the file is damaged")
    return stack


def _sixteen_bit(image: NDArray[Any]) -> NDArray[Any]:
    """The micrograph's 16-bit grey levels, its minimum at 0 and its maximum at 65535, as in its TIFF file."""
    low, high = image.min(), image.max()
    grey: NDArray[Any] = np.rint((image - low) * (65535 / ((high - low) or 1))).astype(np.uint16)
    return grey


def _equalised(grey: NDArray[Any], recipe: Clahe) -> NDArray[Any]:
    """16-bit grey levels equalised by OpenCV and converted to 8 bit, in the order that ``recipe.depth`` says.

    OpenCV clips a tile's histogram at clip_limit * pixels / bins counts, and at no less than 1. A tile of 128 x 128 px
    has 64 pixels for each of 256 bins but a quarter of one for each of 65,536: at 16 bit every clip limit below 8 is 1.
    """
    import cv2

    clahe = cv2.createCLAHE(clipLimit=recipe.clip_limit, tileGridSize=tuple(recipe.tiles))
    equalised: NDArray[Any] = clahe.apply(grey if recipe.depth == 16 else _eight_bit(grey / 257))
    return equalised if recipe.depth == 8 else _eight_bit(equalised / 257)


def _windowed(image: NDArray[Any], recipe: Window) -> NDArray[Any]:
    mean = image.mean()
    if mean <= 0:
        raise PersistemError(f"the micrograph's mean intensity is {mean:g}: a window of mean intensities needs it > 0")
    return _eight_bit((image / mean - recipe.low) * (255 / (recipe.high - recipe.low)))


def _standardised(crop: NDArray[Any], recipe: Standardised) -> NDArray[Any]:
    """A crop by its own mean and SD; one without contrast is mid-grey."""
    deviation = crop - crop.mean()
    sd = crop.std() if crop.min() < crop.max() else 0
    scores = deviation / sd if sd > 0 else 0 * crop
    return _eight_bit(127.5 * (1 + scores / recipe.half_width))


def _eight_bit(values: NDArray[Any]) -> NDArray[Any]:
    grey: NDArray[Any] = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return grey
