"""Figure 5: crops with their diagrams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.report.figures.drawing import (
    GREY,
    PAGE,
    SEQUENTIAL,
    CannotDraw,
    Drawing,
    crop_of,
    plane,
    record_of,
    show_crop,
    signed,
)
from persistem.topology.diagrams import read_diagrams, values_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLE = "Crops and their persistence diagrams"
ABOUT = (
    "One crop of each state, and the births and deaths of its islands (degree 0) and rings (degree 1). Answers Fig. 5 "
    "of the paper, which draws a point for each pair; here the pairs are counted in bins, on a logarithmic scale. "
    "Superlevel pairs are below the diagonal, sublevel pairs above it. The island that never dies is left out."
)
#: Bump when the figure changes for the same study.
VERSION = 4

#: Grey levels in a bin.
BIN = 8


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """One row per crop: the crop and its diagrams, with the numbers of pairs in the panels' titles.

    ``settings``: ``states``, ``filtrations``, ``pixel_size_A`` and ``crops``, each a specimen's record with ``path``
    (of the crops), ``defocus`` (Å), ``index`` (of the crop) and ``diagrams``. Raises CannotDraw if there is no crop
    or none has a pair.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    crops = settings["crops"]
    if not crops:
        raise CannotDraw("no specimen belongs to a state, so there is no crop to show")
    images = [crop_of(crop, root) for crop in crops]
    pairs = [_pairs(crop, root) for crop in crops]
    if not any(len(of_crop) for of_crop in pairs):
        raise CannotDraw("none of the crops has an island or ring that is born and dies: the crops have no contrast")
    edges = np.arange(GREY[0], GREY[1] + 1, BIN)
    counts = [
        [
            np.histogram2d(of_crop[of_crop[:, 0] == k, 2], of_crop[of_crop[:, 0] == k, 1], [edges, edges])[0]
            for k in (0, 1)
        ]
        for of_crop in pairs
    ]
    norm = LogNorm(1, max(2, np.max(counts)))
    figure, axes = plt.subplots(len(crops), 3, figsize=(PAGE, 2.25 * len(crops) + 0.25), squeeze=False)
    for row, crop, image, of_crop, count in zip(axes, crops, images, pairs, counts, strict=True):
        show_crop(row[0], image, settings["pixel_size_A"], crop, settings["states"])
        for k, axis in enumerate(row[1:]):
            plane(axis)
            mesh = axis.pcolormesh(
                edges, edges, np.ma.masked_equal(count[k], 0), norm=norm, cmap=SEQUENTIAL, rasterized=True
            )
            axis.set_title(f"degree {k} ({('islands', 'rings')[k]}): {np.count_nonzero(of_crop[:, 0] == k)} pairs")
    bar = figure.colorbar(mesh, ax=axes[:, 1:], label=f"pairs in {BIN} × {BIN} grey levels", shrink=0.7, aspect=30)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("")
    numbers = []
    for crop, of_crop in zip(crops, pairs, strict=True):
        record = record_of(crop)
        for k in (0, 1):
            for name in settings["filtrations"]:
                side = of_crop[:, 1] > of_crop[:, 2] if name == "superlevel" else of_crop[:, 1] < of_crop[:, 2]
                n = int(np.count_nonzero(side & (of_crop[:, 0] == k)))
                numbers.append(record | {"degree": k, "filtration": name, "pairs": n})
    shown = "; ".join(
        f"{c['state']}: crop {c['index']} of {c['specimen']} at a defocus of {signed(c['defocus'])}" for c in crops
    )
    filtrations = " and ".join(settings["filtrations"]).capitalize()
    return Drawing(figure, f"{filtrations} filtration; {shown}.", {"pairs": numbers})


def _pairs(crop: dict[str, Any], root: Path) -> NDArray[Any]:
    """Degree, birth and death of the pairs of one crop: (n, 3)."""
    table = read_diagrams(Path(root) / crop["diagrams"])
    columns = np.column_stack([values_of(table[name]) for name in ("crop", "degree", "birth", "death")])
    return columns[columns[:, 0] == crop["index"], 1:]
