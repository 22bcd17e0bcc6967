"""Decoded shards to feature shards: one rule a row of `features`, named like it, and a target rule NAME_shards.

Their code's digest lies in the shards: the start of a run says what differs (mcn/upkeep/code_changes.py).
"""


rule seed_weights:
    """Draw the weights of a feature's network from a seed and calibrate its batch norms: for runs without pretrained files."""
    input:
        shards=calibration_shards,
    output:
        "results/weights/{feature}.safetensors",
    log:
        "results/logs/seed_weights/{feature}.log",
    wildcard_constraints:
        feature=one_of(seeded_features()),
    priority: 10
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        disk_mb=4000,
        runtime=growing(30),
    params:
        seed=settings.seeding.seed,
        recipe=recipe("seed_weights"),
    shell:
        "python -m mcn seed-weights {wildcards.feature} {input.shards} --output {output} --seed {params.seed}"
        " --threads {threads} {params.recipe} &> {log}"


for feature in sequence_features():

    rule:
        name:
            feature
        input:
            shard=f"results/{{dataset}}/{settings.features[feature].reads.folder}/{{shard}}.parquet",
            weights=feature_weights(feature),
        output:
            f"results/{{dataset}}/features/{feature}/{{shard}}.parquet",
        log:
            f"results/logs/{{dataset}}/{feature}/{{shard}}.log",
        benchmark:
            f"results/benchmarks/{{dataset}}/{feature}/{{shard}}.tsv"
        wildcard_constraints:
            dataset=one_of(makers(feature)),
        priority: 10
        conda:
            "../../envs/mcn.yaml"
        threads: extraction_threads(encoder(feature).threads)
        resources:
            mem_mb=growing(encoder(feature).mem_mb, 200),
            disk_mb=encoder(feature).disk_mb,
            runtime=growing(encoder(feature).runtime),
        params:
            feature=feature,
            recipe=recipe("feature", feature=feature),
            content=content(feature_weights(feature)),
        shell:
            "python -m mcn extract {params.feature} {input.shard} {output} --weights {input.weights:q}"
            " --threads {threads} {params.recipe} &> {log}"


for feature in trained_vectors():

    rule:
        name:
            f"train_{feature}"
        input:
            narration_of_vectors(feature),
        output:
            settings.features[feature].vectors,
        log:
            f"results/logs/train_vectors/{feature}.log",
        conda:
            "../../envs/mcn.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(240),
        params:
            feature=feature,
            recipe=recipe("train_vectors", feature=feature),
            code=code("train_vectors", feature=feature),
        shell:
            "python -m mcn train-vectors {params.feature} {input} --output {output} {params.recipe} &> {log}"


for feature in text_features():

    rule:
        name:
            "vocabulary" if feature == "word2vec" else f"vocabulary_{feature}"
        input:
            texts=vocabulary_texts,
            vectors=feature_weights(feature),
        output:
            f"results/{{dataset}}/{vocabulary_file(feature)}",
        log:
            f"results/logs/{{dataset}}/vocabulary_{feature}.log",
        conda:
            "../../envs/mcn.yaml"
        resources:
            mem_mb=growing(6000),
            runtime=growing(60),
        params:
            feature=feature,
            recipe=recipe("vocabulary", feature=feature),
            code=code("vocabulary", feature=feature),
            content=content(feature_weights(feature)),
        shell:
            "python -m mcn vocabulary {params.feature} {input.texts} --vectors {input.vectors:q} --output {output}"
            " {params.recipe} &> {log}"

    rule:
        name:
            feature
        input:
            shard="results/{dataset}/shards/{shard}.csv",
            narration=lines_of_shard,
            vocabulary=f"results/{{dataset}}/{vocabulary_file(feature)}",
        output:
            f"results/{{dataset}}/features/{feature}/{{shard}}.parquet",
        log:
            f"results/logs/{{dataset}}/{feature}/{{shard}}.log",
        conda:
            "../../envs/mcn.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(60),
        params:
            feature=feature,
            recipe=recipe("texts", feature=feature),
            code=code("texts"),
        shell:
            "python -m mcn extract {params.feature} {input.shard} {output} --narration {input.narration}"
            " --vocabulary {input.vocabulary} {params.recipe} &> {log}"


for feature in sequence_features() + published_only() + text_features():

    rule:
        name:
            f"{feature}_shards"
        input:
            [feature_shards(dataset, feature) for dataset in makers(feature, True)],
        localrule: True
