"""Every path in the results folder, and the identifiers in the paths.

``results/<stage>/<digest>/…`` holds computed results; ``results/<study>/`` holds what people open.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from persistem.store import stages

RESULTS = "results"
#: Most bytes of the name of a map's folder.
LONGEST = 150

#: Suffixes of a figure: caption and numbers, pixels, vectors. Tables that the report writes beside itself.
FIGURE_SUFFIXES = (".json", ".png", ".pdf")
REPORT_TABLES = ("paper.csv", "claims.csv", "state_checks.csv", "timings.csv", "about.json")
#: The page on labelled micrographs that a model has not seen, and its numbers.
UNSEEN = ("unseen.html", "unseen.json")
#: The lines that a run ends with, which the overview writes beside itself.
SUMMARY = "summary.txt"
#: The file of each stage, relative to ``results/<stage>/<digest>/``, in the order of the stages.
FILES = {stage.name: stage.file for stage in stages.STAGES}
STAGES = tuple(FILES)
#: Folders beside the stages' folders; what they hold about a file lies under the same path as the file.
RECORDS = ("logs", "benchmarks", "seals")


def of_part(part: str) -> tuple[str, ...]:
    """The stages of one part of a study, see ``stages``."""
    return tuple(stage.name for stage in stages.STAGES if stage.part == part)


def pattern(stage: str) -> str:
    """The path of a stage's file with wildcards ``{digest}``, ``{specimen}`` and ``{defocus}``."""
    return f"{RESULTS}/{stage}/{{digest}}/{FILES[stage]}"


def path(stage: str, digest: str, specimen: str = "", defocus: str = "", figure: str = "", micrograph: str = "") -> str:
    """The path of one file of a stage."""
    names = {"specimen": specimen, "defocus": defocus, "figure": figure, "micrograph": micrograph}
    return pattern(stage).format(digest=digest, **names)


def beside(stage: str, name: str) -> str:
    """The path, with wildcards, of a file called ``name`` in the folder of a stage's file."""
    return str(Path(pattern(stage)).with_name(name))


def stage_path(stage: str, digest: str) -> str:
    """The small YAML that says what a digest stands for."""
    return f"{RESULTS}/{stage}/{digest}/stage.yaml"


def stage_beside(file: Path) -> Path:
    """The same small YAML, of a file that lies directly in the folder of its digest."""
    return Path(file).parent / "stage.yaml"


def crop_batch() -> str:
    """The diagrams of a micrograph's crops from ``{first}`` up to but not including ``{last}``."""
    return pattern("diagrams").replace(".parquet", "/crops-{first}-{last}.parquet")


def log(pattern: str) -> str:
    """The log of the job that makes a file."""
    return _record("logs", pattern, ".log")


def benchmark(pattern: str) -> str:
    """What the job that makes a file took: Snakemake's benchmark table, or that of ``usage``."""
    return _record("benchmarks", pattern, ".tsv")


def files_in(settings: Any) -> list[str]:
    """Every file of the results folder that settings name, once; a ``study`` quoted in them is not searched."""
    if isinstance(settings, str):
        return [settings] if settings.startswith(f"{RESULTS}/") else []
    items: Any = settings if isinstance(settings, list | tuple) else ()
    if isinstance(settings, dict):
        items = [value for key, value in settings.items() if key != "study"]
    return list(dict.fromkeys(file for item in items for file in files_in(item)))


def sealed(path: Path) -> tuple[str, Path] | None:
    """A stage file's name in its seal, ``results/<stage>/<digest>/…``, and the seal's path; None for other files."""
    parts = Path(path).parts
    for k in reversed(range(len(parts) - 3)):
        if parts[k] == RESULTS and parts[k + 1] in FILES and re.fullmatch("[0-9a-f]{12}", parts[k + 2]):
            inside = Path(*parts[k + 1 :])
            return f"{RESULTS}/{inside.as_posix()}", Path(*parts[: k + 1], "seals", f"{inside}.json")
    return None


def _record(kind: str, pattern: str, suffix: str) -> str:
    return str(Path(pattern.replace(RESULTS, f"{RESULTS}/{kind}", 1)).with_suffix(suffix))


def paces() -> str:
    """How long the jobs of each stage took in the last runs, beside what was expected (JSON)."""
    return f"{RESULTS}/.runs/paces"  # without a suffix: files .json there are runs that are alive


def overview(study: str) -> str:
    """What a study with a model and composites found: one page to open."""
    return study_file(study, "overview.html")


def summary(study: str) -> str:
    """The lines that a run of such a study ends with."""
    return study_file(study, SUMMARY)


def study_file(study: str, name: str) -> str:
    """A file that people open."""
    return f"{RESULTS}/{study}/{name}"


def accuracy(study: str) -> str:
    """The study's accuracy table."""
    return study_file(study, "tables/accuracy.csv")


def specimens(study: str) -> str:
    """The study's table of specimens: density, temperature, pressure."""
    return study_file(study, "tables/specimens.csv")


def index(study: str) -> str:
    """From names to digests: the path of every file that the study's tables stand on."""
    return study_file(study, "index.csv")


def provenance(study: str) -> str:
    """What the study's results were made from and by: digest, seeds, versions."""
    return study_file(study, "provenance.json")


def report(study: str) -> str:
    """The study's report: one HTML file."""
    return study_file(study, "report.html")


def model_file(study: str, name: str) -> str:
    """A file of the study's model bundle, ``results/<study>/model/``."""
    return study_file(study, f"model/{name}")


def map_folder(study: str, micrograph: str) -> str:
    """The folder of a micrograph's map, ``results/<study>/maps/<micrograph>/``."""
    return study_file(study, f"maps/{micrograph}")


def specimen_id(temperature: int, rt: bool, seed: int) -> str:
    """Identifier of a simulated specimen, e.g. ``T6000-rt1-s01``."""
    return f"T{temperature}-rt{rt:d}-s{seed:02d}"


def untreated_id(specimen: str) -> str:
    """Identifier of the specimen without RT treatment that one with RT treatment continues from."""
    return specimen.replace("-rt1-", "-rt0-")


def structure_id(state: str, seed: int) -> str:
    """Identifier of a specimen from a user's own structure, e.g. ``liquid-s01``."""
    return f"{state}-s{seed:02d}"


def melt_id(seed: int) -> str:
    """Identifier of a half-melted crystal, e.g. ``melt-s01``."""
    return f"melt-s{seed:02d}"


def defocus_id(defocus: float) -> str:
    """Identifier of a defocus (Å), exact to 0.1 Å: ``df-025``, ``df+012p5``."""
    tenths = round(defocus * 10)
    text = f"df{'-' if tenths < 0 else '+'}{abs(tenths) // 10:03d}"
    return text + (f"p{abs(tenths) % 10}" if tenths % 10 else "")


def micrograph_id(file: str, taken: Collection[str]) -> str:
    """Identifier of a user's micrograph: the file's stem, or if it is one of ``taken``, with its folder before it.

    Anything but letters, digits and ``_+-`` becomes ``_``.
    """
    plain = [re.sub(r"[^\w+-]", "_", name) for name in (map_name(Path(file)), map_name(Path(file), folder=True))]
    return plain[0] if free(plain[0], taken) == plain[0] else free(plain[1], taken)


def map_name(file: Path, folder: bool = False) -> str:
    """The name of a file's map: its stem, on demand with the name of its folder before it.

    A name of dots alone, such as ``..tif`` has, would be a folder above; then it is what follows them. Of a long name
    it is the first ``LONGEST`` bytes: a file being written has a longer one, and file systems allow 255.
    """
    stem = file.stem if file.stem.strip(".") else file.name.strip(".") or "image"
    parent = file.parent.name.strip(".")
    name = f"{parent}-{stem}" if folder and parent else stem
    while len(os.fsencode(name)) > LONGEST:
        name = name[:-1]
    return name


def free(name: str, taken: Collection[str]) -> str:
    """The name, or if it is taken, the name with the first number from 2 on that is free.

    Some file systems ignore case, so names that differ only in case are numbered too.
    """
    lower = {other.lower() for other in taken}
    number, candidate = 1, name
    while candidate.lower() in lower:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
