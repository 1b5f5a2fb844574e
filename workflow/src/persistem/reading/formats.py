"""Which format a file has, and the reader that knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from persistem.errors import PersistemError
from persistem.reading import digitalmicrograph, hdf5, mrc, pictures, tia, tiff
from persistem.reading.found import BadImage, Found

#: What can be read, for messages.
FORMATS = "DM3, DM4, EMD, MRC, SER, EMI, TIFF, HyperSpy's HDF5, PNG and JPEG"
MRC_SUFFIXES = (".mrc", ".mrcs", ".map", ".st", ".ali", ".rec", ".ccp4")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HDF5_START = b"\x89HDF\r\n\x1a\n"


def kind_of(path: Path) -> str:
    """The format of a file, by its first bytes, or by its name if the format has no magic bytes.

    Raises PersistemError if the format cannot be read, and OSError.
    """
    with open(path, "rb") as file:
        start = file.read(256)
    suffix = path.suffix.lower()
    if not start:
        raise PersistemError(f"{path}: an empty file")
    if start[:4] in TIFF_STARTS:
        return "TIFF"
    if start[:8] == HDF5_START:
        return "EMD" if suffix == ".emd" else "HDF5"
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if start[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if start[:3] == b"\0\0\0" and start[3:4] in (b"\3", b"\4"):
        return f"DM{start[3]}"
    if suffix in (".ser", ".emi"):
        return suffix[1:].upper()
    if start[208:211] == b"MAP" or suffix in MRC_SUFFIXES:
        return "MRC"
    raise PersistemError(f"{path}: not a micrograph in a format that can be read: {FORMATS}")


def datasets(path: Path, kind: str) -> Iterator[Found | BadImage]:
    """The data sets of a file; use each before asking for the next, since the file may be open meanwhile.

    A BadImage in place of a data set says why that one is no image; the others still follow.

    Raises BadImage, and whatever a library raises on a truncated or corrupted file.
    """
    import dask

    readers: dict[str, Callable[[Path], Iterator[Found] | Iterator[Found | BadImage]]] = {
        "TIFF": tiff.datasets,
        "EMD": hdf5.datasets,
        "HDF5": hdf5.datasets,
        "PNG": pictures.datasets,
        "JPEG": pictures.datasets,
        "DM3": digitalmicrograph.datasets,
        "DM4": digitalmicrograph.datasets,
        "SER": tia.datasets,
        "EMI": tia.datasets,
        "MRC": mrc.datasets,
    }
    with dask.config.set(scheduler="synchronous"):
        for found in readers[kind](path):
            if isinstance(found, Found):
                found.facts = {"format": kind, "mode": "unknown"} | found.facts
            yield found
