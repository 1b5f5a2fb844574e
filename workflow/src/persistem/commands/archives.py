"""The verbs of archives: a finished study as one file, and whether files are what was written.

The first line of each docstring is the verb's help.
"""

from __future__ import annotations

from pathlib import Path


def archive(study: str, root: Path, out: Path) -> None:
    """pack a finished study into a zip that others can verify and run again (Workflow RO-Crate)"""
    from persistem.commands.stages import plan_of
    from persistem.publication.archive import archive
    from persistem.publication.crate import targets

    plan = plan_of(study)
    file = "STUDY.yaml" if study.lstrip().startswith("{") else study
    numbers = archive(plan, root, out, f"snakemake --cores 2 {targets(plan)} --configfile {file}")
    print(f"{out}: {', '.join(f'{number} {what}' for what, number in numbers.items())}")


def verify(folder: Path) -> None:
    """check an unpacked archive, what was made again in it, or a results folder against checksums and seals"""
    from persistem.publication.verify import verify

    print(verify(folder))
