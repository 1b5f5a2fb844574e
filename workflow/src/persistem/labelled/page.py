"""The page on labelled micrographs that a model has not seen: labels, map, numbers, and what decides."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.report.figures.drawing import COLOURS
from persistem.report.page import template
from persistem.report.page.pictures import data_url, ends, grey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from persistem.labelled.rows import Labelled
    from persistem.reading import Image

#: Longest side of a picture, px; how strongly a state colours.
LARGEST, OPACITY = 700, 0.45


def html(
    found: dict[str, Any],
    micrographs: Sequence[Labelled],
    images: Sequence[Image],
    said: Sequence[NDArray[np.int_] | None],
) -> str:
    """The page, one HTML file. ``said`` has the states found, as ``evaluation.assess`` returns them."""
    shown = []
    for one, image, states in zip(micrographs, images, said, strict=True):
        shades = _shades(image)
        shown.append(
            {
                "name": image.path.name,
                "specimen": one.specimen,
                "labels": _picture(shades, one.state),
                "map": None if states is None else _picture(shades, states),
            }
        )
    return template("unseen.html", "persistem.labelled").render(
        found=found,
        shown=shown,
        states=list(zip(found["states"], _colours(len(found["states"])), strict=True)),
        number=_number,
        spanned=lambda rows: any(row["recall_low"] is not None for row in rows),
        between=lambda low, high: "" if low is None else f"{low:.3f} to {high:.3f}",
        style="".join(
            (files("persistem") / name).read_text("utf-8") for name in ("report/page/page.css", "labelled/unseen.css")
        ),
    )


def _number(value: float | None) -> str:
    return "not tested" if value is None else f"{value:.3f}"


def _colours(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _shades(image: Image) -> NDArray[np.uint8]:
    """The micrograph in 8 bit, reduced to ``LARGEST``."""
    import cv2

    pixels = np.asarray(image.pixels, np.float32)
    factor = min(1.0, LARGEST / max(pixels.shape))
    size = tuple(max(round(n * factor), 1) for n in pixels.shape[::-1])
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return grey(small, *ends(small))


def _picture(shades: NDArray[np.uint8], state: NDArray[Any]) -> str:
    """The micrograph with its states in colour; -2, abstained, is hatched, -1 left as it is. A data URL."""
    import cv2

    colours = np.array([[int(c[k : k + 2], 16) for k in (5, 3, 1)] for c in _colours(int(state.max(initial=0)) + 1)])
    rows, columns = shades.shape
    places = cv2.resize(state.astype(np.int16), (columns, rows), interpolation=cv2.INTER_NEAREST)
    picture = np.repeat(shades[..., None], 3, axis=2).astype(float)
    known = places >= 0
    picture[known] = (1 - OPACITY) * picture[known] + OPACITY * colours[places[known]]
    i, j = np.indices(places.shape)
    picture[(places == -2) & ((i + j) % 8 < 2)] = 255
    _, png = cv2.imencode(".png", picture.round().astype(np.uint8))
    return data_url(png.tobytes(), "png")
