"""Defocus: accuracy of a model that was trained at one defocus and is tested at another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from persistem.report.figures.baselines import MAIN, TASKS, evaluation, sentence
from persistem.report.figures.drawing import PAGE, SEQUENTIAL, CannotDraw, Drawing, lettered, signed
from persistem.report.figures.robustness import main_rows

TITLE = "Trained at one defocus, tested at another"
ABOUT = (
    "The accuracy of models that were trained at one defocus, on seeds that they have not seen, at every other. On the"
    " diagonal the defocus is the training's own."
)
#: Bump when the figure changes for the same study.
VERSION = 1

#: At most so many maps.
MAPS = 3


def draw(settings: dict[str, Any], root: Path) -> Drawing:
    """Draw a map for each main row; ``settings``: ``evaluation``, path of a JSON.

    numbers: ``finding``, and ``defocus_matrix`` of the rows that are drawn.
    """
    import matplotlib.pyplot as plt

    results = evaluation(settings, root)
    matrices = _matrices(results)
    if not matrices:
        raise CannotDraw("the evaluation has no matrix of defoci")
    figure, cells = plt.subplots(1, len(matrices), figsize=(PAGE, 2.7), sharey=True, squeeze=False)
    values = [value for matrix in matrices for line in matrix["accuracy"] for value in line]
    image: Any = None
    for letter, axes, matrix in zip("abc", cells[0], matrices, strict=False):
        defoci = [signed(defocus).removesuffix(" Å") for defocus in matrix["defoci"]]
        low = min([1 / len(results["states"]), *values])
        image = axes.imshow(matrix["accuracy"], cmap=SEQUENTIAL, vmin=low, vmax=1, origin="lower")
        axes.set_xticks(range(len(defoci)), defoci, rotation=90)
        axes.set_yticks(range(len(defoci)), defoci)
        axes.tick_params(length=0)
        lettered(axes, letter, f"{matrix['row']}\n{TASKS[matrix['task']]}")
        axes.set_xlabel("tested at defocus (Å)")
    cells[0][0].set_ylabel("trained at defocus (Å)")
    figure.colorbar(image, ax=list(cells[0]), label="Accuracy", shrink=0.85, aspect=16)
    finding = sentence([_elsewhere(matrices)])
    return Drawing(figure, finding, {"finding": finding, "defocus_matrix": matrices})


def _matrices(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Matrices of the main rows, each in one task; at most one line of maps."""
    matrices = [matrix for matrix in results.get("defocus_matrix", []) if len(matrix["defoci"]) > 1]
    names = main_rows(matrices)
    kept = [matrix for matrix in matrices if names.get(matrix["row"]) == matrix["task"]]
    return sorted(kept, key=lambda matrix: MAIN.index(matrix["row"]) if matrix["row"] in MAIN else len(MAIN))[:MAPS]


def _elsewhere(matrices: Sequence[dict[str, Any]]) -> str:
    """What the first map says of models tested at another defocus than they were trained at."""
    first, accuracy = matrices[0], np.array(matrices[0]["accuracy"], float)
    own = np.eye(len(accuracy), dtype=bool)
    same, other = np.nanmean(accuracy[own]), np.nanmean(accuracy[~own])
    what = f"{first['row']} ({TASKS[first['task']]}) trained at one defocus gives {same:.2f} on average there"
    if "one_state" not in first:
        return f"{what} and {other:.2f} at the others"
    one = np.nanmean(np.array(first["one_state"], float)[~own])
    same = f"{math.floor(100 * one)} % of the crops get one and the same state"
    return f"{what} and {other:.2f} at the others, where {same}"
