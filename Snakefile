"""From raw narrated videos to a joint video-audio-text space and its zero-shot scores."""

from snakemake.utils import min_version

from mcn.config.workflow import configuration_file

min_version("9.20")


configfile: configuration_file()


report: "workflow/report/workflow.rst"


container: "docker://debian:trixie-slim"


include: "workflow/rules/common.smk"
include: "workflow/rules/wanted.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/inputs_features.smk"
include: "workflow/rules/inputs_models.smk"
include: "workflow/rules/inputs_study.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/official.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/decode.smk"
include: "workflow/rules/speech.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/study.smk"


if workflow.is_main_process:
    say_what_other_code_made()
    say_what_encoders_do_not_know()


onstart:
    start_run()


# Feature shards and models are targets of their own, so that a lost one is noticed and made again.
rule all:
    """Everything: features, models, scores, ledgers and the report."""
    default_target: True
    input:
        all_features(),
        all_speech(),
        all_models(),
        all_ledgers(),
        all_evaluations(),
        all_indexes(),
        all_verdicts(),
        "results/report.html",
    localrule: True
