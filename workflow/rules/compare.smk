"""Kept epochs and encoders set beside each other. No part of `rule all`."""


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
        results=subpath(output.page, parent=True),
        code=code("sweep"),
    shell:
        "python -m mcn sweep {params.results} --output {output.page} &> {log}"


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
        results=subpath(output.page, parent=True),
        recipe=recipe("encoders"),
        code=code("encoders"),
    shell:
        "python -m mcn compare encoders {params.results} --output {output.page} {params.recipe} &> {log}"
