"""Descriptors of crops: everything that the evaluation compares, from one reading of the micrographs.

A crop is described by blocks of numbers. Some come from persistence diagrams, of the crop as it is and of bands of it
(differences of Gaussians): statistics, Betti curves, persistence images, and how far apart islands are. The others are
what persistence must be compared with: contrast, moments, histogram, annular averaged spectrum, texture, and the
diagrams of a surrogate with the crop's power spectrum and random phases, which has no structure beyond the spectrum.

All blocks but ``contrast`` and those called absolute describe the crop standardised by its own mean and standard
deviation. The diagram of the absolute crop is the standardised crop's, times the standard deviation and moved by the
mean. So ``contrast``, the logarithm of the deviation, is what absolute intensities add about contrast.

That holds without counting noise alone. Standardising a noisy crop leaves in it the share of noise, which tells its
contrast. So where a detector counts, blocks without contrast come from crops that had one contrast before they were
counted; their names begin with ``EQUALISED``. The blocks of the crop as it is remain for absolute intensities.

Pairs are counted per nm².
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.spectra import spectrum_features
from persistem.descriptors.topology import FILTRATIONS, PERSISTENCE, area_of, diagrams_of, persistence_blocks, surrogate
from persistem.errors import PersistemError
from persistem.imaging.crops import check_detector, positions
from persistem.imaging.detector import detected
from persistem.study import Crops, Describing
from persistem.topology.diagrams import arrow, strings
from persistem.topology.persistence_images import persistence_images

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from persistem.descriptors.topology import Diagrams
    from persistem.study import Detector

#: Bump when this stage's results change for the same study.
VERSION = 2
#: Bump when only results with counting noise change.
COUNTING = 1

WINDOW = 4.0  # SD about the mean: histograms and persistence images
ABSOLUTE = (0.0, 2.0)  # times the micrograph's mean intensity: histograms and persistence images of absolute crops
BINS = 32  # of a histogram
FLAT = 1e-6  # a crop with a smaller SD, in units of the micrograph's mean, has no contrast
OTHERS = (
    "contrast",
    "moments",
    "histogram",
    "absolute histogram",
    "spectrum",
    "absolute spectrum",
    "texture",
)
SURROGATE = "surrogate "
EQUALISED = "equalised "


def blocks_of(describing: Describing) -> list[str]:
    """The names of all blocks of crops of the first size, without those of crops equalised before counting."""
    images = [f"{scale}{name}" for name in describing.images for scale in ("", "absolute ")]
    return [*OTHERS, *PERSISTENCE, *images, *(SURROGATE + name for name in PERSISTENCE)]


def sees_contrast(block: str) -> bool:
    """Whether a block knows the contrast of a crop that has no noise."""
    return block == "contrast" or block.startswith("absolute ")


def describe_crops(
    crops: NDArray[Any], pixel_size: float, describing: Describing, only: Iterable[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Blocks of numbers that describe crops.

    Parameters
    ----------
    crops
        (n, size, size), intensity in units of the micrograph's mean
    pixel_size
        Å
    describing
        bands and persistence images, see ``study.Describing``
    only
        the blocks to make; by default all but the surrogate's

    Returns
    -------
    dict
        block by name, (n, length) float32

    Raises
    ------
    PersistemError
        if a crop is constant or not finite: it has no contrast to standardise by.
    """
    wanted = set(blocks_of(describing) if only is None else only)
    if only is None:
        wanted -= {SURROGATE + name for name in PERSISTENCE}
    values = np.asarray(crops, dtype=float)
    standardised, mean, deviation = _standardised(values)
    side = values.shape[-1] * pixel_size
    blocks = _plain(values, standardised, pixel_size, wanted)
    images = [name for name in wanted if name.removeprefix("absolute ") in describing.images]
    if images or wanted & set(PERSISTENCE):
        diagrams = [diagrams_of(crop, pixel_size, describing.bands) for crop in standardised]
        blocks |= persistence_blocks(diagrams, pixel_size, describing.bands, side)
        # a persistence image adds up pairs; per nm² it does not depend on the size of the crop
        made = _images(diagrams, mean, deviation, images, describing)
        blocks |= {name: image / area_of(side) for name, image in made.items()}
    if any(name.startswith(SURROGATE) for name in wanted):
        diagrams = [diagrams_of(surrogate(crop), pixel_size, describing.bands) for crop in standardised]
        made = persistence_blocks(diagrams, pixel_size, describing.bands, side)
        blocks |= {SURROGATE + k: v for k, v in made.items()}
    return {name: np.asarray(block, np.float32) for name, block in blocks.items() if name in wanted}


def _standardised(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Crops (n, size, size) by their own mean and standard deviation, and both (n,)."""
    mean, deviation = values.mean(axis=(1, 2)), values.std(axis=(1, 2))
    for k in range(len(values)):
        if not np.isfinite(deviation[k]) or deviation[k] < FLAT:
            raise PersistemError(
                f"crop {k} is constant or not finite (standard deviation {deviation[k]:.3g} of the micrograph's mean);"
                " a crop needs contrast to be described"
            )
    return (values - mean[:, None, None]) / deviation[:, None, None], mean, deviation


def _plain(
    values: NDArray[Any], standardised: NDArray[Any], pixel_size: float, wanted: set[str]
) -> dict[str, NDArray[Any]]:
    """The blocks that need no diagrams."""
    from scipy.stats import kurtosis, skew

    flat = standardised.reshape(len(standardised), -1)
    makers: dict[str, Any] = {
        "contrast": lambda: np.log(values.std(axis=(1, 2)))[:, None],
        "moments": lambda: np.column_stack([skew(flat, axis=1), kurtosis(flat, axis=1)]),
        "histogram": lambda: _histograms(flat, (-WINDOW, WINDOW)),
        "absolute histogram": lambda: _histograms(values.reshape(flat.shape), ABSOLUTE),
        "spectrum": lambda: spectrum_features(values, pixel_size),
        "absolute spectrum": lambda: spectrum_features(values, pixel_size, standardise=False),
        "texture": lambda: np.array([texture(crop) for crop in standardised]),
    }
    return {name: make() for name, make in makers.items() if name in wanted}


def _histograms(flat: NDArray[Any], window: tuple[float, float]) -> NDArray[Any]:
    """Share of pixels in each bin of a window; pixels outside count in the outermost bins."""
    edges = np.linspace(*window, BINS + 1)
    counts = np.array([np.histogram(row.clip(*window), edges)[0] for row in flat])
    return np.asarray(counts / flat.shape[1])


def texture(crop: NDArray[Any]) -> NDArray[Any]:
    """Local binary patterns of a standardised crop at three radii (scikit-image; Ojala et al., IEEE TPAMI 24 (2002)).

    Shares of the ten rotation invariant uniform patterns of eight neighbours at radii of 1, 3 and 6 pixels.
    """
    from skimage.feature import local_binary_pattern

    grey = np.rint(127.5 * (1 + (crop / WINDOW).clip(-1, 1))).astype(np.uint8)
    codes = [local_binary_pattern(grey, 8, radius, "uniform").astype(int).ravel() for radius in (1, 3, 6)]
    counts = [np.bincount(code, minlength=10) for code in codes]
    return np.concatenate(counts) / grey.size


def _images(
    diagrams: list[Diagrams], mean: NDArray[Any], deviation: NDArray[Any], names: list[str], describing: Describing
) -> dict[str, NDArray[Any]]:
    """Persistence images of the crops as they are, on the meshes of ``describing.images``, by HomCloud."""
    tables = {}
    if any(not name.startswith("absolute ") for name in names):
        ones = np.ones_like(mean)
        tables[""] = _table(diagrams, 0 * mean, ones, (-WINDOW, WINDOW))
    if any(name.startswith("absolute ") for name in names):
        tables["absolute "] = _table(diagrams, mean, deviation, ABSOLUTE)
    images = {}
    for name in names:
        recipe = describing.images[name.removeprefix("absolute ")]
        scale = "absolute " if name.startswith("absolute ") else ""
        vectors = persistence_images(tables[scale], recipe, len(diagrams))
        images[name] = vectors.reshape(len(diagrams), -1)
    return images


def _table(diagrams: list[Diagrams], mean: NDArray[Any], scale: NDArray[Any], window: tuple[float, float]) -> pa.Table:
    """Diagrams of whole crops in the form of ``diagrams.diagram_table``; the window spans grey levels 0 to 255."""
    import pyarrow as pa

    low, high = window
    columns: list[list[NDArray[Any]]] = [[], [], [], [], []]
    for k, bands in enumerate(diagrams):
        for f, pairs in enumerate(bands[0]):
            levels = ((mean[k] + scale[k] * pairs[:, 1:3] - low) * (255 / (high - low))).clip(0, 255)
            levels = levels.astype(np.float32)  # as in the table: levels that are equal there make no pair
            kept = levels[:, 0] != levels[:, 1]
            count = int(kept.sum())
            for column, values in zip(
                columns, (np.full(count, k), np.full(count, f), pairs[kept, 0], *levels[kept].T), strict=True
            ):
                column.append(values)
    crop, filtration, degree, birth, death = (np.concatenate(column) for column in columns)
    return pa.table(
        {
            "crop": arrow(crop.astype(np.int32)),
            "filtration": strings(FILTRATIONS).take(arrow(filtration.astype(np.int8))),
            "degree": arrow(degree.astype(np.int8)),
            "birth": arrow(birth.astype(np.float32)),
            "death": arrow(death.astype(np.float32)),
        }
    )


def describe_micrograph(
    intensity: NDArray[Any],
    pixel_size: float,
    describing: Describing,
    size: int,
    only: Iterable[str] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Blocks of the crops of a micrograph (rows, columns) as ``describing.detector`` records it.

    ``size`` is the side of a crop in pixels of the micrograph; crops do not overlap and come in the order of
    ``crops.positions``. With counting noise, every block that sees no contrast is also made of the crops equalised
    before counting, as ``EQUALISED`` and its name. Raises PersistemError as ``describe_crops``,
    ``crops.check_detector`` and ``detected`` do.
    """
    detector = describing.detector
    coarse = pixel_size * detector.binning
    recorded = recorded_crops(intensity, pixel_size, detector, size)
    blocks = describe_crops(recorded, coarse, describing, only)
    if detector.dose is not None:
        exact = exact_crops(intensity, pixel_size, detector, size)
        equalised = counted_with(exact, describing.contrast, coarse, detector)
        unseen = [name for name in blocks if not sees_contrast(name)]
        blocks |= {EQUALISED + k: v for k, v in describe_crops(equalised, coarse, describing, unseen).items()}
    return blocks


def recorded_crops(intensity: NDArray[Any], pixel_size: float, detector: Detector, size: int) -> NDArray[np.float64]:
    """Crops (n, side, side) of a micrograph as a detector records it, in units of the recorded image's mean.

    ``size`` and ``pixel_size`` (Å) are before the detector's binning. Raises PersistemError if the detector does not
    fit, if the mean intensity is not a finite number above 0, or if no electron is counted.
    """
    check_detector(detector, Crops(size=size, stride=size), intensity.shape, pixel_size)
    mean = np.mean(intensity)
    if not (np.isfinite(mean) and mean > 0):
        raise PersistemError(f"the micrograph's mean intensity is {mean:g}; contrast refers to a finite one above 0")
    image = detected(intensity, pixel_size, detector)
    image = image / image.mean()
    side = size // detector.binning
    corners = positions(image.shape, Crops(size=side, stride=side))
    return np.stack([image[row : row + side, column : column + side] for row, column in corners])


def exact_crops(intensity: NDArray[Any], pixel_size: float, detector: Detector, size: int) -> NDArray[np.float64]:
    """Crops as a detector's pixels see them, before they count; else as ``recorded_crops``."""
    pixels = detector.model_copy(update={"dose": None, "mtf": None, "low_pass": None})
    return recorded_crops(intensity, pixel_size, pixels, size)


def contrasts(exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation over mean of each of the crops (n, side, side): (n,)."""
    return np.asarray(exact.std(axis=(1, 2)) / exact.mean(axis=(1, 2)))


def counted_with(
    exact: NDArray[np.float64], contrast: float | NDArray[np.float64], pixel_size: float, detector: Detector
) -> NDArray[np.float64]:
    """Crops of a given contrast, each counted by itself, with a mean intensity of 1 before.

    Parameters
    ----------
    exact
        (n, side, side), from ``exact_crops``
    contrast
        standard deviation over mean that crops get before they are counted, one for all or (n,)
    pixel_size
        Å, of the detector's pixels
    detector
        dose, transfer and filter; the binning has been done

    Raises
    ------
    PersistemError
        if a crop is constant.
    """
    patterns, *_ = _standardised(exact)
    scaled = 1 + np.broadcast_to(contrast, len(patterns))[:, None, None] * patterns
    counting = detector.model_copy(update={"binning": 1})
    return np.stack([detected(crop, pixel_size, counting) for crop in scaled])
