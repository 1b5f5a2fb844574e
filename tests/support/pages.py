"""A made-up study for its page, and pages in a browser."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from ase.build import bulk
from persistem.specimens.slabs import cut
from persistem.specimens.structures import write_structure
from persistem.study import Study
from persistem.topology.inverse import NUMBERS

#: Pairs of the crop: two islands and a ring.
NAMES = ("degree", "birth", "death", "birth_row", "birth_column", "death_row", "death_column", "pixels")
PAIRS = [
    dict(zip(NAMES, values, strict=True))
    for values in [
        (0, 200, 50, 2, 3, 9, 9, [99, 100, 101, 147, 148, 500]),
        (0, 120, 100, 20, 20, 21, 20, [980, 981]),
        (1, 90, 30, 30, 5, 32, 6, [*range(1500, 1506), *range(1548, 1554)]),
    ]
]
RECORDS = [
    {"specimen": f"T6000-rt{int(state == 'amorphous')}-s01", "state": state, "seed": 1, "temperature": 6000}
    | {"rt": state == "amorphous"}
    for state in ("amorphous", "liquid")
]


def write_study(root: Path) -> dict:
    """Write the files of a made-up study into a folder and return the settings of its page."""
    rng = np.random.default_rng(3)
    (root / "figures").mkdir(exist_ok=True)
    squares = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for name, reason in (("figure-1", None), ("figure-2", "the study has one state only"), ("figure-10", None)):
        cv2.imwrite(str(root / f"figures/{name}.png"), squares)
        about = {
            "title": "Squares",
            "about": "Squares, as in the paper; `bins: 64`.",
            "caption": "Seeds 1 and 2.",
            "reason": reason,
        }
        numbers = {
            "averages": [{"model": "LR", "accuracy": 1.23456}, {"model": "SVC", "n": 3}],
            "region": [[0, 1], [2, 3]],
        }
        write_json(root / f"figures/{name}.json", about | {"numbers": numbers})
    thermo = {"time_ps": [0, 10], "temperature_K": [300, 6000], "density_g_cm3": [6.08, 2.61]}
    check = {"density_g_cm3": 3.535, "msd_A2": 246.1, "lindemann": None, "thermo": thermo}
    check |= {"rdf": {"r_A": [0.5, 1.5, 2.5], "pairs": {"Ga-Ga": [0, 1.25, 1]}}}
    check |= {"contacts": {"Ga-Ga": {"cutoff_A": 2.93, "per_atom": 2.389}, "N-N": {"cutoff_A": 1.7, "per_atom": 0.084}}}
    check["contacts"]["N-N"] |= {"molecule_A": 1.3007, "molecules": 0.0875}
    check |= {"cavities": 0.0583, "coordination": {"Ga around N": {"cutoff_A": 2.702, "mean": 2.912}}}
    write_json(root / "check.json", check | {"warnings": ["not equilibrated: the density still falls"]})
    write_json(root / "summary.json", {"atoms": 2000, "temperature_K": 300.2, "pressure_GPa": 0.0061})
    lines = ["features,degrees,model,split,training,foci,accuracy,ci_low,ci_high,n_test,n_splits,by_seed"]
    lines += ["paper,0+1,LR,random,pooled,all,0.731,0.7,0.86,90,3,", "paper,0+1,LR,random,pooled,0,0.9,,,9,3,"]
    (root / "accuracy.csv").write_text("\n".join(lines) + "\n")

    crystal = bulk("GaN", "wurtzite", a=3.19, c=5.189) * (6, 6, 4)
    crystal.rattle(0.002, seed=1)
    write_structure(root / "structure.extxyz", crystal)
    inner = cut(crystal, np.array([8.0, 8.0, 8.0]))
    chosen = [0, 1, 2, 3, 4]
    # the diagram's box is 12 x 12 x 10 Å
    volume = {"points": (inner.positions[chosen] + [2, 2, 1]).tolist(), "faces": [[0, 1, 2], [0, 2, 3]]}
    volume |= {"elements": [inner.symbols[k] for k in chosen], "edges": [[0, 1], [1, 2], [2, 3], [3, 0]]}
    smaller = volume | {
        "points": volume["points"][:3],
        "elements": volume["elements"][:3],
        "edges": [[0, 1], [1, 2], [2, 0]],
    }
    volumes = [
        {"specimen": RECORDS[0]["specimen"], "birth": -0.05, "death": death, "optimal": volume, "stable": stable}
        for death, stable in ((2.5, smaller | {"faces": [[0, 1, 2]]}), (1.5, None))
    ]
    counts = [record | {"pairs": 12, "volume_nm3": 1.44, "per_nm3": 8.33} for record in RECORDS]
    write_json(root / "volumes.json", {"region": [[0, 1], [1, 3]], "degree": 1, "counts": counts, "volumes": volumes})

    crop = cv2.normalize(cv2.GaussianBlur(rng.random((48, 48)), (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    crop = crop.round().astype(np.uint8)
    crop[2, 3] = 200
    tifffile.imwrite(root / "crops.tif", crop[None], imagej=True)
    columns = {"filtration": ["superlevel"] * len(PAIRS)} | {name: [pair[name] for pair in PAIRS] for name in NAMES}
    types = {"filtration": "string"} | NUMBERS
    schema = pa.schema(
        [(name, getattr(pa, kind)()) for name, kind in types.items()] + [("pixels", pa.list_(pa.int32()))]
    )
    pq.write_table(pa.table(columns, schema=schema), root / "inverse.parquet")
    for k in range(2):
        info = {"pixel_size_A": 0.05, "intensity_offset": 0.0, "intensity_scale": 1e-4}
        image = 1 + 0.3 * rng.standard_normal((64, 64)).clip(-3, 3)
        tifffile.imwrite(
            root / f"micrograph-{k}.tif",
            (image * 1e4).astype(np.uint16),
            imagej=True,
            metadata={"Info": json.dumps(info)},
        )

    study = Study().model_dump(mode="json")
    study["imaging"]["voltage"] = 300.0
    base = {"model": "LR", "degrees": "0+1", "foci": "all", "split": "random", "paper": 0.649, "ours": 0.731}
    base |= {"ci_low": 0.71, "ci_high": 0.75, "one_low": 0.7, "one_high": 0.86, "agreement": "lower"}
    unseen = {"split": "leave-seed-out", "one_low": None, "one_high": None}
    inner = base | {"model": "SVC", "foci": "in-focus", "paper": 0.851, "ours": 0.9}
    comparison = [
        base,
        base | unseen | {"ours": None, "ci_low": None, "ci_high": None, "agreement": "not in this study"},
        base | {"model": "SVC", "paper": 0.817, "ours": 0.8, "agreement": "agrees"},
        base | {"model": "SVC", "ours": 0.64, "ci_low": 0.61, "ci_high": 0.67} | unseen | {"agreement": None},
        inner | dict.fromkeys(("ci_low", "ci_high", "one_low", "one_high")) | {"agreement": "no interval"},
    ]
    claims = [
        {"id": "a", "claim": "Islands are larger", "where": "Fig. 4", "words": "grow larger", "status": "reproduced"}
        | {"evidence": "Islands cover 3.1 Å² and 2.2 Å² of `paper`", "depends_on": None, "seeds": 7},
        {"id": "b", "claim": "SVC > LR", "where": "Fig. 8", "words": "superior", "status": "depends on"}
        | {"evidence": "0.7 and 0.6", "depends_on": "the split: random", "seeds": 7},
        {"id": "c", "claim": "A filter suffices", "where": "end", "words": "not a problem", "status": "not reproduced"}
        | {"evidence": "0.5", "depends_on": None, "seeds": 3},
        {"id": "d", "claim": "Peaks return", "where": "Fig. 1", "words": "appear", "status": "not reproduced"}
        | {"evidence": "0.4", "depends_on": None, "seeds": 1},
        {"id": "e", "claim": "Degree 1 > 0", "where": "Fig. 8", "words": "order", "status": "undecided"}
        | {"evidence": "0.6", "depends_on": None, "seeds": None},
    ]
    return {
        "study": study,
        "name": "made-up",
        "digest": "5a3f19c0d7e2",
        "date": "2026-11-22",
        "states": ["amorphous", "liquid"],
        "recipe": "paper",
        "specimens": [r | {"check": "check.json", "summary": "summary.json"} for r in RECORDS]
        + [RECORDS[0] | {"specimen": "T6000-rt1-s02", "seed": 2, "check": "check.json", "summary": "summary.json"}],
        "accuracy": {"paper": "accuracy.csv"},
        "figures": {name: f"figures/{name}.json" for name in ("figure-10", "figure-2", "figure-1")},
        "comparison": comparison,
        "claims": claims,
        "volumes": "volumes.json",
        "structures": [record | {"structure": "structure.extxyz"} for record in RECORDS],
        "cube": 8.0,
        "field": 12.0,
        "thickness": 10.0,
        "radii": {"Ga": 1.5625, "N": 0.49},
        "inverse": [
            r | {"path": "crops.tif", "index": 0, "defocus": 0.0, "inverse": "inverse.parquet"} for r in RECORDS
        ],
        "micrographs": [
            record | {"path": f"micrograph-{k}.tif", "defocus": defocus}
            for record in RECORDS
            for k, defocus in enumerate((-100.0, 0.0))
        ],
        "pixel_size_A": 0.05,
        "timings": [
            {"stage": "exit_waves", "jobs": 2, "median_wall_s": 503.1, "wall_s": 1006, "CPU_s": 2000, "memory_MB": 310}
        ],
        "versions": {"homcloud": "5.4.0"},
    }


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value))


#: Windows of a browser, pixels.
SIZES = {"phone": (390, 844), "desktop": (1440, 900)}


#: How long a page may take for anything, ms: far more than it takes, since machines that test are busy.
PATIENCE = 120_000


def opened(browser, file, size, **more):
    """The page in a window, and its complaints (errors, requests)."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **more)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            complaints.append(f"asked for {request.url[:200]}")
            if not request.url.startswith((file.as_uri(), "data:", "blob:"))
            else None
        ),
    )
    page.goto(file.as_uri())
    return page, complaints


def shoot(page, name):
    """Check that the screen shows something; keep it as ``NAME.png`` in the folder ``SCREENSHOTS``, if that is set."""
    shot = page.screenshot()
    picture = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.std() > 5, f"{name} is blank"
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder, f"{name}.png").write_bytes(shot)


def violations(page) -> list[str]:
    """What axe-core finds serious or critical on a page that was opened with ``bypass_csp``, as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
