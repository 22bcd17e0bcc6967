"""Scores of this project's own evaluations, in the form of the published tables.

Conventions
-----------
- Read from `RESULTS/evaluation/{experiment}/{dataset}.{task}.json`. A row is one experiment with one choice of
  modalities: VAT (text against video + audio) or VT (text against video).
- A score carries its own n and total: the denominators of one row may differ between tasks.
- The benchmark of a data set is the published set that it was made from (`official.kind`, its default split), or its
  name where that is the name of one. Other data sets are of no benchmark.
- `synthetic`: the videos are rendered, or a network's weights were drawn from a seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcn.errors import UserError

BACKBONES = {"resnet152": "R152", "resnext101": "RX101"}  # networks, as published tables name them
MODES = {"VAT": "va", "VT": "v"}
RECALLS = ("R@1", "R@5", "R@10")


@dataclass(frozen=True)
class Score:
    """One number, percent of `total`, or None where it is undefined."""

    value: float | None
    n: int
    total: int


@dataclass
class MeasuredRow:
    """One experiment and choice of modalities; `cells`: data set -> scores in the order of the table's metrics.

    synthetic: the data sets whose scores are.
    """

    experiment: str
    modalities: str
    backbone: str
    cells: dict[str, list[Score]] = field(default_factory=dict)
    synthetic: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Files:
    """Evaluations of one experiment and data set by task."""

    experiment: str
    dataset: str
    tasks: Mapping[str, dict[str, Any]]


def read_results(results: Path, experiments: Sequence[str] | None = None) -> list[Files]:
    """Every evaluation below `results`, or those of `experiments`; `UserError` for a file that does not parse."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for path in sorted((results / "evaluation").glob("*/*.*.json")):
        dataset, task = path.name.removesuffix(".json").rsplit(".", 1)
        if experiments is not None and path.parent.name not in experiments:
            continue
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            cure = f"delete it and run snakemake again (rm {path})"
            raise UserError(f"{path}: {error}", "an evaluation", cure) from None
        found.setdefault((path.parent.name, dataset), {})[task] = value
    return [Files(*key, tasks) for key, tasks in found.items()]


def measured_rows(
    table: str, files: Sequence[Files], labels: Mapping[str, str] | None = None
) -> list[MeasuredRow]:
    """Rows of a published table, by experiment and modalities; the cells by data set.

    labels: feature -> its name in tables, as the configuration says; default: the network of its shards.
    """
    rows: dict[tuple[str, str, str], MeasuredRow] = {}
    for one in files:
        for modalities in MODES:
            scores = SCORES[table](one, modalities) if table in SCORES else []
            if not scores:
                continue
            backbone, synthetic = _features(one, labels or {})
            key = one.experiment, modalities, backbone
            row = rows.setdefault(key, MeasuredRow(*key))
            row.cells[one.dataset] = scores
            if synthetic:
                row.synthetic.add(one.dataset)
    return list(rows.values())


def _retrieval(files: Files, modalities: str) -> list[Score]:
    value = files.tasks.get("retrieval", {})
    found = value.get("scores", {}).get(f"t->{MODES[modalities]}")
    return _recalls(found)


def _full_video(files: Files, modalities: str) -> list[Score]:
    value = files.tasks.get("retrieval", {})
    found = value.get("full_video", {}).get(f"t->{MODES[modalities]}", {})
    return _recalls(found.get("caption_average"))


def _recalls(found: Mapping[str, Any] | None) -> list[Score]:
    return [Score(found[name], found["n"], found["total"]) for name in RECALLS] if found else []


def _localization(files: Files, modalities: str) -> list[Score]:
    """Recall of the localization, else of the alignment; IoD and IoU of the alignment."""
    steps, aligned = (
        files.tasks.get(task, {}).get("modes", {}).get(MODES[modalities], {}).get("scores")
        for task in ("localization", "alignment")
    )
    chosen = (steps or aligned, "recall"), (aligned, "IoD"), (aligned, "IoU")
    if not (steps or aligned):
        return []
    return [
        Score(found[name], found["n"], found["total"]) if found else Score(None, 0, 0)
        for found, name in chosen
    ]


SCORES = {
    "zero_shot_retrieval": _retrieval,
    "full_video_retrieval": _full_video,
    "zero_shot_localization": _localization,
}


def _features(files: Files, labels: Mapping[str, str]) -> tuple[str, bool]:
    """Backbone of the visual features in words, and whether videos or weights are synthetic."""
    value = next(iter(files.tasks.values()))
    provenance = value.get("provenance", {})
    recipes = provenance.get("features", {})
    visual = provenance.get("inputs", {}).get("video", [])
    seeded = any("seeded" in (recipes[name].get("weights") or ()) for name in visual)
    words = "+".join(labels.get(name) or network_label(recipes[name]) for name in visual)
    synthetic = seeded or any(one.get("synthetic", False) for one in files.tasks.values())
    return f"{words}, seeded weights" if seeded else words, synthetic


def network_label(recipe: Mapping[str, Any]) -> str:
    """The network that made a feature's shards, as published tables name it; whatever the feature is called.

    A recipe names the network itself, or in the source of its weights (`timm:NAME`); a file of weights without a name
    is a ResNet-152's, which is the only network that such files are read for. Features that others published are of
    the network that their stream is named after.
    """
    source = str((recipe.get("weights") or {}).get("source", ""))
    package, colon, name = source.partition(":")
    if colon and package == "timm":
        network = name.partition(".")[0]
    elif "published" in recipe:
        network = str(recipe.get("feature", ""))
    else:
        network = str(recipe.get("network") or recipe.get("encoder") or "resnet152")
    return BACKBONES.get(network, network)
