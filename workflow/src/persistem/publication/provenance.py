"""The origin of what is published: study, digest, seeds, the user's files, and the versions that made it.

``results/<study>/provenance.json`` has the facts, and every published table and figure carries them: a table in the
CSVW metadata beside it, a picture in text chunks (PNG) or its document information (PDF), JSON under a key, a page in
its head. Publishing puts them in, because studies share the files under digests. They hold no time stamps, so the same
study is published as the same bytes.
"""

from __future__ import annotations

import html
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persistem.model import bundle
from persistem.plan.plan import Plan
from persistem.specimens.structures import potential_files
from persistem.store import paths, seals
from persistem.store.digests import content
from persistem.store.environment import versions

#: The key of the facts in JSON, and the prefix of each fact elsewhere.
KEY = "provenance"
PREFIX = "persistem:"
PNG = b"\x89PNG\r\n\x1a\n"
CHARSET = b'<meta charset="utf-8">\n'


def facts(plan: Plan, root: Path = Path()) -> dict[str, Any]:
    """Study, digest, MD seeds, the files that the user named (SHA-256), and the versions that made its results.

    ``made_with`` has an entry for every set of versions, with the stages that were made with it: ``from`` their seals,
    or if a stage has none, ``from`` this environment.
    """
    stages_of: dict[str, dict[str, None]] = {}  # stages by versions, in the order of the stages
    for path, seal in _seals(plan, root):
        with open(seal) as file:  # one of thousands: equal texts are parsed once
            text = file.read().partition('"versions": ')[2]
        stages_of.setdefault(text, {})[path.split("/")[1]] = None
    known = {stage for stages in stages_of.values() for stage in stages}
    present = [
        stage for stage, steps in plan.steps.items() if any((root / paths.RESULTS / stage / d).is_dir() for d in steps)
    ]
    listed: list[dict[str, Any]] = [
        {"stages": list(stages), "from": "seals", "versions": numbers}
        for text, stages in stages_of.items()
        if (numbers := _versions(text))
    ]
    if unknown := [stage for stage in present if stage not in known]:
        listed.append({"stages": unknown, "from": "this environment", "versions": versions()})
    return {
        "study": plan.study.name,
        "digest": plan.study_digest,
        "md_seeds": _seeds(plan),
        "inputs": [{"name": Path(file).name, "sha256": content(Path(file))} for file in inputs(plan)],
        "made_with": listed,
    }


def flat(facts: dict[str, Any]) -> dict[str, str]:
    """The facts as text by name, for formats that hold only text; nested facts become JSON."""
    return {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}


def inputs(plan: Plan) -> list[str]:
    """The files that the study names: crystal, potential, structures, micrographs, and the index of a model."""
    study = plan.study
    own = bool(study.structures) or study.labelled_alone
    simulated = [] if own else [study.material.file, *map(str, potential_files(study.potential).values())]
    named = [*simulated, *(s.path for s in study.structures), *(micrograph.path for micrograph in study.micrographs)]
    named += [file for entry in study.labelled for file in (entry.path, entry.labels)]
    if study.map_with is not None:
        named += [str(Path(study.map_with, name)) for name in bundle.FILES]
    return list(dict.fromkeys(file for file in named if file is not None))


def parts(plan: Plan) -> dict[tuple[str, str], set[str]]:
    """The study's part of every stage and digest: names in its folder without suffixes; an empty set means all of it.

    Studies share a digest, so its folder may also hold other specimens or defoci.
    """
    names: dict[tuple[str, str], set[str]] = {(stage, d): set() for stage, steps in plan.steps.items() for d in steps}
    for each in plan.plans:
        for name in each.specimens:
            names["specimens", each.digest("specimens", name)].add(name)
        for name in each.members:
            names.get(("prepared", each.digest("prepared", name)), set()).add(name)
            names["exit_waves", each.digest("exit_waves", name)].add(name)
            below = ("crops", "diagrams", "persistence_images")
            for stage, recipe in [("micrographs", ""), *((stage, r) for r in each.recipes for stage in below)]:
                names[stage, each.digest(stage, name, recipe)].update(f"{name}/{defocus}" for defocus in each.defoci)
    every_step = (step for steps in plan.steps.values() for step in steps.values())
    for file in (file for step in every_step for file in paths.files_in(step.settings)):
        _, stage, digest, *inside = Path(file).parts
        if "{specimen}" in paths.FILES.get(stage, "") and (stage, digest) in names:
            names[stage, digest].add(str(Path(*inside[:-1], inside[-1].split(".")[0])))
    return names


def sealed(plan: Plan, root: Path = Path()) -> dict[str, dict[str, Any] | None]:
    """The seals of the files that the study stands on, by path; None for a damaged seal."""
    return {path: seals.read(root / path) for path, _ in _seals(plan, root)}


def stamped(name: str, content: bytes, facts: dict[str, Any]) -> bytes:
    """The content of a published file with the facts in it: PNG, PDF, JSON, HTML; other kinds stay as they are.

    Drawings are not encoded again.
    """
    suffix = Path(name).suffix
    if suffix == ".json":
        about = json.loads(content) | {KEY: facts}
        return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()
    named = {f"{PREFIX}{key}": value for key, value in flat(facts).items()}
    if suffix == ".png":
        end = len(PNG) + 25  # signature and header; text may follow
        return content[:end] + b"".join(_chunk(*item) for item in named.items()) + content[end:]
    if suffix == ".pdf":
        return _with_information(content, named)
    if suffix == ".html":
        tags = [f'<meta name="{key}" content="{html.escape(value)}">\n' for key, value in named.items()]
        return content.replace(CHARSET, CHARSET + "".join(tags).encode(), 1)
    return content


def _seeds(plan: Plan) -> list[int]:
    simulated = {s.seed for each in plan.plans for s in each.specimens.values() if s.structure is None}
    melts = {seed for melt in (plan.study.truth.melts if plan.study.truth else ()) for seed in melt.seeds}
    return sorted(simulated | melts)


def _seals(plan: Plan, root: Path) -> Iterator[tuple[str, str]]:
    """Yield every sealed file that the study stands on, relative to ``root``, and the path of its seal."""
    for (stage, digest), names in parts(plan).items():
        folder = f"{root / paths.RESULTS}/seals/{stage}/{digest}/"
        for file in sorted(_files(folder)):
            inside = file.removeprefix(folder).removesuffix(".json")
            if not names or inside == "stage.yaml" or names.intersection(_names(inside)):
                yield f"{paths.RESULTS}/{stage}/{digest}/{inside}", file


def _versions(text: str) -> dict[str, str] | None:
    """The versions at the end of a seal; None if it is damaged."""
    try:
        numbers: dict[str, str] = json.loads(text.strip().removesuffix("}"))
    except ValueError:
        return None
    return numbers


def _files(folder: str) -> Iterator[str]:
    for here, _, names in os.walk(folder):
        yield from (os.path.join(here, name) for name in names if not name.startswith("."))  # noqa: PTH118


def _names(inside: str) -> tuple[str, str]:
    """The specimen of a file in a digest's folder, without and with its defocus."""
    first, _, rest = inside.partition("/")
    specimen = first.split(".")[0]
    return specimen, f"{specimen}/{rest.split('/')[0].split('.')[0]}"


def _chunk(key: str, text: str) -> bytes:
    """A text chunk of a PNG (https://www.w3.org/TR/png-3/#11tEXt); JSON is ASCII."""
    data = b"tEXt" + key.encode("latin-1") + b"\0" + text.encode("latin-1", "backslashreplace")
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def _with_information(document: bytes, named: dict[str, str]) -> bytes:
    """A PDF with more document information, appended: the bytes before it stay."""
    from pypdf import PdfWriter

    writer = PdfWriter(io.BytesIO(document), incremental=True)
    writer.add_metadata({f"/{key}": value for key, value in named.items()})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
