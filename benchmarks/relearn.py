"""How long a changed `learning.C` takes in a finished study: `snakemake`, from the command to the new table.

The study is the one that `pipeline.py --workdir` leaves. Each run takes a C that was not there before; between them
the study is set back, for which nothing has to run.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from pathlib import Path

from measure import ROOT, SNAKEMAKE, Child, median, run, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="the folder that pipeline.py left")
    parser.add_argument("--cores", type=int, default=2, help="cores (2)")
    parser.add_argument("--repeat", type=int, default=3, help="times that C is changed and set back (3)")
    options = parser.parse_args()
    folder = options.workdir.resolve()
    if not (folder / "results/pipeline/tables/accuracy.csv").exists():
        parser.error(f"--workdir {options.workdir}: no finished study; make it with pipeline.py --workdir")
    command = [*SNAKEMAKE, "--snakefile", ROOT / "Snakefile", "--configfile", "pipeline.yaml"]
    command += ["--cores", str(options.cores)]
    changed: list[Child] = []
    back: list[Child] = []
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        for _ in range(options.repeat):
            C = round(random.uniform(0.005, 0.02), 9)
            changed.append(run([*command, "--config", f"learning={{C: {C}}}"], folder, log))
            back.append(run(command, folder, log))
    rows: list[list[object]] = [["", "jobs", "wall, s", "slowest, s", "CPU, s"]]
    for name, of in (("learning.C changed", changed), ("set back", back)):
        walls = [c.wall for c in of]
        rows.append([name, jobs(of[0]), median(walls), max(walls), median(c.cpu for c in of)])
    table(rows)
    print(f"a changed learning.C, target below 20 s: {median(c.wall for c in changed):.1f} s")


def jobs(child: Child) -> str:
    """The rules that ran and how often."""
    found = re.findall(r"^(\w+) +(\d+)$", child.text, re.M)
    return ", ".join(f"{count} {rule}" for rule, count in dict(found).items() if rule not in ("total", "all")) or "none"


if __name__ == "__main__":
    main()
