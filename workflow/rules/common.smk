"""Settings, names and file lists that the rules share. No rule is defined here."""

import os
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from mcn.config import check_manifests, configure, dump_json
from mcn.errors import UserError
from mcn.left_out import leave_out
from mcn.sources.catalogue import ACCOUNTS, KINDS
from mcn.sources.official import require_files

FEATURES = ["resnet152", "resnext101", "logmel", "davenet", "word2vec"]
NETWORKS = ["resnet152", "resnext101", "davenet"]
PUBLISHED_FEATURES = ["resnet152", "resnext101", "logmel"]

try:
    present, left_out = leave_out(config)
    settings = configure(present, left_out=bool(left_out))
except (UserError, ValueError) as error:
    raise WorkflowError(f"config.yaml\n{error}")

if workflow.is_main_process:
    for line in left_out:
        logger.warning(line)


def one_of(names):
    """A pattern of a wildcard that is one of `names`; without any, one that nothing fits."""
    return "|".join(names) or "(?!)"


def published_datasets():
    """Data sets whose features others extracted."""
    return [
        name
        for name, dataset in settings.datasets.items()
        if dataset.published_features
    ]


def decoded_datasets():
    """Data sets whose features are extracted here, from videos."""
    return [name for name in settings.datasets if name not in published_datasets()]


def imported_experiments():
    """Experiments whose model is a published checkpoint."""
    return [name for name, one in settings.experiments.items() if one.checkpoint]


def trained_experiments():
    """Experiments whose model is trained here."""
    return [name for name in settings.experiments if name not in imported_experiments()]


wildcard_constraints:
    shard=r"\d{5}",
    dataset=one_of(settings.datasets),
    experiment=one_of(settings.experiments),
    feature=one_of(FEATURES),
    network=one_of(NETWORKS),


def check_inputs():
    """Stop before the first job, with every problem at once, where a manifest cannot be used."""
    try:
        check_manifests(settings)
    except UserError as error:
        raise WorkflowError(str(error))


def options(*keys):
    """The settings below `keys` as canonical JSON, defaults filled in: what a stage is told and rerun for."""
    return dump_json(settings, *keys)


def dataset_options(wildcards):
    """The settings of the data set of a rule."""
    return options("datasets", wildcards.dataset)


def experiment_options(wildcards):
    """The settings of the experiment of a rule."""
    return options("experiments", wildcards.experiment)


def manifest(wildcards):
    """The manifest of a data set."""
    return settings.datasets[wildcards.dataset].manifest


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


def transcript_tables(wildcards):
    """What a data set's transcripts are read from: its own, or its steps."""
    own = settings.datasets[wildcards.dataset].segments
    names = ("classes", "transcripts", "segments") if own else ("tasks", "steps")
    return {name: f"results/{wildcards.dataset}/{name}.parquet" for name in names}


def official_sets():
    """Kind of published data set -> names of the data sets of that kind that are imported."""
    sets = {}
    for name, dataset in settings.datasets.items():
        if dataset.official:
            sets.setdefault(dataset.official.kind, []).append(name)
    return sets


def official_files(wildcards):
    """The official files of a data set; those that are missing are named with where to get them."""
    try:
        require_files(settings.datasets[wildcards.dataset].official)
    except UserError as error:
        raise WorkflowError(f"datasets.{wildcards.dataset}\n{error}")
    return settings.datasets[wildcards.dataset].official.files()


def official_options(wildcards):
    """Arguments of the import of a data set."""
    official = settings.datasets[wildcards.dataset].official
    chosen = {"--split": official.split_name, "--captions": official.captions}
    words = [f"{name} {value}" for name, value in chosen.items() if value]
    return " ".join([official.kind, shlex.quote(official.directory), *words])


def code(module):
    """The module that computes a stage, relative to the working directory: a change of it remakes the stage."""
    return os.path.relpath(Path(workflow.basedir, "mcn", module))


def growing(megabytes):
    """Memory of a job, MB: as much again with every attempt, where a profile retries."""

    def memory(wildcards, attempt):
        return megabytes * attempt

    return memory


def shard_names(dataset):
    """Five-digit names of the shards of a data set."""
    return [f"{shard:05d}" for shard in range(settings.datasets[dataset].shards)]


def shard_count(wildcards):
    """Number of shards of the data set of a rule."""
    return settings.datasets[wildcards.dataset].shards


def shards_of_dataset(wildcards):
    """Every feature shard of the data set of a rule."""
    return features_of(wildcards.dataset)


def early_shard_count(wildcards):
    """Number of shards of the data set that early scores are taken on, 0 without one."""
    early = settings.experiments[wildcards.experiment].early_evaluation
    return settings.datasets[early.dataset].shards if early else 0


def training_shard_count(wildcards):
    """Number of shards of the data set that an experiment trains on."""
    return settings.datasets[settings.experiments[wildcards.experiment].dataset].shards


def feature_shards(dataset, feature):
    """Every shard of one feature of one data set."""
    return expand(
        "results/{dataset}/features/{feature}/{shard}.parquet",
        dataset=dataset,
        feature=feature,
        shard=shard_names(dataset),
    )


def features_of(dataset):
    """Every feature shard of one data set."""
    return [path for feature in FEATURES for path in feature_shards(dataset, feature)]


def all_features():
    """Every feature shard of every data set."""
    return [path for dataset in settings.datasets for path in features_of(dataset)]


def decoded(path):
    """`path`, marked temporary unless the configuration keeps decoded shards."""
    return path if settings.keep_decoded else temp(path)


def dataset_inputs(dataset, audio):
    """What a model reads of a data set: visual and text features, and the audio form it was trained on."""
    return {
        "resnet152": feature_shards(dataset, "resnet152"),
        "resnext101": feature_shards(dataset, "resnext101"),
        "audio": feature_shards(dataset, audio),
        "word2vec": feature_shards(dataset, "word2vec"),
        "vocabulary": f"results/{dataset}/vocabulary.parquet",
    }


def training_inputs(wildcards):
    """Inputs of `train`: the training set, and the captions and features that early scores are taken on."""
    experiment = settings.experiments[wildcards.experiment]
    inputs = dataset_inputs(experiment.dataset, experiment.audio_feature)
    if experiment.early_evaluation:
        dataset = experiment.early_evaluation.dataset
        early = dataset_inputs(dataset, experiment.audio_feature)
        inputs |= {f"early_{name}": paths for name, paths in early.items()}
        inputs["early_captions"] = f"results/{dataset}/captions.parquet"
    return inputs


def evaluation_inputs(wildcards):
    """Features of the evaluated data set in the form that the experiment's model reads."""
    experiment = settings.experiments[wildcards.experiment]
    return dataset_inputs(wildcards.dataset, experiment.audio_feature)


def vocabulary_texts(wildcards):
    """Tables of a data set whose words the vocabulary must hold."""
    dataset = settings.datasets[wildcards.dataset]
    tables = ["narration"]
    tables += ["captions"] if dataset.captions else []
    tables += ["tasks"] if dataset.tasks else []
    tables += ["classes"] if dataset.classes else []
    tables += ["actions"] if dataset.actions else []
    return expand("results/{dataset}/{table}.parquet", table=tables, allow_missing=True)


def network_weights(network):
    """Input files of a network's weights: ours where seeded, a configured file, none for a named model."""
    weights = getattr(settings.features, network).weights
    if weights == "seeded":
        return [f"results/weights/{network}.safetensors"]
    return [] if weights.startswith(("timm:", "torchvision:")) else [weights]


def calibration_shards(wildcards):
    """Shards that the batch norms of a seeded network are calibrated on."""
    stream = {"resnet152": "decoded/frames_1fps", "resnext101": "decoded/frames_24fps"}
    folder = stream.get(wildcards.network, "features/logmel")
    dataset = settings.features.calibration_dataset
    return expand(
        "results/{dataset}/{folder}/{shard}.parquet",
        dataset=dataset,
        folder=folder,
        shard=shard_names(dataset)[: settings.features.calibration_shards],
    )


def evaluations(task):
    """Result files of one task: every experiment that can be scored at it on every data set annotated for it."""
    experiments = settings.experiments.items()
    return expand(
        "results/evaluation/{experiment}/{dataset}.{task}.json",
        experiment=[name for name, options in experiments if options.measurable(task)],
        dataset=settings.evaluation_sets()[task],
        task=task,
    )


def all_evaluations():
    """Result files of every task."""
    return [path for task in settings.evaluation_sets() for path in evaluations(task)]


def missing_arguments():
    """Arguments of a table that tell what was left out of the run."""
    return " ".join(f"--missing {shlex.quote(line)}" for line in left_out)


def all_ledgers():
    """The ledger of every data set."""
    return expand("results/{dataset}/ledger.parquet", dataset=settings.datasets)
