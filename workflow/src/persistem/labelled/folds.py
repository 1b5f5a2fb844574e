"""What is left out together, in turn, and what trains meanwhile: a specimen, or a part of the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.labelled.rows import PART_NAMES, Labelled, parts_at
from persistem.learning.intervals import summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Fold(NamedTuple):
    """The labelled micrographs that train, and by their numbers in the study those that are tested.

    Of parts, a micrograph is in both, each time with some of its labels.
    """

    name: str
    training: list[Labelled]
    tested: dict[int, Labelled]


def folds(micrographs: Sequence[Labelled], states: Sequence[str]) -> tuple[list[Fold], dict[str, str]]:
    """Each specimen left out in turn, or each part of the only one; and of those that cannot be, why.

    Windows that share pixels with one of a part that is tested do not train.
    """
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    found = _of_specimens(micrographs, specimens) if len(specimens) > 1 else _of_parts(micrographs)
    skipped = {}
    for fold in found:
        missing = [name for k, name in enumerate(states) if not any((one.state == k).any() for one in fold.training)]
        if missing:
            skipped[fold.name] = f"without it {' and '.join(missing)} would not be known"
    return [fold for fold in found if fold.name not in skipped and fold.tested], skipped


def over_folds(name: str, means: dict[int, float], of_parts: bool) -> dict[str, Any]:
    """The mean over folds by its name, with its interval; parts of one specimen are not independent and give none."""
    said = summary(name, name, means)
    return said | {f"{name}_low": None, f"{name}_high": None} if of_parts else said


def _of_specimens(micrographs: Sequence[Labelled], specimens: Sequence[str]) -> list[Fold]:
    return [
        Fold(
            name,
            [one for one in micrographs if one.specimen != name],
            {k: one for k, one in enumerate(micrographs) if one.specimen == name},
        )
        for name in specimens
    ]


def _of_parts(micrographs: Sequence[Labelled]) -> list[Fold]:
    found = [Fold(name, [], {}) for name in PART_NAMES]
    for number, one in enumerate(micrographs):
        part = parts_at(one)
        for k, fold in enumerate(found):
            own = part == k
            if own.any():
                fold.tested[number] = one._replace(state=np.where(own, one.state, -1))
            near = _near(own, one.described.size, one.described.step)
            fold.training.append(one._replace(state=np.where(near, -1, one.state)))
    return found


def _near(places: NDArray[np.bool_], size: int, step: int) -> NDArray[np.bool_]:
    """Places (rows, columns), ``step`` px apart, whose windows, ``size`` px wide, share pixels with those of some."""
    import cv2

    reach = (size - 1) // step
    found: NDArray[np.bool_] = cv2.dilate(places.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    return found
