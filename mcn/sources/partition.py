"""Which shard a video belongs to: a stable hash of its id, and nothing else.

Conventions
-----------
- A shard's members depend on `video_id` and the number of shards alone, so that adding a video touches one shard and
  the workflow's graph can be built without reading the manifest.
- Narration is dealt out a batch at a time. What waits longer than `WAITING_BYTES` allow lies in a temporary file a
  shard, below the folder that it ends in; the files that result are the same, whatever waited where.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from mcn.errors import UserError
from mcn.files import csv_text, read_table, scratch_folder, table_batches, write_table, write_text
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.manifest import ManifestRow, manifest_rows
from mcn.sources.narration import unread_metadata, unread_of
from mcn.sources.videos import narration_lines, portable

log = logging.getLogger(__name__)

LISTED = ["video_id", "path", "sha256"]
WAITING_BYTES = 256 << 20  # lines in memory before they are put into temporary files


def shard_of(video_id: str, shards: int) -> int:
    """Shard number of a video: the first 8 bytes of SHA-256 of its id, big-endian, modulo `shards`."""
    digest = hashlib.sha256(video_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % shards


def partition(videos: Path, narration: Path, shards: int, directory: Path) -> None:
    """Split videos and narration tables into `directory`/shards/NNNNN.csv and /narration/NNNNN.parquet.

    The csv has the columns video_id,path,sha256, rows in order of video_id; narration keeps its order. A shard may be
    empty.
    """
    number_of: dict[str, int] = {}
    sizes = []
    for shard, rows in enumerate(shard_lists(videos, shards)):
        write_text(directory / "shards" / f"{shard:05d}.csv", list_text(rows))
        number_of |= dict.fromkeys(rows["video_id"].to_pylist(), shard)
        sizes.append(len(rows))
    _deal_out(narration, number_of, shards, directory / "narration")
    counts = len(number_of), shards, min(sizes), max(sizes)
    log.info("%d videos in %d shards of %d to %d", *counts)


def shard_lists(videos: Path, shards: int) -> Iterator[pa.Table]:
    """The list of every shard of a table of videos: video_id, path, sha256."""
    table = read_table(videos, LISTED)
    numbers = np.array([shard_of(one, shards) for one in table["video_id"].to_pylist()], np.int64)
    numbered = table.append_column("shard", pa.array(numbers))
    rows = numbered.sort_by([("shard", "ascending"), ("video_id", "ascending")]).combine_chunks()
    bounds = np.searchsorted(rows["shard"].to_numpy(), range(shards + 1))
    for first, last in pairwise(bounds.tolist()):
        yield rows.select(LISTED).slice(first, last - first)


def shard_videos(manifest: Path, shards: int, shard: int, output: Path) -> None:
    """Write the list of one shard straight from a manifest, as `partition` would."""
    working = Path.cwd()
    rows = [
        (row.video_id, portable(row.path, working), row.sha256)
        for row in _rows_of(manifest, shards, shard)
    ]
    write_text(output, csv_text([LISTED, *sorted(rows)]))


def shard_narration(manifest: Path, shards: int, shard: int, output: Path) -> None:
    """Write the narration of one shard straight from a manifest and its narration files, as `partition` would."""
    lines, unread = narration_lines(_rows_of(manifest, shards, shard))
    for video_id, error in unread.items():
        log.warning("no narration for %s: %s", video_id, error)
    _write_narration(output, pa.Table.from_pylist(lines, NARRATION).combine_chunks(), unread)


def _rows_of(manifest: Path, shards: int, shard: int) -> list[ManifestRow]:
    rows = manifest_rows(manifest, check_files=False)
    return [row for row in rows if shard_of(row.video_id, shards) == shard]


def list_text(rows: pa.Table) -> str:
    """The csv of a shard's list."""
    columns = (rows[name].fill_null("").to_pylist() for name in LISTED)
    return csv_text([LISTED, *zip(*columns, strict=True)])


def _write_narration(path: Path, lines: pa.Table, unread: Mapping[str, str]) -> None:
    write_table(path, lines.replace_schema_metadata(unread_metadata(unread)))


def _deal_out(narration: Path, number_of: Mapping[str, int], shards: int, directory: Path) -> None:
    """Write the lines of every shard, `number_of` being the shards of the videos."""
    directory.mkdir(parents=True, exist_ok=True)
    unread = unread_of(narration)
    with scratch_folder("dealing_out", directory) as temporary:
        waiting = _Waiting(shards, temporary)
        for batch in table_batches(narration, NARRATION.names):
            ids = batch["video_id"].dictionary_encode()
            numbers = [number_of.get(one, -1) for one in ids.dictionary.to_pylist()]
            if -1 in numbers:
                got = f"{narration}: lines of {ids.dictionary[numbers.index(-1)]}, which is not listed"
                cure = f"delete it and run again (rm {narration})"
                raise UserError(got, "lines of the videos of the list", cure)
            waiting.add(batch, np.array(numbers, np.int64)[ids.indices.to_numpy()])
        for shard in range(shards):
            own = {one: why for one, why in unread.items() if number_of.get(one) == shard}
            _write_narration(directory / f"{shard:05d}.parquet", waiting.take(shard), own)


class _Waiting:
    """Lines of every shard, in memory or at the end of the shard's temporary file."""

    def __init__(self, shards: int, temporary: Path) -> None:
        self.parts: list[list[pa.RecordBatch]] = [[] for _ in range(shards)]
        self.temporary, self.bytes = temporary, 0

    def add(self, batch: pa.RecordBatch, numbers: np.ndarray) -> None:
        """Append the rows of a batch to the shards `numbers` (n,), in their order."""
        order = np.argsort(numbers, kind="stable")
        ordered = batch.take(pa.array(order))
        present, starts = np.unique(numbers[order], return_index=True)
        for shard, start, end in zip(present, starts, [*starts[1:], len(order)], strict=True):
            self.parts[shard].append(ordered.slice(start, end - start))
        self.bytes += ordered.nbytes
        if self.bytes > WAITING_BYTES:
            self._put_away()

    def take(self, shard: int) -> pa.Table:
        """The lines of a shard, in order, which are forgotten here."""
        parts = [*self._read(self.temporary / str(shard)), *self.parts[shard]]
        self.parts[shard] = []
        return pa.Table.from_batches(parts, NARRATION).combine_chunks()

    def _put_away(self) -> None:
        for shard, parts in enumerate(self.parts):
            if parts:
                with (
                    open(self.temporary / str(shard), "ab") as file,
                    pa.ipc.new_stream(file, NARRATION) as writer,
                ):
                    writer.write_table(_whole(parts))
        self.parts = [[] for _ in self.parts]
        self.bytes = 0

    @staticmethod
    def _read(path: Path) -> Iterator[pa.RecordBatch]:
        """Batches of the streams that follow each other in a file."""
        if not path.exists():
            return
        with open(path, "rb") as file:
            while file.peek(1):
                yield from pa.ipc.open_stream(file)


def _whole(parts: Iterable[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(parts, NARRATION).combine_chunks()
