"""Figure 4: the filtration of an image by its grey levels, explained and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.imaging.crops import read_crops
from persistem.report.figures.drawing import COLOURS, PAGE, CannotDraw, Drawing, crop_of, signed
from persistem.topology.diagrams import read_diagrams, strings, values_of
from persistem.topology.pairs import crop_pairs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

TITLE = "Filtration of grey levels: islands and rings"
ABOUT = (
    "Answers Fig. 4 of the paper, on an array of our own: pixels are added level by level, islands and rings are"
    " born and die (a), and the same for one crop of each state (b). Where two islands meet, HomCloud follows the elder"
    " rule: the one born later dies and the elder lives on. The paper's drawing differs: there both die and a third is"
    " born. (c) counts islands over all in-focus crops, which the paper judges by eye from one crop of each state."
)
#: Bump when the figure changes for the same study.
VERSION = 4

#: The small image of (a). Its births and deaths are computed.
ARRAY = (
    (0, 1, 0, 2, 3, 2, 0),
    (1, 9, 6, 8, 4, 7, 3),
    (2, 7, 1, 6, 5, 6, 2),
    (1, 6, 5, 6, 2, 4, 1),
    (0, 3, 4, 4, 4, 5, 2),
    (0, 0, 2, 1, 3, 2, 1),
)
RULE = (
    "an island is framed at its birth, the hole of a ring is filled; of two islands that meet, the one born later dies"
    " (elder rule, as HomCloud; the arrow leads to the elder); in the paper's drawing both die and a third is born"
)
#: Islands, rings.
KINDS = (COLOURS[2], COLOURS[3])
#: Share of white pixels in the panels of (b).
SHARES = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9)
#: Grey levels of an 8-bit image.
GREY = 256
#: Why (c) may be empty.
UNFOCUSED = "no defocus of the study is within learning.in_focus, so no crops are in focus"


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw the filtration of ``ARRAY``, of one crop of each state, and the islands of all in-focus crops.

    numbers: ``array`` (its pairs; the island that never dies has a death of None), ``islands`` (for each state and
    seed, per crop and averaged over the grey levels at which at most half of the crops is white), ``levels`` (the first
    and last of these; None if no crop is in focus).
    """
    import matplotlib.pyplot as plt

    states, filtration = list(settings["states"]), settings["filtration"]
    shown = sorted(settings["crops"], key=lambda s: states.index(s["state"]))
    if not shown:
        raise CannotDraw("no specimen belongs to a state, so there is no crop to show")
    crops = [crop_of(s, root) for s in shown]
    features = features_of(np.array(ARRAY, dtype=np.uint8))
    measured: dict[tuple[str, int], NDArray[Any]] = {}
    for s in sorted(settings["islands"], key=lambda s: (states.index(s["state"]), s["seed"])):
        key = s["state"], s["seed"]
        measured[key] = measured.get(key, 0) + _measure(root, s, filtration)
    area = settings["pixel_size_A"] ** 2
    white = np.mean([m[1] / (m[4] * crops[0].size) for m in measured.values()] or np.zeros((1, GREY)), axis=0)
    counted = (white > 0) & (white <= 0.5)
    if measured and not counted.any():
        raise CannotDraw("the crops' grey levels do not vary, so they have no islands")

    heights = [3.25, 1.0 * len(shown) + 0.2, 1.75]
    figure = plt.figure(figsize=(PAGE, sum(heights)))
    parts: Any = figure.subfigures(3, 1, height_ratios=heights)
    _explain(parts[0], features)
    _thresholds(parts[1], crops, shown, filtration, settings["pixel_size_A"])
    if measured:
        _statistics(parts[2], measured, states, area, counted, filtration == "superlevel")
    else:
        parts[2].text(0.5, 0.5, f"(c) is empty: {UNFOCUSED}", ha="center")
    parts[0].text(0.004, 0.985, "(a)", va="top", weight="bold")

    islands = [_summary(m, counted, area) | {"state": state, "seed": seed} for (state, seed), m in measured.items()]
    number = sum(m[4][0] for m in measured.values())
    way, limit = ("bright to dark", "lower") if filtration == "superlevel" else ("dark to bright", "upper")

    def means(key: str, form: str) -> str:
        by_state = {s: [i[key] for i in islands if i["state"] == s] for s in states}
        return ", ".join(f"{sum(v) / len(v):{form}} ({s})" for s, v in by_state.items() if v)

    caption = (
        f"Recipe {settings['recipe']!r}, {filtration} filtration. (a) From bright to dark: {RULE}. (b) From {way}:"
        f" numbers are the {limit} limit of the grey level; crops at a defocus of {signed(shown[0]['defocus'])}."
    )
    caption += (
        f" (c) {number} crops; bands from the lowest to the highest seed; grey levels"
        " at which more than half is white are shaded and left out of the means: island area"
        f" {means('mean_area_A2', '.2f')} Å², islands per crop {means('mean_number', '.1f')}, births and deaths per"
        f" crop and grey level {means('changes_per_level', '.2f')}."
        if measured
        else f" (c) is empty: {UNFOCUSED}."
    )
    pairs = [{k: f[k] for k in ("degree", "index", "birth", "death")} for f in features]
    span = [int(level) for level in np.flatnonzero(counted)[[0, -1]]] if measured else None
    return Drawing(figure, caption, {"array": pairs, "islands": islands, "levels": span})


def features_of(image: NDArray[Any]) -> list[dict[str, Any]]:
    """Islands and rings of a small image from bright to dark, in the order of birth, numbered within their degree.

    Keys: degree, index, name, birth, death (None: never), ``at`` (row and column of the birth of an island, and of the
    death of a ring, its last pixel) and ``elder``, the index of the island it joins. Pairs are HomCloud's.
    """
    from scipy.ndimage import label

    features: list[dict[str, Any]] = []
    for degree, birth, death, *places in crop_pairs(image, "superlevel").tolist():
        at = tuple(places[:2] if degree == 0 else places[2:])
        features.append({"degree": degree, "birth": birth, "death": death, "at": at})
    top = tuple(int(i) for i in np.unravel_index(image.argmax(), image.shape))
    features.append({"degree": 0, "birth": int(image.max()), "death": None, "at": top})
    features.sort(key=lambda f: (f["degree"], -f["birth"], f["death"] is not None))
    for degree in (0, 1):
        for index, member in enumerate((f for f in features if f["degree"] == degree), start=1):
            member |= {"index": index, "name": f"$D_{degree}^{index}$"}
    islands = [f for f in features if f["degree"] == 0]
    for island in islands[1:]:
        together = label(image >= island["death"])[0]
        island["elder"] = next(e["index"] for e in islands if together[e["at"]] == together[island["at"]])
    return features


def island_counts(crops: NDArray[Any], filtration: str, births: NDArray[Any], deaths: NDArray[Any]) -> NDArray[Any]:
    """Islands of crops (n, rows, columns) uint8 at each of the 256 limits of their filtration: (5, 256) int.

    Rows: islands, pixels within the limit, islands born at it and islands dead at it, summed over the crops, and n.
    Births and deaths (grey levels) belong to the degree-0 pairs of all crops: by the elder rule, and without
    islands that are born and die at one grey level.
    """
    superlevel = filtration == "superlevel"
    first = crops.max(axis=(1, 2)) if superlevel else crops.min(axis=(1, 2))  # births of the islands that never die
    born = np.bincount(np.concatenate([births, first]).astype(int), minlength=GREY)
    dead = np.bincount(deaths.astype(int), minlength=GREY)
    pixels = np.bincount(crops.ravel(), minlength=GREY)
    direction = slice(None, None, -1 if superlevel else 1)
    alive, white = (np.cumsum(change[direction])[direction] for change in (born - dead, pixels))
    return np.stack([alive, white, born, dead, np.full(GREY, len(crops))])


def _measure(root: Path, of: dict[str, Any], filtration: str) -> NDArray[Any]:
    """``island_counts`` of the crops in a file, from their diagrams."""
    import pyarrow.compute as pc

    stack = read_crops(root / of["path"])
    table = read_diagrams(root / of["diagrams"])
    table = table.filter(pc.equal(table["filtration"], strings([filtration])[0]))
    island = values_of(table["degree"]) == 0
    return island_counts(stack, filtration, values_of(table["birth"])[island], values_of(table["death"])[island])


def _summary(counts: NDArray[Any], counted: NDArray[Any], area: float) -> dict[str, Any]:
    """Means over grey levels; the area of an island is the white area over the number of islands at each level."""
    number, white, born, dead, crops = counts
    some = counted & (number > 0)
    return {
        "mean_area_A2": round(float(np.mean(white[some] / number[some])) * area, 4) if some.any() else 0.0,
        "mean_number": round(float(np.mean(number[counted] / crops[counted])), 3),
        "changes_per_level": round(float(np.mean((born + dead)[counted] / crops[counted])), 4),
    }


def _explain(part: Any, features: list[dict[str, Any]]) -> None:
    image = np.array(ARRAY)
    times = {f["birth"] for f in features} | {f["death"] for f in features if f["death"] is not None}
    left, right = part.subfigures(1, 2, width_ratios=[4.2, 1.5])
    cells = left.subplots(2, -(-len(times) // 2)).ravel()
    for axes, level in zip(cells, sorted(times, reverse=True), strict=True):
        _array(axes, image, level, features)
    _diagram(right.subplots(), features)


def _array(axes: Axes, image: NDArray[Any], level: int, features: list[dict[str, Any]]) -> None:
    """The cells at or above ``level`` in white, what is alive then, and what is born or dies at it."""
    from matplotlib.patches import Rectangle

    rows, columns = image.shape
    axes.imshow(image >= level, cmap="gray", vmin=-1.4, vmax=1)
    for (row, column), value in np.ndenumerate(image):
        axes.text(column, row, str(value), ha="center", va="center",
                  color="black" if value >= level else "0.9")  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_xticks(np.arange(columns - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="0.75", lw=0.4)
    axes.tick_params(which="both", length=0)
    events = []
    for f in features:
        colour = KINDS[f["degree"]]
        row, column = f["at"]
        if f["birth"] == level:
            events.append((f"{f['name']} born", colour))
        if f["death"] == level:
            events.append((f"{f['name']} dies", colour))
            if f["degree"] == 0:
                elder = next(e["at"] for e in features if (e["degree"], e["index"]) == (0, f["elder"]))
                arrow = {"arrowstyle": "->", "color": colour, "lw": 1.1, "connectionstyle": "arc3,rad=-0.35"}
                axes.annotate("", elder[::-1], (column, row), arrowprops=arrow | {"shrinkA": 5, "shrinkB": 5})
        elif f["birth"] >= level and (f["death"] is None or f["death"] < level):
            kind = {"fc": "none"} if f["degree"] == 0 else {"fc": colour, "alpha": 0.55}
            axes.add_patch(Rectangle((column - 0.44, row - 0.44), 0.88, 0.88, ec=colour, lw=1.2, **kind))
    axes.set_title(f"$i$ = {level}", pad=26)
    for k, (text, colour) in enumerate(events):  # two a line
        along = 0.5 if k == len(events) - 1 and k % 2 == 0 else 0.25 + 0.5 * (k % 2)
        axes.annotate(text, (along, 1), (0, 2.5 + 10.5 * (k // 2)), "axes fraction", "offset points", color=colour,
                      ha="center", va="bottom")  # fmt: skip


def _diagram(axes: Axes, features: list[dict[str, Any]]) -> None:
    """Births and deaths of ``ARRAY``'s islands and rings, below the diagonal since time runs from bright to dark."""
    axes.plot([0, 10], [0, 10], color="0.5", lw=0.6)
    for f in (f for f in features if f["death"] is not None):
        axes.plot(f["birth"], f["death"], "os"[f["degree"]], color=KINDS[f["degree"]], ms=4)
        offset, side = ((3, -1), "top") if f["degree"] == 0 else ((3, 1), "baseline")
        axes.annotate(f["name"], (f["birth"], f["death"]), offset, textcoords="offset points", va=side)
    axes.set(aspect="equal", xlabel="birth $i$", ylabel="death $i$", xlim=(0, 10), ylim=(0, 10))
    axes.set(xticks=(0, 5, 10), yticks=(0, 5, 10))
    axes.set_title("diagrams of both degrees")


def _thresholds(part: Any, crops: list[Any], shown: list[dict[str, Any]], filtration: str, pixel_size: float) -> None:
    """The crops, and their pixels within the limit at levels shared by all crops."""
    together = np.concatenate([crop.ravel() for crop in crops])
    shares = [1 - share for share in SHARES] if filtration == "superlevel" else list(SHARES)
    levels = np.rint(np.quantile(together, shares)).astype(int)
    grid = part.subplots(len(crops), 1 + len(levels), squeeze=False)
    for row, crop, s in zip(grid, crops, shown, strict=True):
        row[0].imshow(crop, cmap="gray", vmin=0, vmax=255)
        row[0].set_ylabel(s["state"])
        for axes, level in zip(row[1:], levels, strict=True):
            axes.imshow(crop >= level if filtration == "superlevel" else crop <= level, cmap="gray", vmin=0, vmax=1)
        for axes in row:
            axes.set(xticks=[], yticks=[])
    for axes, text in zip(grid[0], ("$\\bf{(b)}$ crop", *levels), strict=True):
        axes.set_title(str(text), pad=2)
    grid[-1][0].set_xlabel(f"{crops[0].shape[1] * pixel_size:.3g} Å", labelpad=1)


def _statistics(part: Any, measured: Any, states: list[str], area: float, counted: Any, superlevel: bool) -> None:
    """Area, number, and births and deaths of islands at each limit of the grey level."""
    grid, levels = part.subplots(1, 3), np.arange(GREY)
    for label, state in enumerate(states):
        of_state = [m for (s, _), m in measured.items() if s == state]
        with np.errstate(invalid="ignore"):  # no area where there is no island
            panels = [[[m[1] / m[0] * area, m[0] / m[4], (m[2] + m[3]) / m[4]][n] for m in of_state] for n in range(3)]
        for axes, values in zip(grid, np.array(panels) if of_state else [], strict=False):
            colour = COLOURS[label % len(COLOURS)]
            axes.plot(levels, values.mean(axis=0), color=colour, label=state)
            axes.fill_between(levels, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.25, lw=0)
    beyond = (0, levels[counted].min()) if superlevel else (levels[counted].max(), 255)
    names = ("Mean area of an island (Å²)", "Islands per crop", "Births and deaths per\ncrop and grey level")
    for axes, name in zip(grid, names, strict=True):
        axes.axvspan(*beyond, color="0.92", lw=0, zorder=0)
        axes.set(xlabel=f"{'Lower' if superlevel else 'Upper'} limit of grey level", ylabel=name)
        axes.set(xlim=(255, 0) if superlevel else (0, 255))
    grid[0].set_yscale("log")
    grid[0].set_title("$\\bf{(c)}$", loc="left")
    grid[1].legend()
