"""Accounts and the report."""


rule ledger:
    """Account for every video of a data set: ok, failed, missing or excluded, stream by stream."""
    input:
        shards=shards_of_dataset,
        speech=speech_accounts,
        videos="results/{dataset}/videos.parquet",
    output:
        ledger="results/{dataset}/ledger.parquet",
        quarantine="results/{dataset}/quarantine.csv",
    log:
        "results/logs/{dataset}/ledger.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        folder=subpath(output.ledger, parent=True),
        manifest=placed_manifest,
        shards=shard_count,
        code=code("ledger"),
        features=features_of_dataset,
        speech=speech_flag,
    shell:
        "python -m mcn ledger {params.folder} --shards {params.shards} --features {params.features}"
        " --manifest {params.manifest:q} {params.speech} &> {log}"


rule leaks:
    """List the videos of a training set that stand in a scored set too, by id and by content."""
    input:
        leak_inputs,
    output:
        "results/{dataset}/leaks.csv",
    log:
        "results/logs/{dataset}/leaks.log",
    wildcard_constraints:
        dataset=one_of(settings.training_sets()),
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        settings=settings_file,
        scored=leak_sets,
        code=code("leaks"),
    shell:
        "python -m mcn leaks {params.results} {wildcards.dataset} --options @{params.settings} --output {output}"
        " &> {log}"


rule report:
    """One offline page: scores beside chance, curves, retrieved moments, timelines, accounts, provenance."""
    input:
        all_features(),
        all_models(),
        all_ledgers(),
        all_evaluations(),
        expand("results/{dataset}/videos.parquet", dataset=settings.datasets),
        expand(
            "results/models/{experiment}/{file}",
            experiment=settings.experiments,
            file=["config.yaml", "metrics.jsonl"],
        ),
        expand("results/{dataset}/leaks.csv", dataset=settings.training_sets()),
    output:
        report(
            "results/report.html",
            caption="../report/report.rst",
            category="Report",
        ),
    log:
        "results/logs/report.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        results=subpath(output[0], parent=True),
        recipe=recipe("report"),
        code=code("report"),
    shell:
        "python -m mcn report {params.results} --output {output} {params.recipe} &> {log}"


rule verify:
    """Read every shard with its checksums and list what is damaged."""
    log:
        "results/logs/verify.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        results=results,
        settings=settings_file,
    shell:
        "python -m mcn verify {params.results} --options @{params.settings} 2>&1 | tee {log}"


rule retry:
    """Try failed videos again and merge them into their shards; run snakemake again afterwards."""
    log:
        "results/logs/retry.log",
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        disk_mb=4000,
        runtime=growing(240),
    params:
        results=results,
        settings=settings_file,
    shell:
        "python -m mcn retry {params.results} --threads {threads} --options @{params.settings} 2>&1 | tee {log}"


rule table1:
    """Published retrieval scores, those of this run beside them, and what is missing."""
    input:
        evaluations("retrieval"),
    output:
        html=report(
            "results/table1.html", caption="../report/table.rst", category="Tables"
        ),
        markdown="results/table1.md",
        csv="results/table1.csv",
    log:
        "results/logs/table1.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        name="table1",
        results=subpath(output.html, parent=True),
        recipe=recipe("table1"),
        code=code("table1"),
        missing=missing_arguments(),
    shell:
        "python -m mcn table {params.name} {params.results} --output {output.html} {params.recipe}"
        " {params.missing} &> {log}"


use rule table1 as table2 with:
    input:
        evaluations("localization"),
        evaluations("alignment"),
    output:
        html=report(
            "results/table2.html", caption="../report/table.rst", category="Tables"
        ),
        markdown="results/table2.md",
        csv="results/table2.csv",
    log:
        "results/logs/table2.log",
    params:
        name="table2",
        results=subpath(output.html, parent=True),
        recipe=recipe("table2"),
        code=code("table2"),
        missing=missing_arguments(),
