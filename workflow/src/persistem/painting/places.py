"""Places on a map: where a stroke would help most, and the region of one state about a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: How many places are suggested at most, and how doubtful one has to be: 1 is abstained, or two states as probable.
MOST, DOUBTFUL = 5, 0.3
#: Distance of suggested places from labels and from each other, in sides of the image.
APART = 0.08
#: The probability from which the model is sure of a state.
SURE = 0.9


class Grid(NamedTuple):
    """A map on its grid of windows; lengths are in pixels of the micrograph."""

    probability: NDArray[np.uint8]  # (rows, columns, states), 0 to 255 for 0 to 1
    abstain: NDArray[np.bool_]  # (rows, columns)
    states: tuple[int, ...]  # numbers of the states
    step: float
    origin: tuple[float, float]  # (x, y) of the centre of window (0, 0)
    places: list[tuple[float, float]]  # (x, y), the most helpful first


def doubt(probability: NDArray[np.floating], abstain: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How doubtful each window (rows, columns) is: 1 minus the lead of the likeliest state; 1 where it abstains."""
    ordered = np.sort(probability, axis=-1)
    lead = ordered[..., -1] - (ordered[..., -2] if ordered.shape[-1] > 1 else 0)
    return np.where(abstain, 1.0, 1 - lead)


def helpful(
    doubts: NDArray[np.float64],
    labels: NDArray[np.uint8],
    step: float,
    origin: tuple[float, float],
    window: float,
) -> list[tuple[float, float]]:
    """Up to ``MOST`` places (x, y) in pixels that are doubtful and far from labels and from each other.

    Half a ``window`` (pixels) or more from the edges: a window there would see less than the others do.
    """
    import cv2
    from scipy.ndimage import uniform_filter

    rows, columns = doubts.shape
    y, x = origin[1] + step * np.arange(rows), origin[0] + step * np.arange(columns)
    at = np.ix_(*(np.clip(p.astype(int), 0, size - 1) for p, size in zip((y, x), labels.shape, strict=True)))
    apart = APART * max(labels.shape)
    # how far from labels, in pixels, taken to count up to `apart`
    far = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 3)[at] if labels.any() else None
    gain = uniform_filter(doubts, max(round(apart / step / 2), 1), mode="nearest")
    gain = np.where(gain > DOUBTFUL, gain, 0) * (1 if far is None else np.clip(far / apart, 0, 1))
    inside = ((p >= window / 2) & (p <= size - window / 2) for p, size in zip((y, x), labels.shape, strict=True))
    gain = gain * np.logical_and.outer(*inside)
    found: list[tuple[float, float]] = []
    while len(found) < MOST and gain.max() > 0:
        i, j = np.unravel_index(gain.argmax(), gain.shape)
        found.append((float(x[j]), float(y[i])))
        gain[np.add.outer((y - y[i]) ** 2, (x - x[j]) ** 2) < (2 * apart) ** 2] = 0
    return found


def region(grid: Grid, x: float, y: float) -> tuple[int, list[tuple[int, int, int]]] | None:
    """The state at a point (pixels) and the runs (row, first, last) of the connected windows that are surely of it.

    None if the model is not sure of the window there.
    """
    from scipy.ndimage import label

    i, j = round((y - grid.origin[1]) / grid.step), round((x - grid.origin[0]) / grid.step)
    rows, columns = grid.abstain.shape
    if not (0 <= i < rows and 0 <= j < columns) or grid.abstain[i, j]:
        return None
    state = int(grid.probability[i, j].argmax())
    sure = (grid.probability[..., state] >= SURE * 255) & ~grid.abstain
    if not sure[i, j]:
        return None
    labelled, _ = label(sure)
    mask = labelled == labelled[i, j]
    runs = []
    for row in np.flatnonzero(mask.any(axis=1)).tolist():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask[row].astype(np.int8), [0]])))
        runs += [(row, int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
    return grid.states[state], runs
