"""Panels of composites: a micrograph in grey, and over it which state is where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.imaging.micrographs import read_micrograph
from persistem.report.figures.drawing import COLOURS, scale_bar
from persistem.specimens.layout import read_layout
from persistem.store import seals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Found = dict[str, Any]

#: Longest side of a micrograph as drawn, in pixels; opacity of a state over it.
SHOWN, OPACITY = 512, 0.45


class Shown(NamedTuple):
    """A micrograph as it is drawn: its grey levels (rows, columns), and the size of their pixels (Å)."""

    grey: NDArray[Any]
    pixel_size: float


def read_shown(path: Path) -> Shown:
    """The micrograph in a file, averaged to few enough pixels."""
    intensity, about = read_micrograph(path)
    factor = -(-max(intensity.shape) // SHOWN)
    rows, columns = (side // factor for side in intensity.shape)
    grey = intensity[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor).mean(axis=(1, 3))
    return Shown(grey, about["pixel_size_A"] * factor)


def score(model: Found, name: str) -> Found:
    """The score of a composite, by its name, in the scores of a trial: that of the first defocus and dose."""
    return next(scored for scored in model["scores"] if scored["name"] == name)


def micrograph(axis: Axes, shown: Shown) -> None:
    """Draw a micrograph in grey with a scale bar."""
    rows, columns = shown.grey.shape
    low, high = np.percentile(shown.grey, (1, 99))
    axis.imshow(shown.grey, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axis.set(xticks=[], yticks=[], xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    scale_bar(axis, (rows, columns), shown.pixel_size)


def mapped(axis: Axes, model: Found, name: str, pixel_size: float, root: Path) -> None:
    """Draw the map of a composite over its micrograph; what abstains is hatched.

    ``model`` has the scores of a trial and the ``path`` of their file, ``pixel_size`` is that of the drawn pixels (Å).
    """
    npz = (root / model["path"]).with_suffix(".npz")
    seals.check(npz)
    with np.load(npz) as maps:
        state = maps[score(model, name)["map"]]
    first = np.array(score(model, name)["origin_A"]) / pixel_size - 0.5
    last = first + model["step_A"] / pixel_size * (np.array(state.shape) - 1)
    half = model["step_A"] / pixel_size / 2
    extent = (first[1] - half, last[1] + half, last[0] + half, first[0] - half)
    axis.imshow(_colours(len(model["states"]))[state], extent=extent, alpha=OPACITY, interpolation="nearest")
    # contours need two rows and columns: a single one is drawn as two halves
    abstained = np.kron(state < 0, np.ones([1 if size > 1 else 2 for size in state.shape]))
    axis.contourf(abstained, levels=[0.5, 1.5], colors="none", hatches=["////"], extent=extent, origin="upper")


def known(axis: Axes, composite: Found, states: list[str], shown: Shown, root: Path) -> None:
    """Draw which state of a composite is where over its micrograph, vacuum left clear."""
    halves = read_layout(root / composite["structure"])
    rows, columns = ((np.arange(side) + 0.5) * shown.pixel_size for side in shown.grey.shape)
    side = halves.state(columns[None, :], rows[:, None])
    labels = np.array([*(states.index(state) for state in composite["states"]), -1])
    over = np.dstack([_colours(len(states))[labels[side]], np.where(side < 0, 0.0, OPACITY)])
    axis.imshow(over, interpolation="nearest")


def boundary(axis: Axes, composite: Found, shown: Shown, root: Path) -> None:
    """Draw the true boundary of a composite over its micrograph, dashed."""
    halves = read_layout(root / composite["structure"])
    y = np.arange(len(shown.grey)) * shown.pixel_size
    axis.plot(halves.edge(y) / shown.pixel_size, y / shown.pixel_size, color="white", lw=1.2, ls="--")


def _colours(states: int) -> NDArray[Any]:
    """Colours of the states (red, green, blue), and grey for the last, which abstains."""
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(COLOURS[k % len(COLOURS)]) for k in range(states)] + [to_rgb("0.5")])
