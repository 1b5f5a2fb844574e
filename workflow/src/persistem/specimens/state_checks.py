"""Checks whether a specimen is in the state it is taken for: structure, displacements, bonds, voids, end of the run."""

from __future__ import annotations

import json
import math
from itertools import combinations_with_replacement, product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.specimens.own_structures import density
from persistem.specimens.segments import read_thermo
from persistem.specimens.simulation import BAR_PER_GPA
from persistem.specimens.structures import crystal_of, heights, read_structure
from persistem.store.files import atomic

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Bump when this stage's results change for the same study.
VERSION = 2

#: Largest distance and width of a bin of g(r), in Å.
LARGEST, BIN = 10.0, 0.05
#: Two atoms of one element are bonded below this multiple of twice its covalent radius (Cordero et al. 2008, in ASE):
#: 1.70 Å for N-N, 2.93 Å for Ga-Ga, near the minimum of g(r) behind the bonds of amorphous GaN. Every element
#: has such a multiple, but not every one such a minimum: in a GaN crystal the first shell of N-N or Ga-Ga is the second
#: neighbours, and heat brings some Ga-Ga below the cutoff (0.7 for each Ga at 1000 K, 0.01 at 300 K).
CONTACT = 1.2
#: Two atoms of different elements are in each other's first shell below this multiple of the sum of their covalent
#: radii: 2.70 Å for Ga-N, in the gap of amorphous GaN's g(r) (2.3 to 3.0 Å) and near its minimum in the liquid's (2.9).
SHELL = 1.4
#: Atoms of one element are bonded as in a molecule below this multiple of twice its covalent radius: 1.30 Å for N-N,
#: between N2 (1.10 Å) and a single bond (1.45 Å).
MOLECULE = 0.916
#: A point farther than this from every atom (Å) is in a cavity; in wurtzite GaN no point is farther than 2.1 Å.
CAVITY = 2.5
#: Points that the cell is probed at: the share of cavities of a melt of 27,840 atoms is then within 0.001.
PROBES = 250_000
#: Most samples to keep of the thermo series, and fewest that show whether a run has come to rest.
SAMPLES, FEWEST = 200, 8
#: Changes that count, between the third and the last quarter of a run or from the target: density and temperature
#: (relative), pressure (GPa). A change below 3 standard errors never counts.
DENSITY, TEMPERATURE, PRESSURE = 0.0025, 0.02, 0.1
_KEYS = ("specimen", "state", "seed", "temperature", "rt")


def state_checks_file(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Check the specimen that ``settings`` name and write the JSON ``out``; paths are relative to ``root``.

    Keys of the result: the specimen's own; ``atoms``; ``density_g_cm3``; ``rdf`` (``r_A`` and, for each pair of
    ``pairs``, g(r)); ``msd_A2``; ``lindemann`` and ``on_site``, if the reference is a crystal; ``contacts``;
    ``coordination``; ``cavities``, a share of the volume, null if vacuum is part of the cell; ``drift``,
    ``equilibrated``, ``thermo`` and ``warnings``.
    Keys that need a reference or a thermo series are null without it. Raises PersistemError for files that cannot be
    read or do not belong together.
    """
    path = Path(root) / settings["structure"]
    atoms = read_structure(path)
    present = set(atoms.get_chemical_symbols())
    listed = sorted(present) if settings["species"] is None else settings["species"]
    if missing := present - set(listed):
        raise PersistemError(f"{path}: has {sorted(missing)[0]}, which is not in material.species")
    species = [s for s in listed if s in present]
    distances = pair_distances(atoms, species, LARGEST)
    result: dict[str, Any] = {k: settings.get(k) for k in _KEYS} | {"atoms": len(atoms)}
    result["density_g_cm3"] = round(density(atoms), 6)
    edges = np.linspace(0, LARGEST, round(LARGEST / BIN) + 1)
    pairs = {"-".join(ab): np.round(rdf(atoms, ab, d, edges), 5).tolist() for ab, d in distances.items()}
    result["rdf"] = {"r_A": np.round((edges[1:] + edges[:-1]) / 2, 5).tolist(), "pairs": pairs}
    result |= _displacements(atoms, settings.get("reference"), Path(root), path)
    result["contacts"] = {f"{a}-{a}": contacts(atoms, a, distances[a, a]) for a in species}
    result["coordination"] = coordination(atoms, distances)
    result["cavities"] = round(cavities(atoms), 6) if fills_cell(atoms) else None
    result |= {"drift": None, "equilibrated": None, "thermo": None, "warnings": []}
    if settings.get("thermo"):
        rows = _thermo(Path(root) / settings["thermo"], settings["timestep_fs"])
        drift, warnings = drift_of(rows, settings.get("target_K"), settings.get("target_GPa"))
        step = math.ceil(len(rows) / SAMPLES)
        kept = rows[::-1][::step][::-1]  # the last sample is always among them
        result |= {"drift": drift, "warnings": warnings, "equilibrated": not warnings if drift else None}
        result["thermo"] = {name: [round(row[name], 5) for row in kept] for name in rows[0]}
    with atomic(out) as part:
        part.write_text(json.dumps(result, ensure_ascii=False) + "\n")


def pair_distances(atoms: Atoms, species: list[str], largest: float) -> dict[tuple[str, str], Array]:
    """Distances (Å) up to ``largest`` from atoms of one element to atoms of another, images of the cell included.

    Every pair of elements is listed once, in the order of ``species``. A distance between two atoms of one element
    comes twice, once from either end. An atom has distances from its images, but none from itself.
    """
    from scipy.spatial import KDTree

    positions, numbers, owner = _with_images(atoms, largest)
    symbols = np.array(atoms.get_chemical_symbols())
    distances: dict[tuple[str, str], Array] = {}
    for a, b in combinations_with_replacement(species, 2):
        home = np.flatnonzero((symbols[owner] == a) & (numbers == 0))
        others = np.flatnonzero(symbols[owner] == b)
        tree, parts = KDTree(positions[others]), []
        for chunk in np.array_split(home, max(1, len(home) // 2000)):
            near = KDTree(positions[chunk]).sparse_distance_matrix(tree, largest, output_type="ndarray")
            parts.append(near["v"][chunk[near["i"]] != others[near["j"]]])
        distances[a, b] = np.concatenate(parts)
    return distances


def _with_images(atoms: Atoms, margin: float) -> tuple[Array, NDArray[np.int_], NDArray[np.int_]]:
    """The cell's atoms, and their images within ``margin`` (Å) of it.

    Returns their positions (Å), whether each is an image (1) or not (0), and the index of its atom.
    """
    cell = atoms.cell.array
    scaled = atoms.get_scaled_positions(wrap=True)
    # distance between opposite faces, in the units of scaled positions
    reach = margin * np.linalg.norm(np.linalg.inv(cell), axis=0)
    positions, image, owner = [], [], []
    for shift in product(*(range(-math.ceil(r), math.ceil(r) + 1) for r in reach)):
        moved = scaled + shift
        near = np.flatnonzero(((moved >= -reach) & (moved <= 1 + reach)).all(axis=1))
        positions.append(moved[near] @ cell)
        image.append(np.full(len(near), int(any(shift))))
        owner.append(near)
    return np.concatenate(positions), np.concatenate(image), np.concatenate(owner)


def rdf(atoms: Atoms, pair: tuple[str, str], distances: Array, edges: Array) -> Array:
    """Partial radial distribution function g(r), (bins,): 1 for uncorrelated atoms.

    ``distances`` come from ``pair_distances``; ``edges`` are the edges of the bins, Å.
    """
    symbols = atoms.get_chemical_symbols()
    first, second = (symbols.count(s) for s in pair)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    expected = first * (second - (pair[0] == pair[1])) / atoms.get_volume() * shells
    counts = np.histogram(distances, edges)[0]
    return np.asarray(np.divide(counts, expected, out=np.zeros(len(shells)), where=expected > 0))


def contacts(atoms: Atoms, element: str, distances: Array) -> dict[str, float]:
    """Bonds between atoms of one element: the cutoff in Å, and neighbours within it per atom of that element.

    ``molecules`` is the share of its atoms with a neighbour of their kind as near as in a molecule, ``molecule_A``.
    """
    cutoff, molecule = (scale * _radii(element, element) for scale in (CONTACT, MOLECULE))
    count = atoms.get_chemical_symbols().count(element)
    return {
        "cutoff_A": round(cutoff, 4),
        "per_atom": round(float((distances < cutoff).sum()) / count, 6),
        "molecule_A": round(molecule, 4),
        "molecules": round(float(np.mean(_nearest_of_kind(atoms, element, molecule) < molecule)), 6),
    }


def coordination(atoms: Atoms, distances: dict[tuple[str, str], Array]) -> dict[str, dict[str, float]]:
    """The mean number of atoms of another element in the first shell, e.g. of ``Ga around N``, and its radius in Å.

    ``distances`` are those of ``pair_distances``.
    """
    symbols = atoms.get_chemical_symbols()
    found = {}
    for (a, b), between in distances.items():
        if a != b:
            cutoff = SHELL * _radii(a, b)
            pairs = float((between < cutoff).sum())
            for centre, others in ((a, b), (b, a)):
                mean = round(pairs / symbols.count(centre), 6)
                found[f"{others} around {centre}"] = {"cutoff_A": round(cutoff, 4), "mean": mean}
    return found


def fills_cell(atoms: Atoms) -> bool:
    """Whether atoms fill their periodic cell: between no faces is a layer twice CAVITY thick empty."""
    scaled = np.sort(atoms.get_scaled_positions(wrap=True), axis=0)
    gaps = np.diff(scaled, axis=0, append=scaled[:1] + 1).max(axis=0)
    return bool((gaps * heights(atoms.cell.array) < 2 * CAVITY).all())


def cavities(atoms: Atoms, beyond: float = CAVITY, probes: int = PROBES) -> float:
    """The share of a periodic cell's volume that is farther than ``beyond`` (Å) from every atom.

    It is probed at about ``probes`` points on a regular grid.
    """
    from scipy.spatial import cKDTree

    spacing = (atoms.get_volume() / probes) ** (1 / 3)
    counts = [max(round(length / spacing), 1) for length in atoms.cell.lengths()]
    axes = [(np.arange(count) + 0.5) / count for count in counts]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ atoms.cell.array
    nearest, _ = cKDTree(_with_images(atoms, beyond)[0]).query(points, distance_upper_bound=beyond)
    return float(np.isinf(nearest).mean())


def _radii(a: str, b: str) -> float:
    """The sum of the covalent radii of two elements, Å."""
    from ase.data import atomic_numbers, covalent_radii

    return float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


def _nearest_of_kind(atoms: Atoms, element: str, largest: float) -> Array:
    """Distance (Å) of each atom of an element to the nearest other one, images included; inf beyond ``largest``."""
    from scipy.spatial import cKDTree

    positions, image, owner = _with_images(atoms, largest)
    of_kind = np.array(atoms.get_chemical_symbols())[owner] == element
    nearest, _ = cKDTree(positions[of_kind]).query(positions[of_kind & (image == 0)], 2, distance_upper_bound=largest)
    return np.asarray(nearest[:, 1])


def displacements(atoms: Atoms, reference: Atoms) -> Array:
    """Displacement (Å) of every atom, (atoms, 3), from its place in ``reference``, which lists the same atoms.

    The reference is stretched to the present cell, so that expansion is no displacement. Atoms take the shortest way
    across boundaries, so an atom that went farther than half the cell seems nearer than it is. The drift of the centre
    of mass is subtracted.
    """
    from ase.geometry import find_mic

    ways = atoms.get_scaled_positions(wrap=False) - reference.get_scaled_positions(wrap=False)
    # a common drift of up to a whole cell: the mean direction on each axis as on a circle
    ways -= np.angle(np.exp(2j * np.pi * ways).mean(axis=0)) / (2 * np.pi)
    shortest, _ = find_mic(ways @ atoms.cell.array, atoms.cell, pbc=True)
    return np.asarray(shortest - np.average(shortest, axis=0, weights=atoms.get_masses()))


def nearest_neighbour(atoms: Atoms) -> float:
    """The shortest distance (Å) between two atoms, images included."""
    largest = 1.5 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    species = sorted(set(atoms.get_chemical_symbols()))
    return min(float(d.min()) for d in pair_distances(atoms, species, largest).values() if len(d))


def _displacements(atoms: Atoms, reference: dict[str, Any] | None, root: Path, path: Path) -> dict[str, Any]:
    """Mean-square displacement (Å²); for a crystal also Lindemann's ratio and the share of atoms on their sites.

    Lindemann's ratio is the root-mean-square displacement over the nearest-neighbour distance of the crystal, stretched
    as the cell is. An atom is on its site if it is displaced by less than half this distance.
    """
    result: dict[str, Any] = {"reference": None, "msd_A2": None, "lindemann": None, "on_site": None}
    if reference is None:
        return result
    if reference["kind"] == "crystal":
        # stands in for a study's section ``material``, which needs no second validation
        material: Any = SimpleNamespace(**reference["material"])
        material.crystal = SimpleNamespace(**material.crystal)
        origin = crystal_of(material)
    else:
        origin = read_structure(root / reference["structure"])
    if origin.get_chemical_symbols() != atoms.get_chemical_symbols():
        raise PersistemError(f"{path}: does not list the atoms of its reference, a {reference['kind']}, in their order")
    squares = (displacements(atoms, origin) ** 2).sum(axis=1)
    msd = float(squares.mean())
    result |= {"reference": reference["kind"], "msd_A2": round(msd, 6)}
    if reference["kind"] == "crystal":
        spacing = nearest_neighbour(origin) * (atoms.get_volume() / origin.get_volume()) ** (1 / 3)
        result["lindemann"] = round(math.sqrt(msd) / spacing, 6)
        result["on_site"] = round(float(np.mean(squares < (spacing / 2) ** 2)), 6)
    return result


def _thermo(path: Path, timestep: float) -> list[dict[str, float]]:
    """The thermo series: time since its start (ps; ``timestep`` in fs), temperature, pressure in GPa, and density."""
    try:
        rows = read_thermo(path)
        return [
            {
                "time_ps": (row["step"] - rows[0]["step"]) * timestep / 1000,
                "temperature_K": row["temperature_K"],
                "pressure_GPa": row["pressure_bar"] / BAR_PER_GPA,
                "density_g_cm3": row["density_g_cm3"],
            }
            for row in rows
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PersistemError(f"{path}: not a thermo series of this workflow ({error!r})") from error


def drift_of(
    rows: list[dict[str, float]], kelvin: float | None, gigapascal: float | None
) -> tuple[dict[str, Any] | None, list[str]]:
    """How a run ends: means of its third and last quarter, and warnings about what has not come to rest.

    ``rows`` are samples with temperature_K, pressure_GPa and density_g_cm3; ``kelvin`` and ``gigapascal`` are the
    targets, or None. A change gives a warning if it exceeds DENSITY, TEMPERATURE or PRESSURE and also 3 standard
    errors of the means. Fewer than FEWEST samples give None and one warning.
    """
    if len(rows) < FEWEST:
        return None, [f"{len(rows)} samples of the run are too few to say whether it is equilibrated"]
    quarter = len(rows) // 4
    drift: dict[str, Any] = {}
    warnings = []
    for name, unit, tolerance, target in [
        ("density_g_cm3", "g/cm³", DENSITY, None),
        ("temperature_K", "K", TEMPERATURE, kelvin),
        ("pressure_GPa", "GPa", PRESSURE, gigapascal),
    ]:
        values = np.array([row[name] for row in rows[-2 * quarter :]])
        before, mean = float(values[:quarter].mean()), float(values[quarter:].mean())
        drift[name] = {"before": round(before, 5), "after": round(mean, 5), "target": target}
        # errors from the scatter about a line: the drift itself is no error
        time = np.arange(2 * quarter)
        scatter = float(np.std(values - np.polyval(np.polyfit(time, values, 1), time), ddof=2))
        word = name.split("_")[0]
        if word != "pressure":
            tolerance *= abs(mean)
        if abs(mean - before) > max(tolerance, 3 * scatter * math.sqrt(2 / quarter)):
            warnings.append(
                f"not equilibrated: the {word} still {'rises' if mean > before else 'falls'}, from {before:.4g} to"
                f" {mean:.4g} {unit} between the third and the last quarter of the run"
            )
        if target is not None and abs(mean - target) > max(tolerance, 3 * scatter / math.sqrt(quarter)):
            warnings.append(
                f"not equilibrated: the {word} is {mean:.4g} {unit} in the last quarter of the run, its target"
                f" {target:g} {unit}"
            )
    return drift, warnings
