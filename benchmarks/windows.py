"""The windows of a micrograph described from the diagrams of tiles, and window by window: time, memory, accuracy.

From tiles, all windows of an image in a file are described as a map does it. Window by window, diagrams are taken of
`--windows` windows each for itself: its own mean and SD, its own bands, no pixel beyond it. The image shows atoms in
projection with shot noise, in its left half at random places and in its right half at places spread more evenly; a
logistic regression learns the halves from the windows of the upper part and is tested on the lower, and the other way
round, once for each description. Correlations are over windows, within a half. CPU time counts all processes. Memory
in sum is the largest sum of proportional shares (PSS) of all processes that was seen, five times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measure import Child, run, table

SIZE = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=SIZE, help="side of the image, px of 0.2 Å (4096)")
    parser.add_argument("--step", type=float, default=3.0, help="distance of the windows, Å (3)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--windows", type=int, default=1000, help="windows described one by one (1000)")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        STAGES[options.stage](options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = Path(scratch)
        child(options, "image")
        memory = Memory()
        tiles = child(options, "tiles")
        in_sum = memory.stop()
        sums = child(options, "sums")
        child(options, "alone")
        facts = json.loads((options.folder / "facts.json").read_text())
    count, each = facts.pop("windows"), facts.pop("each")
    table(
        [
            ["", "windows", "wall s", "CPU s", "CPU ms a window", "largest GiB", "in sum GiB"],
            ["from tiles, all blocks", count, tiles.wall, tiles.cpu, tiles.cpu / count * 1e3, tiles.peak, in_sum],
            ["from tiles, persistence", count, sums.wall, sums.cpu, sums.cpu / count * 1e3, sums.peak, ""],
            ["alone, persistence", options.windows, "", each * options.windows, each * 1e3, "", ""],
        ]
    )
    print(
        f"alone, persistence of {count} windows: {each * count:.0f} CPU s; {each * count / sums.cpu:.1f} of from tiles"
    )
    if options.size != SIZE:
        scale = (SIZE / options.size) ** 2
        print(f"extrapolated by area to {SIZE} x {SIZE}, from tiles, all blocks: {tiles.cpu * scale:.0f} CPU s")
    for name, value in facts.items():
        print(f"{name}: {value:.3f}")
    print("target: 4096 x 4096, windows 3 Å apart, 2 jobs: wall <= 150 s; largest process < 1.5 GiB, in sum < 2 GiB")


def child(options: argparse.Namespace, stage: str) -> Child:
    """Run a stage in a process of its own."""
    given = [f"--{name}={getattr(options, name)}" for name in ("size", "step", "jobs", "windows", "folder")]
    command = [sys.executable, __file__, f"--stage={stage}", *given]
    return run(command, Path.cwd(), options.folder / f"{stage}.log", threads=1)


class Memory:
    """The largest memory of all children of this process together, GiB, until it is stopped."""

    def __init__(self) -> None:
        self.largest, self.over = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def stop(self) -> float:
        self.over.set()
        self.thread.join()
        return self.largest

    def _watch(self) -> None:
        while not self.over.wait(0.2):
            self.largest = max(self.largest, sum(map(share, descendants(os.getpid()))))


def descendants(root: int) -> list[int]:
    """Processes that a process started, and those that these started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, new = [], [root]
    while new:
        new = [process for process, parent in parents.items() if parent in new]
        found += new
    return found


def share(process: int) -> float:
    """Proportional share of memory of a process, GiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 2**20


def image(options: argparse.Namespace) -> None:
    """Write projected atoms at 0.2 Å a pixel, contrast 10 %, 1600 e/Å²: float32."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    rng, half = np.random.default_rng(0), options.size // 2
    atoms = np.zeros((options.size, options.size), dtype=np.float32)
    corners = np.stack(np.meshgrid(*2 * [np.arange(0, options.size - 9, 10)], indexing="ij"), axis=-1).reshape(-1, 2)
    for layer in range(3):  # as many atoms as squares of 10 px: anywhere in the image, or each in a square of its own
        places = (corners + rng.integers(0, 10, corners.shape) + 3 * layer) % options.size
        left = places[:, 1] < half
        places[left] = rng.integers(0, (options.size, half), (int(left.sum()), 2))
        np.add.at(atoms, tuple(places.T), 1)
    projected = gaussian_filter(atoms, 2.5)
    for part in (projected[:, :half], projected[:, half:]):
        part[:] = (part - part.mean()) / part.std()
    rng.poisson(64 * (1 - 0.1 * projected).clip(0)).astype(np.float32).tofile(options.folder / "pixels")


def opened(options: argparse.Namespace) -> Any:
    import numpy as np

    return np.memmap(options.folder / "pixels", dtype=np.float32, mode="r", shape=(options.size, options.size))


def tiles(options: argparse.Namespace) -> None:
    """Describe all windows, and keep the persistence of some of them, drawn at random."""
    import numpy as np
    from joblib.externals.loky import get_reusable_executor
    from persistem.descriptors import windows
    from persistem.study import Windows

    settings, pixels = Windows(), opened(options)
    step, size = windows.step(settings, options.step), windows.side(settings)
    across = (options.size - size) // step + 1
    chosen = np.sort(np.random.default_rng(1).choice(across**2, options.windows, replace=False))
    rows, columns = np.divmod(chosen, across)
    kept = []
    for first, part in windows.strips(pixels, settings, step, jobs=options.jobs):
        here = (rows >= first) & (rows < first + len(part.valid))
        kept.append(part.blocks["persistence"][rows[here] - first, columns[here]])
    get_reusable_executor().shutdown(wait=True)  # so that its processes are counted
    np.savez(options.folder / "kept.npz", kept=np.concatenate(kept), corners=np.stack([rows, columns], axis=1) * step)
    (options.folder / "facts.json").write_text(json.dumps({"windows": across**2}))


def sums(options: argparse.Namespace) -> None:
    """Describe all windows by their persistence alone."""
    from joblib.externals.loky import get_reusable_executor
    from persistem.descriptors import windows
    from persistem.study import Windows

    settings = Windows()
    step = windows.step(settings, options.step)
    for _ in windows.strips(opened(options), settings, step, ["persistence"], jobs=options.jobs):
        pass
    get_reusable_executor().shutdown(wait=True)


def alone(options: argparse.Namespace) -> None:
    """Describe some windows by diagrams of their own: CPU seconds of each, and how both descriptions compare."""
    import numpy as np
    from persistem.descriptors import windows
    from persistem.descriptors.topology import diagrams_of
    from persistem.descriptors.windows.pairs import PAIR
    from persistem.descriptors.windows.sums import COUNTED, entries, kinds, length
    from persistem.study import Windows

    settings, pixels = Windows(), opened(options)
    size = windows.side(settings)
    saved = np.load(options.folder / "kept.npz")
    kept, corners = saved["kept"], saved["corners"]

    def described(corner: Any) -> Any:
        crop = pixels[corner[0] : corner[0] + size, corner[1] : corner[1] + size].astype(float)
        diagrams = diagrams_of((crop - crop.mean()) / crop.std(), settings.sampling, settings.bands)
        total = np.zeros(length(settings))
        for band, of in enumerate(diagrams):
            for filtration, found in enumerate(of):
                pairs = np.zeros(len(found), dtype=PAIR)
                pairs["band"], pairs["filtration"] = band, filtration
                pairs["degree"], pairs["birth"], pairs["death"] = found[:, :3].T
                places, weights = entries(pairs, settings)
                total += np.bincount(places.ravel(), weights.ravel(), minlength=len(total))
        return total / (size * settings.sampling / 10) ** 2

    described(corners[0])
    start = time.process_time()
    own = np.array([described(corner) for corner in corners])
    facts = {"each": (time.process_time() - start) / len(own)}

    half = options.size / 2
    right = corners[:, 1] >= half
    pure = right | (corners[:, 1] + size <= half)
    parts = pure & (corners[:, 0] + size <= half), pure & (corners[:, 0] >= half)
    for name, features in (("from tiles", kept), ("alone", own)):
        facts[f"accuracy, {name}, of {sum(map(sum, parts))} windows"] = accuracy(features, right, *parts)
    shape = len(own), len(kinds(settings)), len(COUNTED), settings.levels
    for name, number in (
        ("pairs of a diagram", lambda part: part[:, :, 0].sum(axis=-1)),
        ("their mean lifetime", lambda part: part[:, :, 2] @ np.arange(shape[3]) / part[:, :, 2].sum(axis=-1)),
    ):
        one, other = (number(part.reshape(shape)) for part in (kept, own))
        values = [np.corrcoef(one[of, k], other[of, k])[0, 1] for of in (right, ~right) for k in range(shape[1])]
        facts[f"correlation of {name}, median over diagrams"] = float(np.median(values))
    file = options.folder / "facts.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def accuracy(features: Any, labels: Any, upper: Any, lower: Any) -> float:
    """Share of the windows of each part that a classifier of the other part gets right, mean of both."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shares = []
    for learned, tested in ((upper, lower), (lower, upper)):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        shares.append(classifier.fit(features[learned], labels[learned]).score(features[tested], labels[tested]))
    return float(sum(shares) / 2)


STAGES = {"image": image, "tiles": tiles, "sums": sums, "alone": alone}

if __name__ == "__main__":
    main()
