"""Where the workflow is: in the repository, or, of an installed package, in the copy that a wheel carries."""

from __future__ import annotations

from pathlib import Path

#: The package, and what a wheel carries of the repository beside it (setup.py).
PACKAGE = Path(__file__).parents[1]
CARRIED = PACKAGE / "repository"
#: The folder of the Snakefile, of config/, profiles/, envs/ and workflow/rules.
HOME = CARRIED if CARRIED.is_dir() else PACKAGE.parents[2]
#: The folder of the packages, which an archive has as workflow/src.
SOURCE = PACKAGE.parent
PACKAGES = ("persistem", "snakemake_logger_plugin_persistem")
