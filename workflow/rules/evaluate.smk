"""A model's zero-shot scores on annotated data sets."""

# One rule an evaluation, from its row in mcn/options/evaluation.py.
for task, row in TASKS.items():

    rule:
        name:
            f"evaluate_{task}"
        input:
            evaluation_files(task),
            unpack(evaluation_inputs),
            unpack(annotations(task)),
            model="results/models/{experiment}/model.safetensors",
            config="results/models/{experiment}/config.yaml",
        output:
            report(
                f"results/evaluation/{{experiment}}/{{dataset}}.{task}.json",
                caption=f"../report/{task}.rst",
                category="Scores",
            ),
        log:
            f"results/logs/evaluate/{{experiment}}.{{dataset}}.{task}.log",
        conda:
            "../../envs/mcn.yaml"
        resources:
            mem_mb=growing(3000),
            runtime=growing(row.minutes),
        params:
            task=task,
            results=subpath(input.model, ancestor=3),
            recipe=recipe(f"evaluate_{task}"),
            code=code(f"evaluate_{task}"),
            content=content(evaluation_files(task)),
        shell:
            "python -m mcn evaluate {params.task} {params.results}/models/{wildcards.experiment}"
            " {params.results}/{wildcards.dataset} --output {output} {params.recipe} &> {log}"


rule evaluate_own:
    """Score a model by an evaluation of the user's own."""
    input:
        own_annotations,
        unpack(evaluation_inputs),
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        report(
            "results/evaluation/{experiment}/{dataset}.{evaluation}.json",
            caption="../report/own.rst",
            category="Scores",
        ),
    log:
        "results/logs/evaluate/{experiment}.{dataset}.{evaluation}.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(240),
    params:
        flags=own_evaluation_flags,
        results=subpath(input.model, ancestor=3),
        recipe=recipe("evaluate_own"),
        code=code("evaluate_own"),
    shell:
        "python -m mcn evaluate own {params.results}/models/{wildcards.experiment}"
        " {params.results}/{wildcards.dataset} --output {output} {params.flags} {params.recipe} &> {log}"
