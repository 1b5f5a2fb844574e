# The study and what it asks for; every rule takes its paths and settings from PLAN.

import json
import sys
from functools import cache
from pathlib import Path

from snakemake.utils import update_config

SOURCE = Path(workflow.current_basedir).parent / "src"
sys.path.insert(0, str(SOURCE))

from persistem.store import cluster
from persistem.store import environment
from persistem.store import paths
from persistem.plan import resources
from persistem.store import runs
from persistem.errors import PersistemError
from persistem.study.load import make_study, typed
from persistem.report.figures import module as figure
from persistem.plan.plan import Plan
from persistem.publication.publish import describe_digests, refresh

environment.prepare(SOURCE)
# as a module of another workflow, the study is what that workflow hands over, and the command line is not ours
ALONE = workflow.modifier.is_main_snakefile()
study_files = workflow.overwrite_configfiles if ALONE else []
if len(study_files) > 1:
    sys.exit(
        f"persistem: --configfile names {len(study_files)} studies, but a study stands alone; give one"
    )
if ALONE:
    # --config hands over text; a file's values have their types already
    update_config(config, typed(workflow.config_settings.config))
try:
    PLAN = Plan(make_study(config, study_files[0] if study_files else None))
except PersistemError as error:
    sys.exit(f"persistem: {error}")

# a module's prefix is where its results/ lies
HOME = Path(workflow.modifier.path_modifier.prefix or "")
if workflow.is_main_process and not workflow.output_settings.dryrun:
    refresh(PLAN, HOME)
    if not ALONE:  # a module's onstart is not run
        describe_digests(PLAN, HOME)


onstart:
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_norun]
    makes = {str(file) for job in jobs for file in job.output}
    reads = {str(file) for job in jobs for file in job.input}
    try:
        others = runs.begin(HOME, PLAN.study.name, makes, reads)
    except PersistemError as error:
        sys.exit(f"persistem: {error}")
    if not others and (left := cluster.cancel_leftovers(Path.cwd())):
        print(
            f"persistem: cancelled {len(left)} Slurm jobs that a run which was killed left behind",
            file=sys.stderr,
        )
    describe_digests(PLAN, HOME)


onsuccess:
    # what was published before results were made whose time stamps are older
    refresh(PLAN, HOME)


wildcard_constraints:
    digest="[0-9a-f]{12}",
    specimen="[A-Za-z][A-Za-z0-9_-]*",
    defocus=r"df[+-]\d+(p\d)?",
    first=r"\d+",
    last=r"\d+",
    figure=r"[a-z]+(-\d)?",
    micrograph=r"[\w+-]+",


def protocol(stage):
    """The settings that a stage's jobs receive, by digest."""

    def settings(wildcards):
        return json.dumps(PLAN.settings(stage, wildcards.digest))

    return settings


@cache
def work(stage, digest):
    """The work of a step's jobs."""
    return resources.work(PLAN, stage, digest)


def asks(stage):
    """The resources that a stage's job asks for: by its work, and more at every attempt."""

    def of(name):
        def resource(wildcards, attempt):
            return getattr(
                resources.asked(work(stage, wildcards.digest), attempt), name
            )

        return resource

    return {name: of(name) for name in resources.Asked._fields}


def input_of(stage, *sources):
    """The file that a stage's job reads, by digest: of that of the stages ``sources`` which has it."""

    def file(wildcards):
        digest = PLAN.input_digest(stage, wildcards.digest)
        source = next(source for source in sources if digest in PLAN.steps[source])
        return paths.pattern(source).replace("{digest}", digest)

    return file


def plan_of(stage, wildcards):
    """The plan, of the study or of a variant of it, that a job belongs to."""
    return PLAN.plan_of(wildcards.specimen, stage, wildcards.digest)


def micrographs_of_descriptors(wildcards):
    """A specimen's micrographs in the order of the defoci."""
    pattern = input_of("descriptors", "micrographs")(wildcards)
    defoci = PLAN.settings("descriptors", wildcards.digest)["defoci"]
    return [
        pattern.format(specimen=wildcards.specimen, defocus=paths.defocus_id(defocus))
        for defocus in defoci
    ]


def hot_restart(wildcards):
    """The end of the heating that an RT treatment continues from."""
    hot = PLAN.input_digest("specimens", wildcards.digest)
    return paths.beside("specimens", "end.restart").format(
        digest=hot, specimen=wildcards.specimen.replace("-rt1-", "-rt0-")
    )


def members(wildcards):
    """What a preparation starts from: restart file of a specimen, or structures of those in a stack."""
    plan = plan_of("prepared", wildcards)
    name = "structure.extxyz" if is_stack(wildcards) else "end.restart"
    return [
        paths.beside("specimens", name).format(
            digest=plan.digest("specimens", s.name), specimen=s.name
        )
        for s in plan.members[wildcards.specimen]
    ]


def batches(wildcards, size):
    """The diagrams of a micrograph in files of ``size`` crops; a variant of the study may have other crops."""
    count = PLAN.crops_of[wildcards.digest]
    return [
        paths.crop_batch().format(
            **dict(wildcards.items()), first=first, last=min(first + size, count)
        )
        for first in range(0, count, size)
    ]


def is_stack(wildcards):
    """Whether a preparation is a stack, which is cut out by one process."""
    settings = PLAN.settings("prepared", wildcards.digest)
    return settings["preparation"]["method"] == "stack"


def ranks(stage):
    """The MPI ranks of a job; a trajectory depends on their number."""

    def number(wildcards):
        if stage == "prepared" and is_stack(wildcards):
            return 1
        return PLAN.settings(stage, wildcards.digest)["md"]["ranks"]

    return number


def held_at(wildcards):
    """The options that say at which temperature a specimen is held, and by which thermostat."""
    plan = plan_of("prepared", wildcards)
    specimen = plan.specimens[wildcards.specimen]
    if specimen.structure:
        return ""
    return (
        f"--temperature {plan.study.md.rt.temperature} --treated"
        if specimen.rt
        else f"--temperature {specimen.temperature}"
    )


def own_structure(wildcards):
    """The user's file behind a specimen; absolute, as a module's prefix is not where it lies."""
    path = PLAN.settings("specimens", wildcards.digest)["path"]
    return str(Path(path).absolute())


def own_micrograph(wildcards):
    """The user's file; absolute, as a module's prefix is not where it lies."""
    return PLAN.maps.files[wildcards.micrograph]


DEFOCI = PLAN.trial.defoci | {
    name: d for plan in PLAN.plans for name, d in plan.defoci.items()
}
TITLES = {name: figure(name).TITLE for name in PLAN.report.figures}
ABOUT = {name: figure(name).ABOUT for name in PLAN.report.figures}


def files_of(stage):
    """The files that the settings of a step name, by digest."""

    def files(wildcards):
        return PLAN.sources(stage, wildcards.digest)

    return files


def asked(key, files):
    """The files of a target; of a section that the study lacks it would be made of nothing, without a word."""

    def wanted(wildcards):
        if not files:
            sys.exit(
                f"persistem: the study has no {key}, so the target has nothing to make;"
                " see config/README.md, or config/extended.yaml for an example"
            )
        return files

    return wanted


def root(wildcards, output):
    """The folder that holds results/, which paths in settings are relative to."""
    return output[0].rpartition(f"{paths.RESULTS}/")[0] or "."


def settings_of(stage):
    """The file that says what a digest stands for: settings that name many files are too long for a command line."""

    def file(wildcards, output):
        return str(
            Path(root(wildcards, output)) / paths.stage_path(stage, wildcards.digest)
        )

    return file
