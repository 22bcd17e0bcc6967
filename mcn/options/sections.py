"""Sections of the configuration: a data set, an experiment. Units are in names and descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from mcn.options.base import Options, field
from mcn.options.evaluation import (
    AlignmentOptions,
    LocalizationOptions,
    OwnEvaluation,
    RecognitionOptions,
    RetrievalOptions,
)
from mcn.options.frozen import NOT_TRAINED, FrozenOptions, frozen_problems
from mcn.options.model import ModelFeatures
from mcn.options.published import OfficialOptions, PublishedFeatures
from mcn.options.row import FeatureOptions, Name, Sha256
from mcn.options.speech import TranscribeOptions
from mcn.options.tasks import TASKS, Task
from mcn.options.training import ExperimentOptions

CAPTIONS = "captions"  # `narration_table`: the texts are those of the data set's captions


class DatasetOptions(Options):
    """One data set: videos, and the annotations that make it an evaluation set."""

    model_config = ConfigDict(frozen=False)  # inputs that an import makes are filled in

    official: OfficialOptions | None = Field(
        None,
        description="a published data set: its official files become all inputs not given here",
    )
    manifest: str = Field(
        "", description="CSV or parquet: video_id,path[,narration,split,sha256,title,language]"
    )
    narration_table: str | None = Field(
        None,
        description="parquet video_id,start_seconds,end_seconds,text[,language]: of all videos, not a file each; "
        "`captions`: the captions of the data set, a line each, as fine-tuning takes them; such a set is trained on, "
        "not scored",
    )
    transcribe: TranscribeOptions | None = Field(
        None,
        description="read what is said in videos without narration: files beside them, subtitle streams, speech; null: "
        "the manifest's narration alone",
    )
    published_features: PublishedFeatures | None = Field(
        None, description="features that others extracted, instead of decoding the videos"
    )
    shards: int = Field(
        8,
        ge=1,
        le=99_999,
        description="number of shards; about 1,000 videos each. Changing it remakes all",
    )
    missing_files: Literal["error", "ledger"] = Field(
        "error",
        description="a file that is missing or does not parse: stop, or account for it and go on",
    )
    captions: str | None = Field(
        None,
        description="CSV clip_id,video_id,start_seconds,end_seconds,caption[,language]: makes a retrieval set",
    )
    tasks: str | None = Field(None, description="CSV task,step,text: ordered step lists")
    steps: str | None = Field(
        None,
        description="CSV video_id,task,step,start_seconds,end_seconds: makes a localization set",
    )
    classes: str | None = Field(None, description="CSV class_id,text,background (0 or 1)")
    transcripts: str | None = Field(
        None, description="CSV video_id,position,class_id: the ordered classes of each video"
    )
    segments: str | None = Field(
        None,
        description="CSV video_id,class_id,start_seconds,end_seconds: makes an alignment set",
    )
    actions: str | None = Field(None, description="CSV class,text: names of action classes")
    labels: str | None = Field(
        None, description="CSV video_id,class: makes an action recognition set"
    )
    benchmark: str | None = field(
        None,
        "the published benchmark beside whose rows its scores stand; null: that of `official`, or its name",
        role="label",
    )
    optional: bool = field(
        False,
        "leave this data set out of the run, and say so, where its official files or manifest are missing",
        role="runtime",
    )
    searchable: bool = field(
        False,
        "make its index, which `mcn search` and `mcn serve` answer from, with everything else",
        role="runtime",
    )
    synthetic: bool = field(
        False, "rendered videos: every table of its scores says so", role="label"
    )
    retrieval: RetrievalOptions = RetrievalOptions()
    localization: LocalizationOptions = LocalizationOptions()
    alignment: AlignmentOptions = AlignmentOptions()
    recognition: RecognitionOptions = RecognitionOptions()

    evaluations: dict[Name, OwnEvaluation] = Field(
        default_factory=dict,
        description="evaluations of your own: name -> `module:function`, or a section that names it with its options",
    )

    @field_validator("evaluations")
    @classmethod
    def _other_names(cls, own: dict[str, OwnEvaluation]) -> dict[str, OwnEvaluation]:
        taken = sorted({*TASKS, "own"} & set(own))
        if taken:
            raise ValueError(
                f"{taken[0]!r} is an evaluation of this package; give yours another name"
            )
        return own

    def measured(self) -> list[str]:
        """The evaluations that can be made of it: those of the package that it is annotated for, and its own."""
        tasks = [name for name, task in TASKS.items() if self.tables_of(task)]
        trained_on = self.captions is not None and self.narration_table == self.captions
        return [
            *(name for name in tasks if name != "retrieval" or not trained_on),
            *self.evaluations,
        ]

    def tables_of(self, task: Task) -> tuple[str, ...]:
        """The annotations that an evaluation of the package reads of it; () where they are not given."""
        return task.tables_of(lambda name: getattr(self, name))


class EarlyEvaluation(Options):
    """Zero-shot scores while training goes on; they choose nothing."""

    dataset: Name = Field(description="a retrieval set")
    retrieval: RetrievalOptions = RetrievalOptions()


class Experiment(ExperimentOptions):
    """One model: to train (a data set, an objective, a schedule), or a frozen pair of encoders."""

    kind: Literal["trained", "frozen"] = Field(
        "trained",
        description="trained: a network is trained on the features, or imported; frozen: the encoders of `model` as "
        "they are, put together as `frozen` says",
    )
    frozen: FrozenOptions = FrozenOptions()
    base: str | None = field(
        None, "another experiment whose values stand where none is given here", role="runtime"
    )
    seeds: list[int] | None = field(
        None,
        "train once for each: NAME_seed1, NAME_seed2, ... differ in training.seed",
        role="runtime",
    )
    dataset: Name | None = Field(None, description="the data set to train on")
    epoch_of: str | None = field(
        None,
        "take the model that this experiment was after `epoch` epochs, and its other values; it needs keep_epochs",
    )
    epoch: int | None = Field(None, ge=1, description="which epoch of `epoch_of`, from 1 [epochs]")
    checkpoint: str | None = Field(
        None,
        description="published .pth of MCN, AVLnet or HowTo100M, imported instead of training",
    )
    checkpoint_sha256: Sha256 | None = Field(
        None, description="stop unless the checkpoint has this sha256; null: any"
    )
    optional: bool = field(
        False,
        "leave this experiment out of the run, and say so, without its checkpoint",
        role="runtime",
    )
    early_evaluation: EarlyEvaluation | None = Field(None, description="scores during training")

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is trained or imported."""
        return self.kind == "frozen"

    @model_validator(mode="before")
    @classmethod
    def _frozen_pair_names_its_features(cls, given: Any) -> Any:
        """A frozen pair reads what its model names; what it does not name it lacks, and says so where it is written."""
        if not isinstance(given, dict) or given.get("kind") != "frozen":
            return given
        named = given.get("model", {})
        nothing: dict[str, Any] = {"video": [], "audio": None, "text": None}
        return {**given, "model": {**nothing, **named}} if isinstance(named, dict) else given

    @property
    def training_features(self) -> ModelFeatures:
        """What training reads; of a frozen pair what the model reads."""
        return self.features if self.is_frozen else super().training_features

    def feature_problems(self, rows: Mapping[str, FeatureOptions]) -> list[str]:
        """What is wrong with the features, and with keys that a frozen pair does not have, a line each."""
        if not self.is_frozen:
            return super().feature_problems(rows)
        given = self.model.model_fields_set
        problems = [
            f"{key}: a frozen experiment is not trained; leave it out"
            for key in NOT_TRAINED
            if key in self.model_fields_set and getattr(self, key) is not None
        ]
        problems += [
            f"model.{key}: a frozen pair has no such size; leave it out"
            for key in sorted(given - {"video", "audio", "text"})
        ]
        return problems + list(frozen_problems(*self.features, self.frozen, rows))

    def measurable(self, task: str, own: OwnEvaluation | None = None) -> bool:
        """Whether the model has the modalities of an evaluation."""
        if not self.is_frozen:
            return super().measurable(task, own)
        has = {one for one, names in self.features.by_modality.items() if names}
        return has >= set(own.modalities) if own else TASKS[task].suits(has)

    def reads_rows_of(self, dataset: DatasetOptions) -> bool:
        """Whether clips of published features are given in the rows that the model takes: pooled, or full."""
        published = dataset.published_features
        if published is None or published.clips is None:
            return True
        return (published.rows == "full") == self.objective.needs.units_are_rows

    @property
    def kept_epochs(self) -> list[int]:
        """The epochs whose models are kept; none of one that is itself an epoch, or is not trained here."""
        every = self.training.keep_epochs
        if not every or self.checkpoint or self.epoch_of:
            return []
        return list(range(every, self.training.epochs + 1, every))
