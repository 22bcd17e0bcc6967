"""The columns of every kind of shard, and rows of them: features to a row and back, rows without content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

_HEAD = [("video_id", pa.string()), ("status", pa.string()), ("error", pa.string())]
_TIME = [("start_seconds", pa.float64()), ("step_seconds", pa.float64())]
_INT, BLOB = pa.int32(), pa.large_binary()

FEATURE_SCHEMA = pa.schema(
    [*_HEAD, *_TIME, ("length", _INT), ("width", _INT), ("features", BLOB)],
    metadata={"kind": "features"},
)
# video: exactly the RGB frames (length, height, width, 3), see mcn.media.lossless
FRAME_SCHEMA = pa.schema(
    [*_HEAD, *_TIME, ("length", _INT), ("height", _INT), ("width", _INT), ("video", BLOB)],
    metadata={"kind": "frames"},
)
# samples: (length,) float32 little-endian, mono, in [-1, 1]
AUDIO_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("start_seconds", pa.float64()),
        ("sample_rate", _INT),
        ("length", pa.int64()),
        ("samples", BLOB),
    ],
    metadata={"kind": "audio"},
)
# one list entry a narration line; languages: '' if not known; tokens: ids into its vocabulary, 1-based (0 pads)
TEXT_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("starts", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
        ("languages", pa.list_(pa.string())),
        ("tokens", pa.list_(pa.list_(pa.int32()))),
    ],
    metadata={"kind": "text"},
)
# one row a source of answers (seen, heard, meaning): N windows of the videos of a shard, seconds from container start
# videos: rows of video_ids; errors: why a video has no window, '' where it has; vectors: (N, width) float16, length 1
WINDOW_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("video_ids", pa.list_(pa.string())),
        ("errors", pa.list_(pa.string())),
        ("videos", pa.list_(pa.int32())),
        ("starts", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.float64())),
        ("width", _INT),
        ("vectors", BLOB),
    ],
    metadata={"kind": "windows"},
)
# where the words of a video are from; the lines themselves are a table beside it (mcn.features.transcribe)
SPEECH_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("source", pa.string()),
        ("language", pa.string()),
        ("language_confidence", pa.float32()),
        ("seconds", pa.float64()),
        ("lines", _INT),
        ("voice_seconds", pa.float64()),
        ("understood_seconds", pa.float64()),
        ("passed_over", pa.string()),
    ],
    metadata={"kind": "speech"},
)
SCHEMAS = {
    schema.metadata[b"kind"].decode(): schema
    for schema in (
        FEATURE_SCHEMA,
        FRAME_SCHEMA,
        AUDIO_SCHEMA,
        TEXT_SCHEMA,
        WINDOW_SCHEMA,
        SPEECH_SCHEMA,
    )
}

# columns that shards of a kind had in earlier versions of this package, under the same number of a version
EARLIER_COLUMNS = {"text": [name for name in TEXT_SCHEMA.names if name != "languages"]}


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
        "features": half.data.cast("B"),
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
