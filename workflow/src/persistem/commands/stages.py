"""The verbs of stages that take more than settings and a file; ``commands.cli`` makes the others from ``store.stages``.

The first line of a verb's docstring is its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from persistem.errors import PersistemError

#: Crops of one micrograph of the paper.
PAPER_CROPS = 16


def heat(protocol: dict[str, Any], temperature: int, seed: int, out: Path) -> None:
    """heat a crystal by molecular dynamics (LAMMPS), under mpiexec"""
    from persistem.specimens import md
    from persistem.study import Material, MolecularDynamics, Potential
    from persistem.study.settings import sections

    study = sections(protocol, material=Material, potential=Potential, md=MolecularDynamics)
    md.heat(study["material"], study["potential"], study["md"], temperature, seed, out)


def treat(protocol: dict[str, Any], restart: Path, seed: int, out: Path) -> None:
    """continue a heated specimen at room temperature (LAMMPS), under mpiexec"""
    from persistem.specimens import md
    from persistem.study import Material, MolecularDynamics, Potential
    from persistem.study.settings import sections

    study = sections(protocol, material=Material, potential=Potential, md=MolecularDynamics)
    md.treat(study["material"], study["potential"], study["md"], seed, restart, out)


def follow(protocol: dict[str, Any], seed: int, restart: Path | None, out: Path) -> None:
    """run a step of a schedule: hold, heat or cool, compress (LAMMPS), under mpiexec"""
    from persistem.specimens import schedule
    from persistem.study import Material, MolecularDynamics, Potential, Step
    from persistem.study.settings import require, section, sections

    require(protocol, "step", "begin")
    settings = dict(protocol)
    step, begin = section(Step, settings.pop("step")), settings.pop("begin")
    study = sections(settings, material=Material, potential=Potential, md=MolecularDynamics)
    schedule.follow(study["material"], study["potential"], study["md"], step, begin, seed, restart, out)


def preparation(
    protocol: dict[str, Any], sources: list[Path], out: Path, temperature: int | None, treated: bool
) -> None:
    """prepare what is imaged: minimise or continue a specimen (LAMMPS, under mpiexec), or stack several"""
    from persistem.specimens.preparation import minimise, snapshots, stack
    from persistem.study import Imaging, Inherent, Material, MolecularDynamics, Potential, Snapshots
    from persistem.study.settings import section, sections

    settings = dict(protocol)
    method = dict(settings.pop("preparation", {}))
    kind = method.get("method")
    if kind == "stack":
        settings.pop("seeds", None)
        stack(sources, sections(settings, imaging=Imaging)["imaging"], out)
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
        minimise(*run, section(Inherent, method), sources[0], out)
        return
    if temperature is None:
        raise PersistemError("--temperature: must be given for snapshots")
    snapshots(*run, section(Snapshots, method), temperature, treated, sources[0], out)


def structure(protocol: dict[str, Any], out: Path) -> None:
    """bring an own structure (extended XYZ, LAMMPS data or dump, whatever ASE reads) in as a specimen"""
    from persistem.specimens.structures import import_structure
    from persistem.study import Structure
    from persistem.study.settings import require, section

    require(protocol, "path")
    own = section(Structure, {"state": "own", "seed": 1} | protocol)
    import_structure(Path(own.path), own.types, out, own.frame)


def exit_wave(protocol: dict[str, Any], structure: Path, out: Path, device: str) -> None:
    """propagate a plane wave through a specimen by multislice (abTEM)"""
    from persistem.imaging import exit_waves
    from persistem.study import Imaging
    from persistem.study.settings import section

    exit_waves.exit_wave(structure, section(Imaging, protocol), out, device)


def micrograph(protocol: dict[str, Any], wave: Path, defocus: float, out: Path, device: str) -> None:
    """image an exit wave at a defocus (Å); what is not told is what the wave was simulated with"""
    from persistem.imaging import micrographs
    from persistem.imaging.exit_waves import simulated_with
    from persistem.study import Imaging
    from persistem.study.settings import section

    imaging = section(Imaging, simulated_with(wave) | protocol)
    micrographs.micrograph(wave, imaging, defocus, out, device)


def varied(protocol: dict[str, Any], wave: Path, out: Path, device: str) -> None:
    """image an exit wave under many conditions of lens and detector"""
    from persistem.imaging.exit_waves import simulated_with
    from persistem.imaging.varied import varied_file
    from persistem.study import Imaging
    from persistem.study.settings import require, section

    require(protocol, "conditions", "imaging")
    imaging = section(Imaging, simulated_with(wave) | protocol["imaging"])
    varied_file(wave, imaging, protocol["conditions"], out, device)


def crops(protocol: dict[str, Any], micrograph: Path, out: Path) -> None:
    """convert a micrograph to 8 bit and cut it into crops"""
    from persistem.imaging.crops import crop_file
    from persistem.study import Crops, Recipe
    from persistem.study.settings import section, sections

    recipe = {key: value for key, value in protocol.items() if key in ("intensity", "detector", "inverted")}
    rest = {key: value for key, value in protocol.items() if key not in recipe}
    crop_file(micrograph, section(Recipe, recipe), sections(rest, crops=Crops)["crops"], out)


def diagrams(protocol: dict[str, Any], crops: Path, out: Path, first: int | None, last: int | None) -> None:
    """compute the persistence diagrams of crops (HomCloud)"""
    from persistem.study import Recipe
    from persistem.study.settings import section
    from persistem.topology.diagrams import diagram_file

    diagram_file(crops, section(Recipe, protocol), out, first, last)


def join_diagrams(parts: list[Path], out: Path) -> None:
    """join diagrams that were computed in batches"""
    from persistem.topology.diagrams import join

    join(parts, out)


def persistence_images(protocol: dict[str, Any], diagrams: Path, out: Path) -> None:
    """turn persistence diagrams into persistence images (HomCloud)"""
    from persistem.study import Recipe
    from persistem.study.settings import section
    from persistem.topology.persistence_images import image_file

    settings = dict(protocol)
    crops = settings.pop("crops_per_micrograph", PAPER_CROPS)
    image_file(diagrams, section(Recipe, settings), crops, out)


def descriptors(protocol: dict[str, Any], micrographs: list[Path], out: Path) -> None:
    """describe the crops of one specimen's micrographs: persistence, spectrum, contrast, texture"""
    from persistem.descriptors.files import descriptor_file
    from persistem.study import Describing
    from persistem.study.settings import require, section

    require(protocol, "defoci", "describing")
    if len(micrographs) != len(protocol["defoci"]):
        raise PersistemError(f"{len(micrographs)} micrographs are given, but {len(protocol['defoci'])} defoci")
    listed = dict(zip(map(float, protocol["defoci"]), micrographs, strict=True))
    descriptor_file(listed, section(Describing, protocol["describing"]), out)


def specimen_diagrams(protocol: dict[str, Any], micrographs: list[Path], out: Path) -> None:
    """compute the persistence diagrams of the crops of all of a specimen's micrographs (HomCloud)"""
    from persistem.study import Crops, Recipe
    from persistem.study.settings import require, section
    from persistem.topology import specimen_diagrams as stage

    require(protocol, "recipe", "crops")
    recipe, crops = section(Recipe, protocol["recipe"]), section(Crops, protocol["crops"])
    stage.specimen_diagrams(micrographs, recipe, crops, out)


def diagram_3d(protocol: dict[str, Any], structure: Path, out: Path) -> None:
    """compute the 3D persistence diagram of a specimen's slab by a weighted alpha filtration (HomCloud)"""
    from persistem.study.settings import require
    from persistem.topology.diagrams_3d import diagram_3d_file

    require(protocol, "radii", "side", "periodic")
    diagram_3d_file(structure, protocol["radii"], tuple(protocol["side"]), protocol["periodic"], out)


def figure(protocol: dict[str, Any], out: Path, root: Path) -> None:
    """draw a figure of the paper: PNG, PDF, and its caption and numbers as JSON"""
    from persistem.report.figures.drawing import write
    from persistem.study.settings import given

    write(out.stem, given(protocol), root, out.parent)


def description(protocol: dict[str, Any], micrograph: Path, out: Path, jobs: int) -> None:
    """describe the windows of a labelled micrograph"""
    from persistem.commands.maps import progress_bar
    from persistem.labelled.describing import describe, write
    from persistem.labelled.sources import one_image
    from persistem.study import Windows
    from persistem.study.settings import require, section

    require(protocol, "windows", "step", "blocks")
    image = one_image(micrograph, protocol.get("pixel_size"), protocol.get("grey", False))
    with progress_bar(micrograph.name) as progress:
        found = describe(
            image, section(Windows, protocol["windows"]), protocol["step"], protocol["blocks"], jobs, progress
        )
    write(found, out)


def melt(protocol: dict[str, Any], seed: int, out: Path) -> None:
    """melt and quench a part of a crystal beside the rest by molecular dynamics (LAMMPS), under mpiexec"""
    from persistem.study import Material, MolecularDynamics, Potential
    from persistem.study.settings import given, sections
    from persistem.trial import melted

    asked = given(protocol)["melt"]
    rest = {key: value for key, value in protocol.items() if key != "melt"}
    study = sections(rest, material=Material, potential=Potential, md=MolecularDynamics)
    melted.melt_half(
        study["material"],
        study["potential"],
        study["md"],
        asked["temperature"],
        asked["density"],
        seed,
        out,
        asked["share"],
    )
