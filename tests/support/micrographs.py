"""Files as microscopes write them, whose pixels and calibration are known, and what may befall files."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from PIL import Image as Pillow

ROWS, COLUMNS = 24, 32
PIXELS = np.random.default_rng(5).integers(100, 60000, (ROWS, COLUMNS)).astype(np.uint16)
STACK = np.stack([PIXELS, PIXELS[::-1], PIXELS[:, ::-1]])


def write_mrc(path: Path, pixels: np.ndarray = PIXELS, cell: float = 0.5, order: str = "<", **put: Any) -> Path:
    """An MRC by the standard of 2014, the bottom row first; ``put`` overwrites header fields at ``at_<offset>``."""
    modes = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "c8": 4}
    rows, columns = pixels.shape[-2:]
    sections = 1 if pixels.ndim == 2 else len(pixels)
    header = bytearray(1024)
    struct.pack_into(f"{order}4i", header, 0, columns, rows, sections, modes[pixels.dtype.str[1:]])
    struct.pack_into(f"{order}3i", header, 28, columns, rows, sections)
    struct.pack_into(f"{order}3f", header, 40, cell * columns, cell * rows, cell * sections)
    struct.pack_into(f"{order}i", header, 108, 20140)
    header[208:212] = b"MAP "
    header[212:214] = b"\x44\x44" if order == "<" else b"\x11\x11"
    for name, (code, *values) in put.items():
        struct.pack_into(f"{order}{code}", header, int(name.removeprefix("at_")), *values)
    path.write_bytes(bytes(header) + pixels[..., ::-1, :].astype(pixels.dtype.newbyteorder(order)).tobytes())
    return path


def write_dm(path: Path, version: int = 4, unit: str = "nm", scale: float = 0.05, pixels: np.ndarray = PIXELS) -> Path:
    """A DM3 or DM4 with one image, taken at 200 kV."""
    word, codes = (">q" if version == 4 else ">i"), {"u2": 10, "f4": 2}

    def number(value: int) -> bytes:
        return struct.pack(word, value)

    def head(kind: int, name: str, size: int) -> bytes:
        return struct.pack(">BH", kind, len(name)) + name.encode() + (number(size) if version == 4 else b"")

    def value(name: str, info: list[int], data: bytes) -> bytes:
        body = b"%%%%" + number(len(info)) + b"".join(map(number, info)) + data
        return head(21, name, len(body)) + body

    def group(name: str, *tags: bytes) -> bytes:
        body = b"\1\0" + number(len(tags)) + b"".join(tags)
        return head(20, name, len(body)) + body

    def text(name: str, said: str) -> bytes:
        return value(name, [20, 4, len(said)], said.encode("utf-16-le"))

    def floating(name: str, x: float) -> bytes:
        return value(name, [7], struct.pack("<d", x))

    def whole(name: str, x: int) -> bytes:
        return value(name, [5], struct.pack("<I", x))

    axis = [group("", floating("Origin", 0.0), floating("Scale", scale), text("Units", unit))] * 2
    brightness = group("Brightness", floating("Origin", 0.0), floating("Scale", 1.0), text("Units", ""))
    element = {"u2": 4, "f4": 6}[pixels.dtype.str[1:]]
    image = group(
        "",
        group(
            "ImageData",
            group("Calibrations", brightness, group("Dimension", *axis)),
            value("Data", [20, element, pixels.size], pixels.tobytes()),
            whole("DataType", codes[pixels.dtype.str[1:]]),
            group("Dimensions", *(whole("", size) for size in pixels.shape[::-1])),
            whole("PixelDepth", pixels.itemsize),
        ),
        group("ImageTags", group("Microscope Info", floating("Voltage", 2e5), text("Illumination Mode", "TEM"))),
        text("Name", "film"),
    )
    tags = group("ImageList", image)
    body = b"\1\0" + number(1) + tags
    path.write_bytes(struct.pack(">i", version) + number(len(body)) + struct.pack(">i", 1) + body + bytes(8))
    return path


def write_velox(path: Path, stack: np.ndarray = PIXELS[None], unit: str = "m", size: str = "2.5e-11") -> Path:
    """A Velox EMD of a TEM camera at 300 kV, 100 nm under focus; stacks lie as (rows, columns, frames)."""
    said = {
        "BinaryResult": {"PixelSize": {"width": size, "height": size}, "PixelUnitX": unit, "PixelUnitY": unit,
                         "Offset": {"x": "0", "y": "0"}, "DetectorIndex": "0", "Detector": "BM-Ceta"},
        "Optics": {"AccelerationVoltage": "300000", "Defocus": "-1e-07", "OperatingMode": "1"},
        "Scan": {"FrameTime": "0.5"}, "Detectors": {"Detector-0": {"DetectorName": "BM-Ceta", "ExposureTime": "0.4"}},
        "Core": {"MetadataDefinitionVersion": "7.9"}, "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "0"}},
        "Instrument": {"InstrumentModel": "Titan"},
    }  # fmt: skip
    words = np.frombuffer(json.dumps(said).encode(), np.uint8)
    with h5py.File(path, "w") as file:
        text = h5py.special_dtype(vlen=bytes)
        file.create_dataset("Version", data=[b'{"format": "Velox", "version": "1.10"}'], dtype=text)
        group = file.create_group("Data/Image/0123456789abcdef")
        group["Metadata"] = np.repeat(words[:, None], len(stack), 1)
        chunk = (*stack.shape[1:], 1)
        group.create_dataset("Data", data=np.moveaxis(stack, 0, -1), chunks=chunk, compression="gzip")
    return path


def write_ser(path: Path, stack: np.ndarray = PIXELS[None], metres: float = 3e-11) -> Path:
    """A SER of images, with the position of the stage behind each."""
    count, rows, columns = stack.shape
    axis = struct.pack("<I2dI", count, 0.0, 1.0, 0) + struct.pack("<I", 6) + b"Number" + struct.pack("<I", 0)
    table = 30 + len(axis)
    head = b"II" + struct.pack("<2H6I", 0x0197, 0x0210, 0x4122, 0x4152, count, count, table, 1)
    size, first = 50 + stack[0].nbytes + 8, table + 8 * count
    offsets = [first + k * size for k in range(count)]
    tags = [offset + size - 8 for offset in offsets]
    calibration = struct.pack("<2di", 0.0, metres, 0)
    tag = struct.pack("<HHI", 0x4152, 0, 9)
    kind = {"u2": 2, "f4": 7}[stack.dtype.str[1:]]
    body = b"".join(
        calibration * 2 + struct.pack("<HII", kind, columns, rows) + image[::-1].tobytes() + tag for image in stack
    )
    path.write_bytes(head + axis + struct.pack(f"<{2 * count}I", *offsets, *tags) + body)
    return path


def signal(data: np.ndarray, scale: float, units: str, **microscope: Any) -> dict[str, Any]:
    stack = data.ndim - 2
    axes = [
        {"size": size, "scale": scale if k >= stack else 1.0, "units": units if k >= stack else "", "offset": 0.0,
         "name": "zyx"[3 - data.ndim + k], "navigate": k < stack, "index_in_array": k, "_type": "UniformDataAxis",
         "is_binned": False}
        for k, size in enumerate(data.shape)
    ]  # fmt: skip
    metadata = {"General": {"title": "film"}, "Signal": {"signal_type": ""}}
    if microscope:
        metadata["Acquisition_instrument"] = {"TEM": microscope}
    return {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}, "learning_results": {},
            "attributes": {"_lazy": False, "ragged": False}, "tmp_parameters": {}, "models": {},
            "package_info": {"package": "hyperspy", "package_version": "2.0"}}  # fmt: skip


def write_hspy(path: Path, data: np.ndarray = PIXELS, scale: float = 0.04, units: str = "nm") -> Path:
    from rsciio.hspy import file_writer

    file_writer(str(path), signal(data, scale, units, beam_energy=80.0), show_progressbar=False)
    return path


def write_ncem(
    path: Path,
    data: np.ndarray = PIXELS,
    scale: float = 0.04,
    names: tuple[str, ...] = ("y", "x"),
    units: tuple[str, ...] = ("[n_m]", "[n_m]"),
    first: int = 1,
) -> Path:
    """An EMD as Berkeley's standard has it: each dimension's vector in the order of the data's axes."""
    with h5py.File(path, "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/film")
        group.attrs["emd_group_type"] = 1
        group["data"] = data
        for k, (name, unit, size) in enumerate(zip(names, units, data.shape, strict=True)):
            group[f"dim{first + k}"] = np.arange(size) * scale
            group[f"dim{first + k}"].attrs.update(name=name, units=unit)
    return path


def write_emd_of_hyperspy(path: Path, data: np.ndarray = PIXELS, scale: float = 0.04, names: str = "tyx") -> Path:
    from rsciio.emd import file_writer

    said = signal(data, scale, "nm")
    for axis, name in zip(said["axes"], names[-data.ndim :], strict=True):
        axis["name"] = name.strip()
    file_writer(str(path), said)
    return path


def write_imagej(path: Path, data: np.ndarray = PIXELS, per_unit: float = 25.0, unit: str = "nm") -> Path:
    tifffile.imwrite(path, data, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    return path


def write_png(path: Path) -> Path:
    Pillow.fromarray(PIXELS).save(path)
    return path


#: File name, how it is written, and the pixel size (Å) and voltage (kV) that it states.
WRITTEN: dict[str, tuple[Callable[[Path], Path], float | None, float | None]] = {
    "film.mrc": (write_mrc, 0.5, None),
    "film.dm3": (lambda path: write_dm(path, 3), 0.5, 200.0),
    "film.dm4": (write_dm, 0.5, 200.0),
    "velox.emd": (write_velox, 0.25, 300.0),
    "berkeley.emd": (write_ncem, 0.4, None),
    "hyperspy.emd": (write_emd_of_hyperspy, 0.4, None),
    "film_1.ser": (write_ser, 0.3, None),
    "film.hspy": (write_hspy, 0.4, 80.0),
    "film.h5": (write_hspy, 0.4, 80.0),
    "imagej.tif": (write_imagej, 0.4, None),
    "plain.tif": (lambda path: tifffile.imwrite(path, PIXELS) or path, None, None),
    "film.png": (write_png, None, None),
}

#: Files that are damaged: one of each format, and stacks.
SEEDS = {name: write for name, (write, *_) in WRITTEN.items() if name != "film.h5"} | {
    "stack.mrc": lambda path: write_mrc(path, STACK),
    "stack.emd": lambda path: write_velox(path, STACK),
    "stack_1.ser": lambda path: write_ser(path, STACK),
    "stack.tif": lambda path: write_imagej(path, STACK),
}
#: Lengths and counts that a header may claim.
CLAIMS = (0, 1, 0x7F, 0xFF, 60000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1)


def damaged(whole: bytes, random: np.random.Generator) -> bytes:
    """A copy with a few bits flipped, cut, a stretch zeroed, a length replaced, or two stretches swapped.

    Half of the damage is done to the first kB, where most formats have their header.
    """
    data = bytearray(whole)
    reach = len(data) if random.random() < 0.5 else min(len(data), 1024)
    kind = random.integers(6)
    if kind == 0:
        for at in random.integers(reach, size=random.integers(1, 20)):
            data[at] ^= 1 << int(random.integers(8))
    elif kind == 1:
        del data[int(random.integers(reach)) :]
    elif kind == 2:
        at = int(random.integers(reach))
        stretch = data[at : at + int(random.integers(1, 200))]
        data[at : at + len(stretch)] = bytes(len(stretch))
    elif kind in (3, 4):
        width = int(random.choice([2, 4, 8]))
        for at in random.integers(max(1, reach - width), size=random.integers(1, 4)):
            claim = int(random.choice(np.array(CLAIMS, dtype=object))) % 256**width
            data[at : at + width] = claim.to_bytes(width, "little" if random.random() < 0.5 else "big")
    else:
        width = int(random.choice([2, 4, 8]))
        one, other = (int(at) // width * width for at in random.integers(max(1, reach - width), size=2))
        data[one : one + width], data[other : other + width] = data[other : other + width], data[one : one + width]
    return bytes(data)
