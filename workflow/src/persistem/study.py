"""The study: one typed model, the single source of defaults, units, ranges, the schema and the reference.

The defaults are the paper's study (Uesugi & Ishii, Microscopy 2022): an empty file is that study. What the paper
leaves open is marked ``assumption`` with the reason. A study stands alone; nothing merges two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.types import Strict

from persistem.errors import PersistemError

Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40)]

#: The source of a setting that this workflow adds to the paper's.
OURS = "this workflow"


def given(default: Any, description: str, *, unit: str = "", source: str = "paper", **limits: Any) -> Any:
    """A field with its unit and where its default comes from: ``paper`` or ``assumption: <reason>``."""
    extra: dict[str, Any] = {"unit": unit, "source": source}
    return Field(default, description=description, json_schema_extra=extra, validate_default=True, **limits)


def assumed(default: Any, description: str, *, reason: str, unit: str = "", **limits: Any) -> Any:
    """A field whose default the paper does not state, with the reason for ours."""
    return given(default, description, unit=unit, source=f"assumption: {reason}", **limits)


def once(what: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """A check that nothing is listed twice."""

    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"a {what} is listed twice")
        return value

    return check


class Section(BaseModel):
    """A part of a study; unknown keys are refused and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Crystal(Section):
    """The unit cell, as ``ase.build.bulk`` makes it; formula, structure and a have no defaults of their own."""

    formula: str = given(..., "chemical formula of the unit cell")
    structure: str = given(..., "crystal structure, a name that ase.build.bulk knows")
    a: Real = given(
        ..., "lattice constant a", unit="Å", source="assumption: Xia et al. 1993 (paper's ref. 9)", gt=1, le=50
    )
    c: Real | None = given(None, "lattice constant c; null: ASE's", unit="Å", source="assumption: as a", gt=1, le=100)
    u: Real | None = assumed(
        None, "internal coordinate of wurtzite", reason="null: the ideal bond length for the given c/a", gt=0, lt=1
    )
    cubic: Flag = given(False, "use the conventional cubic cell", source="assumption: wurtzite has none")
    orthorhombic: Flag = assumed(
        False,
        "use the orthorhombic cell",
        reason="the paper's 29 x 24 x 10 cells hold a 50 Å cube with the hexagonal cell: 92.5 x 66.3 x 51.9 Å",
    )


WURTZITE = Crystal(formula="GaN", structure="wurtzite", a=3.19, c=5.189)


class Material(Section):
    """What the specimens are made of."""

    crystal: Crystal = Field(WURTZITE, description="unit cell of the initial crystal; stated as a whole")
    file: str | None = given(
        None, "structure file to use instead of `crystal`, any format ASE reads", source="paper (not used)"
    )
    repetitions: tuple[Whole, Whole, Whole] = given((29, 24, 10), "repetitions of the unit cell along a, b, c")
    species: tuple[str, ...] = given(("Ga", "N"), "elements, in the order of LAMMPS' atom types", min_length=1)
    radii: dict[str, Annotated[Real, Field(gt=0, le=5)]] = given(
        {"Ga": 1.5625, "N": 0.49},
        "radius of each element in 3D diagrams",
        unit="Å",
        source="paper, from Ishimaru et al. 2011",
    )

    @field_validator("repetitions")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if min(value) < 1:
            raise ValueError("each repetition must be at least 1")
        return value


class Potential(Section):
    """The interatomic potential; ``pair_coeff * * file elements`` is handed to LAMMPS."""

    pair_style: str = given("tersoff", "LAMMPS pair_style")
    file: str = given("GaN.tersoff", "potential file: a path, or the name of one that LAMMPS ships (Nord et al. 2003)")


class Series(Section):
    """Specimens to simulate: every temperature with every seed, with and without RT treatment."""

    temperatures: tuple[Annotated[Whole, Field(ge=1, le=99999)], ...] = given(
        ..., "temperatures of the heating", unit="K", min_length=1
    )
    seeds: tuple[Annotated[Whole, Field(ge=1, le=9999)], ...] = assumed(
        (1,), "seeds of the initial velocities, one independent trajectory each", reason="not stated", min_length=1
    )
    rt: tuple[Flag, ...] = given((False, True), "without and with RT treatment", min_length=1)


class RoomTemperature(Section):
    """The RT treatment: what follows the heating in the treated specimens."""

    temperature: Whole = given(300, "temperature of the treatment", unit="K", ge=1)
    steps: Whole = given(5000, "length of the treatment", unit="steps", ge=1)
    velocities: Literal["continued", "redrawn"] = assumed(
        "continued",
        "keep the hot state's velocities or draw new ones",
        reason="they 'were added to the above liquid conditions'",
    )


class MolecularDynamics(Section):
    """LAMMPS: heating of the crystal, and the RT treatment that continues from the heated state."""

    series: tuple[Series, ...] = given(
        (
            Series(temperatures=(6000,), seeds=(1, 2, 3)),
            Series(temperatures=(1000, 2000, 3000, 4000, 5000), seeds=(1,)),
        ),
        "the specimens to simulate",
        source="assumption: the paper shows 1000, 4000 and 6000 K and says 'between 1000 K and 6000 K'; it does not"
        " state seeds, and three make the spread between trajectories visible",
        min_length=1,
    )
    timestep: Real = given(1.0, "time step", unit="fs", ge=0.05, le=10)
    steps: Whole = given(10000, "length of the heating", unit="steps", ge=1)
    initial_temperature_factor: Real = assumed(
        2.0,
        "temperature at which initial velocities are drawn, as a multiple of the target",
        reason="default of pyiron, through which the paper ran LAMMPS: half the kinetic energy goes into the lattice",
        gt=0,
        le=4,
    )
    barostat: Literal["iso", "aniso", "none"] = assumed(
        "iso", "shape changes of the cell; `none` holds the density (NVT)", reason="default of pyiron"
    )
    pressure: Real = assumed(0.0, "pressure", unit="GPa", reason="not stated; ambient", ge=-100, le=1000)
    density: Real | None = assumed(
        None, "density the crystal is scaled to, only with `barostat: none`", unit="g/cm³", reason="not used", gt=0
    )
    temperature_damping: Real = assumed(
        100.0, "damping time of the thermostat", unit="fs", reason="default of pyiron", ge=5, le=1e5
    )
    pressure_damping: Real = assumed(
        1000.0, "damping time of the barostat", unit="fs", reason="default of pyiron", ge=50, le=1e6
    )
    rt: RoomTemperature = Field(RoomTemperature(), description="the RT treatment")
    segment_steps: Whole = assumed(
        2500, "a killed run resumes at a multiple of this", unit="steps", reason="a quarter of the heating", ge=10
    )
    thermo_every: Whole = assumed(100, "sampling of the thermo series", unit="steps", reason="150 samples a run", ge=1)
    ranks: Whole = assumed(2, "MPI ranks; they change a trajectory", reason="a laptop's", ge=1, le=4096)
    temperature_tolerance: Real = assumed(
        0.1,
        "largest relative miss of the target temperature",
        reason="fluctuations of 27,840 atoms are below 1 %",
        gt=0,
    )


class Structure(Section):
    """One of the user's own structures, taken instead of MD."""

    path: str = given(..., "structure file: extended XYZ, LAMMPS data, or what ASE reads; may be gzipped", source=OURS)
    state: Name = given(..., "the state it is an example of", source=OURS)
    seed: Whole = given(
        ..., "independent preparation it belongs to, the unit of leave-one-seed-out", source=OURS, ge=1, le=9999
    )
    types: dict[int, str] | None = given(None, "LAMMPS data only: element of each atom type", source=OURS)


class State(Section):
    """Which specimens belong to a class."""

    temperature: Whole = given(..., "temperature of the heating", unit="K", ge=1, le=99999)
    rt: Flag = given(..., "with RT treatment")


class Imaging(Section):
    """Multislice and the microscope."""

    field: Real = given(50.0, "side of the square field of view", unit="Å", gt=0)
    thickness: Real = given(50.0, "thickness of the slab along the beam", unit="Å", gt=0)
    pixels: Whole = given(1024, "side of the micrograph", unit="px", ge=16, le=16384)
    slice_thickness: Real = given(1.0, "thickness of a slice of the potential", unit="Å", gt=0)
    margin: Real = assumed(
        6.25,
        "real atoms simulated around the field of view (whole pixels) and cropped after propagation",
        unit="Å",
        reason="a cube cut out is not periodic and its edges scatter into the image; 0 is the paper's way",
        ge=0,
    )
    parametrization: Literal["lobato", "kirkland"] = assumed(
        "lobato", "electron scattering factors", reason="abTEM's default; ELBIS' are not stated"
    )
    voltage: Real = assumed(
        200.0, "accelerating voltage", unit="kV", reason="not stated; a Cs-corrected TEM", ge=10, le=3000
    )
    Cs: Real = given(-0.0005, "spherical aberration", unit="mm", ge=-10, le=10)
    Cc: Real = given(1.37, "chromatic aberration", unit="mm", ge=0, le=100)
    energy_spread: Real = assumed(0.7, "energy spread, FWHM", unit="eV", reason="Schottky emitter", ge=0, le=20)
    focal_spread: Literal["classical", "relativistic"] = assumed(
        "classical",
        "σ = Cc σ_E / E, or times (1 + E/mc²)/(1 + E/2mc²)",
        reason="not stated; 20.4 Å at the defaults, and 1.16 times that relativistically",
    )
    temporal_coherence: Literal["focal-sum", "envelope", "none"] = assumed(
        "focal-sum",
        "incoherent sum over the focal spread, or the damping envelope of the linear theory",
        reason="the sum is what the paper's transmission cross coefficient gives",
    )
    focal_nodes: Whole | None = assumed(
        None,
        "nodes of the focal sum, equally spaced over ±4σ; null: as many as the sampling needs (102 at the defaults)",
        reason="the sum is then within 1e-4 of the integral",
        ge=3,
        le=9999,
    )
    semi_angle: Real = assumed(
        0.1,
        "illumination semi-angle, standard deviation on each axis, as a spatial coherence envelope",
        unit="mrad",
        reason="not stated; parallel illumination",
        ge=0,
        le=10,
    )
    aperture: Real | None = assumed(
        None, "objective aperture, semi-angle", unit="mrad", reason="not stated; none", gt=0
    )
    defoci: tuple[Real, ...] = given(
        (-100.0, -50.0, -25.0, -13.0, 0.0, 13.0, 25.0, 50.0, 100.0), "defocus values", unit="Å", min_length=1
    )
    defocus_origin: Literal["exit", "centre"] = assumed(
        "centre",
        "plane of zero defocus: the slab's exit face or its centre",
        reason="'the TEM image contrast changes largely and inverses at defocus 0 Å': it does at the slab's centre",
    )
    defocus_sign: Literal["underfocus-positive", "overfocus-positive"] = assumed(
        "underfocus-positive", "sign of the defocus", reason="convention of multislice codes (abTEM: defocus = -C10)"
    )

    @field_validator("defoci")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        ids: dict[int, float] = {}
        for defocus in value:
            tenths = round(defocus * 10)
            if tenths in ids:
                raise ValueError(f"{ids[tenths]:g} and {defocus:g} Å are one defocus: ids have a resolution of 0.1 Å")
            if abs(defocus * 10 - tenths) > 1e-6 or abs(defocus) > 99999:
                raise ValueError(f"{defocus:g} Å is not a multiple of 0.1 Å between -99999 and 99999 Å")
            ids[tenths] = defocus
        return value


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
    """Each crop by its own mean and standard deviation: contrast, and with it density, is removed."""

    method: Literal["standardised"] = Field("standardised", description="contrast removed")
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


class Recipe(Section):
    """From a micrograph to feature vectors."""

    intensity: Annotated[Clahe | Window | Standardised, Field(discriminator="method")] = Field(
        Clahe(), description="conversion to 8 bit"
    )
    filtrations: tuple[Literal["superlevel", "sublevel"], ...] = given(
        ("superlevel",), "filtrations of the grey levels", min_length=1, source="paper: from high to low intensity"
    )
    positions: Flag = assumed(False, "keep birth and death pixels in the diagrams", reason="files five times as large")
    bins: Whole = assumed(
        64, "bins of a persistence image along birth and death", reason="4 grey levels a bin", ge=2, le=256
    )
    sigma: Real = assumed(
        2.0, "standard deviation of the persistence image's Gaussian", unit="bins", reason="8 grey levels", gt=0
    )
    weight: Weight = Field(Weight(), description="weight of a pair")

    _once = field_validator("filtrations")(once("filtration"))


class Crops(Section):
    """The paper's small images."""

    size: Whole = given(256, "side of a crop", unit="px", ge=8)
    stride: Whole = assumed(
        256, "distance between crops", unit="px", reason="16 crops per micrograph, not overlapping", ge=1
    )


class Learning(Section):
    """Classification of the persistence images."""

    models: tuple[Literal["LR", "SVC"], ...] = given(
        ("LR", "SVC"), "logistic regression, support vectors (hinge)", min_length=1
    )
    C: Real = given(0.01, "regularisation parameter of both models", gt=0)
    scaling: Literal["standard", "maximum", "none"] = assumed(
        "standard",
        "features by mean and SD of each, by the largest of all, or as they are; fitted on training rows",
        reason="not stated, and meaningless without C: see docs/assumptions.md",
    )
    test_fraction: Real = given(0.25, "share of crops tested in a random split", gt=0, lt=1)
    repetitions: Whole = assumed(
        10,
        "random splits",
        reason="'cross validation' with 75 % and 25 % is read as repeated random splits",
        ge=1,
        le=1000,
    )
    split_seed: Whole = assumed(0, "seed of the random splits", reason="arbitrary", ge=0)
    in_focus: Real = given(25.0, "largest |defocus| that counts as in focus", unit="Å", ge=0)

    _once = field_validator("models")(once("model"))


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
    imaging: Imaging = Field(Imaging(), description="multislice and the microscope")
    crops: Crops = Field(Crops(), description="small images")
    features: dict[Name, Recipe] = given(
        {"paper": Recipe(), "absolute": Recipe(intensity=Window()), "standardised": Recipe(intensity=Standardised())},
        "recipes: name and steps from a micrograph to feature vectors",
        source="paper; `absolute` and `standardised` show how much of the accuracy is contrast",
        min_length=1,
    )
    learning: Learning = Field(Learning(), description="classification")
    run: Run = Field(Run(), description="how to run")

    @model_validator(mode="after")
    def _combinations(self) -> Study:
        from persistem.combinations import check_combinations

        try:
            check_combinations(self)
        except PersistemError as error:  # a stage's own check; pydantic collects ValueErrors
            raise ValueError(str(error)) from error
        return self
