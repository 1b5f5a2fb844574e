"""The evaluation of a study from its finished specimens: exit waves, micrographs, descriptors, nested cross-validation.

``--root`` is a folder that holds the specimens of ``--study``. They are linked into a temporary folder beside it, in
which ``snakemake evaluation`` makes everything else.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from pathlib import Path

from measure import ROOT, SNAKEMAKE, run, table
from persistem.store import paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds results/")
    parser.add_argument("--study", type=Path, default=ROOT / "config/extended.yaml", help="a study with an evaluation")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.root.resolve()) as name:  # links do not leave a file system
        folder = Path(name)
        results = folder / paths.RESULTS
        shutil.copytree(options.root / paths.RESULTS / "specimens", results / "specimens", copy_function=link)
        command = [*SNAKEMAKE, "-s", ROOT / "Snakefile", "--profile", ROOT / "profiles/default", "--cores", "2"]
        command += ["evaluation", "--configfile", options.study.resolve()]
        child = run(command, folder, folder / "evaluation.log")
        peaks = {stage: peak(results / "benchmarks" / stage) for stage in paths.STAGES}
    rows: list[list[object]] = [["", "measured"], ["snakemake evaluation, wall min", child.wall / 60]]
    rows += [["CPU min", child.cpu / 60]]
    rows += [[f"{stage}, largest GiB", value] for stage, value in peaks.items() if value]
    table(rows)


def link(source: str, destination: str) -> None:
    Path(destination).hardlink_to(source)


def peak(folder: Path) -> float:
    """The largest resident memory of a stage's jobs (GiB), as Snakemake's benchmarks have it."""
    lines = [line for file in folder.rglob("*.tsv") for line in csv.DictReader(file.open(), delimiter="\t")]
    return max((float(line["max_rss"]) / 1024 for line in lines), default=0.0)


if __name__ == "__main__":
    main()
