"""From a study to its figures and report: what each is drawn from.

The settings of these stages name the files that they read, relative to the folder that holds ``results/``. A path
carries the digest of what made the file, so the settings alone determine a figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any

from persistem.imaging.crops import positions
from persistem.imaging.optics import focused
from persistem.learning import accuracy as learning_stage
from persistem.learning import weights
from persistem.plan.evaluation import evaluation_figures
from persistem.plan.trial import trial_figures
from persistem.report.figures import FIGURES, module
from persistem.specimens import schedule, state_checks
from persistem.store import paths
from persistem.study.fields import part
from persistem.study.members import Specimen, states_of, target_of
from persistem.topology import diagrams, diagrams_3d, inverse, optimal_volumes

if TYPE_CHECKING:
    from persistem.plan.plan import Plan

#: Bump when the report changes for the same study: its page, or how claims are decided.
REPORT = 3


@dataclass(frozen=True)
class ReportPlan:
    """The files of a study's report, by specimen or figure; empty if nothing is simulated."""

    checks: dict[str, str] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    report: str = ""


def plan_report(plan: Plan) -> ReportPlan:
    """Add the steps of the figures and the report to a plan."""
    return _Drawing(plan).plan_all()


class _Drawing:
    """What the figures of one study share."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.study = plan, plan.study
        self.shown = self.study.figures
        self.states = states_of(self.study)
        self.recipe_name = self.shown.recipe or next(iter(self.study.features))
        self.recipe = self.study.features[self.recipe_name]
        self.defocus = min(plan.defoci, key=lambda name: abs(plan.defoci[name] - self.shown.defocus))
        self.in_focus = list(compress(plan.defoci, focused([*plan.defoci.values()], self.study.learning.in_focus)))
        self.crop = self._crop()
        self.examples = self._examples()
        # of one specimen, not of its stack
        self.thickness = self.study.imaging.thickness / max(map(len, plan.members.values()))
        binning = self.recipe.detector.binning if self.recipe.detector else 1
        self.pixel_size = self.study.imaging.field / self.study.imaging.pixels * binning

    def plan_all(self) -> ReportPlan:
        """Add every step, from the checks to the report."""
        checks = {name: self._check(specimen) for name, specimen in self.plan.specimens.items()}
        figures = {}
        asked = {name: getattr(self, f"_{name.replace('-', '_')}")() for name in FIGURES}
        asked |= evaluation_figures(self.plan) | trial_figures(self.plan)
        for name, settings in asked.items():
            also = {"classifiers": learning_stage.VERSION} if name == "figure-3" else {}
            digest = self.plan.add("figures", module(name).VERSION, {"figure": name} | settings, **also)
            figures[name] = paths.path("figures", digest, figure=name)
        digest = self.plan.add("report", REPORT, self._report(checks, figures))
        return ReportPlan(checks, figures, paths.path("report", digest))

    def _crop(self) -> int:
        """The crop shown: the one asked for, or the first of those nearest the micrograph's centre."""
        if self.shown.crop is not None:
            return self.shown.crop
        side, size = self.study.imaging.pixels, self.study.crops.size
        off_centre = abs(positions((side, side), self.study.crops) + size / 2 - side / 2).sum(axis=1)
        return int(off_centre.argmin())

    def _examples(self) -> list[Specimen]:
        """One specimen of each state, of the first seed that all states share, if any."""
        by_state = {state: [s for s in self.plan.classified if s.state == state] for state in self.states}
        common = set.intersection(*({s.seed for s in specimens} for specimens in by_state.values()))
        first = min(common, default=None)
        return [next((s for s in group if s.seed == first), group[0]) for group in by_state.values() if group]

    def _path(self, stage: str, specimen: Specimen, defocus: str = "") -> str:
        recipe = "" if stage in ("exit_waves", "micrographs") else self.recipe_name
        digest = self.plan.digest(stage, specimen.name, "" if stage == "specimens" else recipe)
        return paths.path(stage, digest, specimen.name, defocus)

    def _diagram_3d(self, specimen: Specimen, periodic: bool) -> dict[str, str]:
        """HomCloud's file of a 3D diagram, and its pairs."""
        imaging = self.study.imaging
        settings = {"radii": self._radii(), "side": [imaging.field, self.thickness], "periodic": periodic}
        digest = self.plan.add(
            "diagrams_3d", diagrams_3d.VERSION, settings, self.plan.digest("specimens", specimen.name)
        )
        pattern = {"digest": digest, "specimen": specimen.name}
        return {
            "pdgm": paths.path("diagrams_3d", digest, specimen.name),
            "parquet": paths.beside("diagrams_3d", "{specimen}.parquet").format(**pattern),
        }

    def _radii(self) -> dict[str, float]:
        """Radii of elements (Å); in own structures, covalent radii of the elements that the study does not state."""
        stated = dict(self.study.material.radii)
        if not self.study.structures:
            return stated
        from ase.data import chemical_symbols, covalent_radii, missing

        known = zip(chemical_symbols, covalent_radii, strict=True)
        return {element: float(radius) for element, radius in known if radius != missing} | stated

    def _slab(self) -> dict[str, Any]:
        imaging = self.study.imaging
        cube = min(self.shown.cube, imaging.field, self.thickness)
        return {"cube": cube, "field": imaging.field, "thickness": self.thickness, "radii": self._radii()}

    def _images(self, stage: str, defoci: list[str]) -> list[dict[str, Any]]:
        """A stage's files of every classified specimen at some defoci."""
        return [
            record(s) | {"path": self._path(stage, s, name), "defocus": self.plan.defoci[name]}
            for s in self.plan.classified
            for name in defoci
        ]

    def _example_crops(self, **more: str) -> list[dict[str, Any]]:
        """The crop shown of each state, with the files of other stages under the keys of ``more``."""
        return [
            record(s)
            | {"path": self._path("crops", s, self.defocus)}
            | {"defocus": self.plan.defoci[self.defocus], "index": self.crop}
            | {key: self._path(stage, s, self.defocus) for key, stage in more.items()}
            for s in self.examples
        ]

    def _check(self, specimen: Specimen) -> str:
        """Plan the check of a specimen's state; return its file."""
        study = self.study
        settings = record(specimen) | {"structure": self._path("specimens", specimen)}
        settings |= {"species": None, "reference": None, "thermo": None, "target_K": None, "target_GPa": None}
        if specimen.structure is None:
            digest = self.plan.digest("specimens", specimen.name)
            material = study.material.model_dump(mode="json", include={"crystal", "file", "repetitions", "species"})
            reference: dict[str, Any] = {"kind": "crystal", "material": material}
            if specimen.rt:
                hot = paths.path(
                    "specimens",
                    self.plan.input_digest("specimens", digest),
                    paths.untreated_id(specimen.name),
                )
                reference = {"kind": "specimen", "structure": hot}
            settings |= {
                "species": list(study.material.species),
                "reference": reference,
                "thermo": paths.beside("specimens", "thermo.csv").format(digest=digest, specimen=specimen.name),
                "target_K": target_of(study, specimen),
                "target_GPa": self._pressure(specimen),
                "timestep_fs": study.md.timestep,
            }
        return paths.path("state_checks", self.plan.add("state_checks", state_checks.VERSION, settings), specimen.name)

    def _pressure(self, specimen: Specimen) -> float | None:
        """The pressure (GPa) that a specimen is held at; None if its density is."""
        md = self.study.md
        if specimen.step is None or md.schedule is None:
            return None if md.barostat == "none" else md.pressure
        return schedule.pressure_of(md, md.schedule.named(specimen.step))

    def _volumes(self) -> str:
        diagrams = [
            record(s) | self._diagram_3d(s, self.study.diagrams_3d.periodic) | {"structure": self._path("specimens", s)}
            for s in self.plan.classified
        ]
        settings = self._slab() | {
            "diagrams": diagrams,
            "states": self.states,
            "region": self.shown.region,
            "degree": 1,
            "most": self.shown.volumes,
        }
        return paths.path("optimal_volumes", self.plan.add("optimal_volumes", optimal_volumes.VERSION, settings))

    def _weights(self) -> str:
        learning = self.study.learning
        settings = {
            "states": self.states,
            "recipe": part(self.recipe),
            "sources": self._images("persistence_images", list(self.plan.defoci)),
            "models": list(learning.models),
            "C": learning.C,
            "scaling": learning.scaling,
            **part(learning, ("penalised_intercept",)),
        }
        digest = self.plan.add("weights", weights.VERSION, settings, classifiers=learning_stage.VERSION)
        return paths.path("weights", digest)

    def _inverse(self, specimen: Specimen) -> str:
        crops = self._path("crops", specimen, self.defocus)
        settings = {"crops": crops, "index": self.crop, "filtrations": list(self.recipe.filtrations)}
        digest = self.plan.add("inverse", inverse.VERSION, settings, diagrams=diagrams.VERSION)
        return paths.path("inverse", digest, specimen.name, self.defocus)

    def _figure_1(self) -> dict[str, Any]:
        simulated = list(dict.fromkeys(s.temperature for s in self.plan.imaged))
        temperatures = [t for t in self.shown.temperatures if t in simulated] or simulated[:3]
        panels = self.examples
        if not self.study.structures:
            groups = [[s for s in self.plan.imaged if s.temperature == t] for t in temperatures]
            seeds = [min(s.seed for s in group) for group in groups]
            panels = [s for group, seed in zip(groups, seeds, strict=True) for s in group if s.seed == seed]
        return self._slab() | {
            "shown": "periodic" if self.study.diagrams_3d.periodic else "open",
            "panels": [
                record(s)
                | {
                    "structure": self._path("specimens", s),
                    "micrograph": self._path("micrographs", s, self.defocus),
                    "defocus": self.plan.defoci[self.defocus],
                    "diagram": self._diagram_3d(s, periodic=False)["parquet"],
                    "diagram_periodic": self._diagram_3d(s, periodic=True)["parquet"],
                }
                for s in panels
            ],
        }

    def _figure_2(self) -> dict[str, Any]:
        periodic = self.study.diagrams_3d.periodic
        return self._slab() | {
            "volumes": self._volumes(),
            "structures": [
                record(s)
                | {"structure": self._path("specimens", s), "diagram": self._diagram_3d(s, periodic)["parquet"]}
                for s in self.examples[:2]
            ],
        }

    def _figure_3(self) -> dict[str, Any]:
        imaging = self.study.imaging
        return {
            "states": self.states,
            "micrographs": self._images("micrographs", list(self.plan.defoci)),
            "crops": part(self.study.crops),
            "learning": part(self.study.learning),
            "voltage": imaging.voltage,
            "thickness": imaging.thickness,
            "defocus_origin": imaging.defocus_origin,
        }

    def _figure_4(self) -> dict[str, Any]:
        return {
            "states": self.states,
            "recipe": self.recipe_name,
            "filtration": self.recipe.filtrations[0],
            "pixel_size_A": self.pixel_size,
            "crops": self._example_crops(),
            "islands": [
                crops | {"diagrams": diagrams["path"]}
                for crops, diagrams in zip(
                    self._images("crops", self.in_focus), self._images("diagrams", self.in_focus), strict=True
                )
            ],
        }

    def _figure_5(self) -> dict[str, Any]:
        return {
            "states": self.states,
            "filtrations": list(self.recipe.filtrations),
            "pixel_size_A": self.pixel_size,
            "crops": self._example_crops(diagrams="diagrams"),
        }

    def _figure_6(self) -> dict[str, Any]:
        return {
            "states": self.states,
            "weights": self._weights() if len(self.states) > 1 else None,
            "scaling": self.study.learning.scaling,
        }

    def _figure_7(self) -> dict[str, Any]:
        model = "SVC" if "SVC" in self.study.learning.models else self.study.learning.models[0]
        return {
            "states": self.states,
            "weights": self._weights() if len(self.states) > 1 else None,
            "model": model,
            "degrees": "0+1",
            "pixel_size_A": self.pixel_size,
            "crops_per_micrograph": self.plan.crops_per_micrograph,
            "crops": [
                crop | {"inverse": self._inverse(s)}
                for crop, s in zip(self._example_crops(diagrams="diagrams"), self.examples, strict=True)
            ],
            "diagrams": self._images("diagrams", self.in_focus),
        }

    def _figure_8(self) -> dict[str, Any]:
        digest = self.plan.learning.get(self.recipe_name)
        return {
            "states": self.states,
            "recipe": self.recipe_name,
            "accuracy": paths.path("learning", digest) if digest else None,
            "in_focus": self.study.learning.in_focus,
        }

    def _report(self, checks: dict[str, str], figures: dict[str, str]) -> dict[str, Any]:
        plan = self.plan
        study = self.study.model_dump(mode="json", exclude={"run"})
        return self._slab() | {
            "name": self.study.name,
            "study": study,
            "digest": plan.study_digest,
            "states": self.states,
            "recipe": self.recipe_name,
            "specimens": [
                record(s) | {"check": checks[name], "summary": plan.summary(name)} for name, s in plan.specimens.items()
            ],
            "accuracy": {name: paths.path("learning", digest) for name, digest in plan.learning.items()},
            "figures": figures,
            "volumes": self._volumes(),
            "structures": [record(s) | {"structure": self._path("specimens", s)} for s in self.examples[:2]],
            "inverse": [
                crop | {"inverse": self._inverse(s)}
                for crop, s in zip(self._example_crops(), self.examples, strict=True)
            ],
            "micrographs": [
                record(s) | {"path": self._path("micrographs", s, name), "defocus": defocus}
                for s in self.examples
                for name, defocus in plan.defoci.items()
            ],
            "pixel_size_A": self.pixel_size,
            "timed": {stage: list(steps) for stage, steps in plan.steps.items() if stage != "report"},
        }


def record(specimen: Specimen) -> dict[str, Any]:
    """What a figure says about a specimen."""
    return {
        "specimen": specimen.name,
        "state": specimen.state,
        "seed": specimen.seed,
        "temperature": specimen.temperature,
        "rt": specimen.rt,
    }
