"""The pictures of the overview, as data URLs of PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.report.figures import regions
from persistem.report.figures.drawing import COLOURS, DPI, PAGE, state_patches, style
from persistem.report.page.pictures import data_url

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def composite(settings: dict[str, Any], shown: dict[str, Any], found: dict[str, Any], root: Path) -> str:
    """The micrograph of a composite, which state is where in it, and the map of the chosen model."""
    import matplotlib.pyplot as plt

    states, micrograph = settings["states"], regions.read_shown(root / shown["micrographs"][0]["path"])
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(PAGE, PAGE / 3 + 0.5))
        for axis, title in zip(axes, ("micrograph", "truth", "map"), strict=True):
            regions.micrograph(axis, micrograph)
            if title == "truth":
                regions.known(axis, shown, states, micrograph, root)
            if title == "map":
                regions.mapped(axis, found["model"], shown["name"], micrograph.pixel_size, root)
                regions.boundary(axis, shown, micrograph, root)
            axis.set_title(title)
        patches = state_patches(states, "abstained")
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))
        return _png(figure)


def samples(settings: dict[str, Any], root: Path) -> str:
    """A micrograph of each state."""
    import matplotlib.pyplot as plt

    count = max(3, len(settings["samples"]))
    with style():
        figure, axes = plt.subplots(1, count, figsize=(PAGE, PAGE / count + 0.2))
        for k, (axis, sample) in enumerate(zip(axes, settings["samples"], strict=False)):
            regions.micrograph(axis, regions.read_shown(root / sample["path"]))
            axis.set_title(f"{sample['state']} ({sample['specimen']})", color=COLOURS[k % len(COLOURS)])
        for axis in axes[len(settings["samples"]) :]:
            axis.set_axis_off()
        return _png(figure)


def _png(figure: Figure) -> str:
    import matplotlib.pyplot as plt

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    plt.close(figure)
    return data_url(data.getvalue())
