"""A few items of decoded shards, spread over their videos, for calibrating seeded batch norms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcn.errors import UserError
from mcn.features.reading import frame_items_of
from mcn.shards import ShardReader, feature_sequence
from mcn.shards.parts import Parts


def frame_items(
    shards: Sequence[Path], frames_per_item: int, wanted: int
) -> tuple[Tensor, dict[str, Any]]:
    """About `wanted` items uint8 (n, F, H, W, 3) of the commonest frame size, and the shards' recipe.

    Items lie evenly within each video; the last, which may be filled up, is taken only of a video without another.
    """
    rows, recipe = _heads(shards, "frames")
    sizes = Counter((row["height"], row["width"]) for row in rows)
    if not sizes:
        raise _nothing(shards)
    size = sizes.most_common(1)[0][0]
    each = -(-wanted // sizes[size])
    found = []
    for path in shards:
        for row in ShardReader(path, "frames").lazily():
            if row["status"] == "ok" and (row["height"], row["width"]) == size:
                chosen = _spread(max(1, row["length"] // frames_per_item), each)
                items = frame_items_of(row, path, frames_per_item)
                found += [item for index, item in enumerate(items) if index in chosen]
    filled = np.zeros((len(found), frames_per_item, *size, 3), np.uint8)
    for target, item in zip(filled, found, strict=True):
        target[: len(item)] = item
    return torch.from_numpy(_thin(filled, wanted)), recipe


def mel_items(
    shards: Sequence[Path], rows_per_item: int, wanted: int
) -> tuple[Tensor, dict[str, Any]]:
    """About `wanted` log-mel pieces float32 (n, 40, rows_per_item or the longest video's), and the shards' recipe."""
    rows, recipe = _heads(shards, "features")
    if not rows:
        raise _nothing(shards)
    rows_per_item = min(rows_per_item, max(row["length"] for row in rows))
    usable = sum(row["length"] >= rows_per_item for row in rows)
    each = -(-wanted // usable)
    found = []
    for path in shards:
        for row in ShardReader(path, "features"):
            values = feature_sequence(row).values
            if values is not None and len(values) >= rows_per_item:
                for index in sorted(_spread(len(values) // rows_per_item, each)):
                    found.append(values[index * rows_per_item :][:rows_per_item].T)
    return torch.from_numpy(_thin(np.stack(found).astype(np.float32), wanted)), recipe


def _heads(shards: Sequence[Path], kind: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows that are ok, without their blobs, and the recipe of the first shard."""
    rows: list[dict[str, Any]] = []
    recipe: dict[str, Any] = {}
    for path in shards:
        reader = ShardReader(path, kind)
        recipe = recipe or reader.recipe
        rows += [_light(row) for row in reader.lazily() if row["status"] == "ok"]
    return rows, recipe


def _light(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not isinstance(value, Parts)}


def _spread(count: int, wanted: int) -> set[int]:
    """At most `wanted` indices below `count`, evenly spaced, the middle first."""
    return {int((index + 0.5) * count / wanted) for index in range(wanted)}


def _thin(items: np.ndarray, wanted: int) -> np.ndarray:
    """At most `wanted` of the items, evenly spaced."""
    return items[sorted(_spread(len(items), min(wanted, len(items))))]


def _nothing(shards: Sequence[Path]) -> UserError:
    return UserError(
        f"no usable video in {', '.join(map(str, shards))}",
        "at least one video to calibrate seeded weights on",
        "set seeding.dataset or seeding.shards to shards that have videos",
    )
