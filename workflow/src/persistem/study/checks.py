"""Combinations of settings that cannot work, refused before any job starts.

Each check raises ValueError, or PersistemError if it is a stage's own check, with the key, its value and what is
allowed. ``persistem.study.load`` calls the checks and adds the file.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from persistem.descriptors.crops import blocks_of
from persistem.errors import PersistemError
from persistem.imaging.crops import check_detector, number
from persistem.imaging.optics import check_device
from persistem.specimens.own_structures import needs_types
from persistem.specimens.slabs import check_fits
from persistem.specimens.structures import potential_files, potential_path, unit_cell
from persistem.store import paths
from persistem.store.bounded import read_text
from persistem.store.files import is_file
from persistem.study.checks_model import (
    check_labelled,
    check_labelled_alone,
    check_micrographs,
    check_model,
    check_trial,
)
from persistem.study.mapping import RESERVED
from persistem.study.members import groups_of, states_of

if TYPE_CHECKING:
    from persistem.study import Evaluation, Study

#: Nested cross-validation leaves out two seeds and trains on the others.
MINIMUM_SEEDS = 3
#: Candidates that the inner folds of one row may choose from: with more, one of them wins by luck.
MOST_CANDIDATES = 24
#: More than anybody has simulated or cut: a longer list is a mistake.
MOST_SPECIMENS, MOST_CROPS, MOST_CELLS = 100_000, 100_000, 10**9
SIDES = (1e-3, 1e6)  # Å


def check_combinations(study: Study) -> None:
    """Refuse a study whose settings contradict each other: everything that its sections get wrong, a line for each."""
    if study.labelled_alone:
        _check_all(study, [_check_name, check_labelled_alone, check_micrographs])
        return
    _check_sides(study)  # what the other checks count with
    if not study.structures and study.md.schedule is None:
        _check_number(study)
    checks: list[Callable[[Study], None]] = [
        _check_name,
        _check_states,
        _check_preparation,
        _check_seeds,
        _check_crops,
        _check_learning,
        _check_figures,
        _check_evaluation,
        check_model,
        check_labelled,
        check_micrographs,
        check_trial,
        _check_device,
        *([_check_structures] if study.structures else [_check_md, _check_field]),
    ]
    _check_all(study, checks)


def _check_all(study: Study, checks: list[Callable[[Study], None]]) -> None:
    problems: list[str] = []
    for check in checks:
        try:
            check(study)
        except (PersistemError, ValueError) as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def _check_name(study: Study) -> None:
    if study.name in {*paths.STAGES, *paths.RECORDS}:
        raise ValueError(f"name = {study.name!r}: results/{study.name} is a folder of the workflow; choose another")


def _check_device(study: Study) -> None:
    check_device(study.run.device)


def _check_sides(study: Study) -> None:
    for key in ("field", "thickness", "margin"):
        side, least = getattr(study.imaging, key), 0 if key == "margin" else SIDES[0]
        if not least <= side <= SIDES[1]:
            raise ValueError(f"imaging.{key} = {side:g}: allowed are {least:g} to {SIDES[1]:g} Å")


def _check_number(study: Study) -> None:
    count = sum(len(series.temperatures) * len(series.seeds) * len(series.rt) for series in study.md.series)
    if count > MOST_SPECIMENS:
        raise ValueError(f"md.series: {count} specimens; at most {MOST_SPECIMENS}")


def _check_states(study: Study) -> None:
    for name in states_of(study):
        if name in RESERVED:
            where = "structures" if study.structures else "states"
            raise ValueError(f"{where}: a state is called {name}, which maps say of windows; choose another name")
    if study.structures:
        if "states" in study.model_fields_set:
            raise ValueError("states: given together with structures, each of which names its own state; leave one out")
        return
    if not study.states:
        raise ValueError("states: none is given; a study needs at least one, and a classification two")
    if study.md.schedule is not None:
        _check_visited(study)
        return
    simulated = {(t, rt) for series in study.md.series for t in series.temperatures for rt in series.rt}
    seen: dict[tuple[int, bool], str] = {}
    for name, state in study.states.items():
        if state.after is not None:
            raise ValueError(
                f"states.{name}.after = {state.after!r}: the study has no md.schedule; give temperature and rt"
            )
        key = (state.temperature, state.rt)
        if key not in simulated:
            allowed = ", ".join(f"{t} K {'with' if rt else 'without'} RT" for t, rt in sorted(simulated))
            raise ValueError(
                f"states.{name} = {state.temperature} K {'with' if state.rt else 'without'} RT, "
                f"but md.series simulates only: {allowed}"
            )
        if key in seen:
            raise ValueError(f"states.{name}: the same specimens as states.{seen[key]}; each state needs its own")
        seen[key] = name


def _check_visited(study: Study) -> None:
    """Every state is at the end of a step, each of another."""
    assert study.md.schedule is not None
    steps = [step.name for step in study.md.schedule.steps]
    seen: dict[str, str] = {}
    for name, state in study.states.items():
        if state.after is None:
            raise ValueError(f"states.{name}: needs after, a step of md.schedule: {', '.join(steps)}")
        if state.after not in steps:
            raise ValueError(f"states.{name}.after = {state.after!r}: no step of md.schedule: {', '.join(steps)}")
        if state.after in seen:
            raise ValueError(f"states.{name}: the same specimens as states.{seen[state.after]}; each needs its own")
        seen[state.after] = name


def _check_preparation(study: Study) -> None:
    """Own structures have no trajectory; every state needs a stack; two stacks share all seeds or none."""
    method = study.preparation.method
    if study.structures and method in ("inherent", "snapshots"):
        raise ValueError(
            f"preparation.method = {method!r}: continues the molecular dynamics, which structures do not have;"
            " allowed are none, stack"
        )
    if study.preparation.method != "stack":
        return
    count = study.preparation.count
    stacks = [group for group in groups_of(study).values() if group[0].state is not None]
    for state in states_of(study):
        if not any(group[0].state == state for group in stacks):
            raise ValueError(f"preparation.count = {count}: more than the seeds of {state}, which fill no stack")
    seeds = {tuple(specimen.seed for specimen in group) for group in stacks}
    for one, other in itertools.combinations(sorted(seeds), 2):
        if set(one) & set(other):
            raise ValueError(
                f"preparation.method = 'stack': stacks of the seeds {list(one)} and {list(other)} share one, so no seed"
                " could be left out; give the states the same seeds"
            )


def _check_seeds(study: Study) -> None:
    """One of the two splits must be possible: a seed that all states have, or two seeds of every state."""
    seeds: dict[str, set[int]] = {}
    for specimen, *_ in groups_of(study).values():
        if specimen.state is not None:
            seeds.setdefault(specimen.state, set()).add(specimen.seed)
    if len(seeds) > 1 and not set.intersection(*seeds.values()) and min(map(len, seeds.values())) < 2:
        listed = "; ".join(f"{state}: {sorted(numbers)}" for state, numbers in seeds.items())
        raise ValueError(f"seeds of the states ({listed}): needs a seed that all have, or two seeds of every state")


def _check_crops(study: Study) -> None:
    if study.crops.size > study.imaging.pixels:
        raise ValueError(
            f"crops.size = {study.crops.size}: larger than the micrograph; "
            f"at most imaging.pixels = {study.imaging.pixels}"
        )
    if study.crops.random is not None and "stride" in study.crops.model_fields_set:
        raise ValueError(
            f"crops.stride = {study.crops.stride} and crops.random = {study.crops.random}: both say where crops are"
            " cut; leave one out"
        )
    crops = number(study.imaging.pixels, study.crops)
    if crops > MOST_CROPS:
        key = "stride" if study.crops.random is None else "random"
        raise ValueError(
            f"crops.{key} = {getattr(study.crops, key)}: {crops} crops per micrograph; at most {MOST_CROPS}"
        )
    if crops < 2:
        raise ValueError(
            f"crops.size = {study.crops.size}: one crop per micrograph; a random split needs at least 2 "
            f"(imaging.pixels = {study.imaging.pixels}, crops.stride = {study.crops.stride})"
        )
    pixel_size = study.imaging.field / study.imaging.pixels
    for name, recipe in study.features.items():
        if recipe.detector is not None:
            try:
                shape = (study.imaging.pixels, study.imaging.pixels)
                check_detector(recipe.detector, study.crops, shape, pixel_size)
            except PersistemError as error:
                raise ValueError(f"features.{name}.{error}") from error
    if study.imaging.slice_thickness > study.imaging.thickness:
        raise ValueError(
            f"imaging.slice_thickness = {study.imaging.slice_thickness:g}: thicker than the specimen; "
            f"at most imaging.thickness = {study.imaging.thickness:g} Å"
        )


def _check_learning(study: Study) -> None:
    states = states_of(study)
    if "LR" in study.learning.penalised_intercept and len(states) > 2:
        raise ValueError(
            f"learning.penalised_intercept: LR, and states {', '.join(states)}: liblinear tells two states apart; leave"
            " LR out, or classify two states"
        )


def _check_figures(study: Study) -> None:
    shown = study.figures
    if shown.recipe is not None and shown.recipe not in study.features:
        raise ValueError(f"figures.recipe = {shown.recipe!r}: not one of features: {', '.join(study.features)}")
    crops = number(study.imaging.pixels, study.crops)
    if shown.crop is not None and shown.crop >= crops:
        raise ValueError(f"figures.crop = {shown.crop}: a micrograph has crops 0 to {crops - 1}")


def _check_evaluation(study: Study) -> None:
    """Nested cross-validation leaves out two seeds and trains on others; a permutation swaps the states of a seed."""
    if study.evaluation is None:
        return
    seeds: dict[str, set[int]] = {state: set() for state in states_of(study)}
    for specimen, *_ in groups_of(study).values():
        if specimen.state is not None:
            seeds[specimen.state].add(specimen.seed)
    common = set.intersection(*seeds.values()) if seeds else set()
    if len(seeds) < 2 or len(common) < MINIMUM_SEEDS or any(numbers != common for numbers in seeds.values()):
        listed = "; ".join(f"{state}: {sorted(numbers)}" for state, numbers in seeds.items())
        raise ValueError(
            f"evaluation: needs two states with {MINIMUM_SEEDS} seeds or more, the same of each; there are {listed}"
        )
    _check_rows(study.evaluation)
    describing, pixels = study.evaluation.describing, study.imaging.pixels
    for size in describing.sizes:
        if size > pixels:
            raise ValueError(
                f"evaluation.describing.sizes = {size}: larger than the micrograph; at most imaging.pixels = {pixels}"
            )
        try:
            sides = study.crops.model_copy(update={"size": size, "stride": size})
            check_detector(describing.detector, sides, (pixels, pixels), study.imaging.field / pixels)
        except PersistemError as error:
            raise ValueError(f"evaluation.describing.{error}") from error


def _check_rows(evaluation: Evaluation) -> None:
    """Rows use known blocks, and so few candidates that none wins an inner fold by luck."""
    known = blocks_of(evaluation.describing)
    if twice := [name for name in evaluation.describing.images if known.count(name) > 1]:
        raise ValueError(
            f"evaluation.describing.images: {twice[0]} is the name of other descriptors; choose another name"
        )
    for k, row in enumerate(evaluation.rows):
        count = len(row.blocks) * len(evaluation.C) * len(evaluation.models)
        if count > MOST_CANDIDATES:
            raise ValueError(
                f"evaluation.rows[{k}] ({row.name}): {len(row.blocks)} blocks, {len(evaluation.C)} C and"
                f" {len(evaluation.models)} models are {count} candidates; inner folds may choose from at most"
                f" {MOST_CANDIDATES}"
            )
        for block in (name for blocks in row.blocks for name in blocks):
            if block not in known:
                raise ValueError(f"evaluation.rows[{k}].blocks: no block {block!r}; there are {', '.join(known)}")


def _check_structures(study: Study) -> None:
    for section in ("md", "potential"):
        if section in study.model_fields_set:
            raise ValueError(f"{section}: given together with structures, which replace MD; leave one out")
    names = Counter(paths.structure_id(s.state, s.seed) for s in study.structures)
    for name, count in names.items():
        if count > 1:
            raise ValueError(f"structures: {count} are called {name}; a state and a seed belong to one structure")
    problems = []
    for k, structure in enumerate(study.structures):
        if not is_file(structure.path):
            problems.append(
                f"structures[{k}].path = {structure.path!r}: no such file (paths start at the working directory)"
            )
        elif structure.types is None and needs_types(Path(structure.path)):
            problems.append(
                f"structures[{k}].types: must be given for {structure.path}, whose atoms are numbered, e.g."
                " {1: Ga, 2: N}"
            )
    if problems:
        raise ValueError("\n".join(problems))


def _check_md(study: Study) -> None:
    if study.md.schedule is None:
        _check_series(study)
    else:
        _check_schedule(study)
    species, radii = set(study.material.species), set(study.material.radii)
    if len(species) < len(study.material.species):
        raise ValueError(f"material.species = {list(study.material.species)}: an element is listed twice")
    if species != radii:
        raise ValueError(
            f"material.radii = {sorted(radii)}: needs one radius for each of material.species = {sorted(species)}"
        )
    _check_potential(study)


def _check_schedule(study: Study) -> None:
    """What a schedule replaces is not stated, steps are sampled, and its densities are held or not."""
    md = study.md
    assert md.schedule is not None
    if stated := sorted({"series", "steps", "rt"} & md.model_fields_set):
        raise ValueError(f"md.{stated[0]}: given together with md.schedule, which replaces it; leave one out")
    if study.preparation.method in ("inherent", "snapshots"):
        raise ValueError(
            f"preparation.method = {study.preparation.method!r}: goes on from a heating or an RT treatment, which a"
            " schedule does not have; allowed are none, stack"
        )
    for step in md.schedule.steps:
        length = md.schedule.of(step.name, md.timestep)[0].steps or 0
        if md.thermo_every > length:
            raise ValueError(
                f"md.thermo_every = {md.thermo_every}: the end of step {step.name}, {length} steps long, would not be"
                f" sampled; at most {length}"
            )
        for key in ("pressure", "drift"):
            if getattr(step, key) is not None and md.barostat == "none":
                raise ValueError(f"md.schedule: step {step.name} has a {key}, but md.barostat is none")
        if step.state in ("liquid", "glass") and length <= md.segment_steps:
            raise ValueError(
                f"md.segment_steps = {md.segment_steps}: whether step {step.name} ends as a {step.state} is told by how"
                f" far atoms move in its last segment, so it needs two or more; at most {length - 1}"
            )
    if md.density is not None and md.barostat != "none" and md.schedule.steps[0].density is None:
        raise ValueError(f"md.density = {md.density:g}: a barostat changes the density; give the first step a density")
    if md.density is not None and md.schedule.steps[0].density is not None:
        raise ValueError("md.density: given together with a density of the first step; leave one out")


def _check_series(study: Study) -> None:
    names = Counter(
        paths.specimen_id(t, rt, seed)
        for series in study.md.series
        for t in series.temperatures
        for seed in series.seeds
        for rt in series.rt
    )
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(f"md.series: {twice[0]} is listed twice; each specimen belongs to one series")
    shortest = min(study.md.steps, study.md.rt.steps)
    if study.md.thermo_every > shortest:
        raise ValueError(
            f"md.thermo_every = {study.md.thermo_every}: the end of a run of {shortest} steps would not be sampled; "
            f"at most {shortest}"
        )
    if study.md.density is not None and study.md.barostat != "none":
        raise ValueError(f"md.density = {study.md.density:g}: a barostat changes the density; needs md.barostat: none")


def _check_potential(study: Study) -> None:
    if study.potential.commands:
        potential_files(study.potential)
        words = {word for command in study.potential.commands for word in command.split()[1:]}
        foreign = sorted(
            word for word in words if re.fullmatch("[A-Z][a-z]?", word) and word not in study.material.species
        )
        if foreign:
            raise ValueError(f"potential.commands: {foreign[0]} is none of material.species")
        return
    try:
        text = read_text(potential_path(study.potential.file), errors="replace")
    except (PersistemError, OSError) as error:
        raise ValueError(f"potential.file = {study.potential.file!r}: {error}") from error
    for element in study.material.species:
        if not re.search(rf"^(?![ \t]*#)(.*[ \t])?{element}(\s|$)", text, re.MULTILINE):
            raise ValueError(
                f"potential.file = {study.potential.file!r}: has no parameters for {element} of material.species"
            )


def _check_field(study: Study) -> None:
    """The crystal must hold the box that is cut for multislice, with no atom in it twice."""
    if study.material.file is not None and not is_file(study.material.file):
        raise ValueError(
            f"material.file = {study.material.file!r}: no such file (paths start at the working directory)"
        )
    if math.prod(study.material.repetitions) > MOST_CELLS:
        raise ValueError(f"material.repetitions: more cells than the {MOST_CELLS:.0e} that are allowed")
    try:
        crystal = unit_cell(study.material)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        key = "material.file" if study.material.file else "material.crystal"
        raise ValueError(f"{key}: ASE cannot build the crystal ({error})") from error
    foreign = set(crystal.get_chemical_symbols()) - set(study.material.species)
    if foreign:
        raise ValueError(
            f"material.species = {list(study.material.species)}: lacks {sorted(foreign)[0]}, which is in the crystal"
        )
    imaging, where = study.imaging, "material.repetitions"
    if study.preparation.method == "stack":
        count = study.preparation.count
        imaging = imaging.model_copy(update={"thickness": imaging.thickness / count})
        where += f", each of {count} slabs in a stack"
    check_fits(crystal.cell.array * np.array(study.material.repetitions)[:, None], imaging, where)
