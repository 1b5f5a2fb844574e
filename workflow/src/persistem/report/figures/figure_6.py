"""Figure 6: the learned weights of the classifiers on the plane of birth and death."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.learning.weights import read_weights, side_of, weight_map
from persistem.report.figures.drawing import DIVERGING, PAGE, CannotDraw, Drawing, plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[Any]]

TITLE = "Learned weights on the birth-death plane"
ABOUT = (
    "Weights of the classifiers trained on all crops at all defoci, with the degrees separate (top) and combined "
    "(middle). Answers Fig. 6 of the paper. Each weight is that of a bin in units of the scaled features, so bins that "
    "are hardly ever filled show as well. The bottom row is added: the pattern of the combined classifier, which is "
    "what a bin changes by when h rises by its standard deviation, and shows where the pairs are that go with a "
    "decision (Haufe et al., NeuroImage 2014)."
)
#: Bump when the figure changes for the same study.
VERSION = 2

#: Share of the bins that the colour scale covers.
SHOWN = 0.995
COLUMNS = ("model", "degrees", "degree", "filtration", "state")


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Weights of all models, degrees and, if there are more than two, states.

    ``settings``: ``states``, ``weights`` (a file of ``weights.weights_file``, null with fewer than two states) and
    ``scaling``. ``distance`` in the numbers is the mean lifetime (grey levels) of the bins that speak for a state,
    weighted by their weights; ``distance_of_pattern`` is weighted by their patterns.
    """
    import matplotlib.pyplot as plt

    states = settings["states"]
    if settings["weights"] is None or len(states) < 2:
        raise CannotDraw("the study has fewer than two states, so nothing was learned to tell them apart")
    weights = read_weights(Path(root) / settings["weights"])
    models, degrees = (list(dict.fromkeys(weights[name].tolist())) for name in ("model", "degree"))
    of_states = list(dict.fromkeys(weights["state"].tolist()))
    combined = "+".join(map(str, degrees))
    kinds = [("weight", None), ("weight", combined), ("pattern", combined)]
    rows = [(state, *kind) for state in of_states for kind in kinds]
    columns = [(model, degree) for model in models for degree in degrees]
    size = (PAGE, (0.82 * (PAGE - 0.9) / len(columns) + 0.32) * len(rows) + 0.75)
    figure, axes = plt.subplots(len(rows), len(columns), figsize=size, squeeze=False, sharex=True, sharey=True)
    for row, (state, values, chosen) in zip(axes, rows, strict=True):
        maps = [
            plane_maps(weights, values, model=model, degrees=chosen or str(degree), degree=degree, state=state)
            for model, degree in columns
        ]
        limit = limit_of(maps)
        for axis, (model, degree), images in zip(row, columns, maps, strict=True):
            mesh = draw_maps(axis, images, limit)
            axis.set_title(f"{model}, degree {degree}")
            axis.set(xticks=(0, 128, 255), yticks=(0, 128, 255), xlabel="", ylabel="")
        label = f"degrees {'combined' if chosen else 'separate'}"
        label = f"{state}, {label}" if len(of_states) > 1 else label
        row[0].set_ylabel(f"{label}\ndeath (grey level)")
        name = "weight w" if values == "weight" else "pattern (per SD of h)"
        figure.colorbar(mesh, ax=row, label=name, aspect=14, pad=0.01, extend="both")
    for axis in axes[-1]:
        axis.set_xlabel("birth (grey level)")
    figure.suptitle(convention(states, settings["scaling"]))
    distances = {
        key: [_distance(weights, values, key_of, states) for key_of in _keys(weights)]
        for key, values in (("distance", "weight"), ("distance_of_pattern", "pattern"))
    }
    return Drawing(figure, _caption(distances, states, combined), distances)


def convention(states: list[str], scaling: str) -> str:
    """The meaning of a weight's sign and size."""
    unit = {
        "standard": "Weights are per standard deviation of a bin.",
        "maximum": "Weights are per largest value of all bins.",
        "maximum by degree": "Weights are per largest value of all bins of their degree.",
        "none": "Weights are per unit of a bin.",
    }[scaling]
    if len(states) == 2:
        return (
            f"h = w · x + b: positive (red) speaks for label 1, {states[1]}; "
            f"negative (blue) for label 0, {states[0]}.\n{unit}"
        )
    return f"h = w · x + b, one for each state: positive (red) speaks for it, negative (blue) for the others.\n{unit}"


def plane_maps(weights: Weights, values: str, **of: Any) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Edges and map of the column ``values`` for each filtration, see ``weights.weight_map``."""
    return [
        weight_map(weights, values, **of, filtration=name) for name in dict.fromkeys(weights["filtration"].tolist())
    ]


def limit_of(maps: list[list[tuple[NDArray[Any], NDArray[Any]]]]) -> float:
    """End of the maps' shared colour scale; a few bins at the edge of the mesh may lie beyond it."""
    sizes = np.concatenate([np.abs(image[np.isfinite(image)]) for images in maps for _, image in images])
    return float(np.quantile(sizes, SHOWN)) or float(sizes.max()) or 1.0


def draw_maps(axis: Axes, images: list[tuple[NDArray[Any], NDArray[Any]]], limit: float) -> Any:
    """Maps of all filtrations on one plane, white at zero; returns the last mesh."""
    plane(axis)
    for edges, image in images:
        mesh = axis.pcolormesh(edges, edges, image, cmap=DIVERGING, vmin=-limit, vmax=limit, rasterized=True)
    return mesh


def _keys(weights: Weights) -> list[dict[str, Any]]:
    """Every model, choice of degrees, degree and filtration that has weights."""
    columns = [weights[name].tolist() for name in COLUMNS[:-1]]
    return [dict(zip(COLUMNS, key, strict=False)) for key in dict.fromkeys(zip(*columns, strict=True))]


def _distance(weights: Weights, values: str, key: dict[str, Any], states: list[str]) -> dict[str, Any]:
    """Mean lifetime (grey levels) of the bins that speak for each state, None if none does."""
    result: dict[str, Any] = dict(key)
    for state in states:
        positive, sign = side_of(states, state)
        rows = np.logical_and.reduce([weights[k] == v for k, v in (key | {"state": positive}).items()])
        size = np.clip(sign * weights[values][rows], 0, None)
        lifetime = np.abs(weights["birth"][rows] - weights["death"][rows])
        result[state] = round(float(size @ lifetime / size.sum()), 2) if size.sum() else None
    return result


def _caption(distances: dict[str, list[dict[str, Any]]], states: list[str], combined: str) -> str:
    """Distances from the diagonal of the combined classifiers' bins of each state."""
    parts = []
    for key, what in (("distance", "weights"), ("distance_of_pattern", "patterns")):
        for row in distances[key]:
            if row["degrees"] == combined:
                means = ", ".join(
                    f"{state} {'none' if row[state] is None else f'{row[state]:.0f}'}" for state in states
                )
                parts.append(f"{what}, {row['model']}, degree {row['degree']}, {row['filtration']}: {means}")
    return f"Mean lifetime in grey levels of the bins that speak for each state, degrees combined: {'; '.join(parts)}."
