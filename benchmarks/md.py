"""Molecular dynamics: `persistem heat`, with its segments, against the same LAMMPS input run by hand.

By hand is `mpiexec -n 2 lmp -in in.lammps`: the same crystal from a data file that is there already, potential (with
`--study` another than the paper's), accelerator, velocities, thermostat, barostat, neighbour list and thermo interval,
all steps in one run, the end state written. Wall times are of the whole process, from mpiexec to its end; loop times
are those that LAMMPS reports.

What a study's longer segments cost is extrapolated: see `start_up`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import tempfile
from pathlib import Path

from measure import BIN, Child, median, ratio, run, table

#: Steps of the short runs that start-up is taken from; what they integrate is subtracted.
PROBE = 10

INPUT = """units metal
atom_style {atom_style}
boundary p p p
read_data crystal.data
{forces}
neighbor {neighbor} bin
neigh_modify every 1 delay 0 check yes
timestep {timestep}
velocity all create {hot} {seed} dist gaussian mom yes rot no loop all
fix heat all npt temp {temperature} {temperature} {temperature_damping} iso {pressure} {pressure} {pressure_damping}
thermo_style custom step temp press density pe etotal vol
thermo {every}
run {steps}
write_data end.data
"""

# Prints what the input file and the protocol are made of, and writes the crystal; in a child, so that this process
# stays small.
PREPARE = """
import json, sys
from pathlib import Path
from ase.io.lammpsdata import write_lammps_data
from persistem.specimens.md import BAR_PER_GPA, velocity_seed
from persistem.specimens.md import MATERIAL_KEYS
from persistem.study.fields import part
from persistem.specimens.simulation import force_commands
from persistem.specimens.structures import crystal_of, potential_files
from persistem.study import MolecularDynamics, Study
from persistem.study.load import load_study
from persistem.study.specimens import ACCELERATED
repetitions, file, accelerator = json.loads(sys.argv[1])
study = load_study(Path(file)) if file else Study()
material = study.material.model_copy(update={"repetitions": repetitions} if repetitions else {})
potential, own = study.potential, study.md
md = MolecularDynamics(timestep=own.timestep, atom_style=own.atom_style, neighbor=own.neighbor, accelerator=accelerator)
atoms, style = crystal_of(material), md.atom_style
order = list(material.species)
write_lammps_data("crystal.data", atoms, specorder=order, masses=True, units="metal", atom_style=style)
print(json.dumps({
    "atoms": len(atoms),
    "protocol": {"material": part(material, MATERIAL_KEYS), "potential": part(potential), "md": part(md)},
    "input": {
        "forces": "\\n".join(
            force_commands(material, potential, {name: str(path) for name, path in potential_files(potential).items()})
        ),
        "atom_style": md.atom_style,
        "neighbor": md.neighbor,
        "options": ACCELERATED[md.accelerator],
        "timestep": md.timestep / 1000,
        "seed": velocity_seed(1),
        "temperature_damping": md.temperature_damping / 1000,
        "pressure_damping": md.pressure_damping / 1000,
        "pressure": md.pressure * BAR_PER_GPA,
        "factor": md.initial_temperature_factor,
        "every": md.thermo_every,
    },
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, nargs=3, help="cells of the crystal (the paper's: 27,840 atoms)")
    parser.add_argument("--study", type=Path, help="study whose crystal and potential run (the paper's)")
    parser.add_argument("--accelerator", default="none", help="md.accelerator (none)")
    parser.add_argument("--temperature", type=int, default=6000, help="K (6000)")
    parser.add_argument("--steps", type=int, default=500, help="steps of a segment (500)")
    parser.add_argument("--segments", type=int, default=2, help="segments (2)")
    parser.add_argument("--ranks", type=int, default=2, help="MPI ranks (2)")
    parser.add_argument("--repeat", type=int, default=3, help="times that both run, in turn (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options)
        a: list[Child] = []
        b: list[Child] = []
        for _ in range(options.repeat):
            a.append(bench.heat(options.segments, options.steps))
            b.append(bench.by_hand(options.segments * options.steps))
        report(bench, a, b)
        start_up(bench, options.repeat, median(loop(c) for c in b) / (options.segments * options.steps), a, b)


class Bench:
    """The two ways to run a crystal, in a scratch folder."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.temperature, self.ranks = folder, options.temperature, options.ranks
        file = str(options.study.resolve()) if options.study else None
        asked = json.dumps([options.repetitions, file, options.accelerator])
        prepare = [BIN / "python", "-c", PREPARE, asked]
        facts = json.loads(run(prepare, folder, folder / "prepare.log").text.splitlines()[-1])
        self.atoms, self.protocol, self.input = facts["atoms"], facts["protocol"], facts["input"]
        self.count = itertools.count()

    def heat(self, segments: int, steps: int) -> Child:
        """`persistem heat` as the rule `heating` runs it."""
        md = {**self.protocol["md"], "segment_steps": steps, "steps": segments * steps, "ranks": self.ranks}
        md["temperature_tolerance"] = 1e6  # these runs are too short to reach their temperature
        protocol = json.dumps({**self.protocol, "md": md})
        verb = ["heat", "out", "--temperature", self.temperature, "--seed", 1, "--protocol", protocol]
        return self._run([BIN / "python", "-m", "persistem.specimens.parallel", *map(str, verb)])

    def by_hand(self, steps: int) -> Child:
        """The same as one LAMMPS input file."""
        hot = self.temperature * self.input["factor"]
        text = INPUT.format(**self.input, temperature=float(self.temperature), hot=hot, steps=steps)
        return self._run([BIN / "lmp", "-in", "in.lammps", "-log", "none", "-nocite", *self.input["options"]], text)

    def _run(self, command: list[str | Path], text: str = "") -> Child:
        folder = self.folder / str(next(self.count))
        folder.mkdir()
        if text:
            (folder / "in.lammps").write_text(text)
            (folder / "crystal.data").symlink_to(self.folder / "crystal.data")
        child = run([BIN / "mpiexec", "-n", str(self.ranks), *command], folder, folder / "log", threads=1)
        shutil.rmtree(folder)
        return child


def loop(child: Child) -> float:
    """Seconds in the time-stepping loops, as LAMMPS reports them, over all segments."""
    return sum(map(float, re.findall(r"^Loop time of ([\d.e+-]+) on", child.text, re.M)))


def report(bench: Bench, a: list[Child], b: list[Child]) -> None:
    print(f"{bench.atoms} atoms, {bench.temperature} K, {bench.ranks} MPI ranks, medians of {len(a)}\n")
    rows: list[list[object]] = [["", "wall, s", "loop, s", "outside, s", "peak, GiB/rank"]]
    for name, of in (("persistem heat", a), ("lmp by hand", b)):
        walls, loops = [c.wall for c in of], [loop(c) for c in of]
        outside = median(w - s for w, s in zip(walls, loops, strict=True))
        rows.append([name, median(walls), median(loops), outside, median(c.peak for c in of)])
    table(rows)
    print(f"throughput, whole process, target at least 0.97: {ratio([c.wall for c in b], [c.wall for c in a])}")
    print(f"throughput, loops alone:                         {ratio([loop(c) for c in b], [loop(c) for c in a])}\n")


def start_up(bench: Bench, repeat: int, step: float, a: list[Child], b: list[Child]) -> None:
    """What the study's segments cost, from what lies outside the loops of short runs.

    Outside the loops, a run of k segments takes `once + k * each`: python, the crystal and the end state once; an
    instance of LAMMPS, reading a restart file, a neighbour list, first forces and writing a restart file for each.
    Runs of one and of five segments of a few steps give both. By hand it takes `hand`.
    """
    one, five, hand = [], [], []
    for _ in range(repeat):
        for child, outside in (
            (bench.heat(1, PROBE), one),
            (bench.heat(5, PROBE), five),
            (bench.by_hand(PROBE), hand),
        ):
            outside.append(child.wall - loop(child))
    each = (median(five) - median(one)) / 4
    once = median(one) - each
    slower = median(loop(x) / loop(y) for x, y in zip(a, b, strict=True))
    rows: list[list[object]] = [["extrapolated", "steps", "segments", "in loops, s", "start-up, s", "throughput"]]
    default = bench.protocol["md"]
    for name, steps in (("heating", default["steps"]), ("RT treatment", default["rt"]["steps"])):
        segments = -(-steps // default["segment_steps"])
        extra = once + segments * each
        wall = steps * step * slower + extra
        rows.append([name, steps, segments, steps * step * slower, extra, (steps * step + median(hand)) / wall])
    table(rows)
    print(f"start-up: {once:.2f} s once and {each:.2f} s for each segment (by hand {median(hand):.2f} s), from runs of")
    print(
        f"1 and 5 segments of {PROBE} steps less their loops; loops at the rate of the table above, {step * 1e3:.2f} ms"
    )
    print("a step by hand.")


if __name__ == "__main__":
    main()
