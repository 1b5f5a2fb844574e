"""Optimal and stable volumes (HomCloud) of pairs around the peak of a diagram, and their counts in all diagrams.

The study gives the region, or it is chosen around the peak of the first state, in one of its specimens and without
looking at the other state. So the choice does not decide how many pairs other states and seeds have in it. An optimal
volume is the smallest set of simplices that fills a pair's ring (degree 1) or cavity (degree 2) (Obayashi 2018,
doi:10.1137/17M1159439). A stable volume is the part of it that remains when levels change a little (Obayashi 2023,
doi:10.1007/s41468-023-00119-8).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.store.files import atomic
from persistem.topology.diagrams_3d import DECIMALS, box_of, read_diagram_3d

if TYPE_CHECKING:
    from numpy.typing import NDArray

Region = list[list[float]]

#: Bump when this stage's results change for the same study.
VERSION = 2

#: Width of a bin of the density of pairs, and of the Gaussian that smooths it, Å².
BIN, SMOOTHING = 0.02, 0.1
#: Most bins along an axis; a gas would need more, and gets wider bins.
MOST_BINS = 1000
#: The peak is sought within these quantiles of births and deaths.
RANGE = (0.005, 0.99)
#: Why there is no region if the first state has no diagram.
NO_STATE = "a region is chosen in a diagram of the first state, and the study has none"
#: Noise that a stable volume withstands, as a share of the pair's lifetime.
BAND = 0.1
#: Simplices are searched to this distance from the death simplex, Å; if that is too near, to twice as far, and so on.
REACH, DOUBLINGS = 6.0, 4


def optimal_volumes_file(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Choose the region, count its pairs in all diagrams, and find the volumes of some in the first two states.

    Parameters
    ----------
    settings
        ``states`` in the order of labels; ``diagrams``: records of specimens (specimen, state, seed) with the files
        ``pdgm`` and ``parquet``, relative to ``root``; ``region``: [[birth, birth], [death, death]] in Å², or null;
        ``degree``: 1 or 2; ``cube``: side (Å) of the central cube, in which volumes are drawn; ``field`` and
        ``thickness`` of the slab (Å); ``most``: largest number of volumes of one specimen
    out
        JSON with ``region`` (null with a ``reason`` if none can be chosen), ``chosen`` (automatic, given),
        ``around``: the specimen in whose diagram it was chosen (null if it is given), ``degree``, ``counts`` (for
        each diagram: pairs, volume_nm3, per_nm3), ``drawn`` (for the first diagram of each of the first two states:
        pairs of the region born in the central cube, and how many have volumes here), and ``volumes``: specimen, birth,
        death (Å²), ``optimal`` and ``stable`` (null if HomCloud finds none). A volume has ``points`` (Å in the
        slab), their ``elements``, ``edges`` and ``faces`` (indices of points): for a ring, the loop and the triangles
        that fill it; for a cavity, its hull.

    Raises
    ------
    PersistemError
        if a file is not valid.
    """
    records, degree = settings["diagrams"], settings["degree"]
    if degree not in (1, 2):
        raise PersistemError(f"optimal volumes are of degree 1 (rings) or 2 (cavities), not {degree}")
    volume = float(box_of((settings["field"], settings["thickness"])).prod()) * 1e-3
    diagrams = [_of_degree(read_diagram_3d(root / record["parquet"]), degree) for record in records]
    states = [record["state"] for record in records]
    region, reason, around = settings["region"], None, None
    if region is None:
        first = states.index(settings["states"][0]) if settings["states"][0] in states else None
        around = None if first is None else _bare(records[first])
        region, reason = (None, NO_STATE) if first is None else choose_region(diagrams[first])
    result: dict[str, Any] = {
        "region": region,
        "chosen": "automatic" if settings["region"] is None else "given",
        "around": around,
        "reason": reason,
        "degree": degree,
        "counts": [],
        "drawn": [],
        "volumes": [],
    }
    if region is not None:
        for record, pairs in zip(records, diagrams, strict=True):
            number = int(in_region(pairs, region).sum())
            result["counts"].append(_bare(record) | _density(number, volume))
        firsts = [records[states.index(state)] for state in settings["states"][:2] if state in states]
        _add_volumes(result, firsts, settings, root)
    with atomic(Path(out)) as part:
        part.write_text(json.dumps(result, ensure_ascii=False) + "\n")


def choose_region(pairs: NDArray[Any]) -> tuple[Region | None, str | None]:
    """The box of births and deaths around the peak of one diagram, as the paper chooses it by eye.

    Pairs are counted with their lifetimes as weights, since pairs near the diagonal are noise, and their density is
    smoothed. The box encloses the connected part around the peak that is above half the maximum.

    Parameters
    ----------
    pairs
        (n, 2) of birth and death in Å²

    Returns
    -------
    region, reason
        [[birth, birth], [death, death]], or None with the reason.
    """
    from scipy.ndimage import gaussian_filter, label

    if not len(pairs):
        return None, "the first state's diagram has no pairs"
    low, high = np.quantile(pairs, RANGE, axis=0) + np.array([[-3], [3]]) * SMOOTHING
    step = max(BIN, float((high - low).max()) / MOST_BINS)
    edges = [np.arange(math.floor(a / step), math.ceil(b / step) + 1) * step for a, b in zip(low, high, strict=True)]
    births, deaths = pairs.T
    counts, *_ = np.histogram2d(births, deaths, bins=edges, weights=deaths - births)
    density = gaussian_filter(counts, SMOOTHING / step, mode="constant")
    peak = np.unravel_index(density.argmax(), density.shape)
    parts, _ = label(density >= density.max() / 2)
    rows, columns = np.nonzero(parts == parts[peak])
    return [
        [round(float(edge[a]), 6), round(float(edge[b + 1]), 6)]
        for edge, a, b in zip(edges, (rows.min(), columns.min()), (rows.max(), columns.max()), strict=True)
    ], None


def in_region(pairs: NDArray[Any], region: Region) -> NDArray[Any]:
    """Which pairs, (n, 2) birth and death, are in a region; bounds belong to it."""
    low, high = np.array(region, float).T
    return np.asarray(((pairs >= low) & (pairs <= high)).all(axis=1))


def volumes_of(
    pdgm: Path, degree: int, region: Region, low: NDArray[Any], high: NDArray[Any]
) -> tuple[int, Iterable[dict[str, Any]]]:
    """Volumes of a HomCloud file's pairs that are in a region and born between two corners (3,), Å.

    Returns the number of these pairs, and an iterator over their volumes as in ``optimal_volumes_file``, those nearest
    the region's middle first. A volume costs a second, so take no more than you need.

    Raises PersistemError if the file is not a HomCloud file of a 3D diagram.
    """
    from homcloud.interface import PDList

    try:
        diagram = PDList(str(pdgm)).dth_diagram(degree)
        simplices, positions = diagram.pd.index_to_simplex, np.array(_chunk(diagram, "vertex_coordintes"))
        boundary, levels = diagram.pd.boundary_map_chunk["map"], np.array(diagram.pd.index_to_level)
    except (OSError, RuntimeError, TypeError) as error:
        raise PersistemError(f"{pdgm}: not a HomCloud file of a 3D diagram with its boundary map ({error})") from error
    # the last digits of HomCloud's file vary from one run to the next
    pairs = np.column_stack(diagram.birth_death_times()).reshape(-1, 2).round(DECIMALS)
    corners = np.array([simplices[i] for i in diagram.pd.birth_indices]).reshape(-1, degree + 1)
    centres = positions[corners].mean(axis=1)
    chosen = np.flatnonzero(in_region(pairs, region) & ((centres >= low) & (centres < high)).all(axis=1))
    offset = (pairs[chosen] - np.mean(region, axis=1)) / np.ptp(region, axis=1)
    chosen = chosen[np.argsort((offset**2).sum(axis=1), kind="stable")]

    # the simplices that fill rings (triangles) or cavities (tetrahedra), and their centres
    fillers = np.array([i for i, cell in enumerate(boundary) if cell[0] == degree + 1])
    middles = positions[np.array([simplices[i] for i in fillers]).reshape(-1, degree + 2)].mean(axis=1)

    def volume(birth: int, death: int) -> dict[str, Any] | None:
        cells = _fill(diagram, birth, death, fillers, middles)
        return None if cells is None else _described(diagram, cells, positions)

    def volumes() -> Iterable[dict[str, Any]]:
        for nth in chosen:
            birth, death = int(diagram.pd.birth_indices[nth]), int(diagram.pd.death_indices[nth])
            later = int(np.searchsorted(levels, levels[birth] + BAND * (levels[death] - levels[birth]), "right")) - 1
            yield {
                "birth": float(pairs[nth, 0]),
                "death": float(pairs[nth, 1]),
                "optimal": volume(birth, death),
                "stable": volume(later, death),
            }

    return len(chosen), volumes()


def _fill(diagram: Any, birth: int, death: int, fillers: NDArray[Any], middles: NDArray[Any]) -> list[int] | None:
    """The simplices of the optimal volume, as ``Pair.optimal_volume`` finds them; a later birth gives the stable one.

    HomCloud tests simplex by simplex whether it is near enough, which takes 2 s a pair; here all are selected at once.
    """
    from homcloud import optvol

    optimizer = optvol.Optimizer(birth, death, diagram.pd.boundary_map_chunk, optvol.default_lp_solver())
    distance = np.linalg.norm(middles - middles[np.searchsorted(fillers, death)], axis=1)
    for doubling in range(DOUBLINGS):
        near = set(fillers[distance < REACH * 2**doubling].tolist())
        result = optimizer.find(near.__contains__)
        if result.success:
            cells: list[int] = result.cell_indices
            return cells
    return None


def _described(diagram: Any, cells: list[int], positions: NDArray[Any]) -> dict[str, Any]:
    resolver = diagram.get_geometry_resolver("vindexes")
    rim = resolver.resolve_boundary(cells)
    faces = resolver.resolve_cells(cells) if diagram.degree == 1 else rim
    edges = rim if diagram.degree == 1 else [edge for a, b, c in rim for edge in ((a, b), (b, c), (a, c))]
    points = sorted({vertex for simplex in [*faces, *edges] for vertex in simplex})
    place = {vertex: i for i, vertex in enumerate(points)}
    symbols = _chunk(diagram, "vertex_symbols")
    return {
        "points": positions[points].round(5).tolist(),
        "elements": [symbols[vertex] for vertex in points],
        "edges": sorted({tuple(sorted(place[v] for v in edge)) for edge in edges}),
        "faces": sorted(tuple(sorted(place[v] for v in face)) for face in faces),
    }


def _add_volumes(result: dict[str, Any], firsts: list[dict[str, Any]], settings: dict[str, Any], root: Path) -> None:
    """Add the volumes in the central cubes. All specimens are thinned alike, so that the picture keeps their ratio."""
    box = box_of((settings["field"], settings["thickness"]))
    low, high = (box - settings["cube"]) / 2, (box + settings["cube"]) / 2
    searches = [
        (record, *volumes_of(root / record["pdgm"], result["degree"], result["region"], low, high)) for record in firsts
    ]
    share = min(1.0, settings["most"] / max([1, *(number for _, number, _ in searches)]))
    for record, number, volumes in searches:
        wanted = math.ceil(number * share)
        result["drawn"].append(_bare(record) | {"pairs": number, "volumes": wanted})
        for volume in itertools.islice(volumes, wanted):
            result["volumes"].append({"specimen": record["specimen"]} | volume)


def _of_degree(diagram: dict[str, NDArray[Any]], degree: int) -> NDArray[Any]:
    return np.column_stack([diagram["birth"], diagram["death"]])[diagram["degree"] == degree, :]


def _density(number: int, volume: float) -> dict[str, float]:
    return {"pairs": number, "volume_nm3": volume, "per_nm3": number / volume}


def _bare(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("pdgm", "parquet", "structure")}


def _chunk(diagram: Any, name: str) -> Any:
    return diagram.pd.pdgmreader.load_simple_chunk(name)
