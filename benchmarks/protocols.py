"""The paper's accuracies under many protocols of one MD seed: seconds a protocol, and what 5,000 take.

The protocols are of config/reconstruction-search.yaml. The crops are made up: of white noise
smoothed to the grain of amorphous GaN, rougher in one state, with as many crops of 256 px as each answer asks for, at
nine defoci. A seed beside the one that is judged is judged as well, as in a search. Diagrams are not in the time: they
are shared and lie in files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import ROOT, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocols", type=int, default=120, help="protocols that are timed (120)")
    parser.add_argument("--size", type=int, default=256, help="side of a crop, px (256); tiny: 32")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    options = parser.parse_args()
    from persistem.evaluation.protocols import evaluated

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        settings = made(root, options.size)
        chosen = drawn(settings, options.protocols)
        start = time.perf_counter()
        done = list(evaluated(settings, root, [(protocol, 1) for protocol in chosen], options.jobs))
        wall = time.perf_counter() - start
    each = wall / len(done)
    table([["protocols", "wall s", "s a protocol", "5,000: min"], [len(done), wall, each, 5000 * each / 60]])
    print("target: 5,000 protocols of one seed in 60 minutes or less on 2 cores")


def drawn(settings: dict[str, Any], number: int) -> list[tuple[int, ...]]:
    """So many of 5,000 protocols drawn at random, as whole groups that share diagrams and images, as in a search."""
    import numpy as np
    from persistem.evaluation.protocols import SHARED, choice

    rng = np.random.default_rng(0)
    counts = [len(factor["answers"]) for factor in settings["factors"]]
    protocols = {tuple(int(rng.integers(n)) for n in counts) for _ in range(5500)}
    groups: dict[tuple[str, ...], list[tuple[int, ...]]] = {}
    for protocol in sorted(protocols)[:5000]:
        groups.setdefault(tuple(choice(settings, name, protocol) for name in SHARED), []).append(protocol)
    listed = [groups[key] for key in sorted(groups)]
    chosen: list[tuple[int, ...]] = []
    for k in rng.permutation(len(listed)):
        chosen += listed[k] if len(chosen) < number else []
    return chosen


def made(root: Path, size: int) -> dict[str, Any]:
    """Settings of the study's protocols for two seeds, with files of made-up diagrams."""
    import numpy as np
    from persistem.plan.plan import Plan
    from persistem.study import Recipe
    from persistem.study.load import load_study
    from persistem.topology.diagrams import diagram_table, write_diagrams
    from scipy.ndimage import gaussian_filter

    plan = Plan(load_study(ROOT / "config/reconstruction-search.yaml"))
    settings = plan.settings("protocols", Path(plan.evaluation.joint.protocols).parent.name)
    settings = settings | {"seeds": [1, 2], "diagrams": dict(settings["diagrams"])}
    files: dict[tuple[Any, ...], str] = {}
    by = {}
    for key, one in settings["diagrams"]["by"].items():
        sources = []
        for seed in settings["seeds"]:
            for k, state in enumerate(settings["states"]):
                name = (one["crops"], seed, state)
                if name not in files:
                    count = one["crops"] * len(one["defoci"])
                    rng = np.random.default_rng([seed, k])
                    fields = gaussian_filter(rng.normal(size=(count, size, size)), (0, 8 - k, 8 - k))
                    grey = np.clip(127.5 * (1 + fields / fields.std() / 3), 0, 255).astype(np.uint8)
                    files[name] = f"{state}-{seed}-{one['crops']}.parquet"
                    write_diagrams(diagram_table(grey, Recipe()), root / files[name])
                sources.append({"state": state, "seed": seed, "path": files[name]})
        by[key] = one | {"sources": sources}
    settings["diagrams"]["by"] = by
    return settings


if __name__ == "__main__":
    main()
