"""A stage is added in five places, the fifth of which is its test: docs/extending.md."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from persistem.imaging.micrographs import read_micrograph
from support.studies import ROOT, TINY
from support.workflow import PLAN, copied, path, ran, snakemake

MODULE = '''"""The contrast of micrographs: standard deviation over mean of the intensity."""

import json

from persistem.imaging.micrographs import read_micrograph
from persistem.store.files import atomic

#: Bump when this stage's results change for the same study.
VERSION = 1


def contrast_file(settings, root, out):
    """Write the contrast of each of the ``micrographs`` of the settings as JSON."""
    contrast = {}
    for path in settings["micrographs"]:
        intensity, _ = read_micrograph(root / path)
        contrast[path] = float(intensity.std() / intensity.mean())
    with atomic(out) as part:
        part.write_text(json.dumps(contrast))
'''

DECLARATION = """    Stage(
        "contrasts",
        EVALUATION,
        "contrast.json",
        "imaging.contrast",
        rules=("contrast",),
        verbs=("contrast",),
        does="measure the contrast of micrographs",
        function="contrast_file",
        cost=Cost(5, 200, 1),
    ),
)

BY_NAME ="""

STEP = """        self._image_digests()
        from persistem.imaging import contrast

        self.contrast = self.add("contrasts", contrast.VERSION, {"micrographs": self.files("micrographs")})
"""

RULE = '''

rule contrast:
    """The standard deviation of every micrograph over its mean."""
    input:
        partial(sources, "contrasts"),
    output:
        paths.pattern("contrasts"),
    log:
        paths.log(paths.pattern("contrasts")),
    conda:
        "../../envs/imaging.yaml"
    resources:
        **asks("contrasts"),
    params:
        protocol=partial(settings_file, "contrasts"),
        root=root,
    shell:
        "python -m persistem contrast {output:q} --root {params.root:q} --protocol {params.protocol:q} > {log:q} 2>&1"
'''


def replaced(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the workflow with one more stage."""
    workflow = tmp_path_factory.mktemp("extended")
    for name in ("Snakefile", "profiles", "workflow", "envs"):
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, workflow / name, ignore=ignored) if source.is_dir() else shutil.copy(source, workflow)
    package = workflow / "workflow/src/persistem"
    (package / "imaging/contrast.py").write_text(MODULE)
    replaced(package / "store/stages.py", ")\n\nBY_NAME =", DECLARATION)
    replaced(package / "plan/plan.py", "        self._image_digests()\n", STEP)
    rules = workflow / "workflow/rules/micrographs.smk"
    rules.write_text(rules.read_text() + RULE)
    return workflow


def in_process(extended, code):
    """What Python prints with the extended package."""
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(TINY)],
        env={"PYTHONPATH": str(extended / "workflow/src"), "PATH": ""},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


@pytest.mark.slow
def test_a_stage_that_is_declared_runs_and_is_known_everywhere(extended, first, tmp_path):
    plan = "import json, sys; from persistem.plan.plan import Plan; from persistem.study.load import make_study; "
    plan += "plan = Plan(make_study(json.loads(sys.argv[1]))); "
    digest = in_process(extended, plan + "print(plan.contrast)")
    target = f"results/contrasts/{digest}/contrast.json"
    folder = copied(first, tmp_path / "study")

    text = snakemake(folder, target, study=TINY, snakefile=extended / "Snakefile")
    assert ran(text) == {"contrast": 1}  # everything else is there, under the digests that it had

    micrographs = [path("micrographs", name, defocus) for name in PLAN.members for defocus in PLAN.defoci]
    contrast = json.loads((folder / target).read_text())
    assert contrast.keys() == set(micrographs)
    for name in micrographs:
        intensity, _ = read_micrograph(folder / name)
        assert contrast[name] == pytest.approx(np.std(intensity) / np.mean(intensity))
    # sealed and described as the others, with a verb, resources and a place in what the study refers to
    assert (folder / f"results/seals/contrasts/{digest}/contrast.json.json").is_file()
    assert (folder / f"results/contrasts/{digest}/stage.yaml").is_file()
    assert f"contrasts,{digest}," in (folder / "results/tiny/digests.csv").read_text()
    assert "measure the contrast" in in_process(
        extended, "import sys; sys.argv[1:] = ['contrast', '--help']; import persistem.__main__"
    )
    asked = in_process(
        extended, plan + "from persistem.plan import resources; print(resources.work(plan, 'contrasts', plan.contrast))"
    )
    assert asked == "Work(seconds=5, memory=200, disk=1)"
    assert snakemake(folder, target, study=TINY, snakefile=extended / "Snakefile").count("Nothing to be done")
