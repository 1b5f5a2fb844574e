"""Annotations exported from QuPath as GeoJSON. Coordinates there are of pixels' corners: (0, 0) is the image's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.reading.found import BadImage
from persistem.reading.labels.legend import key_of
from persistem.reading.labels.outlines import Region
from persistem.store.bounded import read_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Most bytes: JSON takes some twenty times as much memory.
MOST = 2**24


def geojson(path: Path, shape: tuple[int, int], _: Path | None = None) -> list[Region]:
    """The polygons in a FeatureCollection, a list of features or one of them, with the names of their classes."""
    try:
        content = json.loads(read_text(path, MOST).removeprefix("\ufeff"))
    except RecursionError as error:
        raise BadImage("not GeoJSON: it is nested too deep") from error
    except ValueError as error:
        raise BadImage(f"truncated or corrupted: not JSON ({str(error)[:100]})") from error
    if isinstance(content, Mapping):
        content = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(content, list) or not content:
        raise BadImage("GeoJSON without a feature in it")
    regions = [_region(k, feature) for k, feature in enumerate(content, 1)]
    planes = {str(feature["geometry"].get("plane", {"c": -1, "z": 0, "t": 0})) for feature in content}
    if len(planes) > 1:
        raise BadImage("its annotations are of several planes of a stack, but labels are of one image")
    return regions


def _region(k: int, feature: Any) -> Region:
    if not isinstance(feature, Mapping) or not isinstance(feature.get("geometry"), Mapping):
        raise BadImage(f"its entry {k} is not a feature with a geometry, as GeoJSON has it")
    what, properties, geometry = f"annotation {k}", feature.get("properties"), feature["geometry"]
    named = properties.get("classification") if isinstance(properties, Mapping) else None
    name = named.get("name") if isinstance(named, Mapping) else None
    if name is None and isinstance(named, Mapping) and isinstance(named.get("names"), list):
        name = ": ".join(map(str, named["names"]))  # a class derived from another, as QuPath shows it
    if not isinstance(name, str) or not name.strip():
        raise BadImage(f"{what} has no class; set it in QuPath, or delete the annotation")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise BadImage(f"{what} is a {str(kind)[:30]}, which has no area; draw round the region")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    try:
        parts = [[_ring(ring) for ring in polygon] for polygon in polygons]
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise BadImage(f"{what} has coordinates that are not those of a {kind}") from error
    return Region(f"{what} ({name.strip()[:60]!r})", (key_of(name),), [part for part in parts if part])


def _ring(points: Any) -> NDArray[np.float64]:
    ring = np.array([(point[1], point[0]) for point in points], np.float64)
    if ring.ndim != 2 or ring.shape[1] != 2:
        raise ValueError(points)
    return ring - 0.5
