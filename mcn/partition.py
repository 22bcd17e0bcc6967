"""Which shard a video belongs to: a stable hash of its id, and nothing else.

A shard's members depend on `video_id` and the number of shards alone, so that adding a video touches one shard and
the workflow's graph can be built without reading the manifest.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mcn.files import read_table, write_table, write_text
from mcn.sources.tables import NARRATION

log = logging.getLogger(__name__)


def shard_of(video_id: str, shards: int) -> int:
    """Shard number of a video: the first 8 bytes of SHA-256 of its id, big-endian, modulo `shards`."""
    digest = hashlib.sha256(video_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % shards


def partition(videos: Path, narration: Path, shards: int, directory: Path) -> None:
    """Split videos and narration tables into `directory`/shards/NNNNN.csv and /narration/NNNNN.parquet.

    The csv has the columns video_id,path,sha256, rows in order of video_id. A shard may be empty.
    """
    table = read_table(videos, ["video_id", "path", "sha256"]).to_pandas().sort_values("video_id")
    lines = read_table(narration).to_pandas()
    members = dict(iter(table.groupby(_numbers(table, shards))))
    spoken = dict(iter(lines.groupby(_numbers(lines, shards))))
    for shard in range(shards):
        rows = members.get(shard, table.iloc[:0])
        text = spoken.get(shard, lines.iloc[:0])
        buffer = io.StringIO()
        rows.to_csv(buffer, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        write_text(directory / "shards" / f"{shard:05d}.csv", buffer.getvalue())
        write_table(
            directory / "narration" / f"{shard:05d}.parquet",
            pa.Table.from_pandas(text, schema=NARRATION, preserve_index=False),
        )
    sizes = [len(members.get(shard, ())) for shard in range(shards)]
    log.info("%d videos in %d shards of %d to %d", len(table), shards, min(sizes), max(sizes))


def _numbers(table: pd.DataFrame, shards: int) -> pd.Series:
    numbers = {video_id: shard_of(video_id, shards) for video_id in table.video_id.unique()}
    return table.video_id.map(numbers).astype("int64")
