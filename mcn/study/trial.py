"""One trial: train a network, and score it video by video.

Conventions
-----------
- `scores.json` of a trial: `measures`: measure -> `value` (percent), and `by_video`: video -> percent, whose plain mean
  is the value. Recalls of captions are means over the captions of a video, so that every video weighs alike; step
  recall is hits / annotated steps. A query or a video that cannot be scored is a mistake.
- NMI belongs to no single video: `by_video` holds its jackknife pseudo-values, value + (V - 1) (mean over videos of the
  NMI without one - the NMI without this one), whose mean is the value and whose spread is that of the NMI over videos.
  Clusters are made once, with all videos.
- `others`: numbers of the whole set, those of its own evaluations (`datasets.NAME.evaluations`) among them. `pictures`:
  two principal components of the space. `clips`: of the batches that were trained on, how many show a true step that
  another video's clip of the same batch shows too.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcn.errors import UserError
from mcn.evaluation.annotations import read_steps
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.localization.metrics import decode_steps, hit_steps
from mcn.evaluation.localization.stage import StepScorer
from mcn.evaluation.retrieval.metrics import RECALLS, hits
from mcn.evaluation.retrieval.stage import early_scores_of
from mcn.evaluation.stage import run_evaluation
from mcn.features.runtime import resolve
from mcn.files import write_json
from mcn.layout import Dataset
from mcn.objectives.clustering import kmeans
from mcn.options.features import RuntimeOptions
from mcn.options.sections import DatasetOptions, Experiment
from mcn.options.study import TrialOptions
from mcn.report.curves import read_metrics
from mcn.study.clusters import counts_of, normalized_mutual_information, purity
from mcn.study.pictures import pictures_of
from mcn.study.spaces import StepVectors, caption_ranks, step_vectors
from mcn.training.data import TrainingSet
from mcn.training.steps import StepTables
from mcn.training.train import TrainingJob, train

logger = logging.getLogger(__name__)

ByVideo = dict[str, float]
FEWEST_VIDEOS = 4  # a spread over fewer says nothing
SAMPLED_STEPS = 8  # batches that are looked at for clips of the same step


def run_trial(
    base: Experiment,
    told: TrialOptions,
    runtime: RuntimeOptions,
    threads: int,
    results: Path,
    output: Path,
    checkpoints: Path,
) -> None:
    """Train, then write `scores.json` beside the model; an interrupted training goes on where it stopped."""
    experiment = experiment_of(base, told)
    dataset = Dataset(results / told.dataset, told.shards)
    job = TrainingJob(
        experiment,
        dataset.model_shards(*experiment.training_features),
        output,
        checkpoints,
        resolve(runtime, threads),
        early_scores_of(experiment, results, told.early_shards),
        steps=StepTables(dataset.table("tasks"), dataset.table("steps")),
        results=results,
    )
    train(job)
    scored = Dataset(results / told.scored, told.scored_shards)
    options = DatasetOptions.model_validate(told.scoring)
    measures, others, pictures = score(output, scored, options, told.kmeans_runs, told.kmeans_seed)
    others |= own_scores(output, scored, options) | training_cost(output / "metrics.jsonl")
    values = {
        "measures": {
            name: {"value": float(np.mean(list(found.values()))), "by_video": found}
            for name, found in measures.items()
        },
        "others": others,
        "clips": shared_steps(job),
        "pictures": pictures,
    }
    write_json(output / "scores.json", values)


def experiment_of(base: Experiment, told: TrialOptions) -> Experiment:
    """What a trial trains: its experiment on its data set, with its seed and schedule."""
    training: dict[str, Any] = {"seed": told.seed}
    if told.schedule is not None:
        training |= told.schedule.model_dump()
    changed = base.training.model_copy(update=training)
    return base.model_copy(update={"dataset": told.dataset, "training": changed})


def score(
    model: Path, scored: Dataset, options: DatasetOptions, kmeans_runs: int, seed: int
) -> tuple[dict[str, ByVideo], dict[str, float], dict[str, Any]]:
    """Measures by video, other numbers, and pictures of a trained model; too few videos: `UserError`."""
    found = caption_ranks(model, scored, options)
    measures: dict[str, ByVideo] = {}
    for pair, ranks in found.ranks.items():
        for k in RECALLS:
            measures[f"{pair} R@{k}"] = _means(100.0 * hits(ranks, k), found.videos[pair])
    given = EvaluatedModel.load(model, scored, ["tasks", "steps"], options.localization, "cpu")
    if "t" in given.letters:
        measures["recall"] = step_recalls(given)
    vectors = step_vectors(model, scored, options)
    letters = list(vectors.vectors)[-1]
    measures["NMI"], others = cluster_measures(vectors, letters, kmeans_runs, seed)
    for name, by_video in measures.items():
        if len(by_video) < FEWEST_VIDEOS:
            got = f"{scored.name}: {len(by_video)} videos with {name}"
            cure = "take a larger data set, or split it otherwise"
            raise UserError(got, f"{FEWEST_VIDEOS} at least, for a spread over videos", cure)
    pictures = dict(zip(("modalities", "tasks"), map(asdict, pictures_of(vectors)), strict=True))
    return measures, others, pictures


def own_scores(model: Path, scored: Dataset, options: DatasetOptions) -> dict[str, float]:
    """`NAME score` -> number of the scored set's own evaluations, as far as the model has what they need."""
    found: dict[str, float] = {}
    for name, own in options.evaluations.items():
        given = EvaluatedModel.load(model, scored, own.tables, own, "cpu")
        has = {modality for modality, names in given.inputs.by_modality.items() if names}
        if set(own.modalities) <= has:
            scores = run_evaluation(name, given, model / f"{name}.json")["scores"]
            found |= {f"{name} {key}": one for key, one in scores.items() if one is not None}
    return found


def _means(values: np.ndarray, videos: Sequence[str] | np.ndarray) -> ByVideo:
    """Means of values (N,) over the items of each video (N,)."""
    gathered: dict[str, list[float]] = defaultdict(list)
    for video, value in zip(videos, values.tolist(), strict=True):
        gathered[str(video)].append(value)
    return {video: float(np.mean(found)) for video, found in sorted(gathered.items())}


def step_recalls(given: EvaluatedModel) -> ByVideo:
    """Hits / annotated steps of every video, percent, in the headline mode; of a video with two tasks the mean."""
    texts, videos = read_steps(given.tables["tasks"], given.tables["steps"])
    scorer = StepScorer(given, texts)
    outcome = scorer.score(videos)[scorer.headline]
    recalls: dict[tuple[str, str], float] = {(one.video_id, one.task): 0.0 for one in videos}
    for one in outcome.videos:
        placed = hit_steps(one.truth, decode_steps(one.scores, outcome.options.exactly_one))
        recalls[one.video_id, one.task] = 100.0 * placed / one.annotated
    return _means(np.array(list(recalls.values())), [video for video, _ in recalls])


def cluster_measures(
    found: StepVectors, letters: str, runs: int, seed: int
) -> tuple[ByVideo, dict[str, float]]:
    """Pseudo-values of the NMI of k-means clusters with true steps, and purity and both by chance, percent.

    letters: the vectors that are clustered. Steps that occur once are left out; nothing where none occurs twice.
    """
    frequency = Counter(found.labels)
    kept = np.array([frequency[label] > 1 for label in found.labels], bool)
    if not kept.any():
        return {}, {}
    truth = np.unique(np.array(found.labels)[kept], return_inverse=True)[1]
    videos = np.array(found.videos)[kept]
    points = torch.nn.functional.normalize(
        torch.from_numpy(found.vectors[letters][kept]).float(), dim=1
    )
    rng = np.random.default_rng(seed)
    pseudo: list[ByVideo] = []
    sums = dict.fromkeys(("purity", "chance purity", "chance NMI"), 0.0)
    for run in range(runs):
        assigned = kmeans(points, int(truth.max()) + 1, "cosine", seed=seed + run)[1].numpy()
        pseudo.append(nmi_by_video(assigned, truth, videos))
        shuffled = counts_of(assigned, rng.permutation(truth))
        sums["purity"] += purity(counts_of(assigned, truth))
        sums["chance purity"] += purity(shuffled)
        sums["chance NMI"] += normalized_mutual_information(shuffled)
    means = {video: float(np.mean([one[video] for one in pseudo])) for video in pseudo[0]}
    return means, {name: 100 * value / runs for name, value in sums.items()}


def nmi_by_video(assigned: np.ndarray, truth: np.ndarray, videos: np.ndarray) -> ByVideo:
    """Clusters, labels and videos (N,) of items -> jackknife pseudo-values of their NMI by video, percent."""
    names = np.unique(videos)
    whole = normalized_mutual_information(counts_of(assigned, truth))
    if len(names) < 2:
        return {str(name): 100 * whole for name in names}
    without = np.array(
        [
            normalized_mutual_information(counts_of(assigned[rest], truth[rest]))
            for name in names
            for rest in [videos != name]
        ]
    )
    pseudo = whole + (len(names) - 1) * (without.mean() - without)
    return {str(name): 100 * float(value) for name, value in zip(names, pseudo, strict=True)}


def training_cost(metrics: Path) -> dict[str, float]:
    """Median milliseconds of a step; nothing where no step was timed."""
    seconds = [
        one["time/step_seconds"] for one in read_metrics(metrics) if "time/step_seconds" in one
    ]
    if not seconds:
        return {}
    return {"step milliseconds": 1000 * float(np.median(seconds))}


def shared_steps(job: TrainingJob) -> Mapping[str, float]:
    """Of the first batches' clips, percent: with a step, and with a step of another video's clip in the batch.

    Nothing where the training set has no annotated steps.
    """
    if job.steps is None or not job.steps.steps.exists():
        return {}
    options = job.options
    needs = options.needs._replace(steps=True)
    data = TrainingSet(job.shards, options.training, needs, steps=job.steps.read())
    shown, shared, clips = 0, 0, 0
    for step in range(min(SAMPLED_STEPS, data.steps_per_epoch)):
        steps = data.batch(0, step).steps
        assert steps is not None
        of_video = torch.arange(len(steps)) // options.training.clips_per_video
        same = (steps[:, None] == steps[None]) & (of_video[:, None] != of_video[None])
        shown += int((steps >= 0).sum())
        shared += int((same & (steps >= 0)[:, None]).any(dim=1).sum())
        clips += len(steps)
    return {"with a step": 100 * shown / clips, "with a look-alike": 100 * shared / clips}
