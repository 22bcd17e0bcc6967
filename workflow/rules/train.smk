"""Feature shards to a model, or frozen encoders to a model.

Training resumes from results/checkpoints, which is no declared output.
"""


rule train:
    """Train one experiment."""
    input:
        unpack(training_inputs),
    output:
        model="results/models/{experiment}/model.safetensors",
        config=report(
            "results/models/{experiment}/config.yaml",
            caption="../report/training.rst",
            category="Models",
        ),
        metrics="results/models/{experiment}/metrics.jsonl",
        tensorboard=directory("results/models/{experiment}/tensorboard"),
    log:
        "results/logs/train/{experiment}.log",
    benchmark:
        "results/benchmarks/train/{experiment}.tsv"
    wildcard_constraints:
        experiment=one_of(trained_experiments()),
    conda:
        "../../envs/mcn.yaml"
    threads: cores_among(len(trained_experiments()))
    resources:
        mem_mb=growing(4000),
        runtime=growing(2880),
        nodes=1,
        processes=1,
    params:
        results=subpath(output.model, ancestor=3),
        recipe=recipe("train"),
        code=code("train"),
        content=content(start_file, audio_file),
        shards=training_shard_count,
        early_shards=early_shard_count,
        leaks=leaks_flag,
    shell:
        "python -m mcn train {params.results} --output {params.results}/models/{wildcards.experiment}"
        " --checkpoints {params.results}/checkpoints/{wildcards.experiment} --shards {params.shards}"
        " --early-shards {params.early_shards} --threads {threads}"
        " --nodes {resources.nodes} --processes {resources.processes}"
        " {params.leaks} {params.recipe} &> {log}"


rule judge:
    """Compare a head with its frozen pair on the videos that were held out of its training."""
    input:
        unpack(judged_inputs),
        head="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        "results/verdicts/{experiment}.json",
    log:
        "results/logs/judge/{experiment}.log",
    wildcard_constraints:
        experiment=one_of(settings.judged()),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        results=subpath(input.config, ancestor=3),
        pair=subpath(input.pair, parent=True),
        dataset=judged_dataset,
        shards=training_shard_count,
        code=code("judge"),
    shell:
        "python -m mcn judge {params.results}/models/{wildcards.experiment} {params.pair}"
        " {params.results}/{params.dataset} --shards {params.shards} --output {output} &> {log}"


rule freeze:
    """Put frozen encoders together as the model of an experiment."""
    input:
        weights=frozen_weights,
    output:
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
        metrics="results/models/{experiment}/metrics.jsonl",
    log:
        "results/logs/freeze/{experiment}.log",
    wildcard_constraints:
        experiment=one_of(frozen_experiments()),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        directory=subpath(output.model, parent=True),
        recipe=recipe("freeze"),
        code=code("freeze"),
        rows=frozen_rows,
        content=content(frozen_weights),
    shell:
        "python -m mcn freeze --output {params.directory} --rows {params.rows:q}"
        " {params.recipe} &> {log}"


rule epoch_model:
    """The model that an experiment was after one of its epochs."""
    input:
        whole_model,
    output:
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
        metrics="results/models/{experiment}/metrics.jsonl",
    log:
        "results/logs/epoch_model/{experiment}.log",
    wildcard_constraints:
        experiment=one_of(epochs),
    conda:
        "../../envs/mcn.yaml"
    params:
        whole=subpath(input[0], parent=True),
        directory=subpath(output.model, parent=True),
        epoch=epoch_number,
        code=code("epoch_model"),
    shell:
        "python -m mcn epoch {params.whole} {params.epoch} --output {params.directory} &> {log}"
