"""What is said in videos: narration files, subtitle streams and speech recognition to one table of lines a shard.

Its code's digest lies in the accounts: the start of a run says what differs (mcn/upkeep/code_changes.py).
"""


rule transcribe:
    """Read what is said in the videos of a shard."""
    input:
        shard="results/{dataset}/shards/{shard}.csv",
        narration="results/{dataset}/narration/{shard}.parquet",
        model=speech_model,
    output:
        lines="results/{dataset}/speech/{shard}.parquet",
        account="results/{dataset}/speech_account/{shard}.parquet",
    log:
        "results/logs/{dataset}/transcribe/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/transcribe/{shard}.tsv"
    wildcard_constraints:
        dataset=one_of(transcribed_datasets()),
    conda:
        "../../envs/mcn.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(720),
    params:
        recipe=recipe("transcribe"),
        videos=shard_videos,
        beside=shard_beside,
        content=content(speech_model),
    shell:
        "python -m mcn transcribe {input.shard} {input.narration} {output.lines} {output.account}"
        " --threads {threads} {params.recipe} &> {log}"


rule transcribe_shards:
    """What is said in every data set whose speech is read."""
    input:
        all_speech(),
    localrule: True


rule words:
    """Bring the full-text index of what is said up to date: shards that have not changed are not read."""
    input:
        lines_of_dataset,
    output:
        update("results/{dataset}/words.sqlite"),
    log:
        "results/logs/{dataset}/words.log",
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        code=code("words"),
    shell:
        "python -m mcn index-words {output} {input} &> {log}"


if settings.search.meaning:

    rule passages:
        """Embed passages of what is said in the videos of one shard."""
        input:
            shard="results/{dataset}/shards/{shard}.csv",
            lines=lines_of_shard,
            weights=feature_weights(settings.search.meaning),
        output:
            "results/{dataset}/meaning/{shard}.parquet",
        log:
            "results/logs/{dataset}/passages/{shard}.log",
        conda:
            "../../envs/mcn.yaml"
        threads: 2
        resources:
            mem_mb=growing(3000),
            runtime=growing(240),
        params:
            feature=settings.search.meaning,
            recipe=recipe("passages", feature=settings.search.meaning),
            code=code("passages"),
            content=content(feature_weights(settings.search.meaning)),
        shell:
            "python -m mcn index-passages {params.feature} {input.shard} {input.lines} {output}"
            " --threads {threads} {params.recipe} &> {log}"

    rule join_passages:
        """Name the parts of an index of passages; of a large one, bring the approximate index up to date."""
        input:
            meaning_parts,
        output:
            "results/{dataset}/meaning/index.json",
        log:
            "results/logs/{dataset}/passages/join.log",
        conda:
            "../../envs/mcn.yaml"
        threads: 2
        resources:
            mem_mb=growing(4000),
            runtime=growing(240),
        params:
            folder=subpath(output[0], parent=True),
            shards=shard_count,
            recipe=recipe("join_passages"),
            code=code("join_passages"),
        shell:
            "python -m mcn join-index {params.folder} --shards {params.shards}"
            " --threads {threads} {params.recipe} &> {log}"
