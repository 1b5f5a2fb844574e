"""Whether a model can judge a micrograph: what is missing, what contradicts the file, what it was not trained for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from persistem.descriptors import windows
from persistem.errors import PersistemError, Setting
from persistem.imaging.optics import wavelength
from persistem.maps.verdict import worth
from persistem.reading.asked import QUANTITIES, Clause, differences, obstacles

if TYPE_CHECKING:
    from persistem.model.classifier import Model
    from persistem.reading import Image

#: Largest relative difference of the voltage from the model's: the wavelength enters every phase.
VOLTAGE_TOLERANCE = 0.01
#: Doses that differ by this factor have noise that differs by 12 %.
ALIKE = 1.25
#: Pixels of the model's sampling in the finest detail that its windows resolve.
DETAIL = 5
#: A defocus may lie so far outside the trained ones, Å; the contrast of an image is then that at the nearest of them.
NEAR = 10.0
#: Most pixels at the model's sampling. A million take 3.1 to 3.6 s of the processor (benchmarks/map.py), so these take
#: two cores about 7 minutes; 20000 x 20000 would take over 10.
MOST_PIXELS = 16_000**2


def needed(model: Model) -> tuple[str, ...]:
    """The quantities of an image that a model has to know: one of labelled micrographs its pixel size alone."""
    return ("pixel_size",) if model.labelled else tuple(QUANTITIES)


def objections(image: Image, model: Model, force: bool = False) -> list[Clause]:
    """Why a model cannot map an image: all clauses, to follow its name; none if it can.

    A quantity is not known, or with ``force`` no obstacle, contradicts the file; the voltage is not the model's; the
    pixels are too coarse or too fine for the model; the image is smaller than a window, or too large.
    """
    found = obstacles(image, force, needed(model))
    if (
        model.voltage is not None
        and image.voltage is not None
        and abs(image.voltage / model.voltage - 1) > VOLTAGE_TOLERANCE
    ):
        taken, trained = f"{image.voltage:g} kV", f"{model.voltage:g} kV"
        wrong = (", or if the file is wrong add ", Setting("voltage"), " and ", Setting("force"))
        found.append((f"taken at {taken}, but the model is of {trained}; train one for {taken}",
                      *(wrong if "voltage" in image.stated else ())))  # fmt: skip
    if image.pixel_size is not None:
        try:
            windows.check_pixel_size(image.pixel_size, model.windows.sampling)
        except PersistemError as error:
            found.append(error.args)
        shape = shape_at(image, model)
        if math.prod(shape) > MOST_PIXELS:
            found.append((_too_large(image, model, shape),))
        if min(shape) < windows.side(model.windows):
            height, width = (size * image.pixel_size / 10 for size in image.pixels.shape)
            found.append((f"{width:.3g} x {height:.3g} nm is smaller than a window of the model,"
                          f" {model.windows.size / 10:g} nm wide",))  # fmt: skip
    return found


def shape_at(image: Image, model: Model) -> tuple[int, ...]:
    """The shape of an image at the model's sampling."""
    assert image.pixel_size is not None
    return windows.resampled_shape(image.pixels.shape, image.pixel_size, model.windows.sampling)


def _too_large(image: Image, model: Model, shape: tuple[int, ...]) -> str:
    """The clause on an image of more than ``MOST_PIXELS``, of this ``shape`` at the model's sampling."""
    assert image.pixel_size is not None
    rows, columns = shape
    sampling, side = model.windows.sampling, math.isqrt(MOST_PIXELS)
    own = int(side * sampling / image.pixel_size)
    return (
        f"too large to be mapped at once, {columns} x {rows} px at the model's sampling of {sampling:g} Å; up to"
        f" {side} x {side} can be, {own} x {own} of its own pixels: cut it into parts, or use a model with a coarser"
        " windows.sampling"
    )


def cautions(image: Image, model: Model | None = None) -> list[str]:
    """Sentences on what contradicts the file and, with a model, on what it was not trained for."""
    name = str(image.path)  # the file's name: these messages hold for all its frames
    found = [f"{name}: {difference}" for difference in differences(image) if difference.contradicts]
    if "unusable_pixel_size" in image.facts:
        reason = image.facts["unusable_pixel_size"]
        found.append(f"{name}: {reason}; pixel_size = {image.pixel_size:.4g} Å was given instead")
    if "colour" in image.facts:
        found.append(f"{name}: a colour image; {image.facts['colour']}")
    if model is None:
        return found
    if _beyond(image, model) and model.defoci is not None:
        low, high = model.defoci
        trained = f"{low:g} Å" if low == high else f"{low:g} to {high:g} Å"
        far = ", which is too far from it: it abstains everywhere" if far_defocus(image, model) else ""
        found.append(f"{name}: a defocus of {image.defocus:g} Å, but the model was trained at {trained}{far}")
    if image.facts.get("mode") == "STEM":
        found.append(f"{name}: a scanned image (STEM), but the model was trained on TEM images")
    return found + [f"{name}: by the model's card, {sentence}" for sentence in worth(image, model).near_chance]


def another_dose(image: Image, model: Model, conditions: dict[str, Any]) -> list[str]:
    """A sentence if the noise of an image is of a dose that a model of simulations was not trained at, else none.

    ``conditions`` are what the image says itself (``maps.conditions.facts``). The whole interval must lie outside,
    and farther than by the factor ``ALIKE``.
    """
    dose = conditions.get("dose_e_A2") or {}
    doses = (model.card.get("trained_on") or {}).get("doses_e_A2")
    if "value" not in dose or not doses:
        return []
    low, high = (min(math.inf if d is None else d for d in doses), max(math.inf if d is None else d for d in doses))
    if not _outside(dose, low, high):
        return []
    upper = " e/Å² and above" if high == math.inf else f" to {high:g} e/Å²" if high > low else " e/Å²"
    trained = "without noise" if low == math.inf else f"at {low:g}{upper}"
    return [
        f"{image.path}: by its noise, the dose is {dose['value']:.3g} e/Å² ({dose['low']:.3g} to {dose['high']:.3g}),"
        f" if grey levels are proportional to counts; but the model was trained {trained}"
    ]


def another_contrast(image: Image, model: Model, conditions: dict[str, Any]) -> list[str]:
    """A sentence if the contrast of an image is one that a model was not trained at, else none.

    ``conditions`` as of ``maps.conditions.with_contrast``.
    """
    read = conditions.get("contrast_factor") or {}
    if model.gauge is None or "value" not in read or not model.gauge.beyond(read["value"]):
        return []
    return [
        f"{image.path}: its contrast is {read['value']:.2g} times the simulated ({read['low']:.2g} to"
        f" {read['high']:.2g}), if its defocus is {image.defocus:g} Å as stated; but images like the training have"
        f" {model.gauge.low:.3g} to {model.gauge.high:.3g}: it abstains wherever it would name a state"
    ]


#: What an image says itself and a training has ranges of: its name in ``model.conditions``, in words, and its unit.
SAID = {
    "dose_e_A2": ("dose", "the dose", " e/Å²"),
    "mtf": ("mtf", "the modulation transfer at the Nyquist frequency", ""),
    "defocus_A": ("defocus", "the defocus", " Å, under or over focus"),
}


def beyond_the_ranges(image: Image, model: Model, conditions: dict[str, Any]) -> list[str]:
    """A sentence for each condition that an image says itself and that lies outside the ranges of a model's training.

    ``conditions`` as of ``another_dose``, and so is how far outside. Models that were not trained under ranges
    (``model.conditions``) have none.
    """
    ranges = (model.card.get("trained_on") or {}).get("conditions") or {}
    found = []
    for key, (name, words, unit) in SAID.items():
        told, ends = conditions.get(key) or {}, ranges.get(name)
        if "value" not in told or ends is None:
            continue
        low, high = ends[0], math.inf if ends[1] is None else ends[1]
        if name == "defocus":  # it has no sign
            low, high = 0.0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high))
        if _outside(told, low, high):
            upper = " and above" if high == math.inf else f" to {high:g}"
            found.append(
                f"{image.path}: by what it shows itself, {words} is {told['value']:.3g} ({told['low']:.3g} to"
                f" {told['high']:.3g}){unit}, but the model was trained at {low:g}{upper}: it abstains everywhere"
            )
    return found


def _outside(told: dict[str, Any], low: float, high: float) -> bool:
    """Whether the whole interval of what an image says lies outside a range, and farther than by the factor."""
    return bool(told["low"] > ALIKE * high or told["high"] < low / ALIKE)


def far_defocus(image: Image, model: Model) -> bool:
    """Whether a defocus is farther from the trained ones than d²/λ, d being the finest detail that windows resolve.

    The lens turns the phase of a detail of size d by πλΔf/d² (O. Scherzer, J. Appl. Phys. 20 (1949) 20), so that over
    this distance, 40 Å for 1 Å at 200 kV, dark becomes bright.
    """
    return model.voltage is not None and _beyond(image, model) > (DETAIL * model.windows.sampling) ** 2 / wavelength(
        model.voltage
    )


def nearest_defocus(image: Image, model: Model) -> float | None:
    """The trained defocus (Å) nearest to an image's; None if it is farther than ``NEAR``."""
    if image.defocus is None or model.defoci is None or _beyond(image, model) > NEAR:
        return None
    return min(max(image.defocus, model.defoci[0]), model.defoci[1])


def _beyond(image: Image, model: Model) -> float:
    """How far the defocus of an image (Å) is from the range of the model's; 0 inside, or if it is not known."""
    if image.defocus is None or model.defoci is None:
        return 0.0
    low, high = model.defoci
    return max(low - image.defocus, image.defocus - high, 0.0)
