"""The overlay: the micrograph in grey, the states in colour."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.windows import forget
from persistem.maps.mapping import Map, readable
from persistem.reading.asked import differences
from persistem.report.figures.drawing import COLOURS, COLUMN, DPI, PAGE, scale_bar, signed, state_patches, style
from persistem.report.page.pictures import RANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from persistem.reading import Image

#: Longest side of the micrograph as shown, in pixels.
SHOWN = 1400
#: Opacity of a certain state; the micrograph shows through.
STRONGEST = 0.6
#: Grey levels of the hatching where windows abstain, and its opacity.
HATCHING, HATCHED = (0.35, 0.8), 0.6
#: Characters of a line of text.
LONGEST = 60


def write_overlay(map: Map, image: Image, out: Path) -> None:
    """Write the overlay as PNG."""
    import matplotlib.pyplot as plt

    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a title may have letters that the font lacks
        figure = draw(map, image)
        figure.savefig(out, dpi=DPI, format="png", metadata={"Software": None})
        plt.close(figure)


def draw(map: Map, image: Image) -> Figure:
    """The micrograph with each window's most probable state in its colour, the more opaque the surer.

    A state no more probable than by chance is invisible, a certain one has the opacity ``STRONGEST``. Windows that
    abstain are hatched in grey. Farther than half a step beyond the outermost windows' centres the micrograph is bare.
    """
    import matplotlib.pyplot as plt

    assert image.pixel_size is not None
    grey, pixel_size = _shown(image.pixels, image.pixel_size)
    rows, columns = grey.shape
    width = max(COLUMN, PAGE * min(1.0, 1.2 * columns / rows))
    figure = plt.figure(figsize=(width, min(width * rows / columns, 1.2 * PAGE) + 0.9))
    axis = figure.add_subplot()
    axis.imshow(blend(map, grey, pixel_size), interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    scale_bar(axis, grey.shape, pixel_size)
    conditions = [f"{image.voltage:g} kV"] if image.voltage is not None else []
    conditions += [f"defocus {signed(image.defocus)}"] if image.defocus is not None else []
    frame = [] if image.frame is None else [f"frame {image.frame}"]
    against = [difference for difference in differences(image) if difference.contradicts]
    forced = [f"Forced: {d.setting} {d.values[0]}; the {d.source} says {d.values[1]}" for d in against]
    axis.set_title(_plain("\n".join([image.title or image.path.name, ", ".join([*frame, *conditions]), *forced])))
    shares = map.shares
    labels = [_plain(f"{state} {shares[state]:.0%}") for state in map.states]
    patches = state_patches(labels, f"abstained {shares['abstained']:.0%}")
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=min(len(patches), 4 if width > COLUMN else 2),
        title="opacity: confidence, from chance to certain",
        title_fontsize=7,
    )
    return figure


def blend(map: Map, grey: NDArray[Any], pixel_size: float) -> NDArray[np.float64]:
    """A micrograph of grey levels 0 to 1 with the map over it: (rows, columns, 3), 0 to 1; ``pixel_size`` in Å."""
    states = len(map.states)
    colours = np.array([_rgb(k) for k in range(states)])
    sure = (states * map.confidence - 1) / max(states - 1, 1)
    stripe = np.add.outer(*(np.arange(size) for size in grey.shape)) // max(2, max(grey.shape) // 200) % 2
    at_rows, at_columns = (
        np.floor(((np.arange(size) + 0.5) * pixel_size - origin) / map.step + 0.5).astype(int)
        for size, origin in zip(grey.shape, map.origin, strict=True)
    )
    ends = [*zip((at_rows, at_columns), map.abstain.shape, strict=True)]
    inside = np.logical_and.outer(*((at >= 0) & (at < end) for at, end in ends))
    window = np.ix_(*(at.clip(0, end - 1) for at, end in ends))
    abstain = map.abstain[window]
    over = np.where(abstain[..., None], np.array(HATCHING)[stripe][..., None], colours[map.state[window]])
    opacity = np.where(abstain, HATCHED, STRONGEST * sure[window].clip(0, 1)) * inside
    mixed: NDArray[np.float64] = grey[..., None] * (1 - opacity[..., None]) + over * opacity[..., None]
    return mixed


def _shown(pixels: NDArray[Any], pixel_size: float) -> tuple[NDArray[np.float64], float]:
    """A micrograph in grey levels 0 to 1, averaged to few enough pixels to be shown, and the size of these pixels."""
    factor = -(-max(pixels.shape) // SHOWN)
    small = averaged(pixels, (min(factor, pixels.shape[0]), min(factor, pixels.shape[1])))
    low, high = np.percentile(small, RANGE)
    return ((small - low) / ((high - low) or 1.0)).clip(0, 1), pixel_size * factor


def averaged(pixels: NDArray[Any], factors: tuple[int, int]) -> NDArray[np.float64]:
    """Means of blocks of ``factors`` pixels (rows, columns) of an image that may lie in a file; a rest is left out."""
    rows, columns = (size // factor for size, factor in zip(pixels.shape, factors, strict=True))
    small = np.empty((rows, columns))
    for row in range(rows):
        strip = np.asarray(pixels[row * factors[0] :][: factors[0], : columns * factors[1]], dtype=np.float64)
        small[row] = strip.reshape(factors[0], columns, factors[1]).mean(axis=(0, 2))
        forget(pixels)
    return small


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _rgb(label: int) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(to_rgb(_colour(label)))


def _plain(text: str) -> str:
    """Lines of text, none too long, that Matplotlib does not take for mathematics."""
    lines = [" ".join(readable(line).split()) for line in text.split("\n")]
    return "\n".join(line if len(line) <= LONGEST else line[: LONGEST - 1] + "…" for line in lines).replace("$", r"\$")
