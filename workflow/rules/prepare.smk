"""Manifests and annotations to one schema, and the split into shards."""


rule prepare:
    """Check a manifest and its narration files; write them as tables."""
    input:
        manifest=manifest,
        narration=narration_table,
    output:
        videos="results/{dataset}/videos.parquet",
        narration="results/{dataset}/narration.parquet",
    log:
        "results/logs/{dataset}/prepare.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        recipe=recipe("prepare"),
        code=code("prepare"),
        content=content(manifest, narration_table),
        texts=dataset_texts,
    shell:
        "python -m mcn prepare videos {input.manifest:q} --videos {output.videos}"
        " --narration {output.narration} {params.recipe} &> {log}"


rule prepare_captions:
    """Check retrieval captions against the videos."""
    input:
        annotations=captions_file,
        videos="results/{dataset}/videos.parquet",
    output:
        "results/{dataset}/captions.parquet",
    log:
        "results/logs/{dataset}/prepare_captions.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        code=code("prepare_captions"),
        content=content(captions_file),
    shell:
        "python -m mcn prepare captions {input.annotations:q} --videos {input.videos} --output {output} &> {log}"


rule prepare_steps:
    """Check step annotations against the videos and the tasks' step lists."""
    input:
        tasks=tasks_file,
        steps=steps_file,
        videos="results/{dataset}/videos.parquet",
    output:
        tasks="results/{dataset}/tasks.parquet",
        steps="results/{dataset}/steps.parquet",
    log:
        "results/logs/{dataset}/prepare_steps.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        code=code("prepare_steps"),
        content=content(tasks_file, steps_file),
    shell:
        "python -m mcn prepare steps {input.tasks:q} {input.steps:q} --videos {input.videos}"
        " --tasks {output.tasks} --steps {output.steps} &> {log}"


rule prepare_alignment:
    """Check classes, transcripts and segments against each other and the videos."""
    input:
        unpack(alignment_files),
        videos="results/{dataset}/videos.parquet",
    output:
        classes="results/{dataset}/classes.parquet",
        transcripts="results/{dataset}/transcripts.parquet",
        segments="results/{dataset}/segments.parquet",
    log:
        "results/logs/{dataset}/prepare_alignment.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        code=code("prepare_alignment"),
        content=content(alignment_files),
    shell:
        "python -m mcn prepare alignment {input.classes:q} {input.transcripts:q} {input.segments:q}"
        " --videos {input.videos} --classes {output.classes} --transcripts {output.transcripts}"
        " --segments {output.segments} &> {log}"


rule list_videos:
    """The list of the videos of one shard of a small manifest: a changed row remakes its own shard alone."""
    input:
        unchanged_by_time,
    output:
        "results/{dataset}/shards/{shard}.csv",
    log:
        "results/logs/{dataset}/list_videos/{shard}.log",
    wildcard_constraints:
        dataset=one_of(listed_datasets()),
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        shards=shard_count,
        rows=shard_rows,
        code=code("list_videos"),
    shell:
        "python -m mcn shard videos {input:q} {output} --shards {params.shards} --shard {wildcards.shard} &> {log}"


rule list_narration:
    """The narration of one shard of a small manifest: an edited file remakes its own shard alone."""
    input:
        unchanged_by_time,
    output:
        "results/{dataset}/narration/{shard}.parquet",
    log:
        "results/logs/{dataset}/list_narration/{shard}.log",
    wildcard_constraints:
        dataset=one_of(listed_datasets()),
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        shards=shard_count,
        texts=shard_texts,
        code=code("list_narration"),
    shell:
        "python -m mcn shard narration {input:q} {output} --shards {params.shards} --shard {wildcards.shard} &> {log}"


# One rule a data set: how many files come out is a setting of the data set, not of a wildcard.
for dataset in dealt_datasets():

    rule:
        name:
            f"partition_{dataset}"
        input:
            videos=f"results/{dataset}/videos.parquet",
            narration=f"results/{dataset}/narration.parquet",
        output:
            shards=expand(
                f"results/{dataset}/shards/{{shard}}.csv", shard=shard_names(dataset)
            ),
            narration=expand(
                f"results/{dataset}/narration/{{shard}}.parquet",
                shard=shard_names(dataset),
            ),
        log:
            f"results/logs/{dataset}/partition.log",
        localrule: True
        conda:
            "../../envs/mcn.yaml"
        params:
            directory=subpath(input.videos, parent=True),
            shards=len(shard_names(dataset)),
            code=code("partition"),
        shell:
            "python -m mcn partition {input.videos} {input.narration} --shards {params.shards}"
            " --directory {params.directory} &> {log}"


rule partition:
    """Every shard list; run it first, alone, after a manifest has grown."""
    input:
        [
            f"results/{dataset}/shards/{shard}.csv"
            for dataset in settings.datasets
            for shard in shard_names(dataset)
        ],
    localrule: True


rule prepare_actions:
    """Check action classes and the labels of the videos."""
    input:
        unpack(action_files),
        videos="results/{dataset}/videos.parquet",
    output:
        actions="results/{dataset}/actions.parquet",
        labels="results/{dataset}/labels.parquet",
    log:
        "results/logs/{dataset}/prepare_actions.log",
    localrule: True
    conda:
        "../../envs/mcn.yaml"
    params:
        code=code("prepare_actions"),
        content=content(action_files),
    shell:
        "python -m mcn prepare actions {input.actions:q} {input.labels:q} --videos {input.videos}"
        " --actions {output.actions} --labels {output.labels} &> {log}"
