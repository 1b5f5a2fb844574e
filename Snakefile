# From a GaN crystal to the paper's accuracy table. A table of contents: the study, the stages, the named targets.
#
#   snakemake --cores 2                                     the paper's study
#   snakemake --cores 2 --configfile config/demo.yaml       another study; it stands alone
#   snakemake --cores 2 report                              and its figures and report
#   snakemake --cores 2 specimens | exit_waves | micrographs | diagrams     as far as a stage


include: "workflow/rules/common.smk"
include: f"workflow/rules/{'own_structures' if PLAN.study.structures else 'specimens'}.smk"
include: "workflow/rules/preparation.smk"
include: "workflow/rules/exit_waves.smk"
include: "workflow/rules/micrographs.smk"
include: "workflow/rules/crops.smk"
include: "workflow/rules/diagrams.smk"
include: "workflow/rules/persistence_images.smk"
include: "workflow/rules/learning.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/labelled.smk"
include: "workflow/rules/maps.smk"
include: "workflow/rules/trial.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/publish.smk"


localrules:
    all,
    specimens,
    exit_waves,
    micrographs,
    diagrams,
    persistence_images,
    evaluation,
    multiverse,
    controlled,
    robustness,
    model,
    maps,
    truth,
    figures,
    report,
    # copies of files, a second each
    publish,
    publish_report,
    publish_model,
    publish_unseen,
    publish_map,
    publish_trial,
    publish_overview,


rule all:
    """Everything the study shows: results/<study>/."""
    default_target: True
    input:
        [] if PLAN.study.labelled_alone else rules.publish.output,
        # Snakemake makes a missing file only where somebody asks for it: ask for what a changed setting gives new digests
        PLAN.files("learning"),
        PLAN.files("specimens"),
        [*rules.publish_model.output, *PLAN.model.files] if PLAN.study.model else [],
        (
            [*rules.publish_unseen.output, *PLAN.unseen_files()]
            if PLAN.study.labelled_alone
            else []
        ),
        [*PLAN.maps.folders.values(), *PLAN.maps.shown.values()],
        # made of all that is shown, so it comes last
        (
            [*rules.publish_overview.output, *PLAN.overview_files()]
            if PLAN.overview_files()
            else []
        ),


rule report:
    """The report and the figures: results/<study>/report.html and figures/."""
    input:
        rules.all.input,
        rules.publish_report.output,
        PLAN.report_files().keys(),


rule specimens:
    """Every MD specimen (or own structure)."""
    input:
        partial(target, "specimens", PLAN.files("specimens")),


rule exit_waves:
    """The exit wave of every specimen."""
    input:
        partial(target, "exit waves", PLAN.files("exit_waves")),


rule micrographs:
    """A micrograph of every specimen at every defocus."""
    input:
        partial(target, "simulated micrographs", PLAN.files("micrographs")),


rule diagrams:
    """The persistence diagrams of every crop of the classified specimens."""
    input:
        partial(target, "diagrams", PLAN.files("diagrams")),


rule persistence_images:
    """The persistence images of every crop of the classified specimens."""
    input:
        partial(target, "persistence images", PLAN.files("persistence_images")),


rule evaluation:
    """What the accuracy means: leak, baselines, nested cross-validation by seeds."""
    input:
        partial(target, "evaluation", PLAN.evaluation.evaluation),


rule multiverse:
    """The accuracy under other answers to what the paper leaves open."""
    input:
        partial(
            target,
            "evaluation.multiverse.factors",
            [
                *(one["accuracy"] for one in PLAN.evaluation.multiverse),
                *(file for file in PLAN.evaluation.joint if file),
            ],
        ),


rule controlled:
    """The accuracy where a difference between the states is taken away."""
    input:
        partial(target, "evaluation.controls", PLAN.evaluation.controls),


rule robustness:
    """The accuracy along settings of the microscope, the detector and the crops."""
    input:
        partial(target, "evaluation.sweeps", list(PLAN.evaluation.sweeps.values())),


rule model:
    """The model for the study's microscope: the bundle results/<study>/model/."""
    input:
        rules.publish_model.output,
        PLAN.model.files,


rule truth:
    """What the maps of the model are worth on composites whose regions are known."""
    input:
        rules.publish_trial.output,
        PLAN.trial.files,
        pictures(PLAN).keys(),


rule maps:
    """Where on the study's own micrographs which state is: results/<study>/maps/."""
    input:
        partial(
            target,
            "micrographs",
            [*PLAN.maps.folders.values(), *PLAN.maps.shown.values()],
        ),


rule figures:
    """Every figure of the paper."""
    input:
        partial(target, "figures", list(PLAN.report.figures.values())),
