"""What the page computes with: it describes micrographs, learns from labels, and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.labelled.describing import Described
    from persistem.model.classifier import Model
    from persistem.reading import Image
    from persistem.study import ModelSettings

#: Processes that describe a micrograph.
JOBS = 2
#: Called with how much is done, and of how much. It raises an error of its own if the user has cancelled.
Progress = Callable[[int, int], None]


class MapLike(Protocol):
    """What a ``persistem.maps.Map`` has too."""

    @property
    def probability(self) -> NDArray[np.float32]:
        """(rows, columns, states)."""

    @property
    def abstain(self) -> NDArray[np.bool_]:
        """(rows, columns)."""

    @property
    def step(self) -> float:
        """Distance of the windows, Å."""

    @property
    def origin(self) -> tuple[float, float]:
        """Centre (row, column) of the first window, Å, from the micrograph's upper left corner."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in the order of the probabilities."""


class Trained(Protocol):
    """A trained model."""

    @property
    def scores(self) -> dict[str, Any]:
        """What the page shows of labels held out; every key may be missing.

        ``recall`` and ``windows``: a number for each name of a state; ``balanced_accuracy``; ``notes``: sentences.
        """


#: Pixel size (Å) and shape (rows, columns) of every micrograph whose pixel size is known.
Sizes = tuple[tuple[float, tuple[int, int]], ...]


class Engine(Protocol):
    """What the page asks; it runs in a process of its own, to which it is pickled."""

    def describe(self, image: Image, sizes: Sizes, progress: Progress) -> Any:
        """The description of a micrograph, by windows that suit all. Slow once; then the engine has it on disk."""

    def train(
        self,
        described: Sequence[Any],
        labels: Sequence[NDArray[np.uint8]],
        states: Mapping[int, str],
        progress: Progress,
    ) -> Trained:
        """A model of the states, from labels (rows, columns) of as many described micrographs."""

    def map(self, model: Any, described: Any) -> MapLike:
        """The map of a described micrograph."""

    def study(self, sizes: Sizes) -> dict[str, Any]:
        """What a study says besides ``labelled`` to make the same model."""


class Seen(NamedTuple):
    """A described micrograph, the settings that it was described by, and its own pixel size, Å."""

    described: Described
    asked: ModelSettings
    pixel_size: float


@dataclass(frozen=True)
class Mapped:
    """A map; see ``MapLike``."""

    probability: NDArray[np.float32]
    abstain: NDArray[np.bool_]
    step: float
    origin: tuple[float, float]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Learned:
    """A model of labelled micrographs, and what was found of what was held out."""

    model: Model
    scores: dict[str, Any]


@dataclass(frozen=True)
class LabelledEngine:
    """What a study of labelled micrographs computes (``persistem.labelled``); ``cache`` is a folder of descriptions."""

    cache: Path

    def describe(self, image: Image, sizes: Sizes, progress: Progress) -> Seen:
        """Describe the windows, or read what was described before."""
        from persistem.descriptors import windows
        from persistem.labelled import describing
        from persistem.labelled.evaluation import described_blocks
        from persistem.store.digests import digest_of
        from persistem.store.seals import sha256

        asked, pixel_size = self._asked(sizes), image.pixel_size
        assert pixel_size is not None
        blocks = described_blocks(asked)
        settings = {
            "windows": asked.windows.model_dump(mode="json"),
            "step": asked.step,
            "pixel_size": pixel_size,
            "blocks": blocks,
            "colour": image.facts.get("colour"),
            "windows_version": windows.VERSION,
        }
        digest = digest_of("descriptions", describing.VERSION, settings | {"path": sha256(image.path)}, [])
        kept = self.cache / f"{digest}.npz"
        try:
            return Seen(describing.read(kept), asked, pixel_size)
        except (OSError, ValueError, LookupError, EOFError):
            pass  # not there, or damaged
        described = describing.describe(image, asked.windows, asked.step, blocks, jobs=JOBS, progress=progress)
        describing.write(described, kept)
        return Seen(described, asked, pixel_size)

    def train(
        self,
        described: Sequence[Seen],
        labels: Sequence[NDArray[np.uint8]],
        states: Mapping[int, str],
        progress: Progress,
    ) -> Learned:
        """Train on the labelled places of every micrograph, each of which is a specimen by itself."""
        from persistem.labelled.card import scores
        from persistem.labelled.rows import placed
        from persistem.labelled.training import train
        from persistem.reading.labels import Labels

        progress(0, 2)
        asked = described[0].asked
        own = [Labels(of, {n: name for n, name in states.items() if (of == n).any()}) for of in labels]
        numbers = [str(k) for k in range(len(own))]
        micrographs, names = placed([one.described for one in described], own, numbers, asked.share)
        trained = train(micrographs, names, asked)
        progress(1, 2)
        alone = train(micrographs, names, asked.model_copy(update={"candidates": (("intensity",),)}))
        progress(2, 2)
        found, plain = scores(trained), scores(alone)
        notes = []
        if len(micrographs) == 1:
            notes.append("Measured within this one micrograph: on another it may be lower.")
        if not trained.assessment.tested.any():
            notes.append("Too few separate strokes to hold some out of every state: paint each at two places.")
        else:
            notes.append(f"Brightness alone reaches {_mean(plain):.0%}.")
        return Learned(
            trained.model,
            {
                "recall": {row["state"]: row["recall"] for row in found if row["recall"] is not None},
                "windows": {row["state"]: row["windows"] for row in found},
                **({"balanced_accuracy": _mean(found)} if trained.assessment.tested.any() else {}),
                "notes": notes,
            },
        )

    def map(self, model: Learned, described: Seen) -> Mapped:
        """Map every place."""
        from persistem.labelled.mapping import judged

        found, one = judged(described.described, model.model), described.described
        first = described.pixel_size / 2  # the first pixels of the micrograph and of what was described coincide
        return Mapped(found.probability, found.reason > 0, one.step * one.sampling, (first, first), model.model.states)

    def study(self, sizes: Sizes) -> dict[str, Any]:
        """The windows and their distance."""
        asked = self._asked(sizes)
        windows = {"sampling": asked.windows.sampling, "size": asked.windows.size}
        return {"model": {"windows": windows, "step": asked.step}}

    def _asked(self, sizes: Sizes) -> ModelSettings:
        from persistem.labelled.suited import suited

        return suited([size for size, _ in sizes], [shape for _, shape in sizes])


def _mean(rows: list[dict[str, Any]]) -> float:
    """The recall, mean over the states that were tested."""
    return float(np.mean([row["recall"] for row in rows if row["recall"] is not None]))
