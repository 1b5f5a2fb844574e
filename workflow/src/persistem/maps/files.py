"""The folder of a map: files for ImageJ, for HyperSpy, for a browser, for the eye, for tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from persistem.errors import PersistemError, Setting
from persistem.maps.mapping import identity
from persistem.maps.overlay import write_overlay
from persistem.maps.page import write_page
from persistem.maps.regions import write_regions
from persistem.maps.signals import facts_of, offsets, pages, signal
from persistem.store.bounded import is_regular, read_text
from persistem.store.files import replaced_folder

if TYPE_CHECKING:
    from persistem.maps.mapping import Map
    from persistem.model.classifier import Model
    from persistem.reading import Image

#: The file that marks a folder as a map.
FACTS = "map.json"
FILES = ("map.tif", "map.hspy", "overlay.png", "regions.csv", "map.html", FACTS)


def write(map: Map, image: Image, model: Model, out: Path) -> None:
    """Write a map as the folder ``out``: whole, or not at all.

    ``map.tif`` (ImageJ) and ``map.hspy`` (HyperSpy) hold an image for each state, then the confidence, then 0 and 1 for
    abstained, float32, calibrated in nm; a window that abstains has probabilities all the same, not to be believed.
    ``overlay.png`` is a picture, ``regions.csv`` a table, ``map.html`` a page that shows the map and what decided each
    window; ``map.json`` describes the map. A map that is already there is replaced.

    Raises
    ------
    PersistemError
        if ``out`` exists and is not a map, or is the map of another file.
    """
    refuse_foreign(Path(out))
    if of_another(Path(out), image):
        raise PersistemError(f"{out}: is the map of another file; choose another ", Setting("out"))
    with replaced_folder(out) as folder:
        write_tiff(map, folder / "map.tif")
        write_hyperspy(map, folder / "map.hspy")
        write_overlay(map, image, folder / "overlay.png")
        write_regions(map, folder / "regions.csv")
        write_page(map, image, model, folder / "map.html")
        text = json.dumps(facts_of(map), indent=1, ensure_ascii=False)
        (folder / FACTS).write_text(text + "\n", encoding="utf-8")


def refuse_foreign(out: Path) -> None:
    """Raise PersistemError if ``out`` is there and holds anything but a map's files: nothing else may be lost."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise PersistemError(f"{out}: is there already and is not a map; choose another ", Setting("out"))
    if out.is_dir() and not (out / FACTS).is_file() and any(out.iterdir()):
        raise PersistemError(f"{out}: is there already and holds no map ({FACTS}); choose another ", Setting("out"))
    foreign = sorted(p.name for p in out.iterdir() if p.name not in FILES or not is_regular(p)) if out.is_dir() else ()
    if foreign:
        raise PersistemError(
            f"{out}: holds {foreign[0]}, which is no file of a map and would be lost; move it, or choose another ",
            Setting("out"),
        )


def of_another(out: Path, image: Image) -> bool:
    """Whether the folder ``out`` holds the map of another file or frame: neither of this content nor of this path.

    An image that is no file, such as an array, has nothing to tell it by, so its map may replace another such.
    """
    if not (out / FACTS).is_file():
        return False
    try:
        there = json.loads(read_text(out / FACTS))["image"]
        same = any(there.get(name) == value for name, value in identity(image.path).items())
        return not same or there.get("frame") != image.frame
    except (PersistemError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return True  # whatever it is, it is nobody's to replace


def write_tiff(map: Map, out: Path) -> None:
    """Write the pages as a TIFF stack that ImageJ opens with its slices named, and scale and origin in nm.

    The scale is where ImageJ looks for it, and also in DigitalMicrograph's tags (unit, offset, scale; of x and y) for
    RosettaSciIO, which ignores ImageJ's unit.
    """
    from tifffile import imwrite

    named = pages(map)
    step = map.step / 10
    corner = [(origin / map.step) - 0.5 for origin in map.origin]  # of the first window's square, in steps
    imwrite(
        out,
        np.stack([*named.values()]),
        imagej=True,
        resolution=(1 / step, 1 / step),
        extratags=[
            *((tag, "s", 0, "nm", False) for tag in (65003, 65004)),
            *((tag, "d", 1, offset, False) for tag, offset in zip((65007, 65006), offsets(map), strict=True)),
            *((tag, "d", 1, step, False) for tag in (65009, 65010)),
        ],
        metadata={
            "axes": "ZYX",
            "unit": "nm",
            "xorigin": -corner[1],
            "yorigin": -corner[0],
            "min": 0.0,
            "max": 1.0,
            "Labels": [*named],
            "Info": json.dumps(facts_of(map), indent=1),
        },
    )


def write_hyperspy(map: Map, out: Path) -> None:
    """Write the pages as a HyperSpy signal (HDF5), through RosettaSciIO."""
    from rsciio.hspy import file_writer

    file_writer(out, signal(map), show_progressbar=False)
