"""The plan of a study: the schedule of every objective, and the power of its tests, from the validation draw alone.

Conventions
-----------
- In every condition each objective gets the candidate whose first measure is best, on average over the tuning seeds;
  the first of equal ones. All objectives have the same candidates and seeds.
- The differences of the chosen runs to the baseline's, of all objectives in all conditions, give one estimate of the
  spread between seeds, between videos and of the rest for each measure.
- Where the primary tests are of the mean over the conditions, so are these differences.
- The power is that of one test of the primary family at Holm's first step, with the seeds and test videos of the study.
- The test set is not opened: only the number of its videos is known.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from mcn.config.study import Trial, planned_trials
from mcn.errors import UserError, several
from mcn.files import csv_text, read_table, write_text
from mcn.options.study import Choice, Measure, Planned, PlannedPower, StudyOptions
from mcn.study.statistics import Design, components, detectable, needed, power

logger = logging.getLogger(__name__)

TRIALS = "study/trials"
TUNING = ("condition", "objective", "learning_rate", "epochs", "seed", "measure", "value")
PRIMARY, SECONDARY = "primary", "secondary"
USUAL_POWER = 0.8  # what would suffice is said for this where any power is taken


class Scores:
    """The scores of some trials below `results`; those that are not there: `UserError` that names them all."""

    def __init__(self, results: Path, trials: list[Trial]) -> None:
        paths = {one: results / TRIALS / one.name / "scores.json" for one in trials}
        missing = [str(path) for path in paths.values() if not path.is_file()]
        if missing:
            raise several(missing, "the scores of every trial", "snakemake --cores N study")
        self.found = {
            one: json.loads(path.read_text(encoding="utf-8")) for one, path in paths.items()
        }

    def has(self, trial: Trial, measure: str) -> bool:
        """Whether what a trial trained can be scored at a measure."""
        return measure in self.found[trial]["measures"]

    def by_video(self, trials: list[Trial], measure: str) -> np.ndarray:
        """(trials, videos) percent, the videos in order of their ids; other videos in one of them: `UserError`."""
        tables = [self.found[one]["measures"][measure]["by_video"] for one in trials]
        for trial, table in zip(trials, tables, strict=True):
            if table.keys() != tables[0].keys():
                got = f"{trial.name}: {len(table)} videos with {measure}, {len(tables[0])} in {trials[0].name}"
                raise UserError(got, "the same videos in every trial", "score the trials again")
        return np.array([[table[video] for video in sorted(tables[0])] for table in tables])

    def value(self, trial: Trial, measure: str) -> float:
        """Percent."""
        return float(self.found[trial]["measures"][measure]["value"])


def families(study: StudyOptions, objectives: Sequence[str]) -> dict[str, list[str]]:
    """Family of tests -> the objectives that are compared with the baseline in it."""
    others = [name for name in objectives if name != study.baseline]
    first = list(study.primary) or others
    return {PRIMARY: first, SECONDARY: [name for name in others if name not in first]}


def plan(
    study: StudyOptions, objectives: Sequence[str], digest: str, results: Path, output: Path
) -> Planned:
    """Choose schedules, estimate the power and write the plan, an overlay of the configuration, and `tuning.csv`.

    digest: of the settings that the plan is for.
    """
    if study.validation is None:
        cure = "name study.validation, or make the study without a plan (target study)"
        raise UserError("a study without a validation set", "one to plan on", cure)
    scores = Scores(results, planned_trials(study, objectives, "tuning", {}))
    chosen = choose(study, scores)
    videos = count_videos(results / study.test / "captions.parquet")
    matrices = {one: differences(study, scores, chosen, one) for one in study.measures}
    first = families(study, objectives)[PRIMARY]
    tests = len(study.measures) * len(first)
    tests *= 1 if study.averaged else len(study.condition_names)
    design = Design(len(study.seeds), videos, study.level / tests, study.simulations, study.seed)
    found = Planned(
        digest=digest,
        validation_videos=max(one[0].shape[1] for one in matrices.values()),
        test_videos=videos,
        chosen=tuple(_choice(trials[0]) for trials in chosen.values()),
        power=tuple(_power(study, one, found, design) for one, found in matrices.items()),
    )
    words = yaml.safe_dump({"study": {"planned": found.model_dump(mode="json")}}, sort_keys=False)
    write_text(output, words)
    write_text(output.with_name("tuning.csv"), csv_text([TUNING, *_tuning_rows(study, scores)]))
    for one in found.power:
        logger.info("power for %g points of %s: %.2f", one.smallest_effect, one.measure, one.power)
    return found


def _tuning_rows(study: StudyOptions, scores: Scores) -> Iterator[tuple[object, ...]]:
    """What every tuning trial came to in the primary measures, percent."""
    for one in scores.found:
        schedule = study.candidates[one.candidate or 0]
        place = one.condition, one.objective, schedule.learning_rate, schedule.epochs, one.seed
        for measure in study.measures:
            if scores.has(one, measure):
                yield (*place, measure, f"{scores.value(one, measure):.6g}")


def choose(study: StudyOptions, scores: Scores) -> dict[tuple[str, str], list[Trial]]:
    """(condition, objective) -> the tuning trials of its best candidate, in order of their seeds."""
    by_candidate: dict[tuple[str, str], dict[int, list[Trial]]] = {}
    for one in scores.found:
        assert one.candidate is not None
        place = by_candidate.setdefault((one.condition, one.objective), {})
        place.setdefault(one.candidate, []).append(one)
    return {
        key: max(found.values(), key=lambda trials: _mean(study, scores, trials))
        for key, found in by_candidate.items()
    }


def _mean(study: StudyOptions, scores: Scores, trials: list[Trial]) -> float:
    """By the first measure that what these trials trained can be scored at."""
    measure = next((one for one in study.measures if scores.has(trials[0], one)), None)
    if measure is None:
        got = f"{trials[0].objective}, which trains nothing that {', '.join(study.measures)} needs"
        raise UserError(got, "an objective that the study can score", "leave it out of the study")
    return float(np.mean([scores.value(one, measure) for one in trials]))


def _choice(trial: Trial) -> Choice:
    assert trial.schedule is not None
    schedule = trial.schedule.model_dump()
    return Choice(condition=trial.condition, objective=trial.objective, **schedule)


def differences(
    study: StudyOptions,
    scores: Scores,
    chosen: Mapping[tuple[str, str], list[Trial]],
    measure: Measure,
) -> list[np.ndarray]:
    """(seeds, videos) differences to the baseline of the same condition, one matrix an objective and condition.

    Where the primary tests are of the mean over the conditions, one matrix an objective: that mean.
    """
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for (condition, objective), trials in chosen.items():
        theirs = chosen[condition, study.baseline]
        if objective != study.baseline and all(
            scores.has(one, measure) for one in (trials[0], theirs[0])
        ):
            ours = scores.by_video(trials, measure)
            found[objective].append(ours - scores.by_video(theirs, measure))
    if not found:
        cure = "choose another measure, or other objectives"
        raise UserError(f"no two objectives with {measure}", "a difference to plan with", cure)
    if study.averaged:
        return [np.mean(matrices, axis=0) for matrices in found.values()]
    return [one for matrices in found.values() for one in matrices]


def _power(
    study: StudyOptions, measure: Measure, matrices: list[np.ndarray], design: Design
) -> PlannedPower:
    parts, effect = components(matrices), study.smallest_effect[measure]
    reached, wanted = power(parts, effect, design), study.power or USUAL_POWER
    enough = reached >= wanted
    seeds, videos = (None, None) if enough else needed(parts, effect, wanted, design)
    return PlannedPower(
        measure=measure,
        smallest_effect=effect,
        seed_deviation=round(parts.seeds**0.5, 4),
        video_deviation=round(parts.videos**0.5, 4),
        rest_deviation=round(parts.rest**0.5, 4),
        power=reached,
        false_positives=power(parts, 0.0, design),
        detectable=round(detectable(parts, wanted, design), 3),
        seeds_needed=seeds,
        videos_needed=videos,
    )


def count_videos(captions: Path) -> int:
    """Videos of a data set that have captions."""
    return len(set(read_table(captions, ["video_id"]).column("video_id").to_pylist()))
