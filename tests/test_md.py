"""Molecular dynamics: the potential against the literature, and trajectories that can be resumed and trusted."""

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from persistem.errors import PersistemError
from persistem.specimens import md, segments
from persistem.specimens.simulation import hold
from persistem.specimens.structures import crystal_of, density, potential_path, read_structure
from persistem.study import Material, MolecularDynamics, Potential, RoomTemperature
from support.waiting import until

SMALL = Material(repetitions=(5, 5, 3))
PROTOCOL = {
    "steps": 60,
    "segment_steps": 20,
    "thermo_every": 10,
    "ranks": 1,
    "temperature_tolerance": 0.9,
    "initial_temperature_factor": 1.0,
}


#: Code that stops a process, so that a test can kill it, before it has its second segment.
STOP = """
import os, signal, sys
def stop(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("002.restart"):
        os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(stop)
"""


def protocol(**changes):
    return MolecularDynamics(**PROTOCOL | changes)


def in_process(call, *arguments):
    """Run a call of md in a process of its own: LAMMPS and MPI do not share one with later tests."""
    code = (
        "import sys, json; from pathlib import Path; from persistem.specimens import md\n"
        "from persistem.errors import PersistemError\n"
        "from persistem.study import *\n"
        f"try:\n    md.{call}({', '.join(map(repr, arguments))})\n"
        "except PersistemError as error:\n    sys.exit(str(error))\n"
    ).replace("PosixPath", "Path")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)


def heated(tmp_path, name="hot", material=SMALL, temperature=300, seed=1, **changes):
    out = tmp_path / name
    done = in_process("heat", material, Potential(), protocol(**changes), temperature, seed, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def specimen(tmp_path_factory):
    return heated(tmp_path_factory.mktemp("md"))


def relaxed(material, potential):
    """Cohesive energy (eV/atom) and cell lengths (Å) of a crystal relaxed by LAMMPS."""
    code = f"""
from mpi4py import MPI
from lammps import lammps
from ase.io.lammpsdata import write_lammps_data
from persistem.specimens.structures import crystal_of
from persistem.study import Material, Crystal
import json, tempfile
material = {material!r}
with tempfile.NamedTemporaryFile(suffix=".data") as data:
    write_lammps_data(data.name, crystal_of(material), specorder=list(material.species), masses=True, units="metal")
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.commands_list(["units metal", "atom_style atomic", "read_data " + data.name,
        "pair_style {potential.pair_style}",
        "pair_coeff * * {potential_path(potential.file)} " + " ".join(material.species),
        "fix box all box/relax aniso 0.0", "minimize 0 1e-8 2000 20000"])
low, high, *_ = lmp.extract_box()
n = material.repetitions
print(json.dumps([lmp.get_thermo("pe") / lmp.get_natoms(), (high[0] - low[0]) / n[0], (high[2] - low[2]) / n[2]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])


def test_gan_relaxes_to_nords_lattice_constants_and_cohesive_energy():
    """Nord et al. 2003, wurtzite GaN: a = 3.180 Å, c/a = 1.633 (ideal), 4.53 eV per atom."""
    energy, a, c = relaxed(Material(repetitions=(6, 6, 4)), Potential())
    assert energy == pytest.approx(-4.53, abs=0.02)
    assert a == pytest.approx(3.180, abs=0.01)
    assert c / a == pytest.approx(1.633, abs=0.005)


def test_the_crystal_is_gan_of_its_known_density():
    crystal = crystal_of(SMALL)
    assert crystal.get_chemical_formula() == "Ga150N150"
    assert density(crystal) == pytest.approx(6.08, abs=0.02)


def test_a_run_writes_its_end_state_and_thermo_series(specimen):
    atoms = read_structure(specimen / "structure.extxyz")
    assert atoms.get_chemical_formula() == "Ga150N150"
    # atoms stay in the order of the crystal
    assert list(atoms.symbols) == list(crystal_of(SMALL).symbols)
    assert atoms.arrays["velocities_A_per_ps"].shape == (300, 3)
    rows = segments.read_thermo(specimen / "thermo.csv")
    assert [row["step"] for row in rows] == list(range(0, 61, 10))
    assert rows[-1]["density_g_cm3"] == pytest.approx(density(atoms), rel=1e-5)
    assert rows[-1]["volume_A3"] == pytest.approx(atoms.get_volume(), rel=1e-5)
    summary = json.loads((specimen / "summary.json").read_text())
    assert summary["atoms"] == 300
    kept = {path.name for path in (specimen / "segments").iterdir()}
    assert kept == {".lock", "002.csv", "002.restart", "003.csv", "003.restart"}
    # kinetic energy of the written velocities is the thermo table's last temperature
    speed2 = (atoms.arrays["velocities_A_per_ps"] ** 2).sum(axis=1)
    kinetic = 0.5 * (atoms.get_masses() * speed2).sum() * 1.0364269e-4  # u Å²/ps² in eV
    temperature = 2 * kinetic / (3 * (len(atoms) - 1) * 8.617333e-5)
    assert temperature == pytest.approx(rows[-1]["temperature_K"], rel=1e-3)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(specimen, tmp_path):
    again = heated(tmp_path)
    other = heated(tmp_path, "other", seed=2)
    for name in ("structure.extxyz", "end.restart", "thermo.csv", "summary.json"):
        assert (again / name).read_bytes() == (specimen / name).read_bytes()
    assert (other / "structure.extxyz").read_bytes() != (specimen / "structure.extxyz").read_bytes()


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_byte_equal(tmp_path):
    """SIGKILL after the first segment; the second call takes up that segment and ends as if nothing had happened."""
    settings = {"steps": 4000, "segment_steps": 1000, "thermo_every": 1000}
    undisturbed = heated(tmp_path, "undisturbed", **settings)
    out = tmp_path / "killed"
    code = (
        "from pathlib import Path; from persistem.specimens import md; from persistem.study import *\n"
        f"md.heat({SMALL!r}, {Potential()!r}, {protocol(**settings)!r}, 300, 1, Path({str(out)!r}))"
    )
    job = subprocess.Popen([sys.executable, "-c", STOP + code], stdout=subprocess.DEVNULL)
    first = out / "segments" / "001.restart"
    until(lambda: first.exists() or job.poll() is not None)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert first.exists() and not (out / "structure.extxyz").exists(), "it was not killed in time"
    resumed = in_process("heat", SMALL, Potential(), protocol(**settings), 300, 1, out)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after segment" in resumed.stdout
    for name in ("structure.extxyz", "end.restart", "thermo.csv"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()


@pytest.mark.thorough
@pytest.mark.slow
def test_two_ranks_give_the_same_bytes_again_and_after_a_kill(tmp_path):
    """As the workflow runs it: mpiexec -n 2. The signal goes to mpiexec and all ranks."""
    settings = protocol(ranks=2, steps=2000, segment_steps=500, thermo_every=500)
    command = [str(Path(sys.executable).with_name("mpiexec")), "-n", "2", sys.executable, "-m", "mpi4py", "-c"]

    def code(out):
        return (
            "from pathlib import Path; from persistem.specimens import md; from persistem.study import *\n"
            f"md.heat({SMALL!r}, {Potential()!r}, {settings!r}, 300, 1, Path({str(out)!r}))"
        )

    ends = []
    for name in "ab":
        # Snakemake sets OMP_NUM_THREADS to a job's threads; a rank must not take them all
        two = os.environ | {"OMP_NUM_THREADS": "2"}
        run = [*command, code(tmp_path / name)]
        said = subprocess.run(run, check=True, timeout=600, capture_output=True, text=True, env=two).stdout
        assert "2 MPI tasks x 1 OpenMP threads" in said
        ends.append((tmp_path / name / "end.restart").read_bytes())
    job = subprocess.Popen([*command, STOP + code(tmp_path / "c")], stdout=subprocess.DEVNULL, start_new_session=True)
    first = tmp_path / "c/segments/001.restart"
    until(lambda: first.exists() or job.poll() is not None)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    subprocess.run(
        ["pkill", "-9", "-f", str(tmp_path / "c")], check=False
    )  # ranks that mpiexec started in other groups
    assert not (tmp_path / "c/end.restart").exists(), "it was not killed in time"
    subprocess.run([*command, code(tmp_path / "c")], check=True, timeout=600, stdout=subprocess.DEVNULL)
    ends.append((tmp_path / "c/end.restart").read_bytes())
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.slow
def test_an_end_state_is_written_again_without_dynamics_and_a_damaged_restart_repeats_one_segment(specimen, tmp_path):
    out = heated(tmp_path, "results/specimens/0123456789ab/T300-rt0-s01")
    names = ("structure.extxyz", "end.restart", "thermo.csv", "summary.json")

    def again():
        done = in_process("heat", SMALL, Potential(), protocol(), 300, 1, out)
        assert done.returncode == 0, done.stderr
        assert all((out / name).read_bytes() == (specimen / name).read_bytes() for name in names)
        return done.stdout

    for name in names:
        (out / name).unlink()
    assert "resuming after segment 3 of 3" in again()
    whole = (out / "segments/003.restart").read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    for damaged in (b"", whole[:5000], flipped):
        (out / "segments/003.restart").write_bytes(damaged)
        said = again()
        assert "003.restart: damaged; renamed to 003.restart.damaged" in said
        assert "resuming after segment 2 of 3" in said
        assert (out / "segments/003.restart").read_bytes() == whole
    table = out / "segments/003.csv"
    table.write_text(table.read_text()[:-9])
    assert "resuming after segment 2 of 3" in again()
    for name in ("002.csv", "003.restart"):
        (out / "segments" / name).write_bytes(b"")
    assert "resuming" not in again()


def test_what_lammps_could_not_write_is_not_taken_for_written(tmp_path):
    """LAMMPS does not look whether the disk is full."""
    table, restart = tmp_path / "1.csv", tmp_path / "1.restart"
    row = ",".join("1" * len(segments.THERMO))
    for lines, whole in ((3, True), (2, False), (4, False)):
        table.write_text("\n".join([",".join(segments.THERMO), *[row] * lines]) + "\n")
        with nullcontext() if whole else pytest.raises(PersistemError, match=f"{lines} of 3 rows .* room on the disk"):
            segments._check_table(table, 10, 0, 20)
    table.write_text(table.read_text()[:-20])
    with pytest.raises(PersistemError, match="room on the disk"):
        segments._check_table(table, 10, 0, 30)
    for content in (b"", b"abc", segments.MAGIC + b"abc"):
        restart.write_bytes(content)
        with pytest.raises(PersistemError, match="not written to its end"):
            segments._check_restart(restart)


@pytest.mark.slow
def test_a_second_process_of_a_trajectory_waits_and_repeats_nothing(tmp_path):
    settings = protocol(steps=1500, segment_steps=500, thermo_every=500)
    out = tmp_path / "x"
    code = (
        "from pathlib import Path; from persistem.specimens import md; from persistem.study import *\n"
        f"md.heat({SMALL!r}, {Potential()!r}, {settings!r}, 300, 1, Path({str(out)!r}))"
    )
    settings = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | {"PYTHONUNBUFFERED": "1"}}
    one = subprocess.Popen([sys.executable, "-c", STOP + code], **settings)
    until(lambda: (out / "segments/001.restart").exists() or one.poll() is not None)
    assert one.poll() is None
    other = subprocess.Popen([sys.executable, "-c", code], **settings)
    said = ""
    while "waiting" not in said and (line := other.stdout.readline()):
        said += line
    assert "another process runs this trajectory; waiting" in said
    until(lambda: one.send_signal(signal.SIGCONT) or one.poll() is not None)
    assert "waiting" not in one.communicate()[0]
    said += other.communicate(timeout=600)[0]
    assert [job.returncode for job in (one, other)] == [0, 0]
    assert "resuming after segment 3 of 3" in said
    assert segments.read_thermo(out / "thermo.csv")[-1]["step"] == 1500


@pytest.mark.slow
def test_rt_treatment_continues_the_hot_state(specimen, tmp_path):
    start = specimen / "end.restart"
    hot = read_structure(specimen / "structure.extxyz")
    results = {}
    for velocities in ("continued", "redrawn"):
        rt = RoomTemperature(steps=1, velocities=velocities, temperature=300)
        out = tmp_path / velocities
        done = in_process("treat", SMALL, Potential(), protocol(rt=rt, thermo_every=1), 1, start, out)
        assert done.returncode == 0, done.stderr
        results[velocities] = read_structure(out / "structure.extxyz")
        assert segments.read_thermo(out / "thermo.csv")[0]["step"] == 60
    moved = results["continued"].get_distances(0, 1) - hot.get_distances(0, 1)
    assert abs(moved) < 0.05  # one femtosecond
    v = "velocities_A_per_ps"
    along = {k: np.corrcoef(hot.arrays[v].ravel(), r.arrays[v].ravel())[0, 1] for k, r in results.items()}
    assert along["continued"] > 0.99
    assert abs(along["redrawn"]) < 0.2


def test_fixed_density_holds_it(tmp_path):
    out = heated(tmp_path, barostat="none", density=5.0)
    rows = segments.read_thermo(out / "thermo.csv")
    assert {round(row["density_g_cm3"], 6) for row in rows} == {5.0}


@pytest.mark.parametrize(("changes", "end"), [({}, "pchain 3"), ({"pchain": 0}, "pchain 0")])
def test_the_barostats_own_chain_is_the_studys(changes, end):
    said = []
    hold(SimpleNamespace(command=said.append), protocol(**changes), 6000, treated=False)
    assert said == [f"fix heat all npt temp 6000 6000 0.1 iso 0.0 0.0 1.0 {end}"]
    hold(SimpleNamespace(command=said.append), protocol(barostat="none", **changes), 6000, treated=True)
    assert said[1] == "fix rt all nvt temp 6000 6000 0.1"


@pytest.mark.slow
def test_aniso_lets_the_axes_move_apart_and_iso_does_not(tmp_path):
    ratio = {}
    for barostat in ("iso", "aniso"):
        cell = read_structure(heated(tmp_path, barostat, barostat=barostat) / "structure.extxyz").cell.lengths()
        ratio[barostat] = cell[2] / cell[0]
    start = crystal_of(SMALL).cell.lengths()
    assert ratio["iso"] == pytest.approx(start[2] / start[0], rel=1e-9)
    assert abs(ratio["aniso"] / ratio["iso"] - 1) > 1e-6


@pytest.mark.slow
def test_a_second_material_is_only_configuration(tmp_path):
    """Silicon, Stillinger-Weber: a = 5.431 Å and 4.336 eV per atom (Stillinger & Weber 1985)."""
    silicon = Material.model_validate(
        {
            "crystal": {"formula": "Si", "structure": "diamond", "a": 5.431, "c": None, "cubic": True},
            "repetitions": [3, 3, 3],
            "species": ["Si"],
            "radii": {"Si": 1.1},
        }
    )
    energy, a, _ = relaxed(silicon, Potential(pair_style="sw", file="Si.sw"))
    assert energy == pytest.approx(-4.336, abs=0.002)
    assert a == pytest.approx(5.431, abs=0.002)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"temperature_tolerance": 0.001, "steps": 20}, "missed its target temperature"),
        ({"ranks": 2}, "mpiexec -n 2"),
        ({"timestep": 10.0, "initial_temperature_factor": 4.0, "steps": 400}, "LAMMPS stopped|not valid|missed"),
    ],
)
def test_a_run_that_cannot_be_trusted_fails_with_the_reason(tmp_path, changes, says):
    hot = 6000 if "timestep" in changes else 300
    done = in_process("heat", SMALL, Potential(), protocol(**changes), hot, 1, tmp_path / "bad")
    assert done.returncode == 1
    import re

    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "bad" / "structure.extxyz").exists()


@pytest.mark.slow
def test_lost_atoms_are_the_reason_of_the_failure(tmp_path):
    """Two atoms as near as one may import: the run blows up; LAMMPS lost atoms, or they are not numbers."""
    atoms = crystal_of(SMALL)
    atoms.positions[1] = atoms.positions[0] + [0.51, 0, 0]
    atoms.write(tmp_path / "close.xyz", format="extxyz")
    material = Material(file=str(tmp_path / "close.xyz"), repetitions=(1, 1, 1))
    done = in_process("heat", material, Potential(), protocol(barostat="none"), 300, 1, tmp_path / "bad")
    assert done.returncode == 1
    assert "LAMMPS stopped" in done.stderr or "missed" in done.stderr
    assert "Traceback" not in done.stderr


def test_thermo_that_is_not_finite_is_refused():
    row = dict.fromkeys(segments.THERMO, 1.0) | {"temperature_K": 300.0}
    assert md.check([row] * 5, 300, 0.1)["temperature_K"] == 300
    with pytest.raises(PersistemError, match="pressure_bar is nan at step 1"):
        md.check([row] * 4 + [row | {"pressure_bar": math.nan}], 300, 0.1)


def test_segments_cover_the_trajectory():
    for steps, each in [(10000, 2500), (10001, 2500), (5, 10), (10, 10)]:
        found = segments.lengths(steps, each)
        assert sum(found) == steps
        assert max(found) <= each


def test_velocity_seeds_are_distinct_and_allowed_by_lammps():
    seeds = [md.velocity_seed(k, stream) for k in range(1, 500) for stream in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 1 and max(seeds) <= 900_000_000
