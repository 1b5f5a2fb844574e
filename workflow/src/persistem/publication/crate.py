"""What an archive says about itself: the metadata of a Workflow RO-Crate, and how to run its study again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from persistem.plan.plan import Plan
from persistem.store import environment, paths

#: The workflow in an archive.
WORKFLOW = (
    "Snakefile",
    "Makefile",
    "README.md",
    "LICENSE",
    "CITATION.cff",
    "pyproject.toml",
    "setup.py",
    "requirements.lock",
)
FOLDERS = ("workflow", "config", "profiles", "envs")
#: Stages of molecular dynamics or of a user's files: they are expensive, or cannot be made again.
KEPT = ("specimens", "prepared", "melts")
#: Checksums of all files; seals of all results; the study with every setting; how to run it again.
MANIFEST, SEALS, STUDY, INSTRUCTIONS = "manifest-sha256.txt", "seals/seals.json", "study.yaml", "RUN.md"
METADATA = "ro-crate-metadata.json"
LICENSE = "https://spdx.org/licenses/GPL-3.0-or-later"
ENCODING = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".yaml": "application/yaml",
}
AGAIN = """# Study {name}, digest {digest}

A Workflow RO-Crate (`{metadata}`): the workflow (`Snakefile`, `workflow/`), the study with every setting (`{study}`),
what it shows (`results/{name}/`), its finished specimens (`results/specimens/`) or own files, and the checksums of
every result in between (`{seals}`). Checksums of all files: `{manifest}`, also for `sha256sum --check {manifest}`.

Python 3.11 to 3.13, Linux. In this folder:

```sh
make install                                                      # the locked versions, into .venv
.venv/bin/persistem verify .                                      # is everything what was archived?
.venv/bin/snakemake --cores 2 {targets} --configfile {study}    # makes the rest again, from these on
.venv/bin/persistem verify .                                      # and is it what was made then?
```

To make the specimens again too, which takes the hours of their molecular dynamics, remove `results/specimens`,
`results/prepared`, `results/melts` and `results/seals` before.

The same versions on the same kind of processor give the same bytes, but for: the report's page, its timings and date;
a random name and last digits in HomCloud's `.pdgm` files; LAMMPS' restart files. Other versions, and other processors,
can change the last digits of any result, and molecular dynamics is chaotic: on another processor, or with another
number of MPI ranks, a trajectory is another one with the same statistics. `persistem verify` lists what differs.
"""


def instructions(plan: Plan) -> str:
    """How to verify the archive and run its study again."""
    return AGAIN.format(
        name=plan.study.name,
        digest=plan.study_digest,
        metadata=METADATA,
        study=STUDY,
        seals=SEALS,
        manifest=MANIFEST,
        targets=targets(plan),
    )


def targets(plan: Plan) -> str:
    """The targets that make everything a study shows."""
    if plan.study.labelled_alone:
        return "all"
    return "report truth" if plan.trial.judged else "report"


def metadata(plan: Plan, sums: dict[str, str], sizes: dict[str, int], date: str) -> dict[str, Any]:
    """The JSON-LD of a crate of files with checksums and sizes; ``date`` is the date of the study's report.

    It describes the files of the workflow and of the specimens by folder, the others one by one.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    name = plan.study.name
    crate = ROCrate(version="1.1")
    crate.name, crate.datePublished = f"PersisTEM study {name}", date
    crate.description = (
        f"Study {name}, digest {plan.study_digest}: states of matter in TEM images by persistent homology. The"
        " workflow, the study's tables, figures and report, its specimens, and checksums of all results in between."
    )
    crate.license = crate.add(ContextEntity(crate, LICENSE, {"@type": "CreativeWork", "name": "GPL-3.0-or-later"}))
    version = environment.versions().get("persistem", "")
    properties = {"name": "PersisTEM", "license": {"@id": LICENSE}, "version": version}
    workflow = crate.add_workflow(dest_path="Snakefile", main=True, lang="snakemake", properties=properties)
    workflow["sha256"], workflow["contentSize"] = sums["Snakefile"], str(sizes["Snakefile"])
    folders = {f"{folder}/": f"{folder} of the workflow" for folder in FOLDERS}
    folders |= {f"{paths.RESULTS}/{stage}/": f"{stage}, finished" for stage in KEPT}
    folders |= {f"{paths.RESULTS}/seals/": "seals of the specimens"}
    for folder, title in folders.items():
        if any(file.startswith(folder) for file in sums):
            crate.add_dataset(dest_path=folder, properties={"name": title})
    for file in sorted(sums):
        if file != "Snakefile" and not file.startswith(tuple(folders)):
            about = {"name": file, "sha256": sums[file], "contentSize": str(sizes[file])}
            encoding = ENCODING.get(Path(file).suffix)
            crate.add_file(dest_path=file, properties=about | ({"encodingFormat": encoding} if encoding else {}))
    shown = f"{paths.RESULTS}/{name}/"
    run = {
        "@type": "CreateAction",
        "name": f"the run of study {name}",
        "instrument": {"@id": workflow.id},
        "object": [{"@id": STUDY}],
        "result": [{"@id": file} for file in sorted(sums) if file.startswith(shown)],
    }
    crate.root_dataset["mentions"] = crate.add(ContextEntity(crate, "#run", run))
    document: dict[str, Any] = json.loads(json.dumps(crate.metadata.generate(), default=str))
    return document
