"""What jobs are expected to take and ask of a cluster, beside what they used, in the folder of a finished study.

By stage: jobs, the seconds of the median job, measured and expected; the time and memory of the largest (Snakemake's
benchmarks), what is asked for it, and the largest part of what is asked that a job used. Memory must stay below 1; time
has to allow for slower nodes, so at most 1/2.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from measure import ROOT, median, table

sys.path.insert(0, str(ROOT / "workflow/src"))
from persistem.plan import resources
from persistem.plan.plan import Plan
from persistem.store import paths
from persistem.study.load import load_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="study file")
    parser.add_argument("--root", type=Path, required=True, help="folder that holds results/ of the finished study")
    options = parser.parse_args()
    plan = Plan(load_study(options.study))
    head = [
        "stage",
        "jobs",
        "wall s, median",
        "expected s",
        "CPU s, most",
        "wall s, most",
        "asked min",
        "time used",
        "MB, most",
        "asked MB",
        "memory used",
    ]
    rows: list[list[object]] = [head]
    for stage, steps in plan.steps.items():
        jobs = []
        for digest in steps:
            work = resources.work(plan, stage, digest)
            asked = resources.asked(work)
            for file in (options.root / paths.RESULTS / "benchmarks" / stage / digest).rglob("*.tsv"):
                with open(file, newline="") as lines:
                    for row in csv.DictReader(lines, delimiter="\t"):
                        if row["max_rss"] not in ("-", "NA") and row["cpu_time"] not in ("-", "NA"):
                            used = (float(row["cpu_time"]), float(row["s"]), float(row["max_rss"]))
                            jobs.append((*used, asked, work.seconds))
        if jobs:
            cpu, memory = (
                max(jobs, key=lambda job: job[0] / job[3].runtime),
                max(jobs, key=lambda j: j[2] / j[3].mem_mb),
            )
            wall = max(job[1] for job in jobs)
            typical = [f"{median(job[k] for job in jobs):.1f}" for k in (1, 4)]
            time = [f"{cpu[0]:.1f}", f"{wall:.1f}", cpu[3].runtime, f"{cpu[0] / 60 / cpu[3].runtime:.2f}"]
            size = [round(memory[2]), memory[3].mem_mb, f"{memory[2] / memory[3].mem_mb:.2f}"]
            rows.append([stage, len(jobs), *typical, *time, *size])
    table(rows)


if __name__ == "__main__":
    main()
