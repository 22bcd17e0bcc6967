"""The configuration: one typed model of everything that a run can be told.

Conventions
-----------
- `config.yaml` (and any overlay given with `--configfile`) is parsed into `Configuration`. Units are in the names and
  descriptions; every default is the published value where one is published.
- Every mistake is reported at once, each with its key; an unknown key is answered with the nearest valid one.
- `workflow/schemas/config.schema.yaml` and docs/configuration.md are generated from this model
  (`python -m mcn.config.reference`); a test fails where they drift.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from mcn.config.checks import reference_problems
from mcn.config.composition import compose
from mcn.config.features import Stream, decode_passes, with_sources
from mcn.errors import UserError, several
from mcn.features.registry import with_derived_reads
from mcn.files import canonical_json, write_text
from mcn.options.base import Options, field, parsed
from mcn.options.decode import DecodeOptions
from mcn.options.demo import DemoOptions, RenderedOptions
from mcn.options.downloads import DownloadOptions
from mcn.options.encoders import PublishedOptions
from mcn.options.features import MOVED, Features, RuntimeOptions, SeedingOptions
from mcn.options.row import FeatureReads, Name
from mcn.options.search import SearchOptions
from mcn.options.sections import CAPTIONS, DatasetOptions, Experiment
from mcn.options.study import StudyOptions
from mcn.options.tasks import TASKS
from mcn.sources.adapters import adapter_of
from mcn.sources.official import Adapter


class Configuration(Options):
    """The whole of config.yaml."""

    title: str = field("Multimodal Clustering Networks", "heading of the report", role="label")
    keep_decoded: bool = field(
        False,
        "keep decoded shards (small collections); otherwise they are temporary",
        role="runtime",
    )
    demo: DemoOptions = DemoOptions()
    rendered: dict[Name, RenderedOptions] = Field(
        default_factory=dict, description="further rendered sets: results/rendered/NAME"
    )
    datasets: dict[Name, DatasetOptions]
    downloads: DownloadOptions = DownloadOptions.model_validate({})
    decode: DecodeOptions = DecodeOptions()
    features: Features
    seeding: SeedingOptions = SeedingOptions()
    runtime: RuntimeOptions = RuntimeOptions()
    experiments: dict[Name, Experiment] = Field(default_factory=dict)
    study: StudyOptions | None = Field(
        None, description="experiments compared over seeds and conditions: results/study.html"
    )
    search: SearchOptions = SearchOptions()

    def evaluation_sets(self) -> dict[str, list[str]]:
        """Evaluation -> the data sets that are annotated for it; own evaluations by the name that they are given."""
        found: dict[str, list[str]] = {task: [] for task in TASKS}
        for name, dataset in self.datasets.items():
            for task in dataset.measured():
                found.setdefault(task, []).append(name)
        return found

    def scored_sets(self) -> list[str]:
        """Data sets that models are scored on."""
        sets = self.evaluation_sets().values()
        return sorted({name for names in sets for name in names})

    def training_sets(self) -> list[str]:
        """Data sets that experiments are trained on."""
        trained = (one.dataset for one in self.experiments.values() if not one.checkpoint)
        return sorted({name for name in trained if name})

    def evaluations(self) -> list[tuple[str, str, str]]:
        """(experiment, data set, evaluation) of everything that is scored: the model has the modalities for it."""
        return [
            (experiment, name, task)
            for task, names in self.evaluation_sets().items()
            for experiment, options in self.experiments.items()
            for name in names
            if options.measurable(task, self.datasets[name].evaluations.get(task))
            and not self.unread(options, name)
        ]

    def unread(self, experiment: Experiment, dataset: str) -> str:
        """What a model reads that a data set does not have, in words; empty where it has all."""
        if not experiment.reads_rows_of(self.datasets[dataset]):
            rows = "all rows" if experiment.objective.needs.units_are_rows else "the maximum"
            return f"{rows} of each clip"
        audio = [experiment.features.audio] if experiment.features.audio else []
        names = [one for one in (*experiment.features.video, *audio) if one in self.features]
        lacking = [one for one in names if not self.can_make(dataset, one)]
        return f"the features {', '.join(lacking)}" if lacking else ""

    def unscored(self) -> list[str]:
        """A line for every model and data set that it cannot be scored on, for want of what it reads."""
        return [
            f"{experiment} is not scored on {name}, which does not have {lacking}"
            for name in self.scored_sets()
            for experiment, options in self.experiments.items()
            if (lacking := self.unread(options, name))
        ]

    def epoch_models(self) -> dict[str, tuple[str, int]]:
        """Model -> the experiment and epoch that it is of: the kept ones, NAME_eN, and those with own names."""
        found = {
            f"{name}_e{epoch}": (name, epoch)
            for name, one in self.experiments.items()
            for epoch in one.kept_epochs
        }
        chosen = self.experiments.items()
        return found | {
            name: (one.epoch_of, one.epoch) for name, one in chosen if one.epoch_of and one.epoch
        }

    def experiment(self, model: str) -> Experiment:
        """The experiment that a model is of, or is an epoch of."""
        if model in self.experiments:
            return self.experiments[model]
        return self.experiments[self.epoch_models()[model][0]]

    def sweep(self) -> list[tuple[str, str, str]]:
        """(model, data set, evaluation) of every kept epoch."""
        scored = self.evaluations()
        return [
            (model, dataset, task)
            for model, (experiment, _) in self.epoch_models().items()
            if model not in self.experiments
            for name, dataset, task in scored
            if name == experiment
        ]

    def indexes(self) -> list[tuple[str, str]]:
        """(experiment, data set) of every index: a searchable data set, and a model that sees or hears."""
        return [
            (experiment, name)
            for name, dataset in self.datasets.items()
            for experiment, options in self.experiments.items()
            if dataset.searchable
            for read in [[*options.features.video, *filter(None, [options.features.audio])]]
            if read and all(self.can_make(name, feature) for feature in read)
        ]

    def judged(self) -> list[str]:
        """Experiments whose head on a frozen pair is compared with the pair on held-out videos."""
        return [
            name
            for name, one in self.experiments.items()
            if one.model.residual_on and one.training.held_out_share
        ]

    def labels(self) -> dict[str, str]:
        """Feature -> its name in tables, of those whose row gives one."""
        return {name: row.label for name, row in self.features.items() if row.label}

    def used_features(self) -> list[str]:
        """Features that an experiment reads, and those that they are made of; of frozen pairs what they see and hear.

        The narration of a frozen pair is nobody's input, and its evaluations ask for what they read themselves.

        Without experiments: all that can be made without an optional package of weights, and none where a data set is
        searchable, which words answer alone then.
        """
        wanted: list[str] = []
        for one in self.experiments.values():
            trains = [*one.features.names, *one.training_features.names]
            heard = [one.features.audio] if one.features.audio else []
            wanted += [*one.features.video, *heard] if one.is_frozen else trains
        searched = any(dataset.searchable for dataset in self.datasets.values())
        if not self.experiments and not searched:
            rows = self.features.items()
            wanted = [name for name, row in rows if not row.lacks and not row.is_embedded]
        return with_sources(self.features, wanted)

    def can_make(self, dataset: str, feature: str) -> bool:
        """Whether a data set can have a feature: where others extracted its features, only those that are imported.

        Texts, and what is made of another feature, are made here in any case.
        """
        row = self.features[feature]
        if row.lacks:
            return False
        published = self.datasets[dataset].published_features
        if published is None or row.kind == "text":
            return not isinstance(row, PublishedOptions)
        reads = row.reads
        if isinstance(reads, FeatureReads):
            return self.can_make(dataset, reads.feature)
        return feature in published.features

    def features_of(self, dataset: str) -> list[str]:
        """The used features that a data set has."""
        return [name for name in self.used_features() if self.can_make(dataset, name)]

    def decode_passes(self) -> dict[str, list[Stream]]:
        """Name of a decoding pass -> the streams that it decodes together."""
        return decode_passes(self.features, self.used_features())

    @property
    def seeding_dataset(self) -> str:
        """The data set that seeded weights are calibrated on."""
        return self.seeding.dataset or next(iter(self.datasets), "")

    def benchmarks(self) -> dict[str, str]:
        """Data set -> the published benchmark that it is: as told, the first split of a published set, or its own name.

        '' for other splits.
        """
        adapters = self.adapters()
        own = {name: one.benchmark for name, one in adapters.items()}
        return {
            name: dataset.benchmark or own.get(name, name)
            for name, dataset in self.datasets.items()
        }

    def adapters(self) -> dict[str, Adapter]:
        """Data set -> the adapter of its official files, of those that have some; `UserError` for an unknown one."""
        sets = self.datasets.items()
        return {name: adapter_of(one.official) for name, one in sets if one.official}

    @model_validator(mode="before")
    @classmethod
    def _compose(cls, values: Any) -> Any:
        return compose(values)

    @model_validator(mode="after")
    def _import(self) -> Configuration:
        """Name the inputs that the import of a published data set, or of its features, makes."""
        for name, dataset in self.datasets.items():
            published = dataset.published_features
            if published:
                dataset.missing_files = "ledger"  # the videos are not read
            if published and published.clips:
                dataset.manifest = dataset.manifest or f"results/{name}/published/manifest.csv"
                if dataset.captions is None and not published.clips.endswith(".pth"):
                    dataset.captions = f"results/{name}/published/captions.csv"
            if dataset.official:
                # told by `reference_problems`, with all other problems
                with contextlib.suppress(UserError):
                    for key, file in adapter_of(dataset.official).makes.items():
                        if not getattr(dataset, key):
                            setattr(dataset, key, f"results/{name}/official/{file}")
            if dataset.narration_table == CAPTIONS and dataset.captions:
                dataset.narration_table = dataset.captions
        return self


def configure(values: dict[str, Any], left_out: bool = False) -> Configuration:
    """Parse and check a configuration; `UserError` lists every problem, each with its key.

    left_out: no data set need be left (see `mcn.config.left_out`).
    """
    settings = parsed(Configuration, values, "correct these keys", MOVED)
    features, problems = with_derived_reads(settings.features)
    settings = settings.model_copy(update={"features": features})
    problems += reference_problems(settings)
    if not settings.datasets and not left_out:
        problems.append("datasets: none; wanted one at least")
    if problems:
        raise several(problems, "a valid configuration", "correct these keys")
    return settings


def write_settings(settings: Configuration, path: Path) -> None:
    """Write the whole configuration for the jobs of a run, as canonical JSON, where it differs from what is there."""
    text = canonical_json(settings.model_dump(mode="json"))
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)
