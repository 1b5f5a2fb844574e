"""Figure 2: optimal and stable volumes of the pairs around the first state's peak, among the atoms of two states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.report.figures.atoms import ANGLE, Rods, picture
from persistem.report.figures.drawing import (
    COLOURS,
    PAGE,
    SEQUENTIAL,
    CannotDraw,
    Drawing,
    element_dots,
    with_elements_drawn,
)
from persistem.specimens.slabs import cut
from persistem.specimens.structures import read_structure
from persistem.topology.diagrams_3d import box_of, read_pairs_3d, volume_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

TITLE = "Optimal volumes in the atomic arrangements of two states"
ABOUT = (
    "Fig. 2 of the paper: the atoms of the central cube in perspective along [001], with the optimal volumes of the"
    " pairs of one region of the 3D diagrams, and their stable volumes. The paper marks the region by an arrow on a"
    " picture; here it is around the peak of the diagram of the first state's first specimen, weighted by lifetime (the"
    " box on the diagrams), or as the study says; the other state and the other seeds have no part in its choice. The"
    " paper counts by eye; here all pairs of the region are counted in every specimen."
)
#: Bump when the figure changes for the same study.
VERSION = 3

#: Colour and radius (Å) of the rods of each kind: a stable ring encloses the optimal one where they agree.
KINDS = {"optimal": ("#009E73", 0.2), "stable": ("#CC79A7", 0.32)}
#: Atoms are drawn at this fraction of their radii, as in the paper, so that one sees through.
SCALE = 0.4
BINS = 110


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the two arrangements, their diagrams with the region, and the pairs of the region in every specimen.

    ``numbers``: region (Å²), chosen, around (the specimen that chose it), counts of every specimen, mean pairs per nm³
    of each state, and ``ratio``, the first state's over the second's (null if the second has none).
    """
    import matplotlib.pyplot as plt

    volumes = json.loads((root / settings["volumes"]).read_text())
    if volumes["region"] is None:
        raise CannotDraw(volumes["reason"])
    records = settings["structures"]
    if len(records) < 2:
        raise CannotDraw("two states are compared, and the study has specimens of one")
    if not any(count["pairs"] for count in volumes["counts"]):
        raise CannotDraw(f"the region {_range(volumes['region'])} of the 3D diagrams has no pairs")
    settings = with_elements_drawn(settings, records, root)
    states = [record["state"] for record in records[:2]]
    means = [_mean(volumes["counts"], state) for state in states]
    ratio = means[0] / means[1] if means[0] is not None and means[1] else None

    figure = plt.figure(figsize=(PAGE, 5.7))
    top, bottom = figure.subfigures(2, 1, height_ratios=[3.5, 2.1], squeeze=False)[:, 0]
    pictures = top.subplots(1, 2)
    reach = _reach(volumes, records, settings)
    for axis, record, letter in zip(pictures, records, "ab", strict=False):
        _arrangement(axis, record, volumes, reach, settings, root)
        axis.set_title(f"({letter}) {record['state']}, {settings['cube']:g} Å cube", weight="bold")
    _legend(top, settings)
    *planes, bars = bottom.subplots(1, 3, width_ratios=[1, 1, 1.1])
    pairs = [read_pairs_3d(root / record["diagram"], volumes["degree"]) for record in records[:2]]
    image = _diagrams(planes, pairs, records, volumes["region"], settings)
    bottom.colorbar(image, ax=planes, label="pairs (nm⁻³ Å⁻⁴)", aspect=25)
    _counts(bars, volumes["counts"], states)
    numbers = {key: volumes[key] for key in ("region", "chosen", "around", "degree", "counts", "drawn")}
    numbers |= {"per_nm3": dict(zip(states, means, strict=True)), "ratio": ratio}
    return Drawing(figure, _caption(volumes, settings, states, means, ratio), numbers)


def _range(region: list[list[float]]) -> str:
    (b0, b1), (d0, d1) = region
    return f"births {b0:g} to {b1:g} Å², deaths {d0:g} to {d1:g} Å²"


def _mean(counts: list[dict[str, Any]], state: str) -> float | None:
    densities = [count["per_nm3"] for count in counts if count["state"] == state]
    return sum(densities) / len(densities) if densities else None


def _arrangement(
    axis: Axes, record: dict[str, Any], all_volumes: dict[str, Any], reach: float, settings: dict[str, Any], root: Path
) -> None:
    cube = np.full(3, float(settings["cube"]))
    atoms = cut(read_structure(root / record["structure"]), cube)
    corner = _corner(settings)
    volumes = _volumes(all_volumes, record)
    # rings may reach out of the cube; their atoms there are drawn too
    positions, elements = [atoms.positions], list(atoms.symbols)
    for volume in volumes:
        for kind in KINDS:
            if volume[kind] is not None:
                points = np.array(volume[kind]["points"]) - corner
                outside = ((points < 0) | (points >= cube)).any(axis=1)
                positions.append(points[outside])
                elements += [e for e, out in zip(volume[kind]["elements"], outside, strict=True) if out]
    rods = [rod for volume in volumes for rod in _rods(volume, corner)]
    image = picture(np.concatenate(positions), elements, settings["radii"], cube.tolist(), rods, 1000, SCALE, reach)
    axis.imshow(image)
    axis.set_axis_off()


def _corner(settings: dict[str, Any]) -> NDArray[Any]:
    """The cube's lower corner in the slab."""
    corner: NDArray[Any] = (box_of((settings["field"], settings["thickness"])) - settings["cube"]) / 2
    return corner


def _volumes(all_volumes: dict[str, Any], record: dict[str, Any]) -> list[dict[str, Any]]:
    return [volume for volume in all_volumes["volumes"] if volume["specimen"] == record["specimen"]]


def _reach(all_volumes: dict[str, Any], records: list[dict[str, Any]], settings: dict[str, Any]) -> float:
    """Distance from the middle of the front face, Å, that both pictures must show to hold every ring at one scale."""
    cube = float(settings["cube"])
    volumes = [volume[kind] for record in records[:2] for volume in _volumes(all_volumes, record) for kind in KINDS]
    reach = [cube / 2]
    for volume in volumes:
        if volume is not None:
            x, y, z = (np.array(volume["points"]) - _corner(settings)).T
            aside = np.maximum(np.abs(x - cube / 2), np.abs(y - cube / 2))
            reach.append(float((aside - (cube - z) * np.tan(np.radians(ANGLE / 2))).max()))
    return max(reach)


def _rods(volume: dict[str, Any], corner: NDArray[Any]) -> list[Rods]:
    rods = []
    for kind, (colour, radius) in KINDS.items():
        if (ring := volume[kind]) is not None:
            faces = ring["faces"] if kind == "optimal" else ()
            rods.append(Rods(np.array(ring["points"]) - corner, ring["edges"], faces, colour, radius))
    return rods


def _legend(figure: Any, settings: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    handles = element_dots(settings["radii"])
    handles += [
        Line2D([], [], color=colour, lw=8 * radius, label=f"{kind} volume") for kind, (colour, radius) in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _diagrams(
    axes: list[Axes], pairs: list[NDArray[Any]], records: list[dict[str, Any]], region: list[list[float]], settings: Any
) -> Any:
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    (b0, b1), (d0, d1) = region
    everything = np.concatenate(pairs)
    low = min(b0 - 0.2, float(np.quantile(everything[:, 0], 0.005)) if len(everything) else b0)
    high = max(1.3 * d1, 3.0)
    edges = np.linspace(low, high, BINS + 1)
    area = (edges[1] - edges[0]) ** 2 * volume_of((settings["field"], settings["thickness"]))
    counts = [np.histogram2d(diagram[:, 0], diagram[:, 1], bins=(edges, edges))[0] / area for diagram in pairs]
    norm = LogNorm(1 / area, max(2 / area, *(count.max() for count in counts)))
    image = None
    for axis, count, record in zip(axes, counts, records, strict=False):
        shown = np.ma.masked_equal(count.T, 0)
        image = axis.pcolormesh(edges, edges, shown, cmap=SEQUENTIAL, norm=norm, rasterized=True)
        axis.plot([low, high], [low, high], color="0.6", lw=0.5)
        axis.add_patch(Rectangle((b0, d0), b1 - b0, d1 - d0, fill=False, ec="#D55E00", lw=1.1))
        axis.set(xlabel="birth (Å²)", title=record["state"], xlim=(low, high), ylim=(low, high))
        axis.set_box_aspect(1)
    axes[0].set_ylabel("death (Å²)")
    return image


def _counts(axis: Axes, counts: list[dict[str, Any]], states: list[str]) -> None:
    """A bar for each state's mean, a dot for each of its specimens."""
    for x, state in enumerate(states):
        of_state = [count["per_nm3"] for count in counts if count["state"] == state]
        axis.bar(x, sum(of_state) / max(1, len(of_state)), width=0.6, color=COLOURS[x], alpha=0.55)
        places = [x + 0.12 * (i - (len(of_state) - 1) / 2) for i in range(len(of_state))]
        axis.plot(places, of_state, "o", color=COLOURS[x], ms=3.5, mec="white", mew=0.4)
    axis.set_xticks(range(len(states)), states)
    axis.set(ylabel="pairs of the region (nm⁻³)", xlim=(-0.6, len(states) - 0.4), title="in each specimen")
    axis.set_ylim(bottom=0)


def _caption(
    volumes: dict[str, Any], settings: dict[str, Any], states: list[str], means: list[float | None], ratio: float | None
) -> str:
    what = {1: "rings (degree 1)", 2: "cavities (degree 2)"}[volumes["degree"]]
    chosen = "as the study says"
    if volumes["chosen"] == "automatic":
        chosen = f"chosen automatically around the peak of {volumes['around']['specimen']}"
    drawn = "; ".join(f"{d['specimen']} {d['volumes']} of {d['pairs']}" for d in volumes["drawn"])
    mean = ", ".join(f"{m:.2f} in {s}" for s, m in zip(states, means, strict=True) if m is not None)
    return (
        f"Region of {what}: {_range(volumes['region'])}, {chosen}. Pairs per nm³, mean over specimens: {mean}"
        + (f" (ratio {ratio:.3g})" if ratio is not None else "")
        + f". Drawn of those born in the central {settings['cube']:g} Å cube, thinned alike: {drawn}. Atoms at"
        f" {SCALE:g} of their radii; the stable ring encloses the optimal one where both agree, and the optimal"
        " volume is filled."
    )
