"""Rows of shards: features to bytes and back, and rows without content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class FeatureSequence:
    """One video's features: `values` (T, D) float16, or None where status is not `ok`."""

    video_id: str
    status: str
    error: str
    start_seconds: float
    step_seconds: float
    values: np.ndarray | None


def feature_row(
    video_id: str, values: np.ndarray, start_seconds: float, step_seconds: float
) -> dict[str, Any]:
    """A row of `FEATURE_SCHEMA`; ValueError where `values` is not a finite (T, D) matrix that float16 can hold."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{video_id}: features of shape {values.shape}, wanted (T, D), T and D >= 1"
        )
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(values, dtype="<f2")
    if not np.isfinite(half).all():
        raise ValueError(f"{video_id}: features hold NaN, infinity or values beyond float16")
    return {
        "video_id": video_id,
        "status": "ok",
        "error": "",
        "start_seconds": float(start_seconds),
        "step_seconds": float(step_seconds),
        "length": half.shape[0],
        "width": half.shape[1],
        "features": half.tobytes(),
    }


def empty_row(schema: pa.Schema, video_id: str, status: str, error: str) -> dict[str, Any]:
    """A row without content: status `failed` or `missing`, error `code: words`."""
    if status not in ("failed", "missing"):
        raise ValueError(f"status {status!r} of a row without content; wanted failed or missing")
    row: dict[str, Any] = dict.fromkeys(schema.names)
    return {**row, "video_id": video_id, "status": status, "error": error}


def feature_sequence(row: Mapping[str, Any]) -> FeatureSequence:
    """The sequence of a row of `FEATURE_SCHEMA`; `values` is a read-only view of the row's bytes."""
    if row["status"] != "ok":
        return FeatureSequence(row["video_id"], row["status"], row["error"], 0.0, 0.0, None)
    values = np.frombuffer(row["features"], "<f2").reshape(row["length"], row["width"])
    times = float(row["start_seconds"]), float(row["step_seconds"])
    return FeatureSequence(row["video_id"], "ok", "", *times, values)
