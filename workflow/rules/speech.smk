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
