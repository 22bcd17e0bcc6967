"""Zero-shot action recognition: labelled videos, class names as text."""


rule prepare_actions:
    """Check action classes and the labels of the videos."""
    input:
        unpack(action_files),
        videos="results/{dataset}/videos.parquet",
    output:
        actions="results/{dataset}/actions.parquet",
        labels="results/{dataset}/labels.parquet",
    log:
        "results/logs/{dataset}/prepare_actions.log",
    conda:
        "../../envs/mcn.yaml"
    params:
        code=code("prepare_actions"),
        content=content(action_files),
    shell:
        "python -m mcn prepare actions {input.actions:q} {input.labels:q} --videos {input.videos}"
        " --actions {output.actions} --labels {output.labels} &> {log}"


rule evaluate_recognition:
    """Rank the class names for each labelled video."""
    input:
        unpack(evaluation_inputs),
        actions="results/{dataset}/actions.parquet",
        labels="results/{dataset}/labels.parquet",
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        report(
            "results/evaluation/{experiment}/{dataset}.recognition.json",
            caption="../report/recognition.rst",
            category="Scores",
        ),
    log:
        "results/logs/evaluate/{experiment}.{dataset}.recognition.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=240,
    params:
        recipe=recipe("evaluate_recognition"),
        code=code("evaluate_recognition"),
    shell:
        "python -m mcn evaluate recognition results/models/{wildcards.experiment} results/{wildcards.dataset}"
        " --output {output} {params.recipe} &> {log}"
