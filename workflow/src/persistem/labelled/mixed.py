"""One model of simulated and of labelled micrographs together.

The labelled ones are described as simulated ones are: their blocks count as they are, not relative to their image, and
windows that reach beyond its edges have no part. Each specimen is left out as an MD seed is. Their voltage, defocus and
thickness are not asked for.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.errors import PersistemError
from persistem.labelled.rows import MOST
from persistem.labelled.sources import labelled
from persistem.learning.validation import CropLabels
from persistem.model import bundle, card
from persistem.model import training as simulations
from persistem.study import ModelSettings
from persistem.study.settings import section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from persistem.labelled.rows import Labelled

#: Bump when this stage's results change for the same study.
VERSION = 1


def fit(settings: dict[str, Any], root: Path, out: Path, jobs: int = 1) -> None:
    """Write the bundle of a model of both as the folder ``out``.

    ``settings`` has ``simulated``, the settings of ``model.training.train``; ``sources`` and ``share`` as in
    ``fitting.fit``. Raises PersistemError as both, and if a label's state is none that is simulated.
    """
    started = time.monotonic()
    simulated = settings["simulated"]
    asked: ModelSettings = section(ModelSettings, simulated["model"])
    known = labelled(settings["sources"], root, settings["share"])
    states = simulated["states"]
    for name in known.states:
        if name not in states:
            raise PersistemError(f"labelled: state {name} is none of the simulated ones, which are {', '.join(states)}")
    # simulations alone cannot say how strong the contrast of a labelled micrograph should be
    training = simulations.described(simulated, asked, root, jobs, gauged=False)
    print(f"{time.monotonic() - started:6.0f} s  {len(training.crops.y)} simulated windows described", flush=True)
    joined = with_labels(training, known.micrographs, [states.index(name) for name in known.states])
    print(f"{time.monotonic() - started:6.0f} s  {len(joined.crops.y)} windows with the labelled ones", flush=True)
    about = [
        {
            "name": Path(source["image"]).name,
            "specimen": source["specimen"],
            "states": [name for k, name in enumerate(known.states) if (one.state == k).any()],
        }
        for source, one in zip(settings["sources"], known.micrographs, strict=True)
    ]
    model, also = simulations.trained(simulated | {"labelled": about}, asked, joined, root, jobs)
    print(f"{time.monotonic() - started:6.0f} s  trained and assessed", flush=True)
    bundle.write(out, model, card.text(model.card), also)


def with_labels(
    training: simulations.Training, micrographs: Sequence[Labelled], labels: Sequence[int]
) -> simulations.Training:
    """The windows of a training, and after them those of labelled micrographs, at most ``MOST`` of each.

    ``labels`` are the labels of the training that their states have. Specimens have the numbers after the largest seed.
    """
    X = {name: [block] for name, block in training.X.items()}
    parts: dict[str, list[Any]] = {"y": [], "seed": [], "micrograph": []}
    specimens = list(dict.fromkeys(one.specimen for one in micrographs))
    first, number = int(training.crops.seed.max()) + 1, int(training.crops.micrograph.max()) + 1
    for k, one in enumerate(micrographs):
        rng = np.random.default_rng([0, k])
        places = np.flatnonzero((one.state >= 0) & _inside(one))
        places = np.sort(rng.permutation(places)[:MOST])
        for name, blocks in X.items():
            block = one.described.blocks[name]
            blocks.append(block.reshape(-1, block.shape[-1])[places])
        parts["y"].append(np.asarray(labels)[one.state.ravel()[places]])
        parts["seed"].append(np.full(len(places), first + specimens.index(one.specimen)))
        parts["micrograph"].append(np.full(len(places), number + k))
    crops, count = training.crops, sum(map(len, parts["y"]))
    unknown = np.full(count, np.nan)
    joined = CropLabels(
        np.concatenate([crops.y, *parts["y"]]),
        np.concatenate([crops.seed, *parts["seed"]]),
        np.concatenate([crops.defocus, unknown]),
        np.concatenate([crops.micrograph, *parts["micrograph"]]),
        crops.states,
    )
    return training._replace(
        X={name: np.concatenate(blocks) for name, blocks in X.items()},
        crops=joined,
        dose=np.concatenate([training.dose, unknown]),
        thickness=np.concatenate([training.thickness, unknown]),
    )


def _inside(one: Labelled) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the window about each place (rows, columns) lies wholly inside the image."""
    described = one.described
    along = [
        (at >= described.size // 2) & (at + (described.size + 1) // 2 <= side)
        for at, side in (
            (np.arange(count) * described.step, side)
            for count, side in zip(described.valid.shape, described.shape, strict=True)
        )
    ]
    return np.asarray(along[0][:, None] & along[1][None, :] & described.valid)
