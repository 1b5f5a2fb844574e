"""What pyproject.toml cannot say: a wheel carries the workflow, for `persistem run`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
#: What an archive of a study holds of the repository (persistem.publication.crate), but for the packages themselves.
FILES = (
    "Snakefile", "Makefile", "README.md", "LICENSE", "CITATION.cff", "pyproject.toml", "setup.py", "requirements.lock",
)  # fmt: skip
FOLDERS = ("config", "profiles", "envs", "workflow/rules", "workflow/report")


class Build(build_py):
    """Puts the workflow beside the modules, as ``persistem/repository/``."""

    def run(self) -> None:
        """Build the modules, then copy the workflow."""
        super().run()
        if self.editable_mode:  # finds the repository itself
            return
        carried = Path(self.build_lib) / "persistem/repository"
        shutil.rmtree(carried, ignore_errors=True)
        named = [HERE / name for name in FILES]
        named += [file for folder in FOLDERS for file in sorted((HERE / folder).rglob("*")) if file.is_file()]
        for file in named:
            parts = file.relative_to(HERE).parts
            if not any(part.startswith(".") or part == "__pycache__" for part in parts):
                (carried / file.relative_to(HERE)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, carried / file.relative_to(HERE))


setup(cmdclass={"build_py": Build})
