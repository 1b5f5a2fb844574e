"""Where what is published comes from: study, digest, seeds, the user's files, and the versions that made it.

``results/<study>/provenance.json`` has the facts, and every published table and figure carries them: a table in the
CSVW metadata beside it, a picture in text chunks (PNG) or its document information (PDF), JSON under a key, a page in
its head. They are put in as files are published, because files under digests are shared between studies. There are no
time stamps in them, so the same study is published as the same bytes.
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

from persistem.plan.plan import Plan
from persistem.specimens.structures import potential_path
from persistem.store import paths, seals
from persistem.store.digests import content
from persistem.store.environment import versions

#: The facts in JSON, and the prefix of each of them elsewhere.
KEY = "provenance"
PREFIX = "persistem:"
PNG = b"\x89PNG\r\n\x1a\n"
CHARSET = b'<meta charset="utf-8">\n'


def facts(plan: Plan, root: Path = Path()) -> dict[str, Any]:
    """Study, digest, MD seeds, the files that the user named (SHA-256), and the versions that made its results.

    ``made_with`` has an entry for every set of versions, with the stages that were made with it: from their seals, or
    where a stage has none ``from`` this environment.
    """
    made: dict[str, dict[str, None]] = {}  # stages by versions, in the order of the stages
    for path, seal in _seals(plan, root):
        with open(seal) as file:  # of thousands: what is the same text is read once
            text = file.read().partition('"versions": ')[2]
        made.setdefault(text, {})[path.split("/")[1]] = None
    known = {stage for stages in made.values() for stage in stages}
    there = [
        stage for stage, steps in plan.steps.items() if any((root / paths.RESULTS / stage / d).is_dir() for d in steps)
    ]
    listed: list[dict[str, Any]] = [
        {"stages": list(stages), "from": "seals", "versions": found}
        for text, stages in made.items()
        if (found := _versions(text))
    ]
    if unknown := [stage for stage in there if stage not in known]:
        listed.append({"stages": unknown, "from": "this environment", "versions": versions()})
    return {
        "study": plan.study.name,
        "digest": plan.study_digest,
        "md_seeds": _seeds(plan),
        "inputs": [{"name": Path(file).name, "sha256": content(Path(file))} for file in inputs(plan)],
        "made_with": listed,
    }


def flat(facts: dict[str, Any]) -> dict[str, str]:
    """The facts as text by name, for formats that hold no more; what has a structure as JSON."""
    return {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}


def inputs(plan: Plan) -> list[str]:
    """The files that the study names: crystal, potential, structures, micrographs, and the index of a model."""
    from persistem.model import bundle

    study = plan.study
    simulated = [] if study.structures else [study.material.file, str(potential_path(study.potential.file))]
    named = [*simulated, *(one.path for one in study.structures), *(one.path for one in study.micrographs)]
    if study.map_with is not None:
        named += [str(Path(study.map_with, name)) for name in bundle.FILES]
    return list(dict.fromkeys(file for file in named if file is not None))


def parts(plan: Plan) -> dict[tuple[str, str], set[str]]:
    """What of every stage and digest is of the study: names in its folder without suffixes, none where all of it is.

    Studies share a digest, whose folder then has other specimens, or defoci, besides.
    """
    found: dict[tuple[str, str], set[str]] = {(stage, d): set() for stage, of in plan.steps.items() for d in of}
    for one in plan.plans:
        for name in one.specimens:
            found["specimens", one.digest("specimens", name)].add(name)
        for name in one.members:
            found.get(("prepared", one.digest("prepared", name)), set()).add(name)
            found["exit_waves", one.digest("exit_waves", name)].add(name)
            below = ("crops", "diagrams", "persistence_images")
            for stage, recipe in [("micrographs", ""), *((stage, r) for r in one.recipes for stage in below)]:
                found[stage, one.digest(stage, name, recipe)].update(f"{name}/{defocus}" for defocus in one.defoci)
    for file in (file for of in plan.steps.values() for step in of.values() for file in paths.files_in(step.settings)):
        _, stage, digest, *inside = Path(file).parts
        if "{specimen}" in paths.FILES.get(stage, "") and (stage, digest) in found:
            found[stage, digest].add(str(Path(*inside[:-1], inside[-1].split(".")[0])))
    return found


def sealed(plan: Plan, root: Path = Path()) -> dict[str, dict[str, Any] | None]:
    """The seal of every file that the study stands on and that has one, by path; None where it is damaged."""
    return {path: seals.read(root / path) for path, _ in _seals(plan, root)}


def stamped(name: str, content: bytes, facts: dict[str, Any]) -> bytes:
    """The content of a published file with the facts in it: PNG, PDF, JSON, HTML; of other kinds as it is.

    Nothing that is drawn is encoded again.
    """
    suffix = Path(name).suffix
    if suffix == ".json":
        about = json.loads(content) | {KEY: facts}
        return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()
    named = {f"{PREFIX}{key}": value for key, value in flat(facts).items()}
    if suffix == ".png":
        end = len(PNG) + 25  # signature and header, after which text may stand
        return content[:end] + b"".join(_chunk(*item) for item in named.items()) + content[end:]
    if suffix == ".pdf":
        return _with_information(content, named)
    if suffix == ".html":
        tags = [f'<meta name="{key}" content="{html.escape(value)}">\n' for key, value in named.items()]
        return content.replace(CHARSET, CHARSET + "".join(tags).encode(), 1)
    return content


def _seeds(plan: Plan) -> list[int]:
    simulated = {s.seed for one in plan.plans for s in one.specimens.values() if s.structure is None}
    melts = {seed for melt in (plan.study.truth.melts if plan.study.truth else ()) for seed in melt.seeds}
    return sorted(simulated | melts)


def _seals(plan: Plan, root: Path) -> Iterator[tuple[str, str]]:
    """Every file that the study stands on and that has a seal, relative to ``root``, and where its seal is."""
    for (stage, digest), names in parts(plan).items():
        folder = f"{root / paths.RESULTS}/seals/{stage}/{digest}/"
        for file in sorted(_files(folder)):
            inside = file.removeprefix(folder).removesuffix(".json")
            if not names or inside == "stage.yaml" or names.intersection(_names(inside)):
                yield f"{paths.RESULTS}/{stage}/{digest}/{inside}", file


def _versions(text: str) -> dict[str, str] | None:
    """The versions at the end of a seal; None where it is damaged."""
    try:
        found: dict[str, str] = json.loads(text.strip().removesuffix("}"))
    except ValueError:
        return None
    return found


def _files(folder: str) -> Iterator[str]:
    for here, _, names in os.walk(folder):
        yield from (os.path.join(here, name) for name in names if not name.startswith("."))  # noqa: PTH118


def _names(inside: str) -> tuple[str, str]:
    """The specimen of a file in the folder of a digest, and with its defocus."""
    first, _, rest = inside.partition("/")
    specimen = first.split(".")[0]
    return specimen, f"{specimen}/{rest.split('/')[0].split('.')[0]}"


def _chunk(key: str, text: str) -> bytes:
    """A text chunk of a PNG (https://www.w3.org/TR/png-3/#11tEXt); JSON is ASCII."""
    data = b"tEXt" + key.encode("latin-1") + b"\0" + text.encode("latin-1", "backslashreplace")
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def _with_information(document: bytes, named: dict[str, str]) -> bytes:
    """A PDF with more document information, which is appended: what is there keeps its bytes."""
    from pypdf import PdfWriter

    writer = PdfWriter(io.BytesIO(document), incremental=True)
    writer.add_metadata({f"/{key}": value for key, value in named.items()})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
