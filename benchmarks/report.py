"""Every figure of a finished study and its report from cached intermediates, and how the page opens.

``--root`` is a folder in which ``snakemake report`` has run; what only the report needs (3D diagrams, optimal volumes,
weights, inverse analysis, checks, figures) is deleted there first, and everything else is kept.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from measure import ROOT, SNAKEMAKE, opening, run, table
from persistem.store import paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds results/")
    parser.add_argument("--study", type=Path, default=ROOT / "config/paper.yaml", help="study file (the paper's)")
    options = parser.parse_args()
    for stage in paths.of_part("report"):
        shutil.rmtree(options.root / paths.RESULTS / stage, ignore_errors=True)
    command = [*SNAKEMAKE, "-s", ROOT / "Snakefile", "--profile", ROOT / "profiles/default", "--cores", "2"]
    command += ["report", "--configfile", options.study.resolve()]
    child = run(command, options.root, options.root / "report-benchmark.log")
    page = options.root / paths.report(options.study.stem)
    rows: list[list[object]] = [["", "measured"], ["snakemake report, wall s", child.wall], ["CPU s", child.cpu]]
    rows += [["page, MB", page.stat().st_size / 1e6], ["page opens, s (median of 5)", opening(page)]]
    table(rows)


if __name__ == "__main__":
    main()
