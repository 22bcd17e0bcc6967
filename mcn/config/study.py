"""The trials of a study: one training each, with what it differs in from its experiment, and the set it is scored on.

Conventions
-----------
- A trial is an experiment in a condition (the data set that it is trained on) with a seed. Trials of the phase `tuning`
  have each candidate and the tuning seeds, and are scored on the validation set; those of the phase `test` have the
  chosen candidate, or the experiment's own schedule where nothing was planned, and are scored on the test set.
- Names are paths below results/study/trials: CONDITION/OBJECTIVE/seed1, CONDITION/OBJECTIVE/candidate0_seed101.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from mcn.errors import UserError
from mcn.files import canonical_json
from mcn.options.base import recipe, role_of
from mcn.options.study import Candidate, StudyOptions, TrialOptions

if TYPE_CHECKING:
    from mcn.config.configuration import Configuration

Phase = Literal["tuning", "test"]


@dataclass(frozen=True)
class Trial:
    """One training; schedule: None for the experiment's own; candidate: its number in the phase `tuning`."""

    phase: Phase
    objective: str
    condition: str
    seed: int
    dataset: str
    scored: str
    schedule: Candidate | None = None
    candidate: int | None = None

    @property
    def name(self) -> str:
        """Its folder."""
        number = "" if self.candidate is None else f"candidate{self.candidate}_"
        return f"{self.condition}/{self.objective}/{number}seed{self.seed}"

    def told(self, settings: Configuration) -> TrialOptions:
        """What its job is told beside its experiment."""
        study, sets = study_of(settings), settings.datasets
        early = settings.experiments[self.objective].early_evaluation
        scored = sets[self.scored]
        return TrialOptions(
            dataset=self.dataset,
            shards=sets[self.dataset].shards,
            scored=self.scored,
            scored_shards=scored.shards,
            early_shards=sets[early.dataset].shards if early else 0,
            seed=self.seed,
            schedule=self.schedule,
            scoring={
                "retrieval": recipe(scored.retrieval),
                "localization": recipe(scored.localization),
                "evaluations": recipe(scored.evaluations),
            },
            kmeans_runs=study.kmeans_runs,
            kmeans_seed=study.seed,
        )


def study_of(settings: Configuration) -> StudyOptions:
    """The section; `UserError` without one."""
    if settings.study is None:
        raise UserError("no section `study`", "what is compared on what", "see docs/study.md")
    return settings.study


def objectives_of(settings: Configuration) -> tuple[str, ...]:
    """The compared experiments, the baseline first."""
    study = study_of(settings)
    named = study.objectives or tuple(settings.experiments)
    return (study.baseline, *(name for name in named if name != study.baseline))


def trials_of(settings: Configuration, phase: Phase) -> list[Trial]:
    """Every trial of a phase, in the order of conditions, objectives, candidates and seeds."""
    own = {name: one.dataset or "" for name, one in settings.experiments.items()}
    return planned_trials(study_of(settings), objectives_of(settings), phase, own)


def planned_trials(
    study: StudyOptions, objectives: Sequence[str], phase: Phase, own: Mapping[str, str]
) -> list[Trial]:
    """The trials of some objectives; own: the data set of each, where the study names no conditions."""
    found: list[Trial] = []
    for condition, objective in product(study.condition_names, objectives):
        dataset = study.conditions.get(condition) or own.get(objective, "")
        for schedule, candidate in _schedules(study, phase, condition, objective):
            scored = study.test if phase == "test" else study.validation or ""
            seeds = study.seeds_of(objective) if phase == "test" else study.tuning_seeds
            place = phase, objective, condition
            found += [Trial(*place, seed, dataset, scored, schedule, candidate) for seed in seeds]
    return found


def _schedules(
    study: StudyOptions, phase: Phase, condition: str, objective: str
) -> Iterator[tuple[Candidate | None, int | None]]:
    if phase == "tuning":
        numbers = range(len(study.candidates)) if study.validation else ()
        yield from ((study.candidates[number], number) for number in numbers)
    elif study.validation is None:
        yield None, None
    elif study.planned is not None:
        for one in study.planned.chosen:
            if (one.condition, one.objective) == (condition, objective):
                yield Candidate(learning_rate=one.learning_rate, epochs=one.epochs), None


def plan_digest(settings: Configuration) -> str:
    """What identifies the settings that a plan is made for: all of a study but what planning came to.

    Values that are those of the defaults do not count, so that a new option leaves a plan as it is.
    """
    study = given(study_of(settings))
    study.pop("planned", None)  # what the plan came to
    study.pop("power", None)  # whether it is run
    compared = {name: given(settings.experiments[name]) for name in sorted(objectives_of(settings))}
    rendered = {name: given(one) for name, one in sorted(settings.rendered.items())}
    text = canonical_json({"study": study, "experiments": compared, "rendered": rendered})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def given(options: BaseModel) -> dict[str, Any]:
    """The JSON values of options that change numbers and are not those of the defaults."""
    found = {}
    for name, info in type(options).model_fields.items():
        value = getattr(options, name)
        if role_of(info) == "recipe" and value != info.get_default(call_default_factory=True):
            found[name] = given(value) if isinstance(value, BaseModel) else recipe(value)
    return found


def study_problems(settings: Configuration) -> list[str]:
    """What is wrong with a study, a line each: names, sets without annotations, a plan of other settings or weak."""
    study = settings.study
    if study is None:
        return []
    named = [("baseline", study.baseline), *(("objectives", one) for one in study.objectives)]
    named += [("primary", one) for one in study.primary]
    named += [("bound", study.bound)] if study.bound else []
    problems = [
        f"study.{key}: no experiment {name!r}; known: {', '.join(settings.experiments)}"
        for key, name in named
        if name not in settings.experiments
    ]
    sets = {"test": study.test, "validation": study.validation}
    sets |= {f"conditions.{name}": one for name, one in study.conditions.items()}
    for key, dataset in sets.items():
        if dataset is not None and dataset not in settings.datasets:
            problems.append(f"study.{key}: no data set {dataset!r}")
        elif dataset is not None and key in ("test", "validation"):
            lacking = [
                kind
                for kind in ("captions", "steps")
                if not getattr(settings.datasets[dataset], kind)
            ]
            problems += [f"study.{key}: {dataset} has no {kind}" for kind in lacking]
    if not problems and study.planned is not None:
        problems += _plan_problems(settings, study)
    return problems


def _plan_problems(settings: Configuration, study: StudyOptions) -> list[str]:
    planned = study.planned
    assert planned is not None
    if planned.digest != plan_digest(settings):
        return ["study.planned: was made for other settings; plan again (target study_plan)"]
    wanted = {(c, o) for c in study.condition_names for o in objectives_of(settings)}
    if {(one.condition, one.objective) for one in planned.chosen} != wanted:
        return ["study.planned.chosen: not one choice for every objective in every condition"]
    problems = []
    for one in planned.power:
        if one.power < study.power:
            cures = [
                words
                for number, words in (
                    (one.seeds_needed, f"{one.seeds_needed} seeds"),
                    (one.videos_needed, f"{one.videos_needed} test videos"),
                )
                if number
            ]
            cure = " or ".join(cures) or "neither 64 times the videos nor 64 seeds"
            problems.append(
                f"study: the power for {one.smallest_effect:g} points of {one.measure} is {one.power:.0%}, wanted "
                f"{study.power:.0%}; {cure} would suffice, as would an effect of {one.detectable:.1f} points; or set "
                "study.power lower, which the page then says"
            )
    return problems
