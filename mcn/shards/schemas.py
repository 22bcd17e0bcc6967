"""Columns of the four kinds of shards."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1

_HEAD = [("video_id", pa.string()), ("status", pa.string()), ("error", pa.string())]
_TIME = [("start_seconds", pa.float64()), ("step_seconds", pa.float64())]
_INT, _BLOB = pa.int32(), pa.large_binary()

FEATURE_SCHEMA = pa.schema(
    [*_HEAD, *_TIME, ("length", _INT), ("width", _INT), ("features", _BLOB)],
    metadata={"kind": "features"},
)
# video: Matroska file of x264 RGB at qp 0, exactly the RGB frames (length, height, width, 3)
FRAME_SCHEMA = pa.schema(
    [*_HEAD, *_TIME, ("length", _INT), ("height", _INT), ("width", _INT), ("video", _BLOB)],
    metadata={"kind": "frames"},
)
# samples: (length,) float32 little-endian, mono, in [-1, 1]
AUDIO_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("start_seconds", pa.float64()),
        ("sample_rate", _INT),
        ("length", pa.int64()),
        ("samples", _BLOB),
    ],
    metadata={"kind": "audio"},
)
# one list entry a narration line; tokens: ids into the data set's vocabulary, 1-based (0 pads)
TEXT_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("starts", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
        ("tokens", pa.list_(pa.list_(pa.int32()))),
    ],
    metadata={"kind": "text"},
)
SCHEMAS = {
    schema.metadata[b"kind"].decode(): schema
    for schema in (FEATURE_SCHEMA, FRAME_SCHEMA, AUDIO_SCHEMA, TEXT_SCHEMA)
}
