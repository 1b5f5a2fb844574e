"""The page of a map: one HTML file, opened without network, that shows a map and what decided each window.

``map.html``, ``map.css`` and ``map.js`` show it; ``evaluation.js`` computes what the model says of a window with and
without one of its pairs, as ``windows.sums`` and ``model.classifier`` do.
"""

from __future__ import annotations

import base64
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.descriptors.windows import side
from persistem.maps.detail import FINE, fineness, quantised, thinning
from persistem.maps.overlay import HATCHING, STRONGEST, averaged
from persistem.maps.regions import regions
from persistem.maps.verdict import abstained, found, worth
from persistem.model.classifier import REASONS, Model
from persistem.model.trees import Trees
from persistem.report.figures.drawing import COLOURS
from persistem.report.page import inline_json, inline_script, template
from persistem.report.page.pictures import data_url, ends, grey
from persistem.store.files import atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.maps.mapping import Map
    from persistem.reading import Image
    from persistem.study.evaluation import Band

#: Longest side of the micrograph on the page, pixels, and the JPEG qualities that are tried, the best first.
LARGEST, QUALITIES = 4096, (90, 80, 70, 60, 50, 40, 30)
#: Most characters of the page: of its arrays, without the pairs if need be, and of all. The picture gets what is left.
MOST_ARRAYS, MOST = 11_000_000, 14_800_000
#: How many regions the page lists, the largest first; the table has all.
LISTED = 200


def write_page(map: Map, image: Image, model: Model, out: Path) -> None:
    """Write the page of an image's map by a model. The same map gives the same bytes."""
    kept = {name: (array.dtype.name, packed(array)) for name, array in arrays(map, model).items()}
    large = length_of(kept) > MOST_ARRAYS
    if not large:
        jpeg, pixel, quality = picture(image, room(kept))
        large = len(jpeg) > room(kept)
    if large:
        kept = {name: part for name, part in kept.items() if not name.startswith("pairs.")}
        jpeg, pixel, quality = picture(image, room(kept))
    conditions = map.facts["conditions"]
    said = worth(image, model, (conditions.get("dose_e_A2") or {}).get("value"))
    near = {f"{image.path}: by the model's card, {sentence}" for sentence in said.near_chance}
    data = about(map, image, model) | {"picture": pixel / 10} | ({"pairs": "many"} if large else {})
    text = template("map.html", "persistem.maps").render(
        title=map.facts["image"]["title"] or map.facts["image"]["file"],
        facts=map.facts,
        found=found(map),
        worth=said,
        abstains=abstained(map),
        warnings=[warning for warning in map.facts["warnings"] if warning not in near],
        quality=quality,
        states=list(zip(map.states, data["colours"], map.shares.values(), strict=False)),
        share_abstained=map.shares["abstained"],
        data=data,
        json=inline_json(data),
        arrays=kept,
        picture=data_url(jpeg, "jpeg"),
        style=_asset("report/page/page.css") + _asset("maps/map.css"),
        script=inline_script(_asset("maps/evaluation.js") + _asset("maps/map.js")),
    )
    with atomic(out) as part:
        part.write_text(text, "utf-8")


def _asset(path: str) -> str:
    return (files("persistem") / path).read_text("utf-8")


def about(map: Map, image: Image, model: Model) -> dict[str, Any]:
    """What the page's script needs besides the arrays: plain values; lengths in nm."""
    assert image.pixel_size is not None
    windows, classifier = model.windows, model.classifier
    every = thinning(map.abstain.shape)
    rows, columns = map.abstain[::every, ::every].shape
    listed = regions(map)
    return {
        "states": list(map.states),
        "colours": [COLOURS[k % len(COLOURS)] for k in range(len(map.states))],
        "reasons": list(REASONS),
        "reasonCounts": np.bincount(map.reason.ravel(), minlength=len(REASONS)).tolist(),
        "opacity": STRONGEST,
        "hatching": HATCHING,
        "field": [size * image.pixel_size / 10 for size in image.pixels.shape],
        "grid": {
            "rows": rows,
            "columns": columns,
            "every": every,
            "step": map.step * every / 10,
            "origin": [origin / 10 for origin in map.origin],
        },
        "sampling": windows.sampling / 10,
        "first": image.pixel_size / 20,
        "size": side(windows),
        "before": side(windows) // 2 if model.labelled else 0,
        "stride": round(map.step / windows.sampling) * every,
        "bands": [{"name": _band(band), "window": band.window} for band in windows.bands],
        "filtrations": list(windows.filtrations),
        "levels": windows.levels,
        "fine": FINE if map.detail is None or map.detail.pairs is None else fineness(map.detail.pairs),
        "lengths": classifier.lengths,
        "calibration": {
            "coefficients": np.asarray(classifier.calibration.coef_).tolist(),
            "intercepts": np.asarray(classifier.calibration.intercept_).tolist(),
        },
        "pairs": _pairs_kept(map, model),
        "regions": listed[:LISTED],
        "regionCount": len(listed),
    }


def arrays(map: Map, model: Model) -> dict[str, NDArray[Any]]:
    """The arrays of the page by name: the grid, what each window was judged by, and the classifier's trees, if any.

    ``probability`` (rows, columns, states) is 0 to 65535 for 0 to 1, ``reason`` (rows, columns) a number in
    ``REASONS``; blocks, pairs and trees are ``blocks.…``, ``pairs.…`` and ``trees.…``.
    """
    every, scorer = thinning(map.abstain.shape), model.classifier.scorer
    by_name: dict[str, NDArray[Any]] = {
        "probability": np.rint(map.probability[::every, ::every] * 65535).astype(np.uint16),
        "reason": map.reason[::every, ::every].astype(np.uint8),
    }
    if isinstance(scorer, Trees):
        for name in ("feature", "left", "right", "roots"):
            by_name[f"trees.{name}"] = np.asarray(getattr(scorer, name), dtype=np.int32)
        for name in ("threshold", "value", "start"):
            by_name[f"trees.{name}"] = np.asarray(getattr(scorer, name), dtype=np.float64)
    if map.detail:
        by_name |= {
            f"blocks.{name}": map.detail.blocks[name] for name in model.classifier.lengths if name != "persistence"
        }
        if map.detail.pairs is not None and "persistence" in model.blocks:
            by_name |= {f"pairs.{name}": part for name, part in quantised(map.detail.pairs, model.windows).items()}
    return by_name


def length_of(kept: dict[str, tuple[str, str]]) -> int:
    """Characters of packed arrays."""
    return sum(len(text) for _, text in kept.values())


def room(kept: dict[str, tuple[str, str]]) -> int:
    """Bytes that packed arrays leave for the picture; base64 has 4 characters for 3 bytes."""
    return (MOST - length_of(kept)) * 3 // 4


def packed(array: NDArray[Any]) -> str:
    """The bytes of an array, in C order and little-endian, deflated (zlib), as base64."""
    content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(content.tobytes(), 9 if content.nbytes < 2**20 else 6)).decode()


def picture(image: Image, most: int) -> tuple[bytes, float, int]:
    """The micrograph as a grey JPEG, the size of its pixels, Å, and its quality, of about ``most`` bytes or less.

    It has the image's own pixels; squares of them are averaged where its side would exceed ``LARGEST``. Black and white
    are ``ends``.
    """
    import cv2

    assert image.pixel_size is not None
    factor = max(1, -(-max(image.pixels.shape) // LARGEST))
    small = averaged(image.pixels, (factor, factor)).astype(np.float32)
    levels = grey(small, *ends(small))
    for quality in QUALITIES:
        _, jpeg = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if jpeg.nbytes <= most:
            break
    return jpeg.tobytes(), image.pixel_size * factor, quality


def _band(band: Band) -> str:
    if band.wide is not None:
        return f"{band.narrow:g} to {band.wide:g} Å"
    return f"from {band.narrow:g} Å on" if band.narrow else "as it is"


def _pairs_kept(map: Map, model: Model) -> str:
    """Whether the page has the pairs: ``here``, or why not: ``none``, ``unknown`` or ``many``."""
    if "persistence" not in model.blocks:
        return "none"
    if map.detail is None:
        return "unknown"
    return "many" if map.detail.pairs is None else "here"
