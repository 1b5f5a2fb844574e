"""The folder of an exploration: a page, its numbers, and a folder for the map of each image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError, Setting
from persistem.exploring.page import write_page
from persistem.maps import files as maps
from persistem.maps.mapping import identity
from persistem.maps.overlay import write_overlay
from persistem.maps.regions import write_regions
from persistem.maps.signals import facts_of
from persistem.store.bounded import is_regular, read_text
from persistem.store.files import replaced_folder
from persistem.store.paths import free, map_name

if TYPE_CHECKING:
    from persistem.exploring.explore import Exploration
    from persistem.reading import Image

#: The file that marks a folder as an exploration.
FACTS = "explore.json"
PAGE, PROFILES = "explore.html", "profiles.npz"
#: Of the map of an image; all but the page, which is one for all images.
OF_A_MAP = tuple(name for name in maps.FILES if name != "map.html")


def write(found: Exploration, out: Path) -> None:
    """Write an exploration as the folder ``out``: whole, or not at all.

    ``explore.html`` is the page, ``explore.json`` holds its numbers, ``profiles.npz`` mean diagrams, lifetimes and
    spectra (``profiles.Profiles``) and the typical windows of each cluster. Each image has a folder with its map, in
    the files of ``maps.files.write``, where clusters stand for states. An exploration of the same images that is
    already there is replaced.

    Raises
    ------
    PersistemError
        if ``out`` exists and is no exploration, or one of other images.
    """
    out = Path(out)
    refuse(found.images, out)
    with replaced_folder(out) as folder:
        folders = names_of(found.images)
        for image, map, name in zip(found.images, found.maps, folders, strict=True):
            own = folder / name
            own.mkdir()
            maps.write_tiff(map, own / "map.tif")
            maps.write_hyperspy(map, own / "map.hspy")
            write_overlay(map, image, own / "overlay.png")
            write_regions(map, own / "regions.csv")
            _write_json(facts_of(map), own / maps.FACTS)
        patches = {
            f"typical_{cluster['name']}": windows
            for cluster, windows in zip(found.facts["clusters"], found.patches, strict=True)
        }
        arrays = found.profiles._asdict() | patches
        np.savez(folder / PROFILES, allow_pickle=False, **arrays)
        write_page(found, folders, folder / PAGE)
        _write_json(found.facts | {"folders": folders}, folder / FACTS)


def names_of(images: tuple[Image, ...]) -> list[str]:
    """A folder's name for each image: its file's stem, and the number of its frame."""
    names: list[str] = []
    for image in images:
        frame = "" if image.frame is None else f"-frame-{image.frame}"
        names.append(free(map_name(image.path) + frame, names))
    return names


def refuse(images: tuple[Image, ...], out: Path) -> None:
    """Raise PersistemError if ``out`` is there and is not an exploration of these images: nothing else may be lost."""
    out = Path(out)
    if not out.exists() and not out.is_symlink():
        return
    choose = ("; choose another ", Setting("out"))
    if out.is_symlink() or not out.is_dir():
        raise PersistemError(f"{out}: is there already and is no folder", *choose)
    if not any(out.iterdir()):
        return
    if not (out / FACTS).is_file():
        raise PersistemError(f"{out}: is there already and holds no exploration ({FACTS})", *choose)
    known = {out / FACTS, out / PAGE, out / PROFILES}
    for path in sorted(out.rglob("*")):
        folder = path.parent == out and path.is_dir() and not path.is_symlink()
        of_a_map = path.parent.parent == out and path.name in OF_A_MAP and is_regular(path)
        if not (folder or of_a_map or (path in known and is_regular(path))):
            raise PersistemError(
                f"{out}: holds {path.relative_to(out)}, which is no file of an exploration and would be lost; move it,"
                " or choose another ",
                Setting("out"),
            )
    if not _same(images, out):
        raise PersistemError(f"{out}: is the exploration of other images", *choose)


def _same(images: tuple[Image, ...], out: Path) -> bool:
    """Whether an exploration is of these images, by the paths or by the contents of their files."""
    try:
        there = json.loads(read_text(out / FACTS))["images"]
        if len(there) != len(images):
            return False
        return all(
            facts["frame"] == image.frame and any(facts[name] == value for name, value in identity(image.path).items())
            for facts, image in zip(there, images, strict=True)
        )
    except (PersistemError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _write_json(facts: dict[str, Any], out: Path) -> None:
    out.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
