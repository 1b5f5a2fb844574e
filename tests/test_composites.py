"""Composites: what is where in them, how they were made, and what is said of a map of them."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from persistem.errors import PersistemError
from persistem.imaging.exit_waves import exit_wave
from persistem.imaging.micrographs import intensity
from persistem.maps import Map
from persistem.specimens.layout import VACUUM, Halves, read_layout
from persistem.specimens.slabs import grid
from persistem.specimens.structures import crystal_cell, density, read_structure, write_structure
from persistem.study import Crystal, Imaging, Material, MolecularDynamics, Potential
from persistem.study.load import load_study
from persistem.trial import making, melted
from persistem.trial import scores as truth
from persistem.trial.imaging import enlarged
from persistem.trial.splice import SEAM, splice, stacked
from persistem.trial.trial import calibration, score
from support.studies import ROOT

FIELD = Imaging(field=90.0, thickness=20.0, pixels=180, margin=4.0)
STRAIGHT = Halves(boundary=45.0)
WAVY = Halves(boundary=40.0, amplitude=6.0, period=40.0, vacuum=(20.0, 35.0))


def specimen(seed, spacing, side=70.0, depth=24.0):
    """A disordered solid in a sheared cell, one atom somewhere in each of its boxes about ``spacing`` Å wide.

    It is without planes, and evenly dense all the same.
    """
    cell = np.array([[side, 0, 0], [-0.4 * side, side, 0], [0, 0, depth]])
    counts = np.rint(np.linalg.norm(cell, axis=1) / spacing).astype(int)
    boxes = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    scaled = (boxes + np.random.default_rng(seed).random(boxes.shape)) / counts
    return Atoms(np.where(np.arange(len(boxes)) % 2, 7, 31), scaled @ cell, cell=cell, pbc=True)


def field(halves, counts=(8, 8)):
    of = [[specimen(10 * state + k, 2.7 + 0.3 * state) for k in range(count)] for state, count in enumerate(counts)]
    return of, splice(of, halves, FIELD)


@pytest.fixture(scope="module", params=[STRAIGHT, WAVY], ids=["straight", "wavy"])
def spliced(request):
    return request.param, *field(request.param)


def in_view(atoms):
    """Positions x, y from the first pixel of the micrograph."""
    return atoms.positions[:, :2] - grid(FIELD).margin * grid(FIELD).sampling


def test_atoms_of_two_tiles_are_not_crowded_at_any_seam_or_across_the_edges(spliced):
    _, _, atoms = spliced
    one, other, shift = neighbor_list("ijS", atoms, SEAM)
    tile = list(zip(atoms.arrays["state"], atoms.arrays["specimen"], strict=True))
    alike = [tile[i] == tile[j] for i, j in zip(one, other, strict=True)]
    assert len(set(tile)) >= 4
    assert all(alike)
    assert not shift.any()
    assert 0 < atoms.info["dropped"] < 0.03 * len(atoms)


def test_a_spliced_field_leaves_out_the_later_of_two_crowded_atoms_and_no_other():
    far = {"cell": [300.0, 300.0, 30.0], "pbc": True}
    lead = grid(FIELD).margin * grid(FIELD).sampling

    def tile_of(halves, state, *points):
        """A specimen whose cut has atoms at these x from the first pixel, all at one y and depth."""
        low, high = (0, lead + halves.boundary) if state == 0 else (lead + halves.boundary, grid(FIELD).width)
        # the region's rectangle is a step wider than the state
        low, high = (low, high + 0.25) if state == 0 else (low - 0.25, high)
        middle = (low + high) / 2
        return Atoms("N" * len(points), [[150 + x + lead - middle, 150, 15] for x in points], **far)

    halves = Halves(boundary=30.0)
    close = splice([[tile_of(halves, 0, 5, 29.5)], [tile_of(halves, 1, 30.5, 50)]], halves, FIELD)
    apart = splice([[tile_of(halves, 0, 5, 29.0)], [tile_of(halves, 1, 30.8, 50)]], halves, FIELD)
    assert close.arrays["state"].tolist() == [0, 0, 1]
    assert close.info["dropped"] == 1
    assert np.allclose(in_view(close)[:, 0], [5, 29.5, 50], atol=0.3)
    assert len(apart) == 4


def test_the_mask_is_where_the_atoms_are_from(spliced):
    halves, _, atoms = spliced
    x, y = in_view(atoms).T
    assert (halves.state(x, y) == atoms.arrays["state"]).all()
    size = grid(FIELD).sampling
    inside = (x > 0) & (y > 0) & (x < FIELD.field - size) & (y < FIELD.field - size)
    mask = halves.mask(FIELD)
    assert mask.shape == (FIELD.pixels, FIELD.pixels)
    nearest = mask[np.rint(y / size).astype(int)[inside], np.rint(x / size).astype(int)[inside]]
    # an atom within half a pixel of a boundary may be on its other side
    assert (nearest == atoms.arrays["state"][inside]).mean() > 0.98
    assert set(np.unique(mask)) == ({0, 1, VACUUM} if halves.vacuum else {0, 1})


def test_the_parts_have_the_densities_of_their_specimens(spliced):
    halves, of, atoms = spliced
    points = grid(FIELD)
    fine = np.arange(0, points.width, 0.05) - points.margin * points.sampling
    states = halves.state(fine[None, :], fine[:, None])
    for state in (0, 1):
        volume = (states == state).mean() * points.width**2 * FIELD.thickness
        number = (atoms.arrays["state"] == state).sum() / volume
        assert number == pytest.approx(len(of[state][0]) / of[state][0].get_volume(), rel=0.02)


def test_no_atom_of_a_specimen_is_there_twice(spliced):
    halves = spliced[0]
    # every atom of these is another element, so that it can be told again
    rng = np.random.default_rng(5)
    cell = np.array([[45.0, 0, 0], [-15.0, 50.0, 0], [0, 0, 21.0]])
    of = [[Atoms(np.arange(1, 101), rng.random((100, 3)) @ cell, cell=cell, pbc=True) for _ in range(8)] for _ in "ab"]
    atoms = splice(of, halves, FIELD)
    seen = list(zip(atoms.numbers, atoms.arrays["state"], atoms.arrays["specimen"], strict=True))
    assert len(seen) > 100
    assert len(set(seen)) == len(seen)


def test_too_few_or_too_thin_specimens_are_refused():
    with pytest.raises(PersistemError, match=r"state 1: 1 specimens cannot fill its .* more specimens"):
        field(STRAIGHT, counts=(8, 1))
    thin = [[specimen(1, 2.7, depth=12.0)] * 16] * 2
    with pytest.raises(PersistemError, match=r"state 0: .* smaller imaging.field or imaging.thickness"):
        splice(thin, STRAIGHT, FIELD)
    with pytest.raises(PersistemError, match="state 1: has no place"):
        field(Halves(boundary=120.0))


def test_a_larger_field_keeps_the_pixels_of_the_study():
    large = enlarged(Imaging(), 150.0)
    assert large.field / large.pixels == pytest.approx(50 / 1024, rel=1e-12)
    assert 150 <= large.field < 150.05
    assert large.margin == 0
    with pytest.raises(PersistemError, match="allowed are at most 16384"):
        enlarged(Imaging(), 1500.0)


def pictured(atoms, imaging, defocus, folder):
    """The micrograph of a composite, by the stages that it goes through."""
    write_structure(folder / "structure.extxyz", atoms)
    exit_wave(folder / "structure.extxyz", imaging, folder / "wave.zarr")
    return intensity(folder / "wave.zarr", imaging, defocus)


@pytest.mark.slow
def test_the_micrograph_of_a_field_has_its_states_where_the_mask_has_them(tmp_path):
    imaging = Imaging(field=40.0, pixels=160, thickness=20.0, margin=0.0, slice_thickness=2.0)
    halves = Halves(boundary=20.0, vacuum=(12.0, 30.0))
    light, heavy = specimen(1, 2.6, side=70.0), specimen(2, 2.6, side=70.0)
    light.numbers[:], heavy.numbers[:] = 6, 79
    image = pictured(splice([[light], [heavy]], halves, imaging), imaging, 50.0, tmp_path)
    mask = halves.mask(imaging)
    assert image.shape == mask.shape
    spread = [image[mask == state].std() for state in (0, 1)]
    assert spread[1] > 3 * spread[0] > 0
    # away from the edges of the strip, whose Fresnel fringes reach into it
    middle = image[int(19 / 0.25) : int(23 / 0.25), : int(14 / 0.25)]
    assert abs(middle.mean() - 1) < 0.02
    assert middle.std() < spread[0] / 3


MASK = (np.arange(600)[None, :] >= 300).astype(np.int8).repeat(600, axis=0)  # 60 Å of 0.1 Å
GRID = truth.WindowGrid((17, 17), 3.0, 10.0, (6.0, 6.0))


def sure(states):
    """Probabilities of windows that are sure of their state; equal where it is negative."""
    return np.where(states[..., None] < 0, 0.5, states[..., None] == np.arange(2)).astype(np.float32)


def straight(position, slope=0.02):
    """Probabilities of a map whose boundary is the column ``position`` Å, falling off linearly beside it."""
    x = GRID.origin[1] + GRID.step * np.arange(GRID.shape[1])
    right = np.broadcast_to(np.clip(0.5 + slope * (x - position), 0, 1), GRID.shape)
    return np.stack([1 - right, right], axis=-1)


@pytest.mark.parametrize("distance", [-7.3, -3.0, 0.0, 0.4, 4.9])
def test_a_boundary_that_is_off_by_a_distance_has_that_error(distance):
    error = truth.boundary_error(straight(30 + distance), np.zeros(GRID.shape, bool), MASK, 0.1, GRID)
    assert error == pytest.approx((abs(distance),) * 3, abs=truth.SPACING)


def test_of_a_map_of_labels_the_boundary_runs_half_way_between_windows():
    of = truth.truth(MASK, 0.1, GRID)
    error = truth.boundary_error(sure(of.state), np.zeros(GRID.shape, bool), MASK, 0.1, GRID)
    assert error.mean <= GRID.step / 2 + 0.01


def test_three_states_have_the_boundaries_of_each_two():
    mask = np.digitize(np.arange(600), [200, 400]).astype(np.int8)[None, :].repeat(600, axis=0)
    x = GRID.origin[1] + GRID.step * np.arange(GRID.shape[1])
    scores = np.stack([-((x - centre) ** 2) / 100 for centre in (12.0, 32.0, 52.0)], axis=-1)
    probability = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)  # boundaries at 22 and 42 Å
    probability = np.broadcast_to(probability, (*GRID.shape, 3))
    error = truth.boundary_error(probability, np.zeros(GRID.shape, bool), mask, 0.1, GRID)
    assert error == pytest.approx((2.0,) * 3, abs=0.3)


def test_long_boundaries_are_measured_at_fewer_points(monkeypatch):
    of = (straight(33), np.zeros(GRID.shape, bool), MASK, 0.1, GRID)
    fine = truth.boundary_error(*of)
    lines = []
    dense = truth._dense
    monkeypatch.setattr(truth, "_dense", lambda *of: lines.append(dense(*of)) or lines[-1])
    monkeypatch.setattr(truth, "MOST_POINTS", 100)
    assert truth.boundary_error(*of) == pytest.approx(fine, rel=0.02)
    assert all(50 < len(line) <= 101 for line in lines)


def test_an_island_moves_the_mapped_and_a_missed_boundary_the_true_distance():
    whole = truth.boundary_error(straight(30), np.zeros(GRID.shape, bool), MASK, 0.1, GRID)
    island = straight(30).copy()
    island[8, 1] = island[8, 1][::-1]
    with_island = truth.boundary_error(island, np.zeros(GRID.shape, bool), MASK, 0.1, GRID)
    assert with_island.mapped > whole.mapped + 0.5
    assert with_island.true == pytest.approx(whole.true, abs=0.02)
    abstain = np.zeros(GRID.shape, bool)
    abstain[8:] = True
    half = truth.boundary_error(straight(30), abstain, MASK, 0.1, GRID)
    assert half.mapped == pytest.approx(0, abs=truth.SPACING)
    assert half.true > 5
    assert truth.boundary_error(straight(300), abstain, MASK, 0.1, GRID) is None


def test_the_boundary_against_vacuum_is_none_between_states():
    mask = MASK.copy()
    mask[200:400] = VACUUM
    abstain = truth.truth(mask, 0.1, GRID).state == VACUUM
    error = truth.boundary_error(straight(33), abstain, mask, 0.1, GRID)
    assert error.mapped == pytest.approx(3.0, abs=0.1)


def test_overlap_of_known_maps():
    true = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    assert truth.overlap(true, true, 2) == [1.0, 1.0]
    assert truth.overlap(1 - true, true, 2) == [0.0, 0.0]
    assert truth.overlap(np.array([[0, 0, 0, 1]] * 2), true, 2) == [pytest.approx(2 / 3), pytest.approx(1 / 2)]
    # a window that abstains is missed; one of vacuum counts against what it is taken for
    assert truth.overlap(np.array([[-1, 0, 1, 1]] * 2), true, 2) == [pytest.approx(1 / 2), 1.0]
    assert truth.overlap(true, np.array([[0, -1, 1, 1]] * 2), 2) == [pytest.approx(1 / 2), 1.0]
    assert truth.overlap(true, true, 3) == [1.0, 1.0, None]


def test_abstentions_are_shares_of_the_windows_that_show_one_state_alone():
    mask = MASK.copy()
    mask[:250] = VACUUM
    of = truth.truth(mask, 0.1, GRID)
    rows, columns = np.nonzero(of.pure)
    y, x = 6 + 3 * rows, 6 + 3 * columns
    assert ((np.abs(y - 25) >= 5) | (x < 0)).all()
    assert (np.abs(x - 30)[y > 30] >= 5).all()
    abstain = of.state == VACUUM
    assert truth.abstentions(abstain, of, 2) == {VACUUM: 1.0, 0: 0.0, 1: 0.0}
    first = np.zeros_like(abstain)
    first[of.pure & (of.state == 1)] = np.arange((of.pure & (of.state == 1)).sum()) % 2 == 0
    assert truth.abstentions(first, of, 2)[1] == pytest.approx(0.5, abs=0.02)
    assert truth.abstentions(first, truth.truth(MASK, 0.1, GRID), 2)[VACUUM] is None


def mapped(state, step=3.0, origin=(6.0, 6.0)):
    """A certain map of states by label, -1 where it abstains."""
    state = np.asarray(state)
    facts = {"parameters": {"window_A": 10.0}}
    reason = (state < 0).astype(np.uint8)
    return Map(sure(state), sure(state).max(-1), state < 0, reason, step, origin, ("amorphous", "liquid"), facts)


def test_the_score_of_a_map_that_is_right_but_for_what_abstains():
    state = np.repeat((6 + 3 * np.arange(17) >= 30).astype(int)[None], 17, axis=0)
    right = score(mapped(state), MASK, 0.1)
    assert right["overlap"] == {"amorphous": 1.0, "liquid": 1.0, "mean": 1.0}
    assert right["boundary_A"]["mean"] < 1.6 and right["calibration"]["error"] == 0
    state[:, -2:] = -1
    less = score(mapped(state), MASK, 0.1)
    assert less["overlap"]["amorphous"] == 1.0 and less["overlap"]["liquid"] == pytest.approx(7 / 9)
    assert less["abstained"] == {"amorphous": 0.0, "liquid": pytest.approx(2 / 7)}


def test_calibration_is_nought_where_probabilities_are_frequencies():
    p = np.random.default_rng(0).uniform(size=200_000)
    state = (np.random.default_rng(1).uniform(size=len(p)) < p).astype(int)
    honest = calibration(np.stack([1 - p, p], 1), state)
    assert honest["error"] < 0.01 and sum(of["windows"] for of in honest["curve"]) == len(p)
    boast = np.where(p > 0.5, 0.999, 0.001)
    assert calibration(np.stack([1 - boast, boast], 1), state)["error"] == pytest.approx(0.249, abs=0.01)


def test_bands_of_specimens_fill_a_field_and_keep_their_density():
    imaging = Imaging(field=60.0, thickness=20.0, pixels=120, margin=0.0)
    of = [specimen(k, 2.7, side=100.0) for k in (1, 2, 3)]
    atoms = stacked(of, imaging)
    assert atoms.cell.lengths().tolist() == [60, 60, 20]
    assert density(atoms) == pytest.approx(density(of[0]), rel=0.03)
    counts = np.bincount((atoms.positions[:, 1] // 20).astype(int))
    assert len(counts) == 3 and counts.min() > 0.95 * counts.max()
    # near a seam, and across the edges, nothing is crowded
    one, other = neighbor_list("ij", atoms, SEAM)
    tile = atoms.arrays["specimen"]
    assert (tile[one] == tile[other]).all()
    with pytest.raises(PersistemError, match=r"half-melted specimen 1 of 1: .* cannot fill a band of 60 x 60 x 30 Å"):
        stacked(of[:1], imaging.model_copy(update={"thickness": 30.0}))


def test_a_composite_is_written_with_its_layout(tmp_path):
    for k in (1, 2):
        write_structure(tmp_path / f"{k}.extxyz", specimen(k, 2.5 + 0.3 * k))
    imaging = {"field": 40.0, "thickness": 20.0, "pixels": 80, "margin": 0.0}
    where = {"boundary": 20.0, "amplitude": 3.0, "period": 20.0, "vacuum": [0.0, 4.0]}
    settings = {"imaging": imaging, "layout": where, "states": [["1.extxyz"], ["2.extxyz"]]}
    making.make(settings, tmp_path, tmp_path / "out")
    assert read_layout(tmp_path / "out" / "structure.extxyz") == Halves(20.0, 3.0, 20.0, (0.0, 4.0))
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["dropped"] > 0
    making.make(settings, tmp_path, tmp_path / "again")
    same = [(tmp_path / folder / "structure.extxyz").read_bytes() for folder in ("out", "again")]
    assert same[0] == same[1]


def test_a_stranger_fills_the_field_with_its_own_density(tmp_path):
    gold = {"formula": "Au", "structure": "fcc", "a": 4.08, "cubic": True}
    imaging = {"field": 40.8, "thickness": 20.4, "pixels": 80, "margin": 0.0}
    making.make({"imaging": imaging, "stranger": {"crystal": gold}}, tmp_path, tmp_path / "out")
    assert density(read_structure(tmp_path / "out" / "structure.extxyz")) == pytest.approx(19.3, rel=0.01)
    assert not (tmp_path / "out" / "layout.json").exists()


def test_a_stranger_is_seen_along_its_direction_strained_and_as_warm_as_asked(tmp_path):
    def made(**how):
        crystal = {"formula": "GaN", "structure": "wurtzite", "a": 3.19, "c": 5.189}
        imaging = {"field": 24.0, "thickness": 24.0, "pixels": 80, "margin": 0.0}
        making.make({"imaging": imaging, "stranger": {"crystal": crystal} | how}, tmp_path, tmp_path / "out")
        return read_structure(tmp_path / "out" / "structure.extxyz")

    def period(atoms, length):
        """Share of the atoms, all but near the end, below which another lies ``length`` Å along the beam."""
        places = atoms.positions
        upper = places[places[:, 2] > length + 1]
        near = (np.abs(upper[:, None] - [0, 0, length] - places[None]) < 0.01).all(axis=2)
        return near.any(axis=1).mean()

    usual, along_a = made(), made(along=[1, 0, 0])
    assert period(usual, 5.189) == period(along_a, 3.19) == 1.0
    assert period(usual, 3.19) == period(along_a, 5.189) == 0.0
    # so small a box cuts whole layers off
    assert density(along_a) == pytest.approx(density(usual), rel=0.15)
    strained = made(strain=[0.1, 0.0])
    ahead = np.diff(np.unique(strained.positions[:, 0].round(3)))
    assert ahead.max() == pytest.approx(1.1 * np.diff(np.unique(usual.positions[:, 0].round(3))).max(), abs=0.01)
    assert set(np.diff(np.unique(strained.positions[:, 1].round(3))).round(2)) <= set(
        np.diff(np.unique(usual.positions[:, 1].round(3))).round(2)
    )
    warm = made(displacement=0.1)
    moved = warm.positions - usual.positions
    assert moved.std(axis=0) == pytest.approx([0.1] * 3, rel=0.05)
    assert (made(displacement=0.1).positions == warm.positions).all()


def test_crystals_of_the_trial_are_seen_along_different_axes():
    """Directions that look different in a hexagonal cell can be one axis; then the repeat along them is the same."""
    seen: dict[tuple, list] = {}
    for stranger in load_study(ROOT / "config/trial.yaml").truth.strangers:
        if stranger.crystal and not any(stranger.strain):
            repeat = np.linalg.norm(np.array(stranger.along) @ crystal_cell(stranger.crystal).cell.array)
            seen.setdefault((stranger.crystal.formula, stranger.displacement), []).append(round(float(repeat), 3))
    assert seen["GaN", 0.07] == [3.19, 5.525]
    assert all(len(set(repeats)) == len(repeats) for repeats in seen.values())


RECTANGULAR = Material(
    crystal=Crystal(formula="GaN", structure="wurtzite", a=3.19, c=5.189, orthorhombic=True), repetitions=(10, 3, 3)
)
MD = MolecularDynamics(
    steps=2400, ranks=1, thermo_every=50, temperature_tolerance=0.3, rt={"steps": 800}, segment_steps=600
)


def melting(out, material=RECTANGULAR, md=MD, density=3.54, share=0.5, temperature=6000):
    """Code that runs the MD: LAMMPS and MPI do not share a process with later tests."""
    return (
        "import sys; from persistem.trial.melted import melt_half\n"
        "from persistem.errors import PersistemError; from persistem.study import *\n"
        "try:\n"
        f"    melt_half({material!r}, {Potential()!r}, {md!r}, {temperature}, {density}, 1, {str(out)!r}, {share})\n"
        "except PersistemError as error:\n    sys.exit(str(error))\n"
    )


def molten(out, **change):
    return subprocess.run([sys.executable, "-c", melting(out, **change)], capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def composite(tmp_path_factory):
    out = tmp_path_factory.mktemp("melted")
    result = molten(out)
    assert result.returncode == 0, result.stderr
    return out


def tetrahedral(atoms):
    """Order parameter of the four nearest neighbours of each atom (Errington & Debenedetti 2001): 1 in wurtzite."""
    order = np.empty(len(atoms))
    one, length, vectors = neighbor_list("idD", atoms, 4.5)
    for i in range(len(atoms)):
        near = np.flatnonzero(one == i)
        near = near[np.argsort(length[near])[:4]]
        unit = vectors[near] / length[near, None]
        cosines = (unit @ unit.T)[np.triu_indices(4, 1)]
        order[i] = 1 - 3 / 8 * ((cosines + 1 / 3) ** 2).sum()
    return order


@pytest.mark.slow
def test_the_half_that_stood_still_is_a_crystal_and_the_other_is_not(composite):
    atoms = read_structure(composite / "structure.extxyz")
    crystal = RECTANGULAR.repetitions[0] * 9 * 8
    assert len(atoms) == crystal
    assert (atoms.arrays["state"] == melted.MELTED).sum() == crystal / 2
    assert sorted(atoms.symbols).count("Ga") == crystal / 2
    order, length, width = tetrahedral(atoms), atoms.cell.lengths()[0], melted.parts(atoms)[0]
    # the crystal ends at half the cell; 3 Å beside each of its faces are left out
    from_middle = np.abs(np.mod(atoms.positions[:, 0] - (length - width) / 2 + length / 2, length) - length / 2)
    deep, far = from_middle < width / 2 - 3, from_middle > width / 2 + 3
    assert (atoms.arrays["state"][deep] == melted.CRYSTAL).mean() > 0.97
    assert (atoms.arrays["state"][far] == melted.MELTED).mean() > 0.97
    assert np.median(order[deep]) > 0.93
    assert np.median(order[far]) < 0.8
    perfect = tetrahedral(bulk("GaN", "wurtzite", a=3.19, c=5.189).repeat((4, 4, 3)))
    assert np.median(perfect) > 0.99


@pytest.mark.slow
def test_the_crystal_keeps_its_density_and_the_melt_takes_more_room(composite):
    atoms = read_structure(composite / "structure.extxyz")
    summary = json.loads((composite / "summary.json").read_text())
    held, width = melted.parts(atoms)
    lengths = atoms.cell.lengths()
    assert (summary["crystal_A"], summary["melted_A"]) == pytest.approx((held, width), abs=1e-3)
    assert held == pytest.approx(5 * 3.19, rel=0.04)
    assert width > 1.2 * held
    melt = atoms[atoms.arrays["state"] == melted.MELTED]
    melt.set_cell([width, *lengths[1:]])
    assert density(melt) == pytest.approx(3.54, rel=0.2)
    part = atoms[atoms.arrays["state"] == melted.CRYSTAL]
    part.set_cell([held, *lengths[1:]])
    assert density(part) == pytest.approx(6.1, rel=0.06)
    assert summary["temperature_K"] == pytest.approx(300, rel=0.15)


@pytest.mark.slow
def test_crystal_and_melt_share_a_field_as_they_share_the_composite(composite):
    atoms = read_structure(composite / "structure.extxyz")
    imaging = Imaging(field=30.0, thickness=10.0, pixels=64, margin=0.0)
    crystal, molten = melted.parts(atoms)
    halves = melted.halves([atoms], imaging)
    assert halves.boundary == pytest.approx(30 * crystal / (crystal + molten))
    x = atoms.positions[:, 0] - (atoms.cell.lengths()[0] - imaging.field) / 2
    seen = (x > 0) & (x < imaging.field) & (np.abs(x - halves.boundary) > 1.5)
    assert seen.sum() > 50
    assert (halves.state(x[seen], 0) == atoms.arrays["state"][seen]).mean() > 0.97
    with pytest.raises(PersistemError, match="a field of 50 Å: a composite has"):
        melted.halves([atoms], imaging.model_copy(update={"field": 50.0}))


@pytest.mark.slow
def test_what_cannot_be_half_melted_is_refused(tmp_path):
    for change, message in (
        ({"density": 0.0}, "has to be positive"),
        ({"material": Material(repetitions=(4, 3, 3))}, "not rectangular"),
        ({"share": 1.0}, "leaves a part without atoms"),
    ):
        result = molten(tmp_path, **change)
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


#: As many segments as ``MD`` has (of resting, drawn, three hot, and two at the end), too short to melt and to cool.
SHORT = {
    "md": MolecularDynamics(
        steps=600, segment_steps=200, thermo_every=10, ranks=1, temperature_tolerance=0.9,
        rt={"steps": 400, "temperature": 2000},
    ),
    "density": 5.0,
    "temperature": 2000,
}  # fmt: skip
#: A process that ends as by SIGKILL once this file has been put in its place.
KILLED = """
import os, signal
move = os.replace
def replace(source, target):
    move(source, target)
    if os.path.basename(target) == {file!r}:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
"""


def killed(out, file, **change):
    """What the MD says that is killed when it has written ``file``."""
    code = KILLED.format(file=file) + melting(out, **change)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert result.returncode == -signal.SIGKILL, result.stderr
    return result.stdout


@pytest.mark.thorough
@pytest.mark.slow
def test_kills_in_every_phase_cost_a_segment_each_at_most(tmp_path):
    whole, often = tmp_path / "whole", tmp_path / "often"
    result = molten(whole, **SHORT)
    assert result.returncode == 0, result.stderr
    assert "resuming" not in killed(often, "001.restart", **SHORT)
    assert "resuming after segment 1 of 7" in killed(often, "002.restart", **SHORT)
    # the table of a segment is there, its restart file is not
    assert "resuming after segment 2 of 7" in killed(often, "004.csv", **SHORT)
    assert "resuming after segment 3 of 7" in killed(often, "006.restart", **SHORT)
    assert not (often / "structure.extxyz").exists()
    result = molten(often, **SHORT)
    assert result.returncode == 0, result.stderr
    assert "resuming after segment 6 of 7" in result.stdout
    for name in ("structure.extxyz", "summary.json"):
        assert (often / name).read_bytes() == (whole / name).read_bytes()
