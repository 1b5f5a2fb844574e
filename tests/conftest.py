"""A study small enough to run for real in a test, and the workflow's DAG as Snakemake resolves it."""

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# before NumPy is imported: processes test side by side, and threads that wait for one another on busy cores take long
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import pytest
from support.models import study_root, written  # noqa: F401
from support.studies import ROOT, TINY, changed  # noqa: F401


def pytest_collection_modifyitems(items):
    """Files whose tests take longest first, so that processes which take whole files end at about the same time."""
    long = Counter()
    for item in items:
        long[item.path] += 1000 * bool(item.get_closest_marker("slurm")) + bool(item.get_closest_marker("slow"))
    items.sort(key=lambda item: -long[item.path])


@dataclass
class Resolved:
    """What Snakemake would run: jobs by rule, and every job's outputs."""

    jobs: Counter
    outputs: list[str]

    @property
    def rules(self):
        return set(self.jobs) - {"all", "report"}


@pytest.fixture
def resolve(tmp_path, caplog):
    """Resolve the DAG of a study, or of a study's file, in this test's folder, as ``snakemake -n`` does; in process."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.enums import RerunTrigger
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

    caplog.set_level("INFO")

    def run(study, cores=2, target=None):
        caplog.clear()
        here = Path.cwd()
        try:
            with SnakemakeApi(OutputSettings(dryrun=True, stdout=True, nocolor=True)) as api:
                workflow = api.workflow(
                    resource_settings=ResourceSettings(cores=cores),
                    config_settings=ConfigSettings(configfiles=[study])
                    if isinstance(study, Path)
                    else ConfigSettings(config=study),
                    snakefile=ROOT / "Snakefile",
                    workdir=tmp_path,
                )
                targets = {target} if target else set()
                settings = DAGSettings(targets=targets, rerun_triggers=frozenset({RerunTrigger.MTIME}))
                workflow.dag(settings).execute_workflow(executor="dryrun")
                outputs = [str(tmp_path / file) for job in workflow._workflow.dag.jobs for file in job.output]
        finally:
            os.chdir(here)
        table = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Job stats:")]
        rows = re.findall(r"^(\w+) +(\d+)$", table[-1], re.M) if table else []
        return Resolved(Counter({name: int(count) for name, count in rows if name != "total"}), outputs)

    return run


@pytest.fixture
def finished(resolve):
    """Pretend that a study has run: every output of its DAG exists, none newer than another."""

    def finish(study, target=None):
        for name in resolve(study, target=target).outputs:
            path = Path(name)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir() if path.suffix in {"", ".zarr"} else path.touch()
                os.utime(path, (1_700_000_000, 1_700_000_000))
        assert not resolve(study, target=target).jobs

    return finish


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, for pages."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def pretend(plan, root):
    """Write, sealed as by its jobs, a small file for every missing result of a study's report, and publish it."""
    import matplotlib.pyplot as plt
    from persistem.files import atomic, replaced_folder
    from persistem.publish import describe, publish, publish_report

    figure = plt.figure(figsize=(1, 1))
    pictures = {}
    for suffix in ("png", "pdf"):
        with atomic(root / f"a.{suffix}") as part:
            figure.savefig(part, format=suffix, metadata={"CreationDate": None} if suffix == "pdf" else None)
        pictures[f".{suffix}"] = (root / f"a.{suffix}").read_bytes()
        (root / f"a.{suffix}").unlink()
    plt.close(figure)
    header = ",".join(["features", "degrees", "model", "split", "training", "foci", "accuracy"])
    text = {".html": '<html><head>\n<meta charset="utf-8">\n<title>t</title></head></html>', ".csv": f"{header}\n"}
    text |= {".json": '{"caption": "a caption", "atoms": 576, "date": "2026-01-02"}'}
    stages = (
        "specimens",
        "prepared",
        "exit_waves",
        "micrographs",
        "crops",
        "diagrams",
        "persistence_images",
        "learning",
    )
    files = [file for stage in stages for file in plan.files(stage)]
    files += [plan.summary(name) for name in plan.specimens] + [*plan.report_files()]
    for name in dict.fromkeys(files):
        path = root / name
        if path.exists():
            continue
        if path.suffix == ".zarr":
            with replaced_folder(path) as part:
                (part / "array").write_text(name)
            continue
        with atomic(path) as part:
            part.write_bytes(pictures.get(path.suffix) or text.get(path.suffix, name).encode())
    describe(plan, root)
    publish(plan, root)
    publish_report(plan, root)


@pytest.fixture(scope="module")
def pretended(tmp_path_factory):
    """The tiny study, whose results are pretended, published."""
    from persistem.load import make_study
    from persistem.plan import Plan

    root = tmp_path_factory.mktemp("pretended")
    pretend(Plan(make_study(TINY)), root)
    return root


@pytest.fixture(name="copy")
def pretended_copy(pretended, tmp_path):
    """A copy of that study, which a test may damage."""
    return shutil.copytree(pretended, tmp_path / "copy")
