"""Figure 1: the atoms, the micrograph and the 3D persistence diagram of each temperature, without and with RT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.figures.drawing import PAGE, SEQUENTIAL, CannotDraw, Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

TITLE = "Atoms, micrographs and 3D persistence diagrams by temperature and treatment"
ABOUT = (
    "Fig. 1 of the paper: for each temperature, without and with the treatment at room temperature (RT), a perspective"
    " view of the atoms of the central cube along [001], the micrograph of the same cube, and the persistence diagram"
    " of the slab (degree 1: rings), from the weighted alpha filtration. The paper's diagrams are of a slab with open"
    " faces; the last column is the same slab in an infinite specimen, where pairs that a surface makes are absent."
    " The paper states neither the degree nor the units: births and deaths are levels in Å². Its surface peaks near"
    " (1, 1.7) and (2, 2.4), circled, are in these diagrams where its numbers 1.5625 and 0.49 are taken as the squares"
    " of the radii 1.25 Å (Ga) and 0.70 Å (N), whose sum is the Ga–N bond length, and not where they are taken as"
    " radii."
)
#: Raised when the figure changes for the same study.
VERSION = 1

#: Where the paper sees peaks that it attributes to the surface: birth, death. Å², see ABOUT.
SURFACE = ((1.0, 1.7), (2.0, 2.4))
#: Half the side of the square about such a peak in which pairs are counted, Å².
NEAR = 0.25
#: Bins and the Gaussian that smooths them for the sharpness, Å².
BIN, SMOOTHING = 0.02, 0.05
#: Bins of the diagrams as drawn, along an axis.
BINS = 130
ROW = 1.55  # inches


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a row for each specimen; ``numbers`` has each one's sharpness, pairs and pairs near the surface peaks.

    Sharpness is the greatest density of the degree-1 pairs, weighted by lifetime, normalised to 1 and smoothed by
    0.05 Å² (Å⁻⁴): high where rings of one kind prevail, as in a crystal.
    """
    import matplotlib.pyplot as plt
    import numpy as np

    panels = settings["panels"]
    if not panels:
        raise CannotDraw("the study has no specimen of a temperature that figures.temperatures lists")
    diagrams = [_diagrams(panel, root) for panel in panels]
    shown = [kind for kind in ("open", "periodic") if any(kind in found for found in diagrams)]
    pairs = [found[kind] for found in diagrams for kind in found if len(found[kind])]
    if not pairs:
        raise CannotDraw("the 3D diagrams have no pairs of degree 1")
    everything = np.concatenate(pairs)
    low = min(0.0, float(np.quantile(everything, 0.001))) - 0.2
    high = max(3.0, 1.15 * float(np.quantile(everything[:, 1], 0.9)))
    edges = np.linspace(low, high, BINS + 1)
    volume = _volume(settings)
    counts = [{kind: _histogram(found[kind], edges) / volume for kind in found} for found in diagrams]
    most = max(count.max() for row in counts for count in row.values())

    columns = 2 + len(shown)
    figure = plt.figure(figsize=(PAGE, ROW * len(panels) + 0.9))
    axes = figure.subplots(len(panels), columns, squeeze=False, width_ratios=[1, 1] + [1.12] * len(shown))
    image: Any = None
    for row, panel, count in zip(axes, panels, counts, strict=True):
        _atoms(row[0], panel, settings, root)
        _micrograph(row[1], panel, settings, root)
        for axis, kind in zip(row[2:], shown, strict=True):
            if kind in count:
                image = _diagram(axis, count[kind], edges, most, settings)
            else:
                axis.set_axis_off()
            axis.set_xlabel("birth (Å²)" if row is axes[-1] else "")
        row[2].set_ylabel("death (Å²)")
        row[0].set_ylabel(name_of(panel), weight="bold")
    heads = [f"atoms, {settings['cube']:g} Å cube", _defocus(settings), *(HEADS[kind] for kind in shown)]
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head)
    _legend(figure, axes[0][0], settings)
    figure.colorbar(
        image, ax=axes[-1, 2:].tolist(), location="bottom", label="pairs (nm⁻³ Å⁻⁴)", aspect=40, shrink=0.8, pad=0.02
    )
    numbers = {
        "degree": 1,
        "near_A2": NEAR,
        "panels": [_numbers(panel, found, settings, volume) for panel, found in zip(panels, diagrams, strict=True)],
    }
    return Drawing(figure, _caption(settings, shown), numbers)


HEADS = {"open": "diagram, open faces", "periodic": "diagram, no surface"}


def name_of(record: dict[str, Any]) -> str:
    """What a specimen is called in a figure: its temperature and treatment, or its own name."""
    if record["temperature"] is None:
        return str(record["specimen"])
    return f"{record['temperature']} K" + (" + RT" if record["rt"] else "")


def sharpness(pairs: NDArray[Any]) -> float | None:
    """The greatest density of pairs, (n, 2) birth and death in Å², weighted by lifetime and normalised; Å⁻⁴."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    if not len(pairs):
        return None
    weights = pairs[:, 1] - pairs[:, 0]
    # farther out are the few rings about large cavities
    low, high = pairs.min() - 3 * SMOOTHING, np.quantile(pairs[:, 1], 0.99) + 3 * SMOOTHING
    edges = np.arange(low, max(high, low + 1.0), BIN)
    counts, *_ = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=(edges, edges), weights=weights)
    smooth = gaussian_filter(counts, SMOOTHING / BIN, mode="constant")
    return float(smooth.max() / weights.sum() / BIN**2)


def _diagrams(panel: dict[str, Any], root: Path) -> dict[str, NDArray[Any]]:
    """Degree-1 pairs, (n, 2), of the open and of the periodic slab, where the study has them."""
    import numpy as np

    from persistem.diagrams_3d import read_diagram_3d

    found = {}
    for kind, key in (("open", "diagram"), ("periodic", "diagram_periodic")):
        if panel.get(key):
            diagram = read_diagram_3d(root / panel[key])
            found[kind] = np.column_stack([diagram["birth"], diagram["death"]])[diagram["degree"] == 1]
    return found


def _volume(settings: dict[str, Any]) -> float:
    """Of the slab, nm³."""
    return float(settings["field"] ** 2 * settings.get("thickness", settings["field"])) * 1e-3


def _histogram(pairs: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    counts, *_ = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=(edges, edges))
    density: NDArray[Any] = counts / (edges[1] - edges[0]) ** 2
    return density


def _numbers(
    panel: dict[str, Any], found: dict[str, NDArray[Any]], settings: dict[str, Any], volume: float
) -> dict[str, Any]:
    import numpy as np

    which = settings["shown"] if settings["shown"] in found else next(iter(found), None)
    record = {key: panel[key] for key in ("specimen", "state", "seed", "temperature", "rt")}
    surface = []
    for point in SURFACE:
        near = {
            kind: float((np.abs(pairs - point) <= NEAR).all(axis=1).sum()) / volume for kind, pairs in found.items()
        }
        surface.append({"at": list(point), "open": near.get("open"), "periodic": near.get("periodic")})
    if which is None:
        return record | {"diagram": None, "sharpness": None, "pairs_per_nm3": None, "surface": surface}
    pairs = found[which]
    density = len(pairs) / volume
    return record | {"diagram": which, "sharpness": sharpness(pairs), "pairs_per_nm3": density, "surface": surface}


def _atoms(axis: Axes, panel: dict[str, Any], settings: dict[str, Any], root: Path) -> None:
    import numpy as np

    from persistem.exit_waves import cut
    from persistem.figures.atoms import picture
    from persistem.structures import read_structure

    atoms = cut(read_structure(root / panel["structure"]), np.full(3, float(settings["cube"])))
    image = picture(
        atoms.positions, list(atoms.symbols), settings["radii"], atoms.cell.lengths(), pixels=420, scale=0.6
    )
    _bare(axis)
    axis.imshow(image)


def _micrograph(axis: Axes, panel: dict[str, Any], settings: dict[str, Any], root: Path) -> None:
    import numpy as np

    from persistem.micrographs import read_micrograph

    _bare(axis)
    if not panel.get("micrograph"):
        axis.text(0.5, 0.5, "not imaged", ha="center", va="center", transform=axis.transAxes, color="0.4")
        axis.set_box_aspect(1)
        return
    intensity, _ = read_micrograph(root / panel["micrograph"])
    pixel = settings["field"] / intensity.shape[0]
    side = min(intensity.shape[0], max(1, round(settings["cube"] / pixel)))
    first = (intensity.shape[0] - side) // 2
    part = intensity[first : first + side, first : first + side]
    low, high = np.percentile(part, (1, 99))
    width = side * pixel
    axis.imshow(part, cmap="gray", vmin=low, vmax=high, origin="lower", extent=(0, width, 0, width))
    bar = float(f"{width / 4:.1g}")
    axis.plot([0.06 * width, 0.06 * width + bar], [0.07 * width] * 2, color="white", lw=4.5, solid_capstyle="butt")
    axis.plot([0.07 * width, 0.05 * width + bar], [0.07 * width] * 2, color="black", lw=2.0, solid_capstyle="butt")
    axis.text(
        0.06 * width + bar / 2, 0.1 * width, f"{bar:g} Å", ha="center", va="bottom", fontsize=7,
        bbox={"facecolor": "white", "alpha": 0.8, "pad": 0.8, "linewidth": 0},
    )  # fmt: skip


def _diagram(axis: Axes, density: NDArray[Any], edges: NDArray[Any], most: float, settings: dict[str, Any]) -> Any:
    import numpy as np
    from matplotlib.colors import LogNorm

    least = 1 / (_volume(settings) * (edges[1] - edges[0]) ** 2)  # one pair in a bin
    shown = np.ma.masked_less(density.T, least / 2)
    image = axis.pcolormesh(
        edges, edges, shown, cmap=SEQUENTIAL, norm=LogNorm(least, max(most, 2 * least)), rasterized=True
    )
    axis.plot([edges[0], edges[-1]], [edges[0], edges[-1]], color="0.6", lw=0.5)
    if sorted(settings["radii"]) == ["Ga", "N"]:
        for birth, death in SURFACE:
            axis.plot(birth, death, "o", mfc="none", mec="#D55E00", ms=10, mew=0.9)
    axis.set(xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
    axis.set_box_aspect(1)
    return image


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _legend(figure: Any, axis: Axes, settings: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    from persistem.figures.atoms import element_colours

    dots = [
        Line2D(
            [],
            [],
            marker="o",
            ls="",
            color=colour,
            mec="0.3",
            mew=0.4,
            ms=3 + 2.4 * settings["radii"][element],
            label=element,
        )
        for element, colour in element_colours([*settings["radii"]]).items()
    ]
    axis.legend(
        handles=dots,
        loc="lower left",
        ncols=len(dots),
        bbox_to_anchor=(0, -0.02),
        frameon=True,
        framealpha=0.85,
        edgecolor="none",
        handletextpad=0.1,
        columnspacing=0.6,
        borderpad=0.2,
    )


def _defocus(settings: dict[str, Any]) -> str:
    found = {panel.get("defocus") for panel in settings["panels"] if panel.get("micrograph")} - {None}
    if not found and settings.get("defocus") is not None:
        found = {settings["defocus"]}
    # "+ 0" takes the sign from a zero
    return f"micrograph, defocus {found.pop() + 0:g} Å" if len(found) == 1 else "micrograph"


def _caption(settings: dict[str, Any], shown: list[str]) -> str:
    radii = ", ".join(f"{element} {radius:g} Å" for element, radius in settings["radii"].items())
    names = ", ".join(panel["specimen"] for panel in settings["panels"])
    field, thickness = settings["field"], settings.get("thickness", settings["field"])
    defocus = _defocus(settings).removeprefix("micrograph")
    return (
        f"Specimens {names}. Atoms and micrographs: central {settings['cube']:g} Å"
        f"{defocus}, each micrograph between its 1st and 99th percentile; atoms are drawn at 0.6 of their radii."
        f" Diagrams: slab of {field:g} x {field:g} x {thickness:g} Å, radii {radii}; pairs per volume and area of the"
        f" diagram, {' and '.join(HEADS[kind].removeprefix('diagram, ') for kind in shown)}, on one logarithmic scale."
    )
