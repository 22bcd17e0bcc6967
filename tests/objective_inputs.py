"""Batches for objectives under test: vectors are given as they are, networks do not occur."""

from __future__ import annotations

import torch

from mcn.objectives.objective import Setting, StepInputs


def vectors(*shape: int, seed: int = 0, unit: bool = False) -> torch.Tensor:
    """Random float64."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(values, dim=-1) if unit else values


def views(count: int, width: int = 5, unit: bool = False) -> dict[str, torch.Tensor]:
    """One (count, width) embedding a modality."""
    names = ("video", "audio", "text")
    return {name: vectors(count, width, seed=i, unit=unit) for i, name in enumerate(names)}


def inputs(
    count: int, clips_per_video: int = 1, absent: dict | None = None, **others
) -> StepInputs:
    """A batch of `count` clips; absent: modality -> rows that lack it."""
    present = {}
    for name, rows in (absent or {}).items():
        mask = torch.ones(count, dtype=torch.bool)
        mask[rows] = False
        present[name] = mask
    empty = torch.zeros(count, 1, dtype=torch.float64)
    ids = others.pop("word_ids", torch.ones(count, 1, dtype=torch.long))
    words = others.pop("words", empty.unsqueeze(1))
    return StepInputs(empty, empty, words, ids, clips_per_video, present=present, **others)


def setting(videos: int, clips_per_video: int = 1, width: int = 5) -> Setting:
    """A setting with six known words."""
    return Setting(
        videos, clips_per_video, width, vectors(7, 3, seed=9).index_fill(0, torch.tensor([0]), 0)
    )


def reordered(batch: dict[str, torch.Tensor], order: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every tensor with its rows in another order."""
    return {name: value[order] for name, value in batch.items()}
