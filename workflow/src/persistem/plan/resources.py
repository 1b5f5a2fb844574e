"""The work of a job as it was measured, by the size of what it does, and what it asks of a cluster for it.

`benchmarks/resources.py` compares both with what a finished study used. A job asks for more than it takes: a minute for
the start on a node that has read no library yet and three times the seconds, because other nodes are slower; half as
much memory again; and twice the disk.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persistem.imaging.crops import number
from persistem.imaging.micrographs import foci
from persistem.store.stages import BY_NAME
from persistem.study import Crops, Imaging

if TYPE_CHECKING:
    from persistem.plan.plan import Plan

#: Asked over measured: time, memory, disk.
SLOWER, LARGER, FULLER = 3.0, 1.5, 2.0
#: Asked beside that: a start (s), and logs and what is written before it is renamed (MB).
START, ASIDE = 60.0, 20.0
#: The least that is asked for, MB: a bare start of Python.
SMALLEST = 500
#: Atoms in the cells of `ase.build.bulk`; cubic ones of the same structures have up to four times as many.
ATOMS = {"wurtzite": 4, "hcp": 2, "diamond": 2, "zincblende": 2, "rocksalt": 2, "fluorite": 3, "cesiumchloride": 2}


class Work(NamedTuple):
    """What a job takes: seconds from its start to its end, memory (MB) and output (MB)."""

    seconds: float
    memory: float
    disk: float = 0.1


class Asked(NamedTuple):
    """What a job asks for: memory and disk in MB, time in minutes; under Snakemake's names."""

    mem_mb: int
    runtime: int
    disk_mb: int


def asked(work: Work, attempt: int = 1) -> Asked:
    """What a job asks for its work; each further attempt asks for as much memory and time again."""
    minutes = math.ceil((START + SLOWER * work.seconds) / 60)
    memory = 100 * math.ceil(max(SMALLEST, LARGER * work.memory) / 100)
    return Asked(memory * attempt, minutes * attempt, 100 * math.ceil((ASIDE + FULLER * work.disk) / 100))


def work(plan: Plan, stage: str, digest: str) -> Work:
    """The work of each job of a step."""
    settings = plan.settings(stage, digest)
    if stage in BY_SETTINGS:
        return BY_SETTINGS[stage](settings)
    if stage in BY_SOURCES:
        return BY_SOURCES[stage](plan, settings)
    if stage in BY_INPUT:
        return BY_INPUT[stage](plan, settings, plan.input_digest(stage, digest))
    cost = BY_NAME[stage].cost
    assert cost is not None
    count = len(settings.get("sources") or settings.get("specimens") or ())
    return Work(cost.seconds + cost.seconds_each * count, cost.memory + cost.memory_each * count, cost.disk)


def _dynamics(settings: dict[str, Any], steps: int, frames: int = 1) -> Work:
    """With a potential as fast as Tersoff's; 110 bytes an atom in extended XYZ, 90 in each restart file."""
    atoms, ranks = _atoms(settings["material"]), settings["md"]["ranks"]
    seconds = 2 + 3.2e-6 * atoms * steps / ranks
    return Work(seconds, 60 + 70 * ranks + 2e-3 * atoms, 1e-6 * atoms * (110 * frames + 3 * 90))


def _specimen(settings: dict[str, Any]) -> Work:
    if "md" not in settings:  # the user's own structure
        size = Path(settings["path"]).stat().st_size / 1e6
        return Work(1 + 2 * size, 200 + 20 * size, 2 * size)
    if "step" in settings:
        return _dynamics(settings, settings["step"]["steps"])
    md = settings["md"]
    return _dynamics(settings, md.get("rt", md)["steps"])


def _prepared(settings: dict[str, Any]) -> Work:
    method = settings["preparation"]
    if method["method"] == "stack":
        return Work(4, 250, 2)
    steps = method["iterations"] if method["method"] == "inherent" else method["count"] * method["interval"]
    return _dynamics(settings, steps, method.get("count", 1))


def _melt(settings: dict[str, Any]) -> Work:
    md = settings["md"]
    return _dynamics(settings, md["steps"] + 2 * md["rt"]["steps"])


def _exit_wave(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    """Potential and multislice: slices of complex64 on the grid; memory holds every wave until all are written."""
    points, frames = _points(settings), _frames(plan, before)
    slices = math.ceil(settings["thickness"] / settings["slice_thickness"])
    return Work(
        6 + 1.2e-7 * points * slices * frames, 300 + 1.2e-4 * points + 1e-5 * points * frames, 8e-6 * points * frames
    )


def _micrograph(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    points, frames = _points(settings), _frames(plan, plan.input_digest("exit_waves", before))
    seconds = 4 + 3e-8 * points * _nodes(settings) * frames
    return Work(seconds, 400 + 9e-5 * points + 1e-5 * points * frames, 2e-6 * settings["pixels"] ** 2)


def _varied(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    """As the single micrographs of one wave, with the start of one."""
    one = _micrograph(plan, settings["imaging"], before)
    count = len(settings["conditions"])
    return Work(4 + (one.seconds - 4) * count, one.memory, count * 4e-6 * settings["imaging"]["pixels"] ** 2)


def _crops(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    pixels = plan.settings("micrographs", before)["pixels"] ** 2
    return Work(0.1 + 8e-7 * pixels, 60 + 6e-5 * pixels, 1e-6 * pixels)


def _diagrams(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    pixels = plan.settings("micrographs", plan.input_digest("crops", before))["pixels"] ** 2
    return Work(0.2 + 4e-7 * pixels * len(settings["filtrations"]), 80 + 4e-5 * pixels, 3e-8 * pixels)


def _persistence_images(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    values = settings["crops_per_micrograph"] * settings["bins"] ** 2 * len(settings["filtrations"])
    return Work(0.4 + 5e-6 * values, 120 + 5e-5 * values, 3e-6 * values)


def _learning(settings: dict[str, Any]) -> Work:
    images = len(settings["sources"])
    return Work(2 + 0.1 * images, 350 + 2.5 * images)


def _descriptors(settings: dict[str, Any]) -> Work:
    """A micrograph is described for each size of its crops."""
    described = len(settings["defoci"]) * len(settings["describing"]["sizes"])
    return Work(1.5 + 1.5 * described, 300, 1)


def _evaluation(plan: Plan, settings: dict[str, Any]) -> Work:
    return _tested(plan, settings, settings["sources"], 0.1)


def _controls(plan: Plan, settings: dict[str, Any]) -> Work:
    """One control after the other."""
    of = [_tested(plan, settings, control["sources"], 0.03) for control in settings["controls"]]
    return Work(sum(one.seconds for one in of), max(one.memory for one in of))


def _tested(plan: Plan, settings: dict[str, Any], sources: list[dict[str, Any]], row: float) -> Work:
    """On 2 cores; ``row`` is what a row takes for each seed, defocus and size of crops (s).

    Most is the permutation tests: each main row learns from each arrangement of the labels at each defocus.
    """
    seeds = len({tuple(source["seeds"]) for source in sources})
    foci = len(plan.settings("descriptors", Path(sources[0]["path"]).parts[2])["defoci"])
    arrangements = min(settings["permutations"], math.factorial(len(settings["states"])) ** (seeds - 1))
    mains = sum(of["main"] for of in settings["rows"])
    fits = row * len(settings["rows"]) * len(settings["sizes"]) + 0.0105 * mains * arrangements
    return Work(10 + fits * seeds * foci, 600 + 10 * len(sources) * foci, 0.5)


def _sweep(settings: dict[str, Any]) -> Work:
    """A specimen is imaged and described under each condition, on one core."""
    images = sum(len(condition["waves"]) for condition in settings["conditions"])
    return Work(20 + 4.0 * images, 600 + 2 * images, 0.5)


def _specimen_diagrams(plan: Plan, settings: dict[str, Any], before: str) -> Work:
    """HomCloud takes 20 ms for a crop of 256 px; a second of a job is its start."""
    area = settings["crops"]["size"] ** 2
    crops = number(plan.settings("micrographs", before)["pixels"], Crops(**settings["crops"]))
    crops *= len(settings["defoci"]) * len(settings["recipe"]["filtrations"])
    return Work(2 + 3e-7 * area * crops, 150 + 1e-5 * area * crops, 3e-8 * area * crops)


def _protocols(settings: dict[str, Any]) -> Work:
    """A second for each protocol, seed and split, on 2 cores; a design has at most as many protocols as its budget."""
    design = settings["design"]
    fits = design["budget"] * len(settings["seeds"]) * design["repetitions"]
    return Work(10 + 0.5 * fits, 1500)


def _compatibility(settings: dict[str, Any]) -> Work:
    """The bootstrap takes seconds a protocol, learning from other seeds as long as two splits."""
    design = settings["design"]
    fits = (1 + design["finalists"]) * len(settings["seeds"]) * (2 + design["repetitions"])
    return Work(30 + 0.5 * fits + 10 * design["finalists"], 1500)


def _fitted(settings: dict[str, Any]) -> Work:
    """Windows of simulated micrographs are described here; those of labelled ones lie in files."""
    cost = BY_NAME["fitted"].cost
    assert cost is not None
    images = sum(len(composite["conditions"]) for composite in settings.get("composites", ()))
    count = len(settings.get("sources", ()))
    return Work(
        cost.seconds + cost.seconds_each * count + 1.0 * images, cost.memory + cost.memory_each * count + 8.0 * images
    )


def _composite(settings: dict[str, Any]) -> Work:
    """Reading, cutting and the search for crowded atoms go with the area."""
    area = settings["imaging"]["field"] ** 2
    return Work(0.5 + 9e-4 * area, 100 + 0.04 * area, 1 + 4e-4 * area)


def _truth(settings: dict[str, Any]) -> Work:
    """A map of each micrograph at each dose, at the sampling of the model's windows; diagrams are most of it."""
    side = settings["imaging"]["field"] / settings["asked"]["windows"]["sampling"]
    maps = len(settings["doses"]) * (1 + sum(len(composite["micrographs"]) for composite in settings["composites"]))
    topological = any("persistence" in blocks for blocks in settings["asked"]["candidates"])
    seconds = (2.2e-5 if topological else 6e-6) * side**2 * maps
    return Work(1.5 + seconds, 450 + 6e-4 * side**2, 0.05 * maps)


def _atoms(material: dict[str, Any]) -> int:
    """Atoms of the initial crystal, or somewhat more: counting them would import ASE at each start of Snakemake."""
    crystal, cells = material["crystal"], int(math.prod(material["repetitions"]))
    file: str | None = material.get("file")
    if file:
        return cells * max(8, Path(file).stat().st_size // 30)
    larger = 4 if crystal.get("cubic") else 2 if crystal.get("orthorhombic") else 1
    return int(cells * ATOMS.get(crystal["structure"], 4) * larger)


def _points(settings: dict[str, Any]) -> int:
    """Pixels of the simulated grid."""
    sampling = settings["field"] / settings["pixels"]
    side: int = settings["pixels"] + 2 * math.floor(settings["margin"] / sampling)
    return side**2


def _frames(plan: Plan, digest: str) -> int:
    """How many snapshots of the atoms an exit wave holds."""
    step = plan.steps["prepared"].get(digest)
    method = step.settings["preparation"] if step else {}
    return int(method["count"]) if method.get("method") == "snapshots" else 1


def _nodes(settings: dict[str, Any]) -> int:
    """Nodes of the focal sum."""
    return len(foci(Imaging(**settings)))


#: Work by a stage's own settings, by its sources, and by the settings of the stages before it; others declare a cost.
BY_SETTINGS = {
    "specimens": _specimen,
    "prepared": _prepared,
    "melts": _melt,
    "learning": _learning,
    "descriptors": _descriptors,
    "sweeps": _sweep,
    "protocols": _protocols,
    "compatibility": _compatibility,
    "composites": _composite,
    "fitted": _fitted,
    "truth": _truth,
}
BY_SOURCES = {"evaluation": _evaluation, "controls": _controls}
BY_INPUT = {
    "exit_waves": _exit_wave,
    "micrographs": _micrograph,
    "varied": _varied,
    "crops": _crops,
    "diagrams": _diagrams,
    "persistence_images": _persistence_images,
    "specimen_diagrams": _specimen_diagrams,
}
