"""Settings of the evaluation: what an accuracy is worth, and what decides it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from persistem.study.features import Detector, Weight
from persistem.study.fields import OURS, Flag, Name, Real, Section, Whole, assumed, given, once

#: Settings that differ, by dotted key: ``imaging.voltage: 300``.
Changes = dict[str, Any]


class Band(Section):
    """A part of a crop's spatial frequencies: the difference of two Gaussians."""

    narrow: Real = given(
        0.0, "standard deviation of the narrower Gaussian; 0: the crop itself", unit="Å", source=OURS, ge=0
    )
    wide: Real | None = given(None, "standard deviation of the wider one; null: none", unit="Å", source=OURS, gt=0)
    window: Real = assumed(
        4.5,
        "largest deviation from the mean that levels reach, of a crop whose standard deviation is 1",
        unit="SD",
        reason="0.2 % of the births and deaths of amorphous and liquid GaN lie outside",
        gt=0,
    )

    @model_validator(mode="after")
    def _has_width(self) -> Band:
        if self.wide is not None and self.wide <= self.narrow:
            raise ValueError(f"wide = {self.wide:g} must be above narrow = {self.narrow:g}")
        return self


class Mesh(Section):
    """A persistence image among the descriptors."""

    filtrations: tuple[Literal["superlevel", "sublevel"], ...] = given(
        ("superlevel", "sublevel"), "filtrations of the grey levels", min_length=1, source=OURS
    )
    bins: Whole = given(..., "bins along birth and death", source=OURS, ge=2, le=256)
    sigma: Real = given(..., "standard deviation of the Gaussian", unit="bins", source=OURS, gt=0)
    weight: Weight = Field(Weight(), description="weight of a pair")

    _once = field_validator("filtrations")(once("filtration"))


class Describing(Section):
    """From a micrograph to the descriptors of its crops."""

    later: ClassVar[tuple[str, ...]] = ("contrast",)

    detector: Detector = Field(Detector(binning=2), description="the detector; 0.1 Å a pixel by default")
    sizes: tuple[Annotated[Whole, Field(ge=16)], ...] = assumed(
        (256, 512, 1024),
        "sides of the crops, the first of which everything is evaluated for",
        unit="px",
        reason="the paper's crop, and twice and four times its side",
        min_length=1,
    )
    bands: tuple[Band, ...] = given(
        (
            Band(),
            Band(narrow=0.3, window=2.4),
            Band(narrow=0.6, window=1.1),
            Band(narrow=0.15, wide=0.3, window=1.6),
            Band(narrow=0.3, wide=0.6, window=1.7),
            Band(narrow=0.6, wide=1.2, window=0.9),
        ),
        "bands whose diagrams are taken; persistence images and positions are of the first",
        source="assumption: octaves from below the width of an atom's image to beyond a bond",
        min_length=1,
    )
    images: dict[Name, Mesh] = given(
        {
            "images-16": Mesh(bins=16, sigma=1.0),
            "images-32": Mesh(bins=32, sigma=1.5),
            "images-32-flat": Mesh(bins=32, sigma=1.5, weight=Weight(form="none")),
            "images-64": Mesh(bins=64, sigma=2.0),
        },
        "persistence images among the descriptors",
        source="assumption: the default recipe's mesh and coarser ones, with and without weight",
    )
    contrast: Real = assumed(
        0.09,
        "with a dose: standard deviation over mean that crops get before they are counted, where contrast is removed;"
        " standardising noisy crops would leave the share of noise, which tells their contrast",
        reason="crops of liquid GaN have 0.08, of amorphous GaN 0.10, in focus, 50 Å thick",
        gt=0,
        lt=1,
    )

    _once = field_validator("sizes")(once("size"))


class Row(Section):
    """One line of the evaluation: descriptors, and the choices that inner folds make among them."""

    name: str = given(..., "what the line is called", source=OURS, min_length=1)
    task: Literal["absolute", "contrast removed"] = given(
        ...,
        "absolute intensities, or every crop standardised by its own mean and standard deviation, with a dose also"
        " before it is counted",
        source=OURS,
    )
    blocks: tuple[tuple[str, ...], ...] = given(
        ..., "candidates: descriptors side by side, see persistem.descriptors.crops", source=OURS, min_length=1
    )
    main: Flag = given(
        False,
        "also in learning curves, permutation test and robustness, by the last of its blocks, and tested in controls",
        source=OURS,
    )


PERSISTENCE = (("statistics",), ("statistics", "betti"), ("statistics", "betti", "islands"))
IMAGES = ("images-64", "images-32-flat", "images-32", "images-16")


PLAIN = ("moments", "spectrum", "texture")


def _with(more: tuple[str, ...], sets: tuple[tuple[str, ...], ...] = PERSISTENCE) -> tuple[tuple[str, ...], ...]:
    return tuple((*more, *blocks) for blocks in sets)


ROWS = (
    Row(name="standard deviation", task="absolute", blocks=(("contrast",),), main=True),
    Row(name="SD, skewness, kurtosis", task="absolute", blocks=(("contrast", "moments"),)),
    Row(name="histogram", task="absolute", blocks=(("absolute histogram",),)),
    Row(name="spectrum", task="absolute", blocks=(("absolute spectrum",),)),
    Row(name="persistence image", task="absolute", blocks=tuple((f"absolute {name}",) for name in IMAGES)),
    Row(name="persistence", task="absolute", blocks=_with(("contrast",)), main=True),
    Row(name="persistence + spectrum", task="absolute", blocks=_with(("contrast", "spectrum"))),
    Row(name="all but persistence", task="absolute", blocks=((*PLAIN, "contrast", "absolute histogram"),)),
    Row(name="all together", task="absolute", blocks=_with((*PLAIN, "contrast", "absolute histogram"))),
    Row(name="skewness, kurtosis", task="contrast removed", blocks=(("moments",),)),
    Row(name="histogram", task="contrast removed", blocks=(("histogram",),)),
    Row(name="texture", task="contrast removed", blocks=(("texture",),)),
    Row(
        name="phase-randomised",
        task="contrast removed",
        blocks=tuple(tuple(f"surrogate {n}" for n in s) for s in PERSISTENCE),
    ),
    Row(name="spectrum", task="contrast removed", blocks=(("spectrum",),), main=True),
    Row(name="persistence image", task="contrast removed", blocks=tuple((name,) for name in IMAGES)),
    Row(name="persistence", task="contrast removed", blocks=PERSISTENCE, main=True),
    Row(name="persistence + spectrum", task="contrast removed", blocks=_with(("spectrum",)), main=True),
    Row(name="all but persistence", task="contrast removed", blocks=((*PLAIN, "histogram"),)),
    Row(name="all together", task="contrast removed", blocks=_with((*PLAIN, "histogram"))),
)


class Answer(Section):
    """Another answer to a question that the paper leaves open."""

    answer: str = given(..., "the other answer", source=OURS, min_length=1)
    settings: Changes = given(..., "settings that differ, by dotted key", source=OURS, min_length=1)


class Factor(Section):
    """A question that the paper leaves open, and the answers to it besides the study's own."""

    question: str = given(..., "what the paper leaves open", source=OURS, min_length=1)
    own: str = given("as it is", "the study's own answer, in words", source=OURS, min_length=1)
    answers: tuple[Answer, ...] = given(..., "the other answers", source=OURS, min_length=1)

    @model_validator(mode="after")
    def _told_apart(self) -> Factor:
        names = [self.own, *(answer.answer for answer in self.answers)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{self.question}: two answers are called {twice[0]!r}")
        return self


class OneAtATime(Section):
    """Each answer alone, the others as in the study: as many protocols as answers."""

    method: Literal["one at a time"] = Field("one at a time", description="each answer alone")


class _Joint(Section):
    """Answers together: protocols whose accuracies are taken in one process, without their models."""

    budget: Whole = assumed(500, "most protocols", reason="an hour or less on 2 cores", ge=2, le=100_000)
    repetitions: Whole = assumed(
        2, "random splits of each protocol and seed", reason="specimens scatter more than splits", ge=1, le=100
    )
    finalists: Whole = assumed(
        10,
        "protocols nearest the paper that are judged on all of the study's seeds and on seeds left out, beside the"
        " study as it is",
        reason="leaving seeds out takes minutes each",
        ge=1,
        le=1000,
    )


class Full(_Joint):
    """Every combination of answers."""

    method: Literal["full"] = Field("full", description="every combination")


class Fractional(_Joint):
    """A fraction of the combinations, by a regular two-level design.

    A question of more than two answers takes several two-level columns (Addelman, Technometrics 4, 21 (1962)).
    """

    method: Literal["fractional"] = Field("fractional", description="a regular fraction of the combinations")
    resolution: Literal[3, 4, 5] = assumed(
        5, "resolution of its two-level columns", reason="at 5 no two pairs of questions are confounded"
    )


class Search(_Joint):
    """A fractional design, then the protocols that differ in one answer from the best, until the budget is spent."""

    method: Literal["search"] = Field("search", description="screen, then improve the best")
    resolution: Literal[3, 4, 5] = assumed(4, "resolution of the screening design", reason="main effects are clear")
    seed: Whole = assumed(0, "seed of the order in which neighbours are tried", reason="arbitrary", ge=0)


class Multiverse(Section):
    """The first recipe's accuracy under other answers to what the paper leaves open, alone or together."""

    seeds: tuple[Whole, ...] = given((), "seeds taken; none: all", source=OURS)
    factors: tuple[Factor, ...] = given((), "the questions and their answers", source=OURS)
    design: Annotated[OneAtATime | Full | Fractional | Search, Field(discriminator="method")] = Field(
        OneAtATime(), description="which answers are taken together"
    )

    @model_validator(mode="after")
    def _apart(self) -> Multiverse:
        together = self.factors if isinstance(self.design, _Joint) else ()
        keys = [(factor.question, key) for factor in together for key in _keys(factor)]
        for k, (question, key) in enumerate(keys):
            for other, of_other in keys[k + 1 :]:
                if question == other or not _same(key, of_other):
                    continue
                raise ValueError(
                    f"{question} and {other} both set {min(key, of_other, key=len)}, so their answers cannot be taken"
                    " together; make them answers to one question"
                )
        questions = [factor.question for factor in self.factors]
        if twice := [name for name in questions if questions.count(name) > 1]:
            raise ValueError(f"factors: two questions are called {twice[0]!r}; list their answers under one")
        return self


def _keys(factor: Factor) -> list[str]:
    return list(dict.fromkeys(key for answer in factor.answers for key in answer.settings))


def _same(one: str, other: str) -> bool:
    """Whether two dotted keys are one setting, or one holds the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


class Control(Section):
    """The same classification where one difference between the states is taken away."""

    name: str = given(..., "what it is called", source=OURS)
    about: str = given("", "one sentence", source=OURS)
    settings: Changes = given({}, "settings that differ from the study, by dotted key", source=OURS)
    states: dict[Name, Changes] = given({}, "and those that differ for one state only", source=OURS)
    seeds: tuple[Whole, ...] = given((), "seeds taken; none: all", source=OURS)


class Sweep(Section):
    """Accuracy along one setting of the microscope, the detector or the crops."""

    name: Name = given(..., "identifier", source=OURS)
    title: str = given(..., "what it is called", source=OURS)
    axis: str = given(..., "label of the axis, with the unit", source=OURS)
    key: str = given(..., "the setting that varies, as a dotted key", source=OURS)
    values: tuple[Any, ...] = given(..., "its values", source=OURS, min_length=1)
    base: Annotated[Whole, Field(ge=0)] = given(0, "which of the values is trained on, from 0", source=OURS)
    settings: Changes = given({}, "other settings that differ from the study in all of it, by dotted key", source=OURS)

    @model_validator(mode="after")
    def _has_base(self) -> Sweep:
        if self.base >= len(self.values):
            raise ValueError(f"base = {self.base}: there are values 0 to {len(self.values) - 1}")
        return self


class Evaluation(Section):
    """Evaluation by seeds: what the accuracy means."""

    describing: Describing = Field(Describing(), description="descriptors of the crops")
    rows: tuple[Row, ...] = given(ROWS, "what is compared", source=OURS, min_length=1)
    C: tuple[Real, ...] = assumed(
        (1.0, 10.0),
        "regularisation parameters that inner folds choose from",
        reason="accuracy is flat around them",
        min_length=1,
    )
    models: tuple[Literal["LR", "SVC"], ...] = given(
        ("LR", "SVC"),
        "classifiers that inner folds choose from; one model for all foci is the first, with the last blocks",
        source=OURS,
        min_length=1,
    )
    permutations: Whole = assumed(
        256, "most arrangements of a permutation test", reason="all of eight seeds and two states", ge=2, le=100_000
    )
    draws: Whole = assumed(
        4,
        "random sets of training seeds for each point of a learning curve",
        reason="seeds scatter more than sets",
        ge=1,
        le=100,
    )
    focus: Real = assumed(0.0, "defocus of the robustness sweeps", unit="Å", reason="in focus")
    multiverse: Multiverse = Field(Multiverse(), description="choices that the paper leaves open")
    controls: tuple[Control, ...] = given((), "what is being learned", source=OURS)
    sweeps: tuple[Sweep, ...] = given((), "robustness", source=OURS)

    _once = field_validator("models", "C")(once("candidate"))

    @model_validator(mode="after")
    def _named_once(self) -> Evaluation:
        named = {
            "rows": [f"{row.name}, {row.task}" for row in self.rows],
            "controls": [control.name for control in self.controls],
            "sweeps": [sweep.name for sweep in self.sweeps],
        }
        for key, names in named.items():
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"{key}: two are called {twice[0]}")
        return self
