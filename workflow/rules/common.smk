# The study and what it asks for; every rule takes its paths and settings from PLAN.

import json
import sys
from pathlib import Path

from snakemake.utils import update_config

SOURCE = Path(workflow.current_basedir).parent / "src"
sys.path.insert(0, str(SOURCE))

from persistem import environment, paths
from persistem.errors import PersistemError
from persistem.load import make_study, typed
from persistem.figures import FIGURES
from persistem.figures import module as figure
from persistem.plan import Plan
from persistem.publish import describe, refresh

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
        describe(PLAN, HOME)


onstart:
    describe(PLAN, HOME)


wildcard_constraints:
    digest="[0-9a-f]{12}",
    specimen="[A-Za-z][A-Za-z0-9_-]*",
    defocus=r"df[+-]\d+(p\d)?",
    first=r"\d+",
    last=r"\d+",
    figure=r"figure-\d",


def protocol(stage):
    """The settings that a stage's jobs receive, by digest."""

    def settings(wildcards):
        return json.dumps(PLAN.settings(stage, wildcards.digest))

    return settings


def input_of(stage, source):
    """The file of stage ``source`` that a stage's job reads, by digest."""
    pattern = paths.pattern(source)

    def file(wildcards):
        return pattern.replace("{digest}", PLAN.input_digest(stage, wildcards.digest))

    return file


def hot_restart(wildcards):
    """The end of the heating that an RT treatment continues from."""
    hot = PLAN.input_digest("specimens", wildcards.digest)
    return paths.beside("specimens", "end.restart").format(
        digest=hot, specimen=wildcards.specimen.replace("-rt1-", "-rt0-")
    )


def own_structure(wildcards):
    """The user's file behind a specimen; absolute, as a module's prefix is not where it lies."""
    path = PLAN.settings("specimens", wildcards.digest)["path"]
    return str(Path(path).absolute())


TITLES = {name: figure(name).TITLE for name in FIGURES}
ABOUT = {name: figure(name).ABOUT for name in FIGURES}


def files_of(stage):
    """The files that the settings of a step name, by digest."""

    def files(wildcards):
        return PLAN.sources(stage, wildcards.digest)

    return files


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
