"""The environment that the workflow's jobs run in."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def prepare(source: Path) -> None:
    """Let jobs find the package in ``source``, and mpiexec beside this python, without an activated environment.

    Under ``--sdm conda`` the stage's environment comes first on the path, and the package is found all the same.
    """
    for variable, folder in {"PYTHONPATH": source, "PATH": Path(sys.executable).parent}.items():
        known = os.environ.get(variable, "").split(os.pathsep)
        os.environ[variable] = os.pathsep.join([str(folder), *(entry for entry in known if entry)])
