"""What figures share: the style, the colours of the states, parts of panels, and the writing of files.

Colours are by Okabe & Ito (colour-blind-safe; https://jfly.uni-koeln.de/color/); the two sides of a sign are blue and
vermilion throughout: blue for the state with label 0 (the paper's amorphous), vermilion for label 1 (its liquid).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.imaging.crops import read_crops
from persistem.learning.intervals import DEPENDENT
from persistem.report.figures import module as module_of
from persistem.report.figures.atoms import element_colours
from persistem.specimens.structures import elements_in
from persistem.store.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from numpy.typing import NDArray

#: Widths of a journal's page and column, in inches: 170 and 85 mm.
PAGE, COLUMN = 170 / 25.4, 85 / 25.4
#: Colours of the states, in the order of their labels.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
#: A diverging map from label 0 to label 1, through white.
DIVERGING = "RdBu_r"
#: For densities of pairs.
SEQUENTIAL = "viridis"
#: Name, colour and dashes of each way to split crops; and what the error bars are.
SPLITS: dict[str, tuple[str, str, Any]] = {
    "random": ("random split", COLOURS[2], "-"),
    "leave-seed-out": ("unseen seed", COLOURS[3], (0, (4, 2))),
}
ERROR_BARS = (
    "Error bars of the random split: 2.5 to 97.5 % of its repetitions; of unseen seeds: 95 % interval of the mean over"
    f" seeds (Student's t); none where there are fewer than three; {DEPENDENT}"
)
#: Ends of an axis of grey levels.
GREY = (-0.5, 255.5)
#: What a figure's numbers say of a specimen.
RECORD = ("specimen", "state", "seed", "temperature", "rt")

#: The look of all figures.
STYLE = Path(__file__).with_name("figures.mplstyle")
#: Dots per inch of the PNG, and of images inside the PDF.
DPI = 200


class CannotDraw(PersistemError):
    """Why a figure cannot be drawn from this study; shown in the figure's place."""


@dataclass
class Drawing:
    """A figure, its caption on this study in particular, and the numbers it shows (plain values)."""

    figure: Figure
    caption: str
    numbers: dict[str, Any] = field(default_factory=dict)


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib in the shared style, without a display and without anybody's own settings."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(STYLE, use_default_template=False))
        yield


def write(name: str, settings: dict[str, Any], root: Path, out: Path) -> None:
    """Draw figure ``name`` (``figure-1`` …) and write ``<name>.png``, ``.pdf`` and ``.json`` into the folder ``out``.

    The JSON has ``title``, ``about``, ``caption``, ``numbers`` and ``reason``: why it could not be drawn, or null.
    A figure that cannot be drawn is a picture that says so.
    """
    import matplotlib.pyplot as plt

    module = module_of(name)
    reason = None
    with style():
        try:
            drawing = module.draw(settings, root)
        except CannotDraw as error:
            reason = str(error)
            drawing = Drawing(_excuse(module.TITLE, reason), "")
        settle(drawing.figure)
        for suffix in ("png", "pdf"):
            with atomic(Path(out) / f"{name}.{suffix}") as part:
                # no date in the PDF: the same figure is the same file
                metadata = {"CreationDate": None} if suffix == "pdf" else None
                drawing.figure.savefig(part, dpi=DPI, format=suffix, metadata=metadata)
        plt.close(drawing.figure)
    about = {"title": module.TITLE, "about": module.ABOUT, "caption": drawing.caption, "reason": reason}
    with atomic(Path(out) / f"{name}.json") as part:
        part.write_text(json.dumps(about | {"numbers": drawing.numbers}, indent=1, ensure_ascii=False) + "\n")


def settle(figure: Figure) -> None:
    """Lay ``figure`` out once, for PNG and PDF, with all places rounded to 1e-4 of the figure.

    The constraint solver of Matplotlib's layout (kiwi) orders its terms by their addresses in memory, so the last
    digits of places vary from one process to the next, and with them the bytes of a PDF.
    """
    from matplotlib.transforms import Bbox

    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    parts: list[FigureBase] = [figure]
    for part in parts:
        parts += part.subfigs
        for inner in part.subfigs:
            inner.bbox_relative.set_points(inner.bbox_relative.get_points().round(4))
    for axes in figure.axes:
        in_layout = axes.get_in_layout()
        axes.set_position(Bbox(axes.get_position(original=True).get_points().round(4)))
        axes.set_in_layout(in_layout)  # Matplotlib leaves axes placed by hand out of a tight box


def lettered(axes: Axes, letter: str, title: str = "") -> None:
    """Name a panel: its letter, bold, and what it shows."""
    axes.set_title(f"$\\bf{{({letter})}}$ {title}".strip(), loc="left")


def record_of(of: dict[str, Any]) -> dict[str, Any]:
    """What the numbers say of the specimen of a settings record."""
    return {key: of[key] for key in RECORD}


def name_of(record: dict[str, Any]) -> str:
    """The name of a specimen in a figure: its temperature and treatment, or its own name."""
    if record["temperature"] is None:
        return str(record["specimen"])
    return f"{record['temperature']} K" + (" + RT" if record["rt"] else "")


def signed(defocus: float) -> str:
    """A defocus in Å, in the figures' form."""
    return f"{defocus:+g} Å".replace("-", "\N{MINUS SIGN}") if defocus else "0 Å"


def crop_of(crop: dict[str, Any], root: Path) -> NDArray[Any]:
    """The crop named by ``path`` and ``index`` of a specimen's record: (rows, columns) uint8."""
    stack = read_crops(Path(root) / crop["path"])
    if not 0 <= crop["index"] < len(stack):
        raise CannotDraw(f"crop {crop['index']} of {crop['specimen']} is to be shown, but there are {len(stack)} crops")
    image: NDArray[Any] = stack[crop["index"]]
    return image


def show_crop(axis: Axes, image: NDArray[Any], pixel_size: float, crop: dict[str, Any], states: list[str]) -> None:
    """A crop framed in its state's colour, with a scale bar; ``pixel_size`` in Å."""
    colour = COLOURS[states.index(crop["state"]) % len(COLOURS)]
    axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=1.8)
    axis.set_title(f"{crop['state']}, {signed(crop['defocus'])}", color=colour)
    scale_bar(axis, image.shape, pixel_size)


def state_patches(labels: Sequence[str], abstained: str) -> list[Patch]:
    """What a legend of states shows: a colour for each label, in the order of the states, and hatching for the rest."""
    from matplotlib.patches import Patch

    patches = [Patch(color=COLOURS[k % len(COLOURS)], label=label) for k, label in enumerate(labels)]
    return [*patches, Patch(facecolor="0.8", edgecolor="0.35", hatch="////", label=abstained)]


def scale_bar(axis: Axes, shape: tuple[int, ...], pixel_size: float) -> None:
    """A bar of 1, 2 or 5 times a power of ten, between a tenth and a third of the image's width; ``pixel_size`` in Å.

    The image is drawn with its first row on top, a pixel to a unit of the axes.
    """
    from matplotlib.patheffects import withStroke

    width = shape[1] * pixel_size / 10  # nm
    power = 10.0 ** floor(log10(width / 3))
    length = max(f * power for f in (1, 2, 5) if f * power <= width / 3)
    pixels = length * 10 / pixel_size
    left, bottom = 0.05 * shape[1], 0.94 * shape[0]
    effects = [withStroke(linewidth=1.5, foreground="black")]
    # other caps would reach beyond the ends
    line: dict[str, Any] = {"color": "white", "linewidth": 1.8, "solid_capstyle": "butt", "path_effects": effects}
    axis.plot([left, left + pixels], [bottom, bottom], **line)
    label = f"{length:g} nm" if length >= 1 else f"{length * 10:g} Å"
    axis.text(left, bottom - 0.025 * shape[0], label, color="white", va="bottom", path_effects=effects)


def plane(axis: Axes) -> None:
    """Axes of births and deaths in grey levels, with the diagonal."""
    axis.plot(GREY, GREY, color="0.6", linewidth=0.6, zorder=3)
    axis.set(xlim=GREY, ylim=GREY, aspect="equal", xlabel="birth (grey level)", ylabel="death (grey level)")
    axis.set(xticks=(0, 64, 128, 192, 255), yticks=(0, 64, 128, 192, 255))


def with_elements_drawn(settings: dict[str, Any], records: list[dict[str, Any]], root: Path) -> dict[str, Any]:
    """Settings with the radii of only the elements in the records' structures."""
    drawn = set[str]().union(*(elements_in(Path(root) / record["structure"]) for record in records))
    return settings | {"radii": {element: radius for element, radius in settings["radii"].items() if element in drawn}}


def element_dots(radii: dict[str, float]) -> list[Line2D]:
    """Legend entries of elements: a dot each, larger for a larger radius (Å)."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", ls="", color=colour, mec="0.3", mew=0.4, ms=3 + 2.4 * radii[element], label=element)
        for element, colour in element_colours([*radii]).items()
    ]


def _excuse(title: str, reason: str) -> Figure:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(PAGE, 1.2))
    figure.text(0.5, 0.62, title, ha="center", weight="bold")
    figure.text(0.5, 0.32, f"Not drawn: {reason}", ha="center", wrap=True)
    return figure
