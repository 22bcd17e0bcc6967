"""The switches in which the paper, its released code and our own choice differ: one table, and what `recipe` sets.

Conventions
-----------
- `experiments.NAME.recipe: paper | released | ours` sets every switch of the table at once; one that is given beside it
  wins. Without `recipe` every switch has its default.
- A switch is a dotted key of an experiment. Those of `objective` belong to the objective `mcn`, and are set for it
  alone.
- What the paper does not state has the released value in `paper`.
- The table of docs/published.md is written from here (`python -m mcn.config.reference`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

RecipeName = Literal["paper", "released", "ours"]
RECIPES: tuple[RecipeName, ...] = ("paper", "released", "ours")


class Switch(NamedTuple):
    """One row: topic, what paper and released code say of it, the key, and its value in each recipe."""

    topic: str
    paper: str
    code: str
    key: str
    values: tuple[Any, Any, Any]

    def value(self, recipe: str) -> Any:
        """Its value in a recipe."""
        return dict(zip(RECIPES, self.values, strict=True))[recipe]


SWITCHES = (
    Switch(
        "weight of the contrast", "1 (Eq. 1)", "1", "objective.contrast_weight", (1.0, 1.0, 1.0)
    ),
    Switch("weight of the clusters", "1 (Eq. 1)", "1", "objective.cluster_weight", (1.0, 1.0, 1.0)),
    Switch(
        "weight of the reconstruction",
        "1 (Eq. 1)",
        "50 (train_tri_kmeans.py:302)",
        "objective.reconstruction_weight",
        (1.0, 50.0, 50.0),
    ),
    Switch(
        "margin of the contrast",
        "0.001",
        "the same, no schedule, no temperature (loss.py:14)",
        "objective.margin",
        (0.001, 0.001, 0.001),
    ),
    Switch(
        "embeddings",
        "dot products, no norm stated",
        "un-normalised (model_kmeans_ICCV.py:185)",
        "model.normalize",
        (False, False, False),
    ),
    Switch(
        "k-means metric",
        "squared Euclidean (Eq. 5)",
        "cosine; centroids are means of raw members (train_tri_kmeans.py:345)",
        "objective.cluster_metric",
        ("euclidean", "cosine", "cosine"),
    ),
    Switch(
        "what is clustered",
        "the batch (Fig. 2)",
        "the batch and a queue of 20 steps",
        "objective.queue_steps",
        (0, 20, 20),
    ),
    Switch(
        "fit of the centroids",
        "every step",
        "every 20 steps, between them clips are assigned (`--fastC`)",
        "objective.refit_every_steps",
        (1, 20, 20),
    ),
    Switch(
        "margin in the cluster term",
        "in the numerator only (Eq. 6)",
        "in the denominator too (train_tri_kmeans.py:261)",
        "objective.margin_in_denominator",
        (False, True, True),
    ),
    Switch(
        "sum over modalities",
        "sum (Eq. 7)",
        "mean, or one loss of the fused feature (`--mean=1`)",
        "objective.cluster_reduction",
        ("sum", "mean", "mean"),
    ),
    Switch(
        "the mean over two modalities",
        "",
        "still a third of the sum (train_tri_kmeans.py:375)",
        "objective.cluster_mean_over",
        ("three", "three", "present"),
    ),
    Switch(
        "reconstruction target",
        "the common-space feature (Eq. 8)",
        "the feature before projection (model_kmeans_ICCV.py:172)",
        "objective.reconstruction_target",
        ("common", "input", "input"),
    ),
    Switch(
        "gradient into the target",
        "not stated",
        "flows",
        "objective.detach_reconstruction_target",
        (False, False, False),
    ),
    Switch(
        "DAVEnet",
        '"pre-trained", extracts features',
        "drawn at random and trained (train_tri_kmeans.py:207)",
        "model.audio",
        ("davenet", "logmel", "logmel"),
    ),
    Switch(
        "padded words",
        "not stated",
        "take part in the maximum over words",
        "model.mask_padding_words",
        (False, False, True),
    ),
    Switch(
        "padded audio",
        "not stated",
        "zeros, which are 0 dB, the loudest level, take part in the training mean",
        "model.mask_padding_audio",
        (False, False, True),
    ),
    Switch(
        "sound of a clip that starts before 12.5 ms",
        "",
        "lost: a negative column (column -2 for a clip at 0 s) makes an empty slice, filled with zeros, which are 0 dB "
        "(youtube_dataloader.py:140)",
        "training.early_sound",
        ("lost", "lost", "kept"),
    ),
    Switch(
        "clips without a known word, feature row or sound",
        "not stated",
        "trained on as zero vectors",
        "training.empty_clips",
        ("keep", "keep", "redraw"),
    ),
)

FIXED = (  # what has no switch: topic, paper, released code, what is done here
    (
        "sign of the reconstruction",
        "printed with a minus: a misprint, minimising it diverges",
        "plus",
        "plus",
    ),
    (
        "queue for other batch shapes",
        "",
        "2048 rows and 32 clips a video are hard-coded",
        "any shape",
    ),
    (
        "retrieval score",
        "not given",
        "text . (video + audio), un-normalised",
        "every pair of modalities is written, `t->va` first",
    ),
    (
        "ties in the ranks",
        "",
        "every tied position counts: a constant matrix scores R@5 = 500 %",
        "the mean rank; theirs as a labelled comparison",
    ),
)

OBJECTIVE = "objective."
PAPER_VARIANT: dict[str, Any] = {
    one.key.removeprefix(OBJECTIVE): one.value("paper")
    for one in SWITCHES
    if one.key.startswith(OBJECTIVE) and one.value("paper") != one.value("released")
}


def switches(recipe: str, objective: str) -> dict[str, dict[str, Any]]:
    """The values of a recipe as sections of an experiment; objective: its kind."""
    sections: dict[str, dict[str, Any]] = {}
    for one in SWITCHES:
        section, _, key = one.key.partition(".")
        if section != "objective" or objective == "mcn":
            sections.setdefault(section, {})[key] = one.value(recipe)
    return sections


def recipe_words(experiment: Mapping[str, Any]) -> str:
    """The switches of an experiment as they are, `key value`, and `(RECIPE: value)` where its recipe has another."""
    words = []
    for one in SWITCHES:
        section, _, key = one.key.partition(".")
        values = experiment[section]
        if key in values:
            usual = one.value(experiment["recipe"])
            other = "" if values[key] == usual else f" ({experiment['recipe']}: {usual})"
            words.append(f"{one.key} {values[key]}{other}")
    return ", ".join(words)


def table(defaults: Mapping[str, Any]) -> str:
    """The table of docs/published.md; defaults: the sections of an experiment without any value."""
    head = "| topic | paper | released code | switch of `experiments.NAME` | `paper` | `released` | `ours` | default |"
    rows = []
    for one in SWITCHES:
        section, _, key = one.key.partition(".")
        values = " | ".join(map(_value, (*one.values, defaults[section][key])))
        rows.append(f"| {one.topic} | {one.paper} | {one.code} | `{one.key}` | {values} |")
    fixed = [f"| {one[0]} | {one[1]} | {one[2]} | none: {one[3]} | | | | |" for one in FIXED]
    return "\n".join([head, "|---" * 8 + "|", *rows, *fixed])


def _value(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
