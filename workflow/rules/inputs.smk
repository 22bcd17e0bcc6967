"""Input functions and parameters of the rules: what one data set, experiment or network needs. No rule is defined here."""

import json
import shlex


from mcn.sources.outside import (
    beside_digest,
    narration_digest,
    rows_digest,
    videos_digest,
)


def manifest(wildcards):
    """The manifest of a data set."""
    return settings.datasets[wildcards.dataset].manifest


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
    return settings.datasets[wildcards.dataset].captions


def tasks_file(wildcards):
    """The ordered step lists of a data set."""
    return settings.datasets[wildcards.dataset].tasks


def steps_file(wildcards):
    """The step annotations of a data set."""
    return settings.datasets[wildcards.dataset].steps


def narration_table(wildcards):
    """The table of all narration of a data set, where it has one instead of a file a video."""
    return settings.datasets[wildcards.dataset].narration_table or []


def alignment_files(wildcards):
    """The classes, transcripts and segments of a data set."""
    dataset = settings.datasets[wildcards.dataset]
    return {
        name: getattr(dataset, name) for name in ("classes", "transcripts", "segments")
    }


def action_files(wildcards):
    """The action classes and labels of a data set."""
    dataset = settings.datasets[wildcards.dataset]
    return {"actions": dataset.actions, "labels": dataset.labels}


def cooking_tasks_file(wildcards):
    """The list of cooking tasks of a data set, where it is a file."""
    tasks = settings.datasets[wildcards.dataset].localization.cooking_tasks
    return tasks if isinstance(tasks, str) else []


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
    return adapters[wildcards.dataset].files()


def official_options(wildcards):
    """Arguments of the import of a data set."""
    adapter = adapters[wildcards.dataset]
    chosen = {"--split": adapter.split, "--captions": adapter.chosen_captions}
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


def early_shard_count(wildcards):
    """Number of shards of the data set that early scores are taken on, 0 without one."""
    early = settings.experiments[wildcards.experiment].early_evaluation
    return settings.datasets[early.dataset].shards if early else 0


def training_shard_count(wildcards):
    """Number of shards of the data set that an experiment trains on."""
    return settings.datasets[settings.experiments[wildcards.experiment].dataset].shards


def model_inputs(dataset, features):
    """What a model of some features reads of a data set: their shards, and the word vectors of its text."""
    inputs = {name: feature_shards(dataset, name) for name in features.names}
    if features.text:
        inputs["vocabulary"] = f"results/{dataset}/{vocabulary_file(features.text)}"
    return inputs


def training_inputs(wildcards):
    """Inputs of `train`: the training set, and the captions and features that early scores are taken on."""
    experiment = settings.experiments[wildcards.experiment]
    inputs = model_inputs(experiment.dataset, experiment.training_features)
    if experiment.training.start_from:
        inputs["start"] = start_file(wildcards)
    if experiment.training.leave_out_evaluated:
        inputs["leaks"] = leaks_file(wildcards)
    if experiment.model.audio_weights:
        inputs["audio_weights"] = audio_file(wildcards)
    if experiment.early_evaluation:
        dataset = experiment.early_evaluation.dataset
        early = model_inputs(dataset, experiment.features)
        inputs |= {f"early_{name}": paths for name, paths in early.items()}
        inputs["early_captions"] = f"results/{dataset}/captions.parquet"
    return inputs


def leaks_file(wildcards):
    """The list of videos that are scored too, where an experiment leaves them out."""
    experiment = settings.experiments[wildcards.experiment]
    wanted = experiment.training.leave_out_evaluated
    return f"results/{experiment.dataset}/leaks.csv" if wanted else []


def leaks_flag(wildcards, input):
    """What the verb of training is told of the videos that it leaves out."""
    return f"--leaks {input.leaks}" if input.get("leaks") else ""


def leak_sets(wildcards):
    """A parameter: the scored sets, which of them are clips of published files, and what their videos hold."""
    sets = {name: settings.datasets[name] for name in settings.scored_sets()}
    sets[wildcards.dataset] = settings.datasets[wildcards.dataset]
    return {
        name: [one.retrieval.full_video_by, videos_digest(one.manifest, 1, 0)]
        for name, one in sets.items()
    }


def leak_inputs(wildcards):
    """Tables of a training set and of the scored sets; their features come first, since decoding notes contents."""
    sets = [wildcards.dataset, *settings.scored_sets()]
    tables = [f"results/{name}/videos.parquet" for name in sets]
    return [*tables, *(ancient(path) for name in sets for path in features_of(name))]


def start_file(wildcards):
    """The weights that an experiment starts from: of a folder of a model, or a published checkpoint."""
    start = settings.experiments[wildcards.experiment].training.start_from
    if not start:
        return []
    made_here = Path(start).parts[:2] == ("results", "models")
    folder = made_here or Path(start).is_dir()
    return f"{start.rstrip('/')}/model.safetensors" if folder else start


def audio_file(wildcards):
    """The checkpoint that the audio network of an experiment starts from."""
    return settings.experiments[wildcards.experiment].model.audio_weights or []


def evaluation_inputs(wildcards):
    """Features of the evaluated data set in the form that the experiment's model reads."""
    experiment = settings.experiment(wildcards.experiment)
    return model_inputs(wildcards.dataset, experiment.features)


def whole_model(wildcards):
    """The trained model that a model is an epoch of."""
    experiment, _ = epochs[wildcards.experiment]
    return f"results/models/{experiment}/model.safetensors"


def epoch_number(wildcards):
    """Which epoch a model is."""
    return epochs[wildcards.experiment][1]


def indexed_shards(wildcards):
    """The features of one shard that an experiment's model sees and hears."""
    features = settings.experiment(wildcards.experiment).features
    names = [*features.video, *([features.audio] if features.audio else [])]
    return expand(
        "results/{dataset}/features/{feature}/{shard}.parquet",
        feature=names,
        allow_missing=True,
    )


def index_parts(wildcards):
    """Every part of the index of a data set."""
    return expand(
        "results/index/{experiment}/{dataset}/{shard}.parquet",
        shard=shard_names(wildcards.dataset),
        allow_missing=True,
    )


def vocabulary_texts(wildcards):
    """Tables of a data set whose words the vocabulary must hold."""
    dataset = settings.datasets[wildcards.dataset]
    tables = [] if dataset.transcribe else ["narration"]
    tables += ["captions"] if dataset.captions else []
    tables += ["tasks"] if dataset.tasks else []
    tables += ["classes"] if dataset.classes else []
    tables += ["actions"] if dataset.actions else []
    spoken = speech_shards(wildcards.dataset) if dataset.transcribe else []
    return spoken + expand(
        "results/{dataset}/{table}.parquet", table=tables, allow_missing=True
    )


def lines_of_shard(wildcards):
    """The lines of a shard's videos: what was transcribed where that is on, else the manifest's narration."""
    transcribed = settings.datasets[wildcards.dataset].transcribe
    folder = "speech" if transcribed else "narration"
    return f"results/{{dataset}}/{folder}/{{shard}}.parquet"


def lines_of_dataset(wildcards):
    """The lines of every shard of a data set."""
    return expand(
        lines_of_shard(wildcards),
        dataset=wildcards.dataset,
        shard=shard_names(wildcards.dataset),
    )


def meaning_parts(wildcards):
    """Every part of the index of passages of a data set."""
    return expand(
        "results/{dataset}/meaning/{shard}.parquet",
        shard=shard_names(wildcards.dataset),
        allow_missing=True,
    )


def shard_beside(wildcards):
    """A parameter: the digest of the narration files beside the videos of a shard."""
    dataset = settings.datasets[wildcards.dataset]
    language = dataset.transcribe.language
    shard = int(wildcards.shard)
    return beside_digest(dataset.manifest, dataset.shards, shard, language)


def speech_model(wildcards):
    """The weights of the speech recogniser, where its model is a folder."""
    transcribed = settings.datasets[wildcards.dataset].transcribe
    weights = Path(transcribed.model) / "model.bin"
    return [weights] if transcribed.recognize and weights.is_file() else []


def sequence_features():
    """Features of frames and sound, or made of other features."""
    rows = settings.features.items()
    return [name for name, row in rows if row.kind != "text" and not row.lacks]


def text_features():
    """Features of texts that can be made."""
    rows = settings.features.items()
    return [name for name, row in rows if row.kind == "text" and not row.lacks]


def seeded_features():
    """Features whose network has weights that are drawn from a seed."""
    return [name for name, row in settings.features.items() if row.is_seeded]


def makers(feature, imported=False):
    """Data sets that can have a feature. imported: also those whose shards of it are imported."""
    read_here = settings.features[feature].stream is not None and not imported
    sets = decoded_datasets() if read_here else settings.datasets
    return [name for name in sets if settings.can_make(name, feature)]


def encoder(feature):
    """The registered encoder of a feature: what a job of it takes."""
    return encoder_row(settings.features[feature])


def stream_options(streams):
    """Decoded streams as canonical JSON."""
    return canonical_json([stream.model_dump(mode="json") for stream in streams])


def decoding_threads(streams):
    """Threads of a decoding pass: those of its readers where frames are temporary."""
    frames = isinstance(streams[0], FrameOptions)
    return 2 if frames and not settings.keep_decoded else 1


def decoding_disk(streams):
    """Megabytes that a decoding pass may leave on disk."""
    return 4000 if isinstance(streams[0], FrameOptions) else 1000


def feature_weights(feature):
    """Input files of a feature's weights: ours where seeded, a configured file, none for a named model."""
    row = settings.features[feature]
    if row.is_seeded:
        return [f"results/weights/{feature}.safetensors"]
    return [row.file] if row.file else []


def calibration_shards(wildcards):
    """Shards that the batch norms of a feature's seeded network are calibrated on: of what the feature reads."""
    dataset = settings.seeding_dataset
    return expand(
        "results/{dataset}/{folder}/{shard}.parquet",
        dataset=dataset,
        folder=settings.features[wildcards.feature].reads.folder,
        shard=shard_names(dataset)[: settings.seeding.shards],
    )


def features_of_dataset(wildcards):
    """The features that a data set has and an experiment reads."""
    return settings.features_of(wildcards.dataset)


def missing_arguments():
    """Arguments of a table that tell what was left out of the run."""
    return " ".join(f"--missing {shlex.quote(line)}" for line in left_out)


def published_source(wildcards):
    """The folder that a published feature of a data set is read from."""
    published = settings.datasets[wildcards.dataset].published_features
    audio = published.audio_directory if wildcards.feature == "logmel" else None
    return audio or published.directory or f"results/{wildcards.dataset}/published"


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


def frozen_weights(wildcards):
    """Files of the weights of the encoders of a frozen experiment; none of those that a library holds."""
    names = settings.experiments[wildcards.experiment].features.names
    return [path for name in names for path in feature_weights(name)]


def frozen_rows(wildcards):
    """What a frozen experiment is told of its features."""
    return canonical_json(rows_of_frozen(settings, wildcards.experiment))


def published_checkpoint(wildcards):
    """The published checkpoint of an experiment."""
    return settings.experiments[wildcards.experiment].checkpoint


def checkpoint_sha256(wildcards):
    """The option that pins a checkpoint, where it is pinned."""
    digest = settings.experiments[wildcards.experiment].checkpoint_sha256
    return f"--sha256 {digest}" if digest else ""


def imported_features(wildcards):
    """The features that an imported model reads, as options of its import."""
    return json.dumps(settings.experiments[wildcards.experiment].features._asdict())
