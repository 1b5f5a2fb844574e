"""What a stage's environment has, and processes in which only that is found."""

import importlib.metadata
import importlib.util
import re

from packaging.requirements import Requirement

from support.studies import ROOT

spec = importlib.util.spec_from_file_location("generate", ROOT / "envs/generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


def closure(names):
    """Names of distributions with everything they depend on, as pip would install them."""
    found, todo = set(), list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name not in found:
            found.add(name)
            try:
                requirements = map(Requirement, importlib.metadata.requires(name) or [])
            except importlib.metadata.PackageNotFoundError:
                continue
            todo += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


#: Runs verbs as in an environment that lacks some distributions: their modules are not found.
ALONE = """
import json, sys
from importlib.machinery import PathFinder

absent, calls = json.loads(sys.argv[1])
class Environment(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Environment
from persistem.commands.cli import main
for call in calls:
    if main(call):
        sys.exit(1)
"""
