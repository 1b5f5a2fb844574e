"""Regions of a map: connected windows of one state."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from persistem.maps.mapping import Map

COLUMNS = (
    "region",
    "state",
    "area_nm2",
    "mean_probability",
    "x_nm",
    "y_nm",
    "left_nm",
    "top_nm",
    "right_nm",
    "bottom_nm",
)


def regions(map: Map) -> list[dict[str, Any]]:
    """Connected windows (by edges) whose most probable state is the same and that do not abstain; the largest first.

    A window counts as the square of one step around its centre. Keys are ``COLUMNS``: the region's area, mean
    probability of its state, centroid and bounding box, counted from the micrograph's upper left corner.
    """
    from scipy import ndimage

    measured: list[tuple[Any, ...]] = []
    step, origin = map.step / 10, np.array(map.origin) / 10
    for label, state in enumerate(map.states):
        labelled, count = ndimage.label(map.state == label)
        indices = range(1, count + 1)
        means = ndimage.mean(map.probability[..., label], labelled, indices)
        centres = ndimage.center_of_mass(labelled > 0, labelled, indices)
        boxes = ndimage.find_objects(labelled)
        sizes = np.bincount(labelled.ravel())[1:]
        for size, mean, centre, (rows, columns) in zip(sizes, means, centres, boxes, strict=True):
            y, x = origin + step * np.array(centre)
            top, left = origin + step * (np.array([rows.start, columns.start]) - 0.5)
            bottom, right = origin + step * (np.array([rows.stop, columns.stop]) - 0.5)
            numbers = (size * step**2, mean, x, y, left, top, right, bottom)
            measured.append((state, *(float(number) for number in numbers)))
    measured.sort(key=lambda region: -region[1])
    return [dict(zip(COLUMNS, (number, *region), strict=True)) for number, region in enumerate(measured, 1)]


def write_regions(map: Map, out: Path) -> None:
    """Write the regions as CSV."""
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for region in regions(map):
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in region.values()])
