"""Objectives compared: every experiment and seed of the configuration on one page. No part of `rule all`."""


rule comparison:
    """Means and spreads, paired differences, curves, clusters against true steps, pictures of the spaces."""
    input:
        compared_evaluations(),
        expand(
            "results/models/{experiment}/metrics.jsonl",
            experiment=settings.experiments,
        ),
    output:
        page=report(
            "results/comparison.html",
            caption="../report/comparison.rst",
            category="Comparison",
        ),
        table="results/comparison.csv",
    log:
        "results/logs/comparison.log",
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(3000),
        runtime=growing(240),
    params:
        recipe=recipe("comparison"),
        code=code("comparison"),
    shell:
        "python -m mcn compare experiments results --output {output.page} --threads {threads}"
        " {params.recipe} &> {log}"


rule sweep:
    """The scores of every kept epoch as curves. No part of `rule all`."""
    input:
        sweep_evaluations,
    output:
        page=report(
            "results/sweep.html",
            caption="../report/sweep.rst",
            category="Comparison",
        ),
        table="results/sweep.csv",
    log:
        "results/logs/sweep.log",
    conda:
        "../../envs/mcn.yaml"
    params:
        code=code("sweep"),
    shell:
        "python -m mcn sweep results --output {output.page} &> {log}"


rule encoders:
    """What the features of every experiment cost, beside its scores."""
    input:
        all_evaluations(),
    output:
        page=report(
            "results/encoders.html", caption="../report/table.rst", category="Tables"
        ),
        table="results/encoders.csv",
    log:
        "results/logs/encoders.log",
    conda:
        "../../envs/mcn.yaml"
    params:
        recipe=recipe("encoders"),
        code=code("encoders"),
    shell:
        "python -m mcn compare encoders results --output {output.page} {params.recipe} &> {log}"
