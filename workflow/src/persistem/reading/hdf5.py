"""HDF5: EMD of Velox and HyperSpy's own, through RosettaSciIO; EMD of Berkeley (NCEM) is in ``ncem``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persistem.reading import ncem
from persistem.reading.found import BadImage, Found, kilovolts, lookup, mapped, number, search, underfocus
from persistem.reading.hdf5_guard import check_heaps, try_out

#: Velox: the operating mode of the microscope, and the projector mode that images the diffraction plane.
OPERATING = {"1": "TEM", "2": "STEM"}
DIFFRACTION = "1"


def datasets(path: Path) -> Iterator[Found]:
    """The images of an HDF5 file, frame by frame from the file while it is open."""
    import h5py
    from rsciio.emd._api import is_EMD_NCEM, is_EMD_Velox

    check_heaps(path)
    try_out(path)
    with h5py.File(path, "r") as file:
        if "Version" in file and is_EMD_Velox(file):
            yield from _velox(file)
        elif "Experiments" in file:
            yield from _hyperspy(file)
        elif is_EMD_NCEM(file):
            yield from ncem.datasets(file)
        else:
            raise BadImage("an HDF5 file, but not from Velox or HyperSpy nor in the EMD standard")


def _hyperspy(file: Any) -> Iterator[Found]:
    import h5py
    from dask.array import from_array
    from rsciio.hspy._api import HyperspyReader

    class Signals(HyperspyReader):  # type: ignore[misc]
        """Reads data that are not chunked, too: h5py writes such, RosettaSciIO does not."""

        def _read_array(self, group: Any, dataset_key: str) -> Any:
            data = super()._read_array(group, dataset_key)
            whole = isinstance(data, h5py.Dataset) and data.chunks is None
            return from_array(data) if whole else data  # type: ignore[no-untyped-call]

    for signal in Signals(file).read(lazy=True):
        if "data" in signal:
            yield of_signal(signal)


def _velox(file: Any) -> Iterator[Found]:
    from rsciio.emd._emd_velox import FeiEMDReader

    class Images(FeiEMDReader):  # type: ignore[misc]
        """Skips spectra: RosettaSciIO wants another library for their streams before it reads any image."""

        def _check_im_type(self) -> None:
            self.im_type = "Image" if "Image" in self.d_grp else "Spectrum"

    if "Data/Image" not in file:
        raise BadImage("this EMD holds spectra, no image")
    reader = Images(lazy=True, select_type="images")
    reader.read_file(file)
    for signal in reader.dictionaries:
        metadata = signal["original_metadata"]
        found = of_signal(signal)
        found.voltage = found.voltage or kilovolts(lookup(metadata, "Optics.AccelerationVoltage"))
        found.defocus = underfocus(lookup(metadata, "Optics.Defocus"))
        found.tags = {
            "pixel_size": "BinaryResult.PixelSize",
            "voltage": "Optics.AccelerationVoltage",
            "defocus": "Optics.Defocus",
        }
        operating = OPERATING.get(str(lookup(metadata, "Optics.OperatingMode")), "unknown")
        found.facts["mode"] = operating
        if operating == "TEM" and str(lookup(metadata, "Optics.ProjectorMode")) == DIFFRACTION:
            found.not_image = "a diffraction pattern (its projector mode), not an image"
        instrument = lookup(metadata, "Instrument.InstrumentModel") or lookup(metadata, "Instrument.InstrumentClass")
        if isinstance(instrument, str) and instrument:
            found.facts["instrument"] = instrument
        yield found


def of_signal(signal: dict[str, Any]) -> Found:
    """What a signal in RosettaSciIO's form, ``data``, ``axes`` and ``metadata``, says of itself."""
    facts: dict[str, Any] = {}
    mode = str(mapped(signal, "acquisition_mode") or "").upper()
    if mode in ("TEM", "STEM"):
        facts["mode"] = mode
    exposure = number(mapped(signal, "exposure"))
    if exposure is not None:
        facts["exposure_s"] = exposure
    date = mapped(signal, "date")
    if isinstance(date, str) and date:
        facts["date"] = date
    title = str(search(signal["metadata"], "title") or "")
    tags = {"pixel_size": "the scale of its axes", "voltage": "beam_energy"}
    found = Found(signal["data"], signal["axes"], title, kilovolts(mapped(signal, "beam_energy")), None, facts, tags)
    if "diffraction" in str(lookup(signal["metadata"], "Signal.signal_type") or "").lower():
        found.not_image = "a diffraction pattern (HyperSpy's signal type), not an image"
    return found
