"""The windows that train: those whose place carries a label, and which of them are tested together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persistem.descriptors import windows
from persistem.errors import PersistemError
from persistem.labelled.describing import Described, relative
from persistem.learning.validation import CropLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from persistem.reading.labels import Labels

    Numbers = NDArray[np.int_]

#: Windows of a micrograph that train, drawn at random from more; of each state at least ``FEW``, if it has so many.
MOST, FEW = 3000, 300
#: Parts into which a single micrograph is divided, so that each is tested by a model of the others.
PARTS = 4
PART_NAMES = tuple(f"part {k + 1}" for k in range(PARTS))


class Labelled(NamedTuple):
    """A described micrograph, the state of each place (rows, columns), -1 without a label, and its specimen."""

    described: Described
    state: Numbers
    specimen: str


class Rows(NamedTuple):
    """Windows that train: relative blocks (windows, length), labels, and the ``JUDGED`` blocks, not relative.

    ``crops.seed`` numbers the ``units`` that are left out together: specimens, or parts of the only one. ``place``
    (windows, 2) is where in its image a window lies, row and column in widths of a window.
    """

    X: dict[str, NDArray[Any]]
    absolute: dict[str, NDArray[Any]]
    crops: CropLabels
    units: tuple[str, ...]
    place: NDArray[np.float64]

    @property
    def of_parts(self) -> bool:
        """Whether the units are parts of the only specimen, which are not independent."""
        return self.units == PART_NAMES


def states_at(labels: NDArray[np.uint8], described: Described, share: float = 0.0) -> NDArray[np.uint8]:
    """The number of the region at each place (rows, columns), 0 without; ``labels`` (rows, columns) is of the image.

    With ``share``, a place also has none if a smaller share of the labelled pixels of its window carries its label; so
    windows across a border of two regions do not train.
    """
    import cv2

    own, sampling = described.pixel_size, described.sampling
    at = [
        windows.nearest_pixels(np.arange(count) * described.step, own, sampling, pixels)
        for count, pixels in zip(described.valid.shape, labels.shape, strict=True)
    ]
    here = labels[np.ix_(*at)].copy()
    if share > 0:
        size = (max(round(described.size * sampling / own), 1),) * 2
        marked = cv2.boxFilter((labels > 0).astype(np.float32), -1, size, borderType=cv2.BORDER_CONSTANT)
        for number in np.unique(here[here > 0]).tolist():
            of_it = cv2.boxFilter((labels == number).astype(np.float32), -1, size, borderType=cv2.BORDER_CONSTANT)
            here[(here == number) & (of_it < share * marked - 1e-6)[np.ix_(*at)]] = 0
    return np.where(described.valid, here, 0).astype(np.uint8)


def placed(
    described: Sequence[Described], labels: Iterable[Labels], specimens: Sequence[str], share: float = 0.0
) -> tuple[list[Labelled], list[str]]:
    """Described micrographs with the state of each place, and the states in the order in which the legends name them.

    A legend may name states that nothing is labelled with; they are left out. Raises PersistemError if what is labelled
    with a state holds no place.
    """
    numbers, legends = [], []
    named: dict[str, bool] = {}
    for one, of in zip(described, labels, strict=True):  # labels one by one: they are as large as the micrographs
        here = states_at(of.regions, one, share)
        for number, name in of.states.items():
            if (of.regions == number).any():
                named[name] = named.get(name, False) or bool((here == number).any())
        numbers.append(here)
        legends.append(of.states)
    states = list(named)
    lost = [name for name in states if not named[name]]
    if lost:
        raise PersistemError(
            f"labelled: no window lies in what is labelled as {' and '.join(lost)}; label more of it, or choose a"
            " smaller model.step or model.share"
        )
    micrographs = []
    for one, legend, here, specimen in zip(described, legends, numbers, specimens, strict=True):
        state = np.full(here.shape, -1)
        for number, name in legend.items():
            if name in named:
                state[here == number] = states.index(name)
        micrographs.append(Labelled(one, state, specimen))
    return micrographs, states


def rows_of(micrographs: Sequence[Labelled], blocks: Sequence[str], judged: Sequence[str], states: list[str]) -> Rows:
    """The rows of labelled micrographs; of many windows in one micrograph about ``MOST``.

    Raises PersistemError if a state labels no window.
    """
    rng = np.random.default_rng(0)
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    parts: dict[str, list[NDArray[Any]]] = {"y": [], "unit": [], "micrograph": [], "place": []}
    X: dict[str, list[NDArray[Any]]] = {name: [] for name in blocks}
    absolute: dict[str, list[NDArray[Any]]] = {name: [] for name in judged}
    for number, one in enumerate(micrographs):
        chosen = []
        labelled = max(int((one.state >= 0).sum()), 1)
        for state in range(len(states)):
            places = np.flatnonzero(one.state.ravel() == state)
            count = max(FEW, round(MOST * len(places) / labelled))
            chosen.append(np.sort(rng.permutation(places)[:count]))
        places = np.concatenate(chosen)
        for name, block in relative(one.described, blocks, places).items():
            X[name].append(block)
        for name in judged:
            block = one.described.blocks[name]
            absolute[name].append(block.reshape(-1, block.shape[-1])[places])
        unit = np.full(len(places), specimens.index(one.specimen))
        if len(specimens) == 1:  # of all labelled places, before some are drawn
            unit = parts_at(one).ravel()[places]
        parts["y"].append(one.state.ravel()[places])
        parts["unit"].append(unit)
        parts["micrograph"].append(np.full(len(places), number))
        across = one.described.size / one.described.step
        parts["place"].append(np.column_stack(np.divmod(places, one.state.shape[1])) / across)
    y, unit, micrograph = (np.concatenate(parts[name]) for name in ("y", "unit", "micrograph"))
    for label, name in enumerate(states):
        if label not in y:
            raise PersistemError(f"labelled: state {name} labels no window that shows anything; label more of it")
    units = tuple(specimens) if len(specimens) > 1 else PART_NAMES
    crops = CropLabels(y, unit, np.zeros(len(y)), micrograph, tuple(states))
    joined = {name: np.concatenate(blocks_of) for name, blocks_of in X.items()}
    judged_too = {name: np.concatenate(of) for name, of in absolute.items()}
    return Rows(joined, judged_too, crops, units, np.concatenate(parts["place"]))


def parts_at(one: Labelled) -> Numbers:
    """The part of its micrograph that each place (rows, columns) belongs to, as ``parts_of``; -1 without a label."""
    known = one.state >= 0
    part = np.full(one.state.shape, -1)
    part[known] = parts_of(one.state[known], np.argwhere(known))
    return part


def parts_of(state: Numbers, place: Numbers) -> Numbers:
    """The part of its micrograph, 0 … ``PARTS`` - 1, that each of some windows of these states (windows,) belongs to.

    Lines across the image divide the windows of each state, so that every part has some of every state; ``place``
    (windows, 2) is their row and column.
    """
    part = np.zeros(len(state), int)
    for label in np.unique(state).tolist():
        row, column = place[state == label].T
        along = row if np.ptp(row) >= np.ptp(column) else column
        edges = np.quantile(along, np.linspace(0, 1, PARTS + 1)[1:-1])
        part[state == label] = np.searchsorted(edges, along, side="right")
    return part


def apart(rows: Rows, unit: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The windows that train and those that are tested if a unit is left out.

    Windows that share pixels with one that is tested do not train.
    """
    left = rows.crops.seed == unit
    near = np.zeros(len(left), bool)
    for number in np.unique(rows.crops.micrograph[left]).tolist():
        here = rows.crops.micrograph == number
        tested, places = rows.place[here & left], rows.place[here]
        # places are in windows: nearer than 1 along both axes means common pixels
        cells = {tuple(cell) for cell in np.floor(tested).astype(int).tolist()}
        around = {(i + di, j + dj) for i, j in cells for di in (-1, 0, 1) for dj in (-1, 0, 1)}
        inside = [tuple(cell) in around for cell in np.floor(places).astype(int).tolist()]
        near[np.flatnonzero(here)[inside]] = True
    return np.flatnonzero(~left & ~near), np.flatnonzero(left)
