"""The map of a micrograph: windows slide over it, and a model classifies each."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.conditions.features import numbers
from persistem.descriptors import windows
from persistem.errors import PersistemError, Setting, printable
from persistem.labelled.mapping import verdict_of
from persistem.maps.conditions import conditions_of, facts, with_contrast
from persistem.maps.detail import Collector, Detail
from persistem.maps.signals import signal
from persistem.maps.suitability import (
    another_contrast,
    another_dose,
    beyond_the_ranges,
    cautions,
    far_defocus,
    nearest_defocus,
    objections,
    shape_at,
)
from persistem.model.bundle import versions
from persistem.model.classifier import (
    CONDITIONS,
    FAR_DEFOCUS,
    REASONS,
    VACUUM,
    WHOLE_CONTRAST,
    WINDOW_CONTRAST,
    Model,
)
from persistem.model.contrast_factor import of_image
from persistem.model.summary import table
from persistem.reading import Image
from persistem.reading.asked import QUANTITIES, differences, refusal
from persistem.reading.pixels import in_file
from persistem.store.temporary import scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Bump when this stage's results change for the same study.
VERSION = 3
#: Bump when the page of a map, or what ``map.json`` says beside the map, changes for the same map.
PAGE = 3

#: Default distance of the windows, Å.
STEP = 3.0
#: Floor of a window's probabilities, so that one window alone cannot rule out a state for a place.
LEAST = 1e-4
#: Vacuum may be darker by this share than the brightest part of its image: illumination is uneven, black not quite 0.
DARKER = 0.25
#: Shares below this are rounding.
SOME = 1e-9
#: Most windows. Each takes some hundred bytes, however near they lie.
MOST_WINDOWS = 4_000_000
#: A resampled micrograph of more bytes than this goes to temporary files.
IN_MEMORY = 64_000_000


@dataclass(frozen=True)
class Map:
    """Probabilities of the states on the grid of windows.

    Entry [i, j] belongs to the place ``origin + (i, j) * step``, the centre of window [i, j], as judged by all windows
    that hold it (``together``); Å, rows and columns, counted from the micrograph's upper left corner.
    """

    probability: NDArray[np.float32]  # (rows, columns, states); all equal if the window there is not valid
    confidence: NDArray[np.float32]  # (rows, columns): probability of the most probable state
    abstain: NDArray[np.bool_]  # (rows, columns): unlike the training
    reason: NDArray[np.uint8]  # (rows, columns): index into persistem.model.classifier.REASONS
    step: float
    origin: tuple[float, float]
    states: tuple[str, ...]
    facts: dict[str, Any]  # of the image, the model and the parameters; plain values
    detail: Detail | None = None  # what the windows were judged by

    @property
    def state(self) -> NDArray[np.intp]:
        """(rows, columns): index of the most probable state, -1 if the window abstains."""
        return np.where(self.abstain, -1, self.probability.argmax(axis=-1))

    @property
    def shares(self) -> dict[str, float]:
        """Share of the windows of each state, and ``abstained``; they add up to 1."""
        counts = np.bincount(self.state.ravel() + 1, minlength=len(self.states) + 1) / self.abstain.size
        return {**dict(zip(self.states, counts[1:].tolist(), strict=True)), "abstained": float(counts[0])}

    def __repr__(self) -> str:
        return f"<Map {'; '.join(self._said().values())}>"

    def _repr_html_(self) -> str:
        return table("Map", self._said())

    def _said(self) -> dict[str, str]:
        """What to say of a map, by name: of what, how many places, and the shares."""
        rows, columns = self.abstain.shape
        return {
            "of": printable(str(self.facts["image"]["file"])),
            "places": f"{rows} x {columns}, {self.step:g} Å apart",
            "shares": ", ".join(f"{printable(what)} {share:.0%}" for what, share in self.shares.items()),
        }

    def to_hyperspy_dict(self) -> dict[str, Any]:
        """The map for ``hyperspy.api.signals.Signal2D(**map.to_hyperspy_dict())`` and for RosettaSciIO's writers.

        One image for each state, then the confidence, then 0 and 1 for abstained. Calibrated in nm; offsets count
        from the centre of the micrograph's first pixel, as in HyperSpy.
        """
        return signal(self)


def map_image(
    image: Image,
    model: Model,
    step: float = STEP,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> Map:
    """Find the state that each place of a micrograph shows, by the windows that hold it.

    Parameters
    ----------
    image
        with pixel size (Å), voltage (kV) and defocus (Å)
    model
        of the same voltage; its windows slide over the image at its own sampling
    step
        distance of the windows, Å; rounded to pixels of the model's sampling
    jobs
        processes
    progress
        called with how much is done, and of how much; first before anything is
    force
        map also where the image's values contradict what its file states

    Returns
    -------
    Map
        all abstained if the defocus is far from the training, or the contrast of the whole image was not trained;
        ``facts["warnings"]`` says in sentences what the training did not cover and what contradicts the file

    Raises
    ------
    PersistemError
        with all that ``objections`` finds, if the step is finer than a pixel of the model, or if no window holds an
        image.
    """
    sampling = model.windows.sampling
    if not (math.isfinite(step) and step >= sampling):
        raise PersistemError(Setting("step"), f" = {step:g} Å: must be at least a pixel of the model, {sampling:g} Å")
    against = objections(image, model, force)
    if against:
        raise refusal(str(image.path), against)
    name = name_of(image)
    stride, side = windows.step(model.windows, step), windows.side(model.windows)
    shape = tuple((size - side) // stride + 1 for size in shape_at(image, model))
    if math.prod(shape) > MOST_WINDOWS:
        raise PersistemError(f"{name}: ", Setting("step"), f" = {step:g} Å: makes {math.prod(shape)} windows; up to"
                             f" {MOST_WINDOWS} can be mapped, so choose a larger one")  # fmt: skip
    if progress:
        progress(0, 1)
    if model.labelled:
        return _placewise(image, model, step, jobs, progress)
    with _resampled(image, sampling) as pixels:
        probability = np.empty((*shape, len(model.states)), dtype=np.float32)
        reason = np.empty(shape, dtype=np.uint8)
        vacuum = np.empty(shape, dtype=np.float32)
        collected = Collector((shape[0], shape[1]))
        dark = (1 - DARKER) * brightest(pixels, side)
        strips = windows.strips(pixels, model.windows, stride, model.blocks, jobs, progress, pairs=collected.add_pairs)
        told, trained_defocus = _told(image, model), nearest_defocus(image, model)
        read = [np.empty(0)]  # logarithms of the contrast by every window that shows anything
        for first, part in strips:
            windows.forget(pixels)
            part.blocks.update({name: np.tile(of, (*part.valid.shape, 1)) for name, of in told.items()})
            collected.add_windows(first, part.blocks)
            verdict = model.classify(part.blocks, part.valid, part.mean >= dark)
            here = slice(first, first + len(part.valid))
            probability[here], reason[here], vacuum[here] = verdict.probability, verdict.reason, verdict.vacuum
            if model.gauge is not None and trained_defocus is not None:
                # one whose contrast is unlike the training is just what is asked for
                shows = (verdict.reason == 0) | (verdict.reason == WINDOW_CONTRAST)
                judged = {name: part.blocks[name][shows] for name in model.distribution.scaling}
                read.append(model.gauge.logarithms(judged, trained_defocus))
    if (reason == 1).all():
        raise PersistemError(f"{name}: no part of it shows anything: constant, saturated or not finite throughout")
    probability, reason = together(probability, reason, vacuum, side // 2 // stride)
    said = says_itself(image)
    if model.gauge is not None:
        factor = of_image(np.concatenate(read), (stride / side) ** 2)
        said = with_contrast(said, factor, model.gauge.error, trained_defocus is not None)
    if far_defocus(image, model):
        reason[reason != 1] = FAR_DEFOCUS
    elif beyond_the_ranges(image, model, said):
        reason[reason != 1] = CONDITIONS
    elif another_contrast(image, model, said):
        reason[reason == 0] = WHOLE_CONTRAST
    assert image.pixel_size is not None
    # the first pixels of the resampled image and of the micrograph have the same centre
    centre = ((side - 1) * sampling + image.pixel_size) / 2
    return _map(image, model, said, probability, reason, stride, centre, collected.detail())


def _told(image: Image, model: Model) -> dict[str, NDArray[np.float32]]:
    """The block of the conditions of an image, the same for all its windows, if the model sees it."""
    if "conditions" not in model.blocks:
        return {}
    assert image.pixel_size is not None and image.voltage is not None
    return {"conditions": numbers(image.pixels, image.pixel_size, image.voltage)}


def _placewise(image: Image, model: Model, step: float, jobs: int, progress: Callable[[int, int], None] | None) -> Map:
    """The map by a model of labelled micrographs: every place by the window about it alone, up to the edges."""
    described, verdict = verdict_of(image, model, step, jobs, progress)
    assert image.pixel_size is not None
    first, said = image.pixel_size / 2, says_itself(image)
    return _map(image, model, said, verdict.probability, verdict.reason, described.step, first, None)


def _map(
    image: Image,
    model: Model,
    said: dict[str, Any],
    probability: NDArray[np.float32],
    reason: NDArray[np.uint8],
    stride: int,
    first: float,
    detail: Detail | None,
) -> Map:
    """A map whose places are ``stride`` pixels apart, from ``first`` Å on; ``said`` as of ``says_itself``."""
    sampling = model.windows.sampling
    window = windows.side(model.windows) * sampling
    unlike = beyond_the_ranges(image, model, said) or [
        *another_dose(image, model, said),
        *another_contrast(image, model, said),
    ]
    return Map(
        probability=probability,
        confidence=probability.max(axis=-1),
        abstain=reason > 0,
        reason=reason,
        step=stride * sampling,
        origin=(first, first),
        states=tuple(model.states),
        facts={
            "image": facts_of(image),
            "conditions": said,
            "model": _facts_of_model(model),
            "parameters": {"step_A": stride * sampling, "window_A": window, "sampling_A": sampling},
            "versions": versions(),
            "warnings": [*cautions(image, model), *unlike],
        },
        detail=detail,
    )


def together(
    probability: NDArray[np.float32], reason: NDArray[np.uint8], vacuum: NDArray[np.float32], reach: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """What all windows that hold a place say of it: up to ``reach`` rows and columns from the window centred there.

    The probabilities (rows, columns, states) are the normalised geometric mean over the windows that do not abstain: a
    product of experts that see much the same and so count as one. If all abstain, the window centred there decides. A
    place abstains if most of its valid windows do, for the most frequent reason. It also abstains, with equal
    probabilities, if the window centred there is not valid.

    Windows too short of structure to be told from noise one by one are told together: ``vacuum`` (rows, columns) is a
    window's odds of vacuum, as in ``Verdict``. Windows within reach cover up to four times the area of one, so that
    their mean varies half as much. A place is vacuum if it exceeds half the threshold; at the edges, more of it.
    """
    from scipy.ndimage import uniform_filter

    width = 2 * reach + 1

    def mean(values: NDArray[Any], among: NDArray[np.bool_]) -> NDArray[Any]:
        """Mean over the windows in reach that are ``among``; 0 if there are none."""
        count = uniform_filter(among.astype(float), width, mode="constant")
        total = uniform_filter(np.where(among, values, 0.0), width, mode="constant")
        means: NDArray[Any] = np.divide(total, count, out=np.zeros_like(total), where=count > SOME)
        return means

    believed, valid = reason == 0, reason != 1
    alone = np.log(np.clip(probability, LEAST, 1).astype(np.float64))
    logs = np.stack([mean(alone[..., state], believed) for state in range(alone.shape[-1])], axis=-1)
    some = uniform_filter(believed.astype(float), width, mode="constant") > SOME
    logs = np.where(some[..., None], logs, alone)
    pooled = np.exp(logs - logs.max(axis=-1, keepdims=True))
    pooled[~valid] = 1
    shares = np.stack([mean(reason == number, valid) for number in range(2, len(REASONS))])
    most = np.where(shares.sum(axis=0) > 0.5 + SOME, 2 + shares.argmax(axis=0), 0)
    areas = 1 + (3 * uniform_filter(valid.astype(float), width, mode="constant") if reach else 0)
    most = np.where(mean(vacuum, valid) > 1 / np.sqrt(areas), VACUUM, most)
    return (
        (pooled / pooled.sum(axis=-1, keepdims=True)).astype(np.float32),
        np.where(valid, most, 1).astype(np.uint8),
    )


def brightest(pixels: NDArray[np.float32], side: int) -> float:
    """How bright an image (rows, columns) gets: what one in a hundred squares of ``side`` pixels exceeds on average."""
    columns, means_of = pixels.shape[1] // side * side, []
    with np.errstate(invalid="ignore"):  # pixels may be infinite
        for top in range(0, pixels.shape[0] - side + 1, side):
            strip = pixels[top : top + side, :columns].reshape(side, -1, side)
            means_of.append(strip.mean(axis=(0, 2), dtype=float))
            windows.forget(pixels)
    means = np.concatenate(means_of)
    means = means[np.isfinite(means)]
    return float(np.quantile(means, 0.99)) if means.size else math.nan


def name_of(image: Image) -> str:
    """The name of an image in messages: its file, and the frame in it."""
    return str(image.path) if image.frame is None else f"{image.path}, frame {image.frame}"


def facts_of(image: Image) -> dict[str, Any]:
    """The facts of an image, as plain values.

    ``sources`` says of pixel size, voltage and defocus where in the file they stand, or ``given``; ``corrections`` what
    was given otherwise than the file states it. ``sha256`` is the file's, ``place`` a digest of its path.
    """
    changed = differences(image)
    corrected = {difference.setting for difference in changed}
    return {
        "file": readable(image.path.name),
        "folder": readable(image.path.absolute().parent.name) if image.path.is_file() else None,
        **identity(image.path),
        "frame": image.frame,
        "title": readable(image.title),
        "rows": image.pixels.shape[0],
        "columns": image.pixels.shape[1],
        "pixel_size_A": image.pixel_size,
        "voltage_kV": image.voltage,
        "defocus_A": image.defocus,
        "sources": {
            name: stated.tag if (stated := image.stated.get(name)) and name not in corrected else "given"
            for name in QUANTITIES
            if getattr(image, name) is not None
        },
        "corrections": [
            {"setting": d.setting, "given": d.asked, "file": d.stated, "tag": d.tag, "forced": d.contradicts}
            for d in changed
        ],
        "file_says": _readable(image.facts),
    }


def says_itself(image: Image) -> dict[str, Any]:
    """What an image says of its own conditions, as ``maps.conditions.facts``; a ``reason`` if it can say nothing."""
    try:
        return facts(conditions_of(image, force=True))  # what contradicts the file was refused before, or forced
    except PersistemError as error:
        return {"says": [], "reason": readable(str(error))}


def identity(path: Path) -> dict[str, str | None]:
    """What tells a file from another of its name: ``sha256`` of its content, and ``place``, a digest of its path.

    The path itself may tell more than its owner wants to publish. None if there is no such file, as for an array.
    """
    if not path.is_file():
        return {"sha256": None, "place": None}
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]
    status = path.stat()
    return {"sha256": _sha256(path, status.st_ino, status.st_size, status.st_mtime_ns), "place": place}


@lru_cache(maxsize=16)
def _sha256(path: Path, *status: int) -> str:
    """SHA-256 of a file, read once for all frames of a stack; ``status`` says whether the file is still the same."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def readable(text: str) -> str:
    """Text in one line that every file can hold and a terminal shows without acting on it; perhaps no valid Unicode."""
    return printable(text.encode("utf-8", "replace").decode().replace("\0", "")).replace("\n", "\\n")


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {readable(str(key)): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return readable(value) if isinstance(value, str) else value


def _facts_of_model(model: Model) -> dict[str, Any]:
    return {
        "digest": model.digest,
        "states": list(model.states),
        "voltage_kV": model.voltage,
        "defoci_A": None if model.defoci is None else list(model.defoci),
        "windows": model.windows.model_dump(mode="json"),
        "blocks": list(model.blocks),
    }


@contextmanager
def _resampled(image: Image, sampling: float) -> Iterator[NDArray[np.float32]]:
    """The micrograph at a sampling (Å): in memory, or in temporary files if it is large."""
    assert image.pixel_size is not None
    large = image.pixels.size * max(1.0, image.pixel_size / sampling) ** 2 * 4 > IN_MEMORY
    with scratch() as folder:
        numbers = count()

        def empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
            with open(folder / str(next(numbers)), "xb+") as file:
                return in_file(file, shape, dtype)

        try:
            pixels = windows.resample(image.pixels, image.pixel_size, sampling, empty if large else None)
        except PersistemError as error:
            raise PersistemError(f"{name_of(image)}: {error}") from error
        yield pixels
