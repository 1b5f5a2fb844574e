"""Every command and every snippet in the documents is one: the programs' own parsers take it, and what it names exists.

What runs them: the workflow's targets in ``test_dag.py`` and ``test_workflow.py``, the verbs in ``test_cli.py`` and
``test_map_command.py``, and what is in ``RUN_BY``.
"""

import ast
import builtins
import importlib
import inspect
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from persistem.study import Study
from persistem.study.load import make_study
from persistem.study.values import numbers
from support.studies import ROOT
from test_documents import ALL, EXAMPLES, resolves, text_of

DOCUMENTS = [*ALL, "config/README.md", "results/README.md"]
#: Indented blocks that show no commands begin so: pictures, and what a run prints.
SHOWN = ("crystal ──MD──▶", "stage  ", "━━━")
#: What opens and closes a loop of the shell.
LOOP = re.compile(r"for (\w+) in (\w+)[\w ]*; do$|done$")
#: Programs that code in a sentence may call.
PROGRAMS = {
    "persistem",
    "snakemake",
    "make",
    "python",
    "pytest",
    "source",
    "bash",
    "pipx",
    "pre-commit",
    "apt-get",
    "cd",
}
#: Commands of other programs, and the test that runs them, or why none does.
RUN_BY = {
    "source .venv/bin/activate": "tests/test_install.py::"
    "test_the_first_call_installs_and_says_one_sentence_and_the_next_has_nothing_to_do",
    "unzip -q demo.crate.zip -d demo": "tests/test_archive.py::test_what_was_unpacked_is_what_was_archived",
    "cd demo": "tests/test_archive.py::test_what_was_unpacked_is_what_was_archived",
    "bash tests/slurm_up.sh install": "by hand: it installs Slurm as root",
    "apt-get install chromium": "by hand: it installs Chromium as root",
    "pipx install pre-commit": "by hand: it needs the network",
    "pre-commit install": "by hand: it changes the hooks of the checkout",
}
#: Python in the documents that a test runs; the rest is compiled, and its names and calls are looked up.
SNIPPETS_RUN_BY = {
    (
        "docs/using.md",
        "simulated_with",
    ): "tests/test_cli.py::test_an_exit_wave_of_the_workflow_knows_what_it_was_simulated_with",
}


def fences(document):
    return re.findall(r"^```(\w*)\n(.*?)^```$", text_of(document), re.M | re.S)


def lines(document):
    """The lines of a document's blocks of commands."""
    for language, block in fences(document):
        if language in ("sh", "bash", "console"):
            yield from block.splitlines()
    unfenced = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.M | re.S)
    for block in re.findall(r"(?:^|\n\n)((?: {4}.*(?:\n|$))+)", unfenced):
        if not block.lstrip().startswith(SHOWN):
            yield from block.splitlines()


def mentioned(document):
    """Commands in the sentences of a document: code of several words that begins with a program."""
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text_of(document), flags=re.M | re.S)):
        if len(words(code)) > 1 and words(code)[0] in PROGRAMS:
            yield code


def words(command):
    """A command as a list of words, without variables before it and the folder of its program."""
    split = shlex.split(command, comments=True)
    while split and re.fullmatch(r"[A-Z]+=\w*", split[0]):
        split = split[1:]
    return [split[0].removeprefix(".venv/bin/"), *split[1:]] if split else []


def commands(document):
    """Every command of a document, once."""
    listed, loop = [], None
    for line in map(str.strip, lines(document)):
        if loops := LOOP.match(line):
            loop = loops if loops[1] else None
        else:  # in a loop, the first of its values
            listed.append(line.replace(f"${loop[1]}", loop[2]) if loop else line)
    parts = [part.strip() for line in [*listed, *mentioned(document)] for part in line.split("&&")]
    return list(dict.fromkeys(part for part in parts if words(part)))


def problem(command):
    """What is wrong with a command, or an empty string."""
    program, *rest = words(command)
    if (check := CHECKS.get(program)) is None:
        return "" if " ".join([program, *rest]) in RUN_BY else "no test covers it; see RUN_BY"
    try:
        return check(rest) or ""
    except SystemExit as stopped:  # a parser's
        return "" if stopped.code == 0 else "its program does not take these words"


def persistem(rest):
    from persistem.commands.parser import parsed

    if set(Path(rest[0]).parts) & EXAMPLES:
        return ""
    if (len(rest) == 1 and not rest[0].startswith("-")) or "…" in rest:  # names the verb
        rest = [rest[0], "--help"]
    options = parsed(rest)
    return unknown_study([*options.get("studies", []), options.get("study")])


def unknown_study(files):
    """The first of study files that is neither there nor an example."""
    here = [Path(file) for file in files if str(file).endswith(".yaml")]
    missing = [file for file in here if file.stem not in EXAMPLES | {"study"} and not (ROOT / file).exists()]
    return f"{missing[0]} is not there" if missing else ""


@cache
def snakemake_parser():
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


@cache
def rules():
    files = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    return {name for file in files for name in re.findall(r"^(?:rule|checkpoint) (\w+):", file.read_text(), re.M)}


def snakemake(rest):
    options = snakemake_parser().parse_args([word for word in rest if word != "…"])
    if strange := set(options.targets) - rules():
        return f"{strange} is no rule"
    for profile in options.profile or []:
        if not (ROOT / profile).is_dir():
            return f"{profile} is no profile"
    if options.config:
        make_study({name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in options.config)})
    return unknown_study(options.configfile or [])


def make(rest):
    done = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True)
    return done.stderr


def python(rest):
    return "" if (ROOT / rest[0]).is_file() else f"{rest[0]} is not there"


def pytest_(rest):
    files = [word for word in rest if word.endswith(".py")]
    return "" if all((ROOT / file).is_file() for file in files) else f"{files} are not there"


CHECKS = {"persistem": persistem, "snakemake": snakemake, "make": make, "python": python, "pytest": pytest_}


def strange_names(block):
    """What a block of Python imports or calls and is not there, or cannot be called so."""
    tree = ast.parse(block)
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                if node.module.startswith("persistem") and not resolves(full):
                    if not set(full.split(".")) & EXAMPLES:
                        yield full
                    continue
                known[name.asname or name.name] = found(node.module, name.name)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function, named = call.func, ast.unparse(call.func)
        owner = known.get(function.value.id) if dotted(function) else None
        called = getattr(owner, function.attr, None) if dotted(function) else known.get(getattr(function, "id", ""))
        if owner is not None and called is None:
            yield named
        starred = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
        if inspect.isfunction(called) and not starred:
            try:
                inspect.signature(called).bind(*call.args, **{k.arg: k.value for k in call.keywords})
            except TypeError as error:
                yield f"{named}: {error}"


def dotted(function):
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)


def found(module, name):
    owner = importlib.import_module(module)
    return getattr(owner, name, None) or getattr(builtins, name, None) or importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_a_document_is_covered(document, capsys):
    wrong = {command: said for command in commands(document) if (said := problem(command))}
    assert not wrong, capsys.readouterr().err


def test_commands_are_seen_wherever_they_stand(monkeypatch):
    page = (
        "Say `persistem check a.yaml` or `CORES=8 make test`, not `persistem.study` and `results/`.\n\n"
        "    snakemake -n   # and so on\n    .venv/bin/persistem verify . && cd demo\n\nThen\n\n"
        "    stage    jobs  time\n    crops 3\n\n```sh\nmake lint\n```\n\n```\nnot one\n```\n"
    )
    monkeypatch.setitem(globals(), "text_of", lambda _: page)
    assert commands("a.md") == [
        "make lint", "snakemake -n   # and so on", ".venv/bin/persistem verify .", "cd demo", "persistem check a.yaml",
        "CORES=8 make test",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "persistem chekc config/demo.yaml",
        "persistem map a.dm4 --out maps",
        "persistem archive config/none.yaml a.zip",
        "persistem micrograph wave.zarr out.tif",
        "snakemake --coers 4",
        "snakemake figuers",
        "snakemake --profile none",
        "snakemake --configfile config/none.yaml",
        "make everything",
        "python docs/none.py",
        "pytest tests/test_none.py",
        "docker run persistem",
        "conda activate persistem",
    ],
)
def test_a_command_that_is_none_is_seen(command, capsys):
    assert problem(command)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_snippets_of_python_name_and_call_what_is_there(document):
    blocks = [block for language, block in fences(document) if language == "python"]
    assert not [name for block in blocks if not block.startswith("module ") for name in strange_names(block)]


def test_a_snippet_that_names_or_calls_what_is_not_there_is_seen():
    given = (
        "from persistem import api\nfrom persistem.nothing import x\nm = api.load()\napi.lode('a')\napi.plot(m, m)\n"
    )
    assert [said.split(":")[0] for said in strange_names(given)] == ["persistem.nothing.x", "api.load", "api.lode"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_of_yaml_are_parts_of_a_study(document):
    for language, block in fences(document):
        if language == "yaml":
            Study.model_validate(numbers(yaml.safe_load(block)) | {"name": "mine"})


@pytest.mark.parametrize("place", [place for place in (RUN_BY | SNIPPETS_RUN_BY).values() if "::" in place])
def test_the_tests_that_run_commands_exist(place):
    file, _, name = place.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.M)


def test_the_snippets_that_are_run_are_there():
    for document, name in SNIPPETS_RUN_BY:
        assert any(name in block for language, block in fences(document) if language == "python")
