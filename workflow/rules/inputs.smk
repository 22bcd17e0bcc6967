"""Inputs and parameters of the rules of data sets: tables, annotations, official files. No rule is defined here."""

import shlex


from mcn.sources.outside import (
    beside_digest,
    is_made_here,
    narration_digest,
    rows_digest,
    videos_digest,
)


def here(path):
    """A file that the configuration names: read from where it lies also where results go to a bucket."""
    return local(path) if path and not is_made_here(path) else path


def manifest(wildcards):
    """The manifest of a data set."""
    return here(settings.datasets[wildcards.dataset].manifest)


def placed_manifest(wildcards):
    """A parameter: where the manifest of a data set lies."""
    return placed(manifest(wildcards), results)


def shard_rows(wildcards):
    """A parameter: the digest of what the manifest says of the videos of a shard."""
    dataset = settings.datasets[wildcards.dataset]
    return rows_digest(dataset.manifest, dataset.shards, int(wildcards.shard))


def unchanged_by_time(wildcards):
    """The manifest of a data set, whose rows are parameters: a newer time alone remakes nothing."""
    return ancient(manifest(wildcards))


def shard_videos(wildcards):
    """A parameter: the digest of the videos of a shard, so that one that is replaced under its path is noticed."""
    dataset = settings.datasets[wildcards.dataset]
    return videos_digest(dataset.manifest, dataset.shards, int(wildcards.shard))


def shard_texts(wildcards):
    """A parameter: the digest of the videos' ids and narration files of a shard."""
    dataset = settings.datasets[wildcards.dataset]
    shard = int(wildcards.shard)
    return narration_digest(dataset.manifest, dataset.shards, shard)


def dataset_texts(wildcards):
    """A parameter: the digest of all narration files of a data set."""
    return narration_digest(settings.datasets[wildcards.dataset].manifest)


def captions_file(wildcards):
    """The retrieval annotations of a data set."""
    return here(settings.datasets[wildcards.dataset].captions)


def tasks_file(wildcards):
    """The ordered step lists of a data set."""
    return here(settings.datasets[wildcards.dataset].tasks)


def steps_file(wildcards):
    """The step annotations of a data set."""
    return here(settings.datasets[wildcards.dataset].steps)


def narration_table(wildcards):
    """The table of all narration of a data set, where it has one instead of a file a video."""
    return here(settings.datasets[wildcards.dataset].narration_table or [])


def alignment_files(wildcards):
    """The classes, transcripts and segments of a data set."""
    dataset = settings.datasets[wildcards.dataset]
    return {
        name: here(getattr(dataset, name))
        for name in ("classes", "transcripts", "segments")
    }


def action_files(wildcards):
    """The action classes and labels of a data set."""
    dataset = settings.datasets[wildcards.dataset]
    return {"actions": here(dataset.actions), "labels": here(dataset.labels)}


def cooking_tasks_file(wildcards):
    """The list of cooking tasks of a data set, where it is a file."""
    tasks = settings.datasets[wildcards.dataset].localization.cooking_tasks
    return here(tasks) if isinstance(tasks, str) else []


def annotations(task):
    """An input function: the tables that an evaluation reads of a data set."""

    def tables(wildcards):
        names = settings.datasets[wildcards.dataset].tables_of(TASKS[task])
        return {name: f"results/{wildcards.dataset}/{name}.parquet" for name in names}

    return tables


def own_annotations(wildcards):
    """The tables that an evaluation of the user's own reads of a data set."""
    names = (
        settings.datasets[wildcards.dataset].evaluations[wildcards.evaluation].tables
    )
    return [f"results/{wildcards.dataset}/{name}.parquet" for name in names]


def own_evaluation_flags(wildcards):
    """What the verb of an own evaluation is told of the data set."""
    dataset = settings.datasets[wildcards.dataset]
    return f"--shards {dataset.shards}{' --synthetic' * dataset.synthetic}"


def evaluation_files(task):
    """An input function: files from outside that an evaluation reads."""
    return cooking_tasks_file if task == "localization" else no_files


def no_files(wildcards):
    """No file."""
    return []


def official_files(wildcards):
    """The official files of a data set; those that are missing are named with where to get them."""
    try:
        adapters[wildcards.dataset].require_files()
    except UserError as error:
        raise WorkflowError(f"datasets.{wildcards.dataset}\n{error}")
    return [here(path) for path in adapters[wildcards.dataset].files()]


def official_options(wildcards):
    """Arguments of the import of a data set."""
    adapter = adapters[wildcards.dataset]
    captions = " ".join(map(shlex.quote, adapter.chosen_captions))
    chosen = {"--split": adapter.split, "--captions": captions}
    words = [f"{name} {value}" for name, value in chosen.items() if value]
    return " ".join([adapter.kind, shlex.quote(str(adapter.folder)), *words])


def shard_count(wildcards):
    """Number of shards of the data set of a rule."""
    return settings.datasets[wildcards.dataset].shards


def shards_of_dataset(wildcards):
    """Every feature shard of the data set of a rule."""
    return features_of(wildcards.dataset)


def speech_accounts(wildcards):
    """Where the words of each video are from, where they are transcribed."""
    transcribed = wildcards.dataset in transcribed_datasets()
    shards = shard_names(wildcards.dataset) if transcribed else []
    return expand(
        "results/{dataset}/speech_account/{shard}.parquet",
        dataset=wildcards.dataset,
        shard=shards,
    )


def speech_flag(wildcards):
    """Tells the ledger that speech is one of the streams."""
    return "--speech" if wildcards.dataset in transcribed_datasets() else ""
