"""The 3D diagram of a 50 Å cube: the stage's function from structure file to table, against the bare HomCloud call.

Both run in one process, in turn, with everything imported, and their CPU time is measured: neither has threads, and
other work on the machine counts less. The bare call is ``PDList.from_alpha_filtration`` with the
same points, weights and options, which writes the same file; reading the structure, cutting the cube, finding where
pairs are born and writing the table are the function's own. Without ``--structure`` a liquid of random atoms at the
density of GaN is used.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import median, ratio, table

#: GaN: atoms per Å³, and radii in Å.
DENSITY, RADII = 0.088, {"Ga": 1.25, "N": 0.7}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure", type=Path, help="a specimen of Ga and N in extended XYZ")
    parser.add_argument("--side", type=float, default=50.0, help="side of the cube, Å (50)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each (5)")
    options = parser.parse_args()

    import homcloud.interface as hc
    from persistem.topology.diagrams_3d import diagram_3d_file, slab_atoms

    side = (options.side, options.side)
    with tempfile.TemporaryDirectory() as scratch:
        structure = options.structure or random_liquid(Path(scratch, "structure.extxyz"), options.side)
        rows: list[list[object]] = [["", "atoms", "function, CPU s", "bare call, CPU s", "ratio"]]
        for periodic in (False, True):
            points, elements = slab_atoms(structure, RADII, side, periodic)

            def ours(periodic: bool = periodic) -> None:
                diagram_3d_file(structure, RADII, side, periodic, Path(scratch, "ours.pdgm"))

            def bare(points: Any = points, elements: list[str] = elements) -> None:
                hc.PDList.from_alpha_filtration(
                    points,
                    weight=True,
                    vertex_symbols=elements,
                    save_to=str(Path(scratch, "bare.pdgm")),
                    save_boundary_map=True,
                ).close()

            ours(), bare()
            times = [(seconds(ours), seconds(bare)) for _ in range(options.repeat)]
            above, below = zip(*times, strict=True)
            name = "no surface" if periodic else "open faces"
            rows.append([name, len(points), median(above), median(below), ratio(above, below)])
    table(rows)
    print("target: at most 1.2 of the bare call")


def seconds(call: Callable[[], None]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def random_liquid(path: Path, side: float) -> Path:
    """Random atoms, as many Ga as N, in a periodic cell that the cube fits into."""
    import numpy as np
    from ase import Atoms
    from persistem.specimens.structures import write_structure

    rng = np.random.default_rng(0)
    number = round(DENSITY * side**3 / 2)
    positions = rng.uniform(0, side, (2 * number, 3))
    write_structure(path, Atoms(["Ga", "N"] * number, positions, cell=[side] * 3, pbc=True))
    return path


if __name__ == "__main__":
    main()
