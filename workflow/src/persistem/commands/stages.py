"""The verbs of the command line: every stage of the pipeline, and the study itself.

The first line of a verb's docstring is its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.study.settings import given, protocol_of, require, section, sections

if TYPE_CHECKING:
    from persistem.plan.plan import Plan

#: Crops of a micrograph of the paper's.
PAPER_CROPS = 16


def heat(protocol: dict[str, Any], temperature: int, seed: int, out: Path) -> None:
    """heat a crystal by molecular dynamics (LAMMPS), under mpiexec"""
    from persistem.specimens import md
    from persistem.study import Material, MolecularDynamics, Potential

    study = sections(protocol, material=Material, potential=Potential, md=MolecularDynamics)
    md.heat(study["material"], study["potential"], study["md"], temperature, seed, out)


def treat(protocol: dict[str, Any], restart: Path, seed: int, out: Path) -> None:
    """continue a heated specimen at room temperature (LAMMPS), under mpiexec"""
    from persistem.specimens import md
    from persistem.study import Material, MolecularDynamics, Potential

    study = sections(protocol, material=Material, potential=Potential, md=MolecularDynamics)
    md.treat(study["material"], study["potential"], study["md"], seed, restart, out)


def prepare(protocol: dict[str, Any], sources: list[Path], out: Path, temperature: int | None, treated: bool) -> None:
    """prepare what is imaged: minimise or continue a specimen (LAMMPS, under mpiexec), or stack several"""
    from persistem.specimens import preparation
    from persistem.study import Imaging, Inherent, Material, MolecularDynamics, Potential, Snapshots

    settings = dict(protocol)
    method = dict(settings.pop("preparation", {}))
    kind = method.get("method")
    if kind == "stack":
        settings.pop("seeds", None)
        preparation.stack(sources, sections(settings, imaging=Imaging)["imaging"], out)
        return
    if kind not in ("inherent", "snapshots"):
        raise PersistemError(f"--protocol: preparation.method = {kind!r}: allowed are inherent, snapshots, stack")
    if len(sources) != 1:
        raise PersistemError(
            f"{len(sources)} files: preparation.method = {kind!r} takes one, the specimen's end.restart"
        )
    study = sections(settings, material=Material, potential=Potential, md=MolecularDynamics)
    run = (study["material"], study["potential"], study["md"])
    if kind == "inherent":
        preparation.minimise(*run, section(Inherent, method), sources[0], out)
        return
    if temperature is None:
        raise PersistemError("--temperature: must be given for snapshots")
    preparation.snapshots(*run, section(Snapshots, method), temperature, treated, sources[0], out)


def structure(protocol: dict[str, Any], out: Path) -> None:
    """bring an own structure (extended XYZ, LAMMPS data, whatever ASE reads) in as a specimen"""
    from persistem.specimens.structures import import_structure

    require(protocol, "path")
    types = protocol.get("types")
    import_structure(Path(protocol["path"]), {int(t): e for t, e in types.items()} if types else None, out)


def exit_wave(protocol: dict[str, Any], structure: Path, out: Path, device: str) -> None:
    """propagate a plane wave through a specimen by multislice (abTEM)"""
    from persistem.imaging import exit_waves
    from persistem.study import Imaging

    exit_waves.exit_wave(structure, section(Imaging, protocol), out, device)


def micrograph(protocol: dict[str, Any], wave: Path, defocus: float, out: Path, device: str) -> None:
    """image an exit wave at a defocus (Å)"""
    from persistem.imaging import micrographs
    from persistem.study import Imaging

    micrographs.micrograph(wave, section(Imaging, protocol), defocus, out, device)


def crops(protocol: dict[str, Any], micrograph: Path, out: Path) -> None:
    """convert a micrograph to 8 bit and cut it into crops"""
    from persistem.imaging.crops import crop_file
    from persistem.study import Crops, Recipe

    recipe = {key: value for key, value in protocol.items() if key in ("intensity", "detector")}
    rest = {key: value for key, value in protocol.items() if key not in recipe}
    crop_file(micrograph, section(Recipe, recipe), sections(rest, crops=Crops)["crops"], out)


def diagrams(protocol: dict[str, Any], crops: Path, out: Path, first: int | None, last: int | None) -> None:
    """compute the persistence diagrams of crops (HomCloud)"""
    from persistem.study import Recipe
    from persistem.topology.diagrams import diagram_file

    diagram_file(crops, section(Recipe, protocol), out, first, last)


def join_diagrams(parts: list[Path], out: Path) -> None:
    """join diagrams that were computed in batches"""
    from persistem.topology.diagrams import join

    join(parts, out)


def persistence_images(protocol: dict[str, Any], diagrams: Path, out: Path) -> None:
    """turn persistence diagrams into persistence images (HomCloud)"""
    from persistem.study import Recipe
    from persistem.topology.persistence_images import image_file

    settings = dict(protocol)
    crops = settings.pop("crops_per_micrograph", PAPER_CROPS)
    image_file(diagrams, section(Recipe, settings), crops, out)


def learn(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """classify persistence images and tabulate the accuracy (scikit-learn)"""
    from persistem.learning.accuracy import learning_file

    learning_file(given(protocol), root, out, jobs)


def describe(protocol: dict[str, Any], micrographs: list[Path], out: Path) -> None:
    """describe the crops of one specimen's micrographs: persistence, spectrum, contrast, texture"""
    from persistem.descriptors.files import descriptor_file
    from persistem.study import Describing

    require(protocol, "defoci", "describing")
    if len(micrographs) != len(protocol["defoci"]):
        raise PersistemError(f"{len(micrographs)} micrographs are given, but {len(protocol['defoci'])} defoci")
    listed = dict(zip(map(float, protocol["defoci"]), micrographs, strict=True))
    descriptor_file(listed, section(Describing, protocol["describing"]), out)


def evaluate(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """say what the accuracy means: leak, baselines, nested cross-validation by seeds, learning curves (scikit-learn)"""
    from persistem.evaluation.evaluate import evaluation_file

    evaluation_file(given(protocol), root, out, jobs)


def controls(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """tabulate the accuracy where a difference between the states is taken away (scikit-learn)"""
    from persistem.evaluation.controls import controls_file

    controls_file(given(protocol), root, out, jobs)


def sweep(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """image, describe and classify along one setting of the microscope, the detector or the crops"""
    from persistem.evaluation.sweeps import sweep_file

    sweep_file(given(protocol), root, out)


def state_checks(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """check whether a specimen is in the state that it is taken for: g(r), displacements, contacts, drift"""
    from persistem.specimens.state_checks import state_checks_file

    state_checks_file(given(protocol), root, out)


def diagram_3d(protocol: dict[str, Any], structure: Path, out: Path) -> None:
    """compute the 3D persistence diagram of a specimen's slab by a weighted alpha filtration (HomCloud)"""
    from persistem.topology.diagrams_3d import diagram_3d_file

    require(protocol, "radii", "side", "periodic")
    diagram_3d_file(structure, protocol["radii"], tuple(protocol["side"]), protocol["periodic"], out)


def optimal_volumes(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """choose a region of the 3D diagrams, count its pairs and find their optimal volumes (HomCloud)"""
    from persistem.topology.optimal_volumes import optimal_volumes_file

    optimal_volumes_file(given(protocol), root, out)


def weights(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """train on all crops and write the learned weights on the plane of birth and death (scikit-learn)"""
    from persistem.learning.weights import weights_file

    weights_file(given(protocol), root, out)


def inverse(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """find the region of a crop that each pair of its diagram stands for (HomCloud)"""
    from persistem.topology.inverse import inverse_file

    inverse_file(given(protocol), root, out)


def figure(name: str, protocol: dict[str, Any], out: Path, root: Path) -> None:
    """draw a figure of the paper: PNG, PDF, and its caption and numbers as JSON"""
    from persistem.report.figures.drawing import write

    write(name, given(protocol), root, out)


def report(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """write the report: one HTML page, and tables of the paper's numbers and claims"""
    from persistem.report.report import write_report

    write_report(given(protocol), root, out)


def publish(study: str, root: Path) -> None:
    """write results/<study>/ from the results of the stages"""
    from persistem.publication.publish import describe, publish

    plan = plan_of(study)
    describe(plan, root)
    publish(plan, root)


def publish_report(study: str, root: Path) -> None:
    """copy the report and the figures into results/<study>/"""
    from persistem.publication.publish import publish_report

    publish_report(plan_of(study), root)


def publish_model(study: str, root: Path) -> None:
    """copy the bundle of the model into results/<study>/model/"""
    from persistem.publication.publish import publish_model

    publish_model(plan_of(study), root)


def check(studies: list[Path]) -> None:
    """say whether study files are valid, and what they ask for"""
    from persistem.plan.plan import Plan
    from persistem.study.load import load_study

    for file in studies:
        study = load_study(file)
        plan = Plan(study)
        print(
            f"{file}: study {study.name!r}, {len(plan.specimens)} specimens ({len(plan.classified)} classified), "
            f"{len(plan.defoci)} defoci, {plan.crops_per_micrograph} crops per micrograph, "
            f"recipes {', '.join(study.features)}"
        )


def accuracy(table: Path) -> None:
    """print an accuracy table for reading: all foci and in focus"""
    from persistem.report.tables import accuracy_text

    print(accuracy_text(table))


def record(study: Path, docs: Path) -> None:
    """write reproduction.md and its figures into a folder, from the report of results/<study>"""
    from persistem.publication.record import record

    record(study, docs)


def reference(folder: Path) -> None:
    """write the parameter reference, the JSON schema and the paper's study from the model"""
    from persistem.study.reference import write_reference

    write_reference(folder)


def plan_of(study: str) -> Plan:
    """The plan of a study file, or of a study as an inline mapping."""
    from persistem.plan.plan import Plan
    from persistem.study.load import load_study, make_study

    inline = study.lstrip().startswith("{")
    return Plan(make_study(protocol_of(study)) if inline else load_study(Path(study)))
