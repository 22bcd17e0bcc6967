"""Inputs and parameters of the rules of features: texts, speech, decoding, weights."""


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


def trained_vectors():
    """Features of words whose vectors are trained on narration here."""
    return [
        name
        for name, row in settings.features.items()
        if getattr(row, "train", None) and not row.lacks
    ]


def narration_of_vectors(feature):
    """The lines that the vectors of a feature are trained on."""
    name = settings.features[feature].train.dataset
    folder = "speech" if settings.datasets[name].transcribe else "narration"
    return expand(f"results/{name}/{folder}/{{shard}}.parquet", shard=shard_names(name))


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
    return [here(str(weights))] if transcribed.recognize and weights.is_file() else []


def sequence_features():
    """Features of frames and sound, or made of other features."""
    rows = settings.features.items()
    others = published_only()
    return [
        name
        for name, row in rows
        if row.kind != "text" and not row.lacks and name not in others
    ]


def published_only():
    """Features that are read from published files alone."""
    rows = settings.features.items()
    return [name for name, row in rows if row.encoder == "published"]


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


def extraction_threads(least):
    """Threads of a job that decodes or extracts: more where --cores are more than all shards of all features need."""
    shards = [
        settings.datasets[dataset].shards
        for dataset in settings.datasets
        for feature in settings.features_of(dataset)
        if feature in sequence_features()
    ]
    return cores_among(sum(shards), least)


def decoding_threads(streams):
    """Threads of a decoding pass, each for a video: those of its readers where frames are temporary."""
    frames = isinstance(streams[0], FrameOptions)
    return extraction_threads(2 if frames and not settings.keep_decoded else 1)


def decoding_disk(streams):
    """Megabytes that a decoding pass may leave on disk."""
    return 4000 if isinstance(streams[0], FrameOptions) else 1000


def feature_weights(feature):
    """Input files of a feature's weights: ours where seeded, a configured file, none for a named model."""
    row = settings.features[feature]
    if row.is_seeded:
        return [f"results/weights/{feature}.safetensors"]
    return [here(row.file)] if row.file else []


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
