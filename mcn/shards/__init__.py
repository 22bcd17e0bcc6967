"""Parquet shards: schemas, atomic checksummed writing, verified reading.

Conventions
-----------
- One row, and one row group, a video; rows in the order of the shard's csv. Every manifest row is there.
- `status` is `ok`, `failed` or `missing` (the file has no such stream); `error` is empty or `code: words` with a
  code of `mcn.errors.ERROR_CODES`. Where status is not `ok` every column of content is null.
- Row i of a feature matrix covers the time from `start_seconds + i * step_seconds`, seconds from container start.
- `features` is (length, width) float16, row-major, little-endian; other blobs are described at their schema.
- File metadata, key `mcn`: canonical JSON of schema_version, kind and recipe. The recipe holds every parameter that
  changes the numbers, the code's `version`, weights and library versions. Equal recipes and inputs on one machine
  give equal bytes.
- The header also says what the shard is: data set, stream, number and the digest of its list (`mcn.shards.origin`);
  who opens it compares that with the path.
- Pages carry checksums and every read verifies them: a flipped bit, a cut file or another kind of file raises
  `DamagedShard`, which names the file and the cure.
"""

from mcn.shards.schemas import (
    AUDIO_SCHEMA,
    FEATURE_SCHEMA,
    FRAME_SCHEMA,
    SPEECH_SCHEMA,
    TEXT_SCHEMA,
    FeatureSequence,
    empty_row,
    feature_row,
    feature_sequence,
)
from mcn.shards.shard import ShardReader, ShardWriter
from mcn.shards.store import FeatureStore, RowStore

__all__ = [
    "AUDIO_SCHEMA",
    "FEATURE_SCHEMA",
    "FRAME_SCHEMA",
    "SPEECH_SCHEMA",
    "TEXT_SCHEMA",
    "FeatureSequence",
    "FeatureStore",
    "RowStore",
    "ShardReader",
    "ShardWriter",
    "empty_row",
    "feature_row",
    "feature_sequence",
]
