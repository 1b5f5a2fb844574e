"""Studies that tests run or plan."""

import copy
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: 576 atoms, two seeds, two defoci, four crops of 64 px; 43 jobs.
TINY = {
    "name": "tiny",
    "material": {"repetitions": [6, 6, 4]},
    "md": {
        "series": [{"temperatures": [6000], "seeds": [1, 2]}],
        "steps": 400,
        "segment_steps": 200,
        "thermo_every": 20,
        "temperature_tolerance": 0.9,
        "ranks": 1,
        "rt": {"steps": 400},
    },
    "imaging": {"field": 12.5, "thickness": 10.0, "pixels": 128, "margin": 1.0, "defoci": [-100, 0]},
    "crops": {"size": 64, "stride": 64},
    "features": {"paper": {}},
    "learning": {"repetitions": 3},
}


def changed(study, key, value):
    """A copy of a study with one setting changed, e.g. ``learning.C``."""
    new = copy.deepcopy(study)
    *sections, last = key.split(".")
    here = new
    for section in sections:
        here = here.setdefault(section, {})
    here[last] = value
    return new
