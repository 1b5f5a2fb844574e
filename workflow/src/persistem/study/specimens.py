"""Settings of the specimens: material, molecular dynamics, own structures, states."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from persistem.study.fields import OURS, Flag, Name, Real, Section, Whole, assumed, given

Element = Annotated[str, Field(pattern="^[A-Z][a-z]?$")]
#: Pair styles of LAMMPS that take one file for all elements; others may run code, e.g. ``python`` and ``mliap``.
PAIR_STYLES = (
    "adp", "agni", "airebo", "airebo/morse", "bop", "eam/alloy", "eam/fs", "eam/he", "edip", "edip/multi", "extep",
    "gw", "gw/zbl", "lcbop", "meam/spline", "meam/sw/spline", "nb3b/harmonic", "nb3b/screened", "pace", "polymorphic",
    "rebo", "rebomos", "sw", "sw/mod", "tersoff", "tersoff/mod", "tersoff/mod/c", "tersoff/table", "tersoff/zbl", "uf3",
    "vashishta", "vashishta/table",
)  # fmt: skip
#: A style, perhaps accelerated, and its arguments: numbers and keywords, which name no file.
PAIR_STYLE = re.compile(r"([a-z0-9/]+?)(/(omp|opt|intel|kk|gpu))?( +([-+]?[0-9][0-9.e+-]{0,30}|[A-Za-z_]{1,30})){0,20}")


#: Further pair styles that `commands` may name: of several files, of none, hybrid, with charges, and machine-learned
#: ones that a user's LAMMPS may have. Each file is one of `files`.
MORE_STYLES = (
    "born", "born/coul/dsf", "born/coul/long", "born/coul/wolf", "buck", "buck/coul/cut", "buck/coul/long", "comb",
    "comb3", "coul/cut", "coul/dsf", "coul/long", "coul/wolf", "eam", "eam/cd", "hybrid", "hybrid/overlay",
    "hybrid/scaled", "lj/cut", "lj/cut/coul/cut", "lj/cut/coul/dsf", "lj/cut/coul/long", "meam", "morse", "reaxff",
    "smtbq", "snap", "pod", "rann", "yukawa", "zbl", "zero", "deepmd", "allegro", "nequip", "mace", "nnp", "quip",
)  # fmt: skip
KSPACE_STYLES = ("ewald", "pppm", "pppm/cg", "msm", "none")
#: Words of these commands that are neither.
KEYWORDS = (
    "NULL", "yes", "no", "none", "shift", "mix", "geometric", "arithmetic", "sixthpower", "tail", "table", "order",
    "mesh", "slab", "gewald", "checkqeq", "safezone", "mincap", "compute", "lookup", "linear", "spline", "bitmap",
)  # fmt: skip
#: A section of a file of tables, named behind the file.
SECTION = re.compile(r"\} [A-Z][A-Z0-9_]{1,30}(?= |$)")
#: Commands of LAMMPS that set forces; others are the workflow's, or act on files.
FORCES = ("pair_style", "pair_coeff", "pair_modify", "kspace_style", "kspace_modify", "dielectric", "set")
#: A number, perhaps with an exponent, or types of atoms: ``*``, ``1*2``.
NUMBER = re.compile(r"[-+]?[0-9][0-9.]{0,30}([eE][-+]?[0-9]{1,3})?|[-+]?\.[0-9]{1,30}|[0-9]{0,3}\*[0-9]{0,3}")
#: The accelerated variants of a style.
VARIANT = re.compile(r"/(omp|opt|intel|kk|gpu)$")
#: The one thing that ``set`` may: charges. It is repeated at every start, so it must always give the same.
CHARGE = re.compile(r"set type [0-9]{1,3} charge [-+]?[0-9.]{1,20}")
#: The name in braces that stands for the elements.
ELEMENTS = "elements"
#: How LAMMPS is told to take the faster variants of its styles, one thread a rank.
ACCELERATED: dict[str, tuple[str, ...]] = {
    "none": (),
    "opt": ("-sf", "opt"),
    "omp": ("-pk", "omp", "1", "-sf", "omp"),
    "intel": ("-pk", "intel", "0", "omp", "1", "-sf", "intel"),
    "kokkos": ("-k", "on", "t", "1", "-sf", "kk"),
    "gpu": ("-pk", "gpu", "1", "-sf", "gpu"),
}


class Crystal(Section):
    """The unit cell, as ``ase.build.bulk`` makes it; formula, structure and a have no defaults of their own."""

    formula: Annotated[str, Field(pattern=r"^([A-Z][a-z]?[0-9]{0,2}){1,8}$")] = given(
        ..., "chemical formula of the unit cell"
    )
    structure: Annotated[str, Field(pattern=r"^[A-Za-z]{1,20}$")] = given(
        ..., "crystal structure, a name that ase.build.bulk knows"
    )
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
    species: tuple[Element, ...] = given(("Ga", "N"), "elements, in the order of LAMMPS' atom types", min_length=1)
    radii: dict[str, Annotated[Real, Field(gt=0, le=5)]] = given(
        {"Ga": 1.25, "N": 0.7},
        "radius of each element in 3D diagrams; of own structures, elements not listed take the covalent radius (ASE)",
        unit="Å",
        source="assumption: the paper's '1.5625 Å and 0.49 Å' are the squares of these, which HomCloud takes: they add"
        " up to the Ga-N bond, and only with them are the surface peaks where the paper has them",
    )

    @field_validator("repetitions")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if min(value) < 1:
            raise ValueError("each repetition must be at least 1")
        return value


class Potential(Section):
    """The interatomic potential; ``pair_coeff * * file elements`` is handed to LAMMPS, or ``commands`` are."""

    later: ClassVar[tuple[str, ...]] = ("commands", "files")

    pair_style: str = given("tersoff", "LAMMPS pair_style that takes one file for all elements, with its arguments")
    file: str = given("GaN.tersoff", "potential file: a path, or the name of one that LAMMPS ships (Nord et al. 2003)")

    commands: tuple[str, ...] = given(
        (),
        "LAMMPS commands that set the forces, instead of `pair_style` and `file`; {elements} stands for"
        " material.species, {NAME} for the file of that name in `files`",
        source=OURS,
    )
    files: dict[Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]{0,30}$")], str] = given(
        {}, "files that `commands` name: a path, or the name of one that LAMMPS ships", source=OURS
    )

    @field_validator("file")
    @classmethod
    def _plain(cls, value: str) -> str:
        if re.search(r'["$`\\\x00-\x1f\x7f-\x9f]', value):
            raise ValueError('a path without ", $, `, \\ and control characters, which LAMMPS or a shell could act on')
        return value

    @field_validator("commands")
    @classmethod
    def _forces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        styles = {*PAIR_STYLES, *MORE_STYLES, *KSPACE_STYLES}
        for command in value:
            first, *rest = command.split() or [""]
            if command != " ".join([first, *rest]):  # LAMMPS takes a line break for the end of a command
                raise ValueError(f"{command!r}: has to be one line of words with a space between them")
            if first == "units":
                raise ValueError("units: the workflow's are metal (Å, ps, eV, bar); give the potential in these")
            if first not in FORCES:
                raise ValueError(f"{first!r}: sets no forces; allowed are {', '.join(FORCES)}")
            if first == "set" and not CHARGE.fullmatch(command):
                raise ValueError(f"{command!r}: allowed is set type N charge NUMBER")
            if first == "pair_coeff":
                rest = SECTION.sub("}", command).split()[1:]
            for word in rest if first != "set" else ():
                known = word in KEYWORDS or VARIANT.sub("", word) in styles or NUMBER.fullmatch(word)
                if not known and not re.fullmatch(r"[A-Z][a-z]?|\{[A-Za-z][A-Za-z0-9_]*\}", word):
                    raise ValueError(
                        f"{word!r} in {command!r}: is no number, element, {{NAME}} of a file in files, or style; styles"
                        f" are {', '.join(sorted(styles))}"
                    )
        return value

    @model_validator(mode="after")
    def _told_once(self) -> Potential:
        if not self.commands:
            if self.files:
                raise ValueError("files: are of commands, and there is none")
            return self
        # jobs are told every setting, so the defaults beside commands too
        fields = type(self).model_fields
        if stated := [key for key in ("pair_style", "file") if getattr(self, key) != fields[key].default]:
            raise ValueError(f"{stated[0]}: given together with commands, which set all forces; leave one out")
        if not self.commands[0].startswith("pair_style "):
            raise ValueError(f"commands: begin with {self.commands[0]!r}; the first says the pair_style")
        named = {word[1:-1] for command in self.commands for word in command.split() if word.startswith("{")}
        for name in sorted(named - {ELEMENTS} - set(self.files)):
            raise ValueError(f"commands: {{{name}}} is no file of files: {', '.join(self.files) or 'none'}")
        for name in sorted(set(self.files) - named):
            raise ValueError(f"files: {name} is named by no command")
        if ELEMENTS in self.files:
            raise ValueError(f"files: {ELEMENTS} is what stands for material.species; choose another name")
        for path in self.files.values():
            self._plain(path)
        return self

    @field_validator("pair_style")
    @classmethod
    def _known(cls, value: str) -> str:
        match = PAIR_STYLE.fullmatch(value)
        if match is None or match[1] not in PAIR_STYLES:
            raise ValueError(
                f"allowed are {', '.join(PAIR_STYLES)}, also accelerated (/omp, /opt, /intel, /kk, /gpu), and after"
                " them numbers and keywords"
            )
        return value


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


class Step(Section):
    """A step of a schedule: its end is a state of matter that can be classified."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,30}$")] = given(
        ..., "what its end is called, which states refer to", source=OURS
    )
    temperature: Annotated[Real, Field(ge=1, le=99999)] = given(..., "temperature at its end", unit="K", source=OURS)
    steps: Annotated[Whole, Field(ge=1)] | None = given(
        None, "its length, holding the temperature; or with `ramp`, on the way to it", unit="steps", source=OURS
    )
    rate: Annotated[Real, Field(gt=0)] | None = given(
        None, "instead of steps: how fast it heats or cools from the step before", unit="K/ps", source=OURS
    )
    ramp: Flag = given(False, "with `steps`: change the temperature evenly from that of the step before", source=OURS)
    pressure: Annotated[Real, Field(ge=-100, le=1000)] | None = given(
        None, "pressure; null: md.pressure", unit="GPa", source=OURS
    )
    density: Annotated[Real, Field(gt=0)] | None = given(
        None, "density that the cell is scaled to at its beginning and that is held; null: not held", unit="g/cm³",
        source=OURS,
    )  # fmt: skip
    state: Literal["liquid", "glass", "crystal"] | None = given(
        None,
        "what it has to be at its end: a liquid moves, a glass does not and is no crystal; null: not checked",
        source=OURS,
    )
    drift: Annotated[Real, Field(gt=0)] | None = given(
        None, "largest relative change of the density over its last quarter; null: not checked", source=OURS
    )
    energy_drift: Annotated[Real, Field(gt=0)] | None = given(
        None,
        "largest change of the potential energy of an atom over its last quarter, also at a density that is held; null:"
        " not checked",
        unit="eV",
        source=OURS,
    )

    @model_validator(mode="after")
    def _length(self) -> Step:
        if (self.steps is None) == (self.rate is None):
            raise ValueError(f"{self.name}: needs either steps or rate")
        if self.ramp and self.steps is None:
            raise ValueError(f"{self.name}: ramp is of steps; a rate says the same")
        if self.density is not None and self.pressure is not None:
            raise ValueError(f"{self.name}: density and pressure: one is held; leave the other out")
        if self.density is not None and self.drift is not None:
            raise ValueError(f"{self.name}: drift: a density that is held does not drift; ask for energy_drift instead")
        return self


class Schedule(Section):
    """The history of the specimens, instead of heating and RT treatment; each step goes on from the one before."""

    seeds: tuple[Annotated[Whole, Field(ge=1, le=9999)], ...] = given(
        ..., "seeds of the initial velocities, one independent trajectory each", source=OURS, min_length=1
    )
    steps: tuple[Step, ...] = given(..., "the steps in their order", source=OURS, min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Schedule:
        names = [step.name for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two steps are called {name}; each needs a name of its own")
        first = self.steps[0]
        if first.rate is not None or first.ramp:
            raise ValueError(f"{first.name}: the first step holds a temperature; there is none before to start from")
        for before, step in pairwise(self.steps):
            if step.rate is not None and step.temperature == before.temperature:
                raise ValueError(f"{step.name}: a rate to the temperature that the step before has; give steps")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is listed twice")
        return self

    def named(self, name: str) -> Step:
        """The step of this name."""
        return next(step for step in self.steps if step.name == name)

    def of(self, name: str, timestep: float) -> tuple[Step, float | None]:
        """A step with its length in steps of ``timestep`` fs, and the temperature (K) it begins at, if another."""
        k = [step.name for step in self.steps].index(name)
        step = self.steps[k]
        if step.rate is None and not step.ramp:
            return step, None
        begin = self.steps[k - 1].temperature
        if step.rate is None:
            return step, begin
        length = max(1, round(abs(step.temperature - begin) / step.rate * 1000 / timestep))
        return step.model_copy(update={"steps": length, "rate": None}), begin


class MolecularDynamics(Section):
    """LAMMPS: heating of the crystal, and the RT treatment that continues from the heated state."""

    #: At its default pchain is what LAMMPS does when it is not told, so specimens made before stay as they are.
    later: ClassVar[tuple[str, ...]] = ("pchain", "atom_style", "neighbor", "accelerator", "schedule")

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
    pchain: Whole = assumed(
        3,
        "thermostats in the chain on the barostat itself (LAMMPS fix npt, pchain); 0 leaves the barostat undamped",
        reason="default of LAMMPS; it decides how fast a liquid above its boiling point expands (docs/assumptions.md)",
        ge=0,
        le=20,
    )
    rt: RoomTemperature = Field(RoomTemperature(), description="the RT treatment")
    schedule: Schedule | None = given(
        None, "a history of steps, instead of `series`, `steps` and `rt`: hold, heat or cool, compress", source=OURS
    )
    segment_steps: Whole = assumed(
        2500, "a killed run resumes at a multiple of this", unit="steps", reason="a quarter of the heating", ge=10
    )
    thermo_every: Whole = assumed(100, "sampling of the thermo series", unit="steps", reason="150 samples a run", ge=1)
    atom_style: Literal["atomic", "charge"] = given(
        "atomic", "what LAMMPS keeps of an atom; charges are set by `potential.commands`", source=OURS
    )
    neighbor: Real = assumed(
        1.0, "skin of the neighbour lists", unit="Å", reason="rebuilt every few steps in a liquid", gt=0, le=10
    )
    accelerator: Literal["none", "opt", "omp", "intel", "kokkos", "gpu"] = given(
        "none",
        "faster variants of LAMMPS' styles, as far as its build has them, one thread a rank; they change a trajectory",
        source=OURS,
    )
    ranks: Whole = assumed(2, "MPI ranks; they change a trajectory", reason="a laptop's", ge=1, le=4096)
    temperature_tolerance: Real = assumed(
        0.1,
        "largest relative miss of the target temperature",
        reason="fluctuations of 27,840 atoms are below 1 %",
        gt=0,
    )


class Structure(Section):
    """One of the user's own structures, taken instead of MD."""

    later: ClassVar[tuple[str, ...]] = ("frame",)

    path: str = given(
        ..., "structure file: extended XYZ, LAMMPS data or dump, or what ASE reads; may be gzipped", source=OURS
    )
    state: Name = given(..., "the state it is an example of", source=OURS)
    seed: Whole = given(
        ..., "independent preparation it belongs to, the unit of leave-one-seed-out", source=OURS, ge=1, le=9999
    )
    types: dict[int, str] | None = given(
        None, "element of each atom type, where the file numbers them: LAMMPS data, dumps, some XYZ", source=OURS
    )
    frame: Whole | None = given(
        None, "the frame to take from a file of several: 0 is the first, -1 the last", source=OURS
    )


class State(Section):
    """Which specimens belong to a class: heated to a temperature, with or without RT treatment; or after a step."""

    later: ClassVar[tuple[str, ...]] = ("after",)

    temperature: Annotated[Whole, Field(ge=1, le=99999)] | None = given(None, "temperature of the heating", unit="K")
    rt: Flag | None = given(None, "with RT treatment")
    after: str | None = given(None, "instead: the step of md.schedule at whose end they are", source=OURS)

    @model_validator(mode="after")
    def _once(self) -> State:
        if self.after is None and (self.temperature is None or self.rt is None):
            raise ValueError("needs temperature and rt; or, of a study with md.schedule, after")
        if self.after is not None and (self.temperature is not None or self.rt is not None):
            raise ValueError(f"after = {self.after!r}: says which specimens; leave temperature and rt out")
        return self
