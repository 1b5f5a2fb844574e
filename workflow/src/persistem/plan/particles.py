"""From a study of particles on a film to the composites, their micrographs and the model that learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persistem.errors import PersistemError
from persistem.imaging import varied
from persistem.labelled import simulated
from persistem.plan.labelled import TRAINED
from persistem.plan.model import ModelPlan, varied_step, versions
from persistem.store import paths
from persistem.study.fields import part
from persistem.study.members import states_of
from persistem.study.variants import changed_section
from persistem.trial import making
from persistem.trial import particles as trial

if TYPE_CHECKING:
    from persistem.plan.plan import Plan
    from persistem.study import Conditions, Imaging, Particles

#: The settings of the imaging that a composite is built by.
BUILT = ("field", "thickness", "pixels", "margin")
#: What the plan alone needs to know of the particles.
PLANNED = ("number", "microscopes", "state")


def plan_particles(plan: Plan) -> ModelPlan:
    """Add the steps of the composites, of their micrographs under drawn conditions, and of the model."""
    study = plan.study
    asked, model = study.particles, study.model
    assert asked is not None and model is not None and model.conditions is not None
    microscopes = imaged(asked, study.imaging)
    composites = []
    for record in plan.records():
        film = plan.structure(record["specimen"])
        for k in range(asked.number):
            name, imaging = f"{record['specimen']}-p{k + 1:02d}", microscopes[k % len(microscopes)]
            made = {"imaging": part(imaging, BUILT), "film": film, "draw": [*record["seeds"], k]}
            made["particles"] = part(asked, [key for key in type(asked).model_fields if key not in PLANNED])
            structure = plan.add("composites", making.VERSION, made, of_particles=trial.VERSION)
            wave = plan.add_wave(imaging, structure)
            conditions = varied.drawn(model.conditions, [*record["seeds"], k])
            digest = varied_step(plan, imaging, conditions, wave)
            composites.append(
                {
                    "path": paths.path("varied", digest, name),
                    "structure": paths.path("composites", structure, name),
                    "specimen": record["specimen"],
                    "conditions": conditions,
                }
            )
    settings = {
        "model": part(model, (*TRAINED, "step")),
        "states": [*states_of(study), asked.state, "vacuum"],
        "pixel_size": study.imaging.field / study.imaging.pixels,
        "about": _about(asked, microscopes, model.conditions),
        "composites": composites,
    }
    digest = plan.add("fitted", simulated.VERSION, settings, **versions())
    return ModelPlan(digest, settings, "fitted")


def imaged(asked: Particles, imaging: Imaging) -> list[Imaging]:
    """The microscopes that composites are imaged by, one after another: as thick as they need, without a margin.

    Raises PersistemError if a setting that differs is none of the imaging's.
    """
    for k, changes in enumerate(asked.microscopes):
        if geometry := sorted({*BUILT, "defoci", "tilt", "strain"} & set(changes)):
            what = "is of the composite, or drawn; microscopes differ in lens and voltage"
            raise PersistemError(f"particles.microscopes[{k}]: {geometry[0]}: {what}")
    own = imaging.model_copy(update={"thickness": trial.thickness(asked), "margin": 0.0})
    return [
        changed_section(own, changes, f"particles.microscopes[{k}]") for k, changes in enumerate(asked.microscopes)
    ] or [own]


def _about(asked: Particles, microscopes: list[Imaging], conditions: Conditions) -> dict[str, Any]:
    """What was simulated, for the model's card."""
    return {
        "particles": list(dict.fromkeys(crystal.formula for crystal in asked.crystals)),
        "diameter_A": list(asked.diameter),
        "film_A": list(asked.film),
        "voltages_kV": sorted({imaging.voltage for imaging in microscopes}),
        "conditions": conditions.ranges(),
    }
