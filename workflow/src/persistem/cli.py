"""``persistem <verb>``: every stage of the pipeline, and the study itself, from the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from persistem.errors import PersistemError
from persistem.figures import CHAPTER, FIGURES
from persistem.load import numbers

if TYPE_CHECKING:
    from persistem.plan import Plan

#: Crops of a micrograph of the paper's.
PAPER_CROPS = 16


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0, or 1 after one sentence on standard error."""
    options = vars(_parser().parse_args(arguments))
    verb = options.pop("verb")
    try:
        verb(**options)
    except PersistemError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    return 0


def _fail(message: str) -> int:
    if _rank() == 0:
        print(f"persistem: {message}", file=sys.stderr, flush=True)
    return 1


def _rank() -> int:
    """The MPI rank, so that one of them speaks; 0 where no MPI was started."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi.COMM_WORLD.rank if mpi else 0


def heat(protocol: dict[str, Any], temperature: int, seed: int, out: Path) -> None:
    """heat a crystal by molecular dynamics (LAMMPS), under mpiexec"""
    from persistem import md
    from persistem.study import Material, MolecularDynamics, Potential

    study = _sections(protocol, material=Material, potential=Potential, md=MolecularDynamics)
    md.heat(study["material"], study["potential"], study["md"], temperature, seed, out)


def treat(protocol: dict[str, Any], restart: Path, seed: int, out: Path) -> None:
    """continue a heated specimen at room temperature (LAMMPS), under mpiexec"""
    from persistem import md
    from persistem.study import Material, MolecularDynamics, Potential

    study = _sections(protocol, material=Material, potential=Potential, md=MolecularDynamics)
    md.treat(study["material"], study["potential"], study["md"], seed, restart, out)


def prepare(protocol: dict[str, Any], sources: list[Path], out: Path, temperature: int | None, treated: bool) -> None:
    """prepare what is imaged: minimise or continue a specimen (LAMMPS, under mpiexec), or stack several"""
    from persistem import preparation
    from persistem.study import Imaging, Inherent, Material, MolecularDynamics, Potential, Snapshots

    settings = dict(protocol)
    method = dict(settings.pop("preparation", {}))
    kind = method.get("method")
    if kind == "stack":
        settings.pop("seeds", None)
        preparation.stack(sources, _sections(settings, imaging=Imaging)["imaging"], out)
        return
    if kind not in ("inherent", "snapshots"):
        raise PersistemError(f"--protocol: preparation.method = {kind!r}: allowed are inherent, snapshots, stack")
    if len(sources) != 1:
        raise PersistemError(
            f"{len(sources)} files: preparation.method = {kind!r} takes one, the specimen's end.restart"
        )
    study = _sections(settings, material=Material, potential=Potential, md=MolecularDynamics)
    run = (study["material"], study["potential"], study["md"])
    if kind == "inherent":
        preparation.minimise(*run, _section(Inherent, method), sources[0], out)
        return
    if temperature is None:
        raise PersistemError("--temperature: must be given for snapshots")
    preparation.snapshots(*run, _section(Snapshots, method), temperature, treated, sources[0], out)


def structure(protocol: dict[str, Any], out: Path) -> None:
    """bring an own structure (extended XYZ, LAMMPS data, whatever ASE reads) in as a specimen"""
    from persistem.structures import import_structure

    _require(protocol, "path")
    types = protocol.get("types")
    import_structure(Path(protocol["path"]), {int(t): e for t, e in types.items()} if types else None, out)


def exit_wave(protocol: dict[str, Any], structure: Path, out: Path, device: str) -> None:
    """propagate a plane wave through a specimen by multislice (abTEM)"""
    from persistem import exit_waves
    from persistem.study import Imaging

    exit_waves.exit_wave(structure, _section(Imaging, protocol), out, device)


def micrograph(protocol: dict[str, Any], wave: Path, defocus: float, out: Path, device: str) -> None:
    """image an exit wave at a defocus (Å)"""
    from persistem import micrographs
    from persistem.study import Imaging

    micrographs.micrograph(wave, _section(Imaging, protocol), defocus, out, device)


def crops(protocol: dict[str, Any], micrograph: Path, out: Path) -> None:
    """convert a micrograph to 8 bit and cut it into crops"""
    from persistem.crops import crop_file
    from persistem.study import Crops, Recipe

    recipe = {key: value for key, value in protocol.items() if key in ("intensity", "detector")}
    rest = {key: value for key, value in protocol.items() if key not in recipe}
    crop_file(micrograph, _section(Recipe, recipe), _sections(rest, crops=Crops)["crops"], out)


def diagrams(protocol: dict[str, Any], crops: Path, out: Path, first: int | None, last: int | None) -> None:
    """compute the persistence diagrams of crops (HomCloud)"""
    from persistem.diagrams import diagram_file
    from persistem.study import Recipe

    diagram_file(crops, _section(Recipe, protocol), out, first, last)


def join_diagrams(parts: list[Path], out: Path) -> None:
    """join diagrams that were computed in batches"""
    from persistem.diagrams import join

    join(parts, out)


def persistence_images(protocol: dict[str, Any], diagrams: Path, out: Path) -> None:
    """turn persistence diagrams into persistence images (HomCloud)"""
    from persistem.persistence_images import image_file
    from persistem.study import Recipe

    settings = dict(protocol)
    crops = settings.pop("crops_per_micrograph", PAPER_CROPS)
    image_file(diagrams, _section(Recipe, settings), crops, out)


def learn(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """classify persistence images and tabulate the accuracy (scikit-learn)"""
    from persistem import paths
    from persistem.learning import Source, learn
    from persistem.study import Learning

    _require(protocol, "recipe", "states", "defoci", "sources", "learning")
    sources = [
        Source(
            root / paths.path("persistence_images", s["digest"], s["specimen"], paths.defocus_id(defocus)),
            s["specimen"],
            s["state"],
            s["seed"],
            defocus,
        )
        for s in protocol["sources"]
        for defocus in protocol["defoci"]
    ]
    learn(sources, protocol["states"], _section(Learning, protocol["learning"]), protocol["recipe"], out, jobs)


def describe(protocol: dict[str, Any], micrographs: list[Path], out: Path) -> None:
    """describe the crops of one specimen's micrographs: persistence, spectrum, contrast, texture"""
    from persistem.evaluation.descriptor_files import descriptor_file
    from persistem.study import Describing

    _require(protocol, "defoci", "describing")
    if len(micrographs) != len(protocol["defoci"]):
        raise PersistemError(f"{len(micrographs)} micrographs are given, but {len(protocol['defoci'])} defoci")
    listed = dict(zip(map(float, protocol["defoci"]), micrographs, strict=True))
    descriptor_file(listed, _section(Describing, protocol["describing"]), out)


def evaluate(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """say what the accuracy means: leak, baselines, nested cross-validation by seeds, learning curves (scikit-learn)"""
    from persistem.evaluation.evaluate import evaluation_file

    evaluation_file(_given(protocol), root, out, jobs)


def controls(protocol: dict[str, Any], out: Path, root: Path, jobs: int) -> None:
    """tabulate the accuracy where a difference between the states is taken away (scikit-learn)"""
    from persistem.evaluation.controls import controls_file

    controls_file(_given(protocol), root, out, jobs)


def sweep(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """image, describe and classify along one setting of the microscope, the detector or the crops"""
    from persistem.evaluation.sweeps import sweep_file

    sweep_file(_given(protocol), root, out)


def state_checks(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """check whether a specimen is in the state that it is taken for: g(r), displacements, contacts, drift"""
    from persistem.state_checks import state_checks_file

    state_checks_file(_given(protocol), root, out)


def diagram_3d(protocol: dict[str, Any], structure: Path, out: Path) -> None:
    """compute the 3D persistence diagram of a specimen's slab by a weighted alpha filtration (HomCloud)"""
    from persistem.diagrams_3d import diagram_3d_file

    _require(protocol, "radii", "side", "periodic")
    diagram_3d_file(structure, protocol["radii"], tuple(protocol["side"]), protocol["periodic"], out)


def optimal_volumes(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """choose a region of the 3D diagrams, count its pairs and find their optimal volumes (HomCloud)"""
    from persistem.optimal_volumes import optimal_volumes_file

    optimal_volumes_file(_given(protocol), root, out)


def weights(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """train on all crops and write the learned weights on the plane of birth and death (scikit-learn)"""
    from persistem.weights import weights_file

    weights_file(_given(protocol), root, out)


def inverse(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """find the region of a crop that each pair of its diagram stands for (HomCloud)"""
    from persistem.inverse import inverse_file

    inverse_file(_given(protocol), root, out)


def figure(name: str, protocol: dict[str, Any], out: Path, root: Path) -> None:
    """draw a figure of the paper: PNG, PDF, and its caption and numbers as JSON"""
    from persistem.figures.drawing import write

    write(name, _given(protocol), root, out)


def report(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """write the report: one HTML page, and tables of the paper's numbers and claims"""
    from persistem.report import write_report

    write_report(_given(protocol), root, out)


def publish(study: str, root: Path) -> None:
    """write results/<study>/ from the results of the stages"""
    from persistem.publish import describe, publish

    plan = _plan(study)
    describe(plan, root)
    publish(plan, root)


def publish_report(study: str, root: Path) -> None:
    """copy the report and the figures into results/<study>/"""
    from persistem.publish import publish_report

    publish_report(_plan(study), root)


def check(studies: list[Path]) -> None:
    """say whether study files are valid, and what they ask for"""
    from persistem.load import load_study
    from persistem.plan import Plan

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
    from persistem.tables import accuracy_text

    print(accuracy_text(table))


def record(study: Path, docs: Path) -> None:
    """write reproduction.md and its figures into a folder, from the report of results/<study>"""
    from persistem.record import record

    record(study, docs)


def reference(folder: Path) -> None:
    """write the parameter reference, the JSON schema and the paper's study from the model"""
    from persistem.reference import write_reference

    write_reference(folder)


def _plan(study: str) -> Plan:
    """The plan of a study file, or of a study as an inline mapping."""
    from persistem.load import load_study, make_study
    from persistem.plan import Plan

    inline = study.lstrip().startswith("{")
    return Plan(make_study(_protocol(study)) if inline else load_study(Path(study)))


def _protocol(text: str) -> dict[str, Any]:
    """Settings of a stage: a YAML or JSON mapping as it is, or the path of a file that holds one.

    A digest folder's ``stage.yaml`` is such a file; of it the settings are taken.
    """
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text()
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from error
    try:
        settings = numbers(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f"a mapping is expected, not {text.strip()[:60]!r}")
    return settings.get("settings", settings) if "stage" in settings else settings


class _Given(dict[str, Any]):
    """Settings that say which one is missing."""

    def __missing__(self, key: str) -> Any:
        raise PersistemError(f"--protocol: {key} must be given")


def _given(settings: Any) -> Any:
    """Settings, with all that is in them, that say which one is missing."""
    if isinstance(settings, dict):
        return _Given({key: _given(value) for key, value in settings.items()})
    return [_given(value) for value in settings] if isinstance(settings, list) else settings


def _require(protocol: dict[str, Any], *keys: str) -> None:
    for key in keys:
        if key not in protocol:
            raise PersistemError(f"--protocol: {key} must be given")


def _section(model: type[Any], settings: dict[str, Any]) -> Any:
    """A section of the study with the settings a stage received; what it did not receive takes the default."""
    from pydantic import ValidationError

    try:
        return model.model_validate(settings)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(model.model_fields)
            raise PersistemError(f"--protocol: {key}: no such setting; allowed are {allowed}") from error
        raise PersistemError(f"--protocol: {key} = {problem['input']!r}: {problem['msg']}") from error


def _sections(protocol: dict[str, Any], **models: type[Any]) -> dict[str, Any]:
    """Several sections of the study, each with the settings that stand under its name."""
    for key in protocol:
        if key not in models:
            raise PersistemError(f"--protocol: {key}: no such section; allowed are {', '.join(models)}")
    return {key: _section(model, protocol.get(key, {})) for key, model in models.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="persistem", description="States of matter in TEM images by persistent homology."
    )
    verbs = parser.add_subparsers(required=True, metavar="verb")

    def add(verb: Any, *positional: str, protocol: bool = True, required: bool = False) -> argparse.ArgumentParser:
        command = verbs.add_parser(verb.__name__.replace("_", "-"), help=verb.__doc__, description=verb.__doc__)
        command.set_defaults(verb=verb)
        for name in positional:
            command.add_argument(name, type=Path)
        if protocol:
            command.add_argument(
                "--protocol",
                type=_protocol,
                default={},
                required=required,
                help="the stage's settings, inline YAML or a file; by default the paper's",
            )
        return command

    def device(command: argparse.ArgumentParser) -> None:
        command.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where abTEM computes")

    def root(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command.add_argument("--root", type=Path, default=Path(), help="the folder that holds results/")
        return command

    command = add(heat, "out")
    command.add_argument("--temperature", type=int, required=True, help="K")
    command.add_argument("--seed", type=int, required=True)
    command = add(treat, "restart", "out")
    command.add_argument("--seed", type=int, required=True)
    command = add(prepare, required=True)
    command.add_argument("sources", nargs="+", type=Path, help="end.restart, or the structures of a stack")
    command.add_argument("--out", type=Path, required=True, help="folder")
    command.add_argument("--temperature", type=int, help="K, of the snapshots")
    command.add_argument("--treated", action="store_true", help="the specimen had the RT treatment")
    add(structure, "out", required=True)
    device(add(exit_wave, "structure", "out"))
    command = add(micrograph, "wave", "out")
    command.add_argument("--defocus", type=float, required=True, help="Å")
    device(command)
    add(crops, "micrograph", "out")
    command = add(diagrams, "crops", "out")
    command.add_argument("--first", type=int, help="first crop, from 0")
    command.add_argument("--last", type=int, help="crop to stop before")
    command = add(join_diagrams, protocol=False)
    command.add_argument("parts", nargs="+", type=Path)
    command.add_argument("--out", type=Path, required=True)
    add(persistence_images, "diagrams", "out")
    command = root(add(learn, "out", required=True))
    command.add_argument("--jobs", type=int, default=1, help="cores")
    command = add(describe, required=True)
    command.add_argument("micrographs", nargs="+", type=Path, help="one for each defocus")
    command.add_argument("--out", type=Path, required=True)
    for learner in (evaluate, controls):
        command = root(add(learner, "out", required=True))
        command.add_argument("--jobs", type=int, default=1, help="processes")
    root(add(sweep, "out", required=True))
    add(diagram_3d, "structure", "out", required=True)
    for verb in (state_checks, optimal_volumes, weights, inverse, report):
        root(add(verb, "out", required=True))
    command = root(add(figure, required=True))
    command.add_argument("name", choices=(*FIGURES, *CHAPTER))
    command.add_argument("out", type=Path)
    for publisher in (publish, publish_report):
        command = root(add(publisher, protocol=False))
        command.add_argument("study", help="study file, or a study as an inline mapping")
    command = add(check, protocol=False)
    command.add_argument("studies", nargs="+", type=Path)
    add(accuracy, "table", protocol=False)
    add(record, "study", "docs", protocol=False)
    add(reference, "folder", protocol=False)
    return parser
