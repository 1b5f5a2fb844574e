"""What all figures have in common: the style, the colours of the states, and how one is written.

Colours are of Okabe & Ito (colour-blind-safe; https://jfly.uni-koeln.de/color/); the two sides of a sign are blue and
vermilion throughout: blue for the state with label 0 (the paper's amorphous), vermilion for label 1 (its liquid).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of a page of a journal, and of a column, in inches.
PAGE, COLUMN = 7.0, 3.4
#: Of the states, in the order of their labels.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
#: A diverging map from label 0 to label 1, through white.
DIVERGING = "RdBu_r"
#: For densities of pairs.
SEQUENTIAL = "viridis"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.03,
    "pdf.fonttype": 42,  # text stays text
    "figure.constrained_layout.use": True,
}
#: Dots per inch of the PNG, and of images inside the PDF.
DPI = 200


class CannotDraw(PersistemError):
    """Why a figure cannot be drawn from this study; said in the figure's place."""


@dataclass
class Drawing:
    """A figure, what its caption says of this study in particular, and the numbers it shows (plain values)."""

    figure: Figure
    caption: str
    numbers: dict[str, Any] = field(default_factory=dict)


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib in the shared style, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        yield


def write(name: str, settings: dict[str, Any], root: Path, out: Path) -> None:
    """Draw figure ``name`` (``figure-1`` …) and write ``<name>.png``, ``.pdf`` and ``.json`` into the folder ``out``.

    The JSON has ``title``, ``about``, ``caption``, ``numbers`` and ``reason``: why it could not be drawn, or null.
    A figure that cannot be drawn is a picture that says so.
    """
    import matplotlib.pyplot as plt

    from persistem.figures import module as module_of

    module = module_of(name)
    reason = None
    with style():
        try:
            drawing = module.draw(settings, root)
        except CannotDraw as error:
            reason = str(error)
            drawing = Drawing(_excuse(module.TITLE, reason), "")
        for suffix in ("png", "pdf"):
            with atomic(Path(out) / f"{name}.{suffix}") as part:
                # no date in the PDF: the same figure is the same bytes
                metadata = {"CreationDate": None} if suffix == "pdf" else None
                drawing.figure.savefig(part, dpi=DPI, format=suffix, metadata=metadata)
        plt.close(drawing.figure)
    about = {"title": module.TITLE, "about": module.ABOUT, "caption": drawing.caption, "reason": reason}
    with atomic(Path(out) / f"{name}.json") as part:
        part.write_text(json.dumps(about | {"numbers": drawing.numbers}, indent=1, ensure_ascii=False) + "\n")


def _excuse(title: str, reason: str) -> Figure:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(PAGE, 1.2))
    figure.text(0.5, 0.62, title, ha="center", weight="bold")
    figure.text(0.5, 0.32, f"Not drawn: {reason}", ha="center", wrap=True)
    return figure
