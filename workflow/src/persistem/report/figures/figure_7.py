"""Figure 7: inverse analysis, the pairs that speak most for each state drawn back on the crops."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.weights import bin_of, read_weights, side_of, strongest, weight_map
from persistem.report.figures.drawing import COLOURS, PAGE, CannotDraw, Drawing, crop_of, record_of, show_crop
from persistem.report.figures.figure_6 import draw_maps, limit_of
from persistem.topology.diagrams import read_diagrams, strings, values_of
from persistem.topology.inverse import read_inverse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[Any]]
    #: By column of the weights, degree, filtration and state: edges of the bins, and the region's mask (death, birth).
    Regions = dict[tuple[str, int, str, str], tuple[NDArray[Any], NDArray[Any]]]

TITLE = "Inverse analysis: what the classifier looks at"
ABOUT = (
    "The pairs in the part of the birth-death plane that speaks most for each state, and where they are in one crop of "
    "each: islands (degree 0) just before they die, filled rings (degree 1) just after they are born, and in green "
    "the pixels of their birth. Answers Fig. 7 of the paper, whose regions were circled by hand in the weights; here "
    "a region is the connected part above half of the strongest pattern (figure 6), because the strongest weights are "
    "in bins with hardly any pairs; the counts of both are among the numbers. Each map has its own "
    "colour scale; a crop is framed in the colour of its state."
)
#: Bump when the figure changes for the same study.
VERSION = 3

VALUES = ("pattern", "weight")
#: Colour of the points of birth, as in the paper.
BIRTH = "#37ff37"


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """A row for each degree and crop: its diagram on the map, and the pairs in each state's region on the crop.

    ``settings``: ``states``, ``weights`` (a file of ``weights.weights_file``, null with fewer than two states),
    ``model``, ``degrees`` (of the classifier), ``pixel_size_A``, ``crops`` (records with ``path``, ``defocus``,
    ``index`` and ``inverse``), ``diagrams`` (records with ``path`` and ``defocus``) and ``crops_per_micrograph``.
    The first filtration is drawn; the numbers cover all.
    """
    import matplotlib.pyplot as plt

    states, crops = settings["states"], settings["crops"]
    if settings["weights"] is None or len(states) < 2:
        raise CannotDraw("the study has fewer than two states, so nothing was learned to tell them apart")
    if not crops:
        raise CannotDraw("no specimen belongs to a state, so there is no crop to draw on")
    weights = read_weights(Path(root) / settings["weights"])
    regions = _regions(weights, settings)
    filtration = str(weights["filtration"][0])
    degrees = sorted({key[1] for key in regions})
    shown = [(degree, crop) for degree in degrees for crop in crops]
    columns = len(states) + 1
    size = (PAGE, ((PAGE - 0.4) / columns + 0.08) * len(shown) + 0.2)
    figure, axes = plt.subplots(len(shown), columns, figsize=size, squeeze=False)
    drawn = []
    for k, (row, (degree, crop)) in enumerate(zip(axes, shown, strict=True)):
        grey = crop_of(crop, root)
        pairs, pixels = _pairs(Path(root) / crop["inverse"], degree, filtration)
        classifier = {
            "model": settings["model"],
            "degrees": settings["degrees"],
            "degree": degree,
            "filtration": filtration,
        }
        image = weight_map(weights, "pattern", **classifier, state=side_of(states, crop["state"])[0])
        draw_maps(row[0], [image], limit_of([[image]]))
        row[0].plot(*pairs[:, :2].T, ".", color="black", markersize=2, markeredgewidth=0)
        row[0].set_title(f"degree {degree}, {crop['state']}: {len(pairs)} pairs")
        row[0].set_xlabel("birth (grey level)" if k == len(shown) - 1 else "")
        for axis, state in zip(row[1:], states, strict=True):
            edges, region = regions["pattern", degree, filtration, state]
            colour = COLOURS[states.index(state) % len(COLOURS)]
            _outline(row[0], edges, region, colour)
            inside = _inside(pairs[:, 0], pairs[:, 1], edges, region)
            show_crop(axis, grey, settings["pixel_size_A"], crop, states)
            _overlay(axis, grey.shape, [p for p, i in zip(pixels, inside, strict=True) if i], pairs[inside, 2:], colour)
            axis.set_title(f"{state} region: {inside.sum()} pairs", color=colour)
            drawn.append(record_of(crop) | {"degree": degree, "region": state, "pairs": int(inside.sum())})
    counts = _counts(regions, settings, root)
    caption = (
        f"{settings['model']} on degrees {settings['degrees']}, {filtration}. {_sentences(counts, filtration, states)}"
    )
    numbers = {"regions": [_extent(*item) for item in regions.items()], "counts": counts, "drawn": drawn}
    return Drawing(figure, caption, numbers)


def _regions(weights: Weights, settings: dict[str, Any]) -> Regions:
    """The strongest region of each state, by degree and filtration, in the weights and the patterns."""
    states, classifier = settings["states"], {"model": settings["model"], "degrees": settings["degrees"]}
    if not ((weights["model"] == classifier["model"]) & (weights["degrees"] == classifier["degrees"])).any():
        raise CannotDraw(f"{classifier['model']} was not trained on degrees {classifier['degrees']}")
    regions: Regions = {}
    for values in VALUES:
        for degree in map(int, classifier["degrees"].split("+")):
            for filtration in dict.fromkeys(weights["filtration"].tolist()):
                for state in states:
                    positive, sign = side_of(states, state)
                    key = classifier | {"degree": degree, "filtration": filtration, "state": positive}
                    edges, image = weight_map(weights, values, **key)
                    regions[values, degree, filtration, state] = edges, strongest(image, sign)
    return regions


def _pairs(path: Path, degree: int, filtration: str) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Birth, death, row and column of birth of one crop's pairs (n, 4), and the pixels of each pair's region."""
    rows = [r for r in read_inverse(path).to_pylist() if (r["degree"], r["filtration"]) == (degree, filtration)]
    names = ("birth", "death", "birth_row", "birth_column")
    pairs = np.array([[r[name] for name in names] for r in rows], float).reshape(-1, len(names))
    return pairs, [np.array(r["pixels"], int) for r in rows]


def _inside(birth: NDArray[Any], death: NDArray[Any], edges: NDArray[Any], region: NDArray[Any]) -> NDArray[Any]:
    inside: NDArray[Any] = region[bin_of(death, edges), bin_of(birth, edges)]
    return inside


def _outline(axis: Axes, edges: NDArray[Any], region: NDArray[Any], colour: str) -> None:
    """The outer sides of a region's bins."""
    from matplotlib.collections import LineCollection

    padded = np.pad(region, 1).astype(int)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])  # between rows: deaths
    sides = [[(edges[c], edges[r]), (edges[c + 1], edges[r])] for r, c in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    sides += [[(edges[c], edges[r]), (edges[c], edges[r + 1])] for r, c in zip(rows, columns, strict=True)]
    axis.add_collection(LineCollection(sides, colors="white", linewidths=2.2, capstyle="round", zorder=4))
    axis.add_collection(LineCollection(sides, colors=colour, linewidths=1.1, capstyle="round", zorder=5))


def _overlay(axis: Axes, shape: tuple[int, ...], pixels: list[NDArray[Any]], born: NDArray[Any], colour: str) -> None:
    """Regions over a crop in one colour, and points of birth (rows, columns)."""
    from matplotlib.colors import to_rgb

    cover = np.zeros((shape[0] * shape[1], 4))
    cover[np.concatenate([np.zeros(0, int), *pixels])] = (*to_rgb(colour), 0.6)
    axis.imshow(cover.reshape(*shape, 4), interpolation="nearest")
    axis.plot(born[:, 1], born[:, 0], "o", color=BIRTH, markersize=2.4, markeredgecolor="black", markeredgewidth=0.3)


def _counts(regions: Regions, settings: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """Pairs per crop in each region, for each state and seed, over all crops of all diagrams."""
    import pyarrow.compute as pc

    def specimen(record: dict[str, Any]) -> tuple[str, int]:
        return settings["states"].index(record["state"]), record["seed"]

    counts = []
    for (label, seed), records in groupby(sorted(settings["diagrams"], key=specimen), specimen):
        files = [read_diagrams(Path(root) / record["path"]) for record in records]
        for (values, degree, filtration, state), (edges, region) in regions.items():
            n = 0
            for table in files:
                rows = table.filter(pc.equal(table["filtration"], strings([filtration])[0]))
                of_degree = values_of(rows["degree"]) == degree
                birth, death = (values_of(rows[name])[of_degree] for name in ("birth", "death"))
                n += int(np.count_nonzero(_inside(birth, death, edges, region)))
            per_crop = round(n / (len(files) * settings["crops_per_micrograph"]), 4)
            key = {"of": values, "seed": seed, "state": settings["states"][label], "degree": degree}
            counts.append(key | {"filtration": filtration, "region": state, "per_crop": per_crop})
    return counts


def _extent(key: tuple[str, int, str, str], of: tuple[NDArray[Any], NDArray[Any]]) -> dict[str, Any]:
    """Range of births and deaths (grey levels) of a region; null if the state has none."""
    values, degree, filtration, state = key
    edges, region = of
    deaths, births = np.nonzero(region)
    birth, death = (
        [float(edges[at.min()]), float(edges[at.max() + 1])] if len(at) else None for at in (births, deaths)
    )
    return {
        "of": values,
        "degree": degree,
        "filtration": filtration,
        "state": state,
        "birth": birth,
        "death": death,
        "bins": int(region.sum()),
    }


def _sentences(counts: list[dict[str, Any]], filtration: str, states: list[str]) -> str:
    """Means over the seeds of the pairs per crop in the regions drawn."""
    parts = []
    chosen = [c for c in counts if c["of"] == "pattern" and c["filtration"] == filtration]
    for degree in sorted({c["degree"] for c in chosen}):
        for region in states:
            means = []
            for state in states:
                n = [c["per_crop"] for c in chosen if (c["degree"], c["region"], c["state"]) == (degree, region, state)]
                means += [f"{state} {sum(n) / len(n):.2f}"] if n else []
            parts.append(f"degree {degree}, {region} region: {', '.join(means)}")
    return f"Pairs per crop, mean over all crops in focus: {'; '.join(parts)}." if parts else ""
