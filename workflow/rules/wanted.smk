"""Data sets, experiments and files of a run, by what is wanted of them. No rule is defined here."""


def published_datasets():
    """Data sets whose features others extracted."""
    return [
        name
        for name, dataset in settings.datasets.items()
        if dataset.published_features
    ]


def listed_datasets():
    """Data sets whose shards are listed one by one, from a small manifest that lies outside (mcn/sources/outside.py)."""
    return [
        name
        for name, dataset in settings.datasets.items()
        if is_known(dataset.manifest) and not dataset.narration_table
    ]


def dealt_datasets():
    """Data sets whose tables are dealt out to all shards at once."""
    return [name for name in settings.datasets if name not in listed_datasets()]


def decoded_datasets():
    """Data sets whose features are extracted here, from videos."""
    return [name for name in settings.datasets if name not in published_datasets()]


def imported_experiments():
    """Experiments whose model is a published checkpoint."""
    return [name for name, one in settings.experiments.items() if one.checkpoint]


def trained_experiments():
    """Experiments whose model is trained here."""
    other = imported_experiments() + frozen_experiments() + list(epochs)
    return [name for name in settings.experiments if name not in other]


def frozen_experiments():
    """Experiments whose model is a pair of frozen encoders."""
    return [name for name, one in settings.experiments.items() if one.is_frozen]


def shard_names(dataset):
    """Five-digit names of the shards of a data set."""
    return [f"{shard:05d}" for shard in range(settings.datasets[dataset].shards)]


def feature_shards(dataset, feature):
    """Every shard of one feature of one data set."""
    return expand(
        "results/{dataset}/features/{feature}/{shard}.parquet",
        dataset=dataset,
        feature=feature,
        shard=shard_names(dataset),
    )


def transcribed_datasets():
    """Data sets whose speech is read."""
    return [name for name, dataset in settings.datasets.items() if dataset.transcribe]


def speech_shards(dataset):
    """The lines of every shard of a data set whose speech is read."""
    return [
        f"results/{dataset}/speech/{shard}.parquet" for shard in shard_names(dataset)
    ]


def all_speech():
    """The lines of every data set whose speech is read."""
    return [
        path for dataset in transcribed_datasets() for path in speech_shards(dataset)
    ]


def features_of(dataset):
    """Shards of the features that a data set has and an experiment reads."""
    features = settings.features_of(dataset)
    return [path for feature in features for path in feature_shards(dataset, feature)]


def all_features():
    """Every feature shard of every data set."""
    return [path for dataset in settings.datasets for path in features_of(dataset)]


def evaluations(*tasks):
    """Result files of some evaluations: every experiment that can be scored, on every data set annotated for it."""
    return [
        f"results/evaluation/{experiment}/{dataset}.{task}.json"
        for experiment, dataset, task in settings.evaluations()
        if task in tasks
    ]


def all_evaluations():
    """Result files of every evaluation, those of the user's own among them."""
    return evaluations(*settings.evaluation_sets())


def sweep_evaluations(wildcards):
    """Result files of every kept epoch; without one, it is said how to keep them."""
    found = [
        f"results/evaluation/{model}/{dataset}.{task}.json"
        for model, dataset, task in settings.sweep()
    ]
    if not found:
        raise WorkflowError("no epoch to score: set training.keep_epochs: 1")
    return found


def all_models():
    """The model of every experiment."""
    return expand(
        "results/models/{experiment}/model.safetensors",
        experiment=settings.experiments,
    )


def all_ledgers():
    """The ledger of every data set."""
    return expand("results/{dataset}/ledger.parquet", dataset=settings.datasets)


def all_verdicts():
    """The comparison of every head that is judged with its frozen pair."""
    return expand("results/verdicts/{experiment}.json", experiment=settings.judged())


def searchable_datasets():
    """Data sets that have an index."""
    return [name for name, dataset in settings.datasets.items() if dataset.searchable]


def all_indexes():
    """The index of every searchable data set: for each model that sees or hears, of words, and of their meaning."""
    models = [
        f"results/index/{experiment}/{dataset}/index.json"
        for experiment, dataset in settings.indexes()
    ]
    words = expand("results/{dataset}/words.sqlite", dataset=searchable_datasets())
    meaning = searchable_datasets() if settings.search.meaning else []
    return (
        models + words + expand("results/{dataset}/meaning/index.json", dataset=meaning)
    )
