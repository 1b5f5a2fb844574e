"""``persistem <verb>``: every stage of the pipeline, and whole studies, from the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

from persistem.commands import labels, maps, stages, studies
from persistem.errors import PersistemError, printable
from persistem.report.figures import EVALUATION_FIGURES, FIGURES, TRIAL_FIGURES
from persistem.store import seals
from persistem.store.paths import files_in
from persistem.store.stages import STAGES, Stage
from persistem.study.settings import given, protocol_of


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 0, or 1 after one sentence on standard error."""
    os.environ["PYTHONSAFEPATH"] = "1"  # processes that the verb starts import nothing from the working folder either
    options = vars(_parser().parse_args(arguments))
    verb = options.pop("verb")
    _pass_by_matplotlibrc()
    try:
        for path in _inputs(options):
            seals.check(path)
        verb(**options)
    except PersistemError as error:
        return _fail(error.worded(maps.option))
    except OSError as error:
        return _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    return 0


def _pass_by_matplotlibrc() -> None:
    """Import Matplotlib elsewhere if the working folder has settings for it.

    It reads them when it is imported, whatever they are; no variable tells it not to.
    """
    if os.path.lexists("matplotlibrc"):
        with chdir(Path(__file__).parent):
            import matplotlib  # noqa: F401


def _inputs(options: dict[str, Any]) -> list[Path]:
    """The files that a verb reads: its arguments, and the files that its settings name."""
    values = [value for name, value in options.items() if name not in ("out", "root", "docs", "folder")]
    files = [path for value in values for path in (value if isinstance(value, list) else [value])]
    named = files_in(options.get("protocol", {})) if "root" in options else []
    return [path for path in files if isinstance(path, Path)] + [options["root"] / name for name in named]


def _fail(message: str) -> int:
    if _rank() == 0:
        print(f"persistem: {printable(message)}", file=sys.stderr, flush=True)
    return 1


def _rank() -> int:
    """The MPI rank, so that only one rank prints; 0 if MPI was not started."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi.COMM_WORLD.rank if mpi else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="persistem", description="States of matter in TEM images by persistent homology."
    )
    commands = parser.add_subparsers(required=True, metavar="verb")

    def add(
        verb: Any, *positional: str, protocol: bool = True, required: bool = False, name: str = "", does: str = ""
    ) -> argparse.ArgumentParser:
        about = does or verb.__doc__
        command = commands.add_parser(name or verb.__name__.replace("_", "-"), help=about, description=about)
        command.set_defaults(verb=verb)
        for argument in positional:
            command.add_argument(argument, type=Path)
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

    def jobs(command: argparse.ArgumentParser) -> None:
        command.add_argument("--jobs", type=int, default=1, help="processes")

    def conditions(command: argparse.ArgumentParser) -> None:
        for option, unit in (("--pixel-size", "Å"), ("--voltage", "kV"), ("--defocus", "Å, underfocus positive")):
            command.add_argument(option, type=float, help=f"{unit}; where the files do not say, or say wrong")
        command.add_argument("--grey", action="store_true", help="take the mean of the channels of colour images")
        command.add_argument("--force", action="store_true", help="use these also where they contradict the files")

    def root(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command.add_argument("--root", type=Path, default=Path(), help="the folder that holds results/")
        return command

    command = add(stages.heat, "out")
    command.add_argument("--temperature", type=int, required=True, help="K")
    command.add_argument("--seed", type=int, required=True)
    command = add(stages.treat, "restart", "out")
    command.add_argument("--seed", type=int, required=True)
    add(stages.structure, "out", required=True)
    command = add(stages.preparation, required=True)
    command.add_argument("sources", nargs="+", type=Path, help="end.restart, or the structures of a stack")
    command.add_argument("--out", type=Path, required=True, help="folder")
    command.add_argument("--temperature", type=int, help="K, of the snapshots")
    command.add_argument("--treated", action="store_true", help="the specimen had the RT treatment")
    device(add(stages.exit_wave, "structure", "out"))
    command = add(stages.micrograph, "wave", "out")
    command.add_argument("--defocus", type=float, required=True, help="Å")
    device(command)
    add(stages.crops, "micrograph", "out")
    command = add(stages.diagrams, "crops", "out")
    command.add_argument("--first", type=int, help="first crop, from 0")
    command.add_argument("--last", type=int, help="crop to stop before")
    command = add(stages.join_diagrams, protocol=False)
    command.add_argument("parts", nargs="+", type=Path)
    command.add_argument("--out", type=Path, required=True)
    add(stages.persistence_images, "diagrams", "out")
    command = add(stages.descriptors, required=True)
    command.add_argument("micrographs", nargs="+", type=Path, help="one for each defocus")
    command.add_argument("--out", type=Path, required=True)
    command = add(stages.melt, "out", required=True)
    command.add_argument("--seed", type=int, required=True)
    add(stages.diagram_3d, "structure", "out", required=True)
    command = root(add(stages.figure, required=True))
    command.add_argument("name", choices=(*FIGURES, *EVALUATION_FIGURES, *TRIAL_FIGURES))
    command.add_argument("out", type=Path)
    for stage in STAGES:
        if stage.function:
            command = root(add(_declared(stage), "out", required=True, name=stage.verbs[0], does=stage.does))
            if stage.jobs:
                jobs(command)
    command = add(stages.description, "micrograph", "out")
    jobs(command)
    command = add(maps.map_micrograph, "micrograph", "out")
    command.add_argument("--model", type=Path, required=True, help="bundle folder")
    jobs(command)

    command = add(studies.check, protocol=False)
    command.add_argument("studies", nargs="+", type=Path)
    for publisher in (
        studies.publish,
        studies.publish_report,
        studies.publish_model,
        studies.publish_trial,
        studies.publish_unseen,
        studies.publish_overview,
    ):
        command = root(add(publisher, protocol=False))
        command.add_argument("study", help="study file, or a study as an inline mapping")
    add(maps.publish_map, "source", "out", protocol=False)
    command = root(add(studies.unused, protocol=False))
    command.add_argument("--remove", action="store_true", help="remove what is listed")
    add(studies.accuracy, "table", protocol=False)
    add(studies.record, "study", "docs", protocol=False)
    add(studies.record_maps, "study", "docs", protocol=False)
    command = root(add(studies.archive, protocol=False))
    command.add_argument("study", help="study file, or a study as an inline mapping")
    command.add_argument("out", type=Path, help="zip file")
    add(studies.verify, "folder", protocol=False)
    add(studies.reference, "folder", protocol=False)

    command = add(maps.map, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="DM3, DM4, EMD, MRC, SER, TIFF, HDF5")
    command.add_argument("--model", type=Path, required=True, help="bundle folder")
    command.add_argument("--out", type=Path, required=True, help="folder; each image gets one in it")
    command.add_argument("--step", type=float, default=3.0, help="distance of the windows, Å; by default 3")
    conditions(command)
    jobs(command)
    command = add(labels.label, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map")
    command.add_argument("--out", type=Path, required=True, help="folder that the labels are kept in")
    command.add_argument("--pixel-size", type=float, help="Å; where the files do not say; else the page asks")
    command.add_argument("--grey", action="store_true", help="take the mean of the channels of colour images")
    command.add_argument("--port", type=int, default=0, help="of the page's address; by default one that is free")
    command.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    command = add(maps.inspect, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map")
    command.add_argument("--model", type=Path, help="bundle folder: can this model judge them?")
    conditions(command)
    command = add(maps.explore, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map; they share their clusters")
    command.add_argument("--states", type=int, help="how many clusters, 2 to 8; by default as many as a criterion says")
    command.add_argument("--out", type=Path, help="folder; by default one in explored/, named after the first image")
    command.add_argument("--pixel-size", type=float, help="Å; where the files do not say, or say wrong")
    command.add_argument("--grey", action="store_true", help="take the mean of the channels of colour images")
    jobs(command)
    return parser


def _declared(stage: Stage) -> Callable[..., None]:
    """The verb of a stage whose function takes settings, root and file."""

    def verb(protocol: dict[str, Any], root: Path, out: Path, **jobs: int) -> None:
        compute = getattr(import_module(f"persistem.{stage.module}"), stage.function)
        compute(given(protocol), root, out, *jobs.values())

    return verb
