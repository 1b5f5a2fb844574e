"""A study whose results are small files that say nothing, sealed and published as real ones are."""

import shutil

import pytest
from persistem.plan.plan import Plan
from persistem.study.load import make_study

from support.studies import TINY


def pretend(plan, root):
    """Write, sealed as by its jobs, a small file for every missing result of a study's report, and publish it."""
    import matplotlib.pyplot as plt
    from persistem.publication.publish import describe_digests, publish, publish_report
    from persistem.store.files import atomic, replaced_folder

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
    describe_digests(plan, root)
    publish(plan, root)
    publish_report(plan, root)


@pytest.fixture(scope="session")
def pretended(tmp_path_factory):
    """The tiny study, whose results are pretended, published; a test that changes something changes a copy."""
    root = tmp_path_factory.mktemp("pretended")
    pretend(Plan(make_study(TINY)), root)
    return root


@pytest.fixture(name="copy")
def pretended_copy(pretended, tmp_path):
    """A copy of that study, which a test may damage."""
    return shutil.copytree(pretended, tmp_path / "copy")
