"""State checks: known structures, known displacements, and runs that have come to rest or have not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances
from ase.neighborlist import neighbor_list
from persistem.errors import PersistemError
from persistem.specimens import state_checks
from persistem.specimens.structures import write_structure

EDGES = np.linspace(0, 10, 201)
GAN = {
    "crystal": {"formula": "GaN", "structure": "wurtzite", "a": 3.19, "c": 5.189}
    | {"u": None, "cubic": False, "orthorhombic": False},
    "file": None,
    "repetitions": [5, 4, 3],
    "species": ["Ga", "N"],
}


def wurtzite(repetitions: tuple[int, int, int] = (5, 4, 3)) -> Atoms:
    return bulk("GaN", "wurtzite", a=3.19, c=5.189).repeat(repetitions)


def test_g_of_r_of_an_ideal_gas_is_1() -> None:
    rng = np.random.default_rng(0)
    atoms = Atoms("Ga1500N500", cell=[[20, 0, 0], [-8, 22, 0], [3, 2, 24]], pbc=True)
    atoms.set_scaled_positions(rng.random((2000, 3)))
    for pair, distances in state_checks.pair_distances(atoms, ["Ga", "N"], 10.0).items():
        g = state_checks.rdf(atoms, pair, distances, EDGES)
        counts = np.histogram(distances, EDGES)[0]
        # counts are of Poisson; two of the same element see each pair twice
        expected = np.divide(counts, g, where=g > 0, out=np.ones_like(g))
        error = np.sqrt((1 + (pair[0] == pair[1])) / expected[40:])
        assert abs(((g[40:] - 1) / error).mean()) < 0.3
        assert np.abs((g[40:] - 1) / error).max() < 5


def test_pairs_of_elements_and_images_are_those_of_an_independent_neighbour_list() -> None:
    rng = np.random.default_rng(1)
    # smaller than the largest distance: an atom sees its own images
    atoms = Atoms("Ga4N3", cell=[[6, 0, 0], [-2, 5, 0], [1, 1, 7]], pbc=True)
    atoms.set_scaled_positions(rng.random((7, 3)) * 3 - 1)
    i, j, d = neighbor_list("ijd", atoms, 8.0)
    symbols = np.array(atoms.get_chemical_symbols())
    for (a, b), distances in state_checks.pair_distances(atoms, ["Ga", "N"], 8.0).items():
        assert np.sort(distances) == pytest.approx(np.sort(d[(symbols[i] == a) & (symbols[j] == b)]))


def test_shells_of_a_crystal() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(3)
    found = state_checks.pair_distances(atoms, ["Na", "Cl"], 9.0)
    shells = {pair: np.unique(np.round(d, 3), return_counts=True) for pair, d in found.items()}
    half = 5.64 / 2
    distances, counts = shells["Na", "Cl"]
    assert distances[:3] == pytest.approx([half, half * 3**0.5, half * 5**0.5], abs=1e-3)
    assert (counts[:3] / 108).tolist() == [6, 8, 24]
    distances, counts = shells["Cl", "Cl"]
    assert distances[:3] == pytest.approx([half * 2**0.5, half * 2, half * 6**0.5], abs=1e-3)
    assert (counts[:3] / 108).tolist() == [12, 6, 24]
    # the integral of g(r) gives the same coordination
    g = state_checks.rdf(atoms, ("Na", "Cl"), found["Na", "Cl"], EDGES)
    shell = 4 / 3 * np.pi * np.diff(EDGES**3)
    first = EDGES[1:] < 4
    assert (g * shell)[first].sum() * 108 / atoms.get_volume() == pytest.approx(6)


def test_contacts_are_between_atoms_of_one_element() -> None:
    atoms = wurtzite()
    before = state_checks.pair_distances(atoms, ["Ga", "N"], 4.0)
    found = state_checks.contacts(atoms, "N", before["N", "N"])
    assert found == {"cutoff_A": 1.704, "per_atom": 0, "molecule_A": 1.3007, "molecules": 0}
    assert state_checks.contacts(atoms, "Ga", before["Ga", "Ga"])["per_atom"] == 0
    nitrogen = [k for k, s in enumerate(atoms.get_chemical_symbols()) if s == "N"]
    atoms.positions[nitrogen[0]] = atoms.positions[nitrogen[1]] + [0, 0, 1.1]  # a molecule of N2
    after = state_checks.pair_distances(atoms, ["Ga", "N"], 4.0)
    assert state_checks.contacts(atoms, "N", after["N", "N"])["per_atom"] == pytest.approx(2 / len(nitrogen), abs=1e-6)
    molecules = state_checks.contacts(atoms, "N", after["N", "N"])["molecules"]
    assert molecules == pytest.approx(2 / len(nitrogen), abs=1e-6)
    assert state_checks.contacts(bulk("Si", cubic=True), "Si", np.full(32, 2.35))["per_atom"] == 4


def test_an_atom_of_a_chain_of_three_counts_once() -> None:
    chain = Atoms("N4", [[1, 1, 1], [2.1, 1, 1], [3.2, 1, 1], [1, 5, 1]], cell=[9, 9, 9], pbc=True)
    distances = state_checks.pair_distances(chain, ["N"], 4.0)["N", "N"]
    assert state_checks.contacts(chain, "N", distances)["molecules"] == 0.75
    chain.positions[3] = [8.8, 1, 1]  # bonded across the boundary: 1.2 Å from the first
    distances = state_checks.pair_distances(chain, ["N"], 4.0)["N", "N"]
    assert state_checks.contacts(chain, "N", distances)["molecules"] == 1


def test_wurtzite_has_four_neighbours_and_no_cavity() -> None:
    atoms = wurtzite()
    shells = state_checks.coordination(atoms, state_checks.pair_distances(atoms, ["Ga", "N"], 4.0))
    assert {name: found["mean"] for name, found in shells.items()} == {"N around Ga": 4, "Ga around N": 4}
    assert state_checks.cavities(atoms, probes=100_000) == 0


def test_the_means_are_each_elements_own() -> None:
    atoms = bulk("CaF2", "fluorite", a=5.46, cubic=True).repeat(2)
    shells = state_checks.coordination(atoms, state_checks.pair_distances(atoms, ["Ca", "F"], 4.0))
    assert {name: found["mean"] for name, found in shells.items()} == {"F around Ca": 8, "Ca around F": 4}


@pytest.mark.parametrize("tilt", [0.0, -4.0])
def test_what_a_single_atom_leaves_is_the_cell_without_a_sphere(tilt: float) -> None:
    atoms = Atoms("N", [[7.9, 0.1, 4]], cell=[[8, 0, 0], [tilt, 9, 0], [0, 0, 8]], pbc=True)
    expected = 1 - 4 / 3 * np.pi * 2.5**3 / atoms.get_volume()
    assert state_checks.cavities(atoms, probes=100_000) == pytest.approx(expected, abs=0.001)


def test_a_planted_hole_has_its_volume() -> None:
    """A sphere of radius r without atoms in a dense lattice is a cavity of radius r - 2.5 Å, up to its step."""
    atoms = bulk("N", "sc", a=0.7).repeat(20)
    centre = atoms.cell.lengths() / 2 + [7, 0.2, 0]  # across the boundary
    _, away = get_distances(atoms.positions, [centre], atoms.cell, pbc=True)
    del atoms[(away[:, 0] < 5).nonzero()[0].tolist()]
    found = state_checks.cavities(atoms, probes=100_000) * atoms.get_volume()
    least, most = (4 / 3 * np.pi * (radius - 2.5) ** 3 for radius in (5, 5.2))
    assert least * 0.99 < found < most


@pytest.mark.parametrize("stretch", [1.0, 1.2])
def test_displacements_across_a_boundary_in_a_cell_that_grew(stretch: float) -> None:
    reference, rng = wurtzite(), np.random.default_rng(2)
    atoms = reference.copy()
    atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
    known = rng.normal(0, 0.5, (len(atoms), 3))
    known -= np.average(known, axis=0, weights=atoms.get_masses())
    # a drift of the whole by more than half a cell, and atoms wrapped wherever they end
    atoms.positions += known + 0.7 * atoms.cell[0] + [0, 3, 1]
    atoms.wrap()
    assert state_checks.displacements(atoms, reference) == pytest.approx(known, abs=1e-9)


def test_displacements_do_not_depend_on_how_the_cell_is_turned() -> None:
    reference, rng = bulk("Si", "diamond", a=5.43).repeat(4), np.random.default_rng(3)
    atoms = reference.copy()
    atoms.positions += rng.normal(0, 0.3, (len(atoms), 3))
    expected = (state_checks.displacements(atoms, reference) ** 2).sum(axis=1)
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    assert (state_checks.displacements(atoms, reference) ** 2).sum(axis=1) == pytest.approx(expected)


def series(n: int = 100, seed: int = 0, **changes: tuple[float, float]) -> list[dict[str, float]]:
    """A thermo series whose quantities go from one value to another in its second half, and fluctuate."""
    rng, half = np.random.default_rng(seed), np.clip(np.linspace(-1, 1, n), 0, 1)
    rows: dict[str, Any] = {}
    for name, (value, size) in {
        "density_g_cm3": (6.0, 0.006),
        "temperature_K": (1000.0, 15.0),
        "pressure_GPa": (0.0, 0.15),
    }.items():
        start, end = changes.get(name, (value, value))
        rows[name] = start + (end - start) * half + rng.normal(0, size, n)
    return [{name: float(values[k]) for name, values in rows.items()} for k in range(n)]


def test_a_run_at_rest_has_no_warning() -> None:
    for seed in range(20):
        drift, warnings = state_checks.drift_of(series(seed=seed), 1000, 0.0)
        assert warnings == []
        assert drift is not None
        assert drift["density_g_cm3"]["after"] == pytest.approx(6, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "kelvin", "gigapascal", "words"),
    [
        ({"density_g_cm3": (3.5, 2.6)}, 1000, 0.0, r"density still falls, from 3\.27.* to 2\.8.* g/cm³"),
        ({"density_g_cm3": (3.4, 3.55)}, 1000, 0.0, "density still rises"),
        ({"temperature_K": (1400, 1000)}, None, 0.0, "temperature still falls"),
        ({"temperature_K": (1100, 1100)}, 1000, 0.0, "temperature is 1[01].. K .* target 1000 K"),
        ({"pressure_GPa": (0.9, 0.9)}, 1000, 0.0, r"pressure is 0\..* GPa .* target 0 GPa"),
        ({"pressure_GPa": (3, 1)}, 1000, None, "pressure still falls"),
    ],
)
def test_a_run_that_is_not_at_rest_is_named(changes: Any, kelvin: Any, gigapascal: Any, words: str) -> None:
    for seed in range(5):
        _, warnings = state_checks.drift_of(series(seed=seed, **changes), kelvin, gigapascal)
        assert len(warnings) == 1
        assert re.search(words, warnings[0]), warnings


def test_too_short_a_run_says_nothing() -> None:
    drift, warnings = state_checks.drift_of(series(5), 1000, 0.0)
    assert drift is None
    assert "5 samples" in warnings[0]


def thermo(path: Path, rows: list[dict[str, float]]) -> None:
    lines = ["step,temperature_K,pressure_bar,density_g_cm3,potential_energy_eV,total_energy_eV,volume_A3"]
    lines += [
        f"{100 * k + 500},{r['temperature_K']},{r['pressure_GPa'] * 1e4},{r['density_g_cm3']},0,0,0"
        for k, r in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n")


def settings_of(**more: Any) -> dict[str, Any]:
    about = {"specimen": "T1000-rt0-s01", "state": None, "seed": 1, "temperature": 1000, "rt": False}
    files = {"structure": "hot.extxyz", "reference": None, "thermo": None, "target_K": None, "target_GPa": None}
    return about | files | {"species": ["Ga", "N"]} | more


def checked(tmp_path: Path, **more: Any) -> dict[str, Any]:
    out = tmp_path / "check.json"
    state_checks.state_checks_file(settings_of(**more), tmp_path, out)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_a_hot_crystal_against_the_crystal_of_its_study(tmp_path: Path) -> None:
    atoms, rng = wurtzite(), np.random.default_rng(4)
    atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, (len(atoms), 3))
    atoms.wrap()
    write_structure(tmp_path / "hot.extxyz", atoms)
    thermo(tmp_path / "thermo.csv", series(450))
    result = checked(
        tmp_path,
        reference={"kind": "crystal", "material": GAN},
        thermo="thermo.csv",
        target_K=1000,
        target_GPa=0.0,
        timestep_fs=2.0,
    )
    assert result["specimen"] == "T1000-rt0-s01"
    assert result["msd_A2"] == pytest.approx(3 * 0.1**2, rel=0.15)
    bond = min(neighbor_list("d", wurtzite(), 2.1)) * 1.01
    assert result["lindemann"] == pytest.approx(result["msd_A2"] ** 0.5 / bond, rel=1e-3)
    assert result["on_site"] == 1
    assert result["density_g_cm3"] == pytest.approx(6.08 / 1.01**3, rel=0.01)
    assert list(result["rdf"]["pairs"]) == ["Ga-Ga", "Ga-N", "N-N"]
    peak = result["rdf"]["r_A"][int(np.argmax(result["rdf"]["pairs"]["Ga-N"]))]
    assert peak == pytest.approx(1.95 * 1.01, abs=0.1)
    assert result["equilibrated"] is True
    assert result["warnings"] == []
    assert len(result["thermo"]["time_ps"]) <= 200
    assert result["thermo"]["time_ps"][-1] == pytest.approx(449 * 100 * 2e-3)
    assert abs(result["thermo"]["pressure_GPa"][-1]) < 1


def test_a_treated_specimen_against_its_hot_state(tmp_path: Path) -> None:
    hot = wurtzite()
    write_structure(tmp_path / "before.extxyz", hot)
    hot.positions[7] += [0.0, 1.0, 0.0]
    write_structure(tmp_path / "hot.extxyz", hot)
    result = checked(tmp_path, reference={"kind": "specimen", "structure": "before.extxyz"})
    assert result["msd_A2"] == pytest.approx(1 / len(hot), rel=0.02)
    assert result["lindemann"] is None
    assert result["on_site"] is None


def test_a_structure_of_ones_own_has_neither_reference_nor_series(tmp_path: Path) -> None:
    write_structure(tmp_path / "hot.extxyz", bulk("Si", cubic=True).repeat(2))
    result = checked(tmp_path, species=["O", "Si"], seed=1, temperature=None, rt=None)
    for key in ("msd_A2", "lindemann", "on_site", "thermo", "drift", "equilibrated"):
        assert result[key] is None
    assert result["warnings"] == []
    assert list(result["rdf"]["pairs"]) == ["Si-Si"]
    assert result["contacts"]["Si-Si"] == {
        "cutoff_A": pytest.approx(2.664), "per_atom": 4, "molecule_A": pytest.approx(2.0335), "molecules": 0,
    }  # fmt: skip
    assert result["coordination"] == {}


def test_the_vacuum_about_a_slab_is_no_cavity(tmp_path: Path) -> None:
    slab = bulk("Si", cubic=True).repeat(3)
    slab.center(vacuum=10.0, axis=2)
    write_structure(tmp_path / "hot.extxyz", slab)
    assert checked(tmp_path, species=["Si"])["cavities"] is None
    write_structure(tmp_path / "hot.extxyz", bulk("Si", cubic=True).repeat(3))
    assert checked(tmp_path, species=["Si"])["cavities"] is not None


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_structure(tmp_path / "hot.extxyz", wurtzite())
    with pytest.raises(PersistemError, match=r"has Ga, which is not in material\.species"):
        checked(tmp_path, species=["N"])
    with pytest.raises(PersistemError, match="does not list the atoms of its reference, a crystal"):
        checked(tmp_path, reference={"kind": "crystal", "material": GAN | {"repetitions": [2, 2, 2]}})
    (tmp_path / "thermo.csv").write_text("step,nothing\n0,1\n")
    with pytest.raises(PersistemError, match=r"thermo\.csv: not a thermo series"):
        checked(tmp_path, thermo="thermo.csv", timestep_fs=1.0)
    assert not (tmp_path / "check.json").exists()
