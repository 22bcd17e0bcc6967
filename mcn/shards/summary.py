"""Where the features of every video of a set of shards lie, as one table; of large sets it is kept beside the shards.

Conventions
-----------
- Reading ids, times and page headers out of shards takes some 40 microseconds a video, a minute for 1.2 million.
  Sets of `KEPT_FROM` videos and more therefore keep the table as `.summary` in the folder of their shards, from which
  the next process reads it in a second. It may be deleted, and where it cannot be written it is done without.
- A kept table counts while every shard, and every shard list beside them, has the size, the times of change and the
  inode that it had when the table was made. A file that changed within `SETTLED_NS` before it was read is not
  relied on, since clocks of file systems are coarse. A table that is damaged or of another version is made again.
- `fingerprint` identifies the content: recipe, ids, statuses, times and the CRC-32 that every page carries.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mmap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mcn.errors import DamagedShard, UserError
from mcn.files import canonical_json, read_table, write_table
from mcn.shards.clips import values_of
from mcn.shards.origin import place_of, read_origin, require_place
from mcn.shards.pages import page_of, value_in_page
from mcn.shards.schemas import FEATURE_SCHEMA, feature_sequence
from mcn.shards.shard import ShardReader
from mcn.shards.store import FeatureStore

logger = logging.getLogger(__name__)

NAME = ".summary"
VERSION = 1
KEPT_FROM = 20_000  # videos: fewer are read within a second
SETTLED_NS = 2_000_000_000

TIMES = ["video_id", "status", "error", "start_seconds", "step_seconds", "length", "width"]
# offset: bytes from the start of the file to the matrix, null where it cannot be mapped; page_*: of the page that it
# lies in, null where that has no checksum
PLACES = ["offset", "page_start", "page_end", "page_crc"]
SCHEMA = pa.schema(
    [*(FEATURE_SCHEMA.field(name) for name in TIMES), *((name, pa.int64()) for name in PLACES)]
)


class Summary(NamedTuple):
    """rows: of `SCHEMA`, one a video, shard after shard. ends: rows up to the end of each shard."""

    rows: pa.Table
    ends: list[int]
    recipe: dict[str, Any]
    fingerprint: str


def summary_of(paths: Sequence[Path]) -> Summary:
    """The summary of feature shards: the kept one where it counts, else what the shards say. Errors: as `RowStore`."""
    folder = _folder_of(paths)
    kept = _kept(folder / NAME, paths) if folder else None
    if kept:
        return kept
    settled, stamps = time.time_ns() - SETTLED_NS, _stamps(paths) if folder else []
    read = _Read(paths)
    summary = Summary(read.table, read.ends, read.recipe, read.fingerprint)
    quiet = all(max(changed) < settled for _, _, changed, _ in filter(None, stamps))
    if folder and len(read) >= KEPT_FROM and quiet and stamps == _stamps(paths):
        _keep(folder / NAME, summary, stamps, read.origins)
    return summary


def _folder_of(paths: Sequence[Path]) -> Path | None:
    """The folder of the shards of one feature of one data set; None for shards that lie otherwise."""
    folders = {path.parent for path in paths}
    return paths[0].parent if len(folders) == 1 and all(map(place_of, paths)) else None


def _stamps(paths: Sequence[Path]) -> list[list[Any] | None]:
    """What tells that a shard, or the list beside it, is the file that it was; None where there is none."""
    lists = paths[0].absolute().parents[2] / "shards"
    return [_stamp(one) for path in paths for one in (path, lists / f"{path.stem}.csv")]


def _stamp(path: Path) -> list[Any] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [path.name, found.st_size, [found.st_mtime_ns, found.st_ctime_ns], found.st_ino]


def _kept(path: Path, paths: Sequence[Path]) -> Summary | None:
    """The kept summary, where it counts. Errors: `DamagedShard` for shards whose folder is another's now."""
    try:
        rows = read_table(path)
    except (FileNotFoundError, DamagedShard):
        return None
    about = json.loads((rows.schema.metadata or {}).get(b"mcn", b"{}"))
    if about.get("version") != VERSION or about["stamps"] != _stamps(paths):
        return None
    for shard, origin in zip(paths, about["origins"], strict=True):
        require_place(shard, read_origin(origin))
    return Summary(rows, about["ends"], about["recipe"], about["fingerprint"])


def _keep(path: Path, summary: Summary, stamps: list[Any], origins: list[Any]) -> None:
    about = {"version": VERSION, "stamps": stamps, "origins": origins, "ends": summary.ends}
    about |= {"recipe": summary.recipe, "fingerprint": summary.fingerprint}
    try:
        write_table(path, summary.rows, about)
    except UserError as error:
        logger.info("the summary of the shards is not kept: %s", error)


class _Read(FeatureStore):
    """The shards themselves, and what is noted of them while they are opened."""

    heads = TIMES

    def __init__(self, paths: Sequence[Path]) -> None:
        self.origins: list[dict[str, Any] | None] = []
        self._tables: list[pa.Table] = []
        self._digest = hashlib.sha256()
        super().__init__(paths)
        self.table = pa.concat_tables([SCHEMA.empty_table(), *self._tables]).combine_chunks()
        self.ends, self.fingerprint = self._ends, self._digest.hexdigest()

    def _note(self, reader: ShardReader, heads: pa.Table) -> None:
        if not self.origins:
            self._digest.update(canonical_json(self.recipe).encode())
        self.origins.append(reader.origin.header if reader.origin else None)
        metadata, rows = reader.metadata, heads.to_pylist()
        column = metadata.schema.names.index("features")
        places: list[tuple[int | None, ...]] = []
        with open(reader.path, "rb") as file, contextlib.closing(_mapped(file)) as data:
            for group, row in enumerate(rows):
                self._digest.update(canonical_json([row[name] for name in TIMES]).encode())
                if row["status"] != "ok":
                    places.append((None,) * len(PLACES))
                    continue
                chunk = metadata.row_group(group).column(column)
                header, offset = value_in_page(data, chunk, 2 * row["length"] * row["width"])
                page = (header and page_of(header, chunk)) or (None, None, None)
                places.append((offset, *page))
                if header is None:
                    header = values_of(feature_sequence(reader.read(group))).tobytes()
                self._digest.update(header)
        columns = zip(*places, strict=True) if places else [()] * len(PLACES)
        arrays = [pa.array(values, pa.int64()) for values in columns]
        ours = [heads.column(name) for name in TIMES] + arrays
        self._tables.append(pa.table(ours, schema=SCHEMA).combine_chunks())


def _mapped(file: Any) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
