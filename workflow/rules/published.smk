"""What others published instead of videos and training: features, files of clips, checkpoints."""


def published_source(wildcards):
    """The folder that a data set's published features are read from."""
    published = settings.datasets[wildcards.dataset].published_features
    return published.directory or f"results/{wildcards.dataset}/published"


def published_files(wildcards):
    """The feature file that an import of clips made; none where there is a folder of files."""
    published = settings.datasets[wildcards.dataset].published_features
    file = f"results/{wildcards.dataset}/published/{wildcards.feature}.parquet"
    return file if published.clips else []


def published_layout(wildcards):
    """The form of a data set's published features."""
    published = settings.datasets[wildcards.dataset].published_features
    return "clips" if published.clips else published.layout


def published_clips(wildcards):
    """The published file of clips of a data set."""
    return settings.datasets[wildcards.dataset].published_features.clips


def published_checkpoint(wildcards):
    """The published checkpoint of an experiment."""
    return settings.experiments[wildcards.experiment].checkpoint


def checkpoint_sha256(wildcards):
    """The option that pins a checkpoint, where it is pinned."""
    digest = settings.experiments[wildcards.experiment].checkpoint_sha256
    return f"--sha256 {digest}" if digest else ""


rule import_clips:
    """Manifest, captions and features of a published file of clips."""
    input:
        clips=published_clips,
        code=code("published/clips.py"),
    output:
        manifest="results/{dataset}/published/manifest.csv",
        captions="results/{dataset}/published/captions.csv",
        accounting="results/{dataset}/published/accounting.json",
        features=expand(
            "results/{{dataset}}/published/{feature}.parquet",
            feature=PUBLISHED_FEATURES,
        ),
    log:
        "results/logs/{dataset}/import_clips.log",
    wildcard_constraints:
        dataset=one_of(published_datasets()),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=240,
    params:
        directory=subpath(output.manifest, parent=True),
    shell:
        "python -m mcn import features clips {input.clips:q} --output {params.directory} &> {log}"


rule import_features:
    """One published feature of a shard's videos."""
    input:
        published_files,
        shard="results/{dataset}/shards/{shard}.csv",
        code=code("published/import_features.py"),
    output:
        "results/{dataset}/features/{feature}/{shard}.parquet",
    log:
        "results/logs/{dataset}/import_{feature}/{shard}.log",
    wildcard_constraints:
        dataset=one_of(published_datasets()),
        feature=one_of(PUBLISHED_FEATURES),
    conda:
        "../../envs/mcn.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=240,
    params:
        source=published_source,
        layout=published_layout,
    shell:
        "python -m mcn import features shard {input.shard} {params.source:q} --layout {params.layout}"
        " --feature {wildcards.feature} --output {output} &> {log}"


rule import_checkpoint:
    """A published checkpoint as a model of an experiment."""
    input:
        checkpoint=published_checkpoint,
        code=code("published/import_checkpoint.py"),
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
        runtime=60,
    params:
        directory=subpath(output.model, parent=True),
        sha256=checkpoint_sha256,
    shell:
        "python -m mcn import checkpoint {input.checkpoint:q} --output {params.directory} {params.sha256} &> {log}"
