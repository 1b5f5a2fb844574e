"""The overview of a study with a model and composites: one page to open, and the lines that a run ends with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from persistem.report import page
from persistem.report.overview import pictures
from persistem.report.overview.findings import CHANCE, densities, lines, of_map, of_pairs, of_study, verdict
from persistem.store import paths
from persistem.store.files import atomic

#: Bump when this stage's results change for the same study.
VERSION = 3


def write_overview(settings: dict[str, Any], root: Path, out: Path) -> None:
    """Write the page ``out`` and, beside it, ``summary.txt`` with the lines that a run of the study ends with.

    Parameters
    ----------
    settings
        ``name`` and ``states`` of the study; ``judged``, features and path of the scores of each model; ``composites``
        to show: name, kind, states, structure, micrographs; ``samples``, one for each state: specimen, state, path of
        a micrograph, and ``summaries`` of all its specimens; ``dose`` (e/Å²) and ``defocus`` (Å) of the composites;
        ``timed``, digests by stage, and ``specimens`` of the study; ``tables``, files that all of these jobs lead to
    root
        folder that paths are relative to

    Raises
    ------
    PersistemError
        if a file that the settings name cannot be read.
    """
    root = Path(root)
    found = of_study(settings, root)
    text = page.template("overview.html", "persistem.report.overview").render(
        settings
        | {
            "found": found,
            "chance": CHANCE,
            "of_pairs": of_pairs(found),
            "verdict": verdict(found),
            "densities": densities(found["states"]),
            "maps": [
                {"says": of_map(composite), "picture": pictures.composite(settings, shows, found, root)}
                for composite, shows in zip(found["maps"], settings["composites"], strict=True)
            ],
            "samples": pictures.samples(settings, root),
            "style": (files("persistem.report.page") / "page.css").read_text("utf-8"),
        }
    )
    with atomic(out.with_name(paths.SUMMARY)) as part:
        part.write_text(lines(found, paths.overview(settings["name"])) + "\n", "utf-8")
    with atomic(out) as part:
        part.write_text(text, "utf-8")
