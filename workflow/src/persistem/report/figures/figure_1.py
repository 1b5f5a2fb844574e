"""Figure 1: the atoms, the micrograph and the 3D persistence diagram of each temperature, without and with RT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.imaging.micrographs import read_micrograph
from persistem.report.figures.atoms import picture
from persistem.report.figures.drawing import (
    PAGE,
    SEQUENTIAL,
    CannotDraw,
    Drawing,
    element_dots,
    name_of,
    record_of,
    scale_bar,
    signed,
    with_elements_drawn,
)
from persistem.specimens.slabs import cut
from persistem.specimens.structures import read_structure
from persistem.topology.diagrams_3d import read_pairs_3d, volume_of

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
#: Bump when the figure changes for the same study.
VERSION = 5

#: Peaks that the paper attributes to the surface: birth, death. Å², see ABOUT.
SURFACE = ((1.0, 1.7), (2.0, 2.4))
#: Half the side of the square about such a peak where pairs are counted, Å².
NEAR = 0.25
#: Bins for the sharpness, and the Gaussian that smooths them, Å².
BIN, SMOOTHING = 0.02, 0.05
#: Bins of the drawn diagrams along an axis.
BINS = 130
ROW = 1.55  # inches
#: Kinds of slabs: key of the diagram in the settings, and name of the faces.
KINDS = {"open": ("diagram", "open faces"), "periodic": ("diagram_periodic", "no surface")}


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a row for each specimen; ``numbers`` has each one's sharpness, pairs and pairs near the surface peaks.

    Sharpness is the greatest density of the degree-1 pairs, weighted by lifetime, normalised to 1 and smoothed by
    0.05 Å² (Å⁻⁴): high if rings of one kind prevail, as in a crystal.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    panels = settings["panels"]
    if not panels:
        raise CannotDraw("the study has no specimen of a temperature that figures.temperatures lists")
    settings = with_elements_drawn(settings, panels, root)
    diagrams = [{kind: read_pairs_3d(root / panel[key], 1) for kind, (key, _) in KINDS.items()} for panel in panels]
    everything = np.concatenate([pairs for by_kind in diagrams for pairs in by_kind.values()])
    if not len(everything):
        raise CannotDraw("the 3D diagrams have no pairs of degree 1")
    low = min(0.0, float(np.quantile(everything, 0.001))) - 0.2
    high = max(3.0, 1.15 * float(np.quantile(everything[:, 1], 0.9)))
    edges = np.linspace(low, high, BINS + 1)
    volume = volume_of((settings["field"], settings["thickness"]))
    counts = [[_histogram(pairs, edges) / volume for pairs in by_kind.values()] for by_kind in diagrams]
    most = float(np.max(counts))
    least = 1 / (volume * (edges[1] - edges[0]) ** 2)  # one pair in a bin
    norm = LogNorm(least, max(most, 2 * least))

    figure = plt.figure(figsize=(PAGE, ROW * len(panels) + 0.9))
    axes = figure.subplots(len(panels), 4, squeeze=False, width_ratios=[1, 1, 1.12, 1.12])
    image: Any = None
    for row, panel, count in zip(axes, panels, counts, strict=True):
        _atoms(row[0], panel, settings, root)
        _micrograph(row[1], panel, settings, root)
        for axis, density in zip(row[2:], count, strict=True):
            image = _diagram(axis, density, edges, norm, settings)
            axis.set_xlabel("birth (Å²)" if panel is panels[-1] else "")
        row[2].set_ylabel("death (Å²)")
        row[0].set_ylabel(name_of(panel), weight="bold")
    defocus = f"defocus {signed(panels[0]['defocus'])}"
    heads = [f"atoms, {settings['cube']:g} Å cube", f"micrograph, {defocus}"]
    heads += [f"diagram, {faces}" for _, faces in KINDS.values()]
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head)
    _legend(axes[-1][0], settings)
    figure.colorbar(
        image, ax=axes[-1, 2:].tolist(), location="bottom", label="pairs (nm⁻³ Å⁻⁴)", aspect=40, shrink=0.8, pad=0.02
    )
    numbers = {
        "degree": 1,
        "near_A2": NEAR,
        "panels": [
            _numbers(*panel_and_diagrams, settings["shown"], volume)
            for panel_and_diagrams in zip(panels, diagrams, strict=True)
        ],
    }
    return Drawing(figure, _caption(settings, defocus), numbers)


def sharpness(pairs: NDArray[Any]) -> float | None:
    """The greatest density of pairs, (n, 2) birth and death in Å², weighted by lifetime and normalised; Å⁻⁴."""
    from scipy.ndimage import gaussian_filter

    if not len(pairs):
        return None
    weights = pairs[:, 1] - pairs[:, 0]
    # the few rings about large cavities lie farther out
    low, high = pairs.min() - 3 * SMOOTHING, np.quantile(pairs[:, 1], 0.99) + 3 * SMOOTHING
    edges = np.arange(low, max(high, low + 1.0), BIN)
    counts, *_ = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=(edges, edges), weights=weights)
    smooth = gaussian_filter(counts, SMOOTHING / BIN, mode="constant")
    return float(smooth.max() / weights.sum() / BIN**2)


def _histogram(pairs: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    counts, *_ = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=(edges, edges))
    density: NDArray[Any] = counts / (edges[1] - edges[0]) ** 2
    return density


def _numbers(panel: dict[str, Any], diagrams: dict[str, NDArray[Any]], shown: str, volume: float) -> dict[str, Any]:
    pairs = diagrams[shown]
    density = {"diagram": shown, "sharpness": sharpness(pairs), "pairs_per_nm3": len(pairs) / volume}
    return record_of(panel) | density | {"surface": surface_peaks(diagrams, volume)}


def surface_peaks(diagrams: dict[str, NDArray[Any]], volume: float) -> list[dict[str, Any]]:
    """Pairs per nm³ near each of the paper's surface peaks, by kind of diagram: (n, 2) birth and death in Å²."""
    return [
        {"at": list(point)}
        | {kind: float((np.abs(of - point) <= NEAR).all(axis=1).sum()) / volume for kind, of in diagrams.items()}
        for point in SURFACE
    ]


def _atoms(axis: Axes, panel: dict[str, Any], settings: dict[str, Any], root: Path) -> None:
    atoms = cut(read_structure(root / panel["structure"]), np.full(3, float(settings["cube"])))
    image = picture(
        atoms.positions, list(atoms.symbols), settings["radii"], atoms.cell.lengths(), pixels=420, scale=0.6
    )
    _bare(axis)
    axis.imshow(image)


def _micrograph(axis: Axes, panel: dict[str, Any], settings: dict[str, Any], root: Path) -> None:
    intensity, _ = read_micrograph(root / panel["micrograph"])
    pixel = settings["field"] / intensity.shape[0]
    side = min(intensity.shape[0], max(1, round(settings["cube"] / pixel)))
    first = (intensity.shape[0] - side) // 2
    part = intensity[first : first + side, first : first + side]
    low, high = np.percentile(part, (1, 99))
    _bare(axis)
    axis.imshow(part[::-1], cmap="gray", vmin=low, vmax=high)  # y upwards, as the atoms
    scale_bar(axis, part.shape, pixel)


def _diagram(axis: Axes, density: NDArray[Any], edges: NDArray[Any], norm: Any, settings: dict[str, Any]) -> Any:
    shown = np.ma.masked_equal(density.T, 0)
    image = axis.pcolormesh(edges, edges, shown, cmap=SEQUENTIAL, norm=norm, rasterized=True)
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


def _legend(axis: Axes, settings: dict[str, Any]) -> None:
    dots = element_dots(settings["radii"])
    axis.legend(
        handles=dots,
        loc="upper center",
        ncols=len(dots),
        bbox_to_anchor=(0.5, -0.02),
        handletextpad=0.1,
        columnspacing=0.6,
    )


def _caption(settings: dict[str, Any], defocus: str) -> str:
    radii = ", ".join(f"{element} {radius:g} Å" for element, radius in settings["radii"].items())
    names = ", ".join(panel["specimen"] for panel in settings["panels"])
    field, thickness = settings["field"], settings["thickness"]
    return (
        f"Specimens {names}. Atoms and micrographs: central {settings['cube']:g} Å,"
        f" {defocus}, each micrograph between its 1st and 99th percentile; atoms are drawn at 0.6 of their radii."
        f" Diagrams: slab of {field:g} x {field:g} x {thickness:g} Å, radii {radii}; pairs per volume and area of the"
        f" diagram, {' and '.join(faces for _, faces in KINDS.values())}, on one logarithmic scale."
    )
