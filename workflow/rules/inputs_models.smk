"""Inputs and parameters of the rules of models: training, evaluation, indexes, and what others published."""

import json


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
    if experiment.objective.needs.steps:
        inputs["steps"] = f"results/{experiment.dataset}/steps.parquet"
    if experiment.training.start_from:
        inputs["start"] = start_file(wildcards)
    if experiment.model.residual_on:
        pair = experiment.model.residual_on
        inputs["pair"] = f"results/models/{pair}/model.safetensors"
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


def judged_inputs(wildcards):
    """Inputs of `judge`: the pair, and the features and the narration of the data set that the head is trained on."""
    experiment = settings.experiments[wildcards.experiment]
    inputs = model_inputs(experiment.dataset, experiment.training_features)
    pair = f"results/models/{experiment.model.residual_on}"
    return {**inputs, "pair": f"{pair}/model.safetensors"}


def judged_dataset(wildcards):
    """The data set that a head is judged on."""
    return settings.experiments[wildcards.experiment].dataset


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
    return here(f"{start.rstrip('/')}/model.safetensors" if folder else start)


def audio_file(wildcards):
    """The checkpoint that the audio network of an experiment starts from."""
    return here(settings.experiments[wildcards.experiment].model.audio_weights or [])


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


def missing_arguments():
    """Arguments of a table that tell what was left out of the run."""
    return " ".join(f"--missing {shlex.quote(line)}" for line in left_out)


def published_source(wildcards):
    """The folder that a published feature of a data set is read from."""
    published = settings.datasets[wildcards.dataset].published_features
    audio = published.audio_directory if wildcards.feature == "logmel" else None
    return audio or published.directory or f"{results}/{wildcards.dataset}/published"


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
    return here(settings.datasets[wildcards.dataset].published_features.clips)


def published_rows(wildcards):
    """Which rows of a published file of clips are read: pooled or full."""
    return settings.datasets[wildcards.dataset].published_features.rows


def frozen_weights(wildcards):
    """Files of the weights of the encoders of a frozen experiment; none of those that a library holds."""
    names = settings.experiments[wildcards.experiment].features.names
    return [path for name in names for path in feature_weights(name)]


def frozen_rows(wildcards):
    """What a frozen experiment is told of its features."""
    return canonical_json(rows_of_frozen(settings, wildcards.experiment))


def published_checkpoint(wildcards):
    """The published checkpoint of an experiment."""
    return here(settings.experiments[wildcards.experiment].checkpoint)


def checkpoint_sha256(wildcards):
    """The option that pins a checkpoint, where it is pinned."""
    digest = settings.experiments[wildcards.experiment].checkpoint_sha256
    return f"--sha256 {digest}" if digest else ""


def imported_features(wildcards):
    """The features that an imported model reads, as options of its import."""
    return json.dumps(settings.experiments[wildcards.experiment].features._asdict())
