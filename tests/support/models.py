"""A model of made-up micrographs, whose states differ in the distance between their blobs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.shared import once

#: Two states with other distances between their blobs; 128 px of 0.2 Å.
STUDY = {
    "name": "blobs",
    "md": {"series": [{"temperatures": [6000], "seeds": [1, 2, 3]}]},
    "imaging": {
        "field": 25.6, "pixels": 128, "thickness": 30.0, "defoci": [-50, 25], "defocus_sign": "overfocus-positive",
    },
    "crops": {"size": 32, "stride": 32},
    "features": {"paper": {}},
    "model": {
        "windows": {"size": 6.4, "levels": 4},
        "stride": 6.4,
        "doses": [None, 5000.0],
        "mtf": 0.5,
        "thicknesses": [30.0, 20.0],
        "candidates": [["spectrum"], ["persistence", "spectrum"]],
    },
}  # fmt: skip


def blobs(distance: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with one distance between its maxima (Å), 128 x 128 px of 0.2 Å, around the intensity 1."""
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(128, 0.2), np.fft.fftfreq(128, 0.2)))
    ring = np.exp(-(((k - 1 / distance) / 0.08) ** 2))
    made = np.fft.ifft2(np.fft.fft2(rng.normal(size=(128, 128))) * ring).real
    return 1 + 0.1 * made / made.std()


@pytest.fixture(scope="session")
def study_root(tmp_path_factory):
    """The micrographs and summaries that the plan of the study names, with known states, and the plan.

    The folder is everybody's: a test that changes something changes a copy.
    """
    from persistem.imaging.micrographs import _write as write_micrograph
    from persistem.plan.plan import Plan
    from persistem.study.load import make_study

    plan = Plan(make_study(STUDY))
    (digest,) = plan.steps["models"]

    def make(root: Path) -> None:
        for source in plan.settings("models", digest)["sources"]:
            rng = np.random.default_rng([int(source["defocus"]) + 99, int(source["thickness"]), *source["seeds"]])
            distance = {"amorphous": 2.6, "liquid": 1.8}[source["state"]]
            path, summary = root / source["path"], root / source["summary"]
            for file in (path, summary):
                file.parent.mkdir(parents=True, exist_ok=True)
            about = {"pixel_size_A": 0.2, "thickness_A": source["thickness"], "defocus_A": source["defocus"]}
            write_micrograph(path, blobs(distance, rng), about)
            summary.write_text(json.dumps({"density_g_cm3": {"amorphous": 3.5, "liquid": 2.6}[source["state"]]}))

    return once(tmp_path_factory, "blobs", make), plan, digest


@pytest.fixture(scope="session")
def written(study_root, tmp_path_factory):
    """The bundle that the command line writes, in the folder of the study."""
    from persistem.commands.cli import main

    root, plan, digest = study_root
    protocol = json.dumps(plan.settings("models", digest))
    out = (root / plan.model.index).parent

    def make(_: Path) -> None:
        assert main(["model", str(out), "--root", str(root), "--protocol", protocol]) == 0

    once(tmp_path_factory, "bundle", make)
    return out
