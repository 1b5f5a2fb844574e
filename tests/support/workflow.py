"""Runs of the whole workflow, through Snakemake in a process of its own; each study runs once for all processes."""

import copy
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from persistem.plan.plan import Plan
from persistem.report.figures import EVALUATION_FIGURES, FIGURES
from persistem.store import paths
from persistem.study.load import make_study

from support.shared import once
from support.studies import ROOT, TINY, changed

#: 216 atoms, one seed, one defocus.
SILICON = {
    "name": "silicon",
    "material": {
        "crystal": {"formula": "Si", "structure": "diamond", "a": 5.431, "c": None, "cubic": True},
        "repetitions": [3, 3, 3],
        "species": ["Si"],
        "radii": {"Si": 1.1},
    },
    "potential": {"pair_style": "sw", "file": "Si.sw"},
    "md": {
        "series": [{"temperatures": [4000], "seeds": [1]}],
        "steps": 200,
        "segment_steps": 100,
        "thermo_every": 20,
        "temperature_tolerance": 5.0,
        "ranks": 1,
        "rt": {"steps": 200},
    },
    "states": {"liquid": {"temperature": 4000, "rt": False}, "quenched": {"temperature": 4000, "rt": True}},
    "imaging": changed(TINY, "imaging.defoci", [0])["imaging"],
    "crops": TINY["crops"],
    "features": TINY["features"],
    "learning": TINY["learning"],
}

#: The tiny study with a third seed, one defocus and an evaluation.
EVALUATED = copy.deepcopy(TINY) | {
    "name": "evaluated",
    "md": TINY["md"] | {"series": [{"temperatures": [6000], "seeds": [1, 2, 3]}]},
    "imaging": TINY["imaging"] | {"defoci": [0]},
    "evaluation": {
        "describing": {"detector": {"binning": 2}, "sizes": [64, 128], "images": {}},
        "rows": [
            {"name": "standard deviation", "task": "absolute", "blocks": [["contrast"]], "main": True},
            {"name": "spectrum", "task": "contrast removed", "blocks": [["spectrum"]], "main": True},
            {"name": "persistence", "task": "contrast removed", "blocks": [["statistics"], ["betti"]], "main": True},
        ],
        "multiverse": {"factors": [{"question": "C", "answers": [{"answer": "1", "settings": {"learning.C": 1.0}}]}]},
        "controls": [
            {"name": "as simulated"},
            {"name": "thin", "states": {"amorphous": {"imaging.thickness": 8.0}}},
        ],
        "sweeps": [
            {
                "name": "crop",
                "title": "Crop size",
                "axis": "side (px)",
                "key": "evaluation.describing.sizes",
                "values": [[64], [32]],
            },
        ],
    },
}

#: The targets of an evaluation.
PARTS = ("evaluation", "multiverse", "controlled", "robustness")
PLAN = Plan(make_study(TINY))


def snakemake(folder, *arguments, study=None, snakefile=ROOT / "Snakefile", status=0):
    """Run Snakemake in ``folder``, with a study file in it; all that it says, or where it fails what a user sees."""
    if study is not None:
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        arguments = [*arguments, "--configfile", "study.yaml"]
    command = [sys.executable, "-m", "snakemake", "-s", str(snakefile), "--cores", "2", "--nocolor", *arguments]
    command += [] if status else ["--verbose"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800)
    text = done.stdout + done.stderr
    assert done.returncode == status, text[-6000:]
    return text


def ran(text):
    """How many jobs of each rule a run had, by the table it prints; none where nothing is to be done."""
    if "Nothing to be done" in text:
        return {}
    table = text[text.index("Job stats:") :].split("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M) if name != "total"}


def path(stage, specimen="", defocus="", plan=PLAN):
    """The path of a stage's file."""
    if stage == "learning":
        return paths.path(stage, plan.learning["paper"])
    recipe = "" if stage in {"specimens", "exit_waves", "micrographs"} else "paper"
    return paths.path(stage, plan.digest(stage, specimen, recipe), specimen, defocus)


def copied(folder, to, *without):
    """A copy of a study's folder, time stamps and all, but for what Snakemake remembers and for some names."""
    return shutil.copytree(folder, to, ignore=shutil.ignore_patterns(".snakemake", *without), dirs_exist_ok=True)


def contents(folder):
    """Every result by its path, without what says how long it took and without LAMMPS' restart files."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted((folder / "results").rglob("*"))
        if file.is_file()
        and not {"logs", "benchmarks", ".runs"} & set(file.relative_to(folder).parts)
        and file.suffix != ".restart"
    }


def same(folder, other, but=()):
    """Whether two folders hold the same results, byte for byte, apart from those whose names have a part of ``but``."""
    found, expected = (
        {k: v for k, v in contents(f).items() if not any(part in k for part in but)} for f in (folder, other)
    )
    assert found.keys() == expected.keys()
    # names alone: pytest would take minutes to show a difference
    assert [name for name in found if found[name] != expected[name]] == []


# the folders below are everybody's: a test that changes something changes a copy


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """A folder in which the tiny study has run."""

    def make(folder):
        assert sum(ran(snakemake(folder, study=TINY)).values()) == 43

    return once(tmp_path_factory, "first", make)


@pytest.fixture(scope="session")
def reported(first, tmp_path_factory):
    """A copy of the finished study with its figures and report."""

    def make(folder):
        jobs = ran(snakemake(copied(first, folder), "report", study=TINY))
        assert jobs.keys() == {
            "state_checks", "diagram_3d", "optimal_volumes", "weights", "inverse", "figure", "report_page",
            "publish_report", "report",
        }  # fmt: skip
        assert jobs["figure"] == len(FIGURES)

    return once(tmp_path_factory, "reported", make)


@pytest.fixture(scope="session")
def evaluated(first, tmp_path_factory):
    """A study with all that its evaluation says, and its figures; it starts from what it shares with the tiny study."""

    def make(folder):
        copied(first, folder, "tiny")
        figures = [Plan(make_study(EVALUATED)).report.figures[name] for name in EVALUATION_FIGURES]
        jobs = ran(snakemake(folder, *PARTS, *figures, study=EVALUATED))
        assert jobs["heating"] == 1 and jobs["exit_wave"] == 2 + 3, "seed 3, and the thin ones"

    return once(tmp_path_factory, "evaluated", make)


@pytest.fixture(scope="session")
def as_module(tmp_path_factory):
    """A workflow of somebody else's that takes this one as a module, and has one rule of its own.

    The silicon study has run in it: the prefix holds every result, and the outer workflow's config is not the study.
    """

    def make(folder):
        outer(folder, prefix="inner")
        (folder / "outer.yaml").write_text("colour: blue\n")
        snakemake(folder, "mine", "--configfile", "outer.yaml", snakefile=folder / "Snakefile")

    return once(tmp_path_factory, "module", make)


@pytest.fixture(scope="session")
def silicon(as_module, tmp_path_factory):
    """The folder in which the silicon study has run, and its file."""
    return as_module / "inner"


def outer(folder, prefix=""):
    """Write a workflow that takes this one as a module, with the silicon study."""
    (folder / "Snakefile").write_text(f"""
module persistem:
    snakefile: {str(ROOT / "Snakefile")!r}
    config: {SILICON!r}
    {f"prefix: {prefix!r}" if prefix else ""}

use rule * from persistem as persistem_*

rule mine:
    input: rules.persistem_publish.output.accuracy
    output: "mine.txt"
    shell: "cp {{input}} {{output}}"
""")
    return folder / "Snakefile"
