"""Checks that settings of a study fit together: its model, its own micrographs, and its composites."""

from __future__ import annotations

import math
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from persistem.errors import PersistemError
from persistem.imaging.crops import FEWEST
from persistem.imaging.detector import binning
from persistem.model.bundle import INDEX
from persistem.specimens.slabs import check_fits
from persistem.specimens.structures import crystal_cell, initial_cell
from persistem.store.files import is_file
from persistem.study.mapping import RESERVED_LABELLED
from persistem.study.members import specimens_of, states_of

if TYPE_CHECKING:
    from persistem.study import ModelSettings, Study


#: Settings of a model that its conditions replace.
LISTED = ("doses", "contrast", "mtf", "thicknesses", "spread")
#: Settings of the imaging that conditions draw anew for the micrographs of a model.
DRAWN = ("thickness", "tilt", "astigmatism", "coma", "energy_spread")


def check_model(study: Study) -> None:
    """A model needs states to tell apart, micrographs that hold its windows, and no value or block listed twice."""
    if study.model is None:
        if study.particles is not None:
            raise ValueError("particles: nothing learns from them; add a model (model: {conditions: {}})")
        return
    if study.particles is not None:
        _check_particles(study)
        return
    if study.model.share:
        raise ValueError(f"model.share = {study.model.share:g}: is of labelled micrographs; leave it out")
    if len(states_of(study)) < 2:
        raise ValueError(f"model: needs two states or more; there is {', '.join(states_of(study))}")
    model, windows, imaging = study.model, study.model.windows, study.imaging
    pixel_size = imaging.field / imaging.pixels
    if pixel_size * binning(pixel_size, windows.sampling) > 1.25 * windows.sampling:
        raise ValueError(
            f"model.windows.sampling = {windows.sampling:g}: the micrographs have pixels of {pixel_size:g} Å, which may"
            f" be at most {1.25 * windows.sampling:g} Å; raise imaging.pixels or the sampling"
        )
    if windows.size > imaging.field:
        raise ValueError(
            f"model.windows.size = {windows.size:g}: larger than the micrograph; at most imaging.field ="
            f" {imaging.field:g} Å"
        )
    _check_values(model)
    _check_conditions(study)


def _check_particles(study: Study) -> None:
    """Particles need a film, which is the study's only state, a field that holds them, and conditions of imaging."""
    asked, model = study.particles, study.model
    assert asked is not None and model is not None
    states = states_of(study)
    if len(states) != 1:
        raise ValueError(f"particles: need one state, which the film is of; there are {', '.join(states) or 'none'}")
    if asked.state in (*states, *RESERVED_LABELLED, "vacuum"):
        raise ValueError(f"particles.state = {asked.state!r}: is what something else is called; choose another name")
    for key in ("labelled", "truth"):
        if getattr(study, key):
            raise ValueError(
                f"{key}: given together with particles, whose composites are all that their model learns from"
            )
    if study.preparation.method in ("stack", "snapshots"):
        raise ValueError(f"particles: lie on a specimen; not with preparation.method = {study.preparation.method}")
    if model.conditions is None:
        raise ValueError("model.conditions: needs ranges (conditions: {}), under which composites are imaged")
    if any("conditions" in blocks for blocks in model.candidates):
        raise ValueError("model.candidates: conditions are of micrographs of one state; leave them out with particles")
    for key in ("thickness", "tilt"):
        if model.conditions.span(key) is not None:
            raise ValueError(f"model.conditions.{key}: is of whole specimens; particles.film says how thick a film is")
    if model.conditions.waves != 1:
        raise ValueError(f"model.conditions.waves = {model.conditions.waves}: a composite has one exit wave; give 1")
    field, windows = study.imaging.field, model.windows
    for key, length in (("particles.diameter", asked.diameter[1]), ("model.windows.size", windows.size)):
        if length > 0.8 * field:
            raise ValueError(f"{key}: {length:g} Å is too large for imaging.field = {field:g} Å; at most 0.8 of it")
    if not study.structures:
        film = study.imaging.model_copy(update={"thickness": asked.film[1], "margin": 0.0})
        try:
            check_fits(initial_cell(study.material), film, "particles.film")
        except PersistemError as error:
            raise ValueError(str(error)) from error
    for crystal in asked.crystals:
        try:
            crystal_cell(crystal)
        except ModuleNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"particles.crystals: {crystal.formula}: ASE cannot build it ({error})") from error
    _check_conditions(study)
    _check_values(model)


def _check_conditions(study: Study) -> None:
    """Drawn conditions stand instead of listed ones, and fit the specimen, the windows and the detector."""
    model = study.model
    assert model is not None
    asked = model.conditions
    if asked is None:
        return
    if stated := sorted(set(LISTED) & model.model_fields_set):
        raise ValueError(f"model.{stated[0]}: given together with model.conditions, which have ranges; leave one out")
    for key in DRAWN:
        ends, stated = asked.span(key), getattr(study.imaging, key)
        if ends is None or key not in study.imaging.model_fields_set:
            continue
        value = math.hypot(*stated) if key == "tilt" else stated
        low, high = ends
        if not low <= value <= high:
            raise ValueError(
                f"imaging.{key} = {value:g}: outside model.conditions.{key}, {low:g} to {high:g}, so the study's own"
                " micrographs would be of no condition that its model trains under"
            )
    if asked.span("energy_spread") is not None and study.imaging.temporal_coherence == "none":
        raise ValueError("model.conditions.energy_spread: changes nothing with imaging.temporal_coherence = none")
    pixel_size, sampling = study.imaging.field / study.imaging.pixels, model.windows.sampling
    sizes, doses = asked.span("pixel_size"), asked.span("dose")
    if sizes is not None and not pixel_size <= sizes[0] <= sizes[1] <= 1.25 * sampling:
        raise ValueError(
            f"model.conditions.pixel_size = {list(sizes)}: allowed are {pixel_size:.4g} Å, of the simulated"
            f" pixels, to {1.25 * sampling:g} Å, for windows.sampling = {sampling:g} Å"
        )
    if doses is not None and doses[0] * model.windows.size**2 < FEWEST:
        raise ValueError(
            f"model.conditions.dose = {asked.ranges()['dose']}: {doses[0] * model.windows.size**2:.3g} electrons hit a"
            f" window, too few for an image; needs {FEWEST} or more"
        )


def _check_values(model: ModelSettings) -> None:
    """No value or block is listed twice, and doses, thicknesses and C are above 0."""
    listed = {"doses": model.doses, "thicknesses": model.thicknesses, "C": model.C}
    for name, values in listed.items():
        if len(set(values)) < len(values):
            raise ValueError(f"model.{name} = {list(values)}: a value is listed twice")
        if any(value is not None and value <= 0 for value in values):
            raise ValueError(f"model.{name} = {list(values)}: all have to be above 0")
    for k, blocks in enumerate(model.candidates):
        if not blocks or len(set(blocks)) < len(blocks):
            raise ValueError(f"model.candidates[{k}] = {list(blocks)}: needs one block or more, each once")


#: Settings of a model that are of simulated micrographs alone.
SIMULATED = ("stride", "contrast", "mtf", "thicknesses", "spread")
#: What a study that learns from labelled micrographs may state.
WITH_LABELLED = {"name", "labelled", "model", "micrographs", "map_with", "run"}


def check_labelled_alone(study: Study) -> None:
    """Where nothing is simulated, a study states nothing of simulations."""
    beside = sorted(study.model_fields_set - WITH_LABELLED)
    if beside:
        raise ValueError(
            f"{beside[0]}: given together with labelled, but such a study simulates nothing; leave it out"
            f" (allowed are {', '.join(sorted(WITH_LABELLED))})"
        )
    check_labelled(study)
    assert study.model is not None
    simulated = [key for key in SIMULATED if key in study.model.model_fields_set]
    if simulated:
        raise ValueError(f"model.{simulated[0]}: is of simulated micrographs; leave it out beside labelled")
    _check_values(study.model)


def check_labelled(study: Study) -> None:
    """Labelled micrographs are files that are listed once, and a model learns from them."""
    if not study.labelled:
        return
    if study.model is None:
        raise ValueError("labelled: nothing learns from them; add a model (model: {})")
    if any("conditions" in blocks for blocks in study.model.candidates):
        raise ValueError("model.candidates: conditions are of simulated micrographs; leave them out beside labelled")
    if study.truth is not None:
        raise ValueError("truth: given together with labelled, but composites try models of simulations alone")
    seen = set()
    for k, entry in enumerate(study.labelled):
        for key, path in (("path", entry.path), ("labels", entry.labels)):
            if not is_file(path):
                raise ValueError(f"labelled[{k}].{key} = {path!r}: no such file (paths start at the working directory)")
        if Path(entry.path).resolve() in seen:
            raise ValueError(f"labelled[{k}].path = {entry.path!r}: is listed twice; one file holds all its labels")
        seen.add(Path(entry.path).resolve())
        if entry.states is not None and not entry.states:
            raise ValueError(f"labelled[{k}].states = {{}}: names no state; null: what the JSON beside the labels says")
        names = list((entry.states or {}).values())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"labelled[{k}].states: two of them are called {twice[0]}; each state has a name of its own"
            )
        reserved = [name for name in names if name in RESERVED_LABELLED]
        if reserved:
            raise ValueError(f"labelled[{k}].states: one is called {reserved[0]}, which maps say of windows")


def check_micrographs(study: Study) -> None:
    """Micrographs need a model that maps them; each is a file that is listed once."""
    if not study.micrographs:
        return
    if study.map_with is None and study.model is None:
        raise ValueError(
            "micrographs: nothing maps them; add a model (model: {}), or name a finished one (map_with: its folder)"
        )
    if study.map_with is not None and not is_file(Path(study.map_with) / INDEX):
        raise ValueError(f"map_with = {study.map_with!r}: not the folder of a model; it has no {INDEX}")
    seen = set()
    for path in (Path(micrograph.path) for micrograph in study.micrographs):
        if not is_file(path):
            what = "no file matches" if has_magic(str(path)) else "no such file"
            raise ValueError(f"micrographs: path = {str(path)!r}: {what} (paths start at the working directory)")
        if path.resolve() in seen:
            raise ValueError(f"micrographs: {path} is listed twice; a file has one pixel size, voltage and defocus")
        seen.add(path.resolve())


def check_trial(study: Study) -> None:
    """Composites need a model, states that it knows, seeds of both states, and other seeds to train on."""
    asked = study.truth
    if asked is None:
        return
    if study.model is None:
        raise ValueError("truth: there is no model to try; add one (model: {})")
    states = states_of(study)
    pairs = [(f"splices[{k}]", splice.states) for k, splice in enumerate(asked.splices)]
    pairs += [(f"melts[{k}]", melt.states) for k, melt in enumerate(asked.melts)]
    for where, pair in pairs:
        if pair[0] == pair[1] or not set(pair) <= set(states):
            raise ValueError(f"truth.{where}.states = {list(pair)}: needs two different ones of {', '.join(states)}")
    if asked.melts and (study.material.file or study.structures):
        raise ValueError("truth.melts: melts the crystal of material.crystal; not with material.file or structures")
    if asked.melts and study.md.schedule is not None:
        raise ValueError("truth.melts: are heated for md.steps and treated as md.rt says; not with md.schedule")
    if asked.splices and study.preparation.method in ("stack", "snapshots"):
        raise ValueError(
            "truth.splices: splices one arrangement of the atoms of a seed; not with preparation.method ="
            f" {study.preparation.method}"
        )
    if not asked.melts and all(splice.chooses for splice in asked.splices):
        raise ValueError("truth.splices: all of them choose the window; needs one with chooses = false, or a melt")
    for k, splice in enumerate(asked.splices):
        if splice.vacuum is not None and not 0 <= splice.vacuum[0] < splice.vacuum[1] <= asked.field:
            raise ValueError(
                f"truth.splices[{k}].vacuum = {list(splice.vacuum)}: first and last row have to be in this order and"
                f" within 0 and truth.field = {asked.field:g} Å"
            )
    kept = {seed for splice in asked.splices for seed in splice.seeds}
    training: set[int] = set()
    for state in states:
        seeds = {s.seed for s in specimens_of(study) if s.state == state}
        if not seeds - kept:
            raise ValueError(f"truth.splices: their seeds {sorted(kept)} leave {state} none to train on")
        training |= seeds - kept
    for k, melt in enumerate(asked.melts):
        if known := sorted(training & set(melt.seeds)):
            raise ValueError(
                f"truth.melts[{k}].seeds = {list(melt.seeds)}: the model is trained on specimens of seed {known[0]}; a"
                f" trial needs others than {sorted(training)}"
            )
    for k, stranger in enumerate(asked.strangers):
        if stranger.state is not None and stranger.state not in states:
            raise ValueError(f"truth.strangers[{k}].state = {stranger.state!r}: one of {', '.join(states)}, or null")
    field = min(study.imaging.field, asked.field)
    if study.model.windows.size > asked.field:
        raise ValueError(
            f"truth.field = {asked.field:g}: smaller than a window; at least model.windows.size ="
            f" {study.model.windows.size:g} Å"
        )
    for size in asked.sizes:
        if not 16 * study.model.windows.sampling <= size <= field:
            raise ValueError(
                f"truth.sizes = {list(asked.sizes)}: windows of {size:g} Å; allowed are"
                f" {16 * study.model.windows.sampling:g} Å (16 pixels) to {field:g} Å, the"
                " smaller of imaging.field and truth.field"
            )
