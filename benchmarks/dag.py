"""The CPU time of ``snakemake -n`` for a study of many specimens, against a bare workflow of the same shape.

The bare Snakefile has the same chain of rules and as many jobs, but no settings, digests, logs, benchmarks or
resources: what Snakemake itself takes to resolve that many jobs. CPU time, so that other work on the machine counts
little. Nothing is computed.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path

from measure import ROOT, SNAKEMAKE, Child, median, ratio, run, table

DEFOCI = [-100, -50, -25, -13, 0, 13, 25, 50, 100]

BARE = """
SEEDS, DEFOCI = range(1, {seeds} + 1), {defoci}
SPECIMENS = expand("T6000-rt{{rt}}-s{{seed}}", rt=[0, 1], seed=SEEDS)


rule all:
    input:
        "publish/index.csv",


rule heating:
    output:
        "specimens/T6000-rt0-s{{seed}}.extxyz",
    shell:
        "touch {{output}}"


rule rt_treatment:
    input:
        "specimens/T6000-rt0-s{{seed}}.extxyz",
    output:
        "specimens/T6000-rt1-s{{seed}}.extxyz",
    shell:
        "touch {{output}}"


rule exit_wave:
    input:
        "specimens/{{specimen}}.extxyz",
    output:
        "exit_waves/{{specimen}}.zarr",
    shell:
        "touch {{output}}"


rule micrograph:
    input:
        "exit_waves/{{specimen}}.zarr",
    output:
        "micrographs/{{specimen}}/{{defocus}}.tif",
    shell:
        "touch {{output}}"


rule crops:
    input:
        "micrographs/{{specimen}}/{{defocus}}.tif",
    output:
        "crops/{{specimen}}/{{defocus}}.tif",
    shell:
        "touch {{output}}"


rule crop_diagrams:
    input:
        "crops/{{specimen}}/{{defocus}}.tif",
    output:
        "diagrams/{{specimen}}/{{defocus}}.parquet",
    shell:
        "touch {{output}}"


rule persistence_image:
    input:
        "diagrams/{{specimen}}/{{defocus}}.parquet",
    output:
        "persistence_images/{{specimen}}/{{defocus}}.parquet",
    shell:
        "touch {{output}}"


rule learning:
    input:
        expand("persistence_images/{{specimen}}/{{defocus}}.parquet", specimen=SPECIMENS, defocus=DEFOCI),
    output:
        "learning/accuracy.csv",
    shell:
        "touch {{output}}"


rule publish:
    input:
        "learning/accuracy.csv",
        expand("specimens/{{specimen}}.extxyz", specimen=SPECIMENS),
    output:
        "publish/index.csv",
    shell:
        "touch {{output}}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="seeds; two states and nine defoci of each (100)")
    parser.add_argument("--repeat", type=int, default=3, help="times that both run, in turn (3)")
    options = parser.parse_args()
    study = {
        "name": "dag",
        "md": {"series": [{"temperatures": [6000], "seeds": list(range(1, options.seeds + 1))}]},
        "imaging": {"defoci": DEFOCI},
        "features": {"paper": {}},
    }
    with tempfile.TemporaryDirectory() as scratch:
        ours, bare = Path(scratch, "ours"), Path(scratch, "bare")
        for folder in (ours, bare):
            folder.mkdir()
        (ours / "dag.yaml").write_text(json.dumps(study))
        (bare / "Snakefile").write_text(BARE.format(seeds=options.seeds, defoci=DEFOCI))
        a: list[Child] = []
        b: list[Child] = []
        for _ in range(options.repeat):
            workflow = ["--snakefile", ROOT / "Snakefile", "--configfile", "dag.yaml"]
            a.append(run([*SNAKEMAKE, "-n", "--cores", "2", *workflow], ours, ours / "log"))
            b.append(run([*SNAKEMAKE, "-n", "--cores", "2"], bare, bare / "log"))
    if (jobs := jobs_of(a[0])) != jobs_of(b[0]):
        raise SystemExit(f"not the same shape: {jobs} and {jobs_of(b[0])} jobs")
    rows: list[list[object]] = [["snakemake -n", "jobs", "CPU, s", "wall, s", "peak, GiB"]]
    for name, of in (("this workflow", a), ("bare workflow", b)):
        rows.append([name, jobs, *(median(getattr(c, key) for c in of) for key in ("cpu", "wall", "peak"))])
    table(rows)
    print(f"ratio of CPU times, target at most 2: {ratio([c.cpu for c in a], [c.cpu for c in b])}")


def jobs_of(child: Child) -> int:
    """The number of jobs in Snakemake's table of them."""
    return int(re.findall(r"^total +(\d+)$", child.text, re.M)[-1])


if __name__ == "__main__":
    main()
