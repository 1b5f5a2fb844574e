from __future__ import annotations

import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from persistem.errors import PersistemError
from persistem.imaging import exit_waves
from persistem.imaging.optics import abtem_settings, check_device, focal_sigma, wavelength
from persistem.specimens import slabs
from persistem.specimens.structures import crystal_of, write_structure
from persistem.study import Imaging, Material

SMALL = {"field": 8.0, "thickness": 8.0, "pixels": 64, "margin": 2.0}


def imaging(**values: Any) -> Imaging:
    return Imaging().model_copy(update=SMALL | values)


def gan(repetitions: tuple[int, int, int] = (5, 6, 2)) -> Atoms:
    atoms = bulk("GaN", "wurtzite", a=3.19, c=5.189).repeat(repetitions)
    atoms.rattle(0.2, seed=1)
    return atoms


def wave_of(atoms: Atoms, settings: Imaging, folder: Path) -> np.ndarray:
    import abtem

    structure, out = folder / "structure.extxyz", folder / "wave.zarr"
    write_structure(structure, atoms)
    exit_waves.exit_wave(structure, settings, out)
    wave = abtem.from_zarr(str(out)).compute()
    assert np.isclose(wave.energy, settings.voltage * 1e3)
    assert np.allclose(wave.sampling, settings.field / settings.pixels)
    return np.asarray(wave.array)


@pytest.mark.parametrize(("voltage", "expected"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_electron_wavelength(voltage: float, expected: float) -> None:
    from abtem.core.energy import energy2wavelength

    assert wavelength(voltage) == pytest.approx(expected, abs=5e-6)
    assert wavelength(voltage) == pytest.approx(energy2wavelength(voltage * 1e3), rel=1e-6)


def test_focal_spread_of_the_paper() -> None:
    assert focal_sigma(Imaging()) == pytest.approx(20.4, abs=0.05)
    relativistic = (1 + 200 / 510.999) / (1 + 100 / 510.999)
    assert focal_sigma(Imaging(focal_spread="relativistic")) == pytest.approx(20.3625 * relativistic, rel=1e-4)
    assert focal_sigma(Imaging(energy_spread=0.0)) == 0


def test_grid_of_the_paper_and_of_odd_margins() -> None:
    assert slabs.grid(Imaging())[:2] == (1280, 128)
    assert slabs.grid(Imaging()).width == 62.5
    assert slabs.grid(imaging(margin=0.0)) == (64, 0, 0.125)
    assert slabs.grid(imaging(margin=0.99)) == (64 + 2 * 7, 7, 0.125)
    assert slabs.grid(imaging(margin=0.3, field=6.4)).margin == 3  # 0.3 / 0.1 is 2.9999999999999996


def test_settings_read_are_the_keys() -> None:
    settings = imaging()
    subset = SimpleNamespace(**{key: getattr(settings, key) for key in exit_waves.KEYS})
    assert slabs.grid(subset) == slabs.grid(settings)  # type: ignore[arg-type]


def test_crystal_of_the_paper_holds_a_field_of_66_angstrom() -> None:
    cell = crystal_of(Material()).cell.array
    assert slabs.repeats(cell, np.array([62.5, 62.5, 50.0])) is None
    assert slabs.repeats(cell, np.array([66.30, 66.30, 50.0])) is None
    # 24 a sin(120°) = 66.3029 Å along y and 38.28 Å along x: the second lattice vector
    repeat = slabs.repeats(cell, np.array([66.31, 66.31, 50.0]))
    assert repeat is not None
    assert np.allclose(np.abs(repeat), [12 * 3.19, 24 * 3.19 * np.sqrt(3) / 2, 0])
    # a strip narrower than 38.28 Å may be longer, and no thickness beyond 10 c is possible
    assert slabs.repeats(cell, np.array([38.0, 130.0, 51.88])) is None
    assert slabs.repeats(cell, np.array([10.0, 10.0, 51.9])) is not None


def test_a_box_of_exactly_one_period_does_not_repeat() -> None:
    assert slabs.repeats(np.eye(3) * 10, np.array([10.0, 10.0, 10.0])) is None
    repeat = slabs.repeats(np.eye(3) * 10, np.array([10.1, 10.0, 10.0]))
    assert repeat is not None and np.allclose(np.abs(repeat), [10, 0, 0])
    # 100 x 100 cells are searched, too
    assert slabs.repeats(np.eye(3), np.array([100.0, 100.0, 1.0])) is not None


def test_repeats_agrees_with_a_search_over_all_lattice_vectors() -> None:
    rng = np.random.default_rng(0)
    indices = np.array([n for n in itertools.product(range(-9, 10), repeat=3) if any(n)])
    outcomes = set()
    for _ in range(60):
        cell = np.diag(rng.uniform(6, 12, 3)) + rng.uniform(-4, 4, (3, 3))
        box = rng.uniform(5, 11, 3)
        lattice = indices @ cell
        inside = lattice[(np.abs(lattice) < box).all(axis=1)]
        repeat = slabs.repeats(cell, box)
        outcomes.add(repeat is None)
        assert (repeat is None) == (len(inside) == 0)
        if repeat is not None:
            assert np.linalg.norm(repeat) == pytest.approx(np.linalg.norm(inside, axis=1).min())
    assert outcomes == {True, False}


@pytest.mark.parametrize("margin", [0.0, 6.25])
def test_the_largest_field_in_the_message_is_allowed_and_more_is_not(margin: float) -> None:
    cell = crystal_of(Material()).cell.array
    slabs.check_fits(cell, Imaging(margin=margin))
    with pytest.raises(PersistemError, match=r"imaging\.margin") as refused:
        slabs.check_fits(cell, Imaging(field=80.0, margin=margin), "my crystal")
    assert str(refused.value).startswith("my crystal: ")
    found = re.search(r"imaging.field at most ([\d.]+) Å", str(refused.value))
    assert found is not None
    largest = float(found[1])
    assert largest == pytest.approx(66.3029 - 2 * margin, abs=0.01)
    slabs.check_fits(cell, Imaging(field=largest, margin=margin))
    with pytest.raises(PersistemError):
        slabs.check_fits(cell, Imaging(field=largest + 0.2, margin=margin))


def test_the_largest_thickness_in_the_message() -> None:
    cell = crystal_of(Material()).cell.array
    with pytest.raises(PersistemError, match=r"imaging.thickness at most 51.89 Å"):
        slabs.check_fits(cell, Imaging(thickness=60.0))
    slabs.check_fits(cell, Imaging(thickness=51.89))


def test_a_slab_is_the_same_from_the_cell_and_from_an_explicitly_repeated_cell() -> None:
    cell = Atoms("GaN", [[0.5, 1, 2], [3, 4, 5]], cell=[[7, 0, 0], [-3, 8, 0], [1, 2, 9]], pbc=True)
    cell.positions += 11  # atoms need not lie inside their cell
    box = np.array([6.5, 7.0, 8.0])
    once, repeated = slabs.cut(cell, box), slabs.cut(cell.repeat(3), box)
    # the centre of 3 x 3 x 3 cells is the centre of the middle cell
    order, other = (np.lexsort(np.round(a.positions, 6).T) for a in (once, repeated))
    assert len(once) > 0
    assert np.array_equal(once.numbers[order], repeated.numbers[other])
    assert np.allclose(once.positions[order], repeated.positions[other])
    assert np.allclose(once.cell.array, np.diag(box))


def test_a_box_of_one_period_holds_every_atom_once() -> None:
    atoms = bulk("Si", cubic=True).repeat(2)
    length = atoms.cell[0, 0]
    for shift in (0.0, 1e-13, -1e-13, length / 4, 0.3):
        moved = atoms.copy()
        moved.positions += shift
        slab = slabs.cut(moved, np.array([length] * 3))
        assert len(slab) == len(atoms)
        assert (slab.positions >= 0).all() and (slab.positions < length).all()


def test_electrons_are_conserved(tmp_path: Path) -> None:
    wave = wave_of(gan(), imaging(), tmp_path)
    assert wave.shape == (96, 96)
    # but for what is scattered beyond the anti-aliasing limit, 2.7 / Å at this sampling
    assert 0.99 < np.mean(np.abs(wave) ** 2) < 1 + 1e-5
    assert np.std(np.abs(wave) ** 2) > 0.05  # and there is an image


def test_beam_runs_along_z_and_leaves_at_the_far_face(tmp_path: Path) -> None:
    settings = imaging(margin=0.0)
    cell = [16.0, 16.0, 16.0]
    # the slab is 4 to 12 Å; a slice's potential acts at its entrance
    late = wave_of(Atoms("Ga", [[8.0, 8.0, 11.0]], cell=cell, pbc=True), settings, tmp_path)
    early = wave_of(Atoms("Ga", [[8.0, 8.0, 6.0]], cell=cell, pbc=True), settings, tmp_path)
    k = np.fft.fftfreq(64, 0.125)
    k2 = k[:, None] ** 2 + k**2
    passed = k2 < 2.4**2  # below the anti-aliasing limit
    fresnel = np.exp(-1j * np.pi * wavelength(200) * 5 * k2)
    spectrum = {name: np.fft.fft2(wave, norm="forward") for name, wave in (("late", late), ("early", early))}
    assert np.allclose((spectrum["late"] * fresnel)[passed], spectrum["early"][passed], atol=1e-6)
    assert np.abs(spectrum["late"] - spectrum["early"])[passed].max() > 1e-4


def test_atoms_in_front_of_and_behind_the_slab_do_not_scatter(tmp_path: Path) -> None:
    cell = [16.0, 16.0, 20.0]
    slab = [[8.0, 8.0, 10.0]]
    alone = wave_of(Atoms("Ga", slab, cell=cell, pbc=True), imaging(), tmp_path)
    more = Atoms("Ga4", [*slab, [8, 8, 5.99], [8, 8, 14.001], [8, 8, 14.0]], cell=cell, pbc=True)
    assert np.array_equal(wave_of(more, imaging(), tmp_path), alone)


def test_a_margin_takes_up_what_the_cut_does_to_the_image(tmp_path: Path) -> None:
    def intensity(margin: float) -> np.ndarray:
        settings = imaging(margin=margin)
        width = slabs.grid(settings).margin
        return np.abs(wave_of(gan(), settings, tmp_path)[width : width + 64, width : width + 64]) ** 2

    reference = intensity(3.9)
    errors = [np.abs(intensity(margin) - reference).mean() for margin in (0.0, 1.0, 3.0)]
    assert errors[0] > errors[1] > errors[2] > 0
    assert errors[0] > 2 * errors[2]


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-1, 2)])
def test_a_tilted_specimen_is_one_sheared_towards_its_entrance(tmp_path: Path, shift: tuple[int, int]) -> None:
    # a tilt beyond what is allowed shifts by whole pixels per slice, between which atoms would be interpolated
    per_slice = 0.125 * np.array(shift)
    settings = imaging(margin=0.0)
    places = np.random.default_rng(4).uniform((6, 6, 4.1), (10, 10, 11.9), (25, 3))  # the slab is 4 to 12 Å
    flat = Atoms("Ga25", places, cell=[16.0] * 3, pbc=True)
    tilted = wave_of(flat, settings.model_copy(update={"tilt": tuple(1e3 * np.arctan(per_slice))}), tmp_path)
    sheared = flat.copy()
    slices_left = 12 - np.floor(places[:, 2:])  # a slice's potential acts at its entrance
    sheared.positions[:, :2] += slices_left * per_slice
    assert np.abs(wave_of(flat, settings, tmp_path) - tilted).max() > 0.5
    assert np.allclose(wave_of(sheared, settings, tmp_path), tilted, atol=1e-4)


def test_a_strained_specimen_is_one_stretched_before_its_slab_is_cut(tmp_path: Path) -> None:
    places = np.random.default_rng(4).uniform(0, 16, (60, 3))
    specimen = Atoms("Ga60", places, cell=[16.0] * 3, pbc=True)
    strained = wave_of(specimen, imaging(margin=0.0).model_copy(update={"strain": (0.1, -0.05)}), tmp_path)
    stretched = specimen.copy()
    stretched.set_cell([17.6, 15.2, 16.0], scale_atoms=True)
    assert np.allclose(wave_of(stretched, imaging(margin=0.0), tmp_path), strained, atol=1e-5)
    assert np.abs(wave_of(specimen, imaging(margin=0.0), tmp_path) - strained).max() > 0.5


def test_x_is_the_first_axis(tmp_path: Path) -> None:
    wave = wave_of(Atoms("Ga", [[10.0, 8.5, 8.0]], cell=[16.0] * 3, pbc=True), imaging(margin=0.0), tmp_path)
    peak = np.unravel_index(np.argmax(np.abs(np.angle(wave))), wave.shape)
    assert np.allclose(np.array(peak) * 0.125, [6.0, 4.5], atol=0.13)  # the slab begins at 4 Å


def test_same_bytes_again_whatever_was_planned_before(tmp_path: Path) -> None:
    import abtem
    from abtem.core.fft import fft2, ifft2

    first = wave_of(gan(), imaging(), tmp_path)
    before = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with abtem.config.set({"fft": "fftw", "fftw.planning_effort": "FFTW_MEASURE"}):
        noise = np.random.default_rng(0).random((96, 96)).astype(np.complex64)
        ifft2(fft2(noise))
    with abtem.config.set({"precision": "float64", "antialias.cutoff": 0.5}):
        again = wave_of(gan(), imaging(), tmp_path)  # replaces the first
    assert np.array_equal(first, again)
    assert {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_potentials_of_the_two_parametrizations_are_close_but_not_the_same(tmp_path: Path) -> None:
    lobato = np.abs(wave_of(gan(), imaging(), tmp_path)) ** 2
    kirkland = np.abs(wave_of(gan(), imaging(parametrization="kirkland"), tmp_path)) ** 2
    assert np.corrcoef(lobato.ravel(), kirkland.ravel())[0, 1] > 0.97
    assert np.abs(lobato - kirkland).max() > 1e-3


def test_refusals_name_the_settings_and_leave_nothing_behind(tmp_path: Path) -> None:
    structure, out = tmp_path / "structure.extxyz", tmp_path / "waves" / "wave.zarr"

    def refused(atoms: Atoms, message: str, **values: Any) -> None:
        write_structure(structure, atoms)
        with pytest.raises(PersistemError, match=message):
            exit_waves.exit_wave(structure, imaging(**values), out)
        assert not list(tmp_path.glob("waves/*"))

    refused(gan(), "imaging.field.*imaging.margin.*imaging.thickness", field=20.0)
    refused(gan(), "imaging.thickness at most", thickness=30.0)
    refused(Atoms("Ga", [[1.0, 1.0, 1.0]], cell=[30.0] * 3, pbc=True), "no atoms")
    refused(Atoms("Og", [[15.0, 15.0, 15.0]], cell=[30.0] * 3, pbc=True), "103")
    refused(Atoms("Ga", [[1.0, 1.0, 1.0]]), "no three-dimensional cell")


def test_device() -> None:
    check_device("cpu")
    with pytest.raises(PersistemError, match="cpu and gpu"):
        check_device("tpu")
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except Exception:
        with pytest.raises(PersistemError, match="use cpu"), abtem_settings("gpu"):
            pass
