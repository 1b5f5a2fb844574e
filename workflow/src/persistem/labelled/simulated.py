"""A model of simulated micrographs whose regions are known, which maps real ones: particles on a support.

Such micrographs are described as labelled ones are, relative to their image, and a specimen of the film is left out as
a labelled specimen is. So the model asks for no voltage, defocus or dose; what it was trained under are ranges.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.imaging.varied import read_varied
from persistem.labelled import card, describing, evaluation, training
from persistem.labelled.rows import Labelled, states_at
from persistem.model import bundle
from persistem.reading import Image
from persistem.specimens.layout import read_discs
from persistem.store.digests import digest_of
from persistem.study import ModelSettings
from persistem.study.settings import section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.specimens.layout import Discs

#: Bump when this stage's results change for the same study.
VERSION = 2


def fit(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the bundle of a model of particles on a film as the folder ``out``.

    Parameters
    ----------
    settings
        ``model``, the section of the study; ``states``: film, particle, vacuum; ``pixel_size`` (Å) of the simulation;
        ``about``, what was simulated, in words; and ``composites``, one for each exit wave: ``path`` of its
        micrographs, ``structure``, ``specimen`` of the film, and the ``conditions`` of each micrograph
    root
        folder that paths are relative to
    out
        folder
    jobs
        number of processes; it does not change the result

    Raises
    ------
    PersistemError
        if a file cannot be read, or a state has no window.
    """
    from joblib import Parallel, delayed

    started = time.monotonic()
    asked: ModelSettings = section(ModelSettings, settings["model"])
    done = Parallel(n_jobs=jobs)(
        delayed(described)(root, composite, settings["pixel_size"], asked) for composite in settings["composites"]
    )
    micrographs = [one for several in done for one in several]
    print(f"{time.monotonic() - started:6.0f} s  {len(micrographs)} micrographs described", flush=True)
    trained = training.train(micrographs, settings["states"], asked)
    print(f"{time.monotonic() - started:6.0f} s  trained and assessed", flush=True)
    files = [
        {"name": f"{Path(c['structure']).parent.name}, {k + 1}", "pixel_size_A": one.described.pixel_size}
        for c, several in zip(settings["composites"], done, strict=True)
        for k, one in enumerate(several)
    ]
    about = card.facts(trained, micrographs, files, asked) | {
        "simulated": settings["about"],
        "by_condition": card.by_condition(trained, [one for c in settings["composites"] for one in c["conditions"]]),
    }
    known = {"study": digest_of("fitted", VERSION, settings, []), "doses_e_A2": [], "thicknesses_A": []}
    bundle.write(out, replace(trained.model, card=about), card.text(about), known)


def described(root: Path, composite: dict[str, Any], pixel_size: float, asked: ModelSettings) -> list[Labelled]:
    """The micrographs of a composite, described, with the state of each place."""
    discs = read_discs(root / composite["structure"])
    blocks = evaluation.described_blocks(asked)
    path = root / composite["path"]
    found = []
    for k, (pixels, size) in enumerate(read_varied(path)):
        image = Image(path, k, "", pixels, size, None, None, {})
        one = describing.describe(image, asked.windows, asked.step, blocks)
        # 0 is no label, so states count from 1
        state = states_at(regions(discs, pixels.shape, size, pixel_size) + np.uint8(1), one, asked.share)
        found.append(Labelled(one, state.astype(int) - 1, composite["specimen"]))
    return found


def regions(discs: Discs, shape: tuple[int, ...], size: float, simulated: float) -> NDArray[np.uint8]:
    """The state at each pixel (rows, columns) of ``size`` Å: 0 film, 1 particle, 2 vacuum.

    A pixel averages those of the simulation, of ``simulated`` Å, whose first centre is at 0, so its own is their mean.
    """
    rows, columns = (np.arange(count) * size + (size - simulated) / 2 for count in shape)
    state = discs.state(columns[None], rows[:, None])
    return np.where(state < 0, 2, state).astype(np.uint8)
