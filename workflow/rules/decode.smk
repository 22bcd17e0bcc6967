"""Raw videos to exactly the frames and samples that the networks see.

Frames are large. Where they are temporary, what makes them and what reads them ask for the same threads and disk_mb, and
readers go first: no video is decoded while decoded frames wait, and `--resources disk_mb=N` bounds what lies on disk.
"""


rule decode_frames:
    """Decode each video once for both frame rates."""
    input:
        shard="results/{dataset}/shards/{shard}.csv",
    output:
        appearance=decoded("results/{dataset}/decoded/frames_1fps/{shard}.parquet"),
        motion=decoded("results/{dataset}/decoded/frames_24fps/{shard}.parquet"),
    log:
        "results/logs/{dataset}/decode_frames/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/decode_frames/{shard}.tsv"
    conda:
        "../../envs/mcn.yaml"
    threads: 1 if settings.keep_decoded else 2
    resources:
        mem_mb=growing(2000),
        disk_mb=4000,
        runtime=240,
    params:
        recipe=recipe("decode_frames"),
        videos=shard_videos,
    shell:
        "python -m mcn decode frames {input.shard} --frames-1fps {output.appearance}"
        " --frames-24fps {output.motion} {params.recipe} &> {log}"


rule decode_audio:
    """Decode each sound track to 16 kHz mono."""
    input:
        shard="results/{dataset}/shards/{shard}.csv",
    output:
        decoded("results/{dataset}/decoded/audio_16khz/{shard}.parquet"),
    log:
        "results/logs/{dataset}/decode_audio/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/decode_audio/{shard}.tsv"
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=1000,
        runtime=120,
    params:
        recipe=recipe("decode_audio"),
        videos=shard_videos,
    shell:
        "python -m mcn decode audio {input.shard} --output {output} {params.recipe} &> {log}"
