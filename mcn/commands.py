"""What each verb of the command line does: parse options, call the stage, return the exit status.

Stages are imported inside the verbs, so that `mcn --help` and small stages start without torch.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mcn.errors import UserError


def doctor(arguments: Namespace) -> int:
    """Probe every file of a manifest and say what will happen to it; 1 if any will fail."""
    from mcn.config import parse_options
    from mcn.doctor import examine, format_report
    from mcn.media.options import DecodeOptions
    from mcn.sources.manifest import read_manifest

    rows = read_manifest(arguments.manifest, check_files=False)
    if arguments.video:
        unknown = set(arguments.video) - {row.video_id for row in rows}
        if unknown:
            raise UserError(
                f"no video {', '.join(sorted(unknown))}", "ids of the manifest", "correct --video"
            )
        rows = [row for row in rows if row.video_id in arguments.video]
    report = examine(rows, parse_options(DecodeOptions, arguments.options))
    print(format_report(report))
    return int(report.any_failed)


def demo(arguments: Namespace) -> None:
    """Render the demo's narrated how-to videos with manifests and annotations."""
    from mcn.config import parse_options
    from mcn.demo.dataset import make
    from mcn.demo.options import DemoOptions

    options = parse_options(DemoOptions, arguments.options)
    make(arguments.directory, options.model_copy(update={"workers": arguments.workers}))


def prepare_videos(arguments: Namespace) -> None:
    """Check a manifest and its narration files; write them as tables."""
    from mcn.config import DatasetOptions, parse_options
    from mcn.sources.tables import prepare_videos

    options = parse_options(DatasetOptions, arguments.options)
    prepare_videos(arguments.manifest, arguments.videos, arguments.narration, options.missing_files)


def prepare_captions(arguments: Namespace) -> None:
    """Check retrieval captions against the videos; write them as a table."""
    from mcn.sources.tables import prepare_captions

    prepare_captions(arguments.annotations, arguments.videos, arguments.output)


def prepare_steps(arguments: Namespace) -> None:
    """Check step annotations against the videos and step lists; write them as tables."""
    from mcn.sources.tables import prepare_steps

    prepare_steps(
        arguments.task_list,
        arguments.annotations,
        arguments.videos,
        arguments.tasks,
        arguments.steps,
    )


def partition(arguments: Namespace) -> None:
    """Split a data set into shards by a stable hash of the video ids."""
    from mcn.partition import partition

    partition(arguments.videos, arguments.narration, arguments.shards, arguments.directory)


def decode_frames(arguments: Namespace) -> None:
    """Decode the videos of a shard list at both frame rates, in one pass."""
    from mcn.config import parse_options
    from mcn.decode import decode_frames
    from mcn.media.options import DecodeOptions

    options = parse_options(DecodeOptions, arguments.options)
    decode_frames(arguments.shard, arguments.frames_1fps, arguments.frames_24fps, options)


def decode_audio(arguments: Namespace) -> None:
    """Decode the sound of a shard list to 16 kHz mono."""
    from mcn.config import parse_options
    from mcn.decode import decode_audio
    from mcn.media.options import DecodeOptions

    decode_audio(arguments.shard, arguments.output, parse_options(DecodeOptions, arguments.options))


def seed_weights(arguments: Namespace) -> None:
    """Draw a network's weights from a seed and calibrate its batch norms on decoded shards."""
    import torch

    from mcn.features.seeding import make_seeded_weights

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    make_seeded_weights(arguments.network, arguments.shards, arguments.output, arguments.seed)


def vocabulary(arguments: Namespace) -> None:
    """Collect the vectors of every word that a data set's texts use."""
    from mcn.config import parse_options
    from mcn.features.options import TextOptions
    from mcn.features.text import make_vocabulary

    options = parse_options(TextOptions, arguments.options)
    make_vocabulary(arguments.tables, arguments.vectors, arguments.output, options)


def extract_resnet152(arguments: Namespace) -> None:
    """Appearance: a ResNet-152 vector a frame."""
    from mcn.features.appearance import extract_appearance
    from mcn.features.options import AppearanceOptions

    _extract(arguments, extract_appearance, AppearanceOptions)


def extract_resnext101(arguments: Namespace) -> None:
    """Motion: a 3D ResNeXt-101 vector for 16 frames."""
    from mcn.features.motion import extract_motion
    from mcn.features.options import MotionOptions

    _extract(arguments, extract_motion, MotionOptions)


def extract_davenet(arguments: Namespace) -> None:
    """Audio: a ResDAVEnet vector every 0.16 s of log-mel."""
    from mcn.features.davenet import extract_davenet
    from mcn.features.options import DavenetOptions

    _extract(arguments, extract_davenet, DavenetOptions)


def _extract(arguments: Namespace, stage: Callable[..., Any], model: type[BaseModel]) -> None:
    """Run the stage of a network; its weights are `--weights`, or else those of the options."""
    from mcn.config import parse_options
    from mcn.features.options import RuntimeOptions

    options = parse_options(model, arguments.options)
    weights = arguments.weights or options.weights
    if weights == "seeded":
        cure = f"mcn seed-weights {arguments.kind} SHARD --output FILE, then --weights FILE"
        raise UserError("weights `seeded` and no --weights", "the file of the seeded weights", cure)
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    stage(arguments.shard, weights, arguments.output, options, runtime, arguments.threads)


def extract_logmel(arguments: Namespace) -> None:
    """Audio: 40 log-mel bands every 10 ms."""
    from mcn.config import parse_options
    from mcn.features.audio import extract_log_mel
    from mcn.features.options import LogMelOptions

    extract_log_mel(
        arguments.shard, arguments.output, parse_options(LogMelOptions, arguments.options)
    )


def extract_word2vec(arguments: Namespace) -> None:
    """Text: token ids of every narration line."""
    from mcn.config import parse_options
    from mcn.features.options import TextOptions
    from mcn.features.text import extract_text

    options = parse_options(TextOptions, arguments.options)
    extract_text(
        arguments.shard, arguments.narration, arguments.vocabulary, arguments.output, options
    )


def train(arguments: Namespace) -> None:
    """Train one experiment; an interrupted run goes on where it stopped."""
    from mcn.config import Experiment, parse_options
    from mcn.features.options import RuntimeOptions
    from mcn.layout import Dataset
    from mcn.training import EvaluationInputs, train

    experiment: Experiment = parse_options(Experiment, arguments.options)
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    dataset = Dataset(arguments.results / experiment.dataset, arguments.shards)
    early = None
    if experiment.early_evaluation:
        held_out = Dataset(
            arguments.results / experiment.early_evaluation.dataset, arguments.early_shards
        )
        early = EvaluationInputs(
            held_out.stores(experiment.audio_feature),
            held_out.table("captions"),
            held_out.table("vocabulary"),
            experiment.early_evaluation.retrieval,
        )
    train(
        dataset.stores(experiment.audio_feature),
        dataset.table("vocabulary"),
        arguments.output,
        arguments.checkpoints,
        experiment,
        early,
        arguments.threads,
        runtime.device,
        runtime.precision,
    )


def evaluate_retrieval(arguments: Namespace) -> None:
    """Rank the clips of a captioned data set, between every pair of modalities."""
    from mcn.config import DatasetOptions, parse_options
    from mcn.evaluation.stage_retrieval import evaluate_retrieval
    from mcn.features.options import RuntimeOptions
    from mcn.layout import Dataset

    options: DatasetOptions = parse_options(DatasetOptions, arguments.options)
    dataset = Dataset(arguments.dataset, options.shards)
    evaluate_retrieval(
        arguments.model,
        dataset.all_features(),
        dataset.table("captions"),
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        options.retrieval,
        options.synthetic,
        parse_options(RuntimeOptions, arguments.runtime).device,
    )


def evaluate_localization(arguments: Namespace) -> None:
    """Place the ordered steps of each annotated video in time."""
    from mcn.config import DatasetOptions, parse_options
    from mcn.evaluation.stage_localization import evaluate_localization
    from mcn.features.options import RuntimeOptions
    from mcn.layout import Dataset

    options: DatasetOptions = parse_options(DatasetOptions, arguments.options)
    dataset = Dataset(arguments.dataset, options.shards)
    evaluate_localization(
        arguments.model,
        dataset.all_features(),
        dataset.table("tasks"),
        dataset.table("steps"),
        dataset.table("vocabulary"),
        arguments.output,
        arguments.model.name,
        dataset.name,
        options.localization,
        options.synthetic,
        parse_options(RuntimeOptions, arguments.runtime).device,
    )


def search(arguments: Namespace) -> None:
    """Find the moments of a data set's videos that fit a text."""
    from mcn.config import parse_options
    from mcn.evaluation.options import RetrievalOptions
    from mcn.features.options import TextOptions
    from mcn.layout import Dataset
    from mcn.search import format_answers, search

    text = TextOptions(vectors=arguments.vectors, case=arguments.case)
    options = parse_options(RetrievalOptions, arguments.options)
    dataset = Dataset.at(arguments.dataset)
    answers = search(
        arguments.model, dataset, arguments.query, text, options, arguments.window, arguments.limit
    )
    print(format_answers(answers))


def ledger(arguments: Namespace) -> None:
    """Account for every video of a data set, stream by stream; 1 if the sums do not add up."""
    from mcn.layout import Dataset
    from mcn.ledger import make_ledger

    dataset = Dataset(arguments.dataset, arguments.shards)
    make_ledger(
        dataset.table("videos"),
        dataset.all_features(),
        dataset.table("ledger"),
        manifest=arguments.manifest,
    )


def report(arguments: Namespace) -> None:
    """Write the offline HTML report of a run."""
    from mcn.config import Configuration, parse_options
    from mcn.layout import Dataset
    from mcn.report.collect import ReportInputs
    from mcn.report.render import make_report

    settings: Configuration = parse_options(Configuration, arguments.options)
    results: Path = arguments.results
    datasets = {
        name: Dataset(results / name, options.shards) for name, options in settings.datasets.items()
    }
    synthetic = [name for name, options in settings.datasets.items() if options.synthetic]
    make_report(
        ReportInputs(
            title=settings.title,
            synthetic=SYNTHETIC.format(", ".join(synthetic)) if synthetic else "",
            ledgers={name: dataset.table("ledger") for name, dataset in datasets.items()},
            videos={name: dataset.table("videos") for name, dataset in datasets.items()},
            evaluations=[
                results / "evaluation" / experiment / f"{name}.{task}.json"
                for experiment in settings.experiments
                for task, names in settings.evaluation_sets().items()
                for name in names
            ],
            models={name: results / "models" / name for name in settings.experiments},
            features={name: dataset.all_features() for name, dataset in datasets.items()},
            provenance={"configuration": settings.model_dump(mode="json")},
        ),
        arguments.output,
    )


SYNTHETIC = (
    "The videos of {} are rendered and the networks' weights are drawn from a seed: "
    "these scores say nothing about the paper's."
)


def verify(arguments: Namespace) -> int:
    """Read every shard of a run with its checksums and compare inventories; 1 and a list if anything is wrong."""
    from mcn.config import Configuration, parse_options
    from mcn.layout import Dataset
    from mcn.verify import verify

    settings: Configuration = parse_options(Configuration, arguments.options)
    problems = verify(
        [
            Dataset(arguments.results / name, options.shards)
            for name, options in settings.datasets.items()
        ]
    )
    for problem in problems:
        print(problem)
    if problems:
        print(
            "do this: delete the files named and run snakemake again: only their chains are made anew"
        )
    else:
        print("every shard is intact")
    return int(bool(problems))
