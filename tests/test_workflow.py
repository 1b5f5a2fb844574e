"""The whole workflow, run for real: from a study to its tables, through Snakemake in a process of its own.

One run of the tiny study (support/workflow.py) serves most tests; those that change something do it in a copy.
"""

import gzip
import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from persistem.plan.plan import Plan
from persistem.report.figures import FIGURES
from persistem.store import paths
from persistem.study.load import make_study
from support.studies import ROOT, TINY, changed
from support.workflow import PLAN, SILICON, contents, copied, outer, path, ran, same, snakemake

pytestmark = pytest.mark.slow

COLUMNS = "features,degrees,model,split,training,foci,accuracy,ci_low,ci_high,n_test,n_splits,by_seed"


@pytest.fixture
def copy(first, tmp_path):
    """A copy of the finished study."""
    return copied(first, tmp_path / "copy")


# what a run leaves behind


def test_every_output_exists_and_the_index_leads_to_it(first):
    import pandas as pd

    index = pd.read_csv(first / "results/tiny/index.csv")
    assert list(index.columns) == ["stage", "path"]
    assert Counter(index.stage) == {
        "specimens": 4, "exit_waves": 4, "micrographs": 8, "crops": 8, "diagrams": 8, "persistence_images": 8,
        "learning": 1,
    }  # fmt: skip
    assert all((first / name).exists() for name in index.path)
    assert sorted(p.name for p in (first / "results/tiny").rglob("*.*")) == [
        "accuracy.csv", "accuracy.csv-metadata.json", "digests.csv", "index.csv", "index.csv-metadata.json",
        "provenance.json", "specimens.csv", "specimens.csv-metadata.json", "study.yaml",
    ]  # fmt: skip
    # no temporary file is left; .snakemake_timestamp is Snakemake's, in every folder that is an output
    assert {p.name for p in (first / "results").rglob(".*")} == {".snakemake_timestamp", ".lock", ".runs"}
    # every file of a stage has its seal, and every seal its file
    stages = [f for stage in paths.STAGES for f in (first / "results" / stage).rglob("*") if f.is_file()]
    made = {f for f in stages if f.name not in (".snakemake_timestamp", ".lock")}
    sealed = {f.relative_to(first / "results/seals") for f in (first / "results/seals").rglob("*.json")}
    whole = {Path(*name.parts[:2], name.name.removesuffix(".json")) for name in sealed if ".zarr" in name.name}
    names = {f.relative_to(first / "results") for f in made}
    assert {n for n in names if not any(w in n.parents for w in whole)} | whole == {
        name.with_name(name.name.removesuffix(".json")) for name in sealed
    }


def test_the_study_that_is_shown_is_complete_and_runs_again_as_it_is(first):
    shown = yaml.safe_load((first / "results/tiny/study.yaml").read_text())
    assert shown["imaging"]["voltage"] == 200.0  # a default, stated
    assert [step.digest for step in Plan(make_study(shown)).steps["learning"].values()] == [PLAN.learning["paper"]]


@pytest.mark.parametrize("specimen", PLAN.specimens)
def test_other_libraries_read_every_stage(first, specimen):
    import abtem
    import ase.io
    import pandas as pd
    import tifffile

    atoms = ase.io.read(first / path("specimens", specimen))
    assert len(atoms) == 576 and atoms.pbc.all()
    assert Counter(atoms.get_chemical_symbols()) == {"Ga": 288, "N": 288}
    thermo = pd.read_csv((first / path("specimens", specimen)).with_name("thermo.csv"))
    steps = range(0, 401, 20) if "rt0" in specimen else range(400, 801, 20)
    assert list(thermo.step) == list(steps)
    wave = abtem.from_zarr(str(first / path("exit_waves", specimen))).compute()
    assert wave.energy == 200e3 and wave.shape == (148, 148)  # 128 px and 1 Å, 10 px, on each side
    for defocus in PLAN.defoci:
        with tifffile.TiffFile(first / path("micrographs", specimen, defocus)) as file:
            image, about = file.asarray(), json.loads(file.imagej_metadata["Info"])
        assert image.shape == (128, 128) and image.dtype == np.uint16 and np.ptp(image) == 65535
        assert about["defocus_A"] == PLAN.defoci[defocus] and about["pixel_size_A"] == 12.5 / 128
        crops = tifffile.imread(first / path("crops", specimen, defocus))
        assert crops.shape == (4, 64, 64) and crops.dtype == np.uint8
        pairs = pd.read_parquet(first / path("diagrams", specimen, defocus))
        assert list(pairs) == ["crop", "filtration", "degree", "birth", "death"]
        assert set(pairs.crop) == {0, 1, 2, 3} and set(pairs.degree) == {0, 1}
        assert set(pairs.filtration) == {"superlevel"} and (pairs.birth > pairs.death).all()
        vectors = pd.read_parquet(first / path("persistence_images", specimen, defocus))
        assert list(zip(vectors.crop, vectors.degree, strict=True)) == list(itertools.product(range(4), (0, 1)))
        values = np.stack(vectors.image)
        assert values.shape == (8, 64 * 65 // 2) and np.isfinite(values).all() and (values.max(axis=1) > 0).all()


def test_the_accuracy_table_has_every_combination(first):
    import pandas as pd

    text = (first / paths.accuracy("tiny")).read_text()
    assert text.splitlines()[0] == COLUMNS
    table = pd.read_csv(first / paths.accuracy("tiny"), dtype={"degrees": str, "foci": str})
    keys = COLUMNS.split(",")[:6]
    expected = itertools.product(
        ["paper"], ["0", "1", "0+1"], ["LR", "SVC"], ["random", "leave-seed-out"], ["pooled", "per-defocus"],
        ["all", "in-focus", "-100", "0"],
    )  # fmt: skip
    assert list(table[keys].itertuples(index=False, name=None)) == list(expected)
    assert table.accuracy.between(0, 1).all()
    # 2 seeds x 3 repetitions, a quarter of 4 crops of 2 states at 2 defoci; and every crop once
    everything = table[table.foci == "all"].groupby("split")[["n_splits", "n_test"]].agg(set)
    assert everything.to_dict() == {
        "n_splits": {"leave-seed-out": {2}, "random": {6}},
        "n_test": {"leave-seed-out": {32}, "random": {24}},
    }
    # the share of test crops is a whole number of them
    exact = table.accuracy * table.n_test
    assert np.allclose(exact, exact.round(), atol=1e-3)
    # three repetitions make an interval and two seeds do not
    assert table[table.split == "random"].ci_low.notna().all()
    assert table[table.split == "leave-seed-out"].ci_low.isna().all()


def test_the_table_of_specimens_says_what_the_structures_say(first):
    import ase.io
    import pandas as pd

    table = pd.read_csv(first / paths.specimens("tiny")).set_index("specimen")
    assert dict(table.state) == {
        "T6000-rt0-s01": "liquid",
        "T6000-rt1-s01": "amorphous",
        "T6000-rt0-s02": "liquid",
        "T6000-rt1-s02": "amorphous",
    }
    for name, row in table.iterrows():
        atoms = ase.io.read(first / path("specimens", name))
        grams = atoms.get_masses().sum() * 1.66053907e-24
        assert row.density_g_cm3 == pytest.approx(grams / (atoms.get_volume() * 1e-24), rel=1e-5)
        assert (row.atoms, row.target_K, row.seed) == (576, 6000, int(name[-1]))
        assert [row.a_A, row.gamma_deg] == pytest.approx([atoms.cell.lengths()[0], 120.0], abs=1e-5)
        # LAMMPS' temperature and density, at the last step
        last = pd.read_csv((first / path("specimens", name)).with_name("thermo.csv")).iloc[-1]
        assert last.density_g_cm3 == pytest.approx(row.density_g_cm3, rel=1e-5)
    # cooling makes it denser
    density = table.groupby("rt").density_g_cm3
    assert density.min()[1] > density.max()[0]


def test_every_digest_says_what_it_stands_for(first):
    found = {str(file.relative_to(first)) for file in first.glob("results/*/*/stage.yaml")}
    assert found == {paths.stage_path(stage, digest) for stage, steps in PLAN.steps.items() for digest in steps}
    folders = {p.parent for p in first.glob("results/*/*/stage.yaml")}
    for name in found:
        about = yaml.safe_load((first / name).read_text())
        stage, digest = Path(name).parts[1:3]
        step = PLAN.steps[stage][digest]
        assert about == {
            "stage": stage, "version": step.version, "inputs": list(step.inputs), "settings": step.settings,
        }  # fmt: skip
        assert all(any(folder.name == source for folder in folders) for source in about["inputs"])


def test_every_job_left_a_log_and_a_timing(first):
    for stage in paths.of_part("tables"):
        for file in PLAN.files(stage):
            assert (first / paths.log(file)).exists()
            assert (first / paths.benchmark(file)).read_text().startswith("s\th:m:s\t")


def test_the_accuracy_is_printed_for_reading(first):
    command = [sys.executable, "-m", "persistem", "accuracy", paths.accuracy("tiny")]
    done = subprocess.run(command, cwd=first, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and not done.stderr
    assert re.search(r"^ *paper +0\+1 +SVC ", done.stdout, re.M)


def test_shuffled_labels_give_chance(first):
    """Images of a real run with labels drawn at random: right half the time, or something leaks."""
    from persistem.learning.accuracy import Source, accuracy_table, read_features

    sources = [
        Source(first / path("persistence_images", s.name, name), s.name, s.state, s.seed, defocus)
        for s in PLAN.specimens.values()
        for name, defocus in PLAN.defoci.items()
    ]
    X, counts = read_features(sources)
    seed, defocus, y = (
        np.repeat(values, counts)
        for values in ([s.seed for s in sources], [s.defocus for s in sources], [s.state == "liquid" for s in sources])
    )
    settings = make_study(changed(changed(TINY, "learning.repetitions", 1), "learning.models", ["LR"])).learning
    rng = np.random.default_rng(1)
    shares, draws = [], 40
    for _ in range(draws):
        shuffled = np.empty(len(y), int)
        for s, d in itertools.product(np.unique(seed), np.unique(defocus)):
            rows = np.flatnonzero((seed == s) & (defocus == d))
            shuffled[rows] = rng.permutation(y[rows])
        table = accuracy_table({0: X[0]}, shuffled, seed, defocus, settings, "shuffled")
        (share,) = [
            r["accuracy"] for r in table if (r["split"], r["training"], r["foci"]) == ("random", "pooled", "all")
        ]
        shares.append(share)
    # per draw one crop of each state at each of 2 defoci is tested, in each of 2 seeds; were all of a state at once
    # right or wrong, a draw would still be 4 fair coins
    assert abs(np.mean(shares) - 0.5) < 4 * 0.5 / np.sqrt(4 * draws)


# what runs, and what does not


def test_nothing_is_left_to_do_and_a_changed_setting_runs_what_sees_it(copy):
    shown = copy / paths.accuracy("tiny")
    before, results = shown.read_bytes(), contents(copy)
    assert "Nothing to be done" in snakemake(copy, "-n", study=TINY)
    other = changed(TINY, "learning.C", 10.0)
    assert ran(snakemake(copy, "-n", study=other)) == {"learning": 1, "publish": 1, "all": 1}
    assert contents(copy) == results  # a dry run changes nothing
    assert ran(snakemake(copy, study=other)) == {"learning": 1, "publish": 1, "all": 1}
    assert shown.read_bytes() != before
    assert yaml.safe_load((copy / "results/tiny/study.yaml").read_text())["learning"]["C"] == 10.0
    assert ran(snakemake(copy, study=TINY)) == {}
    assert shown.read_bytes() == before
    assert results.items() <= contents(copy).items()  # and the table of the other setting is still there


def test_settings_on_the_command_line_have_the_types_of_a_file(copy):
    more = ["--config", "name=other", "learning={C: 0.5, models: [LR]}"]
    assert ran(snakemake(copy, "-n", *more, study=TINY)) == {"learning": 1, "publish": 1, "all": 1}
    assert "other.yaml" not in snakemake(copy, "-n", "--config", "learning={C: 0.01}", study=TINY)
    text = snakemake(copy, "-n", "--config", "learning={C: many}", study=TINY, status=1)
    assert "learning.C = 'many'" in text


def checkout(folder):
    """A copy of the workflow in a folder with a space."""
    folder.mkdir()
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("workflow", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


@pytest.mark.thorough
def test_another_checkout_run_in_place_gives_the_same_bytes(first, tmp_path):
    """Of one seed's treated specimen at one defocus: every stage but the heating is run once, from its restart file."""
    here = copied(first, checkout(tmp_path / "a checkout"), "study.yaml")
    for stage in ("specimens", "exit_waves", "micrographs", "crops", "diagrams", "persistence_images", "learning"):
        made = here / path(stage, "T6000-rt1-s02", "df+000")
        made = made.parent if stage in {"specimens", "learning"} else made
        shutil.rmtree(made) if made.is_dir() else made.unlink()
        for seal in (here / "results/seals" / made.relative_to(here / "results")).parent.glob(f"{made.name}*"):
            shutil.rmtree(seal) if seal.is_dir() else seal.unlink()
    # of what is made from these, Snakemake asks for the missing ones only; the other defocus is there
    jobs = ran(snakemake(here, study=TINY, snakefile="Snakefile"))
    assert jobs.keys() >= {"rt_treatment", "exit_wave", "micrograph", "learning"} and "heating" not in jobs
    same(here, first)


@pytest.mark.thorough
def test_the_same_seeds_give_the_same_bytes_in_another_checkout(first, tmp_path):
    here = checkout(tmp_path / "a checkout")
    snakemake(here, study=TINY, snakefile="Snakefile")
    same(first, here)


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.thorough), 3])
def test_batches_of_crops_give_the_same_bytes(copy, size):
    file = path("diagrams", "T6000-rt1-s02", "df-100")
    whole = (copy / file).read_bytes()
    (copy / file).unlink()
    study = changed(TINY, "run.crops_per_job", size)
    done = ran(snakemake(copy, file, study=study))
    assert done == {"crop_diagrams": -(-4 // size), "join_diagrams": 1}
    assert (copy / file).read_bytes() == whole
    assert not list((copy / file).with_suffix("").glob("*"))  # the batches are gone


# other studies


@pytest.mark.thorough
def test_own_structures_run_to_the_table_and_give_the_images_of_the_same_atoms(first, tmp_path):
    """Two end states of the MD study as a user would bring them: extended XYZ, and LAMMPS data, gzipped."""
    import ase.io
    import pandas as pd
    from ase.io.lammpsdata import write_lammps_data
    from persistem.imaging.micrographs import read_micrograph

    shutil.copy(first / path("specimens", "T6000-rt1-s01"), tmp_path / "mine.extxyz")
    atoms = ase.io.read(first / path("specimens", "T6000-rt0-s01"))
    with gzip.open(tmp_path / "mine.data.gz", "wt") as file:
        write_lammps_data(file, atoms, specorder=["N", "Ga"], masses=True, units="metal")
    study = {key: TINY[key] for key in ("imaging", "crops", "features", "learning")} | {
        "name": "mine",
        "structures": [
            {"path": "mine.extxyz", "state": "glass", "seed": 1},
            {"path": "mine.data.gz", "state": "melt", "seed": 1, "types": {1: "N", 2: "Ga"}},
        ],
    }
    study["imaging"] = study["imaging"] | {"defoci": [0]}
    done = ran(snakemake(tmp_path, study=study))
    assert done["own_structure"] == done["micrograph"] == 2 and "heating" not in done
    table = pd.read_csv(tmp_path / paths.accuracy("mine"))
    assert set(table.split) == {"random"}  # one seed of each state cannot be left out
    specimens = pd.read_csv(tmp_path / paths.specimens("mine")).set_index("specimen")
    theirs = pd.read_csv(first / paths.specimens("tiny")).set_index("specimen")
    plan = plan_in(tmp_path, study)
    for mine, md in {"glass-s01": "T6000-rt1-s01", "melt-s01": "T6000-rt0-s01"}.items():
        assert specimens.density_g_cm3[mine] == pytest.approx(theirs.density_g_cm3[md], rel=1e-6)
        image, _ = read_micrograph(tmp_path / path("micrographs", mine, "df+000", plan))
        expected, _ = read_micrograph(first / path("micrographs", md, "df+000"))
        assert np.abs(image - expected).max() < 1e-4 * expected.max()  # positions in a data file are rounded
    glass = path("micrographs", "glass-s01", "df+000", plan)
    assert (tmp_path / glass).read_bytes() == (first / path("micrographs", "T6000-rt1-s01", "df+000")).read_bytes()


def plan_in(folder, study):
    """The plan of a study whose files lie in ``folder``."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        return Plan(make_study(study))
    finally:
        os.chdir(here)


@pytest.mark.thorough
def test_silicon_is_only_another_study(silicon):
    import ase.io
    import pandas as pd

    plan = Plan(make_study(SILICON))
    specimens = pd.read_csv(silicon / paths.specimens("silicon"))
    assert list(specimens.state) == ["liquid", "quenched"] and set(specimens.atoms) == {216}
    assert specimens.density_g_cm3.between(1.5, 3.0).all()
    table = pd.read_csv(silicon / paths.accuracy("silicon"))
    assert table.accuracy.notna().all()
    assert table[(table.degrees == "0+1") & (table.foci == "all")].n_test.gt(0).all()
    for name in plan.specimens:
        assert set(ase.io.read(silicon / path("specimens", name, plan=plan)).symbols) == {"Si"}
    written = [f for f in (silicon / "results").rglob("*") if f.suffix in {".yaml", ".csv", ".json", ".log"}]
    assert written
    wrong = [f for f in written if re.search(r"\bGa\b|GaN", f.read_text())]
    assert not wrong


def test_a_module_asks_for_its_study_under_its_prefix(tmp_path):
    outer(tmp_path, prefix="inner")
    (tmp_path / "outer.yaml").write_text("colour: blue\n")
    text = snakemake(tmp_path, "mine", "-np", "--configfile", "outer.yaml", snakefile="Snakefile")
    assert ran(text) == {
        "mine": 1, "persistem_heating": 1, "persistem_rt_treatment": 1, "persistem_exit_wave": 2,
        "persistem_micrograph": 2, "persistem_crops": 2, "persistem_crop_diagrams": 2,
        "persistem_persistence_image": 2, "persistem_learning": 1, "persistem_publish": 1,
    }  # fmt: skip
    written = re.findall(r"^ +output: (.+)$", text, re.M)
    assert written and all(file.startswith("inner/results/") or file == "mine.txt" for file in written)
    # the commands, with the folder that paths in settings are relative to
    assert "persistem learning inner/results/learning/" in text and " --root inner/ " in text


@pytest.mark.thorough
def test_as_a_module_with_a_prefix_and_a_study_of_its_own_beside_it(as_module):
    """The prefix holds every result, and the outer workflow's own config is not the study."""
    assert not (as_module / "results").exists()
    assert (as_module / "mine.txt").read_text().startswith(COLUMNS)
    assert (as_module / "inner/results/silicon/study.yaml").exists()
    assert len(list((as_module / "inner/results").glob("*/*/stage.yaml"))) == 32
    stages = {p.parent.parent.name for p in (as_module / "inner/results").glob("*/*/stage.yaml")}
    others = {*paths.STAGES} - {*paths.of_part("tables"), *paths.of_part("report")}
    assert stages == set(paths.STAGES) - {"prepared", *others}  # it images end states
    arguments = ["-n", "--configfile", "outer.yaml"]
    assert ran(snakemake(as_module, "mine", *arguments, snakefile="Snakefile")) == {}
    jobs = ran(snakemake(as_module, "persistem_report", *arguments, snakefile="Snakefile"))
    assert jobs["persistem_figure"] == len(FIGURES) and not {"persistem_heating", "persistem_micrograph"} & jobs.keys()


@pytest.mark.thorough
def test_as_a_module_the_same_results_are_there_for_the_study_alone(silicon, tmp_path):
    """Without a prefix, the paths of a module are those of a call of its own."""
    here = copied(silicon, tmp_path / "here")
    assert ran(snakemake(here, study=SILICON)) == {}
    done = ran(snakemake(here, "-n", "mine", snakefile=outer(here)))
    assert done == {"mine": 1}
    file = path("specimens", "T4000-rt0-s01", plan=Plan(make_study(SILICON)))
    (here / file).unlink()
    done = ran(snakemake(here, file, snakefile=here / "Snakefile"))
    assert done == {"persistem_heating": 1} and (here / file).read_bytes() == (silicon / file).read_bytes()


@pytest.mark.thorough
def test_the_report_of_a_module_lies_under_its_prefix(as_module, tmp_path):
    folder = copied(as_module, tmp_path / "module")
    snakemake(folder, "persistem_report", "--configfile", "outer.yaml", snakefile="Snakefile")
    assert not (folder / "results").exists()
    assert all(not figure["reason"] for figure in shown(folder / "inner", "silicon").values())


# what is refused, and how failures look


@pytest.mark.parametrize("dry", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_a_bad_study_is_one_message_and_nothing_runs(tmp_path, dry):
    study = changed(TINY, "imaging.voltage", -5)
    text = snakemake(tmp_path, *(["-n"] if dry else []), study=study, status=1)
    said = [line for line in text.splitlines() if "profile" not in line and line]
    assert len(said) == 1
    assert said[0].startswith("persistem: ")
    for part in ("study.yaml", "imaging.voltage", "-5", "greater than or equal to 10", "kV"):
        assert part in said[0]
    assert not (tmp_path / "results").exists()


def test_two_studies_are_refused(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "other.yaml").write_text("learning: {C: 1.0}\n")
    text = snakemake(tmp_path, "--configfile", "study.yaml", "other.yaml", status=1)
    assert "2 studies" in text and "Traceback" not in text
    assert not (tmp_path / "results").exists()


def test_molecular_dynamics_that_missed_its_temperature_shows_so(tmp_path):
    study = changed(SILICON, "md.temperature_tolerance", 0.001)
    file = path("specimens", "T4000-rt0-s01", plan=Plan(make_study(study)))
    text = snakemake(tmp_path, file, study=study, status=1)
    assert "Failed: heating T4000-rt0-s01" in text
    assert "persistem: the run missed its target temperature" in text and "(md.temperature_tolerance)" in text
    assert "Traceback (most" not in text
    assert not (tmp_path / file).exists()


# the figures and the report


def shown(folder, study="tiny"):
    """What the figures of a study say of themselves, by name."""
    return {name: json.loads((folder / f"results/{study}/figures/{name}.json").read_text()) for name in FIGURES}


def test_every_figure_is_drawn_as_picture_and_vectors(reported):
    import cv2

    for name, figure in shown(reported).items():
        folder = reported / "results/tiny/figures"
        assert figure["reason"] is None, (name, figure["reason"])
        assert figure["caption"] and figure["about"] and figure["numbers"]
        assert cv2.imread(str(folder / f"{name}.png")).std() > 1
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_report_has_the_paper_beside_the_study_on_one_page(reported):
    import pandas as pd
    from persistem.report.paper import ACCURACIES, CLAIMS

    tables = reported / "results/tiny/tables"
    paper, claims = pd.read_csv(tables / "paper.csv"), pd.read_csv(tables / "claims.csv")
    assert len(paper) == 2 * len(ACCURACIES)  # two splits
    assert claims.id.tolist() == [claim["id"] for claim in CLAIMS]
    checks = pd.read_csv(tables / "state_checks.csv")
    assert set(checks.specimen) == set(pd.read_csv(tables / "specimens.csv").specimen)
    assert checks.columns.tolist()[2:4] == ["cavities", "N around Ga"] and checks.notna().all()["cavities"]
    accuracy = pd.read_csv(tables / "accuracy.csv", dtype=str)
    rows = accuracy[(accuracy.features == "paper") & (accuracy.training == "pooled")]
    for row in paper.astype(str).itertuples():
        same = rows[(rows.degrees == row.degrees) & (rows.model == row.model)]
        same = same[(same.split == row.split) & (same.foci == row.foci)]
        assert [float(value) for value in same.accuracy] == [float(row.ours)]
    page = html.unescape((reported / "results/tiny/report.html").read_text())
    for words in [*claims.claim, "T6000-rt1-s01", "initial_temperature_factor"]:
        assert words in page
    assert "http://" not in page.replace("http://www.w3.org", "") or 'src="http' not in page


@pytest.mark.thorough
@pytest.mark.parametrize("names", [["figure-1", "figure-4"], list(FIGURES)])
def test_the_figures_are_the_same_bytes_again(reported, tmp_path, names):
    again = copied(reported, tmp_path / "again")
    files = [str(Path(PLAN.report.figures[name]).with_suffix(s)) for name in names for s in paths.FIGURE_SUFFIXES]
    for file in files:
        (again / file).unlink()
    assert ran(snakemake(again, *files, study=TINY))["figure"] == len(names)
    for file in files:
        # pytest would take minutes to show a difference
        same = (again / file).read_bytes() == (reported / file).read_bytes()
        assert same, file


@pytest.mark.thorough
def test_a_figure_of_other_settings_and_back(reported, tmp_path):
    folder = copied(reported, tmp_path / "study")
    pictures = folder / "results/tiny/figures"
    before = (pictures / "figure-5.json").read_bytes()
    jobs = ran(snakemake(folder, "report", study=changed(TINY, "figures.crop", 3)))
    assert jobs.keys() == {"inverse", "figure", "report_page", "publish_report", "report"}
    assert jobs["figure"] == 3  # 4, 5 and 7 show a crop
    assert (pictures / "figure-5.json").read_bytes() != before
    assert "Nothing to be done" in snakemake(folder, "report", study=TINY)
    assert (pictures / "figure-5.json").read_bytes() == before


@pytest.mark.thorough
def test_one_state_is_shown_and_says_what_cannot_be_drawn(reported, tmp_path):
    folder = copied(reported, tmp_path / "study")
    one = changed(TINY, "name", "one") | {"states": {"amorphous": {"temperature": 6000, "rt": True}}}
    snakemake(folder, "report", study=one)
    reasons = {name: figure["reason"] for name, figure in shown(folder, "one").items()}
    assert [name for name, reason in reasons.items() if reason] == ["figure-2", "figure-6", "figure-7", "figure-8"]
    assert all("state" in reason for reason in reasons.values() if reason)
    page = (folder / "results/one/report.html").read_text()
    assert all(reason in page for reason in reasons.values() if reason)


def test_the_record_is_written_from_the_report(reported, tmp_path):
    from persistem.publication.record import record
    from persistem.report.paper import CLAIMS

    record(reported / "results/tiny", tmp_path / "docs")
    page = (tmp_path / "docs/reproduction.md").read_text()
    first = page.partition("\n## ")[0]
    assert "| 0.773 |" in first and f"Of the {len(CLAIMS)} claims" in first
    for name, figure in shown(reported).items():
        assert f"(figures/{name}.png)" in page and (tmp_path / f"docs/figures/{name}.png").exists()
        assert figure["caption"] in page
