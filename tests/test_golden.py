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
from persistem.study import (
    Crops,
    Imaging,
    Inherent,
    Learning,
    Material,
    MolecularDynamics,
    Potential,
    Recipe,
    Snapshots,
    Step,
)

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
        "import sys; from pathlib import Path; from persistem.specimens import md\n"
        "from persistem.study import Material, MolecularDynamics, Potential\n"
        "models = zip((Material, Potential, MolecularDynamics), sys.argv[1:], strict=True)\n"
        "m, p, d = (model.model_validate_json(text) for model, text in models)\n"
        "md.heat(m, p, d, 300, 1, Path('hot')); md.treat(m, p, d, 1, Path('hot/end.restart'), Path('rt'))\n"
    )
    subprocess.run([sys.executable, "-c", code, *settings], cwd=folder, check=True, capture_output=True, timeout=600)
    summary = json.loads((folder / "rt/summary.json").read_text())
    from persistem.specimens.structures import read_structure

    atoms = read_structure(folder / "rt/structure.extxyz")
    return {
        "positions": moments(atoms.positions),
        "speeds": moments(np.linalg.norm(atoms.arrays["velocities_A_per_ps"], axis=1)),
        "summary": [summary[key] for key in ("atoms", "density_g_cm3", "temperature_K", "pressure_GPa")],
    }


def schedule(folder):
    """A crystal, held and then cooled and compressed; in a process of its own."""
    protocol = MolecularDynamics(segment_steps=10, thermo_every=2, ranks=1, temperature_tolerance=5.0)
    steps = (Step(name="a", temperature=300, steps=4), Step(name="b", temperature=250, steps=12, density=6.3))
    parts = (Material(repetitions=(3, 3, 2)), Potential(), protocol, *steps)
    code = (
        "import sys; from pathlib import Path; from persistem.specimens.schedule import follow\n"
        "from persistem.study import Material, MolecularDynamics, Potential, Step\n"
        "models = zip((Material, Potential, MolecularDynamics, Step, Step), sys.argv[1:], strict=True)\n"
        "m, p, d, a, b = (model.model_validate_json(text) for model, text in models)\n"
        "follow(m, p, d, a, None, 1, None, Path('a')); follow(m, p, d, b, 300, 1, Path('a/end.restart'), Path('b'))\n"
    )
    settings = [part.model_dump_json(exclude_unset=True) for part in parts]
    subprocess.run([sys.executable, "-c", code, *settings], cwd=folder, check=True, capture_output=True, timeout=600)
    summary = json.loads((folder / "b/summary.json").read_text())
    from persistem.specimens.structures import read_structure

    atoms = read_structure(folder / "b/structure.extxyz")
    return {
        "positions": moments(atoms.positions),
        "summary": [summary[key] for key in ("density_g_cm3", "temperature_K", "pressure_GPa", "Q6", "moved_A")],
    }


def preparation(folder):
    """A crystal's minimum, three steps of a trajectory in two snapshots, and a stack of both."""
    material = Material(repetitions=(3, 3, 2))
    protocol = MolecularDynamics(steps=8, segment_steps=10, thermo_every=4, ranks=1, temperature_tolerance=5.0)
    parts = (material, Potential(), protocol, Inherent(force=1e-4), Snapshots(count=2, interval=2))
    code = (
        "import sys; from pathlib import Path; from persistem.specimens import md, preparation\n"
        "from persistem.study import Inherent, Material, MolecularDynamics, Potential, Snapshots\n"
        "models = zip((Material, Potential, MolecularDynamics, Inherent, Snapshots), sys.argv[1:], strict=True)\n"
        "m, p, d, i, s = (model.model_validate_json(text) for model, text in models)\n"
        "md.heat(m, p, d, 300, 1, Path('hot'))\n"
        "preparation.minimise(m, p, d, i, 'hot/end.restart', Path('inherent'))\n"
        "preparation.snapshots(m, p, d, s, 300, False, 'hot/end.restart', Path('snapshots'))\n"
    )
    settings = [part.model_dump_json() for part in parts]
    subprocess.run([sys.executable, "-c", code, *settings], cwd=folder, check=True, capture_output=True, timeout=600)
    from persistem.specimens.preparation import stack
    from persistem.specimens.structures import read_frames

    found = [folder / f"{name}/structure.extxyz" for name in ("inherent", "snapshots")]
    stack(found, Imaging(field=6.0, thickness=8.0, pixels=64, margin=0.5), folder / "stack")
    files = [*found, folder / "stack/structure.extxyz"]
    energy = json.loads((folder / "inherent/summary.json").read_text())["potential_energy_eV"]
    return {"energy": [energy]} | {
        file.parent.name: moments([frame.positions for frame in read_frames(file)]) for file in files
    }


def crystal():
    from ase.build import bulk

    atoms = bulk("GaN", "wurtzite", a=3.19, c=5.189).repeat((5, 6, 2))
    shifts = np.sin(np.arange(3 * len(atoms)) ** 2).reshape(-1, 3)
    atoms.positions += 0.15 * shifts
    return atoms


def structures(folder):
    from persistem.specimens.structures import import_structure, read_structure

    crystal().write(folder / "mine.xyz", format="extxyz")
    import_structure(folder / "mine.xyz", None, folder / "specimen")
    summary = json.loads((folder / "specimen/summary.json").read_text())
    positions = read_structure(folder / "specimen/structure.extxyz").positions
    return {"positions": moments(positions), "summary": list(summary.values())}


def exit_waves(folder):
    import abtem
    from persistem.imaging.exit_waves import exit_wave
    from persistem.specimens.structures import write_structure

    write_structure(folder / "structure.extxyz", crystal())
    exit_wave(folder / "structure.extxyz", IMAGING, folder / "wave.zarr")
    wave = np.asarray(abtem.from_zarr(str(folder / "wave.zarr")).compute().array)
    return {"real": moments(wave.real), "imaginary": moments(wave.imag)}


def micrographs(folder):
    """Of a wave that is a formula, not of the exit wave above."""
    import abtem
    from persistem.imaging.micrographs import micrograph, read_micrograph
    from persistem.imaging.optics import abtem_settings
    from persistem.specimens.slabs import grid

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


def varied(folder):
    """Of a wave that is a formula, under three conditions."""
    import abtem
    from persistem.imaging.optics import abtem_settings
    from persistem.imaging.varied import drawn, read_varied, varied_file
    from persistem.specimens.slabs import grid
    from persistem.study import Conditions

    points = grid(IMAGING)
    with abtem_settings("cpu"):
        phase = np.exp(1j * (texture(points.pixels) - 1)).astype(np.complex64)
        wave = abtem.Waves(phase, energy=IMAGING.voltage * 1e3, sampling=points.sampling)
        wave.to_zarr(str(folder / "wave.zarr"))
    asked = Conditions(number=3, waves=1, defocus=(-50, 50), astigmatism=(0, 50), coma=(0, 500), drift=(0, 0.5))
    varied_file(folder / "wave.zarr", IMAGING, drawn(asked, [0, 1]), folder / "v.npz")
    return {str(k): moments(image) for k, (image, _) in enumerate(read_varied(folder / "v.npz"))}


def crops(_):
    from persistem.imaging.crops import cut
    from persistem.imaging.detector import detected
    from persistem.study import Clahe, Detector, Standardised, Window

    size = Crops(size=32, stride=16)
    recipes = {"clahe": Clahe(), "window": Window(), "standardised": Standardised()}
    counted = detected(texture(), 0.1, Detector(binning=2, dose=1e4, mtf=0.5, low_pass=0.2))
    return {name: moments(cut(texture(), recipe, size)) for name, recipe in recipes.items()} | {
        "detector": moments(counted)
    }


def grey_levels():
    """Two 8-bit crops, exact integers on every computer."""
    rng = np.random.default_rng(7)
    coarse = np.kron(rng.integers(0, 200, (2, 16, 16)), np.ones((1, 3, 3), int))
    return (coarse + rng.integers(0, 56, coarse.shape)).astype(np.uint8)


def diagrams(_):
    from persistem.topology.diagrams import diagram_table

    table = diagram_table(grey_levels(), RECIPE).to_pydict()
    numbers = {name: moments(values) for name, values in table.items() if name != "filtration"}
    return numbers | {"rows": [len(table["crop"]), table["filtration"].count("superlevel")]}


def pairs():
    """A table of birth-death pairs that no diagram stage made."""
    import pyarrow as pa
    from persistem.topology.diagrams import COLUMNS

    rng = np.random.default_rng(11)
    birth = rng.integers(1, 256, 300)
    death = (birth * rng.random(300)).astype(int)
    columns = [np.sort(rng.integers(0, 3, 300)), np.full(300, "superlevel"), rng.integers(0, 2, 300), birth, death]
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])
    return pa.table([column.tolist() for column in columns], schema=schema)


def persistence_images(_):
    from persistem.study import Weight
    from persistem.topology.persistence_images import persistence_images

    weights = {form: Recipe(bins=32, weight=Weight(form=form)) for form in ("linear", "atan", "none")}
    return {form: moments(persistence_images(pairs(), recipe, 3)) for form, recipe in weights.items()}


def learning(_):
    """States a little apart in a few features among many, so that accuracies lie between chance and 1."""
    from persistem.learning.accuracy import accuracy_table

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
    from persistem.specimens.state_checks import state_checks_file
    from persistem.specimens.structures import write_structure

    write_structure(folder / "structure.extxyz", crystal())
    material = Material(repetitions=(5, 6, 2)).model_dump(mode="json")
    settings = {"specimen": "a", "structure": "structure.extxyz", "species": ["Ga", "N"], "thermo": None}
    settings |= {"reference": {"kind": "crystal", "material": material}, "target_K": None, "target_GPa": None}
    state_checks_file(settings, folder, folder / "checks.json")
    checks = json.loads((folder / "checks.json").read_text())
    contacts = [value["per_atom"] for value in checks["contacts"].values()]
    numbers = [checks["density_g_cm3"], checks["msd_A2"], checks["lindemann"], checks["on_site"], *contacts]
    molecules = [value["molecules"] for value in checks["contacts"].values()]
    shells = [value["mean"] for value in checks["coordination"].values()]
    voids = [checks["cavities"], *shells, *molecules]
    return {"checks": numbers, "voids": voids} | {
        name: moments(values) for name, values in checks["rdf"]["pairs"].items()
    }


def diagram(folder, name="specimen"):
    """The 3D diagram of a small slab."""
    from persistem.specimens.structures import write_structure
    from persistem.topology.diagrams_3d import diagram_3d_file

    write_structure(folder / f"{name}.extxyz", crystal())
    diagram_3d_file(folder / f"{name}.extxyz", {"Ga": 1.25, "N": 0.7}, (10.0, 9.0), False, folder / f"{name}.pdgm")
    return folder / f"{name}.parquet"


def diagrams_3d(folder):
    from persistem.topology.diagrams_3d import read_diagram_3d

    table = read_diagram_3d(diagram(folder))
    rings = table["degree"] == 1
    return {name: [float(rings.sum()), *map(float, np.sort(table[name][rings])[::40])] for name in ("birth", "death")}


def optimal_volumes(folder):
    from persistem.topology.optimal_volumes import optimal_volumes_file

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
    from persistem.learning.weights import learned

    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], 30)
    X = {k: rng.normal(size=(60, 40)) + 0.5 * y[:, None] * (np.arange(40) < 6) for k in (0, 1)}
    found = learned(X, y, "LR", 0.01, "standard", False)
    return {
        f"{degrees} {degree}": moments(values[0])
        for degrees, of_degrees in found.items()
        for degree, values in of_degrees.items()
    }


def inverse(_):
    from persistem.topology.inverse import regions
    from persistem.topology.pairs import crop_pairs

    crop = grey_levels()[0]
    areas = {name: [len(r) for r in regions(crop, name, crop_pairs(crop, name))] for name in ("superlevel", "sublevel")}
    return {name: moments(values) for name, values in areas.items()}


def descriptors(_):
    """Of a texture that is a formula; but for surrogates, whose phases hang on the last digit of a crop."""
    from persistem.descriptors.crops import blocks_of, describe_micrograph
    from persistem.study import Band, Describing, Detector, Mesh

    describing = Describing(
        detector=Detector(binning=2),
        sizes=(64,),
        bands=(Band(), Band(narrow=0.3, wide=0.6, window=1.7)),
        images={"images-16": Mesh(bins=16, sigma=1.0)},
    )
    only = [name for name in blocks_of(describing) if not name.startswith("surrogate")]
    made = describe_micrograph(texture(128), 0.05, describing, 64, only)
    counting = describing.model_copy(update={"detector": Detector(dose=1e5)})
    made |= {
        name: block
        for name, block in describe_micrograph(texture(128), 0.05, counting, 64, ["moments", "spectrum"]).items()
        if name.startswith("equalised")
    }
    return {name: moments(block) for name, block in sorted(made.items())}


def described(folder, apart=0.4):
    """Sources of descriptors of states a little apart in one block, so that accuracies lie between chance and 1."""
    from persistem.descriptors.files import write_descriptors

    sources = []
    for seed in (1, 2, 3):
        for k, state in enumerate("ab"):
            rng = np.random.default_rng([seed, k])
            blocks = {"moments": rng.normal(size=(6, 4)) + apart * k, "texture": rng.normal(size=(6, 5))}
            path = f"{state}{seed}.parquet"
            write_descriptors([(0.0, 64, blocks)], folder / path)
            (folder / f"{path}.json").write_text(json.dumps({"density_g_cm3": 2.0 + k + 0.1 * seed}))
            record = {"specimen": f"{state}{seed}", "state": state, "seeds": [seed], "path": path}
            sources.append(record | {"summary": f"{path}.json"})
    return sources


def compared():
    """Settings that evaluation, controls and sweeps have in common."""
    blocks = {"one": [["moments"]], "both": [["texture"], ["moments", "texture"]]}
    rows = [{"name": name, "task": "absolute", "blocks": of, "main": True} for name, of in blocks.items()]
    return {"states": ["a", "b"], "rows": rows, "C": [1.0, 10.0], "models": ["LR", "SVC"], "in_focus": 25.0}


def numbers_of(rows, *names):
    """Some numbers of the rows of a table."""
    return [float(row[name]) for row in rows for name in names if row[name] is not None]


def evaluate(folder):
    """Without recipes: the leak of their images is of the learning stage's models."""
    from persistem.evaluation.evaluate import evaluation_file

    settings = compared() | {"sources": described(folder), "sizes": [64], "pixel_size_A": 0.1, "recipes": {}}
    evaluation_file(settings | {"permutations": 8, "draws": 2}, folder, folder / "evaluation.json")
    found = json.loads((folder / "evaluation.json").read_text())
    return {
        "rows": numbers_of(found["rows"], "accuracy", "ci_low", "vote"),
        "permutation": numbers_of(found["permutation"], "accuracy", "p"),
        "learning_curve": numbers_of(found["learning_curve"], "accuracy"),
        "calibration": numbers_of(found["calibration"], "brier"),
        "defocus_matrix": [row["accuracy"][0][0] for row in found["defocus_matrix"]],
    }


def controls(folder):
    from persistem.evaluation.controls import controls_file

    control = {"name": "as simulated", "about": "", "sources": described(folder)}
    controls_file(
        compared() | {"sizes": [64], "controls": [control], "permutations": 8}, folder, folder / "controls.json"
    )
    (found,) = json.loads((folder / "controls.json").read_text())["controls"]
    return {"rows": numbers_of(found["rows"], "accuracy", "vote"), "densities": list(found["densities"].values())}


def sweeps(folder):
    """Of waves of constant modulus, whose phases differ in size between the states."""
    import abtem
    from persistem.evaluation.sweeps import sweep_file
    from persistem.imaging.optics import abtem_settings
    from persistem.specimens.slabs import grid
    from persistem.study import Band, Describing, Detector

    points = grid(IMAGING)
    waves = []
    for seed in (1, 2, 3):
        for k, state in enumerate("ab"):
            phase = (1 + 0.1 * k) * (texture(points.pixels, 10 * seed + k) - 1)
            with abtem_settings("cpu"):
                wave = abtem.Waves(
                    np.exp(1j * phase).astype(np.complex64), energy=IMAGING.voltage * 1e3, sampling=points.sampling
                )
                wave.to_zarr(str(folder / f"{state}{seed}.zarr"))
            waves.append({"specimen": f"{state}{seed}", "state": state, "seeds": [seed], "path": f"{state}{seed}.zarr"})
    describing = Describing(detector=Detector(), sizes=(32,), bands=(Band(),), images={})
    conditions = [
        {
            "value": coma,
            "imaging": IMAGING.model_copy(update={"coma": coma}).model_dump(mode="json", exclude={"defoci"}),
            "describing": describing.model_dump(mode="json", include={"detector", "bands", "images"}),
            "size": 32,
            "defocus": 50.0,
            "waves": waves,
        }
        for coma in (0.0, 300.0)
    ]
    about = {"sweep": "coma", "title": "Coma", "axis": "B2 (Å)", "base": 0, "conditions": conditions}
    sweep_file(compared() | about, folder, folder / "sweep.json")
    curves = json.loads((folder / "sweep.json").read_text())["curves"]
    return {
        f"{curve['row']} {curve['training']}": numbers_of(curve["points"], "accuracy", "n_test") for curve in curves
    }


def specimen_diagrams(folder):
    import tifffile
    from persistem.topology.diagrams import read_diagrams
    from persistem.topology.specimen_diagrams import specimen_diagrams

    info = {"pixel_size_A": 0.05, "intensity_offset": 0.0, "intensity_scale": 1e-4}
    grey = np.rint(1e4 * texture()).astype(np.uint16)
    tifffile.imwrite(folder / "m.tif", grey, imagej=True, metadata={"Info": json.dumps(info)})
    crops = Crops(size=32, random=3)
    specimen_diagrams([folder / "m.tif"] * 2, Recipe(inverted=True), crops, folder / "d.parquet")
    table = read_diagrams(folder / "d.parquet")
    return {name: moments(table[name].to_numpy()) for name in ("crop", "degree", "birth", "death")}


def protocols(folder):
    """Of four protocols of three specimens whose states differ in how rough they are."""
    from persistem.evaluation.protocols import protocols_file, read_protocols

    protocols_file(joint(folder), folder, folder / "protocols.parquet")
    table = read_protocols(folder / "protocols.parquet")
    return {name: moments(np.array(values)) for name, values in table.items() if " " in name and "unseen" not in name}


def compatibility(folder):
    from persistem.evaluation.compatibility import compatibility_file
    from persistem.evaluation.protocols import protocols_file

    settings = joint(folder)
    protocols_file(settings, folder, folder / "p.parquet")
    about = {"searched": settings["seeds"], "protocols": "p.parquet"}
    compatibility_file(settings | about, folder, folder / "c.json")
    rows = json.loads((folder / "c.json").read_text())["finalists"]
    return {str(row["protocol"]): [row["deviation"], row["p"], *row["mean"], *row["unseen"]["mean"]] for row in rows}


def joint(folder):
    """Settings of protocols of made-up crops."""
    from persistem.report.paper import ACCURACIES
    from persistem.topology.diagrams import diagram_table, write_diagrams

    sources = []
    for seed in (1, 2, 3):
        for k, state in enumerate(("amorphous", "liquid")):
            rough = np.random.default_rng([seed, k]).integers(0, 256, (8, 16, 16))
            smooth = (rough + np.roll(rough, 1, 1) * (1 + k) // 2) // (2 + k)
            path = f"{state}{seed}.parquet"
            write_diagrams(diagram_table(smooth.astype(np.uint8), Recipe()), folder / path)
            sources.append({"state": state, "seed": seed, "path": path})
    mesh = {"filtrations": ["superlevel"], "sigma": 1.0}
    return {
        "states": ["amorphous", "liquid"],
        "seeds": [1, 2, 3],
        "numbers": [{key: n[key] for key in ("degrees", "model", "foci", "accuracy")} for n in ACCURACIES],
        "factors": [{"question": q, "answers": ["a", "b"]} for q in ("mesh", "learning")],
        "design": {"method": "full", "budget": 4, "repetitions": 2, "finalists": 1},
        "diagrams": {"factors": [], "by": {"": {"crops": 4, "defoci": [-50.0, 0.0], "sources": sources}}},
        "images": {"factors": [0], "by": {"0": mesh | {"bins": 8}, "1": mesh | {"bins": 16}}},
        "learning": {"factors": [1], "by": {"0": {"C": 0.01}, "1": {"C": 0.1, "scaling": "maximum by degree"}}},
    }


STAGES = (
    md, schedule, structures, preparation, exit_waves, micrographs, varied, crops, diagrams, persistence_images,
    learning, state_checks, diagrams_3d, optimal_volumes, weights, inverse, descriptors, evaluate, controls, sweeps,
    specimen_diagrams, protocols, compatibility,
)  # fmt: skip


def result(stage, folder):
    """A stage's numbers, to eight digits."""
    return {name: [float(f"{value:.8g}") for value in values] for name, values in stage(folder).items()}


#: The wing, or the file, of each stage's module.
MODULES = dict.fromkeys(("md", "schedule", "structures", "preparation", "state_checks"), "specimens")
MODULES |= dict.fromkeys(("exit_waves", "micrographs", "varied", "crops"), "imaging")
MODULES |= dict.fromkeys(
    ("diagrams", "persistence_images", "diagrams_3d", "optimal_volumes", "inverse", "specimen_diagrams"), "topology"
)
MODULES |= dict.fromkeys(("evaluate", "controls", "sweeps", "protocols", "compatibility"), "evaluation")
MODULES |= {"weights": "learning", "learning": "learning/accuracy.py", "descriptors": "descriptors/crops.py"}


def module(stage):
    """The file of a stage's module, relative to the package."""
    place = MODULES[stage.__name__]
    return place if place.endswith(".py") else f"{place}/{stage.__name__}.py"


def version(stage):
    name = module(stage).removesuffix(".py").replace("/", ".")
    return importlib.import_module(f"persistem.{name}").VERSION


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


@pytest.mark.parametrize(
    "stage",
    [pytest.param(stage, marks=pytest.mark.slow) if stage in (md, preparation) else stage for stage in STAGES],
    ids=lambda stage: stage.__name__,
)
def test_results_change_only_with_the_version(stage, tmp_path):
    known = json.loads(GOLDEN.read_text())[stage.__name__]
    assert version(stage) == known["version"], (
        f"{stage.__name__}.VERSION is {version(stage)} and tests/golden.json is of {known['version']}: "
        f"run `{REGENERATE}`, and look at what changed"
    )
    changes = differences(result(stage, tmp_path), known["result"])
    assert not changes, (
        f"{stage.__name__} gives other numbers at the same VERSION. If that is meant, raise VERSION in "
        f"workflow/src/persistem/{module(stage)}, so that users' results are made anew, and run `{REGENERATE}`:\n"
        + "\n".join(changes)
    )


def test_every_stage_with_a_version_has_a_golden_result():
    package = Path(importlib.import_module("persistem").__file__).parent
    wings = {module(stage).partition("/")[0] for stage in STAGES}
    files = [file for wing in wings for file in package.glob(f"{wing}/*.py") if file.name != "__init__.py"]
    versioned = {str(file.relative_to(package)) for file in files if "\nVERSION = " in file.read_text()}
    assert versioned == {module(stage) for stage in STAGES}
    assert {stage.__name__ for stage in STAGES} == set(json.loads(GOLDEN.read_text()))


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
