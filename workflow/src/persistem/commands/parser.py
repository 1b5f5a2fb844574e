"""The command line: its verbs by task, their arguments and examples.

``persistem --help`` has to come at once: nothing is imported here, or in the modules of the verbs, that takes long.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from persistem.commands import labels, maps, stages, start, studies
from persistem.report.figures import EVALUATION_FIGURES, FIGURES, JOINT_FIGURES, TRIAL_FIGURES
from persistem.store.stages import STAGES, Stage

Verb = Callable[..., None]

ABOUT = "Which state of matter is this region of my TEM image? Persistent homology of simulated and real micrographs."
WIDTH = 80

#: The verbs that people call, by task, with examples.
TASKS: dict[str, dict[Verb, tuple[str, ...]]] = {
    "Start": {
        start.new: ("persistem new mine --from demo", "persistem new grid-1 --from labelled"),
        studies.check: ("persistem check mine.yaml",),
        start.run: (
            "persistem run mine.yaml --cores 4",
            "persistem run mine.yaml report --cores 4",
            "persistem run mine.yaml -- -n",
            "persistem run mine.yaml --slurm",
        ),
    },
    "Micrographs": {
        labels.label: ("persistem label a.dm4 b.dm4 --out grid-1",),
        maps.explore: ("persistem explore a.dm4", "persistem explore a.dm4 b.dm4 --states 3 --out alike"),
        maps.map: (
            "persistem map a.dm4 --model results/demo/model --out maps",
            "persistem map a.tif --model results/demo/model --out maps --pixel-size 0.2 --voltage 200 --defocus 0",
        ),
        maps.inspect: ("persistem inspect a.dm4", "persistem inspect a.dm4 --model results/demo/model"),
        maps.conditions: ("persistem conditions a.dm4", "persistem conditions a.tif --pixel-size 0.2 --voltage 200"),
        maps.models: ("persistem models", "persistem models gan-200kV"),
    },
    "Studies and results": {
        studies.accuracy: ("persistem accuracy results/demo/tables/accuracy.csv",),
        studies.archive: ("persistem archive mine.yaml mine.crate.zip",),
        studies.verify: ("persistem verify .", "persistem verify results"),
        studies.unused: ("persistem unused", "persistem unused --remove"),
        studies.forces: ("persistem forces mine.yaml",),
        studies.record: ("persistem record results/paper docs",),
        studies.record_materials: ("persistem record-materials results/silicon results/density --docs docs",),
        studies.record_maps: ("persistem record-maps results/trial docs",),
        studies.record_protocols: ("persistem record-protocols results/reconstruction-search docs",),
        studies.reference: ("persistem reference config",),
    },
}
#: The verbs that jobs of the workflow call, beside those that ``store.stages`` declares with a function.
OF_JOBS: dict[Verb, str] = {
    stages.heat: "mpiexec -n 2 persistem heat hot --temperature 6000 --seed 1",
    stages.treat: "mpiexec -n 2 persistem treat hot/end.restart cold --seed 1",
    stages.follow: "mpiexec -n 2 persistem follow glass --seed 1 --restart melt/end.restart --protocol stage.yaml",
    stages.structure: "persistem structure specimen --protocol '{path: mine.xyz}'",
    stages.preparation: "persistem preparation a.extxyz b.extxyz --out stacked --protocol stage.yaml",
    stages.exit_wave: "persistem exit-wave structure.extxyz wave.zarr --protocol '{voltage: 300}'",
    stages.micrograph: "persistem micrograph wave.zarr image.tif --defocus -25",
    stages.varied: "persistem varied wave.zarr images.npz --protocol stage.yaml",
    stages.crops: "persistem crops image.tif crops.tif --protocol '{crops: {size: 64, stride: 64}}'",
    stages.diagrams: "persistem diagrams crops.tif diagrams.parquet",
    stages.join_diagrams: "persistem join-diagrams first.parquet second.parquet --out all.parquet",
    stages.persistence_images: "persistem persistence-images diagrams.parquet images.parquet",
    stages.specimen_diagrams: "persistem specimen-diagrams image.tif --out diagrams.parquet --protocol stage.yaml",
    stages.descriptors: "persistem descriptors image.tif --out descriptors.parquet --protocol stage.yaml",
    stages.melt: "mpiexec -n 2 persistem melt melted --seed 1 --protocol stage.yaml",
    stages.diagram_3d: "persistem diagram-3d structure.extxyz diagram.pdgm --protocol stage.yaml",
    stages.figure: "persistem figure figure-1.json --protocol stage.yaml",
    stages.description: "persistem description a.dm4 a.npz --protocol stage.yaml",
    maps.map_micrograph: "persistem map-micrograph a.dm4 map --model results/demo/model",
    studies.publish: "persistem publish mine.yaml",
    studies.publish_report: "persistem publish-report mine.yaml",
    studies.publish_model: "persistem publish-model mine.yaml",
    studies.publish_trial: "persistem publish-trial mine.yaml",
    studies.publish_unseen: "persistem publish-unseen mine.yaml",
    studies.publish_overview: "persistem publish-overview mine.yaml",
    maps.publish_map: "persistem publish-map results/maps/0123456789ab/a results/mine/maps/a",
}


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """The options of a command line, and under ``verb`` the function that takes them; SystemExit as of argparse.

    What stands after ``--`` in ``persistem run`` is for Snakemake.
    """
    parser = _parser()
    arguments, more = list(arguments), []
    if arguments[:1] == ["run"] and "--" in arguments:
        cut = arguments.index("--")
        arguments, more = arguments[:cut], arguments[cut + 1 :]
    known, rest = parser.parse_known_args(arguments)
    options = vars(known)
    if options["verb"] is start.run:
        # argparse takes targets only where they stand right after the study
        options["targets"] += [word for word in rest if not word.startswith("-")]
        rest, options["more"] = [word for word in rest if word.startswith("-")], more
    if rest:
        hint = "; options of Snakemake stand after --" if options["verb"] is start.run else ""
        parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    return options


def list_stages() -> None:
    """say what each stage of the workflow does, whose verbs its jobs call"""
    print(_listed({name_of(verb): _does(verb) for verb in OF_JOBS} | _declared_names()))


def name_of(verb: Verb) -> str:
    """What a verb is called on the command line."""
    return {list_stages: "stages"}.get(verb, verb.__name__.replace("_", "-"))


def _does(verb: Verb) -> str:
    return (verb.__doc__ or "").splitlines()[0]


def _declared_names() -> dict[str, str]:
    return {stage.verbs[0]: stage.does for stage in STAGES if stage.function}


def _listed(does: dict[str, str]) -> str:
    """Verbs and what they do, in two columns."""
    left = max(map(len, does)) + 4
    return "\n".join(
        textwrap.fill(about, WIDTH, initial_indent=f"  {name:{left - 2}}", subsequent_indent=" " * left)
        for name, about in does.items()
    )


def _overview() -> str:
    """The verbs by task, and examples: what ``persistem --help`` ends with."""
    parts = [f"{task}:\n{_listed({name_of(verb): _does(verb) for verb in verbs})}" for task, verbs in TASKS.items()]
    of_jobs = ", ".join([*map(name_of, OF_JOBS), *_declared_names()])
    said = "what the workflow's jobs call, and you can by hand; `persistem stages` says what each does."
    parts.append(textwrap.fill(f"Stages: {said}", WIDTH, subsequent_indent="  "))
    parts[-1] += "\n" + textwrap.fill(
        of_jobs, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    first = [examples[0] for verbs in TASKS.values() for examples in list(verbs.values())[:3]][:6]
    parts.append(_examples(first))
    return "\n\n".join([*parts, "`persistem VERB --help` has the options and examples of a verb."])


def _examples(commands: Sequence[str]) -> str:
    return "examples:\n" + "\n".join(f"  {command}" for command in commands)


class _Version(argparse.Action):
    """Print the version, which is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"persistem {version('persistem')}")
        except PackageNotFoundError:
            print("persistem, not installed: its version is not known")
        parser.exit()


def _protocol(text: str) -> dict[str, Any]:
    from persistem.study.settings import protocol_of

    return protocol_of(text)


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="persistem",
        usage="persistem [-h] [--version] VERB …",
        description=textwrap.fill(ABOUT, WIDTH),
        epilog=_overview(),
        formatter_class=plain,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit"
    )
    commands = parser.add_subparsers(required=True, metavar="VERB", prog="persistem", help=argparse.SUPPRESS)
    examples = {verb: some for verbs in TASKS.values() for verb, some in verbs.items()}
    examples |= {verb: (one,) for verb, one in OF_JOBS.items()} | {list_stages: ("persistem stages",)}

    def add(verb: Verb, *positional: str, protocol: bool = True, required: bool = False) -> argparse.ArgumentParser:
        name = name_of(verb)
        command = commands.add_parser(
            name,
            description=textwrap.fill(_does(verb), WIDTH),
            epilog=_examples(examples.get(verb, (f"persistem {name} out --protocol stage.yaml",))),
            formatter_class=plain,
        )
        command.set_defaults(verb=verb)
        for argument in positional:
            command.add_argument(argument, type=Path)
        if protocol:
            command.add_argument(
                "--protocol",
                type=_protocol,
                default={},
                required=required,
                help="the stage's settings, inline YAML or a file; by default the paper's",
            )
        return command

    _start(add)
    _micrographs(add)
    _studies(add)
    _of_jobs(add)
    add(list_stages, protocol=False)
    return parser


def _root(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--root", type=Path, default=Path(), help="the folder that holds results/")
    return command


def _jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--jobs", type=int, default=1, help="processes")


def _grey(command: argparse.ArgumentParser) -> None:
    command.add_argument("--grey", action="store_true", help="take the mean of the channels of colour images")


def _start(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add(start.new, protocol=False)
    command.add_argument("name", help="of the study, whose file is NAME.yaml in this folder")
    command.add_argument(
        "--from", dest="template", choices=start.TEMPLATES, default="demo", help="what to start from; by default demo"
    )
    command = add(studies.check, protocol=False)
    command.add_argument("studies", nargs="+", type=Path)
    command = add(start.run, protocol=False)
    command.usage = "persistem run [-h] [--cores N] [--slurm] study [target ...] [-- OPTION ...]"
    command.add_argument("study", type=Path, help="study file; paths in it start in this folder")
    command.add_argument("targets", nargs="*", metavar="target", help="how far to go, e.g. report; docs/using.md")
    command.add_argument("--cores", metavar="N", default=start.CORES, help=f"cores to use; by default {start.CORES}")
    command.add_argument("--slurm", action="store_true", help="submit the jobs to Slurm")
    command.add_argument_group("OPTION", "options of Snakemake, e.g. -n, which says what would be done")


def _micrographs(add: Callable[..., argparse.ArgumentParser]) -> None:
    def conditions(command: argparse.ArgumentParser) -> None:
        for option, unit in (("--pixel-size", "Å"), ("--voltage", "kV"), ("--defocus", "Å, underfocus positive")):
            command.add_argument(option, type=float, help=f"{unit}; where the files do not say, or say wrong")
        _grey(command)
        command.add_argument("--force", action="store_true", help="use these also where they contradict the files")

    bundle = "bundle folder, or the name of a model that comes with the package (persistem models)"
    command = add(maps.map, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="DM3, DM4, EMD, MRC, SER, TIFF, HDF5")
    command.add_argument("--model", type=Path, required=True, help=bundle)
    command.add_argument("--out", type=Path, required=True, help="folder; each image gets one in it")
    command.add_argument("--step", type=float, default=3.0, help="distance of the windows, Å; by default 3")
    conditions(command)
    _jobs(command)
    command = add(labels.label, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map")
    command.add_argument("--out", type=Path, required=True, help="folder that the labels are kept in")
    command.add_argument("--pixel-size", type=float, help="Å; where the files do not say; else the page asks")
    _grey(command)
    command.add_argument("--port", type=int, default=0, help="of the page's address; by default one that is free")
    command.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    command = add(maps.inspect, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map")
    command.add_argument("--model", type=Path, help=f"{bundle}: can this model judge them?")
    conditions(command)
    command = add(maps.conditions, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map")
    for option, unit in (("--pixel-size", "Å"), ("--voltage", "kV")):
        command.add_argument(option, type=float, help=f"{unit}; where the files do not say, or say wrong")
    command.add_argument("--Cs", type=float, default=0.0, help="spherical aberration, mm; by default 0")
    command.add_argument("--force", action="store_true", help="use these also where they contradict the files")
    _grey(command)
    command = add(maps.explore, protocol=False)
    command.add_argument("images", nargs="+", type=Path, help="as of map; they share their clusters")
    command.add_argument("--states", type=int, help="how many clusters, 2 to 8; by default as many as a criterion says")
    command.add_argument("--out", type=Path, help="folder; by default one in explored/, named after the first image")
    command.add_argument("--pixel-size", type=float, help="Å; where the files do not say, or say wrong")
    _grey(command)
    _jobs(command)
    command = add(maps.models, protocol=False)
    command.add_argument("name", nargs="?", help="show this model's card")


def _studies(add: Callable[..., argparse.ArgumentParser]) -> None:
    for publisher in (
        studies.publish,
        studies.publish_report,
        studies.publish_model,
        studies.publish_trial,
        studies.publish_unseen,
        studies.publish_overview,
    ):
        command = _root(add(publisher, protocol=False))
        command.add_argument("study", help="study file, or a study as an inline mapping")
    command = _root(add(studies.unused, protocol=False))
    command.add_argument("--remove", action="store_true", help="remove what is listed")
    add(studies.accuracy, "table", protocol=False)
    command = add(studies.record, "study", "docs", protocol=False)
    command.add_argument("--figures", nargs="*", default=[], help="the figures to show (all)")
    add(studies.record_maps, "study", "docs", protocol=False)
    command = add(studies.record_materials, protocol=False)
    command.add_argument("studies", type=Path, nargs="+", help="folders of finished studies, results/STUDY")
    command.add_argument("--docs", type=Path, required=True, help="folder that gets the page and its figure")
    command = add(studies.record_protocols, "study", "docs", protocol=False)
    command.add_argument("--beside", type=Path, nargs="*", default=[], help="studies whose claims are compared")
    command = _root(add(studies.archive, protocol=False))
    command.add_argument("study", help="study file, or a study as an inline mapping")
    command.add_argument("out", type=Path, help="zip file")
    command = add(studies.forces, protocol=False)
    command.add_argument("study", help="study file, or a study as an inline mapping")
    add(studies.verify, "folder", protocol=False)
    add(studies.reference, "folder", protocol=False)


def _of_jobs(add: Callable[..., argparse.ArgumentParser]) -> None:
    def device(command: argparse.ArgumentParser) -> None:
        command.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where abTEM computes")

    command = add(stages.heat, "out")
    command.add_argument("--temperature", type=int, required=True, help="K")
    command.add_argument("--seed", type=int, required=True)
    command = add(stages.treat, "restart", "out")
    command.add_argument("--seed", type=int, required=True)
    command = add(stages.follow, "out", required=True)
    command.add_argument("--seed", type=int, required=True)
    command.add_argument("--restart", type=Path, help="end.restart of the step before; of the first there is none")
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
    device(add(stages.varied, "wave", "out", required=True))
    add(stages.crops, "micrograph", "out")
    command = add(stages.diagrams, "crops", "out")
    command.add_argument("--first", type=int, help="first crop, from 0")
    command.add_argument("--last", type=int, help="crop to stop before")
    command = add(stages.join_diagrams, protocol=False)
    command.add_argument("parts", nargs="+", type=Path)
    command.add_argument("--out", type=Path, required=True)
    add(stages.persistence_images, "diagrams", "out")
    for verb in (stages.descriptors, stages.specimen_diagrams):
        command = add(verb, required=True)
        command.add_argument("micrographs", nargs="+", type=Path, help="one for each defocus")
        command.add_argument("--out", type=Path, required=True)
    command = add(stages.melt, "out", required=True)
    command.add_argument("--seed", type=int, required=True)
    add(stages.diagram_3d, "structure", "out", required=True)
    command = _root(add(stages.figure, required=True))
    command.add_argument("out", type=_figure_file, help="the figure's name, with .json")
    for stage in STAGES:
        if stage.function:
            command = _root(add(_declared(stage), "out", required=True))
            if stage.jobs:
                _jobs(command)
    _jobs(add(stages.description, "micrograph", "out"))
    command = add(maps.map_micrograph, "micrograph", "out")
    command.add_argument("--model", type=Path, required=True, help="bundle folder")
    _jobs(command)
    add(maps.publish_map, "source", "out", protocol=False)


def _figure_file(text: str) -> Path:
    names = [f"{name}.json" for name in (*FIGURES, *EVALUATION_FIGURES, *JOINT_FIGURES, *TRIAL_FIGURES)]
    if (path := Path(text)).name not in names:
        raise argparse.ArgumentTypeError(f"no figure is called so; there are {', '.join(names)}")
    return path


def _declared(stage: Stage) -> Verb:
    """The verb of a stage whose function takes settings, root and file."""

    def verb(protocol: dict[str, Any], root: Path, out: Path, **jobs: int) -> None:
        from persistem.study.settings import given

        compute = getattr(import_module(f"persistem.{stage.module}"), stage.function)
        compute(given(protocol), root, out, *jobs.values())

    verb.__name__, verb.__doc__ = stage.verbs[0].replace("-", "_"), stage.does
    return verb
