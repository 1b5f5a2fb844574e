"""The pictures of docs/real-micrographs.md: scaled down, with maps over the images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import real_data as data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Vacuum, disordered carbon, particle: colours that differ in brightness too (Okabe & Ito).
COLOURS = np.array([[86, 180, 233], [0, 158, 115], [213, 94, 0]]) / 255
#: Side of a panel (px), and how strongly colours cover the image.
SIDE, COVER = 300, 0.45
#: Dots per inch, and colours of a picture.
DPI, HUES = 100, 96


def grey(pixels: NDArray[Any], side: int = SIDE) -> NDArray[np.float64]:
    """An image in grey, (side, side, 3), 0 to 1."""
    import cv2

    small = cv2.resize(np.asarray(pixels, np.float32), (side, side), interpolation=cv2.INTER_AREA)
    low, high = np.quantile(small, [0.002, 0.998])
    return np.repeat(np.clip((small - low) / (high - low), 0, 1)[..., None], 3, axis=2).astype(float)


def over(base: NDArray[np.float64], state: NDArray[np.int_], cover: float = COVER) -> NDArray[np.float64]:
    """An image with the colour of the state of every pixel over it; -1 is none."""
    import cv2

    small = cv2.resize(state.astype(np.int16), base.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    shown = base.copy()
    marked = small >= 0
    shown[marked] = (1 - cover) * base[marked] + cover * COLOURS[small[marked]]
    return shown


def save(out: Path, panels: Sequence[Sequence[tuple[str, NDArray[np.float64]]]], legend: bool) -> None:
    """Rows of panels with their titles as one PNG."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows, columns = len(panels), len(panels[0])
    figure = Figure(figsize=(3.0 * columns, 3.22 * rows + (0.35 if legend else 0)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, of_row in zip(axes, panels, strict=True):
        for axis, (title, image) in zip(row, of_row, strict=True):
            axis.imshow(image, interpolation="nearest")
            axis.set_title(title, fontsize=8)
            axis.set_axis_off()
    if legend:
        patches = [
            Patch(color=c, label=s) for c, s in zip(COLOURS, ("vacuum", "disordered carbon", "particle"), strict=True)
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    data_of = io.BytesIO()
    figure.savefig(data_of, dpi=DPI, format="png")
    # grain does not compress; in few colours it takes a third
    few = PIL.Image.open(data_of).convert("RGB").quantize(HUES, dither=PIL.Image.Dither.NONE)
    few.save(out, optimize=True)


def particles_picture(out: Path, known: tuple[Any, NDArray[np.bool_]], shown: Mapping[str, Any]) -> None:
    """Particles of an image by models of one other image."""
    image, mask = known
    base = grey(image.pixels)
    panels = [
        ("image 11", base),
        ("mask of its authors", over(base, np.where(mask, 2, -1))),
        ("PersisTEM, trained on image 0", over(base, np.where(shown["ours"][0] > 0.5, 2, -1))),
        ("forest of pixels, raw", over(base, np.where(shown["raw"] > 0.5, 2, -1))),
    ]
    save(out, [panels], legend=False)


def strokes_picture(out: Path, shown: Mapping[str, Any]) -> None:
    """Strokes on an image, the map that they give, and a forest's."""
    base = grey(shown["pixels"])
    strokes = shown["strokes"].astype(int) - 1
    panels = [
        ("the image, and nine strokes", over(base, strokes, 1.0)),
        ("PersisTEM", over(base, shown["map"].argmax(axis=-1))),
        ("forest of pixels, relative to the image", over(base, shown["forest"])),
    ]
    save(out, [panels], legend=True)


def sessions_picture(out: Path, shown: Mapping[str, Mapping[str, Any]]) -> None:
    """Each image on carbon, and its map by a model of the other two."""
    rows = []
    for name, one in shown.items():
        base = grey(one["pixels"])
        marks = data.certain(data.regions("second")[name]).astype(int) - 1
        rows.append(
            [
                (f"{name}, certain regions", over(base, marks)),
                ("mapped by a model of the other two", over(base, one["map"].argmax(axis=-1))),
            ]
        )
    # one row of pairs reads better than a tall page
    save(out, [[panel for row in rows for panel in row][k : k + 2] for k in range(0, 2 * len(rows), 2)], legend=True)


def soot_picture(out: Path, shown: Mapping[str, Any]) -> None:
    """What a model of particles on carbon says of soot."""
    base = grey(shown["pixels"])
    save(
        out, [[("soot", base), ("by a model of the three images on carbon", over(base, shown["map"].argmax(-1)))]], True
    )
