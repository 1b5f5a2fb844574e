"""The workflow's DAG as Snakemake resolves it, in this process, and studies that are pretended to have run."""

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from persistem.plan.plan import Plan
from persistem.study.load import load_study, make_study

from support.studies import ROOT

TARGETS = {"all", "report"}
#: What files of rules were translated to, by file, when it was changed, and the number of rules before it.
PARSED = {}
#: When pretended results were made.
THEN = 1_700_000_000


@dataclass
class Resolved:
    """What Snakemake would run: jobs by rule, all of them and those of each target; and the outputs of every job."""

    jobs: Counter
    of_target: dict[str, Counter]
    outputs: list[str]

    @property
    def rules(self):
        return set(self.jobs) - TARGETS

    def rules_of(self, target):
        """The rules that run for one of several targets."""
        return set(self.of_target[target]) - TARGETS


def resolve(study, folder, *targets, cores=2):
    """Resolve the DAG of a study, or of a study's file, in a folder, as ``snakemake -n`` does."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.enums import Quietness, RerunTrigger
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

    config = ConfigSettings(configfiles=[study]) if isinstance(study, Path) else ConfigSettings(config=study)
    here = Path.cwd()
    try:
        output = OutputSettings(dryrun=True, stdout=True, nocolor=True, quiet={Quietness.ALL})
        with parsed_once(), SnakemakeApi(output) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=cores),
                config_settings=config,
                snakefile=ROOT / "Snakefile",
                workdir=folder,
            )
            settings = DAGSettings(targets=set(targets), rerun_triggers=frozenset({RerunTrigger.MTIME}))
            try:
                workflow.dag(settings).execute_workflow(executor="dryrun")
                dag = workflow._workflow.dag
            finally:
                # else Python removes it at some time, with a warning that a later test takes for its own
                workflow._workflow.sourcecache.runtime_cache.cleanup()
    finally:
        os.chdir(here)
    needed = set(dag.needrun_jobs(exclude_finished=False))
    outputs = [str(Path(folder) / file) for job in dag.jobs for file in job.output]
    of_target = {job.rule.name: _rules(_below(dag, job) & needed) for job in dag.targetjobs}
    return Resolved(_rules(needed), of_target, outputs)


@contextmanager
def parsed_once():
    """Snakemake translates each file of rules once in this process, which is a third of what a DAG takes."""
    from snakemake import workflow

    parse = workflow.parse

    def remembered(path, flow, linemap, rulecount=0):
        file = Path(path.get_path_or_uri(secret_free=True))
        key = file, file.stat().st_mtime_ns, rulecount
        if key not in PARSED:
            lines = {}
            PARSED[key] = (parse(path, flow, rulecount=rulecount, linemap=lines), lines)
        found, lines = PARSED[key]
        linemap |= lines
        return found

    workflow.parse = remembered
    try:
        yield
    finally:
        workflow.parse = parse


def _rules(jobs):
    return Counter(job.rule.name for job in jobs)


def _below(dag, job):
    """A job and all that it depends on."""
    found, left = {job}, [job]
    while left:
        new = set(dag.dependencies[left.pop()]) - found
        found |= new
        left += new
    return found


#: The outputs of studies that were resolved before, relative to their folder.
_outputs = {}


def finish(study, folder, *targets):
    """Pretend that a study has run in a folder: every output of its DAG exists, none newer than another."""
    plan = Plan(load_study(study) if isinstance(study, Path) else make_study(study))
    steps = tuple((stage, *found) for stage, found in plan.steps.items())
    known = (plan.study.name, plan.study.run, tuple(plan.specimens), tuple(plan.defoci), steps, targets)
    new = known not in _outputs
    if new:
        _outputs[known] = [os.path.relpath(file, folder) for file in resolve(study, folder, *targets).outputs]
    make(folder / name for name in _outputs[known])
    if new:
        assert not resolve(study, folder, *targets).jobs


def make(files):
    """Make the files that are not there, none newer than another."""
    for path in map(Path, files):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if path.suffix in {"", ".zarr"} else path.touch()
            os.utime(path, (THEN, THEN))
