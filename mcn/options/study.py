"""What a study of objectives can be told: what is compared on what, the plan of the test, and what planning came to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mcn.options.base import Options, field
from mcn.options.row import Name

Measure = Literal["t->va R@1", "t->va R@5", "t->va R@10", "t->v R@10", "v->a R@10", "recall", "NMI"]
ALL = "all"  # the only condition of a study that names none


class Candidate(Options):
    """A setting of the schedule that is tried for every objective."""

    learning_rate: float = Field(gt=0, description="peak rate")
    epochs: int = Field(ge=1, description="passes over the videos [epochs]")


class Choice(Candidate):
    """The candidate that an objective got in a condition."""

    condition: Name
    objective: Name


class PlannedPower(Options):
    """The power of the test of one measure, by simulation from the validation draw."""

    measure: Measure
    smallest_effect: float = Field(description="the difference that is worth having [points]")
    seed_deviation: float = Field(description="deviation of differences between seeds [points]")
    video_deviation: float = Field(description="deviation of differences between videos [points]")
    rest_deviation: float = Field(description="what neither explains [points]")
    power: float = Field(description="share of simulated studies that find the smallest effect")
    false_positives: float = Field(description="the same without any effect")
    detectable: float = Field(description="the effect that is found at the wanted power [points]")
    seeds_needed: int | None = Field(description="seeds at which the wanted power is reached")
    videos_needed: int | None = Field(description="test videos at which it is reached")


class Planned(Options):
    """What planning came to, written by the rule `study_plan` as an overlay of the configuration."""

    digest: str = field(description="of the settings that it was made for", role="label")
    validation_videos: int = field(
        description="videos of the validation draw", unit="videos", role="label"
    )
    test_videos: int = field(
        description="videos that the test will have", unit="videos", role="label"
    )
    chosen: tuple[Choice, ...] = ()
    power: tuple[PlannedPower, ...] = field((), "power for each primary measure", role="label")


class StudyOptions(Options):
    """Objectives compared over seeds and conditions; unknown keys are errors."""

    baseline: Name = Field(description="the experiment that the others are subtracted from")
    objectives: tuple[Name, ...] = Field(
        (), description="the experiments that are compared; none given: all of the configuration"
    )
    primary: tuple[Name, ...] = Field(
        (),
        description="the experiments whose difference to the baseline the conclusion rests on; none given: all. The "
        "others' differences are a second family of tests",
    )
    averaged: bool = Field(
        False,
        strict=True,
        description="the primary tests are of the mean difference over the conditions, which fewer seeds can tell; the "
        "differences in each condition then belong to the second family",
    )
    bound: Name | None = Field(
        None,
        description="an experiment that is told what the others have to find: what share of its gain each primary "
        "objective reaches is said",
    )
    conditions: dict[Name, Name] = Field(
        default_factory=dict,
        description="condition -> the data set that is trained on; none: one condition, each experiment's own set",
    )
    seeds: tuple[int, ...] = Field(
        min_length=2, description="each objective is trained once with each in every condition"
    )
    other_seeds: int | None = Field(
        None,
        ge=2,
        description="of objectives that are neither the baseline nor primary, so many of the first seeds; null: all",
    )
    test: Name = Field(description="the data set with captions and steps that the result is of")
    validation: Name | None = Field(
        None,
        description="another such set, on which the schedule is chosen and the power is estimated; null: a comparison "
        "without a plan, each experiment with its own schedule",
    )
    candidates: tuple[Candidate, ...] = Field(
        (), description="what is tried for every objective in every condition, the same for all"
    )
    tuning_seeds: tuple[int, ...] = Field(
        (101, 102), min_length=2, description="seeds of the runs on the validation draw"
    )
    measures: tuple[Measure, ...] = Field(
        ("t->va R@10", "recall", "NMI"),
        min_length=1,
        description="the primary measures; candidates are chosen by the first",
    )
    smallest_effect: dict[Measure, float] = Field(
        default_factory=dict, description="primary measure -> difference worth having [points]"
    )
    power: float = Field(
        0.8,
        ge=0,
        lt=1,
        description="least power for the smallest effect; a plan below it is not run. 0: whatever it is",
    )
    level: float = Field(0.05, gt=0, lt=1, description="level of each family of tests")
    simulations: int = Field(2000, ge=100, description="simulated studies behind a power [studies]")
    kmeans_runs: int = Field(5, ge=1, description="k-means runs behind purity and NMI [runs]")
    seed: int = Field(0, ge=0, description="seed of simulations and k-means")
    planned: Planned | None = Field(None, description="what planning came to; written, not given")
    plan_commit: str | None = field(
        None, "the commit that the plan was read from; written by the verb of studies", role="label"
    )

    @model_validator(mode="after")
    def _consistent(self) -> StudyOptions:
        for name in ("seeds", "tuning_seeds", "primary", "objectives", "measures"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: one of them is named twice")
        if self.baseline in self.primary:
            raise ValueError(f"primary: {self.baseline} is the baseline; name what differs from it")
        if set(self.seeds) & set(self.tuning_seeds) and self.validation:
            raise ValueError("tuning_seeds: some are seeds of the study too; give it others")
        if self.other_seeds is not None and self.other_seeds > len(self.seeds):
            raise ValueError(
                f"other_seeds: {self.other_seeds} of {len(self.seeds)} seeds; name more seeds"
            )
        if self.averaged and len(self.conditions) < 2:
            raise ValueError(
                "averaged: over two conditions at least; name them, or set it to false"
            )
        if self.validation and not self.candidates:
            raise ValueError("candidates: none, and a validation set; name what is tried on it")
        if self.validation == self.test:
            raise ValueError(
                "validation: is the test set; what is chosen on it would be tested on it"
            )
        lacking = [one for one in self.measures if one not in self.smallest_effect]
        if self.validation and lacking:
            raise ValueError(f"smallest_effect: none for {', '.join(lacking)}")
        return self

    def seeds_of(self, objective: str) -> tuple[int, ...]:
        """The seeds that an objective is trained with."""
        leading = not self.primary or objective in (self.baseline, *self.primary)
        return self.seeds if leading else self.seeds[: self.other_seeds]

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The conditions, in order."""
        return tuple(self.conditions) or (ALL,)


class TrialOptions(Options):
    """What one trial differs in from its experiment, and how it is scored: what the rule of trials tells its job."""

    dataset: Name = Field(description="the data set that is trained on")
    shards: int = Field(description="its shards")
    scored: Name = Field(description="the data set that is scored")
    scored_shards: int = Field(description="its shards")
    early_shards: int = Field(0, description="shards of the early evaluation set")
    seed: int = Field(description="of the training")
    schedule: Candidate | None = Field(None, description="null: that of the experiment")
    scoring: dict[str, Any] = Field(
        description="sections `retrieval`, `localization` and `evaluations` of the set"
    )
    kmeans_runs: int = Field(description="k-means runs behind purity and NMI [runs]")
    kmeans_seed: int = Field(description="seed of k-means")
