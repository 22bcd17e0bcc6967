"""Provenance as titled lists of keys and values: models, recipes of features, whatever the run tells of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcn.files import file_sha256
from mcn.shards import ShardReader


@dataclass(frozen=True)
class Record:
    """A titled list of keys and values, or a text as it is."""

    title: str
    rows: list[tuple[str, str]]
    text: str = ""


def model_records(models: Mapping[str, Path]) -> Iterator[Record]:
    for experiment, directory in models.items():
        rows = [("model.safetensors sha256", file_sha256(directory / "model.safetensors"))]
        text = (directory / "config.yaml").read_text(encoding="utf-8")
        yield Record(f"Model {experiment}", rows, text)


def recipe_records(features: Mapping[str, Mapping[str, list[Path]]]) -> Iterator[Record]:
    """One record for each feature and recipe, with the data sets that share it."""
    users: dict[tuple[str, str], list[str]] = {}
    for dataset, by_feature in features.items():
        for feature, paths in by_feature.items():
            recipes = {json.dumps(ShardReader(path).recipe, sort_keys=True) for path in paths}
            for recipe in sorted(recipes):
                users.setdefault((feature, recipe), []).append(dataset)
    for (feature, recipe), datasets in users.items():
        yield Record(f"Feature {feature} ({', '.join(datasets)})", flatten(json.loads(recipe)))


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as (dotted key, words) rows, in their own order.

    >>> flatten({"a": {"b": 1, "c": [1, 2]}, "d": None})
    [('a.b', '1'), ('a.c', '1, 2'), ('d', 'none')]
    """
    if not isinstance(value, Mapping):
        return [(prefix, words(value))]
    rows = []
    for key, inner in value.items():
        rows += flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return rows


def words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(words(entry) for entry in value)
    return str(value)
