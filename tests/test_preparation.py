"""Preparations: minimised, continued and stacked specimens, their images, and what they share with other studies."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.imaging.exit_waves import exit_wave
from persistem.imaging.micrographs import micrograph, read_micrograph
from persistem.plan.plan import Plan
from persistem.specimens.preparation import SEAM, stack
from persistem.specimens.slabs import check_fits, cut, grid
from persistem.specimens.structures import crystal_of, read_frames, read_structure, write_structure
from persistem.study import Imaging, Inherent, Material, MolecularDynamics, Potential, Snapshots
from persistem.study.load import make_study
from support.studies import TINY, changed

SMALL = Material(repetitions=(5, 5, 3))
SETTINGS = {"ranks": 1, "steps": 400, "segment_steps": 400, "thermo_every": 20, "temperature_tolerance": 0.2}
MD = MolecularDynamics(**SETTINGS, barostat="none")
IMAGING = Imaging(field=8.0, thickness=8.0, pixels=64, margin=2.0)
STACK = {"method": "stack"}


def in_process(*calls):
    """Run calls of md and preparation in a process of their own: LAMMPS and MPI do not share one with later tests."""
    code = (
        "import sys; from pathlib import Path; from persistem.specimens import md, preparation\n"
        "from persistem.errors import PersistemError; from persistem.study import *\n"
        "try:\n"
        + "".join(f"    {call}\n" for call in calls)
        + "except PersistemError as error:\n    sys.exit(str(error))\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)


def done(*calls):
    result = in_process(*calls)
    assert result.returncode == 0, result.stderr
    return result.stdout


def minimising(out, start, **settings):
    arguments = (SMALL, Potential(), MD, Inherent(**settings), str(start / "end.restart"), str(out))
    return f"preparation.minimise({', '.join(map(repr, arguments))})"


def continuing(out, start, temperature=300, md=MD, **settings):
    settings = Snapshots(**{"count": 4, "interval": 20} | settings)
    arguments = (SMALL, Potential(), md, settings, temperature, False, str(start / "end.restart"), str(out))
    return f"preparation.snapshots({', '.join(map(repr, arguments))})"


@pytest.fixture(scope="module")
def specimen(tmp_path_factory):
    """A crystal of 300 atoms at 300 K and constant volume."""
    out = tmp_path_factory.mktemp("specimen")
    done(f"md.heat({SMALL!r}, {Potential()!r}, {MD!r}, 300, 1, Path({str(out)!r}))")
    return out


def off_site(atoms):
    """Largest distance (Å) of an atom from its site in the crystal, the mean shift removed."""
    from ase.geometry import find_mic

    shift = find_mic(atoms.positions - crystal_of(SMALL).positions, atoms.cell)[0]
    return np.linalg.norm(shift - shift.mean(axis=0), axis=1).max()


@pytest.mark.slow
def test_a_warm_crystal_minimises_to_its_sites_and_stays_there(specimen, tmp_path):
    done(minimising(tmp_path / "a", specimen, force=1e-3), minimising(tmp_path / "b", specimen, force=1e-3))
    warm = read_structure(specimen / "structure.extxyz")
    cold = read_structure(tmp_path / "a/structure.extxyz")
    assert off_site(warm) > 0.1
    # u of wurtzite is the potential's and no longer the study's: all Ga move against all N
    assert off_site(cold) < 0.03
    assert np.allclose(cold.cell.array, warm.cell.array, atol=1e-7)
    assert "velocities_A_per_ps" not in cold.arrays
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    assert summary["atoms"] == 300 and summary["largest_force_eV_per_A"] <= 1e-3
    assert summary["potential_energy_eV"] / 300 == pytest.approx(-4.53, abs=0.02)  # Nord et al. 2003
    for name in ("structure.extxyz", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
def test_a_minimum_that_was_not_reached_is_refused(specimen, tmp_path):
    result = in_process(minimising(tmp_path / "a", specimen, force=1e-3, iterations=2))
    assert result.returncode == 1
    for part in ("end.restart", "after 2 iterations", "preparation.force = 0.001 eV/Å"):
        assert part in result.stderr
    assert not (tmp_path / "a").exists()


@pytest.fixture(scope="module")
def frames(specimen, tmp_path_factory):
    out = tmp_path_factory.mktemp("snapshots")
    done(continuing(out, specimen))
    return out


@pytest.mark.slow
def test_snapshots_are_a_trajectory_at_the_specimens_temperature(specimen, frames, tmp_path):
    before = read_structure(specimen / "structure.extxyz")
    found = read_frames(frames / "structure.extxyz")
    assert len(found) == 4
    temperatures = []
    for one, other in zip([before, *found], found, strict=False):
        assert list(one.symbols) == list(other.symbols) == list(crystal_of(SMALL).symbols)
        moved = np.linalg.norm(one.get_all_distances(mic=True)[0] - other.get_all_distances(mic=True)[0])
        assert moved > 0.1
        speed2 = (other.arrays["velocities_A_per_ps"] ** 2).sum(axis=1)
        kinetic = 0.5 * (other.get_masses() * speed2).sum() * 1.0364269e-4  # u Å²/ps² in eV
        temperatures.append(2 * kinetic / (3 * 299 * 8.617333e-5))
        assert off_site(other) < 0.6  # the crystal does not melt
    summary = json.loads((frames / "summary.json").read_text())
    assert summary["frames"] == 4
    assert summary["temperature_K"] == pytest.approx(np.mean(temperatures), rel=1e-3)
    assert summary["temperature_K"] == pytest.approx(300, rel=0.2)
    done(continuing(tmp_path / "again", specimen))
    assert (tmp_path / "again/structure.extxyz").read_bytes() == (frames / "structure.extxyz").read_bytes()


@pytest.mark.slow
def test_snapshots_go_on_where_the_trajectory_ended(tmp_path):
    """As the next segment of a longer heating: the same fix takes up the same thermostat and barostat."""
    settings = SETTINGS | {"temperature_tolerance": 0.9, "steps": 40, "segment_steps": 20}
    short, long = MolecularDynamics(**settings | {"steps": 20}), MolecularDynamics(**settings)
    start = ", ".join(map(repr, (SMALL, Potential())))
    done(
        *(
            f"md.heat({start}, {md!r}, 300, 1, Path({str(tmp_path / name)!r}))"
            for name, md in [("a", short), ("b", long)]
        ),
        continuing(tmp_path / "c", tmp_path / "a", md=short, count=2, interval=10),
    )
    longer = read_structure(tmp_path / "b/structure.extxyz")
    last = read_frames(tmp_path / "c/structure.extxyz")[-1]
    assert np.allclose(last.positions, longer.positions, atol=1e-6)
    assert np.allclose(last.cell.array, longer.cell.array, atol=1e-8)


@pytest.mark.slow
def test_a_missed_temperature_is_refused(specimen, tmp_path):
    result = in_process(continuing(tmp_path / "a", specimen, temperature=3000))
    assert result.returncode == 1 and "target 3000 K" in result.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.thorough
@pytest.mark.slow
def test_the_image_of_snapshots_is_the_mean_of_their_images(tmp_path):
    rng = np.random.default_rng(2)
    still = crystal_of(Material(repetitions=(5, 6, 2)))
    shaken = []
    for k in range(3):
        atoms = still.copy()
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        shaken.append(atoms)
        write_structure(tmp_path / f"{k}.extxyz", atoms)
    write_structure(tmp_path / "all.extxyz", shaken)
    images = {}
    for name in ("0", "1", "2", "all"):
        exit_wave(tmp_path / f"{name}.extxyz", IMAGING, tmp_path / f"{name}.zarr")
        micrograph(tmp_path / f"{name}.zarr", IMAGING, 50.0, tmp_path / f"{name}.tif")
        images[name] = read_micrograph(tmp_path / f"{name}.tif")[0]
    import abtem

    ensemble = abtem.from_zarr(str(tmp_path / "all.zarr")).compute()
    side = grid(IMAGING).pixels
    assert ensemble.shape == (3, side, side)
    assert np.array_equal(ensemble.array[1], abtem.from_zarr(str(tmp_path / "1.zarr")).compute().array)
    mean = np.mean([images["0"], images["1"], images["2"]], axis=0)
    spread = np.std([images["0"], images["1"], images["2"]], axis=0).max()
    assert spread > 0.05
    assert np.abs(images["all"] - mean).max() < 1e-3 * spread + 2 / 65535 * np.ptp(mean)


@functools.cache
def disordered(seed):
    """A periodic cell of 16 x 16 x 10 Å in which no two atoms are closer than 1.1 Å."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    rng = np.random.default_rng(seed)
    atoms = Atoms(["Ga", "N"] * 1500, rng.random((3000, 3)) * [16, 16, 10], cell=[16, 16, 10], pbc=True)
    one, other = neighbor_list("ij", atoms, 1.1)
    del atoms[np.unique(other[other > one]).tolist()]
    return atoms


def stacked(folder, count, thickness=16.0):
    structures = []
    for seed in range(count):
        write_structure(folder / f"{seed}.extxyz", disordered(seed))
        structures.append(folder / f"{seed}.extxyz")
    imaging = IMAGING.model_copy(update={"thickness": thickness})
    stack(structures, imaging, folder / "stack")
    return imaging, read_structure(folder / "stack/structure.extxyz")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_a_stack_is_slabs_one_behind_the_other(count, tmp_path):
    from ase.neighborlist import neighbor_list

    imaging, atoms = stacked(tmp_path, count)
    width, each = grid(imaging).width, 16.0 / count
    assert atoms.cell.lengths() == pytest.approx([width, width, 16.0]) and list(atoms.pbc) == [True, True, False]
    slabs = [cut(disordered(seed), np.array([width, width, each])) for seed in range(count)]
    dropped = json.loads((tmp_path / "stack/summary.json").read_text())["dropped"]
    assert 0 < dropped < 0.1 * len(atoms)
    assert len(atoms) == sum(map(len, slabs)) - dropped
    # the first slab is whole, and what is left of the others is where it was
    assert np.allclose(atoms.positions[: len(slabs[0])], slabs[0].positions, atol=1e-6)
    for k, slab in enumerate(slabs):
        inside = (atoms.positions[:, 2] >= k * each - 1e-6) & (atoms.positions[:, 2] < (k + 1) * each - 1e-6)
        of = atoms.positions[inside] - [0, 0, k * each]
        assert len(of) > 0.8 * len(slab)
        assert np.linalg.norm(of[:, None] - slab.positions, axis=2).min(axis=1).max() < 1e-6
    one, other = neighbor_list("ij", atoms, SEAM)
    layer = np.floor(atoms.positions[:, 2] / each + 1e-6)
    assert not (layer[one] != layer[other]).any()
    # multislice takes all of it as it is
    assert len(cut(atoms, np.array([width, width, 16.0]))) == len(atoms)
    check_fits(atoms.cell.array, imaging)


@pytest.mark.slow
def test_a_slab_thicker_than_its_specimen_is_refused(tmp_path):
    with pytest.raises(PersistemError, match=r"atoms would appear twice in a slab of 12 x 12 x 10\.5 Å"):
        stacked(tmp_path, 2, thickness=21.0)


# the plan


def plan(key=None, value=None, study=TINY):
    return Plan(make_study(changed(study, key, value) if key else study))


def digests(plan, stage):
    return list(plan.steps[stage])


FOUR = changed(TINY, "md.series", [{"temperatures": [6000], "seeds": [4, 1, 3, 2, 9]}])


def test_without_a_preparation_nothing_is_prepared_and_digests_are_as_they_were():
    default, stated = plan(), plan("preparation", {"method": "none"})
    assert not digests(default, "prepared") and not default.files("prepared")
    assert {stage: list(steps) for stage, steps in default.steps.items()} == {
        stage: list(steps) for stage, steps in stated.steps.items()
    }
    assert default.seeds == {name: (s.seed,) for name, s in default.specimens.items()}
    for name in default.specimens:
        wave = default.digest("exit_waves", name)
        assert default.input_digest("exit_waves", wave) == default.digest("specimens", name)


@pytest.mark.parametrize(
    "preparation", [{"method": "inherent"}, {"method": "snapshots"}, STACK], ids=lambda p: p["method"]
)
def test_a_preparation_shares_the_specimens_and_images_anew(preparation):
    default, other = plan(), plan("preparation", preparation)
    assert digests(default, "specimens") == digests(other, "specimens")
    for stage in ("exit_waves", "micrographs", "crops", "diagrams", "persistence_images", "learning"):
        assert not set(digests(default, stage)) & set(digests(other, stage))
    for name in other.members:
        wave = other.digest("exit_waves", name)
        assert other.input_digest("exit_waves", wave) == other.digest("prepared", name) in other.steps["prepared"]
    assert len(other.files("prepared")) == len(other.files("exit_waves")) == len(other.members)


def test_each_setting_of_a_preparation_is_in_its_digest():
    found = [
        tuple(digests(plan("preparation", settings), "prepared"))
        for settings in (
            {"method": "inherent"},
            {"method": "inherent", "force": 0.1},
            {"method": "inherent", "iterations": 9},
            {"method": "snapshots"},
            {"method": "snapshots", "count": 3},
            {"method": "snapshots", "interval": 3},
        )
    ]
    assert len(set(found)) == len(found)


def test_stacks_are_disjoint_groups_of_sorted_seeds():
    stacks = plan("preparation", STACK, FOUR)
    assert stacks.seeds == {
        "T6000-rt0-s01": (1, 2), "T6000-rt1-s01": (1, 2), "T6000-rt0-s03": (3, 4), "T6000-rt1-s03": (3, 4),
    }  # fmt: skip
    assert [s.name for s in stacks.classified] == list(stacks.members)
    assert len(stacks.files("specimens")) == 10  # the seed that is left over is simulated, not imaged
    # the same first member with another second one is another stack
    others = plan("preparation", STACK, changed(TINY, "md.series", [{"temperatures": [6000], "seeds": [1, 3]}]))
    assert not set(digests(stacks, "prepared")) & set(digests(others, "prepared"))


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (changed(TINY, "preparation", STACK | {"count": 3}), "preparation.count = 3: more than the seeds of"),
        (
            changed(changed(FOUR, "preparation", STACK), "md.series", [
                {"temperatures": [6000], "seeds": [1, 2], "rt": [True]},
                {"temperatures": [6000], "seeds": [2, 3], "rt": [False]},
            ]),
            "stacks of the seeds [1, 2] and [2, 3] share one",
        ),
        (changed(TINY, "preparation", {"method": "melt"}), "preparation"),
        (
            changed(changed(TINY, "preparation", STACK), "imaging.thickness", 60.0),
            "each of 2 slabs in a stack: atoms would appear twice",
        ),
    ],
)  # fmt: skip
def test_a_preparation_that_cannot_work_is_refused(study, message):
    with pytest.raises(PersistemError) as refused:
        make_study(study)
    assert message in str(refused.value)


def own(tmp_path, preparation):
    """A study of own structures, two of each of two states."""
    structures = []
    for state, seed in [("a", 1), ("a", 2), ("b", 1), ("b", 2)]:
        file = tmp_path / f"{state}{seed}.xyz"
        atoms = crystal_of(Material(repetitions=(6, 6, 4)))
        atoms.rattle(0.1, seed=10 * seed + ord(state))
        atoms.write(file, format="extxyz")
        structures.append({"path": str(file), "state": state, "seed": seed})
    rest = {key: value for key, value in TINY.items() if key not in {"material", "md"}}
    return rest | {"structures": structures, "preparation": preparation}


@pytest.mark.parametrize("method", ["inherent", "snapshots"])
def test_own_structures_have_no_trajectory(method, tmp_path):
    with pytest.raises(PersistemError, match=rf"{method}.*structures do not have"):
        make_study(own(tmp_path, {"method": method}))


def test_own_structures_can_be_stacked(tmp_path, resolve):
    study = own(tmp_path, STACK)
    assert Plan(make_study(study)).seeds == {"a-s01": (1, 2), "b-s01": (1, 2)}
    jobs = resolve(study).jobs
    assert (jobs["own_structure"], jobs["preparation"], jobs["exit_wave"], jobs["micrograph"]) == (4, 2, 2, 4)


# the workflow


@pytest.mark.parametrize(("method", "imaged"), [("inherent", 4), ("snapshots", 4), ("stack", 2)])
def test_a_preparation_runs_between_specimens_and_exit_waves(method, imaged, resolve, finished):
    finished(TINY)
    other = changed(TINY, "preparation", {"method": method})
    assert resolve(other).jobs == {
        "preparation": imaged, "exit_wave": imaged, "micrograph": 2 * imaged, "crops": 2 * imaged,
        "crop_diagrams": 2 * imaged, "persistence_image": 2 * imaged, "learning": 1, "publish": 1, "all": 1,
    }  # fmt: skip
    assert resolve(other, target="report").rules >= {"preparation", "state_checks", "figure", "report_page"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "preparation", [{"method": "inherent", "force": 0.5}, {"method": "snapshots", "count": 2}, STACK]
)
def test_a_preparation_is_made_and_imaged(preparation, first, tmp_path):
    """Of specimens that are there."""
    from persistem.store import paths
    from support.workflow import copied, snakemake

    study = changed(TINY, "preparation", preparation)
    made = Plan(make_study(study))
    name = "T6000-rt1-s01"
    copied(first, tmp_path, "tiny")
    snakemake(tmp_path, paths.path("micrographs", made.digest("micrographs", name), name, "df+000"), study=study)
    prepared = tmp_path / paths.path("prepared", made.digest("prepared", name), name)
    assert len(read_frames(prepared)) == preparation.get("count", 1)
    assert Path(prepared).with_name("summary.json").exists()
