"""Train a network on feature shards under one objective; interrupted runs continue by themselves.

Conventions
-----------
- `train` writes below `output`: model.safetensors, config.yaml (sizes, options, feature recipes, which videos were left
  out and why), metrics.jsonl, tensorboard/; all at the end. While it runs, everything lies below `checkpoints`, which
  is removed when it is done.
- A run continues from `checkpoints` where options and inputs are the same, and starts anew, saying so, otherwise.
  A continued run equals an undisturbed one bit for bit on the CPU (same number of threads).
- One process trains an experiment. A second one, such as the next run after a head was killed, asks the first to stop
  after its step, waits until it has, and goes on from its checkpoint.
- SIGINT and SIGTERM: the step is finished, a checkpoint written, exit status 128 + signal. A second one kills.
- Same seed, same weights: everything random is drawn from (seed, step).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from mcn.distributed import ALONE, Processes
from mcn.errors import UserError
from mcn.features.runtime import Runtime
from mcn.files import file_sha256, writing_explained
from mcn.layout import ModelShards, placed
from mcn.lifetime import only_process
from mcn.networks import FrozenPair
from mcn.networks.checkpoints import save_model
from mcn.objectives.objective import Setting, make_objective
from mcn.options.base import recipe
from mcn.options.own_parts import part_file
from mcn.options.recipes import recipe_words
from mcn.options.training import ExperimentOptions
from mcn.shards.lines import vocabulary_vectors
from mcn.sources.leaks import read_leaks
from mcn.training.data import NO_STEPS, TrainingSet
from mcn.training.epochs import KeptEpochs
from mcn.training.loop import EarlyScores, Loop, StopRequest
from mcn.training.network import build_network, read_pair
from mcn.training.start import save_state, start, start_sha256
from mcn.training.state import METRICS, RunState, lock_file, publish
from mcn.training.step import Trainer, check_warmup
from mcn.training.steps import ShownStep, StepTables
from mcn.training.text_map import TextMap

logger = logging.getLogger(__name__)

VERSION = 1  # raised when the same options would give other weights


@dataclass(frozen=True)
class TrainingJob:
    """What is trained, on what, where and how.

    shards: of `options.training_features`, all of one data set. output: folder of the model. checkpoints: folder that a
    run resumes from. early: zero-shot scores of the network as it is, which choose nothing. processes: this one and
    those that share every step; the first alone scores and writes. leaks: leaks.csv of the training set, whose videos
    are left out. pair: folder of the frozen pair that the network starts as (`model.residual_on`).
    steps: annotations of the training set, for an objective that is told them. results: folder that `start_from` means
    by `results`.
    """

    options: ExperimentOptions
    shards: ModelShards
    output: Path
    checkpoints: Path
    runtime: Runtime
    early: EarlyScores | None = None
    processes: Processes = ALONE
    leaks: Path | None = None
    pair: Path | None = None
    steps: StepTables | None = None
    results: Path = Path("results")


def train(job: TrainingJob) -> None:
    """Train one experiment, alone: another process that trains it hands over (`mcn.lifetime.only_process`).

    Unusable data, a diverged loss: `UserError`. SIGINT, SIGTERM: SystemExit after a checkpoint.
    """
    alone = only_process(lock_file(job.checkpoints)) if job.processes.first else nullcontext()
    with writing_explained(job.checkpoints / METRICS), alone:
        _train(job)


def _train(job: TrainingJob) -> None:
    options, runtime, processes = job.options, job.runtime, job.processes
    torch.set_num_threads(runtime.threads)
    torch.set_flush_denormal(True)  # vanishing gradients took a processor 20 times as long
    leaks = read_leaks(job.leaks) if job.leaks else []
    left_out = {one.video_id: f"also in {one.dataset}, which is scored" for one in leaks}
    steps = _told_steps(job)
    data = TrainingSet(job.shards, options.training, options.needs, left_out, steps)
    vectors, vocabulary_sha256 = word_vectors(job)
    pair = read_pair(options.model.residual_on, job.pair)
    trainer = build_trainer(data, vectors, options, runtime, processes, pair)
    if options.recipe:
        logger.info("recipe %s: %s", options.recipe, recipe_words(options.model_dump(mode="json")))
    logger.info(
        "%d videos, %d a step, %d steps an epoch, %d in all, on %s in %s",
        len(data.videos),
        data.batch_videos,
        data.steps_per_epoch,
        trainer.total,
        runtime.device,
        runtime.precision,
    )
    inputs = {**data.fingerprint, "vocabulary": vocabulary_sha256}
    if options.model.audio_weights:
        inputs["audio_weights"] = file_sha256(options.model.audio_weights)
    own = part_file(options.objective.kind)
    if own:
        inputs["objective"] = file_sha256(own)
    if job.pair:
        inputs["residual_on"] = start_sha256(str(job.pair))
    if job.leaks:
        inputs["leaks"] = file_sha256(job.leaks)
    if job.steps and steps:
        inputs["steps"] = job.steps.sha256
    if options.training.start_from:
        origin = placed(options.training.start_from, job.results)
        inputs["start_from"] = start_sha256(origin)
        start(trainer, options.training.model_copy(update={"start_from": origin}))
    state = RunState(job.checkpoints, identity(options, trainer.precision, inputs))
    with stop_on_signals() as stop:
        description = describe(options, data, trainer, inputs)
        kept = KeptEpochs(job.checkpoints, trainer.network, description)
        keeps = options.training.keep_epochs is not None
        before_use = text_fit(job, trainer)
        loop = Loop(data, trainer, state, job.early, stop, kept.keep if keeps else None, before_use)
        finished = loop.run()
    if not finished:
        logger.warning("stopped after a checkpoint in %s; run again to continue", job.checkpoints)
        raise SystemExit(128 + (stop.signal or signal.SIGTERM))
    if loop.log:
        before_use()
        publish(loop.log.text, job.output)
        save_model(job.output, trainer.network, description)
        save_state(trainer, job.output)
        kept.publish(job.output, keeps)
        state.clear()
    processes.wait()


def _told_steps(job: TrainingJob) -> Mapping[str, list[ShownStep]]:
    """The steps of each video, for an objective that needs them; `UserError` where the data set has none."""
    if not job.options.objective.needs.steps:
        return NO_STEPS
    if job.steps is None or not job.steps.steps.exists():
        kind = job.options.objective.kind
        cure = "give the training set tasks and steps, or take another objective"
        raise UserError(
            f"objective {kind} and no annotated steps", "which step is shown when", cure
        )
    return job.steps.read()


def text_fit(job: TrainingJob, trainer: Trainer) -> Callable[[], None]:
    """What is done before a network is scored or saved: where texts are not trained, their map is fitted."""
    options = job.options
    if not (options.needs.fits_text and options.features.text and job.processes.first):
        return lambda: None
    return partial(TextMap(options, job.shards).fit, trainer)


def word_vectors(job: TrainingJob) -> tuple[Tensor, str]:
    """Word vectors (V + 1, W) of the model's text feature and their sha256; (1, 1) zeros where it reads no text."""
    if job.options.features.text is None or job.shards.vocabulary is None:
        return torch.zeros(1, 1), ""
    vectors, sha256 = vocabulary_vectors(job.shards.vocabulary)
    return torch.from_numpy(vectors), sha256


def build_trainer(
    data: TrainingSet,
    vectors: Tensor,
    options: ExperimentOptions,
    runtime: Runtime,
    processes: Processes = ALONE,
    pair: FrozenPair | None = None,
) -> Trainer:
    """Network with weights drawn from the seed, objective and optimiser, sized for `data`; vectors (V + 1, W).

    pair: the frozen pair of an experiment with `model.residual_on`.
    """
    training = options.training
    if processes.count > data.batch_videos:
        got = f"{processes.count} processes for {data.batch_videos} videos a step"
        raise UserError(got, "a video or more a process", "use fewer processes")
    total = data.steps_per_epoch * training.epochs
    check_warmup(total, training.warmup_steps)
    torch.manual_seed(training.seed)
    network = build_network(data, vectors.shape[1], options, pair)
    setting = Setting(
        data.batch_videos,
        training.clips_per_video,
        network.embedding_width,
        vectors,
        training.seed,
        runtime.device,
    )
    objective = make_objective(options.objective, setting)
    return Trainer(network, objective, vectors, options, total, runtime, processes)


def identity(
    options: ExperimentOptions, precision: str, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """What a checkpoint must agree on to be continued."""
    parts = {name: recipe(getattr(options, name)) for name in ("model", "objective", "training")}
    return {"version": VERSION, **parts, "precision": precision, **inputs}


def describe(
    options: ExperimentOptions, data: TrainingSet, trainer: Trainer, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """config.yaml: what was trained, on what, and which videos were left out."""
    excluded: dict[str, list[str]] = defaultdict(list)
    for video_id, reason in data.excluded.items():
        excluded[reason].append(video_id)
    return {
        "options": options.model_dump(mode="json"),
        "features": {**options.features._asdict(), "video": list(options.features.video)},
        "recipes": {name: store.recipe for name, store in data.stores.items()},
        "inputs": dict(inputs),
        "training_set": {
            "videos": len(data.videos),
            "clips": data.clips,
            "videos_per_step": data.batch_videos,
            "steps": trainer.total,
            "excluded": dict(excluded),
        },
        "precision": trainer.precision,
        "device": trainer.device.type,
        "torch": str(torch.__version__),
    }


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """The first SIGINT or SIGTERM sets `StopRequest.signal`, the next has its usual effect.

    Outside the main thread, where Python allows no handlers, nothing is set.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, usual[signal.Signals(number)])

    for caught in usual:
        signal.signal(caught, handle)
    try:
        yield stop
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
