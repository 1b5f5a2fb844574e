"""Describe the columns of the published tables: CSVW, https://www.w3.org/TR/tabular-metadata/.

The metadata of ``NAME.csv`` is ``NAME.csv-metadata.json`` beside it, where the standard looks for it; the table itself
stays plain.
"""

from __future__ import annotations

import json

SUFFIX = "-metadata.json"
#: Column: what it is, its unit ("" if none), its type.
COLUMNS: dict[str, tuple[str, str, str]] = {
    # accuracy.csv, and paper.csv
    "features": ("recipe of the feature vectors", "", "string"),
    "degrees": ("degrees of the persistence diagrams", "", "string"),
    "model": ("classifier", "", "string"),
    "split": ("how crops are divided into training and test", "", "string"),
    "training": ("whether a model is trained on all defoci or on one", "", "string"),
    "foci": ("defoci that the accuracy is of", "", "string"),
    "accuracy": ("share of the test crops that are classified correctly", "1", "number"),
    "ci_low": (
        "lower end of the 95 % interval over seeds; random split: 2.5 percentile of the repetitions",
        "1",
        "number",
    ),
    "ci_high": (
        "upper end of the 95 % interval over seeds; random split: 97.5 percentile of the repetitions",
        "1",
        "number",
    ),
    "n_test": ("test crops of a split", "1", "number"),
    "n_splits": ("splits that the accuracy is the mean of", "1", "number"),
    "by_seed": ("accuracy of each split, by the seed that is tested", "1", "string"),
    "one_low": ("lower end of the prediction interval of one specimen pair and one split", "1", "number"),
    "one_high": ("upper end of the prediction interval of one specimen pair and one split", "1", "number"),
    "paper": ("accuracy that the paper states", "1", "number"),
    "ours": ("accuracy of this study", "1", "number"),
    "agreement": ("how ours compares with the paper's", "", "string"),
    # specimens.csv
    "specimen": ("name of the specimen", "", "string"),
    "state": ("state that it stands for; none where it is not classified", "", "string"),
    "seed": ("seed of its molecular dynamics, or number of its file", "1", "integer"),
    "target_K": ("temperature that it was heated at", "K", "number"),
    "rt": ("1 after the treatment at room temperature, else 0", "1", "integer"),
    "atoms": ("number of atoms", "1", "integer"),
    "density_g_cm3": ("mass density", "g/cm³", "number"),
    "temperature_K": ("mean temperature at the end of the run", "K", "number"),
    "pressure_GPa": ("mean pressure at the end of the run", "GPa", "number"),
    **{f"{axis}_A": (f"length of the cell's vector {axis}", "Å", "number") for axis in "abc"},
    **{f"{angle}_deg": (f"angle {angle} of the cell", "°", "number") for angle in ("alpha", "beta", "gamma")},
    # claims.csv
    "id": ("name of the claim", "", "string"),
    "claim": ("what the paper claims", "", "string"),
    "where": ("where in the paper", "", "string"),
    "words": ("the paper's words", "", "string"),
    "status": ("whether the study reproduces it", "", "string"),
    "evidence": ("the numbers that decide", "", "string"),
    "seeds": ("the fewest specimens or MD seeds that decided a case", "1", "integer"),
    "depends_on": ("what it depends on, where it holds in some cases", "", "string"),
    # state_checks.csv, whose other columns are named after the elements
    "cavities": ("share of the volume that is farther than 2.5 Å from every atom", "1", "number"),
    # timings.csv, and index.csv
    "stage": ("stage of the pipeline", "", "string"),
    "jobs": ("number of jobs", "1", "integer"),
    "median_wall_s": ("median wall time of a job", "s", "number"),
    "wall_s": ("wall time of all jobs", "s", "number"),
    "CPU_s": ("CPU time of all jobs", "s", "number"),
    "memory_MB": ("largest resident memory of a job", "MB", "number"),
    "path": ("path of a file that the tables stand on", "", "string"),
}


def metadata(name: str, table: bytes, flat: dict[str, str]) -> bytes:
    """The CSVW metadata of the table ``name``: its columns, and ``flat``, the facts of its provenance.

    The standard's common properties have prefixed names; schema.org's ``additionalProperty`` holds the facts.
    """
    columns = table.decode().split("\n", 1)[0].strip().split(",")
    about = {
        "@context": ["http://www.w3.org/ns/csvw", {"@language": "en"}],
        "url": name,
        "dc:identifier": f"persistem:{flat['study']}/{flat['digest']}/{name}",
        "schema:additionalProperty": [
            {"@type": "schema:PropertyValue", "schema:name": key, "schema:value": value} for key, value in flat.items()
        ],
        "tableSchema": {"columns": [_column(column) for column in columns]},
    }
    return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()


def _of_elements(name: str) -> tuple[str, str, str]:
    """A column of ``state_checks.csv`` that is named after elements; nothing of another."""
    if " around " in name:
        others, _, centre = name.partition(" around ")
        return f"mean number of {others} atoms in the first shell around {centre}", "1", "number"
    if name.endswith(" molecules"):
        element = name.partition("-")[0]
        return f"share of {element} atoms bonded to their own kind as in a molecule", "1", "number"
    return "", "", "string"


def _column(name: str) -> dict[str, str]:
    about, unit, datatype = COLUMNS.get(name) or _of_elements(name)
    column = {"name": name, "titles": name, "datatype": datatype}
    return column | ({"dc:description": about} if about else {}) | ({"schema:unitText": unit} if unit else {})
