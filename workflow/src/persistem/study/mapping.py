"""Settings of a model of the states for a microscope, and of the micrographs that it maps."""

from __future__ import annotations

import math
from glob import glob, has_magic
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from persistem.store.files import is_file
from persistem.study.conditions import Conditions
from persistem.study.evaluation import Band
from persistem.study.fields import OURS, Flag, Name, Real, Section, Whole, assumed, given, once

#: Blocks of features that can describe a window. Persistence must be compared with low-passed, moments and texture;
#: intensity and filters know brightness and, the latter, what is around a window, which is what pixel classifiers see.
#: Conditions are what the whole micrograph says of dose, detector, contrast and defocus; simulations alone train them.
Block = Literal[
    "contrast",
    "spectrum",
    "persistence",
    "low-passed",
    "moments",
    "texture",
    "lifetimes",
    "peaks",
    "intensity",
    "filters",
    "conditions",
]
BLOCKS: tuple[str, ...] = get_args(Block)
#: Words that maps use for windows besides the states.
RESERVED = ("abstain", "abstained", "vacuum", "confidence")
#: Of labelled micrographs vacuum may be a state like others.
RESERVED_LABELLED = tuple(word for word in RESERVED if word != "vacuum")


class Windows(Section):
    """How the windows that slide over a micrograph are described; the same in training and on a map."""

    sampling: Real = assumed(
        0.2, "pixel size at which windows are described", unit="Å", reason="five pixels a resolved ångström", gt=0, le=5
    )
    size: Real = given(12.5, "side of a window", unit="Å", source="paper: its small images", gt=0)
    bands: tuple[Band, ...] = given(
        (Band(narrow=0.3, window=3.0), Band(narrow=0.6, wide=1.2, window=2.0)),
        "bands whose diagrams are taken, of the micrograph with its local mean and contrast removed",
        source="assumption: below the width of an atom's image pixels of a real detector hold noise",
        min_length=1,
    )
    filtrations: tuple[Literal["superlevel", "sublevel"], ...] = given(
        ("superlevel", "sublevel"), "filtrations of the grey levels", min_length=1, source=OURS
    )
    levels: Whole = assumed(
        12, "levels of the histograms of births, deaths and lifetimes", reason="a window has tens of pairs", ge=2, le=64
    )
    frequency: Real = assumed(
        1.25,
        "largest spatial frequency of the spectrum; at a sampling above 0.4 Å by default 0.5 / sampling, the highest"
        " that its pixels hold",
        unit="1/Å",
        reason="beyond the finest detail imaged",
        gt=0,
    )

    _once = field_validator("filtrations")(once("filtration"))

    @model_validator(mode="before")
    @classmethod
    def _follow(cls, stated: Any) -> Any:
        """Give the default frequency where it is beyond what the stated sampling holds."""
        if not isinstance(stated, dict) or "frequency" in stated:
            return stated
        sampling, default = stated.get("sampling"), cls.model_fields["frequency"].default
        if not isinstance(sampling, int | float) or not 0.5 / default < sampling <= 5:
            return stated
        return stated | {"frequency": 0.5 / sampling}

    @model_validator(mode="after")
    def _resolves(self) -> Windows:
        if self.size < 16 * self.sampling:
            raise ValueError(f"size = {self.size:g} Å: a window needs 16 pixels of {self.sampling:g} Å or more")
        if self.frequency > 0.5 / self.sampling:
            raise ValueError(
                f"frequency = {self.frequency:g} 1/Å is beyond {0.5 / self.sampling:g}, the highest that pixels of"
                f" {self.sampling:g} Å hold"
            )
        return self


#: What a model of labelled micrographs may see unless its study says so, and its C; see docs/real-micrographs.md.
LABELLED_CANDIDATES = (("filters",), ("filters", "contrast"), ("filters", "contrast", "lifetimes"))
LABELLED_C = (1.0,)


class Spread(Section):
    """A state's specimens once more, in another condition, so that a model knows more of the state than one."""

    state: Name = given(..., "the state whose specimens these are", source=OURS)
    settings: dict[str, Any] = given(
        ..., "dotted keys of the study and the values that differ: imaging.tilt, imaging.strain, states", source=OURS
    )


#: So many doses stand for a range of them.
RANGE = 5


class ModelSettings(Section):
    """A model of the study's states for the study's microscope: what `persistem map` needs."""

    later: ClassVar[tuple[str, ...]] = ("spread", "share", "conditions")

    windows: Windows = Field(Windows(), description="windows and their description")
    stride: Real = assumed(6.25, "distance of the windows that train", unit="Å", reason="half a window", gt=0)
    doses: tuple[Real | None, ...] = assumed(
        (None, 1600.0, 400.0),
        "doses trained at; null: no noise",
        unit="e/Å²",
        reason="from ideal to what a material stands",
        min_length=1,
    )
    contrast: tuple[Annotated[Real, Field(gt=0)], Annotated[Real, Field(gt=0)]] = assumed(
        (0.85, 1.18),
        "range of the factor that scales the contrast of images that train, before electrons are counted",
        reason="real images have another contrast than simulated ones; a wider range costs accuracy at theirs",
    )
    mtf: Real | None = given(
        None, "modulation transfer at the Nyquist frequency of `windows.sampling`; null: 1", source=OURS, gt=0, le=1
    )
    thicknesses: tuple[Real, ...] = given((), "thicknesses trained at; none: imaging.thickness", unit="Å", source=OURS)
    spread: tuple[Spread, ...] = given(
        (),
        "further conditions in which a state trains, e.g. crystals that are tilted, strained or at another temperature",
        source=OURS,
    )
    conditions: Conditions | None = given(
        None,
        "ranges of conditions under which further micrographs are taken; the study's defoci, `doses`, `contrast`, `mtf`"
        " and `thicknesses` then train nothing",
        source=OURS,
    )
    candidates: tuple[tuple[Block, ...], ...] = given(
        (("persistence",), ("spectrum",), ("persistence", "spectrum"), ("contrast", "persistence", "spectrum")),
        "blocks of features that inner folds choose from",
        source=OURS,
        min_length=1,
    )
    C: tuple[Real, ...] = assumed(
        (0.1,),
        "inverse of the L2 penalty on the leaves of the trees, that inner folds choose from",
        reason="accuracy is flat around it",
        min_length=1,
    )
    outside: Real = assumed(
        0.01,
        "share of the windows of unseen seeds that may count as unlike the training",
        reason="one in a hundred false alarms",
        gt=0,
        lt=0.5,
    )
    share: Real = given(
        0.0,
        "of labelled micrographs: least share of a window's labelled pixels that carry the label of its centre; 0: the"
        " centre's label alone decides",
        source=OURS,
        ge=0,
        le=1,
    )
    step: Real = assumed(
        3.0,
        "distance of the windows of a map, and of those described on labelled micrographs",
        unit="Å",
        reason="a quarter of a window; the time goes with 1/step²",
        gt=0,
    )

    @property
    def trained_doses(self) -> tuple[float | None, ...]:
        """The doses trained at, e/Å²; of a range of ``conditions`` some, evenly in 1/√dose."""
        if self.conditions is None:
            return self.doses
        if "dose" in self.conditions.listed:
            return self.conditions.listed["dose"]
        if self.conditions.dose is None:
            return (None,)
        low, high = self.conditions.dose
        most, least = low**-0.5, (high or math.inf) ** -0.5
        noises = [most + (least - most) * k / (RANGE - 1) for k in range(RANGE)]
        return tuple(round(noise**-2, 3) if noise > 0 else None for noise in noises)

    @property
    def trained_contrast(self) -> tuple[float, float]:
        """The range of the factor of the contrast that is trained at."""
        if self.conditions is None:
            return self.contrast
        return self.conditions.span("contrast") or (1.0, 1.0)

    @model_validator(mode="after")
    def _steps(self) -> ModelSettings:
        if self.contrast[0] > self.contrast[1]:
            raise ValueError(f"contrast = {list(self.contrast)}: the lower end of the range comes first")
        if self.step < self.windows.sampling:
            raise ValueError(
                f"step = {self.step:g} Å: at least a pixel of windows.sampling, {self.windows.sampling:g} Å"
            )
        return self


class LabelledMicrograph(Section):
    """A micrograph of one's own on which regions are labelled by their state: what a model learns from."""

    path: str = given(..., "file of one image, of the formats of `micrographs`", source=OURS)
    labels: str = given(..., "file of its labels: an image, or outlines; docs/labels.md", source=OURS)
    states: dict[Annotated[int | str, Field(union_mode="left_to_right")], Name] | None = given(
        None,
        "the legend: the state of each number, colour or name in the labels; null: what the JSON beside them says",
        source=OURS,
    )
    specimen: Name | None = given(
        None,
        "the specimen; micrographs of one are left out together. null: each is a specimen by itself",
        source=OURS,
    )
    pixel_size: Real | None = given(None, "pixel size; null: what the file says", unit="Å", source=OURS, gt=0)
    grey: Flag = given(False, "take the mean of the channels of a colour image", source=OURS)


class Micrograph(Section):
    """A micrograph of one's own, or several by a pattern, to be mapped: which state is where."""

    later: ClassVar[tuple[str, ...]] = ("force", "grey")

    path: str = given(
        ..., "file: DM3, DM4, EMD, MRC, SER, TIFF, HDF5; or a pattern of files, data/*.dm4, each mapped", source=OURS
    )
    pixel_size: Real | None = given(None, "pixel size; null: what the file says", unit="Å", source=OURS, gt=0)
    voltage: Real | None = given(None, "accelerating voltage; null: what the file says", unit="kV", source=OURS, gt=0)
    defocus: Real | None = given(None, "defocus, underfocus positive; null: what the file says", unit="Å", source=OURS)
    force: Flag = given(False, "map also where a setting above contradicts what the file says", source=OURS)
    grey: Flag = given(False, "take the mean of the channels of a colour image", source=OURS)


def expanded(micrographs: tuple[Micrograph, ...]) -> tuple[Micrograph, ...]:
    """Micrographs with each pattern replaced by the files that it matches, sorted; a pattern without matches stays."""
    listed: list[Micrograph] = []
    for entry in micrographs:
        # a file's own name may look like a pattern: film[1].dm4
        pattern = has_magic(entry.path) and not is_file(entry.path)
        matches = glob(entry.path, recursive=True) if pattern else []  # noqa: PTH207 (Path's takes no absolute pattern)
        files = sorted(file for file in matches if is_file(file))
        listed += [entry.model_copy(update={"path": file}) for file in files] or [entry]
    return tuple(listed)
