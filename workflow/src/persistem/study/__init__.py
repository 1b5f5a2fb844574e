"""The study: one typed model, the single source of defaults, units, ranges, the schema and the reference.

The defaults are the paper's study (Uesugi & Ishii, Microscopy 2022): an empty file is that study. What the paper
leaves open is marked ``assumption`` with the reason. A study stands alone; nothing merges two of them.

The model checks each section by itself. ``persistem.study.load`` checks whether the sections fit together, because that
needs to know what the stages can do.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from persistem.study.conditions import Conditions
from persistem.study.evaluation import (
    Answer,
    Band,
    Control,
    Describing,
    Evaluation,
    Factor,
    Mesh,
    Multiverse,
    Row,
    Sweep,
)
from persistem.study.features import Clahe, Crops, Detector, Learning, MinMax, Recipe, Standardised, Weight, Window
from persistem.study.fields import OURS, Name, Section, Whole, given
from persistem.study.figures import Diagrams3D, Figures
from persistem.study.imaging import Imaging
from persistem.study.mapping import (
    LABELLED_C,
    LABELLED_CANDIDATES,
    LabelledMicrograph,
    Micrograph,
    ModelSettings,
    Windows,
    expanded,
)
from persistem.study.particles import Particles
from persistem.study.preparation import EndState, Inherent, Preparation, Snapshots, Stack
from persistem.study.specimens import (
    Crystal,
    Material,
    MolecularDynamics,
    Potential,
    RoomTemperature,
    Schedule,
    Series,
    State,
    Step,
    Structure,
)
from persistem.study.truth import Melt, Splice, Stranger, Trial

__all__ = [
    "Answer",
    "Band",
    "Clahe",
    "Conditions",
    "Control",
    "Crops",
    "Crystal",
    "Describing",
    "Detector",
    "Diagrams3D",
    "EndState",
    "Evaluation",
    "Factor",
    "Figures",
    "Imaging",
    "Inherent",
    "LabelledMicrograph",
    "Learning",
    "Material",
    "Melt",
    "Mesh",
    "Micrograph",
    "MinMax",
    "ModelSettings",
    "MolecularDynamics",
    "Multiverse",
    "Particles",
    "Potential",
    "Recipe",
    "RoomTemperature",
    "Row",
    "Run",
    "Schedule",
    "Section",
    "Series",
    "Snapshots",
    "Splice",
    "Stack",
    "Standardised",
    "State",
    "Step",
    "Stranger",
    "Structure",
    "Study",
    "Sweep",
    "Trial",
    "Weight",
    "Window",
    "Windows",
]


class Run(Section):
    """How to run."""

    device: Literal["cpu", "gpu"] = given(
        "cpu",
        "where abTEM computes; gpu needs CuPy, and its results, other in the last digits, are kept apart",
        source=OURS,
    )
    crops_per_job: Annotated[Whole, Field(ge=1)] | None = given(
        None, "crops a diagram job takes, with the same results; null: all of a micrograph, the fastest", source=OURS
    )


#: A study with labelled micrographs that states one of these simulates too, and one model learns from both.
SIMULATING = frozenset({"material", "md", "structures", "states"})
PAPER_STATES = {"amorphous": State(temperature=6000, rt=True), "liquid": State(temperature=6000, rt=False)}


class Study(Section):
    """One configuration and its results."""

    name: Name = given("paper", "the study's folder under results/; by default the file's name", source=OURS)
    material: Material = Field(Material(), description="the material")
    potential: Potential = Field(Potential(), description="the interatomic potential")
    md: MolecularDynamics = Field(MolecularDynamics(), description="specimens from molecular dynamics")
    structures: tuple[Structure, ...] = Field((), description="own structures; where given, no MD runs")
    states: dict[Name, State] = given(
        PAPER_STATES,
        "the classes: label and the specimens it covers, in the order of labels 0, 1, …; not with `structures`",
        source="paper: amorphous 0, liquid 1",
    )
    preparation: Annotated[Preparation, Field(discriminator="method")] = Field(
        EndState(), description="what of a specimen is imaged"
    )
    imaging: Imaging = Field(Imaging(), description="multislice and the microscope")
    crops: Crops = Field(Crops(), description="small images")
    features: dict[Name, Recipe] = given(
        {
            "paper": Recipe(),
            "absolute": Recipe(intensity=Window()),
            "standardised": Recipe(intensity=Standardised()),
            "noisy": Recipe(detector=Detector(dose=1000.0)),
            "filtered": Recipe(detector=Detector(dose=1000.0, low_pass=0.3)),
        },
        "recipes: name and steps from a micrograph to feature vectors",
        source="paper; `absolute` and `standardised` show how much of the accuracy is contrast, `noisy` and `filtered`"
        " what the paper says of noise",
        min_length=1,
    )
    learning: Learning = Field(Learning(), description="classification")
    evaluation: Evaluation | None = given(None, "what the accuracy means, by seeds; null: not evaluated", source=OURS)
    model: ModelSettings | None = given(None, "a model of the states for this microscope; null: none", source=OURS)
    particles: Particles | None = given(
        None,
        "particles on a film, which the specimens of the only state are; a model of film, particle and vacuum then"
        " learns from composites",
        source=OURS,
    )
    truth: Trial | None = given(None, "composites that its maps are compared with; null: none", source=OURS)
    labelled: tuple[LabelledMicrograph, ...] = Field(
        (),
        description="own micrographs with labelled regions, which a model learns from; nothing is simulated unless"
        " `states`, `md`, `material` or `structures` is stated too",
    )
    micrographs: tuple[Micrograph, ...] = Field((), description="own micrographs, which a model maps")
    map_with: str | None = given(
        None, "folder of a finished model (bundle) that maps `micrographs`; null: the study's own `model`", source=OURS
    )
    diagrams_3d: Diagrams3D = Field(Diagrams3D(), description="3D diagrams of the specimens")
    figures: Figures = Field(Figures(), description="what the figures show")
    run: Run = Field(Run(), description="how to run")

    _expanded = field_validator("micrographs")(expanded)

    @property
    def labelled_alone(self) -> bool:
        """Whether it learns from labelled micrographs alone, so that nothing is simulated."""
        return bool(self.labelled) and not SIMULATING & self.model_fields_set

    @model_validator(mode="before")
    @classmethod
    def _learning_from_labels(cls, stated: Any) -> Any:
        """Labelled micrographs alone are there for a model; it chooses among other blocks than one of simulations."""
        if not isinstance(stated, dict) or not stated.get("labelled") or SIMULATING & set(stated):
            return stated
        model = stated.get("model")
        if model is None:
            model = {}
        if not isinstance(model, dict):
            return stated
        defaults = {"candidates": [list(blocks) for blocks in LABELLED_CANDIDATES], "C": list(LABELLED_C)}
        return stated | {"model": defaults | model}
