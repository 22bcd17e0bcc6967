"""What others published instead of videos and training: features, files of clips, checkpoints."""


rule import_clips:
    """Manifest, captions and features of a published file of clips."""
    input:
        clips=published_clips,
    output:
        manifest="results/{dataset}/published/manifest.csv",
        captions="results/{dataset}/published/captions.csv",
        accounting="results/{dataset}/published/accounting.json",
        features=expand(
            "results/{{dataset}}/published/{feature}.parquet",
            feature=OF_CLIPS,
        ),
    log:
        "results/logs/{dataset}/import_clips.log",
    wildcard_constraints:
        dataset=one_of(published_datasets()),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        directory=subpath(output.manifest, parent=True),
        rows=published_rows,
        code=code("import_clips"),
        content=content(published_clips),
    shell:
        "python -m mcn import features clips {input.clips:q} --output {params.directory} "
        "--rows {params.rows} &> {log}"


rule import_features:
    """One published feature of a shard's videos."""
    input:
        published_files,
        shard="results/{dataset}/shards/{shard}.csv",
    output:
        "results/{dataset}/features/{feature}/{shard}.parquet",
    log:
        "results/logs/{dataset}/import_{feature}/{shard}.log",
    wildcard_constraints:
        dataset=one_of(published_datasets()),
        feature=one_of(IMPORTED),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        source=published_source,
        layout=published_layout,
        code=code("import_features"),
        content=content(published_files),
    shell:
        "python -m mcn import features shard {input.shard} {params.source:q} --layout {params.layout}"
        " --feature {wildcards.feature} --output {output} &> {log}"


rule import_checkpoint:
    """A published checkpoint as a model of an experiment."""
    input:
        checkpoint=published_checkpoint,
    output:
        model="results/models/{experiment}/model.safetensors",
        config="results/models/{experiment}/config.yaml",
        metrics="results/models/{experiment}/metrics.jsonl",
    log:
        "results/logs/import_checkpoint/{experiment}.log",
    wildcard_constraints:
        experiment=one_of(imported_experiments()),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        directory=subpath(output.model, parent=True),
        sha256=checkpoint_sha256,
        features=imported_features,
        code=code("import_checkpoint"),
        content=content(published_checkpoint),
    shell:
        "python -m mcn import checkpoint {input.checkpoint:q} --output {params.directory} {params.sha256}"
        " --options {params.features:q} &> {log}"
