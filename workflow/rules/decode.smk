"""Raw videos to exactly the frames and samples that the networks see.

One rule a decoding pass: a pass decodes each video once for all of its streams. Frames are large. Where they are
temporary, what makes them and what reads them ask for the same threads and disk_mb, and readers go first: no video is
decoded while decoded frames wait, and `--resources disk_mb=N` bounds what lies on disk.
"""

for name, streams in settings.decode_passes().items():

    rule:
        name:
            f"decode_{name}"
        input:
            shard="results/{dataset}/shards/{shard}.csv",
        output:
            [
                decoded(f"results/{{dataset}}/{stream.folder}/{{shard}}.parquet")
                for stream in streams
            ],
        log:
            f"results/logs/{{dataset}}/decode_{name}/{{shard}}.log",
        benchmark:
            f"results/benchmarks/{{dataset}}/decode_{name}/{{shard}}.tsv"
        conda:
            "../../envs/mcn.yaml"
        threads: decoding_threads(streams)
        resources:
            mem_mb=growing(2000, 500),
            disk_mb=decoding_disk(streams),
            runtime=growing(240),
        params:
            streams=stream_options(streams),
            recipe=recipe("decode"),
            videos=shard_videos,
        shell:
            "python -m mcn decode {input.shard} {output} --streams {params.streams:q}"
            " --threads {threads} {params.recipe} &> {log}"
