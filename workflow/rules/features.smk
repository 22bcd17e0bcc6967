"""Decoded shards to feature shards, one rule a feature.

Their code's digest lies in the shards: the start of a run says what differs (mcn/upkeep/code_changes.py).
"""


rule seed_weights:
    """Draw a network's weights from a seed and calibrate its batch norms: for runs without pretrained files."""
    input:
        shards=calibration_shards,
    output:
        "results/weights/{network}.safetensors",
    log:
        "results/logs/seed_weights/{network}.log",
    priority: 10
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        disk_mb=4000,
        runtime=30,
    params:
        seed=settings.features.seed,
    shell:
        "python -m mcn seed-weights {wildcards.network} {input.shards} --output {output} --seed {params.seed}"
        " --threads {threads} &> {log}"


rule resnet152:
    """Appearance: one ResNet-152 feature a second."""
    input:
        shard="results/{dataset}/decoded/frames_1fps/{shard}.parquet",
        weights=network_weights("resnet152"),
    output:
        "results/{dataset}/features/resnet152/{shard}.parquet",
    log:
        "results/logs/{dataset}/resnet152/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/resnet152/{shard}.tsv"
    wildcard_constraints:
        dataset=one_of(decoded_datasets()),
    priority: 10
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        disk_mb=4000,
        runtime=240,
    params:
        recipe=recipe("resnet152"),
        content=content(network_weights("resnet152")),
    shell:
        "python -m mcn extract resnet152 {input.shard} {output} --weights {input.weights:q} --threads {threads}"
        " {params.recipe} &> {log}"


rule resnext101:
    """Motion: one 3D ResNeXt-101 feature for 16 frames at 24 frames a second."""
    input:
        shard="results/{dataset}/decoded/frames_24fps/{shard}.parquet",
        weights=network_weights("resnext101"),
    output:
        "results/{dataset}/features/resnext101/{shard}.parquet",
    log:
        "results/logs/{dataset}/resnext101/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/resnext101/{shard}.tsv"
    wildcard_constraints:
        dataset=one_of(decoded_datasets()),
    priority: 10
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        disk_mb=4000,
        runtime=240,
    params:
        recipe=recipe("resnext101"),
        content=content(network_weights("resnext101")),
    shell:
        "python -m mcn extract resnext101 {input.shard} {output} --weights {input.weights:q} --threads {threads}"
        " {params.recipe} &> {log}"


rule logmel:
    """Audio: 40 log-mel bands, 100 columns a second."""
    input:
        shard="results/{dataset}/decoded/audio_16khz/{shard}.parquet",
    output:
        "results/{dataset}/features/logmel/{shard}.parquet",
    log:
        "results/logs/{dataset}/logmel/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/logmel/{shard}.tsv"
    wildcard_constraints:
        dataset=one_of(decoded_datasets()),
    priority: 10
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=1000,
        runtime=60,
    params:
        recipe=recipe("logmel"),
    shell:
        "python -m mcn extract logmel {input.shard} {output} {params.recipe} &> {log}"


rule davenet:
    """Audio: ResDAVEnet features of the log-mels, for experiments whose audio network is frozen."""
    input:
        shard="results/{dataset}/features/logmel/{shard}.parquet",
        weights=network_weights("davenet"),
    output:
        "results/{dataset}/features/davenet/{shard}.parquet",
    log:
        "results/logs/{dataset}/davenet/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/davenet/{shard}.tsv"
    priority: 10
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(3000),
        runtime=240,
    params:
        recipe=recipe("davenet"),
        content=content(network_weights("davenet")),
    shell:
        "python -m mcn extract davenet {input.shard} {output} --weights {input.weights:q} --threads {threads}"
        " {params.recipe} &> {log}"


rule vocabulary:
    """Vectors of every word that a data set's texts use."""
    input:
        texts=vocabulary_texts,
        vectors=settings.features.word2vec.vectors,
    output:
        "results/{dataset}/vocabulary.parquet",
    log:
        "results/logs/{dataset}/vocabulary.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(6000),
        runtime=60,
    params:
        recipe=recipe("vocabulary"),
        code=code("vocabulary"),
        content=content(settings.features.word2vec.vectors),
    shell:
        "python -m mcn vocabulary {input.texts} --vectors {input.vectors:q} --output {output}"
        " {params.recipe} &> {log}"


rule word2vec:
    """Text: token ids of every narration line."""
    input:
        shard="results/{dataset}/shards/{shard}.csv",
        narration="results/{dataset}/narration/{shard}.parquet",
        vocabulary="results/{dataset}/vocabulary.parquet",
    output:
        "results/{dataset}/features/word2vec/{shard}.parquet",
    log:
        "results/logs/{dataset}/word2vec/{shard}.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        recipe=recipe("word2vec"),
        code=code("word2vec"),
    shell:
        "python -m mcn extract word2vec {input.shard} {output} --narration {input.narration}"
        " --vocabulary {input.vocabulary} {params.recipe} &> {log}"


rule resnet152_shards:
    """Every resnet152 shard, to make this feature alone again."""
    input:
        [feature_shards(dataset, "resnet152") for dataset in settings.datasets],


rule resnext101_shards:
    """Every resnext101 shard, to make this feature alone again."""
    input:
        [feature_shards(dataset, "resnext101") for dataset in settings.datasets],


rule logmel_shards:
    """Every logmel shard, to make this feature alone again."""
    input:
        [feature_shards(dataset, "logmel") for dataset in settings.datasets],


rule davenet_shards:
    """Every davenet shard, to make this feature alone again."""
    input:
        [feature_shards(dataset, "davenet") for dataset in settings.datasets],


rule word2vec_shards:
    """Every word2vec shard, to make this feature alone again."""
    input:
        [feature_shards(dataset, "word2vec") for dataset in settings.datasets],
