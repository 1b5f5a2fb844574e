"""envs/install.sh, which make runs before every target: when .venv is made, made anew, or refused, and what is said.

The interpreter and uv are a script that pretends: nothing is installed or downloaded.
"""

import shutil
import subprocess

import pytest
from support.studies import ROOT

#: What the installation uses apart from Python; the PATH of the tests has nothing else.
TOOLS = ("sh", "make", "cat", "cksum", "cp", "dirname", "flock", "head", "mkdir", "rm", "nproc")
INSTALLED = "installed; PersisTEM is in .venv (source .venv/bin/activate)"
PRETENDED = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in *"${FAILS:-nothing}"*) echo "$SAYS" >&2; exit 1 ;; esac
case "$*" in
    *version_info*) echo "${VERSION:-3.13}" ;;
    "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/uv ;;
esac
"""


class Folder:
    """A folder of the project beside a PATH of its own."""

    def __init__(self, path):
        self.path, self.bin, self.calls = path / "project", path / "bin", path / "calls"
        (self.path / "envs").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("Makefile", "requirements.lock", "pyproject.toml", "envs/uv.lock", "envs/install.sh"):
            shutil.copy(ROOT / name, self.path / name)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.python("python3")

    def python(self, name):
        """A pretended interpreter on the PATH."""
        (self.bin / name).write_text(PRETENDED)
        (self.bin / name).chmod(0o755)

    def make(self, *arguments, **environment):
        """Exit status, what was said, and the calls of the pretended interpreters."""
        self.calls.write_text("")
        done = subprocess.run(
            ["make", "install", *arguments],
            cwd=self.path,
            env={"PATH": str(self.bin), "CALLS": str(self.calls), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )  # fmt: skip
        said = [line for line in done.stdout.splitlines() if not line.startswith("make: ***")]
        return done.returncode, said, self.calls.read_text()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_the_first_call_installs_and_says_one_sentence_and_the_next_has_nothing_to_do(folder):
    status, said, calls = folder.make()
    assert (status, said) == (0, ["installing into .venv (about half a minute) …", INSTALLED])
    order = ["-m venv --clear .venv", "--require-hashes -r envs/uv.lock", "--require-hashes -r requirements.lock",
             "--editable ."]  # fmt: skip
    assert sorted(order, key=calls.index) == order
    status, said, calls = folder.make()
    assert (status, said) == (0, [])
    assert "install" not in calls


def test_a_lock_that_changed_is_installed_into_the_same_venv(folder):
    folder.make()
    (folder.path / ".venv/mine").touch()
    with (folder.path / "requirements.lock").open("a") as lock:
        lock.write("# newer\n")
    status, said, calls = folder.make()
    assert (status, said) == (0, ["bringing .venv up to date with requirements.lock …", INSTALLED])
    assert "-r requirements.lock" in calls
    assert (folder.path / ".venv/mine").exists()
    assert folder.make()[1] == []


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_venv_that_belongs_to_another_folder_is_made_anew(folder, how):
    folder.make()
    old, folder.path = folder.path, folder.path.with_name("elsewhere")
    shutil.move(old, folder.path) if how == "moved" else shutil.copytree(old, folder.path)
    (folder.path / ".venv/old").touch()
    status, said, _ = folder.make()
    assert (status, said) == (0, [f".venv belongs to {old}: making it anew (about half a minute) …", INSTALLED])
    assert not (folder.path / ".venv/old").exists()
    assert folder.make()[1] == []


def test_a_link_to_the_venv_of_another_folder_is_replaced_and_that_venv_stays(folder):
    folder.make()
    old, folder.path = folder.path, folder.path.with_name("elsewhere")
    shutil.copytree(old, folder.path, ignore=shutil.ignore_patterns(".venv"))
    (folder.path / ".venv").symlink_to(old / ".venv")
    (old / ".venv/mine").touch()
    status, said, _ = folder.make()
    assert (status, said) == (0, [f".venv belongs to {old}: making it anew (about half a minute) …", INSTALLED])
    assert (old / ".venv/mine").exists() and not (folder.path / ".venv").is_symlink()


def test_a_venv_whose_python_is_gone_is_made_anew(folder):
    folder.make()
    python = folder.path / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.13")
    assert folder.make()[1] == ["the Python of .venv is gone: making it anew (about half a minute) …", INSTALLED]
    assert folder.make()[1] == []


FULL = "persistem: the disk is full; .venv and the cache of its packages need 2.5 GB. The next call starts again"
OFFLINE = "persistem: the packages cannot be downloaded; is there a network? The next call starts again"


@pytest.mark.parametrize(
    ("fails", "says", "sentence"),
    [
        ("-m venv --clear", "OSError: [Errno 28] No space left on device", FULL),
        ("envs/uv.lock", "ERROR: Could not find a version that satisfies uv==1 (from versions: none)", OFFLINE),
        ("requirements.lock", "error: Failed to fetch: `https://example.org/numpy.whl`", OFFLINE),
        ("requirements.lock", "failed to write: No space left on device (os error 28)", FULL),
    ],
)
def test_an_installation_that_fails_says_one_sentence_and_the_next_call_starts_again(folder, fails, says, sentence):
    status, said, _ = folder.make(FAILS=fails, SAYS=says)
    assert status != 0
    assert said == ["installing into .venv (about half a minute) …", sentence]
    status, said, _ = folder.make()
    assert status == 0 and len(said) == 2
    assert folder.make()[1] == []


def test_an_update_that_fails_leaves_nothing_that_passes_for_complete(folder):
    folder.make()
    (folder.path / "requirements.lock").write_text("numpy==0\n")
    assert folder.make(FAILS="-r requirements.lock", SAYS="numpy 0 does not exist")[0] != 0
    assert folder.make()[1] == [".venv is not complete: making it anew (about half a minute) …", INSTALLED]


def test_an_unknown_failure_is_shown_as_it_is(folder):
    status, said, _ = folder.make(FAILS="--editable", SAYS="error: setuptools is too old")
    assert status != 0
    assert said[1:] == ["error: setuptools is too old",
                        "persistem: the installation failed, as said above. The next call starts again"]  # fmt: skip


@pytest.mark.parametrize(("version", "fits"), [("3.10", False), ("3.11", True), ("3.13", True), ("3.14", False)])
def test_python_is_3_11_to_3_13(folder, version, fits):
    status, said, _ = folder.make(VERSION=version)
    assert (status == 0) == fits
    if not fits:
        assert said == [f"persistem: Python 3.11, 3.12 or 3.13 with venv is needed; found Python {version}. "
                        "To name one that is elsewhere: make install PYTHON=/path/to/python3"]  # fmt: skip
        assert not (folder.path / ".venv").exists()


def test_python_without_venv_is_refused_with_the_package_that_has_it(folder):
    status, said, _ = folder.make(FAILS="import ensurepip", SAYS="ModuleNotFoundError")
    assert status != 0
    assert len(said) == 1
    assert "found Python 3.13 without venv (on Debian and Ubuntu: apt install python3.13-venv)." in said[0]


def test_no_python_and_one_that_was_named_and_is_not_there(folder):
    assert "found no /nowhere/python." in folder.make("PYTHON=/nowhere/python")[1][0]
    (folder.bin / "python3").unlink()
    status, said, _ = folder.make()
    assert status != 0
    assert "found no python3." in said[0]


def test_a_venv_is_kept_where_no_other_can_be_made(folder):
    folder.make()
    old, folder.path = folder.path, folder.path.with_name("elsewhere")
    shutil.move(old, folder.path)
    assert folder.make("PYTHON=/nowhere/python")[0] != 0
    assert (folder.path / ".venv/bin/uv").exists()


def test_the_first_python_that_fits_is_used(folder):
    folder.python("python3.12")
    (folder.bin / "python3.11").write_text("#!/bin/sh\nexit 127\n")  # pyenv's, of a version that is not selected
    (folder.bin / "python3.11").chmod(0o755)
    (folder.bin / "python3").unlink()
    assert folder.make(VERSION="3.12")[0] == 0
