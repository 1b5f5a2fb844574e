"""A map as plain values: its facts, its images by name, and HyperSpy's signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from persistem.model.classifier import REASONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persistem.maps.mapping import Map


def facts_of(map: Map) -> dict[str, Any]:
    """The content of ``map.json``: plain values."""
    rows, columns = map.abstain.shape
    counts = np.bincount(map.reason.ravel(), minlength=len(REASONS)).tolist()
    return {
        **map.facts,
        "states": list(map.states),
        "grid": {"rows": rows, "columns": columns, "step_A": map.step, "origin_A": list(map.origin)},
        "shares": map.shares,
        "abstained_windows": dict(zip(REASONS[1:], counts[1:], strict=True)),
    }


def pages(map: Map) -> dict[str, NDArray[np.float32]]:
    """The images in the files, by name: (rows, columns) each."""
    probabilities = {state: map.probability[..., label] for label, state in enumerate(map.states)}
    named = {**probabilities, "confidence": map.confidence, "abstain": map.abstain}
    return {name: np.ascontiguousarray(page, dtype=np.float32) for name, page in named.items()}


def signal(map: Map) -> dict[str, Any]:
    """A map as HyperSpy's and RosettaSciIO's dictionary of a signal."""
    named = pages(map)
    facts = facts_of(map)
    image = facts["image"]
    axes = [{"name": "page", "size": len(named), "scale": 1.0, "offset": 0.0, "units": "", "navigate": True}]
    for name, offset, size in zip("yx", offsets(map), map.abstain.shape, strict=True):
        axes.append(
            {"name": name, "size": size, "scale": map.step / 10, "offset": offset, "units": "nm", "navigate": False}
        )
    axes = [axis | {"_type": "UniformDataAxis", "is_binned": False} for axis in axes]
    title = f"Map of {image['title'] or image['file']}"
    return {
        "data": np.stack([*named.values()]),
        "axes": axes,
        "metadata": {
            "General": {"title": title, "original_filename": image["file"]},
            "Signal": {"signal_type": "", "quantity": "probability"},
            "Acquisition_instrument": {"TEM": {"beam_energy": image["voltage_kV"]}},
            "PersisTEM": {"pages": [*named]},
            "_HyperSpy": {},
        },
        "original_metadata": facts,
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "package_info": {"package": "persistem", "package_version": facts.get("versions", {}).get("persistem", "")},
        "learning_results": {},
        "models": {},
    }


def offsets(map: Map) -> list[float]:
    """Centre of the first window in nm from the centre of the micrograph's first pixel: y, x."""
    return [(origin - map.facts["image"]["pixel_size_A"] / 2) / 10 for origin in map.origin]
