"""What each stage depends on: the one table from which the rules take their parameters and the documentation its words.

Conventions
-----------
- A `Stage` names the section of the configuration that its verb is told (`{dataset}`, `{experiment}` and `{feature}`
  stand for the wildcards of its rule), the keys of that section that it reads, and the modules that compute it. One
  stage may be that of several rules: `feature` of every feature's, `decode` of every decoding pass's, `texts` and
  `vocabulary` of the features of texts.
- What a rule records as parameters is exactly that (`mcn.config.jobs`): the recipe (fields that change no number are
  left out, `mcn.options.base.recipe`) and, of stages that are cheap, the digest of the code. A change of either remakes
  the stage and what reads it.
- Stages in `ASKED` may take weeks: the digest of their code lies in their files, and the start of a run says what
  differs (`mcn.upkeep.code_changes`).
- Keys that choose files rather than numbers change the inputs of a rule, which remakes it likewise: `FILES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mcn.config.configuration import Configuration
from mcn.options.base import role_of
from mcn.options.features import AnyFeature
from mcn.options.search import WINDOWS
from mcn.options.tasks import TASKS


class Stage(NamedTuple):
    """What a stage depends on.

    section: dotted key of the configuration, '' for all of it, None for nothing. keys: those of the section that it
    reads, all where there are none. code: modules that compute it. runtime: keys of the section `runtime` that it
    reads, of a stage that runs a network. labels: it prints labels.
    """

    section: str | None
    keys: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    labels: bool = False


NETWORK = ("precision", "batch_size", "repeatable")
# a network that runs in fp32: of `runtime` it reads the device alone, which changes no number
DEVICE = ("",)


def _evaluation(task: str, *keys: str) -> Stage:
    code = ("mcn.evaluation.stage", f"mcn.evaluation.{task}.stage", f"mcn.evaluation.{task}")
    return Stage("datasets.{dataset}", (task, "shards", *keys), code, DEVICE)


FROZEN = ("kind", "model", "frozen")
EXPERIMENT = ("dataset", "early_evaluation", "model", "objective", "training")
PLANNING = (
    *("baseline", "primary", "averaged", "conditions", "seeds", "test", "validation", "power"),
    *("candidates", "tuning_seeds", "measures", "smallest_effect", "level", "simulations", "seed"),
)
STAGES: dict[str, Stage] = {
    "demo": Stage("demo", (), ("mcn.demo.dataset",)),
    "rendered": Stage("rendered.{set}", (), ("mcn.demo.dataset",)),
    "import_annotations": Stage(None, (), ("mcn.sources.adapters",)),
    "import_clips": Stage(None, (), ("mcn.published.clips",)),
    "import_features": Stage(None, (), ("mcn.published.feature_files",)),
    "import_checkpoint": Stage(None, (), ("mcn.published.import_checkpoint",)),
    "prepare": Stage(
        "datasets.{dataset}", ("narration_table", "missing_files"), ("mcn.sources.videos",)
    ),
    "prepare_captions": Stage(None, (), ("mcn.sources.annotation_tables",)),
    "prepare_steps": Stage(None, (), ("mcn.sources.annotation_tables",)),
    "prepare_alignment": Stage(None, (), ("mcn.sources.annotation_tables",)),
    "prepare_actions": Stage(None, (), ("mcn.sources.annotation_tables",)),
    "partition": Stage(None, (), ("mcn.sources.partition",)),
    "list_videos": Stage(None, (), ("mcn.sources.partition",)),
    "list_narration": Stage(None, (), ("mcn.sources.partition",)),
    "decode": Stage("decode", (), ("mcn.media.decode",)),
    "transcribe": Stage("datasets.{dataset}.transcribe", (), ("mcn.features.transcribe",)),
    "seed_weights": Stage("features.{feature}", (), ("mcn.features.seeding",)),
    "feature": Stage("features.{feature}", (), ("mcn.features.extraction",), NETWORK),
    "train_vectors": Stage("features.{feature}", (), ("mcn.features.train_vectors",)),
    "vocabulary": Stage("features.{feature}", (), ("mcn.features.text",), NETWORK),
    "texts": Stage("features.{feature}", (), ("mcn.features.text",)),
    "train": Stage("experiments.{experiment}", EXPERIMENT, ("mcn.training.train",), ("precision",)),
    "judge": Stage(None, (), ("mcn.evaluation.retrieval.verdict",)),
    "freeze": Stage("experiments.{experiment}", FROZEN, ("mcn.evaluation.frozen",), ("precision",)),
    **{f"evaluate_{task}": _evaluation(task, *row.keys) for task, row in TASKS.items()},
    "evaluate_own": Stage(
        "datasets.{dataset}.evaluations.{evaluation}", (), ("mcn.evaluation.stage",), DEVICE
    ),
    "index": Stage("search", WINDOWS, ("mcn.search.index",), DEVICE),
    "words": Stage(None, (), ("mcn.search.words_file",)),
    "passages": Stage("features.{feature}", (), ("mcn.search.passages",), DEVICE),
    "join_passages": Stage("search", ("exact_windows",), ("mcn.search.catalogue",)),
    "join_index": Stage("search", ("exact_windows",), ("mcn.search.catalogue",)),
    "epoch_model": Stage(None, (), ("mcn.training.epochs",)),
    "sweep": Stage(None, (), ("mcn.report.sweep",)),
    "leaks": Stage(None, (), ("mcn.sources.leaks",)),
    "ledger": Stage(None, (), ("mcn.upkeep.ledger",)),
    "report": Stage("", (), ("mcn.report.render", "mcn.report.tables"), labels=True),
    "table1": Stage("", (), ("mcn.report.tables",), labels=True),
    "table2": Stage("", (), ("mcn.report.tables",), labels=True),
    "encoders": Stage("", (), ("mcn.report.encoders",), labels=True),
    "trial": Stage("experiments.{experiment}", EXPERIMENT, ("mcn.study.trial",), ("precision",)),
    "study_plan": Stage("study", PLANNING, ("mcn.study.plan",)),
    "study": Stage("", (), ("mcn.study.stage",), labels=True),
}

# Stages that may take weeks are not remade when their code changes, but asked about.
ASKED = ("decode", "transcribe", "seed_weights", "feature")


def row_keys() -> set[str]:
    """The keys of a feature's row that change numbers; `reads`, which names files, is left out."""
    (union, *_) = get_args(AnyFeature)
    classes = [get_args(one)[0] for one in get_args(union)]
    return {
        key
        for one in classes
        for key, info in one.model_fields.items()
        if role_of(info) == "recipe" and key != "reads"
    }


# Keys of a study that say which trials there are, what each is told, and how it is scored.
TRIED = (
    *("baseline", "primary", "objectives", "bound", "seeds", "other_seeds", "tuning_seeds"),
    *("test", "validation", "conditions", "candidates.learning_rate", "candidates.epochs"),
    *("kmeans_runs", "seed", "planned.chosen.learning_rate", "planned.chosen.epochs"),
    *("planned.chosen.condition", "planned.chosen.objective"),
)

# Keys that name or count files: pattern -> the rules whose inputs or outputs they change.
FILES: dict[str, tuple[str, ...]] = {
    "keep_decoded": (),
    "demo.*": (),
    "rendered.*.*": (),
    "datasets.*.official.*": ("import_annotations",),
    "datasets.*.manifest": ("prepare", "list_videos", "list_narration"),
    "datasets.*.published_features.*": ("import_clips", "import_features"),
    "datasets.*.shards": ("partition", "list_videos", "list_narration"),
    "datasets.*.captions": ("prepare_captions",),
    "datasets.*.tasks": ("prepare_steps",),
    "datasets.*.steps": ("prepare_steps",),
    "datasets.*.classes": ("prepare_alignment",),
    "datasets.*.transcripts": ("prepare_alignment",),
    "datasets.*.segments": ("prepare_alignment",),
    "datasets.*.actions": ("prepare_actions",),
    "datasets.*.labels": ("prepare_actions",),
    "features.*.reads.*": ("decode", "freeze"),
    **{f"study.{key}": ("trial",) for key in TRIED},
    "search.meaning": ("passages", "join_passages"),
    "seeding.*": ("seed_weights",),
    **{f"features.*.{key}": ("freeze",) for key in sorted(row_keys())},
    "experiments.*.checkpoint": ("import_checkpoint",),
    "experiments.*.epoch_of": ("epoch_model",),
    "experiments.*.epoch": ("epoch_model",),
    "experiments.*.checkpoint_sha256": ("import_checkpoint",),
    "experiments.*.model.video": ("import_checkpoint",),
    "experiments.*.model.audio": ("import_checkpoint",),
    "experiments.*.model.text": ("import_checkpoint",),
}


def remade(leaf: str) -> list[str]:
    """The rules that are remade when a leaf of the configuration changes, before what follows from them.

    leaf: dotted key, `*` for the name of a data set, feature or experiment.
    """
    role = LEAVES[leaf]
    rules = [rule for pattern, rules in FILES.items() if fits(leaf, pattern) for rule in rules]
    for name, stage in STAGES.items():
        whole = stage.section == ""
        if role == "runtime" or (role == "label" and not stage.labels):
            continue
        if whole or any(_below(leaf, key) for key in _sections(stage)):
            rules.append(name)
    return list(dict.fromkeys(rules))


def fits(leaf: str, pattern: str) -> bool:
    """Whether a dotted key is one of a pattern's, part by part."""
    return leaf.count(".") == pattern.count(".") and fnmatch(leaf, pattern)


def _sections(stage: Stage) -> Iterator[str]:
    """Dotted keys that a stage reads, `*` for wildcards."""
    if stage.section:
        section = stage.section.format(
            dataset="*", experiment="*", evaluation="*", feature="*", set="*"
        )
        yield from (f"{section}.{key}" for key in stage.keys) if stage.keys else (section,)
    yield from (f"runtime.{key}" for key in stage.runtime)


def _below(leaf: str, key: str) -> bool:
    return leaf == key or leaf.startswith(f"{key}.")


class Leaf(NamedTuple):
    """A value of the configuration: its dotted key, its role, its field and the options class that declares it."""

    path: str
    role: str
    info: FieldInfo
    owner: type[BaseModel]


def leaves(model: Any = Configuration, key: str = "") -> Iterator[Leaf]:
    """Every leaf of the configuration's model; one that several kinds of a section have comes once for each."""
    for name, info in model.model_fields.items():
        path = f"{key}.{name}" if key else name
        below = list(_models(info.annotation))
        if not below or role_of(info) != "recipe":
            yield Leaf(path, role_of(info), info, model)
            continue
        star = "dict[" in str(info.annotation) or "Mapping[" in str(info.annotation)
        for one in below:
            yield from leaves(one, f"{path}.*" if star else path)


def _models(annotation: Any) -> Iterator[Any]:
    """The option classes that an annotation names."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


# Leaf -> its role; that of the section around it where it has one.
LEAVES: dict[str, str] = {leaf.path: leaf.role for leaf in leaves()}
