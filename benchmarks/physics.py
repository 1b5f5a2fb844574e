"""The physics behind docs/assumptions.md, measured again: densities, cavities, time step, potential, focal spread.

Sections, all by default:

- ``expansion``: the liquid's density at no pressure after 3 and 10 ps, by the size of the cell and ``md.pchain``;
- ``states``: density, cavities, coordination and molecules of finished specimens;
- ``timestep``: how much energy a liquid without a thermostat gains with a time step of 1 fs and of 0.25 fs;
- ``potential``: what abTEM's placement of atoms on the grid, and its infinite projection, do to an image;
- ``focus``: the focal spread, classical and relativistic, and what it does to the contrast.

All but ``expansion`` need the folder ``--root`` with finished specimens of the extended study at 6000 K; ``expansion``
takes its largest cell from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, run, table

#: Cells of the expansion: repetitions (300, 1,280 and 3,168 atoms), seeds, and the chains that are tried.
CELLS = (((5, 5, 3), (1, 2, 3), (3, 0)), ((8, 8, 5), (1, 2), (3, 0)), ((12, 11, 6), (1,), (3, 0)))
#: Steps of the expansion for each chain: without one the cell soon is too large to go on.
STEPS = {3: 10_000, 0: 3_000}
HOT, TREATED = "T6000-rt0-s{seed:02d}", "T6000-rt1-s{seed:02d}"
#: The imaged field: half as wide as the paper's, with its sampling, margin and thickness.
FIELD, PIXELS = 25.0, 512
DEFOCI = (-50.0, 0.0, 50.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"{', '.join(SECTIONS)} (all)")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds results/ (the repository)")
    parser.add_argument("--seed", type=int, default=2, help="seed of the finished specimens (2)")
    options = parser.parse_args()
    for name in options.sections or SECTIONS:
        if name not in SECTIONS:
            parser.error(f"{name}: no such section; allowed are {', '.join(SECTIONS)}")
        print(f"{name}\n", flush=True)
        SECTIONS[name](options)


def finished(options: argparse.Namespace, specimen: str) -> Path:
    """The folder of a finished specimen of the extended study."""
    from persistem.plan.plan import Plan
    from persistem.store import paths
    from persistem.study.load import load_study

    plan = Plan(load_study(ROOT / "config/extended.yaml"))
    name = specimen.format(seed=options.seed)
    folder: Path = (options.root / paths.path("specimens", plan.digest("specimens", name), name)).parent
    if not (folder / "structure.extxyz").exists():
        sys.exit(f"{folder}: no finished specimen; unpack or make it, or give --root and --seed")
    return folder


def expansion(options: argparse.Namespace) -> None:
    """The density (g/cm³) after 3 and 10 ps at 6000 K and no pressure; in small cells each seed's."""
    rows: list[list[object]] = [["atoms", "pchain", "3 ps", "10 ps", "seeds"]]
    with tempfile.TemporaryDirectory() as name:
        for repetitions, seeds, chains in CELLS:
            for chain in chains:
                series = [heated(Path(name), repetitions, seed, chain) for seed in seeds]
                cells = [" ".join(f"{each[time]:.3g}" for each in series if time in each) for time in (3, 10)]
                rows.append([4 * int(np.prod(repetitions)), chain, *cells, " ".join(map(str, seeds))])
    largest = densities_of(finished(options, HOT) / "thermo.csv")
    rows.append([27_840, 3, *(f"{largest[time]:.3g}" for time in (3, 10)), options.seed])
    table(rows)


def heated(folder: Path, repetitions: tuple[int, ...], seed: int, chain: int) -> dict[float, float]:
    """The density (g/cm³) by time (ps) of a crystal that is heated as in the paper's study."""
    out = folder / f"{'-'.join(map(str, repetitions))}-{seed}-{chain}"
    # a thin gas swings about its temperature
    md = {"steps": STEPS[chain], "pchain": chain, "ranks": 1, "temperature_tolerance": 1e6}
    protocol = json.dumps({"material": {"repetitions": repetitions}, "md": md})
    verb = ["heat", out, "--temperature", "6000", "--seed", str(seed), "--protocol", protocol]
    run([sys.executable, "-m", "persistem.specimens.parallel", *verb], folder, folder / "log", threads=1)
    return densities_of(out / "thermo.csv")


def densities_of(thermo: Path) -> dict[float, float]:
    """The density (g/cm³) by time (ps) in a thermo series with steps of 1 fs."""
    from persistem.specimens.segments import read_thermo

    return {row["step"] / 1000: row["density_g_cm3"] for row in read_thermo(thermo)}


def states(options: argparse.Namespace) -> None:
    """What the state checks count in finished specimens, as the table of specimens has it."""
    from persistem.specimens.state_checks import state_checks_file
    from persistem.store.files import read_json

    rows: list[list[object]] = [["specimen", "g/cm³", "cavities, %", "Ga around N", "N in N-N, %"]]
    with tempfile.TemporaryDirectory() as name:
        for specimen in (HOT, TREATED):
            folder, out = finished(options, specimen), Path(name) / "check.json"
            state_checks_file({"structure": "structure.extxyz", "species": None}, folder, out)
            check = read_json(out)
            around = check["coordination"]["Ga around N"]["mean"]
            share = 100 * check["contacts"]["N-N"]["molecules"]
            rows.append([folder.name, check["density_g_cm3"], 100 * check["cavities"], around, share])
    table(rows)


def timestep(options: argparse.Namespace, lasting: float = 0.3) -> None:
    """The drift of the total energy of the hot specimen without a thermostat, from a fit over ``lasting`` ps."""
    from persistem.specimens.simulation import quoted, set_forces, start_lammps, world_of
    from persistem.study import Material, MolecularDynamics, Potential

    world_of(1)
    rows: list[list[object]] = [["time step, fs", "gain, eV/atom/ps", "error"]]
    for step in (1.0, 0.25):
        md = MolecularDynamics(timestep=step, ranks=1)
        lmp = start_lammps(screen=False)
        lmp.command(f"read_restart {quoted(finished(options, HOT) / 'end.restart')}")
        set_forces(lmp, Material(), Potential(), md)
        lmp.command("fix free all nve")
        energies, every = [], round(0.01 / (step / 1000))
        for _ in range(round(lasting / 0.01) + 1):
            lmp.command(f"run {every if energies else 0} post no")
            energies.append(lmp.get_thermo("etotal") / lmp.get_natoms())
        lmp.close()
        fit, covariance = np.polyfit(0.01 * np.arange(len(energies)), energies, 1, cov=True)
        rows.append([f"{step:g}", f"{fit[0]:.4f}", f"{covariance[0, 0] ** 0.5:.4f}"])
    table(rows)


def potential(options: argparse.Namespace) -> None:
    """Images with atoms placed as abTEM does (bilinear on the grid) and with a finite projection, against exact ones.

    ``rms`` is the root-mean-square of the difference, ``SD`` the change of the standard deviation; both as a share of
    the standard deviation of the image with exact placement or, for the finite projection, with bilinear placement.
    """
    from persistem.imaging.optics import abtem_settings

    rows: list[list[object]] = [["specimen", "defocus, Å", "bilinear: rms, %", "SD, %", "finite: rms, %", "SD, %"]]
    for specimen in (HOT, TREATED):
        slab, imaging = slab_of(options, specimen)
        with abtem_settings("cpu"):
            import abtem

            kinds: dict[str, Any] = {
                "exact": {"integrator": exactly(imaging.parametrization)},
                "bilinear": {},
                "finite": {"projection": "finite"},
            }
            waves = {kind: wave_of(abtem, slab, imaging, **how) for kind, how in kinds.items()}
            for defocus in DEFOCI:
                images = {kind: image_of(wave, imaging, defocus) for kind, wave in waves.items()}
                true = images["exact"]
                cells: list[object] = []
                for kind in ("bilinear", "finite"):
                    # the finite projection has bilinear placement too: what it adds is against that
                    against = true if kind == "bilinear" else images["bilinear"]
                    rms = np.sqrt(np.mean((images[kind] - against) ** 2)) / against.std()
                    cells += [100 * rms, 100 * (images[kind].std() / against.std() - 1)]
                rows.append([specimen.format(seed=options.seed), f"{defocus:g}", *cells])
    table(rows)


def focus(options: argparse.Namespace) -> None:
    """The standard deviation of the focus, and of the image over its mean, by how the focal spread is computed."""
    from persistem.imaging.optics import abtem_settings, focal_sigma

    rows: list[list[object]] = [["specimen", "defocus, Å", "SD classical", "SD relativistic", "change, %"]]
    for specimen in (HOT, TREATED):
        slab, imaging = slab_of(options, specimen)
        with abtem_settings("cpu"):
            import abtem

            wave = wave_of(abtem, slab, imaging)
            spreads = {
                name: imaging.model_copy(update={"focal_spread": name}) for name in ("classical", "relativistic")
            }
            for defocus in DEFOCI:
                found = [image_of(wave, one, defocus) for one in spreads.values()]
                contrast = [float(image.std() / image.mean()) for image in found]
                cells = [f"{value:.4f}" for value in contrast]
                rows.append(
                    [specimen.format(seed=options.seed), f"{defocus:g}", *cells, 100 * (contrast[1] / contrast[0] - 1)]
                )
    print(", ".join(f"{name}: {focal_sigma(one):.2f} Å" for name, one in spreads.items()) + "\n")
    table(rows)


def slab_of(options: argparse.Namespace, specimen: str) -> tuple[Any, Any]:
    """The slab of a finished specimen, and how it is imaged."""
    from persistem.imaging.exit_waves import _slab
    from persistem.specimens.structures import read_structure
    from persistem.study import Imaging

    path = finished(options, specimen) / "structure.extxyz"
    imaging = Imaging(field=FIELD, pixels=PIXELS)
    return _slab(read_structure(path), imaging, path), imaging


def wave_of(abtem: Any, slab: Any, imaging: Any, **how: Any) -> Any:
    """The exit wave of a slab as `persistem.imaging.exit_waves` has it, but for the arguments of the potential."""
    from persistem.specimens.slabs import grid

    made = abtem.Potential(
        slab,
        gpts=grid(imaging).pixels,
        slice_thickness=imaging.slice_thickness,
        parametrization=imaging.parametrization,
        **how,
    )
    return abtem.PlaneWave(energy=imaging.voltage * 1e3).multislice(made, lazy=False)


def image_of(wave: Any, imaging: Any, defocus: float) -> np.ndarray:
    """The image of a wave without the margin."""
    from persistem.imaging.micrographs import image
    from persistem.specimens.slabs import grid

    margin = grid(imaging).margin
    inner = slice(margin, margin + imaging.pixels)
    return image(wave.copy(), imaging, defocus)[inner, inner].astype(float)


def exactly(parametrization: str) -> Any:
    """abTEM's integrator of infinite projections with atoms where they are: their phases, not neighbouring pixels."""
    from abtem.integrals import ScatteringFactorProjectionIntegrals
    from ase.data import chemical_symbols

    class Exact(ScatteringFactorProjectionIntegrals):
        def integrate_on_grid(
            self, atoms: Any, a: float, b: float, gpts: Any, sampling: Any, device: str = "cpu"
        ) -> Any:
            spectrum = np.zeros(gpts, complex)
            frequencies = [np.fft.fftfreq(n, d) for n, d in zip(gpts, sampling, strict=True)]
            for number in np.unique(atoms.numbers):
                places = atoms.positions[atoms.numbers == number]
                x, y = (np.exp(-2j * np.pi * np.outer(k, places[:, axis])) for axis, k in enumerate(frequencies))
                factor = self.get_scattering_factor(chemical_symbols[number], gpts, sampling, device)
                spectrum += factor * (x @ y.T)
            return (np.fft.ifft2(spectrum).real / np.prod(sampling)).astype(np.float32)

    return Exact(parametrization)


SECTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    section.__name__: section for section in (expansion, states, timestep, potential, focus)
}

if __name__ == "__main__":
    main()
