"""Settings from a micrograph to a classification."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from persistem.study.fields import OURS, Flag, Real, Section, Whole, assumed, given, once

#: The largest dose that is counted, e/Å².
MOST_DOSE = 1e9


class Clahe(Section):
    """Contrast limited adaptive histogram equalisation (OpenCV)."""

    method: Literal["clahe"] = Field("clahe", description="equalise")
    clip_limit: Real = assumed(
        2.0,
        "OpenCV clipLimit",
        reason="value of OpenCV's tutorial; at 16 bit and 8 x 8 tiles of 128 px every limit below 8 is the same",
        gt=0,
    )
    tiles: tuple[Annotated[Whole, Field(ge=1, le=1024)], Annotated[Whole, Field(ge=1, le=1024)]] = assumed(
        (8, 8), "OpenCV tileGridSize", reason="OpenCV's default"
    )
    depth: Literal[8, 16] = assumed(
        16,
        "equalise at this depth, and convert to 8 bit after",
        unit="bit",
        reason="images 'saved in a 16-bit Tiff format' were 'transformed to an 8-bit format using' CLAHE",
    )
    scope: Literal["micrograph", "crop"] = assumed(
        "micrograph", "equalise before or after cutting", reason="the tiles of a crop would be 1.6 Å wide"
    )


class MinMax(Section):
    """The smallest intensity becomes 0 and the largest 255, and nothing is equalised."""

    method: Literal["minmax"] = Field("minmax", description="from the smallest intensity to the largest")
    scope: Literal["micrograph", "crop"] = assumed(
        "micrograph", "convert before or after cutting", reason="as for CLAHE"
    )


class Window(Section):
    """A fixed window of absolute intensity, in units of the micrograph's mean."""

    method: Literal["window"] = Field("window", description="absolute intensities")
    low: Real = assumed(0.0, "intensity that becomes 0", unit="mean intensity", reason="vacuum is 1")
    high: Real = assumed(2.0, "intensity that becomes 255", unit="mean intensity", reason="symmetric about the mean")

    @model_validator(mode="after")
    def _ordered(self) -> Window:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        return self


class Standardised(Section):
    """Each crop by its own mean and standard deviation, which removes contrast, and with it density, but from noise."""

    method: Literal["standardised"] = Field(
        "standardised", description="contrast removed; with a dose, noise still tells how strong the signal was"
    )
    half_width: Real = assumed(
        4.0, "window about the mean", unit="SD", reason="6e-5 of a normal image lies outside", gt=0
    )


class Weight(Section):
    """Weight of a pair by its lifetime l (grey levels)."""

    form: Literal["linear", "atan", "none"] = assumed(
        "linear",
        "l, atan(c l^p), or 1",
        reason="'the larger the distance, the larger the weight'; atan saturates on 8 bit",
    )
    c: Real = assumed(0.01, "c of atan", reason="HomCloud's tutorial", gt=0)
    p: Real = assumed(3.0, "p of atan", reason="HomCloud's tutorial", gt=0)


class Detector(Section):
    """What the detector does to a micrograph before the conversion to 8 bit; in the order of the settings."""

    binning: Whole = given(
        1,
        "side of a detector pixel, which averages so many pixels of the micrograph squared",
        unit="px",
        source=OURS,
        ge=1,
        le=64,
    )
    dose: Real | None = given(
        None,
        "electrons that hit the specimen, for counting noise; null: none",
        unit="e/Å²",
        source=OURS,
        gt=0,
        le=MOST_DOSE,
    )
    mtf: Real | None = given(
        None,
        "modulation transfer at the Nyquist frequency of the detector's pixels, of signal and noise; null: 1",
        source=OURS,
        gt=0,
        le=1,
    )
    low_pass: Real | None = given(
        None,
        "standard deviation of a Gaussian filter; null: none",
        unit="Å",
        source="paper: 'a low-pass filter is often applied'",
        gt=0,
        le=100,
    )


class Recipe(Section):
    """From a micrograph to feature vectors."""

    later: ClassVar[tuple[str, ...]] = ("inverted", "sigma_unit")

    detector: Detector | None = given(None, "the detector; null: one without fault", source="paper: none")

    intensity: Annotated[Clahe | MinMax | Window | Standardised, Field(discriminator="method")] = Field(
        Clahe(), description="conversion to 8 bit"
    )
    inverted: Flag = assumed(
        False, "exchange bright and dark after the conversion", reason="the paper does not say that it does"
    )
    filtrations: tuple[Literal["superlevel", "sublevel"], ...] = given(
        ("superlevel",), "filtrations of the grey levels", min_length=1, source="paper: from high to low intensity"
    )
    positions: Flag = assumed(False, "keep birth and death pixels in the diagrams", reason="files five times as large")
    bins: Whole = assumed(
        64, "bins of a persistence image along birth and death", reason="4 grey levels a bin", ge=2, le=256
    )
    sigma: Real = assumed(
        2.0,
        "standard deviation of the persistence image's Gaussian, in the unit that `sigma_unit` says",
        reason="8 grey levels",
        gt=0,
    )
    sigma_unit: Literal["bins", "grey levels"] = assumed(
        "bins", "unit of sigma; in grey levels it does not change with bins", reason="not stated"
    )
    weight: Weight = Field(Weight(), description="weight of a pair")

    _once = field_validator("filtrations")(once("filtration"))


class Crops(Section):
    """The paper's small images."""

    later: ClassVar[tuple[str, ...]] = ("random", "seed")

    size: Whole = given(256, "side of a crop", unit="px", ge=8)
    stride: Whole = assumed(
        256, "distance between crops", unit="px", reason="16 crops per micrograph, not overlapping", ge=1
    )
    random: Whole | None = assumed(
        None,
        "number of crops at random places of each micrograph, which may overlap; null: by stride",
        reason="the paper does not say where it cuts",
        ge=2,
    )
    seed: Whole = assumed(
        0, "seed of the random places, which are the same in every micrograph", reason="arbitrary", ge=0
    )


class Learning(Section):
    """Classification of the persistence images."""

    later: ClassVar[tuple[str, ...]] = ("penalised_intercept", "split_unit", "judged")

    models: tuple[Literal["LR", "SVC"], ...] = given(
        ("LR", "SVC"), "logistic regression, support vectors (hinge)", min_length=1
    )
    C: Real = given(0.01, "regularisation parameter of both models", gt=0)
    scaling: Literal["standard", "maximum", "maximum by degree", "none"] = assumed(
        "standard",
        "features by mean and SD of each, by the largest of all, by the largest of their degree, or as they are;"
        " fitted on training rows",
        reason="not stated, and meaningless without C: see docs/assumptions.md",
    )
    penalised_intercept: tuple[Literal["LR", "SVC"], ...] = assumed(
        ("SVC",),
        "models whose intercept is penalised as the weights are: by liblinear; the others are scikit-learn's lbfgs (LR)"
        " and libsvm (SVC)",
        reason="scikit-learn's LogisticRegression and LinearSVC",
    )
    test_fraction: Real = given(0.25, "share of crops tested in a random split", gt=0, lt=1)
    repetitions: Whole = assumed(
        10,
        "random splits",
        reason="'cross validation' with 75 % and 25 % is read as repeated random splits",
        ge=1,
        le=1000,
    )
    split_unit: Literal["crop", "place"] = assumed(
        "crop",
        "what a random split draws: crops, or places with their crops at all defoci, which show the same atoms",
        reason="not stated",
    )
    judged: Literal["test", "training", "all"] = assumed(
        "test", "crops of the random split whose accuracy is taken", reason="anything else is no accuracy of a model"
    )
    split_seed: Whole = assumed(0, "seed of the random splits", reason="arbitrary", ge=0)
    in_focus: Annotated[Real, Field(ge=0)] | tuple[Real, Real] = given(
        25.0,
        "largest |defocus| that counts as in focus; or the lowest and the highest, for a lens with spherical aberration"
        " about Scherzer's",
        unit="Å",
    )

    _once = field_validator("models", "penalised_intercept")(once("model"))

    @field_validator("in_focus", mode="wrap")
    @classmethod
    def _ordered(cls, value: Any, checked: ValidatorFunctionWrapHandler) -> Any:
        try:
            found = checked(value)
        except ValidationError:  # which would say what is wrong with it as the one and as the other
            found = ()
        if found == () or (isinstance(found, tuple) and found[0] > found[1]):
            raise ValueError("needs a number of 0 or more, or the lowest and the highest defocus in a list")
        return found
