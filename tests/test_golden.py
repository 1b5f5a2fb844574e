"""One small known result per stage: numbers that change want the stage's VERSION raised, or a mistake found.

``tests/golden.json`` keeps, beside each stage's VERSION, a few rounded numbers of one result. After raising a VERSION,
``python tests/test_golden.py`` writes it anew. Inputs are made here and not taken from the stage before, so that a
change shows in the stage that made it.
"""

import importlib
import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from persistem.study import Crops, Imaging, Learning, Material, MolecularDynamics, Potential, Recipe

GOLDEN = Path(__file__).with_name("golden.json")
REGENERATE = "python tests/test_golden.py"
IMAGING = Imaging(field=8.0, thickness=8.0, pixels=64, margin=2.0, defoci=(50.0,), defocus_origin="exit")
RECIPE = Recipe(filtrations=("superlevel", "sublevel"), positions=True, bins=32)


def moments(values):
    """Mean, standard deviation, extremes and two weighted sums, which see where the values are."""
    flat = np.asarray(values, float).ravel()
    place = np.arange(1, flat.size + 1) / flat.size
    return [*map(float, (flat.mean(), flat.std(), flat.min(), flat.max(), flat @ place, flat @ place**2))]


def texture(side=64, seed=3):
    """An image of positive intensities about 1 with structure on several scales; the same on every computer."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = [np.cos(2 * np.pi * (k * x + m * y + rng.random())) / (k + m) for k in range(1, 6) for m in range(1, 6)]
    return 1 + 0.4 * np.sum(waves, axis=0) / np.abs(waves).sum(axis=0).max()


def md(folder):
    """Twelve steps: too few for rounding to grow. In a process of its own, as LAMMPS and MPI want it."""
    material = Material(repetitions=(3, 3, 2))
    protocol = MolecularDynamics(steps=8, segment_steps=10, thermo_every=4, ranks=1, temperature_tolerance=5.0)
    protocol = protocol.model_copy(update={"rt": protocol.rt.model_copy(update={"steps": 4})})
    settings = [part.model_dump_json() for part in (material, Potential(), protocol)]
    code = (
        "import sys; from pathlib import Path; from persistem import md\n"
        "from persistem.study import Material, MolecularDynamics, Potential\n"
        "models = zip((Material, Potential, MolecularDynamics), sys.argv[1:], strict=True)\n"
        "m, p, d = (model.model_validate_json(text) for model, text in models)\n"
        "md.heat(m, p, d, 300, 1, Path('hot')); md.treat(m, p, d, 1, Path('hot/end.restart'), Path('rt'))\n"
    )
    subprocess.run([sys.executable, "-c", code, *settings], cwd=folder, check=True, capture_output=True, timeout=120)
    summary = json.loads((folder / "rt/summary.json").read_text())
    from persistem.structures import read_structure

    atoms = read_structure(folder / "rt/structure.extxyz")
    return {
        "positions": moments(atoms.positions),
        "speeds": moments(np.linalg.norm(atoms.arrays["velocities_A_per_ps"], axis=1)),
        "summary": [summary[key] for key in ("atoms", "density_g_cm3", "temperature_K", "pressure_GPa")],
    }


def crystal():
    from ase.build import bulk

    atoms = bulk("GaN", "wurtzite", a=3.19, c=5.189).repeat((5, 6, 2))
    shifts = np.sin(np.arange(3 * len(atoms)) ** 2).reshape(-1, 3)
    atoms.positions += 0.15 * shifts
    return atoms


def structures(folder):
    from persistem.structures import import_structure, read_structure

    crystal().write(folder / "mine.xyz", format="extxyz")
    import_structure(folder / "mine.xyz", None, folder / "specimen")
    summary = json.loads((folder / "specimen/summary.json").read_text())
    positions = read_structure(folder / "specimen/structure.extxyz").positions
    return {"positions": moments(positions), "summary": list(summary.values())}


def exit_waves(folder):
    import abtem
    from persistem.exit_waves import exit_wave
    from persistem.structures import write_structure

    write_structure(folder / "structure.extxyz", crystal())
    exit_wave(folder / "structure.extxyz", IMAGING, folder / "wave.zarr")
    wave = np.asarray(abtem.from_zarr(str(folder / "wave.zarr")).compute().array)
    return {"real": moments(wave.real), "imaginary": moments(wave.imag)}


def micrographs(folder):
    """Of a wave that is a formula, not of the exit wave above."""
    import abtem
    from persistem.exit_waves import grid
    from persistem.micrographs import micrograph, read_micrograph
    from persistem.optics import abtem_settings

    points = grid(IMAGING)
    phase = texture(points.pixels) - 1
    with abtem_settings("cpu"):
        wave = abtem.Waves(
            np.exp(1j * phase).astype(np.complex64), energy=IMAGING.voltage * 1e3, sampling=points.sampling
        )
        wave.to_zarr(str(folder / "wave.zarr"))
    micrograph(folder / "wave.zarr", IMAGING, 50.0, folder / "image.tif")
    intensity, about = read_micrograph(folder / "image.tif")
    return {"intensity": moments(intensity), "focal": [about["focal_sigma_A"], about["focal_nodes"]]}


def crops(_):
    from persistem.crops import cut
    from persistem.study import Clahe, Standardised, Window

    size = Crops(size=32, stride=16)
    recipes = {"clahe": Clahe(), "window": Window(), "standardised": Standardised()}
    return {name: moments(cut(texture(), recipe, size)) for name, recipe in recipes.items()}


def grey_levels():
    """Two 8-bit crops, exact integers on every computer."""
    rng = np.random.default_rng(7)
    coarse = np.kron(rng.integers(0, 200, (2, 16, 16)), np.ones((1, 3, 3), int))
    return (coarse + rng.integers(0, 56, coarse.shape)).astype(np.uint8)


def diagrams(_):
    from persistem.diagrams import diagram_table

    table = diagram_table(grey_levels(), RECIPE).to_pydict()
    numbers = {name: moments(values) for name, values in table.items() if name != "filtration"}
    return numbers | {"rows": [len(table["crop"]), table["filtration"].count("superlevel")]}


def pairs():
    """A table of birth-death pairs that no diagram stage made."""
    import pyarrow as pa
    from persistem.diagrams import COLUMNS

    rng = np.random.default_rng(11)
    birth = rng.integers(1, 256, 300)
    death = (birth * rng.random(300)).astype(int)
    columns = [np.sort(rng.integers(0, 3, 300)), np.full(300, "superlevel"), rng.integers(0, 2, 300), birth, death]
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])
    return pa.table([column.tolist() for column in columns], schema=schema)


def persistence_images(_):
    from persistem.persistence_images import persistence_images
    from persistem.study import Weight

    weights = {form: Recipe(bins=32, weight=Weight(form=form)) for form in ("linear", "atan", "none")}
    return {form: moments(persistence_images(pairs(), recipe, 3)) for form, recipe in weights.items()}


def learning(_):
    """States a little apart in a few features among many, so that accuracies lie between chance and 1."""
    from persistem.learning import accuracy_table

    rng = np.random.default_rng(5)
    y, seed, defocus, _ = (a.ravel() for a in np.meshgrid([0, 1], [1, 2, 3], [-50.0, 0.0], range(8), indexing="ij"))
    X = {k: rng.normal(size=(len(y), 60)) + 0.5 * y[:, None] * (np.arange(60) < 6) for k in (0, 1)}
    rows = accuracy_table(X, y, seed, defocus, Learning(repetitions=4), "golden")
    return {
        f"{r['degrees']} {r['model']} {r['split']} {r['training']}": [r["accuracy"], r["n_test"], r["n_splits"]]
        + [bound for bound in (r["ci_low"], r["ci_high"]) if bound is not None]
        for r in rows
        if r["foci"] == "all"
    }


def state_checks(folder):
    from persistem.state_checks import state_checks_file
    from persistem.structures import write_structure

    write_structure(folder / "structure.extxyz", crystal())
    material = Material(repetitions=(5, 6, 2)).model_dump(mode="json")
    settings = {"specimen": "a", "structure": "structure.extxyz", "species": ["Ga", "N"], "thermo": None}
    settings |= {"reference": {"kind": "crystal", "material": material}, "target_K": None, "target_GPa": None}
    state_checks_file(settings, folder, folder / "checks.json")
    checks = json.loads((folder / "checks.json").read_text())
    contacts = [value["per_atom"] for value in checks["contacts"].values()]
    numbers = [checks["density_g_cm3"], checks["msd_A2"], checks["lindemann"], checks["on_site"], *contacts]
    return {"checks": numbers} | {name: moments(values) for name, values in checks["rdf"]["pairs"].items()}


def diagram(folder, name="specimen"):
    """The 3D diagram of a small slab."""
    from persistem.diagrams_3d import diagram_3d_file
    from persistem.structures import write_structure

    write_structure(folder / f"{name}.extxyz", crystal())
    diagram_3d_file(folder / f"{name}.extxyz", {"Ga": 1.25, "N": 0.7}, (10.0, 9.0), False, folder / f"{name}.pdgm")
    return folder / f"{name}.parquet"


def diagrams_3d(folder):
    from persistem.diagrams_3d import read_diagram_3d

    table = read_diagram_3d(diagram(folder))
    rings = table["degree"] == 1
    return {name: [float(rings.sum()), *map(float, np.sort(table[name][rings])[::40])] for name in ("birth", "death")}


def optimal_volumes(folder):
    from persistem.optimal_volumes import optimal_volumes_file

    diagram(folder)
    specimen = {"specimen": "specimen", "state": "a", "seed": 1, "temperature": None, "rt": False}
    settings = {"diagrams": [specimen | {"pdgm": "specimen.pdgm", "parquet": "specimen.parquet"}], "states": ["a"]}
    settings |= {"region": [[-0.2, 0.3], [1.0, 3.0]], "degree": 1, "cube": 8.0, "field": 10.0, "thickness": 9.0}
    optimal_volumes_file(settings | {"most": 4}, folder, folder / "volumes.json")
    volumes = json.loads((folder / "volumes.json").read_text())
    kinds = [volume[kind] for volume in volumes["volumes"] for kind in ("optimal", "stable")]
    return {
        "counts": [float(count["pairs"]) for count in volumes["counts"]],
        "atoms": [float(len(kind["points"])) for kind in kinds],
        "edges": [float(len(kind["edges"])) for kind in kinds],
    }


def weights(_):
    from persistem.weights import learned

    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], 30)
    X = {k: rng.normal(size=(60, 40)) + 0.5 * y[:, None] * (np.arange(40) < 6) for k in (0, 1)}
    found = learned(X, y, "LR", 0.01, "standard")
    return {
        f"{degrees} {degree}": moments(values[0])
        for degrees, of_degrees in found.items()
        for degree, values in of_degrees.items()
    }


def inverse(_):
    from persistem.diagrams import pairs_of
    from persistem.inverse import regions

    crop = grey_levels()[0]
    areas = {name: [len(r) for r in regions(crop, name, pairs_of(crop, name))] for name in ("superlevel", "sublevel")}
    return {name: moments(values) for name, values in areas.items()}


STAGES = (
    md, structures, exit_waves, micrographs, crops, diagrams, persistence_images, learning,
    state_checks, diagrams_3d, optimal_volumes, weights, inverse,
)  # fmt: skip


def result(stage, folder):
    """A stage's numbers, to eight digits."""
    return {name: [float(f"{value:.8g}") for value in values] for name, values in stage(folder).items()}


def version(stage):
    return importlib.import_module(f"persistem.{stage.__name__}").VERSION


def differences(found, known):
    """What is not the same within what another processor's rounding may change."""
    if found.keys() != known.keys():
        return [f"{sorted(found)} instead of {sorted(known)}"]
    return [
        f"{name}: {new} instead of {old}"
        for name in known
        for new, old in [(found[name], known[name])]
        if len(new) != len(old)
        or not all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5) for a, b in zip(new, old, strict=True))
    ]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_results_change_only_with_the_version(stage, tmp_path):
    known = json.loads(GOLDEN.read_text())[stage.__name__]
    assert version(stage) == known["version"], (
        f"{stage.__name__}.VERSION is {version(stage)} and tests/golden.json is of {known['version']}: "
        f"run `{REGENERATE}`, and look at what changed"
    )
    changes = differences(result(stage, tmp_path), known["result"])
    assert not changes, (
        f"{stage.__name__} gives other numbers at the same VERSION. If that is meant, raise VERSION in "
        f"workflow/src/persistem/{stage.__name__}.py, so that users' results are made anew, and run `{REGENERATE}`:\n"
        + "\n".join(changes)
    )


def test_every_stage_with_a_version_has_a_golden_result():
    modules = Path(importlib.import_module("persistem").__file__).parent.glob("*.py")
    versioned = {module.stem for module in modules if "\nVERSION = " in module.read_text()}
    assert versioned == {stage.__name__ for stage in STAGES} == set(json.loads(GOLDEN.read_text()))


def test_a_small_change_of_a_result_is_seen():
    known = json.loads(GOLDEN.read_text())["crops"]["result"]
    assert not differences(known, known)
    changed = known | {"clahe": [known["clahe"][0] * 1.001, *known["clahe"][1:]]}
    assert len(differences(changed, known)) == 1


def regenerate():
    """Write tests/golden.json."""
    golden = {}
    for stage in STAGES:
        with tempfile.TemporaryDirectory() as folder:
            golden[stage.__name__] = {"version": version(stage), "result": result(stage, Path(folder))}
    text = json.dumps(golden, indent=1)
    text = re.sub(r"\[[^\[\]{}]+\]", lambda numbers: " ".join(numbers[0].split()), text)  # a list is a line
    GOLDEN.write_text(text + "\n")


if __name__ == "__main__":
    regenerate()
