"""From a study to what has to be computed: specimens, and the digest and settings of every stage.

A digest covers a stage's slice of the study, its version and the digest of its input, so a changed parameter gives a
new path: exactly the stages that see it run, the old results stay, and studies share what they have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from persistem.errors import PersistemError
from persistem.imaging import crops, exit_waves, micrographs
from persistem.learning import accuracy as learning
from persistem.plan.evaluation import plan_evaluation
from persistem.plan.labelled import LabelledPlan, plan_labelled
from persistem.plan.maps import plan_maps
from persistem.plan.model import ModelPlan, model_settings, plan_model
from persistem.plan.particles import plan_particles
from persistem.plan.report import ReportPlan, plan_report
from persistem.plan.trial import plan_trial
from persistem.specimens import md, preparation, schedule, structures
from persistem.store import paths
from persistem.store.digests import content, digest_of
from persistem.study import Imaging, Structure, Study
from persistem.study.fields import part
from persistem.study.members import Specimen, groups_of, specimens_of, states_of
from persistem.topology import diagrams, persistence_images

#: Stages that show results and name the study.
PAGES = ("overview", "report")


@dataclass(frozen=True)
class Step:
    """What one digest of a stage stands for: the settings of its jobs, and the digests of its inputs."""

    stage: str
    version: int
    settings: dict[str, Any]
    identity: dict[str, Any] = field(repr=False)
    inputs: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The digest of the step."""
        return digest_of(self.stage, self.version, self.identity, list(self.inputs))


class Plan:
    """The steps of a study, by stage and digest, and which digest serves which specimen."""

    def __init__(self, study: Study, of: Plan | None = None, learned: bool = True) -> None:
        """The plan of a study; or of a variant, whose steps are added to the plan ``of`` of its study.

        A variant has no report, and unless ``learned`` nothing below its micrographs is planned.
        """
        self.study = study
        self.recipes = study.features if learned else {}
        self.specimens = _simulated(study)
        #: what is imaged under a specimen's name, itself or the members of its stack; and their seeds
        self.members = groups_of(study)
        self.seeds = {name: tuple(s.seed for s in group) for name, group in self.members.items()}
        self.imaged = [self.specimens[name] for name in self.members]
        self.classified = [s for s in self.imaged if s.state is not None]
        self.defoci = {paths.defocus_id(d): d for d in study.imaging.defoci}
        self.crops_per_micrograph = crops.number(study.imaging.pixels, study.crops)
        self.steps: dict[str, dict[str, Step]] = of.steps if of else {stage: {} for stage in paths.STAGES}
        #: this plan and the plans of variants, in the order of their making
        self.plans: list[Plan] = of.plans if of else []
        self.plans.append(self)
        self._specimen = self._specimen_digests()
        self._prepared = {name: self._prepared_step(group) for name, group in self.members.items()}
        self._image_digests()
        # a single state cannot be classified, but can be shown
        recipes = self.recipes if len(states_of(study)) > 1 else {}
        self.learning = {name: self._learning_step(name) for name in recipes}
        if not of:
            self.evaluation = plan_evaluation(self)
            self.labelled, self.model = self._models()
            self.maps = plan_maps(self)
            self.trial = plan_trial(self)
            self.report = ReportPlan() if study.labelled_alone else plan_report(self)

    @property
    def study_digest(self) -> str:
        """The digest of all that the results stand on; not of the pages, which quote settings that change none."""
        steps = {stage: sorted(made) for stage, made in self.steps.items() if made and stage not in PAGES}
        return digest_of("study", 1, steps, [])

    def variant(self, study: Study, learned: bool = False) -> Plan:
        """The plan of a variant of the study: one of ``plans`` if it is there, else a new one."""
        known = (plan for plan in self.plans if plan.study == study and bool(plan.recipes) == learned)
        return next(known, None) or Plan(study, of=self, learned=learned)

    def plan_of(self, specimen: str, stage: str, digest: str) -> Plan:
        """The plan, of this study or a variant, in which a specimen has this digest of a stage."""
        return next(plan for plan in self.plans if plan.has(specimen, stage, digest))

    def has(self, specimen: str, stage: str, digest: str) -> bool:
        """Whether a specimen has this digest of a stage."""
        return (self._specimen if stage == "specimens" else self._prepared).get(specimen) == digest

    def digest(self, stage: str, specimen: str, recipe: str = "") -> str:
        """The digest of ``stage`` for a specimen (and, below the micrographs, a recipe)."""
        if stage in ("specimens", "prepared"):
            return (self._specimen if stage == "specimens" else self._prepared)[specimen]
        return self._images[stage, specimen, recipe]

    def settings(self, stage: str, digest: str) -> dict[str, Any]:
        """The slice of the study that the jobs of a stage and digest receive, as plain values."""
        return self._step(stage, digest).settings

    def inputs(self, stage: str, digest: str) -> tuple[str, ...]:
        """The digests of the steps that make this step's inputs."""
        return self._step(stage, digest).inputs

    def input_digest(self, stage: str, digest: str) -> str:
        """The digest of the step that makes this step's input."""
        return self._step(stage, digest).inputs[0]

    def sources(self, stage: str, digest: str) -> list[str]:
        """The files that the step of a figure or of the report reads; for the report also every file of its figures."""
        files = paths.files_in(self.settings(stage, digest))
        pictures = [str(Path(f).with_suffix(s)) for f in self.report.figures.values() for s in paths.FIGURE_SUFFIXES]
        return list(dict.fromkeys(files + (pictures if stage == "report" else [])))

    def report_files(self) -> dict[str, str]:
        """Every file of the report under its digest, and where the study's folder shows it."""
        if not self.report.report:
            return {}
        name, report = self.study.name, Path(self.report.report)
        files = {self.report.report: paths.report(name)}
        for table in paths.REPORT_TABLES:
            files[str(report.with_name(table))] = paths.study_file(name, f"tables/{table}")
        for figure, path in self.report.figures.items():
            for suffix in paths.FIGURE_SUFFIXES:
                files[str(Path(path).with_suffix(suffix))] = paths.study_file(name, f"figures/{figure}{suffix}")
        return files

    def overview_files(self) -> dict[str, str]:
        """The overview and its text under their digest, and where a study with a trial shows them."""
        page, name = self.trial.overview, self.study.name
        if not page:
            return {}
        return {page: paths.overview(name), str(Path(page).with_name(paths.SUMMARY)): paths.summary(name)}

    def model_files(self) -> dict[str, str]:
        """Every file of the model's bundle under its digest, and where the study's folder shows it."""
        name = self.study.name
        return {path: paths.model_file(name, Path(path).name) for path in self.model.files}

    def unseen_files(self) -> dict[str, str]:
        """The page on labelled micrographs that the model has not seen, its numbers, and where a study shows them."""
        page, name = self.labelled.unseen, self.study.name
        if not page:
            return {}
        return {str(Path(page).with_name(file)): paths.study_file(name, file) for file in paths.UNSEEN}

    def _step(self, stage: str, digest: str) -> Step:
        if digest not in self.steps[stage]:
            known = ", ".join(self.steps[stage])
            raise PersistemError(
                f"{paths.RESULTS}/{stage}/{digest} is not in study {self.study.name!r}, which has {known}"
            )
        return self.steps[stage][digest]

    def files(self, stage: str, made: bool = False) -> list[str]:
        """Every file of a stage; ``made`` leaves out the specimens that the tables do not need imaged."""
        imaged = self.classified if made else self.imaged
        if stage == "specimens":
            return [paths.path(stage, d, name) for name, d in self._specimen.items()]
        if stage == "prepared" and self.study.preparation.method == "none":
            return []
        if stage in ("prepared", "exit_waves"):
            return [paths.path(stage, self.digest(stage, s.name), s.name) for s in imaged]
        if stage == "learning":
            return [paths.path(stage, digest) for digest in self.learning.values()]
        recipes = [""] if stage == "micrographs" else list(self.study.features)
        return [
            paths.path(stage, self.digest(stage, s.name, recipe), s.name, defocus)
            for recipe in recipes
            for s in (imaged if stage == "micrographs" else self.classified)
            for defocus in self.defoci
        ]

    def records(self) -> list[dict[str, Any]]:
        """Specimen, state and seeds (several for a stack) of everything that is classified and imaged."""
        return [
            {"specimen": s.name, "state": s.state, "seeds": list(self.seeds[s.name])}
            for s in self.classified
            if s.name in self.seeds
        ]

    def structure(self, specimen: str) -> str:
        """The structure of a specimen that is imaged: its own, or what is prepared of it."""
        stage = "specimens" if self.study.preparation.method == "none" else "prepared"
        return paths.path(stage, self.digest("prepared", specimen), specimen)

    def summary(self, specimen: str) -> str:
        """A specimen's file for the table of specimens, beside its structure."""
        return paths.beside("specimens", "summary.json").format(digest=self._specimen[specimen], specimen=specimen)

    @cached_property
    def crops_of(self) -> dict[str, int]:
        """How many crops a micrograph has, by the digest of their diagrams."""
        return {s.inputs[0]: s.settings["crops_per_micrograph"] for s in self.steps["persistence_images"].values()}

    def add(self, stage: str, version: int, settings: dict[str, Any], *inputs: str, **identity: Any) -> str:
        """Add a step, unless it is there, and return its digest; ``identity`` replaces settings in the digest."""
        step = Step(stage, version, settings, {**settings, **identity}, inputs)
        return self.steps[stage].setdefault(step.digest, step).digest

    def add_images(self, imaging: Imaging, structure: str) -> tuple[str, str]:
        """Add the steps that image the structure of a digest; the digests of its exit wave and its micrographs."""
        wave = self.add_wave(imaging, structure)
        settings = part(imaging, micrographs.KEYS)
        return wave, self.add("micrographs", micrographs.VERSION, settings, wave, **self.device)

    def add_wave(self, imaging: Imaging, structure: str) -> str:
        """Add the step that makes the exit wave of the structure of a digest; its digest."""
        return self.add("exit_waves", exit_waves.VERSION, part(imaging, exit_waves.KEYS), structure, **self.device)

    @property
    def device(self) -> dict[str, str]:
        """What digests say of the device: a GPU's results differ in the last digits, which 16-bit CLAHE shows."""
        return {"device": "gpu"} if self.study.run.device == "gpu" else {}

    def _models(self) -> tuple[LabelledPlan, ModelPlan]:
        """What is learned from labelled micrographs, if the study has some, and the model."""
        if self.study.particles is not None:
            return LabelledPlan(), plan_particles(self)
        if not self.study.labelled:
            return LabelledPlan(), plan_model(self)
        simulated = None if self.study.labelled_alone else model_settings(self)
        made, digest, settings = plan_labelled(self, simulated)
        return made, ModelPlan(digest, settings, "fitted")

    def _specimen_digests(self) -> dict[str, str]:
        study = self.study
        if study.labelled_alone:
            return {}
        if study.structures:
            return {s.name: self._own_structure(s.structure) for s in self.specimens.values() if s.structure}
        material = part(study.material, md.MATERIAL_KEYS)
        potential = part(study.potential)
        check = part(study.md, ("temperature_tolerance",))  # decides whether a run is accepted, not what it is
        protocol = part(study.md, md.KEYS)
        heating = {"material": material, "potential": potential, "md": protocol | check}
        file = {"potential": structures.known_forces(study.potential), "md": protocol}
        if study.material.file:
            file["material"] = {**material, "file": content(Path(study.material.file))}
        if study.md.schedule is not None:
            return self._followed(heating, file)
        hot = self.add("specimens", md.VERSION, heating, **file)
        settings = {**heating, "md": protocol | check | part(study.md, ("rt",))}
        # the hot state's digest already covers the heating settings
        treated = Step("specimens", md.VERSION, settings, {"rt": part(study.md.rt)}, (hot,))
        # keep the study's own step if a variant differs only in what no digest covers
        self.steps["specimens"].setdefault(treated.digest, treated)
        return {s.name: treated.digest if s.rt else hot for s in self.specimens.values()}

    def _followed(self, heating: dict[str, Any], file: dict[str, Any]) -> dict[str, str]:
        """The digest of every step of the schedule, each of which goes on from the one before."""
        md_of = self.study.md
        assert md_of.schedule is not None
        digests: dict[str, str] = {}
        before: str | None = None
        left_out = ("steps", "schedule")
        common = {key: value for key, value in heating["md"].items() if key not in left_out}
        for one in md_of.schedule.steps:
            step, begin = md_of.schedule.of(one.name, md_of.timestep)
            own = part(step, [key for key in type(step).model_fields if key != "rate"])
            settings = {**heating, "md": common, "step": own, "begin": begin}
            asked = {"step": {k: v for k, v in own.items() if k not in schedule.JUDGED}, "begin": begin}
            if before is None:
                known = {**file, "md": {k: v for k, v in file["md"].items() if k not in left_out}, **asked}
                before = self.add("specimens", schedule.VERSION, settings, **known)
            else:  # the digest of the step before covers what they share
                made = Step("specimens", schedule.VERSION, settings, asked, (before,))
                before = self.steps["specimens"].setdefault(made.digest, made).digest
            digests[one.name] = before
        return {s.name: digests[s.step] for s in self.specimens.values() if s.step}

    def _own_structure(self, structure: Structure) -> str:
        settings = part(structure, ("path", "types", "frame"))
        return self.add("specimens", structures.VERSION, settings, path=content(Path(structure.path)))

    def _prepared_step(self, group: tuple[Specimen, ...]) -> str:
        """The digest of what is imaged: the specimen's own if nothing is prepared."""
        study, first = self.study, self._specimen[group[0].name]
        if study.preparation.method == "none":
            return first
        settings: dict[str, Any] = {"preparation": part(study.preparation)}
        if study.preparation.method == "stack":
            # stacks with the same first member have the same name
            settings |= {"imaging": part(study.imaging, preparation.KEYS), "seeds": [s.seed for s in group]}
            members = dict.fromkeys(self._specimen[s.name] for s in group)
            return self.add("prepared", preparation.VERSION, settings, *members)
        # the specimen's digest already covers the settings of the molecular dynamics
        step = Step("prepared", preparation.VERSION, self.settings("specimens", first) | settings, settings, (first,))
        return self.steps["prepared"].setdefault(step.digest, step).digest

    def _image_digests(self) -> None:
        study = self.study
        self._images: dict[tuple[str, str, str], str] = {}
        cut = part(study.crops)
        for name in self.members:
            wave, image = self.add_images(study.imaging, self._prepared[name])
            self._images["exit_waves", name, ""] = wave
            self._images["micrographs", name, ""] = image
            for label, recipe in self.recipes.items():
                detector = {"detector": part(recipe.detector)} if recipe.detector else {}
                chain: list[tuple[str, int, dict[str, Any]]] = [
                    (
                        "crops",
                        crops.VERSION,
                        {"intensity": part(recipe.intensity), "crops": cut, **detector, **part(recipe, ("inverted",))},
                    ),
                    ("diagrams", diagrams.VERSION, part(recipe, ("filtrations", "positions"))),
                    (
                        "persistence_images",
                        persistence_images.VERSION,
                        part(recipe, ("filtrations", "bins", "sigma", "sigma_unit", "weight"))
                        | {"crops_per_micrograph": self.crops_per_micrograph},
                    ),
                ]
                digest = image
                for stage, version, settings in chain:
                    digest = self._images[stage, name, label] = self.add(stage, version, settings, digest)

    def _learning_step(self, recipe: str) -> str:
        specimens = [
            {"specimen": s.name, "state": s.state, "seed": s.seed, "digest": images}
            for s in self.classified
            for images in [self.digest("persistence_images", s.name, recipe)]
        ]
        sources = [
            {
                "path": paths.path("persistence_images", str(record["digest"]), str(record["specimen"]), name),
                "specimen": record["specimen"],
                "state": record["state"],
                "seed": record["seed"],
                "defocus": defocus,
            }
            for record in specimens
            for name, defocus in self.defoci.items()
        ]
        settings = {
            "recipe": recipe,
            "states": states_of(self.study),
            "learning": part(self.study.learning),
            "sources": sources,
        }
        # digests cover specimens and defoci, as they did before the settings named files
        known = {"sources": specimens, "defoci": list(self.defoci.values())}
        images = sorted({str(record["digest"]) for record in specimens})
        return self.add("learning", learning.VERSION, settings, *images, **known)


def _simulated(study: Study) -> dict[str, Specimen]:
    """The specimens of a study by name, and the untreated ones that are heated only to be treated."""
    specimens = {s.name: s for s in specimens_of(study)}
    for s in list(specimens.values()):
        if s.rt and s.temperature is not None:
            name = paths.specimen_id(s.temperature, False, s.seed)
            specimens.setdefault(name, replace(s, name=name, state=None, rt=False))
    return specimens
