"""Two directions of a space, as points for a drawing: the first two principal components of unit vectors.

The share of the variance that both hold together goes with the picture: little of a wide space shows in two directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mcn.study.spaces import StepVectors

SIZE = 220.0
MODALITIES = {"v": "video", "a": "audio"}


@dataclass(frozen=True)
class Point:
    """A place in SVG units, y downwards, and the group that colours it."""

    x: float
    y: float
    group: int


@dataclass(frozen=True)
class Picture:
    """Points, names of the groups, percent of the variance that two directions hold."""

    points: list[Point]
    groups: list[str]
    percent: float


def principal_directions(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """(N >= 1, d) vectors -> (N, 2) coordinates of their unit vectors, and percent of the variance they hold."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    centred = unit - unit.mean(axis=0)
    left, scales, _ = np.linalg.svd(centred, full_matrices=False)
    coordinates = np.zeros((len(vectors), 2))
    kept = min(2, len(scales))
    coordinates[:, :kept] = left[:, :kept] * scales[:kept]
    variance = float((scales**2).sum())
    return coordinates, 100 * float((scales[:2] ** 2).sum()) / variance if variance else 100.0


def draw(coordinates: np.ndarray, percent: float, names: Sequence[str]) -> Picture:
    """(N, 2) coordinates and the group of each point -> a square picture of `SIZE` units."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    span = float((high - low).max()) or 1.0
    groups = sorted(set(names))
    points = [
        Point(
            float((x - low[0]) / span * SIZE),
            float(SIZE - (y - low[1]) / span * SIZE),
            groups.index(name),
        )
        for (x, y), name in zip(coordinates, names, strict=True)
    ]
    return Picture(points, groups, percent)


def pictures_of(found: StepVectors) -> tuple[Picture, Picture]:
    """Segments and step texts coloured by modality, and segments coloured by task, in the same two directions."""
    parts = {
        MODALITIES[letter]: found.vectors[letter]
        for letter in found.vectors
        if letter in MODALITIES
    }
    if len(found.texts):
        parts["text"] = found.texts
    places, percent = principal_directions(np.concatenate(list(parts.values())))
    names = [name for name, vectors in parts.items() for _ in vectors]
    segments = len(names) - len(found.texts)
    tasks = found.tasks * (segments // len(found.tasks))
    return draw(places, percent, names), draw(places[:segments], percent, tasks)
