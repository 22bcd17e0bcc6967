"""A model's zero-shot scores on annotated data sets."""


rule evaluate_retrieval:
    """Rank the clips of a data set for each of its captions, and every other pair of modalities."""
    input:
        unpack(evaluation_inputs),
        captions="results/{dataset}/captions.parquet",
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        report(
            "results/evaluation/{experiment}/{dataset}.retrieval.json",
            caption="../report/retrieval.rst",
            category="Scores",
        ),
    log:
        "results/logs/evaluate/{experiment}.{dataset}.retrieval.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=120,
    params:
        recipe=recipe("evaluate_retrieval"),
        code=code("evaluate_retrieval"),
    shell:
        "python -m mcn evaluate retrieval results/models/{wildcards.experiment} results/{wildcards.dataset}"
        " --output {output} {params.recipe} &> {log}"


rule evaluate_localization:
    """Place each video's steps in time by their texts."""
    input:
        cooking_tasks_file,
        unpack(evaluation_inputs),
        tasks="results/{dataset}/tasks.parquet",
        steps="results/{dataset}/steps.parquet",
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        report(
            "results/evaluation/{experiment}/{dataset}.localization.json",
            caption="../report/localization.rst",
            category="Scores",
        ),
    log:
        "results/logs/evaluate/{experiment}.{dataset}.localization.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=120,
    params:
        recipe=recipe("evaluate_localization"),
        code=code("evaluate_localization"),
        content=content(cooking_tasks_file),
    shell:
        "python -m mcn evaluate localization results/models/{wildcards.experiment} results/{wildcards.dataset}"
        " --output {output} {params.recipe} &> {log}"


rule evaluate_alignment:
    """Align each video with its ordered transcript."""
    input:
        unpack(evaluation_inputs),
        unpack(transcript_tables),
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        report(
            "results/evaluation/{experiment}/{dataset}.alignment.json",
            caption="../report/alignment.rst",
            category="Scores",
        ),
    log:
        "results/logs/evaluate/{experiment}.{dataset}.alignment.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=240,
    params:
        recipe=recipe("evaluate_alignment"),
        code=code("evaluate_alignment"),
    shell:
        "python -m mcn evaluate alignment results/models/{wildcards.experiment} results/{wildcards.dataset}"
        " --output {output} {params.recipe} &> {log}"
