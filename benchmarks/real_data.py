"""The real micrographs that real.py measures with: where they lie, their labels, the regions that are certain, strokes.

Nothing of them is part of the repository but the regions, tests/data/real: polygons and ellipses, drawn twice, the
second time without sight of the first.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from persistem.reading import Image

ROOT = Path(__file__).resolve().parents[1]
REGIONS = ROOT / "tests" / "data" / "real"
#: The two sets of regions.
SETS = ("first", "second")
#: The states on carbon, and the numbers that their regions have in a picture of labels.
STATES = ("vacuum", "carbon", "particle")
#: Å a pixel, from lattice peaks: the particles' images, and those on carbon.
PARTICLES = 0.58
CARBON = {"PtCo3": 0.50, "PtC2": 0.42, "pt_on_carbon": 0.466}
#: How many images of particles there are; the neighbour of the last shows the same frame and is left alone.
COUNT = 20


class Stranger(NamedTuple):
    """An image that no model of nanoparticles knows, and the pixel size that is stated where its file has none (Å)."""

    path: str
    pixel_size: float | None


#: By name. The soot's pixel size is its authors', those of graphene and re05 are guesses, the others' are in the files.
STRANGERS = {
    "HAADF, Au particles": Stranger("micrographs/au_particles_haadf.emd", None),
    "HAADF, tiny": Stranger("micrographs/tiny_haadf.dm4", None),
    "camera noise": Stranger("micrographs/camera_noise.emd", None),
    "vitreous ice": Stranger("micrographs/vitreous_ice.mrc", None),
    "amorphous carbon, Thon rings": Stranger("micrographs/amorphous_carbon.tif", None),
    "soot": Stranger("micrographs/soot.tif", 0.555),
    "graphene, defect": Stranger("labelled/others/graphene/graphene_defect_raw.tif", 0.2),
    "graphene, flower": Stranger("labelled/others/graphene/graphene_flower_raw.tif", 0.2),
    "EMD of a scanning microscope": Stranger("labelled/others/out_of_domain/EMDReader_Image_FEI.emd", None),
    "re05": Stranger("labelled/others/out_of_domain/re05.tiff", 0.5),
}


@cache
def data() -> Path | None:
    """The folder of the data, or None: $PERSISTEM_DATA, else shared/data beside or above the repository."""
    places = [Path(os.environ["PERSISTEM_DATA"])] if "PERSISTEM_DATA" in os.environ else []
    places += [folder / "shared" / "data" for folder in ROOT.parents]
    return next((place for place in places if (place / "labelled").is_dir()), None)


def present() -> Path:
    """The folder of the data, which is there."""
    folder = data()
    assert folder
    return folder


def carbon_path(name: str) -> Path:
    """The file of one of the images on carbon."""
    within = "micrographs" if name == "pt_on_carbon" else "labelled/carbon/images"
    return present() / within / f"{name}.jpg"


def particles_path(number: int) -> Path:
    """The file of one of the images of particles."""
    return present() / f"labelled/nanoparticles/train/images/image_{number}.png"


def particles(number: int) -> tuple[Image, NDArray[np.bool_]]:
    """An image of particles on a film, and its authors' mask of the particles."""
    from persistem.reading import read

    path = particles_path(number)
    mask = read(path.parents[1] / f"labels/label_{number}.png", grey=True)[0].pixels
    return read(path, pixel_size=PARTICLES, grey=True)[0], np.asarray(mask) > 127


def carbon(name: str) -> Image:
    """One of the images on carbon."""
    from persistem.reading import read

    return read(carbon_path(name), pixel_size=CARBON[name], grey=True)[0]


@cache
def regions(which: str) -> dict[str, Any]:
    """A set of certain regions, by image: its ``side`` (px), polygons (x, y) by state, boxes of particles' ellipses."""
    found: dict[str, Any] = json.loads((REGIONS / f"{which}.json").read_text())
    return found


def certain(of: dict[str, Any]) -> NDArray[np.uint8]:
    """The state of every pixel of an image, numbered as in ``STATES`` from 1; 0 where it is not certain."""
    import cv2

    labels = np.zeros((of["side"], of["side"]), np.uint8)
    for number, state in enumerate(STATES, 1):
        for region in of[state]:
            if state == "particle":
                x0, y0, x1, y1 = region
                cv2.ellipse(labels, (((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0), 0), number, -1)
            else:
                cv2.fillPoly(labels, [np.asarray(region, np.int32)], number)
    return labels


def agreement(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> dict[str, float]:
    """How far two sets agree where both are certain, and which share of each one's certain pixels the other has too."""
    both = (first > 0) & (second > 0)
    same = float((first == second)[both].mean()) if both.any() else float("nan")
    return {
        "both": float(both.mean()),
        "same": same,
        "of_first": float(both.sum() / max((first > 0).sum(), 1)),
        "of_second": float(both.sum() / max((second > 0).sum(), 1)),
    }


def strokes(
    labels: NDArray[np.uint8], rng: np.random.Generator, each: int = 3, share: float = 0.02
) -> NDArray[np.uint8]:
    """Brush strokes inside the regions of ``labels``: ``each`` per state, in all at most ``share`` of the image's area.

    A stroke is straight, begins at a random pixel of a region and stays in it; strokes of a state begin in different
    regions as long as there are some. It is as long as five times its width, unless the region ends before.
    """
    import cv2

    numbers = [n for n in np.unique(labels).tolist() if n]
    area = share * labels.size / (each * len(numbers))
    # a line with round ends covers length * width + pi / 4 * width²
    width = max(int(np.sqrt(area / (5 + np.pi / 4))), 1)
    drawn = np.zeros_like(labels)
    for number in numbers:
        count, parts = cv2.connectedComponents((labels == number).astype(np.uint8))
        order = rng.permutation(np.arange(1, count))
        for k in range(each):
            part = parts == order[k % len(order)]
            inner = cv2.erode(part.astype(np.uint8), np.ones((width // 2 + 1,) * 2, np.uint8))
            inside = np.flatnonzero(inner if inner.any() else part)
            y, x = divmod(int(inside[rng.integers(len(inside))]), labels.shape[1])
            angle = rng.uniform(0, 2 * np.pi)
            end = round(x + 5 * width * np.cos(angle)), round(y + 5 * width * np.sin(angle))
            line = np.zeros_like(labels)
            cv2.line(line, (x, y), end, 1, width)
            drawn[(line > 0) & part] = number
    return drawn
