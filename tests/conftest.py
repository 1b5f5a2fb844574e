"""A study small enough to run for real in a test, and the workflow's DAG as Snakemake resolves it."""

import os
import shutil
from collections import Counter

# before NumPy is imported: processes test side by side, and threads that wait for one another on busy cores take long
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import pytest
from support import dag
from support.models import study_root, written  # noqa: F401
from support.studies import ROOT, TINY, changed  # noqa: F401


def pytest_collection_modifyitems(items):
    """Files whose tests take longest first, so that processes which take whole files end at about the same time."""
    long = Counter()
    for item in items:
        long[item.path] += 1000 * bool(item.get_closest_marker("slurm")) + bool(item.get_closest_marker("slow"))
    items.sort(key=lambda item: -long[item.path])


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
