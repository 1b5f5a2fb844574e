"""``persistem <verb>``: every stage of the pipeline, and the study itself, from the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from persistem.commands import archives as verbs_archive
from persistem.commands import maps as verbs_map
from persistem.commands import results as verbs_results
from persistem.commands import stages as verbs
from persistem.commands import trial as verbs_truth
from persistem.errors import PersistemError
from persistem.report.figures import CHAPTER, FIGURES, TRIED
from persistem.store import seals
from persistem.store.paths import files_in
from persistem.study.settings import protocol_of


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0, or 1 after one sentence on standard error."""
    options = vars(_parser().parse_args(arguments))
    verb = options.pop("verb")
    try:
        for path in _inputs(options):
            seals.check(path)
        verb(**options)
    except PersistemError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    return 0


def _inputs(options: dict[str, Any]) -> list[Path]:
    """The files that a verb is given to read, and those that its settings name."""
    given = [value for name, value in options.items() if name not in ("out", "root", "docs", "folder")]
    files = [path for value in given for path in (value if isinstance(value, list) else [value])]
    named = files_in(options.get("protocol", {})) if "root" in options else []
    return [path for path in files if isinstance(path, Path)] + [options["root"] / name for name in named]


def _fail(message: str) -> int:
    if _rank() == 0:
        print(f"persistem: {message}", file=sys.stderr, flush=True)
    return 1


def _rank() -> int:
    """The MPI rank, so that one of them speaks; 0 where no MPI was started."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi.COMM_WORLD.rank if mpi else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="persistem", description="States of matter in TEM images by persistent homology."
    )
    commands = parser.add_subparsers(required=True, metavar="verb")

    def add(verb: Any, *positional: str, protocol: bool = True, required: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(verb.__name__.replace("_", "-"), help=verb.__doc__, description=verb.__doc__)
        command.set_defaults(verb=verb)
        for name in positional:
            command.add_argument(name, type=Path)
        if protocol:
            command.add_argument(
                "--protocol",
                type=protocol_of,
                default={},
                required=required,
                help="the stage's settings, inline YAML or a file; by default the paper's",
            )
        return command

    def device(command: argparse.ArgumentParser) -> None:
        command.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where abTEM computes")

    def root(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command.add_argument("--root", type=Path, default=Path(), help="the folder that holds results/")
        return command

    command = add(verbs.heat, "out")
    command.add_argument("--temperature", type=int, required=True, help="K")
    command.add_argument("--seed", type=int, required=True)
    command = add(verbs.treat, "restart", "out")
    command.add_argument("--seed", type=int, required=True)
    command = add(verbs.prepare, required=True)
    command.add_argument("sources", nargs="+", type=Path, help="end.restart, or the structures of a stack")
    command.add_argument("--out", type=Path, required=True, help="folder")
    command.add_argument("--temperature", type=int, help="K, of the snapshots")
    command.add_argument("--treated", action="store_true", help="the specimen had the RT treatment")
    add(verbs.structure, "out", required=True)
    device(add(verbs.exit_wave, "structure", "out"))
    command = add(verbs.micrograph, "wave", "out")
    command.add_argument("--defocus", type=float, required=True, help="Å")
    device(command)
    add(verbs.crops, "micrograph", "out")
    command = add(verbs.diagrams, "crops", "out")
    command.add_argument("--first", type=int, help="first crop, from 0")
    command.add_argument("--last", type=int, help="crop to stop before")
    command = add(verbs.join_diagrams, protocol=False)
    command.add_argument("parts", nargs="+", type=Path)
    command.add_argument("--out", type=Path, required=True)
    add(verbs.persistence_images, "diagrams", "out")
    command = root(add(verbs.learn, "out", required=True))
    command.add_argument("--jobs", type=int, default=1, help="cores")
    command = add(verbs.describe, required=True)
    command.add_argument("micrographs", nargs="+", type=Path, help="one for each defocus")
    command.add_argument("--out", type=Path, required=True)
    command = add(verbs_truth.melt, "out", required=True)
    command.add_argument("--seed", type=int, required=True)
    root(add(verbs_truth.composite, "out", required=True))
    for learner in (verbs.evaluate, verbs.controls, verbs_map.train, verbs_truth.judge):
        command = root(add(learner, "out", required=True))
        command.add_argument("--jobs", type=int, default=1, help="processes")
    root(add(verbs.sweep, "out", required=True))
    add(verbs.diagram_3d, "structure", "out", required=True)
    for verb in (verbs.state_checks, verbs.optimal_volumes, verbs.weights, verbs.inverse, verbs.report):
        root(add(verb, "out", required=True))
    command = root(add(verbs.figure, required=True))
    command.add_argument("name", choices=(*FIGURES, *CHAPTER, *TRIED))
    command.add_argument("out", type=Path)
    for publisher in (verbs.publish, verbs.publish_report, verbs.publish_model, verbs_truth.publish_truth):
        command = root(add(publisher, protocol=False))
        command.add_argument("study", help="study file, or a study as an inline mapping")
    command = add(verbs.check, protocol=False)
    command.add_argument("studies", nargs="+", type=Path)
    command = root(add(verbs_results.unused, protocol=False))
    command.add_argument("--remove", action="store_true", help="remove what is listed")
    add(verbs.accuracy, "table", protocol=False)
    add(verbs.record, "study", "docs", protocol=False)
    add(verbs_truth.record_maps, "study", "docs", protocol=False)
    command = root(add(verbs_archive.archive, protocol=False))
    command.add_argument("study", help="study file, or a study as an inline mapping")
    command.add_argument("out", type=Path, help="zip file")
    add(verbs_archive.verify, "folder", protocol=False)
    add(verbs.reference, "folder", protocol=False)
    command = add(verbs_map.map, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="DM3, DM4, EMD, MRC, SER, TIFF, HDF5")
    command.add_argument("--model", type=Path, required=True, help="bundle folder")
    command.add_argument("--out", type=Path, required=True, help="folder; each image gets one in it")
    command.add_argument("--step", type=float, default=3.0, help="distance of the windows, Å; by default 3")
    for option, unit in (("--pixel-size", "Å"), ("--voltage", "kV"), ("--defocus", "Å, underfocus positive")):
        command.add_argument(option, type=float, help=f"{unit}; where the files do not say, or say wrong")
    command.add_argument("--jobs", type=int, default=1, help="processes")
    command = add(verbs_map.map_micrograph, "micrograph", "out")
    command.add_argument("--model", type=Path, required=True, help="bundle folder")
    command.add_argument("--jobs", type=int, default=1, help="processes")
    add(verbs_map.publish_map, "source", "out", protocol=False)
    return parser
