"""The verbs of whole studies: check, publish, record, archive and verify them.

The first line of a verb's docstring is its help.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from persistem.errors import PersistemError, printable

if TYPE_CHECKING:
    from persistem.plan.plan import Plan


def check(studies: list[Path]) -> None:
    """say whether study files are valid, and what they ask for"""
    problems = []
    for file in studies:
        try:
            print(_checked(file))
        except PersistemError as error:
            problems.append(str(error))
    if problems:
        raise PersistemError("\n".join(problems))


def forces(study: str) -> None:
    """try the forces of a study on its unit cell (LAMMPS): its styles, files, elements and accelerator"""
    from persistem.specimens.forces import try_forces

    asked = plan_of(study).study
    if asked.structures or asked.labelled_alone:
        raise PersistemError(f"{study}: simulates no specimens, so it has no forces")
    found = try_forces(asked.material, asked.potential, asked.md)
    energy, reach = f"{found.energy:.4f} eV an atom in the crystal at rest", f"{found.cutoff:.3g} Å"
    print(f"LAMMPS takes the forces: {energy}; they reach {reach}")


def _checked(file: Path) -> str:
    """What a study asks for, and what its own structures hold; raises PersistemError with all that is wrong."""
    from persistem.specimens.forces import refuse_forces
    from persistem.specimens.own_structures import density, read_own

    plan = plan_of(str(file))
    study = plan.study
    if study.labelled_alone:
        return _labelled(file, plan)
    try:
        refuse_forces(study)
    except PersistemError as error:
        raise PersistemError(f"{file}: {error}") from error
    lines = [
        f"{file}: study {study.name!r}, {len(plan.specimens)} specimens ({len(plan.classified)} classified), "
        f"{len(plan.defoci)} defoci, {plan.crops_per_micrograph} crops per micrograph, "
        f"recipes {', '.join(study.features)}"
    ]
    problems = []
    for k, own in enumerate(study.structures):
        try:
            atoms = read_own(Path(own.path), own.types, own.frame)
        except PersistemError as error:
            problems.append(f"{file}: structures[{k}]: {error}")
            continue
        frame = "" if own.frame is None else f", frame {own.frame}"
        lines.append(f"  {own.path}: {atoms.get_chemical_formula()}, {density(atoms):.3g} g/cm³{frame}")
    if problems:
        raise PersistemError("\n".join(problems))
    return "\n".join(lines)


def _labelled(file: Path, plan: Plan) -> str:
    """What a study labels on which micrographs; raises PersistemError with all that is wrong with these."""
    from persistem.labelled.describing import check
    from persistem.labelled.sources import opened

    assert plan.study.model is not None
    sources, lines, problems = plan.model.settings["sources"], [], []
    specimens: dict[str, set[str]] = {}
    for k, (entry, source) in enumerate(zip(plan.study.labelled, sources, strict=True)):
        try:
            image, labels = opened(source)
            check(image, plan.study.model.windows)
        except PersistemError as error:
            problems.append(f"{file}: labelled[{k}]: {error}")
            continue
        assert image.pixel_size is not None
        areas = []
        for number, state in labels.states.items():
            if count := int((labels.regions == number).sum()):
                specimens.setdefault(state, set()).add(source["specimen"])
                areas.append(f"{state} {count * (image.pixel_size / 10) ** 2:.3g} nm²")
        lines.append(f"  {entry.path}: specimen {source['specimen']}, {', '.join(areas)}")
    if not problems and len(specimens) < 2:
        problems.append(
            f"{file}: labelled: there is one state, {', '.join(specimens)}; a model tells two or more apart"
        )
    if problems:
        raise PersistemError("\n".join(problems))
    units = {source["specimen"] for source in sources}
    if len(units) == 1:
        lines.append("  all of one specimen: what is found out about the model says nothing of the next")
    for state, where in specimens.items() if len(units) > 1 else ():
        if len(where) == 1:
            lines.append(f"  {state} is labelled on specimen {next(iter(where))} alone, which cannot be left out")
    first = (
        f"{file}: study {plan.study.name!r}, {len(sources)} labelled micrographs ({len(units)} specimens),"
        f" states {', '.join(specimens)}, {len(plan.maps.folders)} micrographs to map"
    )
    return "\n".join([first, *lines])


def accuracy(table: Path) -> None:
    """print an accuracy table for reading: all foci and in focus"""
    from persistem.report.tables import accuracy_text

    print(accuracy_text(table))


def publish(study: str, root: Path) -> None:
    """write results/<study>/ from the results of the stages"""
    from persistem.publication.publish import describe_digests, publish

    plan = plan_of(study)
    describe_digests(plan, root)
    publish(plan, root)


def publish_report(study: str, root: Path) -> None:
    """copy the report and the figures into results/<study>/"""
    from persistem.publication.publish import publish_report

    publish_report(plan_of(study), root)


def publish_model(study: str, root: Path) -> None:
    """copy the bundle of the model into results/<study>/model/"""
    from persistem.publication.publish import publish_model

    publish_model(plan_of(study), root)


def publish_trial(study: str, root: Path) -> None:
    """copy the figure of the composites into results/<study>/truth/"""
    from persistem.publication.publish import publish_trial

    publish_trial(plan_of(study), root)


def publish_unseen(study: str, root: Path) -> None:
    """copy what a model of labelled micrographs is worth on unseen ones into results/<study>/"""
    from persistem.publication.publish import publish_unseen

    publish_unseen(plan_of(study), root)


def publish_overview(study: str, root: Path) -> None:
    """copy what the study found, a page and its text, into results/<study>/"""
    from persistem.publication.publish import publish_overview

    publish_overview(plan_of(study), root)


def unused(root: Path, remove: bool) -> None:
    """list the results that no study refers to, with their sizes, and remove them on request"""
    from persistem.store.unused import report, unused

    print(report(unused(root, remove), remove))


def archive(study: str, root: Path, out: Path) -> None:
    """pack a finished study into a zip that others can verify and run again (Workflow RO-Crate)"""
    from persistem.publication.archive import archive
    from persistem.publication.crate import targets

    plan = plan_of(study)
    file = "STUDY.yaml" if study.lstrip().startswith("{") else study
    numbers = archive(plan, root, out, f"snakemake --cores 2 {targets(plan)} --configfile {file}")
    print(f"{out}: {', '.join(f'{number} {what}' for what, number in numbers.items())}")


def verify(folder: Path) -> None:
    """check an unpacked archive, what was made again in it, or a results folder against checksums and seals"""
    from persistem.publication.verify import verify

    print(printable(verify(folder)))


def record(study: Path, docs: Path, figures: list[str]) -> None:
    """write the dated page of results/<study> and its figures into a folder, from its report"""
    from persistem.publication.record import record

    record(study, docs, figures)


def record_protocols(study: Path, docs: Path, beside: list[Path]) -> None:
    """write the dated record of a study's joint multiverse, docs/protocols.md and its figures"""
    from persistem.publication.record_protocols import record_protocols

    record_protocols(study, docs, beside)


def record_maps(study: Path, docs: Path) -> None:
    """write the dated record of a study's composites and model, docs/maps.md and its figure"""
    from persistem.publication.record_maps import record_maps
    from persistem.report.overview.findings import FULL_STUDY

    record_maps(study, docs, FULL_STUDY)


def record_materials(studies: list[Path], docs: Path) -> None:
    """write the dated record of several materials at equal density, docs/materials.md and its figure"""
    from persistem.publication.record_materials import record_materials

    record_materials(studies, docs)


def reference(folder: Path) -> None:
    """write the parameter reference, the JSON schema and the paper's study from the model"""
    from persistem.study.reference import write_reference

    write_reference(folder)


def plan_of(study: str) -> Plan:
    """The plan of a study file, or of a study as an inline mapping."""
    from persistem.plan.plan import Plan
    from persistem.store.files import is_file
    from persistem.study.load import load_study, make_study
    from persistem.study.settings import protocol_of

    if study.lstrip().startswith("{") and not is_file(study):
        try:
            return Plan(make_study(protocol_of(study)))
        except ArgumentTypeError as error:
            raise PersistemError(f"the study on the command line: {error}") from error
    loaded = load_study(Path(study))
    try:
        return Plan(loaded)
    except PersistemError as error:
        raise PersistemError(f"{study}: {error}") from error
