"""Fixtures that several files use, and the order of the files."""

import os
import shutil
from collections import Counter

# before NumPy is imported: processes test side by side, and threads that wait for one another on busy cores take long
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import pytest
from support import dag
from support.models import study_root, written  # noqa: F401
from support.pretended import pretended, pretended_copy  # noqa: F401
from support.workflow import as_module, evaluated, first, reported, silicon  # noqa: F401

#: Files that take longest, so that processes which take whole files end at about the same time.
LONGEST = ["test_slurm", "test_workflow"]
#: Files that start from the study of ``test_workflow``: earlier they would wait for it.
LAST = ["test_evaluation_workflow", "test_faults"]


def pytest_collection_modifyitems(items):
    """Files that take longest first, then those with the most slow tests; those that would wait last."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    rank = {name: k for k, name in enumerate(LONGEST)} | dict.fromkeys(LAST, len(LONGEST) + 1)
    items.sort(key=lambda item: (rank.get(item.path.stem, len(LONGEST)), -slow[item.path]))


@pytest.fixture
def resolve(tmp_path):
    """Resolve the DAG of a study, or of a study's file, in this test's folder, as ``snakemake -n`` does; in process."""

    def run(study, target=None, cores=2):
        return dag.resolve(study, tmp_path, *([target] if target else []), cores=cores)

    return run


@pytest.fixture
def finished(tmp_path):
    """Pretend that a study has run in this test's folder."""

    def finish(study, target=None):
        dag.finish(study, tmp_path, *([target] if target else []))

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
