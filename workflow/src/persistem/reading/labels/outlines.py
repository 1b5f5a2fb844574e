"""Outlines turned into pixels: a pixel is in a region if its centre is.

A centre on the outline belongs to the region to its right or below, as in ImageJ. So regions that share a border
neither overlap nor leave a gap. scikit-image and OpenCV paint a border's pixels in both, which would be refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from persistem.errors import Setting
from persistem.reading.found import BadImage
from persistem.reading.labels.legend import Key, Legend

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Corners of the polygon that stands for an ellipse: at a radius of 4000 px it is off by 0.02 px.
CORNERS = 1000
#: Most regions of a file, and most crossings of an outline with rows of pixels.
MOST_REGIONS, MOST_CROSSINGS = 10_000, 5_000_000
#: How many times the boxes around all regions may cover the image together: those of regions that do not overlap cover
#: it a few times at most, and 300 outlines of a whole image of 4096² px took 26 s.
MOST_TIMES = 100
#: How far beyond the image a region may reach, as a share of the image's longer side: hands slip at a border.
BEYOND = 0.1


class Region(NamedTuple):
    """An area with an outline, and what the file calls it."""

    what: str  # in messages
    keys: tuple[Key, ...]  # which a legend may name, the first that it does counts
    #: Parts, each of rings (n, 2) of (row, column), centres of pixels at whole numbers; a ring in a ring is a hole.
    parts: Sequence[Sequence[NDArray[np.float64]]]


def painted(regions: Sequence[Region], shape: tuple[int, int], legend: Legend) -> NDArray[np.uint8]:
    """Numbers of states (rows, columns), 0 where no region is.

    Raises BadImage if a region has no state or no pixel, lies outside of the image, or overlaps one of another state.
    """
    if len(regions) > MOST_REGIONS:
        raise BadImage(f"it holds {len(regions)} regions; up to {MOST_REGIONS} can be read")
    canvas = np.zeros(shape, np.uint8)
    covered = 0
    for region in regions:
        number = legend.number(region.keys)
        if number is None:
            raise unnamed(region, legend)
        _check_place(region, shape)
        pixels = 0
        for part in region.parts:
            top, left, mask = inside(part, shape)
            there = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
            _check_overlap(region, legend, number, (top, left), mask, there)
            there[mask] = number
            covered += mask.size
            if covered > MOST_TIMES * canvas.size:
                raise BadImage(f"its regions cover the image more than {MOST_TIMES} times, one over another")
            pixels += int(mask.sum())
        if not pixels:
            raise BadImage(f"{region.what} holds not one pixel's centre of the image")
    return canvas


def inside(rings: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> tuple[int, int, NDArray[np.bool_]]:
    """First row, first column, and the mask of the pixels from there on whose centres an odd number of rings holds.

    Raises BadImage if the outline crosses more rows than can be counted.
    """
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # each edge from its upper end, so that neighbours compute the same crossings whichever way they go round
    upward = (starts[:, 0] > ends[:, 0])[:, None]
    (y0, x0), (y1, x1) = np.where(upward, ends, starts).T, np.where(upward, starts, ends).T
    first, last = (np.clip(np.ceil(y), 0, shape[0]).astype(np.int64) for y in (y0, y1))
    counts = last - first
    if counts.sum() > MOST_CROSSINGS:
        raise BadImage(f"an outline crosses rows of pixels {counts.sum()} times; up to {MOST_CROSSINGS} can be")
    edge = np.repeat(np.arange(len(counts)), counts)
    row = first[edge] + np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
    crossing = x0[edge] + (row - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
    column = np.clip(np.ceil(crossing), 0, shape[1]).astype(np.int64)
    if not len(row):
        return 0, 0, np.zeros((0, 0), bool)
    top, left = int(row.min()), int(column.min())
    turns = np.zeros((int(row.max()) - top + 1, int(column.max()) - left + 1), np.uint8)
    np.add.at(turns, (row - top, column - left), 1)
    # the last column is where rows end, which may be beyond the image
    return top, left, np.bitwise_xor.accumulate(turns & 1, axis=1)[:, :-1].astype(bool)


def ellipse(centre: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """A polygon (n, 2) on the ellipse around ``centre`` whose half axes, or other conjugate ones, are these vectors."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    polygon: NDArray[np.float64] = centre + np.cos(angle) * one + np.sin(angle) * other
    return polygon


def unnamed(region: Region, legend: Legend) -> BadImage:
    """The error on a region that the legend does not name."""
    if not legend.given:
        example = f", as in {{{region.keys[0]}: crystal}}"
        return BadImage(f"nothing says of which state {region.what} is; give ", Setting("states"), example)
    return BadImage(f"{region.what} is not in the legend, which says {legend.said()}")


def _check_place(region: Region, shape: tuple[int, int]) -> None:
    """Raise BadImage unless the outline has corners, all finite and in the image or not far from it."""
    if not region.parts or any(not len(ring) for part in region.parts for ring in part):
        raise BadImage(f"{region.what} has no outline")
    points = np.concatenate([ring for part in region.parts for ring in part])
    if not np.isfinite(points).all():
        raise BadImage(f"{region.what} has a corner that is not a finite number")
    low, high = points.min(axis=0), points.max(axis=0)
    slack = BEYOND * max(shape)
    rows, columns = shape
    if (low < -0.5 - slack).any() or (high > np.array(shape) + slack).any():
        swapped = (high <= np.array([columns, rows])).all() and (low >= -0.5).all()
        raise BadImage(
            f"{region.what} reaches from column {low[1]:.0f} to {high[1]:.0f} and from row {low[0]:.0f} to"
            f" {high[0]:.0f}, but the micrograph has {columns} columns and {rows} rows"
            + ("; rows and columns are swapped" if swapped else "; it was drawn on another image")
        )


def _check_overlap(
    region: Region,
    legend: Legend,
    number: int,
    corner: tuple[int, int],
    mask: NDArray[np.bool_],
    there: NDArray[np.uint8],
) -> None:
    """Raise BadImage if pixels of the mask have another state already."""
    twice = mask & (there != 0) & (there != number)
    if twice.any():
        row, column = np.argwhere(twice)[0] + corner
        other = legend.names[int(there[twice][0])]
        raise BadImage(
            f"{region.what} overlaps a region of {other} in {int(twice.sum())} px, the first"
            f" at column {column}, row {row}; a place has one state"
        )
