"""The data of the page's interactive parts, as small as viewing allows.

Atoms of the central cube with optimal volumes; the longest-lived pairs of a crop with the region of each; micrographs
of each state at every defocus; crops to be thresholded; curves saved by the state checks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.imaging.crops import read_crops
from persistem.imaging.micrographs import read_micrograph
from persistem.report.figures.atoms import element_colours
from persistem.report.page.pictures import data_url
from persistem.specimens.slabs import cut
from persistem.specimens.structures import read_structure
from persistem.store.files import read_json
from persistem.topology.inverse import read_inverse

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

#: How many pairs of each crop and degree, the longest-lived, can be pointed at; the others are only drawn.
PAIRS = 300
#: Side of a micrograph on the page, pixels, and the share of its pixels that become black, and white.
SIDE, CLIPPED = 400, 0.001
#: Atoms closer than this times the sum of their covalent radii are joined.
BOND = 1.2
#: Points of a curve.
POINTS = 250


def explore(settings: dict[str, Any], root: Path) -> dict[str, Any]:
    """What the page's script reads: ``atoms``, ``crops``, ``micrographs``, ``checks``; each may be empty."""
    study = settings.get("study") or {}
    recipe = (study.get("features") or {}).get(settings.get("recipe")) or {}
    filtration = (recipe.get("filtrations") or ["superlevel"])[0]
    return {
        "states": settings.get("states") or [],
        "filtration": filtration,
        "elements": element_colours(list(settings.get("radii") or {})),
        "pixel_A": settings.get("pixel_size_A"),
        "atoms": atoms(settings, root),
        "crops": [crop(record, filtration, root) for record in settings.get("inverse") or []],
        "micrographs": [micrograph(record, root) for record in settings.get("micrographs") or []],
        "checks": [curves(record, root) for record in settings.get("specimens") or [] if record.get("check")],
    }


def atoms(settings: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """For each structure the atoms of the central cube (Å, from its corner), its bonds, and its optimal volumes."""
    cube = settings.get("cube")
    if not cube:
        return []
    volumes = read_json(root / settings["volumes"]) if settings.get("volumes") else {}
    counts = {count["specimen"]: count["per_nm3"] for count in volumes.get("counts") or []}
    # a volume's points count from the corner of the slab, which has the same centre
    slab = [settings.get("field") or cube] * 2 + [settings.get("thickness") or cube]
    corner = (np.array(slab) - cube) / 2
    return [
        _who(record)
        | {"cube": cube, "degree": volumes.get("degree", 1), "count": counts.get(record["specimen"])}
        | _bonded(cut(read_structure(root / record["structure"]), np.full(3, cube)))
        | {"volumes": [_pair(v, corner) for v in volumes.get("volumes") or [] if v["specimen"] == record["specimen"]]}
        for record in settings.get("structures") or []
    ]


def crop(record: dict[str, Any], filtration: str, root: Path) -> dict[str, Any]:
    """One crop: its grey levels, and by degree its pairs, longest-lived first, with the regions of the first ``PAIRS``.

    A region is a flat list of run lengths: the gap since the last run, and the run's length.
    """
    path = root / (record.get("crops") or record["path"])
    stack = read_crops(path)
    if not 0 <= record["index"] < len(stack):
        raise PersistemError(f"{path}: crop {record['index']} was asked for, but it holds crops 0 to {len(stack) - 1}")
    grey = stack[record["index"]]
    table = read_inverse(root / record["inverse"]).to_pydict()
    mine = [k for k, name in enumerate(table["filtration"]) if name == filtration]
    degrees = {}
    for degree in (0, 1):
        pairs = [k for k in mine if table["degree"][k] == degree]
        pairs.sort(key=lambda k: (-abs(table["birth"][k] - table["death"][k]), k))
        shown, rest = pairs[:PAIRS], pairs[PAIRS:]
        degrees[str(degree)] = {
            "pairs": [
                [_number(table[name][k]) for name in ("birth", "death")]
                + [table[name][k] for name in ("birth_row", "birth_column", "death_row", "death_column")]
                for k in shown
            ],
            "regions": [runs(table["pixels"][k]) for k in shown],
            "areas": [len(table["pixels"][k]) for k in shown],
            "rest": [[_number(table[name][k]) for k in rest] for name in ("birth", "death")],
        }
    return _who(record) | {
        "defocus": record["defocus"],
        "index": record["index"],
        "side": int(grey.shape[0]),
        "grey": base64.b64encode(np.ascontiguousarray(grey).tobytes()).decode(),
        "degrees": degrees,
    }


def runs(pixels: Iterable[int]) -> list[int]:
    """Run lengths of a set of flat pixel numbers: gap before a run and its length, in turn."""
    sorted_pixels = np.unique(np.fromiter(pixels, dtype=np.int64))
    if not len(sorted_pixels):
        return []
    breaks = np.flatnonzero(np.diff(sorted_pixels) > 1)
    starts = sorted_pixels[np.concatenate([[0], breaks + 1])]
    ends = sorted_pixels[np.concatenate([breaks, [-1]])] + 1
    gaps = starts - np.concatenate([[0], ends[:-1]])
    lengths: list[int] = np.stack([gaps, ends - starts], axis=1).ravel().tolist()
    return lengths


def micrograph(record: dict[str, Any], root: Path) -> dict[str, Any]:
    """A micrograph as a JPEG of ``SIDE`` pixels in its own grey levels, its side in Å, and its contrast, SD/mean."""
    import cv2

    intensity, facts = read_micrograph(root / record["path"])
    low, high = np.quantile(intensity, [CLIPPED, 1 - CLIPPED])
    side = min(SIDE, *intensity.shape)
    small = cv2.resize(intensity, (side, side), interpolation=cv2.INTER_AREA)
    grey = np.clip((small - low) * (255 / ((high - low) or 1)), 0, 255).round().astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 85])
    mean = float(intensity.mean())
    return _who(record) | {
        "defocus": record["defocus"],
        "field": round(intensity.shape[1] * facts["pixel_size_A"], 4),
        "contrast": round(float(intensity.std()) / mean, 4) if mean else None,
        "image": data_url(jpeg.tobytes(), "jpeg"),
    }


def curves(record: dict[str, Any], root: Path) -> dict[str, Any]:
    """A specimen's g(r) by pair of elements and its thermodynamic series, thinned to ``POINTS``: {name: [x, y]}."""
    check = read_json(root / record["check"])
    rdf = check.get("rdf") or {}
    thermo = check.get("thermo") or {}
    by_name = {f"g(r) {pair}": [rdf["r_A"], values] for pair, values in (rdf.get("pairs") or {}).items()}
    by_name |= {name: [thermo["time_ps"], values] for name, values in thermo.items() if name != "time_ps" and values}
    return _who(record) | {"curves": {name: [_thin(x), _thin(y)] for name, (x, y) in by_name.items()}}


def _who(record: dict[str, Any]) -> dict[str, Any]:
    return {"specimen": record["specimen"], "state": record.get("state")}


def _number(value: float) -> float:
    """A grey level or radius, without digits too fine for a screen."""
    return int(value) if value == int(value) else round(float(value), 4)


def _thin(values: list[Any]) -> list[Any]:
    step = -(-len(values) // POINTS) or 1
    return [None if value is None else float(f"{value:.5g}") for value in values[::step]]


def _bonded(atoms: Atoms) -> dict[str, Any]:
    """Elements and positions of atoms, and the pairs that are bonded."""
    from ase.data import covalent_radii
    from scipy.spatial import cKDTree

    bonds: NDArray[Any] = np.empty((0, 2), dtype=int)
    if len(atoms):
        radii = covalent_radii[atoms.numbers]
        bonds = cKDTree(atoms.positions).query_pairs(2 * BOND * radii.max(), output_type="ndarray")
        lengths = np.linalg.norm(atoms.positions[bonds[:, 0]] - atoms.positions[bonds[:, 1]], axis=1)
        bonds = bonds[lengths < BOND * radii[bonds].sum(axis=1)]
    return {
        "elements": atoms.get_chemical_symbols(),
        "positions": atoms.positions.round(2).tolist(),
        "bonds": bonds.tolist(),
    }


def _pair(volume: dict[str, Any], corner: NDArray[Any]) -> dict[str, Any]:
    """A pair's optimal and stable volume, if there are any, from the corner of the cube."""
    parts = {}
    for kind in ("optimal", "stable"):
        if part := volume.get(kind):
            points = (part["points"] - corner).round(2).tolist()
            parts[kind] = {"points": points} | {name: part.get(name) or [] for name in ("elements", "edges", "faces")}
    return {"birth": round(volume["birth"], 3), "death": round(volume["death"], 3)} | parts
