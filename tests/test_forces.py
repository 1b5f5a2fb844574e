"""Any potential: forces by LAMMPS' commands agree with what is known of them; what its build lacks is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.plan.plan import Plan
from persistem.study import Material, MolecularDynamics, Potential
from persistem.study.load import load_study, make_study
from support.studies import ROOT

SILICON = {"formula": "Si", "structure": "diamond", "a": 5.431, "cubic": True}
COPPER = {"formula": "Cu", "structure": "fcc", "a": 3.615, "cubic": True}
SALT = {"formula": "NaCl", "structure": "rocksalt", "a": 5.64, "cubic": True}
STILLINGER = {"commands": ["pair_style sw", "pair_coeff * * {sw} {elements}"], "files": {"sw": "Si.sw"}}


def material(crystal, *species, repetitions=(4, 4, 4)):
    return {
        "crystal": crystal,
        "species": list(species),
        "repetitions": list(repetitions),
        "radii": dict.fromkeys(species, 1.0),
    }


def tried(material, potential, **md):
    """What a trial in a process of its own says, as numbers."""
    study = {"name": "tried", "material": material, "potential": potential, "md": {"ranks": 1, **md}}
    study |= {
        "imaging": {"field": 5.0, "pixels": 128, "thickness": 5.0, "margin": 0.0},
        "crops": {"size": 64, "stride": 64},
    }
    command = [sys.executable, "-m", "persistem", "forces", json.dumps(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PersistemError(done.stderr.strip())
    return [float(value) for value in re.findall(r"-?\d+\.?\d*", done.stdout)]


@pytest.mark.parametrize(
    ("crystal", "species", "potential", "energy", "cutoff"),
    [
        # Stillinger & Weber, Phys. Rev. B 31 (1985) 5262: epsilon = 2.1683 eV, two bonds an atom; a sigma = 3.7712 Å
        (SILICON, ["Si"], STILLINGER, -4.3366, 3.771),
        (SILICON, ["Si"], {"pair_style": "sw", "file": "Si.sw"}, -4.3366, 3.771),
        # Foiles, Baskes & Daw, Phys. Rev. B 33 (1986) 7983: the cohesive energy of copper was fitted
        (
            COPPER,
            ["Cu"],
            {"commands": ["pair_style eam", "pair_coeff 1 1 {cu}"], "files": {"cu": "Cu_u3.eam"}},
            -3.54,
            4.95,
        ),
    ],
)
def test_energies_are_those_of_the_potentials_authors(crystal, species, potential, energy, cutoff):
    found = tried(material(crystal, *species), potential)
    assert found[0] == pytest.approx(energy, abs=0.005) and found[1] == pytest.approx(cutoff, abs=0.01)


def test_a_table_gives_what_its_formula_does(tmp_path):
    def lennard_jones(r):
        return 4 * 0.0104 * ((3.4 / r) ** 12 - (3.4 / r) ** 6), 24 * 0.0104 / r * (2 * (3.4 / r) ** 12 - (3.4 / r) ** 6)

    places = [2 + 7 * k / 1999 for k in range(2000)]
    rows = "\n".join(" ".join(map(repr, (k, r, *lennard_jones(r)))) for k, r in enumerate(places, 1))
    (tmp_path / "ar.table").write_text(f"# argon\n\nAR_AR\nN 2000\n\n{rows}\n")
    argon = material({"formula": "Ar", "structure": "fcc", "a": 5.3, "cubic": True}, "Ar")
    table = {"commands": ["pair_style table linear 2000", "pair_coeff 1 1 {table} AR_AR 9.0"]}
    formula = {"commands": ["pair_style lj/cut 9.0", "pair_coeff 1 1 0.0104 3.4"]}
    found = tried(argon, table | {"files": {"table": str(tmp_path / "ar.table")}})
    assert found[0] == pytest.approx(tried(argon, formula)[0], abs=1e-3)


def test_charges_have_the_constant_of_madelung():
    """Point charges in the lattice of rock salt: -1.747565 e² / (4 pi eps0 r) for each pair of ions."""
    commands = [
        "pair_style coul/long 6.0",
        "pair_coeff * *",
        "kspace_style ewald 1e-8",
        "set type 1 charge 1.0",
        "set type 2 charge -1.0",
    ]
    found = tried(material(SALT, "Na", "Cl"), {"commands": commands}, atom_style="charge")
    assert found[0] == pytest.approx(-1.747565 * 14.399645 / 2.82 / 2, abs=1e-3)


@pytest.mark.parametrize("accelerator", ["omp", "opt"])
def test_accelerated_styles_give_the_same_forces(accelerator):
    plain, fast = (tried(material(SILICON, "Si"), STILLINGER, accelerator=name) for name in ("none", accelerator))
    assert fast == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"md": {"accelerator": "kokkos"}}, "no package KOKKOS; it has none, opt, omp"),
        ({"md": {"accelerator": "gpu"}}, "no package GPU; it has none, opt, omp"),
        ({"potential": {"commands": ["pair_style quip", "pair_coeff * *"]}}, "quip"),
        ({"potential": STILLINGER | {"files": {"sw": "CdTe.sw"}}}, r"(?i)Si|parameter|element"),
        ({"material": {"repetitions": [1, 4, 4]}}, r"= \[1, 4, 4\]: the cell is 5\.43 Å high, but .* 7\.54 Å"),
    ],
)  # fmt: skip
def test_what_the_build_lacks_is_refused_in_a_sentence(changes, message):
    of = material(SILICON, "Si") | changes.get("material", {})
    with pytest.raises(PersistemError, match=message) as error:
        tried(of, changes.get("potential", STILLINGER), **changes.get("md", {}))
    assert "Traceback" not in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("potential", "message"),
    [
        ({"commands": ["units real"]}, "units: the workflow's are metal"),
        ({"commands": ["shell rm -r results"]}, "'shell': sets no forces; allowed are pair_style"),
        ({"commands": ["pair_coeff * *"]}, "the first says the pair_style"),
        ({"commands": ["pair_style python 5.0"]}, "'python' .*: is no number, element"),
        ({"commands": ["pair_style hybrid/overlay sw mliap model mliappy"]}, "'mliap' .*: is no number, element"),
        ({"commands": ["pair_style sw", "pair_coeff * * ${HOME} Si"]}, "is no number, element"),
        ({"commands": ["pair_style sw", "pair_coeff * *\nshell touch made"]}, "has to be one line"),
        ({"commands": ["pair_style sw", "pair_coeff * * /etc/passwd Si"]}, "'/etc/passwd' .*: is no number, element"),
        ({"commands": ["pair_style sw", "pair_coeff * * Si.sw Si"]}, "'Si.sw' .*: is no number, element"),
        ({"commands": ["pair_style reaxff control", "pair_coeff * *"]}, "'control' .*: is no number, element"),
        ({"commands": ["pair_style table linear 9", "pair_coeff 1 1 {a} ../B"]}, r"'\.\./B' .*: is no number, element"),
        ({"commands": ["pair_style zero 5.0", "set type 1 type/fraction 2 0.1 123"]}, "allowed is set type N charge"),
        ({"commands": ["pair_style zero 5.0", "pair_coeff * * Ge"]}, "Ge is none of material.species"),
        ({"commands": ["pair_style zero {elements}"], "files": {"elements": "Si.sw"}}, "choose another name"),
        ({"commands": ["pair_style sw", "pair_coeff * * {mine} {elements}"]}, r"\{mine\} is no file of files: none"),
        ({"commands": ["pair_style zero 5.0"], "files": {"sw": "Si.sw"}}, "sw is named by no command"),
        (
            {"commands": STILLINGER["commands"], "files": {"sw": "none.sw"}},
            r"potential\.files\.sw = 'none.sw': neither",
        ),
        (STILLINGER | {"file": "Si.sw"}, "file: given together with commands"),
        ({"files": {"sw": "Si.sw"}}, "files: are of commands"),
    ],
)
def test_commands_that_set_no_forces_are_refused(potential, message):
    with pytest.raises(PersistemError, match=message):
        make_study({"material": material(SILICON, "Si", repetitions=(12, 12, 12)), "potential": potential})


def test_digests_know_the_content_of_files_and_nothing_of_their_place(tmp_path):
    from persistem.specimens.structures import potential_path

    text = potential_path("Si.sw").read_text()
    (tmp_path / "a.sw").write_text(text)
    (tmp_path / "b.sw").write_text(text + "\n# mine\n")
    cell = material(SILICON, "Si", repetitions=(12, 12, 12))

    def digests(potential, **md):
        return set(Plan(make_study({"material": cell, "potential": potential, "md": md})).steps["specimens"])

    shipped = digests(STILLINGER)
    assert digests(STILLINGER | {"files": {"sw": str(tmp_path / "a.sw")}}) == shipped
    assert not digests(STILLINGER | {"files": {"sw": str(tmp_path / "b.sw")}}) & shipped
    for md in ({"accelerator": "omp"}, {"atom_style": "charge"}, {"neighbor": 2.0}):
        assert not digests(STILLINGER, **md) & shipped
    # what was made before there were commands stays what it is
    assert digests(
        {"pair_style": "sw", "file": "Si.sw"}, accelerator="none", neighbor=1.0, atom_style="atomic"
    ) == digests({"pair_style": "sw", "file": "Si.sw"})


def test_a_cell_in_a_file_is_repeated_too(tmp_path):
    from ase.build import bulk
    from persistem.specimens.forces import refuse_forces

    bulk("Si", "diamond", a=5.431, cubic=True).write(tmp_path / "si.extxyz")
    cell = material(SILICON, "Si", repetitions=(12, 12, 12)) | {"file": str(tmp_path / "si.extxyz")}
    refuse_forces(make_study({"material": cell, "potential": STILLINGER}))


def test_the_papers_potential_reaches_as_far_as_is_said_and_asks_for_twice_that():
    from persistem.specimens.forces import PAPERS, refuse_forces

    found = tried({"repetitions": [4, 4, 3]}, {})
    assert found[1] == pytest.approx(PAPERS, abs=0.01)
    imaging = {"field": 4.0, "pixels": 128, "thickness": 4.0, "margin": 0.0}
    small = make_study(
        {"material": {"repetitions": [2, 2, 1]}, "imaging": imaging, "crops": {"size": 64, "stride": 64}}
    )
    with pytest.raises(PersistemError, match=r"the cell is 5\.19 Å high, but forces reach 3\.1 Å"):
        refuse_forces(small)


def test_what_a_study_publishes_of_its_settings_can_be_loaded_again():
    import yaml
    from persistem.publication.publish import settings

    cell = material(SILICON, "Si", repetitions=(12, 12, 12))
    steps = [{"name": "hot", "temperature": 900, "steps": 5000, "state": "crystal"}]
    history = {"md": {"schedule": {"seeds": [1, 2], "steps": steps}}, "states": {"hot": {"after": "hot"}}}
    for study in ({"material": cell, "potential": STILLINGER, **history}, ROOT / "config/particles.yaml"):
        plan = Plan(load_study(study) if isinstance(study, Path) else make_study(study))
        again = Plan(make_study(yaml.safe_load(settings(plan))))
        assert again.study_digest == plan.study_digest


def test_jobs_take_the_settings_that_the_plan_gives_them():
    from persistem.study.settings import sections

    cell = material(SILICON, "Si", repetitions=(12, 12, 12))
    plan = Plan(make_study({"material": cell, "potential": STILLINGER, "md": {"accelerator": "omp"}}))
    for digest in plan.steps["specimens"]:
        asked = json.loads(json.dumps(plan.settings("specimens", digest)))
        taken = sections(asked, material=Material, potential=Potential, md=MolecularDynamics)
        assert taken["potential"].commands == tuple(STILLINGER["commands"]) and taken["md"].accelerator == "omp"


@pytest.mark.slow
def test_dynamics_by_commands_are_those_of_the_style(tmp_path):
    """And a restart keeps the forces: RT treatment, inherent structure."""
    from persistem.specimens import md

    cell = Material(**material(SILICON, "Si", repetitions=(3, 3, 3)))
    how = MolecularDynamics(
        ranks=1, steps=40, segment_steps=20, thermo_every=10, temperature_tolerance=3.0, barostat="none"
    )
    found = []
    for k, potential in enumerate(({"pair_style": "sw", "file": "Si.sw"}, STILLINGER)):
        out = tmp_path / str(k)
        md.heat(cell, Potential(**potential), how, 600, 1, out)
        short = how.model_copy(update={"rt": how.rt.model_copy(update={"steps": 20})})
        md.treat(cell, Potential(**potential), short, 1,
                 out / "end.restart", tmp_path / f"{k}-rt")  # fmt: skip
        found.append([(tmp_path / name / "structure.extxyz").read_bytes() for name in (str(k), f"{k}-rt")])
    assert found[0] == found[1]


@pytest.mark.slow
def test_omp_and_charges_run_in_dynamics(tmp_path):
    from persistem.specimens import md
    from persistem.specimens.segments import read_thermo

    how = {
        "ranks": 1,
        "steps": 60,
        "segment_steps": 30,
        "thermo_every": 10,
        "temperature_tolerance": 0.9,
        "barostat": "none",
    }
    energies = {}
    for accelerator in ("none", "omp"):
        out = tmp_path / accelerator
        md.heat(Material(**material(SILICON, "Si", repetitions=(3, 3, 3))), Potential(**STILLINGER),
                MolecularDynamics(**how, accelerator=accelerator), 600, 1, out)  # fmt: skip
        energies[accelerator] = [row["potential_energy_eV"] for row in read_thermo(out / "thermo.csv")]
    assert energies["omp"] == pytest.approx(energies["none"], rel=1e-6)
    commands = [
        "pair_style born/coul/dsf 0.25 10.0 9.0",
        "pair_coeff 1 1 0.2637 0.317 2.340 1.0486 -0.4993",
        "pair_coeff 1 2 0.2110 0.317 2.755 6.9907 -8.6782",
        "pair_coeff 2 2 0.1582 0.317 3.170 72.4021 -145.4285",
        "set type 1 charge 1.0",
        "set type 2 charge -1.0",
    ]
    salt = {"commands": commands}
    md.heat(Material(**material(SALT, "Na", "Cl", repetitions=(4, 4, 4))), Potential(**salt),
            MolecularDynamics(**how, atom_style="charge"), 300, 1, tmp_path / "salt")  # fmt: skip
    rows = read_thermo(tmp_path / "salt/thermo.csv")
    # it stays a crystal and conserves what the thermostat does not take: 7.9 eV a pair of ions
    assert rows[-1]["potential_energy_eV"] / 512 * 2 == pytest.approx(-7.9, abs=0.4)


def test_the_workflow_refuses_before_its_first_job_and_check_says_the_same(tmp_path, capsys):
    import yaml

    study = {"material": material(SILICON, "Si", repetitions=(12, 12, 12)),
             "potential": {"commands": ["pair_style quip", "pair_coeff * *"]}}  # fmt: skip
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.safe_dump(study))
    command = [sys.executable, "-m", "snakemake", "specimens", "--cores", "1", "--configfile", str(file)]
    command += ["--directory", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "LAMMPS refuses the forces" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("results/specimens/*/*/*"))
    assert main(["check", str(file)]) == 1
    assert "LAMMPS refuses the forces" in capsys.readouterr().err
