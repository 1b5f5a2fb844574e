"""The stages of the pipeline, each declared once.

Paths, the command line, what jobs ask of a cluster, the glossary in docs/architecture.md and tests read these
declarations. A new stage is declared here, computes in its own module, gets its settings in ``plan`` and its rule in
``workflow/rules``: docs/extending.md.
"""

from __future__ import annotations

from typing import NamedTuple

#: Parts of a study, in order: what the tables stand on, and what a study may ask for besides.
TABLES, EVALUATION, MODEL, MAPS, TRIAL, REPORT = "tables", "evaluation", "model", "maps", "trial", "report"


class Cost(NamedTuple):
    """What a job takes: seconds, memory (MB) and output (MB); ``…_each`` for each source that its settings list."""

    seconds: float
    memory: float
    disk: float
    seconds_each: float = 0
    memory_each: float = 0


class Stage(NamedTuple):
    """A stage of the pipeline.

    ``name`` is its folder under ``results/`` and its name in digests, ``file`` is its file relative to
    ``results/<name>/<digest>/``, and ``module`` computes it, below ``persistem``. ``rules`` and ``verbs`` make its
    files. If its only verb takes settings, root and file, ``function`` is what this verb calls in the module; with
    ``jobs`` the verb passes the number of processes too. Other verbs are in ``commands.stages``. ``cost`` is what a
    job takes, unless that depends on the stage's settings; see ``plan.resources``.
    """

    name: str
    part: str
    file: str
    module: str
    rules: tuple[str, ...]
    verbs: tuple[str, ...]
    does: str
    function: str = ""
    jobs: bool = False
    cost: Cost | None = None


STAGES = (
    Stage(
        "specimens",
        TABLES,
        "{specimen}/structure.extxyz",
        "specimens.md",
        rules=("heating", "rt_treatment", "scheduled", "own_structure"),
        verbs=("heat", "treat", "follow", "structure"),
        does="heat a crystal by molecular dynamics and treat it, follow a schedule, or take an own structure",
    ),
    Stage(
        "prepared",
        TABLES,
        "{specimen}/structure.extxyz",
        "specimens.preparation",
        rules=("preparation",),
        verbs=("preparation",),
        does="minimise a specimen, take snapshots of its trajectory, or stack several",
    ),
    Stage(
        "exit_waves",
        TABLES,
        "{specimen}.zarr",
        "imaging.exit_waves",
        rules=("exit_wave",),
        verbs=("exit-wave",),
        does="propagate a plane wave through a specimen by multislice",
    ),
    Stage(
        "micrographs",
        TABLES,
        "{specimen}/{defocus}.tif",
        "imaging.micrographs",
        rules=("micrograph",),
        verbs=("micrograph",),
        does="image an exit wave at a defocus",
    ),
    Stage(
        "crops",
        TABLES,
        "{specimen}/{defocus}.tif",
        "imaging.crops",
        rules=("crops",),
        verbs=("crops",),
        does="convert a micrograph to 8 bit and cut it into crops",
    ),
    Stage(
        "diagrams",
        TABLES,
        "{specimen}/{defocus}.parquet",
        "topology.diagrams",
        rules=("crop_diagrams", "join_diagrams"),
        verbs=("diagrams", "join-diagrams"),
        does="compute the persistence diagrams of crops",
    ),
    Stage(
        "persistence_images",
        TABLES,
        "{specimen}/{defocus}.parquet",
        "topology.persistence_images",
        rules=("persistence_image",),
        verbs=("persistence-images",),
        does="turn persistence diagrams into persistence images",
    ),
    Stage(
        "learning",
        TABLES,
        "accuracy.csv",
        "learning.accuracy",
        rules=("learning",),
        verbs=("learning",),
        does="classify persistence images and tabulate the accuracy (scikit-learn)",
        function="learning_file",
        jobs=True,
    ),
    Stage(
        "descriptors",
        EVALUATION,
        "{specimen}.parquet",
        "descriptors.crops",
        rules=("descriptors",),
        verbs=("descriptors",),
        does="describe the crops of a specimen's micrographs: persistence, spectrum, contrast, texture",
    ),
    Stage(
        "evaluation",
        EVALUATION,
        "evaluation.json",
        "evaluation.evaluate",
        rules=("evaluate",),
        verbs=("evaluation",),
        does="say what the accuracy means: leak, baselines, nested cross-validation by seeds, learning curves"
        " (scikit-learn)",
        function="evaluation_file",
        jobs=True,
    ),
    Stage(
        "controls",
        EVALUATION,
        "controls.json",
        "evaluation.controls",
        rules=("controls",),
        verbs=("controls",),
        does="tabulate the accuracy where a difference between the states is taken away (scikit-learn)",
        function="controls_file",
        jobs=True,
    ),
    Stage(
        "sweeps",
        EVALUATION,
        "sweep.json",
        "evaluation.sweeps",
        rules=("sweep",),
        verbs=("sweep",),
        does="image, describe and classify along one setting of the microscope, the detector or the crops",
        function="sweep_file",
    ),
    Stage(
        "specimen_diagrams",
        EVALUATION,
        "{specimen}.parquet",
        "topology.specimen_diagrams",
        rules=("specimen_diagrams",),
        verbs=("specimen-diagrams",),
        does="compute the persistence diagrams of the crops of all of a specimen's micrographs",
    ),
    Stage(
        "protocols",
        EVALUATION,
        "protocols.parquet",
        "evaluation.protocols",
        rules=("protocols",),
        verbs=("protocols",),
        does="tabulate the paper's accuracies under many protocols: a design, or a search (scikit-learn)",
        function="protocols_file",
        jobs=True,
    ),
    Stage(
        "compatibility",
        EVALUATION,
        "compatibility.json",
        "evaluation.compatibility",
        rules=("compatibility",),
        verbs=("compatibility",),
        does="say whether the paper's accuracies could be those of a further specimen under the protocols nearest to"
        " them",
        function="compatibility_file",
        jobs=True,
    ),
    Stage(
        "varied",
        MODEL,
        "{specimen}.npz",
        "imaging.varied",
        rules=("varied_micrographs",),
        verbs=("varied",),
        does="image an exit wave under many conditions of lens and detector",
    ),
    Stage(
        "models",
        MODEL,
        "bundle/model.json",  # the bundle is the folder that the file is in
        "model.training",
        rules=("training",),
        verbs=("model",),
        does="train a model of the states for a microscope, and write its bundle into a folder (scikit-learn)",
        function="train",
        jobs=True,
        cost=Cost(2, 600, 0.2, 0.5, 30),
    ),
    Stage(
        "descriptions",
        MODEL,
        "{micrograph}.npz",
        "labelled.describing",
        rules=("description",),
        verbs=("description",),
        does="describe the windows of a labelled micrograph",
        cost=Cost(20, 1500, 60),
    ),
    Stage(
        "fitted",
        MODEL,
        "bundle/model.json",  # the bundle is the folder that the file is in
        "labelled.fitting",
        rules=("fitting",),
        verbs=("fit",),
        does="train a model of the states of labelled micrographs, and write its bundle into a folder",
        function="fit",
        jobs=True,
        cost=Cost(3, 600, 0.2, 1, 60),
    ),
    Stage(
        "unseen",
        MODEL,
        "unseen.html",
        "labelled.evaluation",
        rules=("unseen",),
        verbs=("unseen",),
        does="map each labelled micrograph by a model that has not seen it, and show what such maps are worth",
        function="evaluate",
        cost=Cost(10, 800, 3, 25, 60),
    ),
    Stage(
        "maps",
        MAPS,
        "{micrograph}",  # a folder, with a map or one for each frame of the file
        "maps.mapping",
        rules=("map_micrograph",),
        verbs=("map-micrograph",),
        does="map a micrograph of a study: which state is where",
        cost=Cost(30, 2500, 60),
    ),
    Stage(
        "melts",
        TRIAL,
        "{specimen}/structure.extxyz",
        "trial.melted",
        rules=("melt",),
        verbs=("melt",),
        does="melt and quench a part of a crystal beside the rest by molecular dynamics",
    ),
    Stage(
        "composites",
        TRIAL,
        "{specimen}/structure.extxyz",
        "trial.making",
        rules=("composite",),
        verbs=("composite",),
        does="put a composite together from end states or half-melted crystals, and write what is where in it",
        function="make",
    ),
    Stage(
        "truth",
        TRIAL,
        "truth.json",
        "trial.trial",
        rules=("trial",),
        verbs=("trial",),
        does="map composites, vacuum and foreign crystals with a model, and compare the maps with the truth",
        function="trial_file",
        jobs=True,
    ),
    Stage(
        "overview",
        TRIAL,
        "overview.html",
        "report.overview",
        rules=("overview_page",),
        verbs=("overview",),
        does="write what a study with a model and composites found: one page, and the lines that a run ends with",
        function="write_overview",
        cost=Cost(4, 300, 1),
    ),
    Stage(
        "state_checks",
        REPORT,
        "{specimen}.json",
        "specimens.state_checks",
        rules=("state_checks",),
        verbs=("state-checks",),
        does="check whether a specimen is in the state that it is taken for: g(r), displacements, bonds, voids, drift",
        function="state_checks_file",
        cost=Cost(2, 250, 0.1),
    ),
    Stage(
        "diagrams_3d",
        REPORT,
        "{specimen}.pdgm",
        "topology.diagrams_3d",
        rules=("diagram_3d",),
        verbs=("diagram-3d",),
        does="compute the 3D persistence diagram of a specimen's slab by a weighted alpha filtration",
        cost=Cost(4, 600, 5),
    ),
    Stage(
        "optimal_volumes",
        REPORT,
        "optimal_volumes.json",
        "topology.optimal_volumes",
        rules=("optimal_volumes",),
        verbs=("optimal-volumes",),
        does="choose a region of the 3D diagrams, count its pairs and find their optimal volumes (HomCloud)",
        function="optimal_volumes_file",
        cost=Cost(5, 600, 1),
    ),
    Stage(
        "weights",
        REPORT,
        "weights.parquet",
        "learning.weights",
        rules=("weights",),
        verbs=("weights",),
        does="train on all crops and write the learned weights on the plane of birth and death (scikit-learn)",
        function="weights_file",
        cost=Cost(1, 600, 0.2, 0.1, 10),
    ),
    Stage(
        "inverse",
        REPORT,
        "{specimen}/{defocus}.parquet",
        "topology.inverse",
        rules=("inverse",),
        verbs=("inverse",),
        does="find the region of a crop that each pair of its diagram stands for (HomCloud)",
        function="inverse_file",
        cost=Cost(1, 250, 0.2),
    ),
    Stage(
        "figures",
        REPORT,
        "{figure}.json",
        "report.figures",
        rules=("figure",),
        verbs=("figure",),
        does="draw a figure: PNG, PDF, and its caption and numbers as JSON",
        cost=Cost(5, 1000, 1),
    ),
    Stage(
        "report",
        REPORT,
        "report.html",
        "report.report",
        rules=("report_page",),
        verbs=("report",),
        does="write the report: one HTML page, and tables of the paper's numbers and claims",
        function="write_report",
        cost=Cost(5, 600, 13),
    ),
)

BY_NAME = {stage.name: stage for stage in STAGES}
