"""Features to an index of windows that queries are answered from: a part a shard, and what joins the parts."""


rule index:
    """Embed the windows of the videos of one shard."""
    input:
        indexed_shards,
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
    output:
        "results/index/{experiment}/{dataset}/{shard}.parquet",
    log:
        "results/logs/index/{experiment}/{dataset}/{shard}.log",
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(3000),
        runtime=growing(240),
    params:
        results=subpath(input.model, ancestor=3),
        recipe=recipe("index"),
        code=code("index"),
    shell:
        "python -m mcn index {params.results}/models/{wildcards.experiment} {params.results}/{wildcards.dataset}"
        " {output} --shard {wildcards.shard} --threads {threads} {params.recipe} &> {log}"


rule join_index:
    """Name the parts of an index; of a large one, bring the approximate index up to date."""
    input:
        index_parts,
    output:
        "results/index/{experiment}/{dataset}/index.json",
    log:
        "results/logs/index/{experiment}/{dataset}/join.log",
    conda:
        "../../envs/mcn.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        folder=subpath(output[0], parent=True),
        shards=shard_count,
        recipe=recipe("join_index"),
        code=code("join_index"),
    shell:
        "python -m mcn join-index {params.folder} --shards {params.shards}"
        " --threads {threads} {params.recipe} &> {log}"


rule answers:
    """Everything that `mcn search` and `mcn serve` answer from, of every searchable data set."""
    input:
        all_indexes(),
        all_verdicts(),
        all_speech(),
        all_ledgers(),
    localrule: True
