"""The page for labels in tests: an engine that tells states by their mean grey, and servers to paint with.

``python -m support.painting IMAGE… FOLDER`` serves a folder with this engine and prints the address.
"""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from persistem.errors import PersistemError

SIDE, STEP = 16, 8


class Described(NamedTuple):
    grey: np.ndarray
    pixel_size: float


class Trained(NamedTuple):
    means: np.ndarray
    states: tuple
    scores: dict


class Mapped(NamedTuple):
    probability: np.ndarray
    abstain: np.ndarray
    step: float
    origin: tuple
    states: tuple


@dataclass(frozen=True)
class GreyEngine:
    """Nearest mean grey; abstains between two.

    ``slow`` is how long a training takes, s; windows are said to be ``side`` pixels wide.
    """

    slow: float = 0.0
    side: int = SIDE

    def describe(self, image, sizes, progress):
        progress(0, 1)
        windows = np.lib.stride_tricks.sliding_window_view(np.asarray(image.pixels, np.float32), (SIDE, SIDE))
        progress(1, 1)
        return Described(windows[::STEP, ::STEP].mean(axis=(2, 3)), image.pixel_size)

    def train(self, described, labels, states, progress):
        for k in range(20):
            progress(k, 20)
            time.sleep(self.slow / 20)
        means = []
        for number in states:
            found = []
            for one, painted in zip(described, labels, strict=True):
                rows, columns = one.grey.shape
                middle = painted[SIDE // 2 :: STEP, SIDE // 2 :: STEP][:rows, :columns]
                found.append(one.grey[middle == number])
            means.append(np.concatenate(found).mean())
        if "crash" in states.values():
            raise PersistemError("this is not to be learned")
        recall = dict.fromkeys(states.values(), 1.0)
        return Trained(np.array(means), tuple(states.values()), {"recall": recall, "balanced_accuracy": 1.0})

    def map(self, model, described):
        near = np.exp(-np.abs(described.grey[..., None] - model.means) / 40)
        probability = (near / near.sum(axis=-1, keepdims=True)).astype(np.float32)
        origin = SIDE / 2 * described.pixel_size
        abstain = probability.max(axis=-1) < 0.7
        return Mapped(probability, abstain, STEP * described.pixel_size, (origin, origin), model.states)

    def study(self, sizes):
        return {"model": {"windows": {"size": self.window(sizes)}}}

    def window(self, sizes):
        return self.side * sizes[0][0]


def halves(path, rows=200, columns=300, pixel_size=None, seed=0):
    """A micrograph whose left is dark and whose right is bright, as TIFF; ``pixel_size`` in Å."""
    grey = np.random.default_rng(seed).normal(0, 5, (rows, columns)) + 60 + 120 * (np.arange(columns) >= columns / 2)
    size = {}
    if pixel_size is not None:
        size = {"imagej": True, "resolution": (10 / pixel_size, 10 / pixel_size), "metadata": {"unit": "nm"}}
    tifffile.imwrite(path, grey.clip(0, 255).astype(np.uint8), **size)
    return path


@contextmanager
def served(out, *images, slow=0.0, side=SIDE):
    """A server in a process of its own: the process and its address."""
    command = [sys.executable, "-m", "support.painting", str(slow), str(side), *map(str, images), str(out)]
    folder = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def main(slow, side, *paths):
    from persistem.commands.maps import names
    from persistem.painting.folder import Folder
    from persistem.painting.server import bound, serve

    *images, out = map(Path, paths)
    folder = Folder(out, names(images))
    asyncio.run(serve(folder, GreyEngine(float(slow), int(side)), bound(0), lambda address: print(address, flush=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
