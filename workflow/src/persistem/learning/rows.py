"""The rows of the evaluation's tables: described crops, and the candidates from which each row chooses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.descriptors.crops import EQUALISED
from persistem.descriptors.files import read_descriptors
from persistem.errors import PersistemError
from persistem.learning.validation import Candidate, CropLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

#: The task of rows that must not see contrast.
REMOVED = "contrast removed"
#: The task of the control whose states share their patterns and differ by contrast; only counting noise asks for it.
ALONE = "contrast alone"


class Described(NamedTuple):
    """Blocks (crops, length) of crops by name, what the crops show, and their ``position`` in their micrograph."""

    X: dict[str, NDArray[np.float32]]
    crops: CropLabels
    position: NDArray[np.int_]


def read_described(sources: Sequence[dict[str, Any]], states: Sequence[str], root: Path, size: int) -> Described:
    """The crops of ``size`` (px) in descriptor files, ``sources`` (specimen, state, seeds, path), in a fixed order.

    Raises PersistemError as ``read_descriptors``, and if the files do not have the same blocks and defoci.
    """
    ordered = sorted(sources, key=lambda s: (s["seeds"], states.index(s["state"])))
    micrographs = [
        (source, defocus, blocks)
        for source in ordered
        for defocus, blocks in sorted(read_descriptors(root / source["path"], size).items())
    ]
    foci = {source["specimen"]: [d for s, d, _ in micrographs if s is source] for source in ordered}
    for name, defoci in foci.items():
        if defoci != next(iter(foci.values())):
            raise PersistemError(f"evaluation: specimen {name} was described at other defoci than {next(iter(foci))}")
    return stack(
        ((source["state"], source["seeds"][0], defocus, blocks) for source, defocus, blocks in micrographs), states
    )


def stack(
    micrographs: Iterable[tuple[str, int, float, dict[str, NDArray[np.float32]]]], states: Sequence[str]
) -> Described:
    """Described crops from micrographs: state, seed (or group of seeds), defocus (Å) and blocks of each.

    Raises PersistemError if the micrographs do not have the same blocks of the same length.
    """
    listed = list(micrographs)
    if not listed:
        raise PersistemError("evaluation: no crop was described")
    first = {name: block.shape[1] for name, block in listed[0][3].items()}
    for state, seed, defocus, blocks in listed:
        if {name: block.shape[1] for name, block in blocks.items()} != first:
            raise PersistemError(
                f"evaluation: {state}, seed {seed}, at {defocus:g} Å has other descriptors than {listed[0][0]},"
                f" seed {listed[0][1]}; all need the same"
            )
    counts = [len(next(iter(blocks.values()))) for *_, blocks in listed]
    columns = (
        [states.index(state) for state, *_ in listed],
        [seed for _, seed, *_ in listed],
        [defocus for _, _, defocus, _ in listed],
        range(len(listed)),
    )
    labels, seeds, defoci, micrographs = (np.repeat(np.asarray(column), counts) for column in columns)
    X = {name: np.concatenate([blocks[name] for *_, blocks in listed]) for name in first}
    return Described(
        X,
        CropLabels(labels, seeds, defoci.astype(float), micrographs, tuple(states)),
        np.concatenate([np.arange(count) for count in counts]),
    )


def key_of(row: dict[str, Any]) -> dict[str, str]:
    """Name and task of a row; they identify it."""
    return {"row": row["name"], "task": row["task"]}


def label(row: dict[str, Any]) -> str:
    """Name and task in one text; no two rows of a study share it."""
    return f"{row['name']}, {row['task']}"


def candidates(row: dict[str, Any], C: Sequence[float], models: Sequence[str]) -> list[Candidate]:
    """The candidates from which a row's inner folds choose, from simple to rich."""
    return [Candidate(tuple(blocks), model, c) for blocks in row["blocks"] for model in models for c in sorted(C)]


def representative(row: dict[str, Any], C: Sequence[float], models: Sequence[str]) -> Candidate:
    """The candidate for a row if nothing is chosen: the last blocks, the first model, the largest C."""
    return Candidate(tuple(row["blocks"][-1]), models[0], max(C))


def available(rows: Sequence[dict[str, Any]], X: dict[str, NDArray[np.float32]]) -> list[dict[str, Any]]:
    """The rows whose blocks have been described.

    A row without contrast gets the blocks of crops equalised before counting where there are some: standardising after
    it leaves the share of noise, which tells the contrast.
    """
    named = [row | {"blocks": [[_seen(n, row, X) for n in blocks] for blocks in row["blocks"]]} for row in rows]
    return [row for row in named if all(name in X for blocks in row["blocks"] for name in blocks)]


def _seen(name: str, row: dict[str, Any], X: dict[str, NDArray[np.float32]]) -> str:
    """The block that a row sees where its candidates name another."""
    return EQUALISED + name if row["task"] == REMOVED and EQUALISED + name in X else name
