"""Several materials beside each other: accuracy as simulated and at equal density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persistem.report.figures.baselines import error
from persistem.report.figures.drawing import COLOURS, PAGE, lettered, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

MARKERS = "osD^v"


def drawn(lines: Sequence[dict[str, Any]], titles: Sequence[str], rows: Sequence[str]) -> Figure:
    """A panel for each title; a line for each material and control, with a dot for each row.

    ``lines`` have ``material``, ``control``, ``densities`` (g/cm³, by state) and ``rows``, for each panel the accuracy
    with ``ci_low`` and ``ci_high`` by row, or None.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with style():
        drawing = Figure(figsize=(PAGE, 1.0 + 0.42 * len(lines)), layout="constrained")
        cells = drawing.subplots(1, len(titles), sharex=True, sharey=True, squeeze=False)[0]
        for letter, axes, (k, title) in zip("abcdefgh", cells, enumerate(titles), strict=False):
            for place, line in enumerate(lines):
                for n, row in enumerate(rows):
                    if (value := line["rows"][k].get(row)) is not None:
                        y = place + 0.17 * (n - (len(rows) - 1) / 2)
                        marker = {"color": COLOURS[n], "marker": MARKERS[n], "ls": ""}
                        axes.errorbar(value["accuracy"], y, xerr=error(value), ms=3.5, elinewidth=0.7, **marker)
                if place % 2 == 0 and place:
                    axes.axhline(place - 0.5, color="0.8", lw=0.6, zorder=0)
            axes.axvline(0.5, color="0.5", lw=0.7, ls=":")
            axes.set(xlim=(0.35, 1.02), ylim=(len(lines) - 0.45, -0.55))
            axes.tick_params(axis="y", length=0)
            lettered(axes, letter, title)
        cells[0].set_yticks(range(len(lines)), [_label(line) for line in lines])
        drawing.supxlabel("Accuracy on unseen seeds", fontsize=8)
        handles = [Line2D([], [], ls="", color=COLOURS[n], marker=MARKERS[n], label=row) for n, row in enumerate(rows)]
        drawing.legend(handles=handles, loc="outside upper center", ncols=len(handles))
        return drawing


def _label(line: dict[str, Any]) -> str:
    densities = " | ".join(f"{value:.2f}" for value in line["densities"].values())
    return f"{line['material']}, {line['control']}\n{densities} g/cm³"
