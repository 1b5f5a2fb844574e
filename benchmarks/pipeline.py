"""Everything after molecular dynamics, for 288 crops: the workflow on two cores against one process written by hand.

Two specimens, nine defoci, 16 crops of the paper's size in each micrograph, one recipe, the paper's random split.
`by_hand.py` computes the same, and this script stops where the accuracies differ. Both start from two structure files.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import tempfile
from pathlib import Path

import yaml
from measure import BIN, ROOT, SNAKEMAKE, Child, median, ratio, run, table

#: Seconds instead of minutes, to see that the script works: 16 crops.
SMALL = {
    "imaging": {"field": 12.5, "thickness": 10.0, "pixels": 256, "margin": 2.5, "defoci": [-100, 0]},
    "crops": {"size": 128, "stride": 128},
}
STAGES = ("specimens", "exit_waves", "micrographs", "crops", "diagrams", "persistence_images", "learning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--specimens",
        type=Path,
        nargs=2,
        required=True,
        metavar=("AMORPHOUS", "LIQUID"),
        help="structure files; of LAMMPS data type 1 is Ga and type 2 is N",
    )
    parser.add_argument("--workdir", type=Path, help="an empty or new folder to keep, for relearn.py")
    parser.add_argument("--cores", type=int, default=2, help="cores of the workflow (2)")
    parser.add_argument("--repeat", type=int, default=2, help="times that both run, in turn (2)")
    parser.add_argument("--small", action="store_true", help="16 small crops, to see that this script works")
    options = parser.parse_args()
    if options.workdir and options.workdir.exists() and any(options.workdir.iterdir()):
        parser.error(f"--workdir {options.workdir}: not empty")
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.workdir or Path(scratch, "study")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        structures = [
            {"path": str(path.resolve()), "state": state, "seed": 1, "types": {1: "Ga", 2: "N"}}
            for path, state in zip(options.specimens, ("amorphous", "liquid"), strict=True)
        ]
        study = {"structures": structures, "features": {"paper": {}}, **(SMALL if options.small else {})}
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        a: list[Child] = []
        b: list[Child] = []
        for _ in range(options.repeat):
            for made in ("results", ".snakemake"):
                shutil.rmtree(folder / made, ignore_errors=True)
            command = [*SNAKEMAKE, "--snakefile", ROOT / "Snakefile", "--configfile", "pipeline.yaml"]
            a.append(run([*command, "--cores", str(options.cores)], folder, Path(scratch, "workflow.log")))
            script = [BIN / "python", ROOT / "benchmarks" / "by_hand.py", "pipeline.yaml"]
            b.append(run([*script, Path(scratch, "accuracy.csv")], folder, Path(scratch, "by_hand.log")))
        compare(folder / "results/pipeline/tables/accuracy.csv", Path(scratch, "accuracy.csv"))
        report(folder, options.cores, a, b)


def compare(workflow: Path, by_hand: Path) -> None:
    """Stop unless both accuracy tables say the same of the random split."""
    rows = [[row for row in csv.DictReader(path.open()) if row["split"] == "random"] for path in (workflow, by_hand)]
    if not rows[0] or rows[0] != rows[1]:
        differ = [f"{x}\n{y}" for x, y in zip(*rows, strict=False) if x != y]
        few = "\n".join(differ[:5]) or f"{len(rows[0])} and {len(rows[1])} rows"
        raise SystemExit(f"the accuracies differ in {len(differ)} rows; workflow and by hand:\n{few}")
    shown = [r for r in rows[0] if r["training"] == "pooled" and r["foci"] == "all" and r["degrees"] == "0+1"]
    text = ", ".join(f"{r['model']} {float(r['accuracy']):.3f}" for r in shown)
    print(f"accuracies: all {len(rows[0])} of the random split equal ({text} with both degrees, all foci)\n")


def report(folder: Path, cores: int, a: list[Child], b: list[Child]) -> None:
    jobs = re.findall(r"^(\d+) jobs in ", a[0].text, re.M)[-1]
    crops = re.findall(r"^crops (\d+)$", b[0].text, re.M)[-1]
    print(f"{crops} crops, medians of {len(a)}\n")
    rows: list[list[object]] = [["", "jobs", "wall, s", "CPU, s", "largest process, GiB"]]
    for name, count, of in ((f"snakemake --cores {cores}", jobs, a), ("by hand, one process", "", b)):
        rows.append([name, count, *(median(getattr(c, key) for c in of) for key in ("wall", "cpu"))])
        rows[-1].append(max(c.peak for c in of))
    table(rows)
    print(f"wall, target at most 1.3:            {ratio([c.wall for c in a], [c.wall for c in b])}")
    print(f"CPU, target at most 1.5:             {ratio([c.cpu for c in a], [c.cpu for c in b])}")
    print(f"memory of a job, target below 4 GiB: {max(c.peak for c in a):.2f} GiB\n")
    last = {stage: float(s) for stage, s in re.findall(r"^stage (\w+) ([\d.]+)$", b[-1].text, re.M)}
    rows = [["stage (last run)", "jobs", "s a job", "s in all", "CPU, s", "peak, GiB", "by hand, s"]]
    busy = 0.0
    for stage in STAGES:
        found = [benchmark(file) for file in sorted((folder / "results/benchmarks" / stage).rglob("*.tsv"))]
        seconds = sum(f["s"] for f in found)
        busy += seconds
        peak = max((f["max_rss"] for f in found), key=lambda x: (x == x, x)) / 1024  # the largest that is not nan
        row = [stage, len(found), seconds / len(found), seconds, sum(f["cpu_time"] for f in found), peak]
        rows.append([*row, last[stage]])
    rows.append(["imports", "", "", "", "", "", last["import"]])
    table(rows)
    print(
        f"jobs occupied {busy / a[-1].wall / cores:.0%} of {cores} cores. Snakemake samples CPU and memory and misses\n"
        "the end of a job (nan: all of it); what the operating system counted is in the first table."
    )


def benchmark(file: Path) -> dict[str, float]:
    """The one row of one of Snakemake's benchmark tables; what it could not sample is nan."""
    with file.open(newline="") as lines:
        row = next(csv.DictReader(lines, delimiter="\t"))
    found = {key: row[key] for key in ("s", "max_rss", "cpu_time")}
    return {key: float(value) if re.fullmatch(r"[\d.]+", value) else float("nan") for key, value in found.items()}


if __name__ == "__main__":
    main()
