"""Studies that nobody would write: each becomes a plan, or is refused with a message that names the key."""

import argparse
import copy
import itertools
import math
import os
import random
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.plan.plan import Plan
from persistem.study import Study
from persistem.study.load import load_study, make_study
from persistem.study.settings import protocol_of
from support import hostile
from support.studies import ROOT, TINY

#: A plan of the largest of these studies takes two.
SECONDS = 60
STUDIES = {"tiny": TINY} | {
    name: yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("demo", "extended", "trial", "paper")
}
#: A study of labelled micrographs: a plan reads neither them nor their labels, so any file will do.
STUDIES["labelled"] = {
    "name": "labelled",
    "labelled": [
        {"path": str(ROOT / name), "labels": str(ROOT / "LICENSE"), "states": {1: "fine", "#ff0000": "coarse"}}
        for name in ("README.md", "Makefile")
    ],
    "model": {"candidates": [["filters"], ["contrast", "filters"]], "C": [1.0], "share": 0.5},
}
WRONG = [
    None, True, "", "x", " ", "π\n\t'\"{}", "a\x00b", "../../etc", "/", "1e999", "no", -1, 0, 1, -0.0, 0.5, 1e-300,
    1e308,
    2**63, 10**400, math.nan, math.inf, -math.inf, [], [[]], [None], [1, 1], ["x", "x"], [0.1] * 3, {}, {"": 1},
    {"x": None}, {"a.b": {"c": []}}, list(range(1, 2001)), "long" * 5000, [[[[[[[[1]]]]]]]],
]  # fmt: skip


def leaves(schema, here, path=(), seen=()):
    """Every setting of the schema that holds none itself, as keys and positions; unions once for each member."""
    if "$ref" in here:
        name = here["$ref"].rsplit("/", 1)[1]
        yield from leaves(schema, schema["$defs"][name], path, (*seen, name)) if seen.count(name) < 2 else ()
        return
    inner = [option for kind in ("anyOf", "oneOf") for option in here.get(kind, []) if option.get("type") != "null"]
    if inner:
        for option in inner:
            yield from leaves(schema, option, path, seen)
    elif "properties" in here:
        for key, value in here["properties"].items():
            yield from leaves(schema, value, (*path, key), seen)
    elif isinstance(here.get("additionalProperties"), dict):
        yield from leaves(schema, here["additionalProperties"], (*path, "one"), seen)
    elif "patternProperties" in here:
        for value in here["patternProperties"].values():
            yield from leaves(schema, value, (*path, "one"), seen)
    elif "$ref" in here.get("items", {}) or "items" in here.get("items", {}):
        yield from leaves(schema, here["items"], (*path, 0), seen)
    else:
        yield path


SCHEMA = Study.model_json_schema()
LEAVES = sorted(set(leaves(SCHEMA, SCHEMA)), key=str)


def put(study, path, value):
    """A copy of a study with one setting replaced; lists and sections that it lacks are made."""
    new = copy.deepcopy(study)
    here, key = new, path[0]
    for part, following in itertools.pairwise(path):
        wanted = list if isinstance(following, int) else dict
        there = here[part] if isinstance(here, list) and here else here.get(part) if isinstance(here, dict) else None
        if not isinstance(there, wanted):
            there = wanted()
        if isinstance(there, list) and not there:
            there.append({})
        here[part] = there
        here, key = there, following
    here[key] = value
    return new


def every_setting(study, path=()):
    """The place of every setting and section of a study."""
    items = study.items() if isinstance(study, dict) else enumerate(study) if isinstance(study, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from every_setting(value, (*path, key))


@contextmanager
def in_time():
    """An error after ``SECONDS`` of this process's own time, however busy the machine is."""

    def late(*_):
        raise AssertionError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome(study, named=()):
    """The plan of a study; None where it is refused with a message that has one of the names."""
    with in_time():
        try:
            return Plan(make_study(study))
        except PersistemError as error:
            message = str(error)
    assert not named or any(name in message for name in named), message[:600]
    assert len(message) < 200_000 and "Traceback" not in message
    return None


def test_every_setting_of_the_schema_is_reached():
    assert len(LEAVES) > 150
    keys = {path[-1] for path in LEAVES} | {part for path in LEAVES for part in path}
    assert {"C", "defoci", "seeds", "path", "vacuum", "share", "map_with", "crops_per_job", "clip_limit"} <= keys


@pytest.mark.parametrize("first", range(0, len(LEAVES), 20))
def test_a_setting_of_another_kind(first):
    for path in LEAVES[first : first + 20]:
        chosen = random.Random(str(path)).sample(WRONG, 4)
        names = [part for part in path if isinstance(part, str) and part != "one"]
        for value in [*chosen, "long" * 5000, 10**400]:
            outcome(put(STUDIES["labelled"] if path[0] == "labelled" else TINY, path, value), names)


#: Settings that are of the right kind, but too much, too little, or at odds with another; and what names them.
AT_ODDS = [
    ("imaging.field", 1e308), ("imaging.field", 1e6), ("imaging.field", 1e-300), ("imaging.thickness", 1e9),
    ("imaging.thickness", 1e-300), ("imaging.margin", 1e300), ("imaging.margin", 1e5),
    ("material.repetitions", [10**400, 1, 1]), ("material.repetitions", [10**30] * 3), ("imaging.pixels", 16),
    ("md.series", [{"temperatures": list(range(1, 99999)), "seeds": list(range(1, 9999))}]),
    ("md.series", [{"temperatures": [6000], "seeds": [1, 1]}]),
    ("states", {f"s{k}": {"temperature": 6000, "rt": True} for k in range(3000)}),
    ("states", {"abstained": {"temperature": 6000, "rt": True}, "b": {"temperature": 6000, "rt": False}}),
    ("material.crystal", {"formula": "GaN" * 3000, "structure": "wurtzite", "a": 3.19}),
    ("material.crystal", {"formula": "Zz9", "structure": "fcc", "a": 3.19}), ("potential.file", "/"),
    ("potential.file", "/dev/null"), ("material.file", "/dev/zero"), ("material.file", "/etc/hosts"),
    ("material.file", "x" * 300), ("micrographs", [{"path": "/dev/null"}]),
    ("structures", [{"path": "/etc/hosts", "state": "a", "seed": 1}, {"path": "/etc/hosts", "state": "a", "seed": 1}]),
    ("crops.size", 10**9), ("features", {}), ("features", {"x" * 41: {}}), ("figures.recipe", "nobody"),
    ("name", "crops"),
    ("name", ".."), ("name", "a/b"), ("imaging.defoci", [0.0, 0.01]), ("imaging.defoci", [1e300]),
    ("imaging.defoci", [1e308]),
    ("evaluation", {}), ("model", {"windows": {"size": 99}}), ("truth", {}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), AT_ODDS, ids=[f"{k}-{key}" for k, (key, _) in enumerate(AT_ODDS)])
def test_settings_at_odds_with_others_are_refused(key, value):
    assert outcome(put(TINY, key.split("."), value), [key.split(".")[-1]]) is None


def test_many_crops_are_counted_and_not_listed():
    many = put(put(put(TINY, ["imaging", "pixels"], 16384), ["crops", "stride"], 1), ["crops", "size"], 8)
    assert outcome(many, ["stride"]) is None


TRIAL = STUDIES["trial"]
CHOOSING, REPORTED, *_ = TRIAL["truth"]["splices"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"truth.field": 15.0}, "truth.field"),
        ({"truth.defoci": [1e308]}, "truth.defoci"),
        ({"truth.defoci": [0.01]}, "truth.defoci"),
        ({"truth.field": 20.0}, "truth.sizes"),
        ({"truth.splices": [CHOOSING], "truth.melts": []}, "truth.splices"),
        ({"truth.splices": [REPORTED | {"vacuum": [20.0, 10.0]}]}, r"truth.splices[0].vacuum"),
        ({"truth.splices": [CHOOSING, REPORTED | {"vacuum": [-1.0, 10.0]}]}, r"truth.splices[1].vacuum"),
        ({"truth.splices": [REPORTED | {"vacuum": [140.0, 151.0]}]}, r"truth.splices[0].vacuum"),
        ({"truth.melts": [TRIAL["truth"]["melts"][0] | {"seeds": [9, 2]}]}, r"truth.melts[0].seeds"),
    ],
)
def test_a_trial_that_could_say_nothing_is_refused(changes, named):
    study = TRIAL
    for key, value in changes.items():
        study = put(study, key.split("."), value)
    with pytest.raises(PersistemError, match=re.escape(named)):
        make_study(study)


def test_a_trial_with_a_strip_and_melts_alone_is_planned():
    assert outcome(put(TRIAL, ["truth", "splices"], [REPORTED | {"vacuum": [0.0, 80.0]}]))
    assert outcome(put(TRIAL, ["truth", "splices"], []))


def mutated(seed):
    """One of the studies with one to three settings of it changed, and the keys on the way to them."""
    random_ = random.Random(seed)
    name = list(STUDIES)[seed % len(STUDIES)]
    study, changed = copy.deepcopy(STUDIES[name]), []
    for _ in range(random_.choice([1, 1, 2, 3])):
        places = list(every_setting(study))
        path, other = random_.choice(places), random_.choice(places)
        here, there = study, study
        for part in path[:-1]:
            here = here[part]
        for part in other:
            there = there[part]
        kind = random_.choice(["wrong", "swap", "drop", "unknown", "twice", "nest"])
        if kind == "wrong":
            here[path[-1]] = copy.deepcopy(random_.choice(WRONG))
        elif kind == "swap":
            here[path[-1]] = copy.deepcopy(there)
        elif kind == "drop":
            del here[path[-1]]
        elif kind == "nest":
            here[path[-1]] = {path[-1]: [here[path[-1]]]}
        elif isinstance(here, list):
            here.append(copy.deepcopy(here[path[-1]]))
        else:
            key = random_.choice(["", "nonsense", "ö.ä", "steps ", 7, None])
            here[key] = copy.deepcopy(here[path[-1]])
            changed.append(str(key))
        changed += [part for part in (*path, *other) if isinstance(part, str)]
    return study, changed


PARTS = hostile.parts(300, each=30)


@pytest.mark.parametrize("part", [PARTS[0], *(pytest.param(part, marks=pytest.mark.slow) for part in PARTS[1:])])
def test_mutated_studies(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in part:
        study, changed = mutated(seed)
        with hostile.watched(tmp_path, writes=False), hostile.limits(SECONDS):
            # of more seeds, a message may as well name a setting that another one is at odds with
            outcome(study, changed if seed < 300 else ())


SNIPPETS = [
    "\0", "\n", "\t", "&a ", "*a ", "<<: *a", "{<<: [*a, *a]}", "!!int ''", "!!binary x", "!!python/name:os.system ",
    "../", "/dev/zero", "\x1b[2J", "[" * 300, "9" * 5000, ".nan", ".inf", "{digest}", "@1", "$(touch made)", "\n---\n",
    "? ", "- ", "|\n", "'", '"', "%TAG ", "\ud800", "é", "# ", ": ", "=",
]  # fmt: skip


def mutated_text(seed):
    """The file of one of the studies, with one to four places of its text changed."""
    random_ = random.Random(seed)
    text = yaml.safe_dump(STUDIES[list(STUDIES)[seed % len(STUDIES)]], default_flow_style=random_.random() < 0.2)
    for _ in range(random_.randrange(1, 5)):
        at, end = sorted(random_.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + 200)
        kind = random_.choice(["cut", "drop", "repeat", "insert", "insert", "flip"])
        if kind == "cut" and random_.random() < 0.2:
            text = text[:at]
        elif kind == "drop":
            text = text[:at] + text[end:]
        elif kind == "repeat":
            text = text[:end] + text[at:]
        elif kind == "insert":
            text = text[:at] + random_.choice(SNIPPETS) + text[at:]
        elif kind == "flip":
            text = text[:at] + chr(random_.randrange(1, 300)) + text[at + 1 :]
    return text


@pytest.mark.parametrize("part", hostile.parts(100))
def test_mutated_files(part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    for seed in part:
        path.write_bytes(mutated_text(seed).encode(errors="surrogatepass"))
        with hostile.watched(tmp_path, writes=False), hostile.limits():
            status = main(["check", "study.yaml"])
        out = "".join(capsys.readouterr())
        assert status in (0, 1) and "study.yaml" in out and "Traceback" not in out, (seed, out)
        assert out.replace("\n", "").isprintable() and len(out) < 200_000, (seed, out)


@pytest.mark.slow
def test_mutated_studies_that_have_a_plan_resolve(resolve):
    accepted = (mutated(seed)[0] for seed in range(0, 300, len(STUDIES)))
    of_tiny = [study for study in accepted if outcome(study)]
    assert len(of_tiny) > 3
    for study in of_tiny:
        assert resolve({"name": "tiny"} | study).jobs["exit_wave"]


#: What is wrong with a study's file, and what the message has to name.
BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k0: 1, k1: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}], {b}: 1}}\n" for a, b in itertools.pairwise("abcdefghijk")
)
WIDE = f"a: &a {{{', '.join(f'k{k}: 1' for k in range(2000))}}}\nb: {{<<: [{', '.join(['*a'] * 2000)}]}}\n"
FILES = {
    "tabs": (b"md:\n\tsteps: 3\n", "YAML"),
    "unclosed": (b"md: {steps: 3\n", "YAML"),
    "binary": (bytes(range(256)), "YAML"),
    "latin": ("name: 'é'\n".encode("latin-1"), "YAML"),
    "a list": (b"- a\n- b\n", "mapping"),
    "a text": (b"nothing\n", "mapping"),
    "a date": (b"md: {steps: 2026-99-99}\n", "YAML"),
    "a cycle": (b"md: &a {steps: *a}\n", "md"),
    "a bomb": (BOMB.encode(), "values"),
    "deep": (b"md: " + b"[" * 3000 + b"]" * 3000, ""),
    "deep enough": (b"md: " + b"[" * 60 + b"]" * 60, "md"),
    "merges": (MERGES.encode(), "merges"),
    "many merges": (WIDE.encode(), "merges"),
    "a merge of itself": (b"a: &a {<<: *a}\n", "YAML"),
    "very deep": (b"md: " + b"[" * 200_000, "deep"),
    "a long text": (b"md: " + b"x" * 200_000, "characters"),
    "many values": (b"md: [" + b"1," * 1_000_001, "values"),
    "base 60": (b"md: 1" + b":01" * 50_000, "characters"),
    "a tag": (b"md: !!int ''\n", "YAML"),
    "another tag": (b"md: !!timestamp x\n", "YAML"),
    "code": (b"md: !!python/object/apply:os.system [touch made]\n", "YAML"),
    "a number": (b"md: {steps: " + b"9" * 5000 + b"}", ""),
    "a key": (b"? [1, 2]\n: 3\n", ""),
    "wrong": (b"md: {steps: -3}\n", "md.steps"),
    "unknown": (b"mmd: {}\n", "mmd"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_study(kind, tmp_path):
    text, named = FILES[kind]
    path = tmp_path / "study.yaml"
    path.write_bytes(text)
    with in_time(), pytest.raises(PersistemError) as refused:
        load_study(path)
    assert "study.yaml" in str(refused.value) and named in str(refused.value) and len(str(refused.value)) < 20_000


@pytest.mark.parametrize("kind", FILES)
def test_settings_of_a_job_that_are_none(kind, tmp_path):
    (tmp_path / "stage.yaml").write_bytes(FILES[kind][0])
    protocol = str(tmp_path / "stage.yaml")
    for text in (protocol, "{a: " + FILES[kind][0].decode("latin-1") + "}"):
        with in_time(), suppress(argparse.ArgumentTypeError):
            assert isinstance(protocol_of(text), dict)
    assert not list(tmp_path.glob("made")) and not Path("made").exists()


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "large", "a\x00b"])
def test_files_that_never_end(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with open("large", "wb") as file:
        file.truncate(10**12)
    with pytest.raises(PersistemError):
        load_study(Path(path))
    with pytest.raises(argparse.ArgumentTypeError):
        protocol_of(path)
    assert main(["publish", "{a: [" + path]) == 1
    assert "command line: not valid YAML" in capsys.readouterr().err


def test_a_study_may_be_called_like_a_mapping(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("{digest} @1.yaml").write_text(yaml.safe_dump(TINY))
    assert main(["check", "{digest} @1.yaml"]) == 0 and protocol_of("{digest} @1.yaml") == TINY


def test_small_merges_and_aliases_are_taken(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("imaging: &a {voltage: 300}\nfeatures: {one: &o {bins: 32}, two: {<<: *o, bins: 16}}\n")
    study = load_study(path)
    assert study.imaging.voltage == 300 and [r.bins for r in study.features.values()] == [32, 16]


def test_an_empty_file_and_one_with_a_byte_order_mark_are_the_study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"")
    assert load_study(path).name == "study"
    path.write_bytes(b"\xef\xbb\xbfname: marked\n")
    assert load_study(path).name == "marked"
    with pytest.raises(PersistemError, match="cannot be read"):
        load_study(tmp_path)


def said(command, folder):
    """Exit status and output of a command line in this environment."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", FILES)
def test_persistem_check_says_what_is_wrong(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_bytes(FILES[kind][0])
    assert main(["check", "study.yaml"]) == 1
    text = "".join(capsys.readouterr())
    assert "study.yaml" in text and FILES[kind][1] in text and len(text) < 20_000


@pytest.mark.slow
def test_persistem_check_as_a_command(tmp_path):
    (tmp_path / "study.yaml").write_bytes(FILES["a bomb"][0])
    status, text = said(["persistem", "check", "study.yaml"], tmp_path)
    assert status == 1 and "Traceback" not in text and "study.yaml" in text and "values" in text, text[-2000:]
    assert len(text) < 20_000


# what is no YAML, or a cycle, Snakemake itself stumbles over before it reads the Snakefile
@pytest.mark.parametrize("kind", ["a bomb", "wrong", "unknown", "deep enough"])
def test_the_snakefile_says_what_is_wrong(kind, resolve, tmp_path):
    (tmp_path / "study.yaml").write_bytes(FILES[kind][0])
    with pytest.raises(SystemExit) as stopped:
        resolve(tmp_path / "study.yaml")
    text = str(stopped.value)
    assert text.startswith("persistem: ") and "study.yaml" in text and FILES[kind][1] in text and len(text) < 20_000


def test_the_snakefile_says_that_a_folder_cannot_be_written(resolve, tmp_path):
    """As in a read-only checkout: root may write where others may not, but not a folder in place of a file."""
    (tmp_path / ".snakemake").write_text("")
    with pytest.raises(SystemExit) as stopped:
        resolve(TINY)
    text = str(stopped.value)
    assert (
        text.startswith(f"persistem: {tmp_path}: cannot be written") and f"-s {ROOT / 'Snakefile'} --directory" in text
    )


@pytest.mark.slow
def test_snakemake_says_what_is_wrong(tmp_path):
    (tmp_path / "study.yaml").write_bytes(FILES["wrong"][0])
    status, text = said(["snakemake", "-n", "-s", str(ROOT / "Snakefile"), "--configfile", "study.yaml"], tmp_path)
    assert status != 0 and "Traceback" not in text and "study.yaml" in text, text[-2000:]
    assert len(text) < 20_000


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"md": {"steps": -1}}, "md.steps"),
        ({"nonsense": 1}, "nonsense"),
        ({"imaging": [1]}, "imaging"),
        ({"name": "/"}, "name"),
    ],
)
def test_overrides_that_are_no_settings(overrides, named, resolve):
    with pytest.raises(SystemExit) as stopped:
        resolve(overrides)
    assert str(stopped.value).startswith("persistem: ") and named in str(stopped.value)


@pytest.mark.slow
def test_overrides_of_the_command_line(tmp_path):
    status, text = said(["snakemake", "-n", "-s", str(ROOT / "Snakefile"), "--config", "md={steps: -1}"], tmp_path)
    assert status != 0 and "md.steps" in text and "Traceback" not in text, text[-2000:]
