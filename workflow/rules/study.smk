"""A study of objectives: its trials, its plan, its page. No part of `rule all`."""


# One job a trial: training goes on from its checkpoint, and its scores are made by the process that trained.
rule trial:
    """Train an objective in a condition with a seed, and score it video by video."""
    input:
        unpack(trial_inputs),
    output:
        scores="results/study/trials/{trial}/scores.json",
        model="results/study/trials/{trial}/model.safetensors",
        config="results/study/trials/{trial}/config.yaml",
        metrics="results/study/trials/{trial}/metrics.jsonl",
        tensorboard=directory("results/study/trials/{trial}/tensorboard"),
    log:
        "results/logs/study/{trial}.log",
    benchmark:
        "results/benchmarks/study/{trial}.tsv"
    wildcard_constraints:
        trial=one_of(trials),
    conda:
        "../../envs/mcn.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(2880),
    params:
        results=subpath(input.scored_steps, ancestor=2),
        recipe=trial_recipe,
        told=trial_told,
        code=trial_code,
    shell:
        "python -m mcn study-job trial {params.results} --output {params.results}/study/trials/{wildcards.trial}"
        " --checkpoints {params.results}/checkpoints/study/{wildcards.trial} --threads {threads}"
        " --trial {params.told:q} {params.recipe} &> {log}"


rule study_plan:
    """Choose schedules and estimate the power on the validation draw; the plan is an overlay of the configuration."""
    input:
        trial_scores("tuning"),
        captions=study_captions(),
    output:
        plan="results/study/plan.yaml",
        tuning="results/study/tuning.csv",
    log:
        "results/logs/study/plan.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        results=subpath(output[0], ancestor=2),
        recipe=recipe("study_plan"),
        code=code("study_plan"),
        objectives=study_objectives(),
        digest=study_digest(),
    shell:
        "python -m mcn study-job plan {params.results} --output {output.plan} --objectives {params.objectives}"
        " --digest {params.digest} {params.recipe} &> {log}"


rule study:
    """Test every difference to the baseline on the test set."""
    input:
        study_scores,
    output:
        page=report(
            "results/study.html", caption="../report/study.rst", category="Comparison"
        ),
        scores="results/study_scores.csv",
        effects="results/study_effects.csv",
    log:
        "results/logs/study/conclude.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(240),
    params:
        results=subpath(output.page, parent=True),
        recipe=recipe("study"),
        code=code("study"),
    shell:
        "python -m mcn study-job conclude {params.results} --output {output.page} {params.recipe} &> {log}"
