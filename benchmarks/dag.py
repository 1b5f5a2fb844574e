"""The CPU time of ``snakemake -n`` for a study of many specimens, against a bare workflow of the same shape.

The bare Snakefile has the same chain of rules and as many jobs, but no settings, digests, logs, benchmarks or
resources: what Snakemake itself takes to resolve that many jobs. CPU time, so that other work on the machine counts
little. Nothing is computed.

``--sizes`` measures instead how the cost grows: ``snakemake -n`` of studies of about so many jobs, a run of all of
them by Snakemake's touch executor, which schedules and does nothing, and a run of the bare workflow, which starts a
shell for each. It writes docs/scale.md, docs/scale.json and docs/figures/dag.png.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import ROOT, SNAKEMAKE, Child, median, ratio, run, table

WORKFLOW = ["--cores", "2", "--snakefile", ROOT / "Snakefile", "--configfile", "dag.yaml"]
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


#: What ``snakemake -n`` may take at the largest size.
MOST_SECONDS, MOST_GIB, LARGEST = 60.0, 2.0, 10_000
#: Beyond so many jobs no shells are started.
MOST_SHELLS = 400
JOBS_OF_A_SEED = 2 * (2 + 4 * len(DEFOCI))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="seeds; two states and nine defoci of each (100)")
    parser.add_argument("--repeat", type=int, default=3, help="times that both run, in turn (3)")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="JOBS", help="numbers of jobs, e.g. 100 1000 10000")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the record (docs/)")
    options = parser.parse_args()
    if options.sizes:
        measured = [measure(max(1, round(size / JOBS_OF_A_SEED)), options.repeat) for size in options.sizes]
        (options.docs / "scale.json").write_text(json.dumps(measured, indent=1) + "\n")
        (options.docs / "scale.md").write_text(record(measured))
        draw(measured, options.docs / "figures" / "dag.png")
        print((options.docs / "scale.md").read_text())
    else:
        compare(options.seeds, options.repeat)


def compare(seeds: int, repeat: int) -> None:
    """``snakemake -n`` of this workflow and of the bare one, in turn."""
    with tempfile.TemporaryDirectory() as scratch:
        ours, bare = folders(Path(scratch), seeds)
        a: list[Child] = []
        b: list[Child] = []
        for _ in range(repeat):
            a.append(run([*SNAKEMAKE, "-n", *WORKFLOW], ours, ours / "log"))
            b.append(run([*SNAKEMAKE, "-n", "--cores", "2"], bare, bare / "log"))
    if (jobs := jobs_of(a[0])) != jobs_of(b[0]):
        raise SystemExit(f"not the same shape: {jobs} and {jobs_of(b[0])} jobs")
    rows: list[list[object]] = [["snakemake -n", "jobs", "CPU, s", "wall, s", "peak, GiB"]]
    for name, of in (("this workflow", a), ("bare workflow", b)):
        rows.append([name, jobs, *(median(getattr(c, key) for c in of) for key in ("cpu", "wall", "peak"))])
    table(rows)
    print(f"ratio of CPU times, target at most 2: {ratio([c.cpu for c in a], [c.cpu for c in b])}")


def measure(seeds: int, repeat: int) -> dict[str, Any]:
    """Medians of a size: CPU, wall (s), peak (GiB) of ``-n``, of a run that does nothing, of one of bare shells."""
    with tempfile.TemporaryDirectory() as scratch:
        ours, bare = folders(Path(scratch), seeds)
        dry = [run([*SNAKEMAKE, "-n", *WORKFLOW], ours, ours / "log") for _ in range(repeat)]
        jobs = jobs_of(dry[0])
        children = {
            "dry_run": dry,
            "touch": [run([*SNAKEMAKE, "--touch", *WORKFLOW], ours, ours / "log")],
            "bare_touch": [run([*SNAKEMAKE, "--touch", "--cores", "2"], bare, bare / "log")],
        }
        if jobs <= MOST_SHELLS:
            # a run by the touch executor leaves no files, so everything is still to be made
            children["shells"] = [run([*SNAKEMAKE, "--cores", "2"], bare, bare / "log")]
    keys = ("cpu", "wall", "peak")
    medians = {name: {key: median(getattr(c, key) for c in of) for key in keys} for name, of in children.items()}
    print(jobs, medians, flush=True)
    return {"jobs": jobs, **medians}


def folders(scratch: Path, seeds: int) -> tuple[Path, Path]:
    """A folder with a study of some seeds, and one with the bare Snakefile of as many jobs."""
    study = {
        "name": "dag",
        "md": {"series": [{"temperatures": [6000], "seeds": list(range(1, seeds + 1))}]},
        "imaging": {"defoci": DEFOCI},
        "features": {"paper": {}},
    }
    ours, bare = scratch / "ours", scratch / "bare"
    for folder in (ours, bare):
        folder.mkdir()
    (ours / "dag.yaml").write_text(json.dumps(study))
    (bare / "Snakefile").write_text(BARE.format(seeds=seeds, defoci=DEFOCI))
    return ours, bare


def slope(measured: list[dict[str, Any]], of: str, key: str) -> float:
    """The increase per job, by least squares over all sizes."""
    jobs, values = [m["jobs"] for m in measured if of in m], [m[of][key] for m in measured if of in m]
    return statistics.linear_regression(jobs, values).slope if len(jobs) > 1 else float("nan")


def record(measured: list[dict[str, Any]]) -> str:
    """The record in Markdown."""
    lines = [
        "# What thousands of jobs cost Snakemake",
        "",
        *costs(measured),
        "",
        "![CPU time and memory against the number of jobs](figures/dag.png)",
        "",
        f"Measured on {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, by",
        "",
        f"    .venv/bin/python benchmarks/dag.py --sizes {' '.join(str(m['jobs']) for m in measured)}",
        "",
        "which writes this page. Compare CPU time: wall time depends on what else the machine does.",
        "",
        "- The study has two states and nine defoci of each seed; more seeds are more jobs.",
        "- A run that does nothing is one by Snakemake's touch executor: scheduling, and checks of what was made.",
        "- The bare workflow has the same rules and none of this workflow's settings, digests and logs; its shells only"
        " touch a file.",
        "",
        "| jobs | `snakemake -n`: CPU, s | wall, s | peak, GiB | run that does nothing: CPU, s | wall, s | peak, GiB"
        " | the same, bare: CPU, s | bare, shells: CPU, s | wall, s |",
        "| ---: " * 10 + "|",
    ]
    columns = [(name, key) for name in ("dry_run", "touch") for key in ("cpu", "wall", "peak")]
    columns += [("bare_touch", "cpu"), ("shells", "cpu"), ("shells", "wall")]
    for m in measured:
        cells = [f"{m[name][key]:.{1 + (key == 'peak')}f}" if name in m else "" for name, key in columns]
        lines.append(f"| {m['jobs']:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def costs(measured: list[dict[str, Any]]) -> list[str]:
    """What a job costs, and the largest study beside its targets, as a list."""
    last = measured[-1]
    return [
        f"- With {last['jobs']:,} jobs, `snakemake -n` takes {last['dry_run']['cpu']:.0f} s of CPU,"
        f" {last['dry_run']['wall']:.0f} s of wall time and {last['dry_run']['peak']:.2f} GiB. The targets for"
        f" {LARGEST:,} jobs are {MOST_SECONDS:g} s and {MOST_GIB:g} GiB.",
        f"- One job more costs {1e3 * slope(measured, 'dry_run', 'cpu'):.1f} ms of CPU in `snakemake -n` (slope over"
        f" all sizes), {1e3 * slope(measured, 'touch', 'cpu'):.1f} ms in a run that does nothing, and"
        f" {1e3 * slope(measured, 'bare_touch', 'cpu'):.1f} ms in such a run of the bare workflow.",
        f"- To start a shell for a job and to wait for it: {1e3 * slope(measured, 'shells', 'cpu'):.0f} ms of CPU and"
        f" {1e3 * slope(measured, 'shells', 'wall'):.0f} ms of wall time.",
    ]


def draw(measured: list[dict[str, Any]], out: Path) -> None:
    """CPU time and peak memory against the number of jobs, with a linear slope and the targets."""
    import matplotlib.pyplot as plt

    sys.path.insert(0, str(ROOT / "workflow" / "src"))
    from persistem.report.figures.drawing import COLOURS, DPI, PAGE, lettered, style

    names = {
        "dry_run": "snakemake -n",
        "touch": "run that does nothing",
        "bare_touch": "the same, bare workflow",
        "shells": "bare workflow, shells",
    }
    with style():
        figure, (seconds, memory) = plt.subplots(1, 2, figsize=(PAGE, 0.48 * PAGE))
        for (name, label), colour in zip(names.items(), COLOURS, strict=False):
            of = [m for m in measured if name in m]
            jobs = [m["jobs"] for m in of]
            seconds.plot(jobs, [m[name]["cpu"] for m in of], "o-", color=colour, markersize=3, label=label)
            if name in ("dry_run", "touch"):
                memory.plot(jobs, [m[name]["peak"] for m in of], "o-", color=colour, markersize=3, label=label)
        ends = [measured[0]["jobs"], measured[-1]["jobs"]]
        at = measured[-1]["dry_run"]["cpu"] / ends[1]
        seconds.plot(ends, [at * n for n in ends], ":", color="0.5", label="linear")
        for axes, target, what in ((seconds, MOST_SECONDS, "CPU time / s"), (memory, MOST_GIB, "peak memory / GiB")):
            axes.plot([LARGEST], [target], "v", color="black", markersize=5, label="target of snakemake -n", zorder=3)
            axes.set(xscale="log", xlabel="jobs", ylabel=what)
            axes.xaxis.set_major_formatter("{x:,.0f}")
        seconds.set_yscale("log")
        seconds.yaxis.set_major_formatter("{x:g}")
        memory.set_ylim(0, 1.1 * MOST_GIB)
        lettered(seconds, "a")
        lettered(memory, "b")
        handles, labels = seconds.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.savefig(out, dpi=DPI, metadata={"Software": None})


def jobs_of(child: Child) -> int:
    """The number of jobs in Snakemake's table of them."""
    return int(re.findall(r"^total +(\d+)\b", child.text, re.M)[-1])


if __name__ == "__main__":
    main()
