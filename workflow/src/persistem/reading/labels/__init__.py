"""Labels of a micrograph: which pixel is of which state, from the files of programs in which people draw them.

labels = read_labels(Path("a.labels.tif"), (2048, 2048), {1: "crystal", 2: "amorphous"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.errors import PersistemError
from persistem.reading.formats import HDF5_START, TIFF_STARTS
from persistem.reading.found import BadImage
from persistem.reading.labels import ilastik, imagej, napari, pixels, qupath
from persistem.reading.labels.legend import Key, Legend, legend_path, legend_text, stated
from persistem.reading.labels.outlines import Region, painted
from persistem.reading.labels.pixels import Values, numbered
from persistem.reading.pixels import one_line, quiet
from persistem.store.files import atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What can be read, for messages.
FORMATS = (
    "TIFF, PNG, NPY, ImageJ's .roi and RoiSet.zip, QuPath's GeoJSON, ilastik's .ilp and .h5, napari's shapes in CSV"
)


class Labels(NamedTuple):
    """Regions of a micrograph that are known to be in a state."""

    regions: NDArray[np.uint8]  # (rows, columns), 0 = unlabelled, else the number of a state
    states: dict[int, str]  # name by number: those that the legend gives, also of states that do not occur


def read_labels(
    path: Path, shape: tuple[int, int], states: Mapping[Key, str] | None = None, *, image: Path | None = None
) -> Labels:
    """The labels in a file of any of the formats in ``docs/labels.md``; its content, not its name, decides which.

    Parameters
    ----------
    path
        the file; if ``a.labels.json`` beside ``a.labels.tif`` holds a legend, it is used
    shape
        (rows, columns) of the micrograph
    states
        the legend: name of a state by number, by colour (``#rrggbb``) or by the name that the file has for it
    image
        the micrograph's file: must be the one that the JSON was written for, and chooses among several in an ilastik
        project

    Raises
    ------
    PersistemError
        in one sentence with the file's name: another size, a value, colour or name that the legend does not give,
        regions of different states that overlap, nothing labelled, no legend or two that disagree, numbers that share a
        name, an image that has changed, or a file that is damaged, too large, or of another format.
    """
    path, kind = Path(path), "labels"
    try:
        kind = _kind(path)
        legend = stated(path, states, image)
        with quiet():
            found = READERS[kind](path, shape, image)
            names, regions = _resolved(found, shape, legend)
        if not regions.any():
            raise BadImage("nothing in it is labelled")
    except PersistemError:
        raise
    except BadImage as error:
        raise PersistemError(f"{path}: ", *error.args) from error
    except OSError as error:
        if error.errno is None:  # a library's, not the system's
            raise _damaged(path, kind, error) from error
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # whatever a library stumbles over
        raise _damaged(path, kind, error) from error
    return Labels(regions, names)


def write_labels(
    path: Path,
    labels: Labels,
    image: Path,
    *,
    colours: Mapping[int, str] | None = None,
    pixel_size: float | None = None,
    sha256: str | None = None,
) -> None:
    """Write a TIFF of 8 bits and, beside it, a JSON with its legend and the image that it is of.

    Both are written whole before either takes its place. The legend goes first, so a process killed between the two
    leaves the labels as they were, with the new names.

    Parameters
    ----------
    path
        the TIFF, e.g. ``a.labels.tif``; the JSON is ``a.labels.json``
    labels
        regions and states
    image
        the micrograph's file; its path relative to the labels and its SHA-256 are recorded
    colours
        ``#rrggbb`` of each state, for programs that show them
    pixel_size
        Å
    sha256
        of the micrograph as it was labelled; None: as it is now

    Raises
    ------
    PersistemError
        if a region has a number without a name, or the image cannot be read.
    """
    from tifffile import imwrite

    path = Path(path)
    unnamed = sorted(set(np.unique(labels.regions).tolist()) - {0} - set(labels.states))
    if unnamed:
        raise PersistemError(f"{path}: cannot be written, because state {unnamed[0]} has no name")
    text = legend_text(path, labels.states, image, colours, pixel_size, sha256)
    with atomic(path) as tiff, atomic(legend_path(path)) as about:
        imwrite(tiff, labels.regions, photometric="minisblack", compression="zlib", metadata=None)
        about.write_text(text)


Reader = Callable[[Path, tuple[int, int], Path | None], "Values | list[Region]"]
READERS: dict[str, Reader] = {
    "TIFF": pixels.tiff,
    "PNG": pixels.png,
    "NPY": pixels.npy,
    "ImageJ ROI": imagej.roi,
    "ZIP of ImageJ ROIs": imagej.roi_set,
    "GeoJSON": qupath.geojson,
    "HDF5 of ilastik": ilastik.labels,
    "CSV of napari": napari.shapes,
}


def _resolved(
    found: Values | list[Region], shape: tuple[int, int], stated: dict[Key, str] | None
) -> tuple[dict[int, str], NDArray[np.uint8]]:
    """Names by number, and the regions: numbers of an image as they are, outlines painted."""
    if isinstance(found, Values):
        legend = Legend.of(stated, found.names)
        return legend.names, numbered(found, legend)
    own: dict[Key, str] = {name: name for name in sorted({r.keys[0] for r in found if isinstance(r.keys[0], str)})}
    legend = Legend.of(stated, own)
    return legend.names, painted(found, shape, legend)


def _kind(path: Path) -> str:
    """The format of a file by its first bytes; PersistemError if it is none of those that hold labels."""
    if not path.is_file():
        raise PersistemError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    with open(path, "rb") as file:
        start = file.read(256)
    if not start:
        raise PersistemError(f"{path}: an empty file")
    if start[:3] == b"\xff\xd8\xff":
        raise PersistemError(f"{path}: a JPEG, whose compression changes the numbers of labels; save them as PNG")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    starts: dict[str, bool] = {
        "TIFF": start[:4] in TIFF_STARTS,
        "PNG": start[:8] == b"\x89PNG\r\n\x1a\n",
        "NPY": start[:6] == b"\x93NUMPY",
        "ImageJ ROI": start[:4] == b"Iout",
        "ZIP of ImageJ ROIs": start[:4] in (b"PK\3\4", b"PK\5\6"),
        "HDF5 of ilastik": start[:8] == HDF5_START,
        "GeoJSON": text[:1] in (b"{", b"["),
        "CSV of napari": text.replace(b'"', b"").startswith(b"index,") and b"axis-0" in text,
    }
    kind = next((name for name, fits in starts.items() if fits), None)
    if kind is None:
        raise PersistemError(f"{path}: no labels in a format that can be read: {FORMATS}")
    return kind


def _damaged(path: Path, kind: str, error: Exception) -> PersistemError:
    return PersistemError(f"{path}: truncated or corrupted, it cannot be read as {kind} ({one_line(error)})")
