# The study and what it asks for; every rule takes its paths and settings from PLAN.

import json
import sys
from functools import cache, partial
from os import environ
from pathlib import Path

from snakemake.utils import min_version, update_config

min_version("9.27")

# in the repository; an installed package is found where Snakemake is
SOURCE = Path(workflow.current_basedir).parent / "src"
# not the folder where Snakemake runs, nor the Snakefile's: a file there named like a library would be imported
HERE = (
    {Path.cwd(), SOURCE.parents[1]} if workflow.modifier.is_main_snakefile() else set()
)
sys.path[:] = [
    *([str(SOURCE)] if SOURCE.is_dir() else []),
    *(p for p in sys.path if Path(p).is_absolute() and Path(p).resolve() not in HERE),
]

from persistem.commands import forks
from persistem.console import announce, scheduling
from persistem.console.run import STAGE_OF_RULE
from persistem.errors import PersistemError
from persistem.plan import jobs, resources
from persistem.plan.plan import Plan
from persistem.publication.publish import describe_digests, refresh
from persistem.report.figures import module as figure
from persistem.specimens.forces import refuse_forces
from persistem.store import cluster, environment, extras, paths, runs
from persistem.store.files import refuse_links
from persistem.store.stages import BY_NAME
from persistem.study.load import make_study
from persistem.study.values import typed

# as a module of another workflow, the study is what that workflow hands over, and the command line is not ours
ALONE = workflow.modifier.is_main_snakefile()
study_files = workflow.overwrite_configfiles if ALONE else []
if len(study_files) > 1:
    sys.exit(
        f"persistem: --configfile names {len(study_files)} studies, but a study stands alone; give one"
    )
try:
    if ALONE:
        environment.check_writable(workflow.main_snakefile)
        # --config hands over text; a file's values have their types already
        update_config(config, typed(workflow.config_settings.config))
    environment.prepare()
    PLAN = Plan(make_study(config, study_files[0] if study_files else None))
except PersistemError as error:
    sys.exit(f"persistem: {error}")
except ModuleNotFoundError as error:
    sys.exit(f"persistem: {extras.to_install(error.name) or error}")

# a module's prefix is where its results/ lies
HOME = Path(workflow.modifier.path_modifier.prefix or "")
CONSOLE = ALONE and announce.attach(workflow, PLAN, HOME)
scheduling.one_timer_at_a_time()
if workflow.is_main_process and not workflow.output_settings.dryrun:
    refresh(PLAN, HOME)
    if not ALONE:  # a module's onstart is not run
        describe_digests(PLAN, HOME)


#: The rules that run LAMMPS.
DYNAMICS = {
    name
    for stage in ("specimens", "prepared", "melts")
    for name in BY_NAME[stage].rules
}


#: Processes that jobs are forks of.
SERVERS = []


onstart:
    needed = [job for job in workflow.dag.needrun_jobs() if not job.is_norun]
    makes = {str(file) for job in needed for file in job.output}
    reads = {str(file) for job in needed for file in job.input}
    try:
        # what a job's shell writes, and not the package
        refuse_links(
            file for job in needed for file in [*job.log, job.benchmark or ""]
        )
        if any(job.rule.name in DYNAMICS for job in needed):
            refuse_forces(PLAN.study)
        others = runs.begin(HOME, PLAN.study.name, makes, reads)
    except PersistemError as error:
        sys.exit(f"persistem: {error}")
    if not others and (left := cluster.cancel_leftovers(Path.cwd())):
        print(
            f"persistem: cancelled {len(left)} Slurm jobs that a run which was killed left behind",
            file=sys.stderr,
        )
    describe_digests(PLAN, HOME)
    # forks of this environment's Python, on this machine's processor
    if (
        workflow.local_exec
        and not workflow.deployment_settings.deployment_method
        and PLAN.study.run.device == "cpu"
    ):
        stages = [STAGE_OF_RULE.get(job.rule.name) for job in needed]
        verbs = [BY_NAME[stage].verbs[0] for stage in stages if stage]
        # kept, as they end when this process does
        SERVERS.extend(forks.start(verbs, environ))


onsuccess:
    # what was published before results were made whose time stamps are older
    refresh(PLAN, HOME)
    if not CONSOLE and (said := announce.closing(workflow, PLAN, HOME)):
        print(said, file=sys.stderr)


wildcard_constraints:
    digest="[0-9a-f]{12}",
    specimen="[A-Za-z][A-Za-z0-9_-]*",
    defocus=r"df[+-]\d+(p\d)?",
    first=r"\d+",
    last=r"\d+",
    figure=r"[a-z]+(-\d+)?",
    micrograph=r"[\w+-]+",


DEFOCI = jobs.defoci(PLAN)
#: What a job that copies files of a study asks for.
COPYING = {"mem_mb": 500, "disk_mb": 100, "runtime": 10}

# Rules bind the name of their stage: partial(source, "crops").


def study(wildcards):
    """The study as a mapping; as a plain string Snakemake would look for wildcards in what it has in braces."""
    return PLAN.study.model_dump_json(exclude_unset=True)


def source(stage, wildcards):
    """The file that a job reads."""
    return jobs.source(PLAN, stage, wildcards.digest)


def sources(stage, wildcards):
    """The files that the settings of a job name."""
    return PLAN.sources(stage, wildcards.digest)


def settings(stage, wildcards):
    """The settings that a job receives."""
    return json.dumps(PLAN.settings(stage, wildcards.digest))


def settings_file(stage, wildcards, output):
    """The file with a job's settings, where they name many files and are too long for a command line."""
    return str(
        Path(root(wildcards, output)) / paths.stage_path(stage, wildcards.digest)
    )


def root(wildcards, output):
    """The folder that holds results/, which paths in settings are relative to."""
    return output[0].rpartition(f"{paths.RESULTS}/")[0] or "."


def folder(wildcards, output):
    """The folder of what a job makes."""
    return str(Path(output[0]).parent)


def ranks(stage, wildcards):
    """The MPI ranks of a job."""
    return jobs.ranks(PLAN, stage, wildcards.digest)


def of_specimen(attribute, stage, wildcards):
    """What a job is told of its specimen: temperature or seed."""
    specimen = jobs.specimen(PLAN, stage, wildcards.digest, wildcards.specimen)
    return getattr(specimen, attribute)


@cache
def work(stage, digest):
    """The work of a step's jobs."""
    return resources.work(PLAN, stage, digest)


def resource(name, stage, wildcards, attempt):
    """What a job asks for of one resource: by its work, and more at every attempt."""
    return getattr(resources.asked(work(stage, wildcards.digest), attempt), name)


def asks(stage):
    """The resources that a job asks for."""
    return {name: partial(resource, name, stage) for name in resources.Asked._fields}


def target(key, files, wildcards):
    """The files of a target; of a section that the study lacks it would be made of nothing, without a word."""
    if not files and PLAN.study.labelled_alone:
        shown = paths.study_file(PLAN.study.name, "")
        sys.exit(
            f"persistem: a study of labelled micrographs without {key}, so the target has nothing to make; all that it"
            f" shows, {shown}, is made without a target"
        )
    if not files:
        sys.exit(
            f"persistem: the study has no {key}, so the target has nothing to make;"
            " see config/README.md, or config/extended.yaml and config/density.yaml for examples"
        )
    return files
