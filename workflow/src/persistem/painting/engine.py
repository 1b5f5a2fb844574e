"""What the page computes with: it describes micrographs, learns from labels, and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.labelled import training
    from persistem.labelled.describing import Described
    from persistem.model.classifier import Model
    from persistem.reading import Image
    from persistem.reading.labels import Labels
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

        ``recall``, ``windows`` and ``abstained``: a number for each name of a state; ``balanced_accuracy``;
        ``abstained_all``: the share of all windows held out; ``held``: how labels were; ``notes``: sentences.
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

    def window(self, sizes: Sizes) -> float:
        """The side of a window, Å."""


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
        found, plain, assessment = scores(trained), scores(alone), trained.assessment
        tested, several = assessment.tested, len(micrographs) > 1
        notes = []
        if not several:
            notes.append("Measured within this one micrograph: on another it may be lower, and it may abstain more.")
        if several and tested.any() and assessment.skipped:
            notes.append(
                f"{len(assessment.skipped)} of the {len(micrographs)} micrographs cannot be held out: the others do"
                " not show all states."
            )
        if not tested.any():
            notes.append(
                "Nothing can be held out: label each state on two micrographs."
                if several
                else "Too few separate strokes to hold some out of every state: paint each at two places."
            )
        else:
            notes.append(f"Brightness alone reaches {100 * _mean(plain):.0f} %.")
        narrow = _narrow(described, own)
        if narrow:
            side, named = asked.windows.size / 10, " or ".join(filter(None, [", ".join(narrow[:-1]), narrow[-1]]))
            notes.append(
                f"No area of {named} is clearly wider than a window ({side:.2g} nm), so the study cannot"
                " say whether texture alone tells the states apart."
            )
        return Learned(
            trained.model,
            {
                "recall": {row["state"]: row["recall"] for row in found if row["recall"] is not None},
                "windows": {row["state"]: row["windows"] for row in found},
                **({"balanced_accuracy": _mean(found)} if tested.any() else {}),
                "held": "micrograph by micrograph" if several else "part by part",
                # of one micrograph alone the limits come from the very windows they would be asked about
                **(_abstained(trained) if several and tested.any() else {}),
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

    def window(self, sizes: Sizes) -> float:
        """The side of the windows, Å."""
        return self._asked(sizes).windows.size

    def _asked(self, sizes: Sizes) -> ModelSettings:
        from persistem.labelled.suited import suited

        return suited([size for size, _ in sizes], [shape for _, shape in sizes])


def _mean(rows: list[dict[str, Any]]) -> float:
    """The recall, mean over the states that were tested."""
    return float(np.mean([row["recall"] for row in rows if row["recall"] is not None]))


def _abstained(trained: training.Trained) -> dict[str, Any]:
    """The share of held-out windows on which the model would abstain: of each state's, and of all."""
    tested, beyond, crops = trained.assessment.tested, trained.assessment.beyond, trained.rows.crops
    own = {state: tested & (crops.y == k) for k, state in enumerate(crops.states)}
    return {
        "abstained": {state: float(beyond[shown].mean()) for state, shown in own.items() if shown.any()},
        "abstained_all": float(beyond[tested].mean()),
    }


def _narrow(described: Sequence[Seen], labels: Sequence[Labels]) -> list[str]:
    """The states of which no labelled area holds a blind window (``persistem.labelled.blind``)."""
    from persistem.descriptors.windows import nearest_pixels, resampled_shape
    from persistem.labelled.blind import corners

    wide: dict[str, bool] = {}
    for seen, one in zip(described, labels, strict=True):
        own, sampling, shape = seen.pixel_size, seen.described.sampling, one.regions.shape
        sides = zip(resampled_shape(shape, own, sampling), shape, strict=True)
        at = (nearest_pixels(np.arange(side), own, sampling, count) for side, count in sides)
        regions = one.regions[np.ix_(*at)]
        for number, name in one.states.items():
            wide[name] = wide.get(name, False) or bool(corners(regions == number, seen.described.size).any())
    return [name for name, found in wide.items() if not found]
