"""A finished study as one file: what is in it, what is refused, what is noticed, and a run that starts from it."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from persistem.commands.cli import main
from persistem.errors import PersistemError
from persistem.plan.plan import Plan
from persistem.publication import archive as archiving
from persistem.publication import csvw
from persistem.publication.publish import refresh
from persistem.publication.verify import varies, verify
from persistem.store import paths, seals
from persistem.study.load import load_study, make_study
from support import hostile
from support.pretended import pretend
from support.studies import ROOT, TINY
from support.workflow import SILICON, copied, snakemake

PLAN = Plan(make_study(TINY))


@pytest.fixture(scope="module")
def packed(pretended, tmp_path_factory):
    """The archive of the pretended study."""
    path = tmp_path_factory.mktemp("packed") / "tiny.zip"
    archiving.archive(PLAN, pretended, path, "snakemake")
    return path


@pytest.fixture
def crate(packed, tmp_path):
    """Its archive, unpacked."""
    with zipfile.ZipFile(packed) as file:
        file.extractall(tmp_path / "crate")
    return tmp_path / "crate"


def said(capsys, status, *arguments):
    """What a verb prints."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == status
    out = capsys.readouterr()
    text = out.err if status else out.out
    assert text.count("\n") == 1 and text.startswith("persistem: ") == bool(status)
    return text


# what is in it


def test_it_has_the_workflow_the_study_what_it_shows_and_its_specimens(crate, pretended):
    names = {str(f.relative_to(crate)) for f in crate.rglob("*") if f.is_file()}
    for name in ("Snakefile", "workflow/rules/common.smk", "workflow/src/persistem/plan/plan.py", "config/paper.yaml"):
        assert (crate / name).read_bytes() == (ROOT / name).read_bytes()
    assert {"envs/learning.yaml", "profiles/default/config.yaml", "requirements.lock", "LICENSE", "Makefile"} <= names
    assert Plan(make_study(yaml.safe_load((crate / "study.yaml").read_text()))).study_digest == PLAN.study_digest
    shown = {str(f.relative_to(pretended)) for f in (pretended / "results/tiny").rglob("*") if f.is_file()}
    kept = {*PLAN.files("specimens"), *map(PLAN.summary, PLAN.specimens)}
    own = {str(seals_of(name)) for name in kept}
    assert {name for name in names if name.startswith("results/")} == shown | kept | own
    index = json.loads((crate / "seals/seals.json").read_text())
    sealed = {seal["path"]: seal["sha256"] for seal in index["seals"]}
    for stage in paths.of_part("tables"):
        assert all(sealed[file] == seals.sha256(pretended / file) for file in PLAN.files(stage))
    assert index["digest"] == PLAN.study_digest
    text = (crate / "RUN.md").read_text()
    assert "snakemake --cores 2 report --configfile study.yaml" in text and "persistem verify ." in text


def seals_of(name):
    return name.replace("results/", "results/seals/", 1) + ".json"


def test_the_metadata_is_of_a_workflow_ro_crate(crate):
    from rocrate.rocrate import ROCrate

    found = ROCrate(crate)
    profiles = [getattr(e, "id", e) for e in found.metadata["conformsTo"]]
    assert "https://w3id.org/ro/crate/1.1" in profiles
    assert any(id.startswith("https://w3id.org/workflowhub/workflow-ro-crate/") for id in profiles)
    workflow = found.mainEntity
    assert workflow.id == "Snakefile" and {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= {*workflow.type}
    assert workflow["programmingLanguage"]["name"] == "Snakemake"
    root = found.root_dataset
    assert root["name"] and root["description"] and root["datePublished"] == "2026-01-02"
    assert root["license"].id.startswith("https://spdx.org/licenses/")
    for entity in found.data_entities:
        assert (crate / entity.id).exists(), entity.id
        if entity.type == "File":
            assert entity["sha256"] == seals.sha256(crate / entity.id)
    names = {entity.id for entity in found.data_entities}
    assert {"study.yaml", "results/tiny/tables/accuracy.csv", "workflow/", "results/specimens/"} <= names
    run = found.get("#run")
    assert run["instrument"].id == "Snakefile" and [e.id for e in run["object"]] == ["study.yaml"]
    assert "results/tiny/figures/figure-1.png" in {e.id for e in run["result"]}


def test_the_same_study_is_the_same_archive(packed, pretended, tmp_path):
    archiving.archive(Plan(make_study(TINY)), pretended, tmp_path / "again.zip", "snakemake")
    assert seals.sha256(tmp_path / "again.zip") == seals.sha256(packed)
    with zipfile.ZipFile(packed) as file:
        names = file.namelist()
        hot, treated = (
            paths.path("specimens", PLAN.digest("specimens", f"T6000-rt{k}-s01"), f"T6000-rt{k}-s01") for k in (0, 1)
        )
        assert names.index(hot) < names.index(treated)  # so that unpacking makes no source the newer one
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_own_files_travel_with_the_study(tmp_path, monkeypatch):
    from ase.build import bulk

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    bulk("Si", cubic=True).write("mine/a.xyz", format="extxyz")
    bulk("Ge", cubic=True).write(tmp_path / "b.xyz", format="extxyz")
    bulk("C", cubic=True).write("workflow", format="extxyz")
    listed = ["mine/a.xyz", str(tmp_path / "b.xyz"), "workflow"]
    plan = Plan(make_study({"structures": [{"path": p, "state": f"s{k}", "seed": 1} for k, p in enumerate(listed)]}))
    study, files = archiving.own(plan)
    assert [one["path"] for one in study["structures"]] == ["mine/a.xyz", "inputs/b.xyz", "inputs/workflow"]
    for inside, outside in zip(("mine/a.xyz", "inputs/b.xyz", "inputs/workflow"), listed, strict=True):
        assert files[inside].read_bytes() == (tmp_path / outside).read_bytes()
        target = tmp_path / "crate" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(outside, target)
    monkeypatch.chdir(tmp_path / "crate")
    assert Plan(make_study(study)).study_digest == plan.study_digest


# what is refused


def test_an_unfinished_study_is_refused_with_what_finishes_it(copy, tmp_path, capsys):
    source = next(s for s, name in PLAN.report_files().items() if name.endswith("figure-3.pdf"))
    (copy / source).unlink()
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    text = said(capsys, 1, "archive", tmp_path / "study.yaml", tmp_path / "a.zip", "--root", copy)
    assert "not finished" in text and source in text and "1 files" in text
    assert f"snakemake --cores 2 report --configfile {tmp_path / 'study.yaml'}" in text
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("stage", ["specimens", "exit_waves", "crops", "learning"])
def test_a_damaged_result_is_refused(copy, tmp_path, stage):
    name = PLAN.files(stage)[-1]
    file = copy / name / "array" if stage == "exit_waves" else copy / name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(PersistemError, match=rf"1 files that are damaged.*{re.escape(name)}"):
        archiving.archive(PLAN, copy, tmp_path / "a.zip", "snakemake")


def test_a_damaged_table_is_refused_until_it_is_shown_again(copy, tmp_path):
    table = copy / paths.accuracy("tiny")
    table.write_text("nothing")
    with pytest.raises(PersistemError, match=paths.accuracy("tiny")):
        archiving.archive(PLAN, copy, tmp_path / "a.zip", "snakemake")
    refresh(PLAN, copy)
    archiving.archive(PLAN, copy, tmp_path / "a.zip", "snakemake")


def test_intermediates_that_were_removed_are_no_hindrance(copy, packed, tmp_path):
    shutil.rmtree(copy / "results/exit_waves")
    archiving.archive(PLAN, copy, tmp_path / "a.zip", "snakemake")
    assert seals.sha256(tmp_path / "a.zip") == seals.sha256(packed)


# what is noticed


def test_what_was_unpacked_is_what_was_archived(crate, capsys):
    text = said(capsys, 0, "verify", crate)
    count = len((crate / "manifest-sha256.txt").read_text().splitlines())
    assert f"{count} of {count} files are what was archived" in text
    check = subprocess.run(["sha256sum", "--check", "--quiet", "manifest-sha256.txt"], cwd=crate, capture_output=True)
    assert check.returncode == 0


@pytest.mark.parametrize(
    "name",
    ["results/tiny/tables/accuracy.csv", "results/tiny/figures/figure-1.png", "Snakefile", PLAN.files("specimens")[0]],
)
@pytest.mark.parametrize("kind", ["flipped", "gone"])
def test_a_changed_file_is_named(crate, capsys, name, kind):
    content = (crate / name).read_bytes()
    (crate / name).unlink() if kind == "gone" else (crate / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    text = said(capsys, 1, "verify", crate)
    assert text.strip().endswith(f"missing or damaged: {name}")


def made_again(crate, versions=None):
    """Results that are made again in an unpacked archive, with other versions if given, and shown."""
    before = seals.environment.versions
    try:
        if versions:
            seals.environment.versions = lambda: before() | versions
        pretend(PLAN, crate)
    finally:
        seals.environment.versions = before


def test_results_made_again_are_compared(crate):
    made_again(crate)
    text = verify(crate)
    index = json.loads((crate / "seals/seals.json").read_text())
    rest = [s["path"] for s in index["seals"] if s["path"] not in (crate / "manifest-sha256.txt").read_text()]
    assert f"{len(rest)} of {len(rest)} results that were made again are the same bytes" in text


def test_results_of_other_versions_show_so_and_are_no_damage(crate):
    made_again(crate, {"numpy": "9.9"})
    assert "show what was made again" in verify(crate)
    (crate / "results/tiny/figures/figure-1.png").write_bytes(b"damaged")
    with pytest.raises(PersistemError, match=r"missing or damaged: results/tiny/figures/figure-1.png$"):
        verify(crate)


def test_a_result_that_differs_is_named_with_what_made_it(crate):
    made_again(crate, {"numpy": "9.9"})
    name = PLAN.files("crops")[0]
    with seals.Path(crate / name).open("wb") as file:
        file.write(b"others")
    seals.seal(crate / name, crate / name)
    with pytest.raises(PersistemError, match=rf"1 differ.*: {re.escape(name)}$"):
        verify(crate)


def test_specimens_made_again_are_compared_too(crate):
    for folder in ("results/specimens", "results/seals/specimens"):
        shutil.rmtree(crate / folder)
    made_again(crate, {"lammps": "9.9"})
    assert "show what was made again" in verify(crate)
    name = PLAN.files("specimens")[0]
    (crate / name).write_text("another trajectory")
    with pytest.raises(PersistemError, match=rf"missing or damaged: .*{re.escape(name)}$"):
        verify(crate)
    seals.seal(crate / name, crate / name)
    with pytest.raises(PersistemError, match=rf"1 differ.*: {re.escape(name)}$"):
        verify(crate)


def test_what_differs_each_time_is_no_failure(crate):
    made_again(crate)
    page = next(s for s, name in PLAN.report_files().items() if name.endswith("report.html"))
    (crate / page).write_text('<meta charset="utf-8">\nanother day')
    seals.seal(crate / page, crate / page)
    refresh(PLAN, crate)
    assert "1 differ as they do each time" in verify(crate)
    assert varies(page) and not varies(PLAN.files("learning")[0])


def test_a_results_folder_is_verified_by_its_seals(copy, capsys):
    assert "sealed results are what was written" in said(capsys, 0, "verify", copy)
    name = PLAN.files("diagrams")[0]
    (copy / name).write_bytes(b"damaged")
    assert said(capsys, 1, "verify", copy).strip().endswith(f"damaged: {name}")
    assert (copy / name).exists()  # only a reader sets it aside


def test_a_results_folder_says_what_has_no_seal_and_never_passes_without_any(copy, tmp_path, capsys):
    assert "not checked" not in said(capsys, 0, "verify", copy)
    name = str(Path(PLAN.files("diagrams")[0]).parent / "other.pdgm")
    (copy / name).write_bytes(b"slipped in")
    (copy / "results/seals/elsewhere.json").write_text('{"sha256": 5}')
    assert f"as they are not sealed results: results/elsewhere, {name}" in said(capsys, 0, "verify", copy)
    (tmp_path / "results/seals").mkdir(parents=True)
    assert "nothing can be verified" in said(capsys, 1, "verify", tmp_path)
    (tmp_path / "results/seals/elsewhere.json").write_text('{"sha256": 5}')
    assert "nothing can be verified" in said(capsys, 1, "verify", tmp_path)


def test_another_folder_is_refused(tmp_path, capsys):
    assert "neither an unpacked archive" in said(capsys, 1, "verify", tmp_path)


# for real


@pytest.mark.thorough
@pytest.mark.slow
def test_a_run_of_an_unpacked_archive_starts_from_the_specimens_and_gives_the_same(silicon, tmp_path, monkeypatch):
    copied(silicon, tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SILICON))
    pretend(Plan(load_study(tmp_path / "study.yaml")), tmp_path)  # the report, which takes minutes
    monkeypatch.chdir(tmp_path)
    assert main(["archive", "study.yaml", "silicon.zip"]) == 0
    for table in ("accuracy", "specimens"):
        header = next(csv.reader((tmp_path / f"results/silicon/tables/{table}.csv").open()))
        assert set(header) <= csvw.COLUMNS.keys(), table
    crate = tmp_path / "elsewhere/crate"
    with zipfile.ZipFile("silicon.zip") as file:
        file.extractall(crate)
    before = {f: f.read_bytes() for f in crate.glob("results/silicon/tables/*") if "timings" not in f.name}
    monkeypatch.delenv("PYTHONPATH", raising=False)
    text = snakemake(crate, "--configfile", "study.yaml", snakefile=crate / "Snakefile")  # by the workflow in it
    assert "exit_wave" in text and "learning" in text
    assert not {"heating", "rt_treatment", "figure"} & {line.split()[0] for line in text.splitlines() if line.split()}
    assert {f: f.read_bytes() for f in before} == before
    assert "results that were made again are the same bytes" in verify(crate)


# files that the study does not use, and links


def test_only_what_the_study_uses_is_packed(tmp_path, monkeypatch):
    from ase.build import bulk

    monkeypatch.chdir(tmp_path)
    bulk("Si", cubic=True).write("a.xyz", format="extxyz")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy("a.xyz", "elsewhere/a.xyz")
    (tmp_path / "secret").write_text("a secret")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / archiving.bundle.INDEX).write_text("{}")
    listed = ["a.xyz", str(tmp_path / "elsewhere/a.xyz"), str(tmp_path / "a.xyz"), "./a.xyz"]
    settings = {"structures": [{"path": p, "state": f"s{k}", "seed": 1} for k, p in enumerate(listed)]}
    plan = Plan(make_study(settings | {"material": {"file": "secret"}, "map_with": "bundle"}))
    study, files = archiving.own(plan)
    assert study["material"]["file"] is None and study["map_with"] is None
    assert [one["path"] for one in study["structures"]] == ["a.xyz", "inputs/a.xyz", "inputs/2/a.xyz", "inputs/3/a.xyz"]
    assert "secret" not in {Path(file).name for file in files.values()} and len(files) == 4


@pytest.mark.parametrize("kind", ["study", "specimen", "pipe"])
def test_no_link_is_followed_into_an_archive(copy, tmp_path, kind):
    (tmp_path / "secret").write_text("a secret")
    folder = (copy / PLAN.files("specimens")[0]).parent if kind == "specimen" else copy / "results/tiny/tables"
    link = folder / "notes.txt"
    os.mkfifo(link) if kind == "pipe" else link.symlink_to(tmp_path / "secret")
    with pytest.raises(PersistemError, match=r"notes\.txt: a link"):
        archiving.archive(PLAN, copy, tmp_path / "a.zip", "snakemake")
    assert not (tmp_path / "a.zip").exists()


# archives of strangers


def rewrite(crate, name, change):
    """Change the text of a file of an archive, and its checksum in the manifest."""
    before = seals.sha256(crate / name)
    (crate / name).write_text(change((crate / name).read_text()))
    manifest = crate / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text().replace(before, seals.sha256(crate / name)))


def in_index(change):
    def changed(text):
        index = json.loads(text)
        change(index)
        return json.dumps(index)

    return lambda crate: rewrite(crate, "seals/seals.json", changed)


def add(line):
    def change(crate):
        with open(crate / "manifest-sha256.txt", "a") as file:
            file.write(line.replace("OUTSIDE", str(crate.parent / "outside")))

    return change


def put(name, make):
    def change(crate):
        (crate / name).unlink()
        make(crate / name)

    return change


ZEROS = "0" * 64
HOSTILE = {
    "a path upwards": (add(f"{ZEROS}  ../outside\n"), "line .*leaves the archive"),
    "a path upwards and back": (add(f"{ZEROS}  results/../../crate/RUN.md\n"), "leaves the archive"),
    "an absolute path": (add(f"{ZEROS}  OUTSIDE\n"), "leaves the archive"),
    "the folder": (add(f"{ZEROS}  .\n"), "leaves the archive"),
    "no name": (add(f"{ZEROS}  \n"), "leaves the archive"),
    "twice": (add(f"{ZEROS}  RUN.md\n"), "another file"),
    "nonsense": (add("nonsense\n"), r"line \d+: 'nonsense'"),
    "escapes": (add("\x1b[2J\n"), r"line \d+"),
    "escapes in a name": (add(f"{ZEROS}  \x1b[2J\n"), "missing or damaged"),
    "cut short": (add(ZEROS), "to its end"),
    "no text": (lambda crate: (crate / "manifest-sha256.txt").write_bytes(b"\xff\xfe\n"), "not text"),
    "empty": (lambda crate: (crate / "manifest-sha256.txt").write_text(""), "lists no file"),
    "a line end": (lambda crate: (crate / "manifest-sha256.txt").write_text("\n"), "line 1"),
    "without seals": (lambda crate: rewrite_manifest(crate, "seals/seals.json"), "does not list seals/seals.json"),
    "a large manifest": (lambda crate: os.truncate(crate / "manifest-sha256.txt", 10**12), "MiB"),
    "a device": (put("RUN.md", lambda path: path.symlink_to("/dev/zero")), "missing or damaged: RUN.md"),
    "a pipe": (put("RUN.md", os.mkfifo), "missing or damaged: RUN.md"),
    "a folder": (put("RUN.md", os.mkdir), "missing or damaged: RUN.md"),
    "seals in a pipe": (put("seals/seals.json", os.mkfifo), "seals.json: missing, or a link"),
    "seals in a link": (put("seals/seals.json", lambda path: path.symlink_to("/dev/zero")), "missing, or a link"),
    "holes": (lambda crate: os.truncate(crate / "RUN.md", 10**13), "RUN.md: .* was ever written"),
    "holes made again": (lambda crate: holes(crate / PLAN.files("crops")[0]), "was ever written"),
    "deep": (lambda crate: rewrite(crate, "seals/seals.json", lambda _: "[" * 10**5), "not JSON"),
    "a list": (lambda crate: rewrite(crate, "seals/seals.json", lambda _: "[1]"), "not a mapping"),
    "a long number": (lambda crate: rewrite(crate, "seals/seals.json", lambda _: "1" * 10**5), "not JSON"),
    "empty seals": (lambda crate: rewrite(crate, "seals/seals.json", lambda _: "{}"), "not the seals of an archive"),
    "a seal upwards": (in_index(lambda i: i["seals"][0].update(path="../../outside")), "leaves the archive"),
    "a seal of /dev": (in_index(lambda i: i["seals"][0].update(path="/dev/zero")), "leaves the archive"),
    "other versions": (in_index(lambda i: i["seals"][0].update(made_with=99)), "no such entry of versions"),
    "a copy of an outside file": (in_index(lambda i: i["copied"].update({"RUN.md": "/etc/passwd"})), "leaves the"),
    "a study upwards": (in_index(lambda i: i.update(study="../..")), "study"),
    "no numbers": (in_index(lambda i: i.update(seals=7)), "not the seals of an archive: seals"),
}


def holes(path):
    path.parent.mkdir(parents=True)
    path.touch()
    os.truncate(path, 10**13)


def rewrite_manifest(crate, without):
    manifest = crate / "manifest-sha256.txt"
    manifest.write_text("".join(line for line in manifest.open() if not line.endswith(f"  {without}\n")))


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive_of_a_stranger_is_refused_in_a_sentence(crate, capsys, kind):
    change, named = HOSTILE[kind]
    (crate.parent / "outside").write_text("outside")
    change(crate)
    with hostile.watched(crate), hostile.limits():
        text = said(capsys, 1, "verify", crate)
    assert re.search(named, text) and text.rstrip("\n").isprintable() and len(text) < 2000


def test_a_file_behind_a_link_is_not_what_was_archived(crate, capsys):
    elsewhere = crate.parent / "elsewhere"
    shutil.move(crate / "results/tiny", elsewhere)
    (crate / "results/tiny").symlink_to(elsewhere)
    assert "missing or damaged: results/tiny/" in said(capsys, 1, "verify", crate)


def test_what_is_not_listed_is_said(crate, capsys):
    assert "not checked" not in said(capsys, 0, "verify", crate)
    (crate / "sitecustomize.py").touch()
    (crate / "workflow/src/yaml.py").touch()
    (crate / "results/specimens/0123456789ab").mkdir()
    os.mkfifo(crate / "results/\x1b[2J")
    text = said(capsys, 0, "verify", crate)
    assert "not in manifest-sha256.txt, so not checked: " in text and text.rstrip("\n").isprintable()
    for name in ("sitecustomize.py", "workflow/src/yaml.py", "results/specimens/0123456789ab/", r"results/\x1b[2J"):
        assert name in text
    for k in range(100):
        (crate / f"extra-{k}").touch()
    assert "and 99 more" in said(capsys, 0, "verify", crate)


def test_a_made_up_seal_is_no_traceback(crate, capsys):
    made_again(crate, {"numpy": "9.9"})
    for file in (crate / "results/crops").rglob("*.tif*"):
        file.write_bytes(b"others")
    for k, file in enumerate(sorted((crate / "results/seals/crops").rglob("*.json"))):
        file.write_text(["[" * 10**5, "7", '{"path": 1}', '{"path":1,"sha256":1,"bytes":1,"versions":7}'][k % 4])
    assert "missing or damaged: " in said(capsys, 1, "verify", crate)


def test_a_pipe_in_a_results_folder_is_damage(copy, capsys):
    result, other = copy / PLAN.files("crops")[0], PLAN.files("exit_waves")[0]
    result.unlink()
    os.mkfifo(result)
    (copy / other / "array").unlink()
    (copy / other / "array").symlink_to("/dev/zero")
    with hostile.limits():
        text = said(capsys, 1, "verify", copy)
    assert PLAN.files("crops")[0] in text and other in text


def mutated(crate, seed):
    """Change an archive in one to three ways, chosen by a seed; the files that may have changed."""
    random_ = random.Random(seed)
    files = [*sorted(file for file in crate.rglob("*") if hostile.is_file(file))]
    chosen = [crate / "manifest-sha256.txt", crate / "seals/seals.json", crate / "results/tiny/provenance.json"]
    touched = {chosen[0]}
    for _ in range(random_.choice([1, 1, 2, 3])):
        file = random_.choice([*chosen, random_.choice(files)])
        touched.add(file)
        if not hostile.is_file(file):
            continue
        content = file.read_bytes()
        kind = random_.choice(["flip", "cut", "swap", "insert", "link", "pipe", "gone", "folder", "repeat", "json"])
        at = random_.randrange(len(content) + 1)
        if kind in ("link", "pipe", "gone", "folder"):
            file.unlink()
        if kind == "flip" and content:
            content = content[:at] + bytes([random_.randrange(256)]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "swap":
            other = random_.choice(files)
            content = other.read_bytes() if hostile.is_file(other) else b""
        elif kind == "repeat":
            content = content[:at] + content
        elif kind == "insert":
            content = content[:at] + random_.choice(SNIPPETS) + content[at:]
        elif kind == "json":
            content = nonsense(content, random_)
        elif kind == "link":
            file.symlink_to(random_.choice(["/dev/zero", "/etc/passwd", "..", crate / "RUN.md", "nowhere"]))
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        if kind not in ("link", "pipe", "gone", "folder"):
            file.write_bytes(content)
        if random_.random() < 0.7:  # a stranger who forges, mends the checksum
            mend(crate)
    return touched


SNIPPETS = [b"\0", b"\n", b"../", b"/dev/zero", b"\x1b[2J", b"\xff", b"[" * 3000, b"9" * 5000, b"NaN", b"1e999", b'"']


def nonsense(content, random_):
    """A JSON document with one value replaced."""
    try:
        document = json.loads(content)
    except ValueError:
        return content
    here, steps = document, random_.randrange(1, 5)
    for _ in range(steps):
        keys = list(here) if isinstance(here, dict) else list(range(len(here))) if isinstance(here, list) else []
        if not keys:
            break
        key, parent = random_.choice(keys), here
        here = here[key]
        if not isinstance(here, dict | list) or _ == steps - 1:
            parent[key] = random_.choice([None, 7, -1, 1e308, "x", "../x", "/dev/zero", [], {}, [[]], {"": None}, True])
            break
    return json.dumps(document).encode()


def mend(crate):
    """Make the checksums in the manifest those of the files that are there."""
    manifest = crate / "manifest-sha256.txt"
    if not hostile.is_file(manifest):
        return
    lines = []
    for line in manifest.read_bytes().split(b"\n"):
        name = line[66:].decode(errors="replace")
        inside = name and "\0" not in name and not name.startswith("/") and ".." not in name and len(name) < 200
        lines.append(
            f"{seals.sha256(crate / name)}  {name}".encode() if inside and hostile.is_file(crate / name) else line
        )
    manifest.write_bytes(b"\n".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("part", hostile.parts(100))
def test_mutated_archives(made_of, capsys, part):
    crate, contents = made_of
    for seed in part:
        touched = mutated(crate, seed)
        with hostile.watched(crate, writes=False), hostile.limits():
            status = main(["verify", str(crate)])
        out = "".join(capsys.readouterr())
        assert status in (0, 1) and out.count("\n") >= 1 and "Traceback" not in out, (seed, out)
        assert out.replace("\n", "").isprintable() and len(out) < 50_000, (seed, out)
        for file in touched:
            if file.is_symlink() or file.exists():
                file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
            file.write_bytes(contents[file])


@pytest.fixture(scope="module")
def made_of(packed, tmp_path_factory):
    """An archive to change: a small part of one, with results made again; and the contents of its files."""
    crate = tmp_path_factory.mktemp("small") / "crate"
    with zipfile.ZipFile(packed) as file:
        file.extractall(crate)
    made_again(crate, {"numpy": "9.9"})
    results = [f"results/{stage}" for stage in ("persistence_images", "diagrams", "micrographs", "exit_waves")]
    for folder in ("workflow", "envs", "config", "profiles", *results):
        shutil.rmtree(crate / folder)
    for file in [*crate.glob("results/tiny/figures/*"), *crate.glob("results/figures/*/*")]:
        if "figure-1." not in file.name:
            file.unlink()
    manifest = crate / "manifest-sha256.txt"
    lines = [line for line in manifest.read_text().splitlines() if (crate / line[66:]).exists()]
    manifest.write_text("".join(f"{line}\n" for line in lines))
    return crate, {file: file.read_bytes() for file in crate.rglob("*") if file.is_file()}
