"""Random access by video id over feature shards that are mapped from disk: for many reads of the same videos.

Conventions
-----------
- The first read of a video in a process compares its page with the page's CRC-32; every read is a view of the
  memory-mapped shard, so that a clip touches only its own rows. `mcn.shards` writes one video a row group,
  uncompressed, as a single value: its bytes are the end of the column's only page. Shards laid out otherwise are read
  by the library, with checksums, every time.
- `fingerprint` identifies the content: recipe, ids, statuses, times and the CRC-32 that every page carries.
"""

from __future__ import annotations

import hashlib
import mmap
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from mcn.errors import UserError
from mcn.files import canonical_json
from mcn.shards.clips import values_of
from mcn.shards.schemas import FeatureSequence
from mcn.shards.shard import ShardReader
from mcn.shards.store import FeatureStore

MAPPED_SHARDS = 256  # open maps a process
LENGTH_BYTES = 4  # a parquet byte array is preceded by its length
NEXT_INTEGER = b"\x15"  # thrift's compact protocol: the next field, of type i32

_TIMES = ["video_id", "status", "error", "start_seconds", "step_seconds", "length", "width"]


class Page(NamedTuple):
    """Where the bytes of a page lie in a file, and the CRC-32 that its header says they have."""

    start: int
    end: int
    crc: int


class Blob(NamedTuple):
    """Where the (length, width) float16 matrix of a video lies."""

    shard: int
    offset: int | None  # bytes from the start of the file; None: not mappable
    page: Page | None
    length: int
    width: int
    start_seconds: float
    step_seconds: float


class MappedFeatures(FeatureStore):
    """`FeatureStore` for many reads of the same videos; values are read-only views, valid while the store lives.

    `errors`: video id -> 'code: words' of videos without features; `width`: D, 0 where no video has features.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        super().__init__(paths)
        self.errors: dict[str, str] = {}
        self._blobs: dict[str, Blob] = {}
        self._verified: set[str] = set()
        self._maps: dict[int, mmap.mmap] = {}
        digest = hashlib.sha256(canonical_json(self.recipe).encode())
        for shard in range(len(self.paths)):
            self._locate(shard, digest)
        self.fingerprint = digest.hexdigest()
        widths = {blob.width: video_id for video_id, blob in self._blobs.items()}
        if len(widths) > 1:
            found = ", ".join(f"{width} ({video_id})" for width, video_id in widths.items())
            got = f"{self.paths[0]} and its sibling shards: rows of widths {found}"
            raise UserError(got, "one width for all videos", "give features of one kind")
        self.width = next(iter(widths), 0)

    @property
    def log_mel(self) -> bool:
        """Whether rows are log-mel frames, by the recipe of the shards, rather than vectors of an audio network.

        Where a recipe names no encoder, the padding of the windows tells, or the name of published log-mels.
        """
        recipe = self.recipe
        if "encoder" in recipe:
            return bool(recipe["encoder"] == "logmel")
        return "padding" in recipe or recipe.get("feature") == "logmel"

    @property
    def of_clip(self) -> bool:
        """Whether log-mel rows are absolute levels, whose 0 dB is each clip's loudest value."""
        return bool(self.recipe.get("reference") == "clip")

    def _locate(self, shard: int, digest: Any) -> None:
        """Note where the features of every video of a shard lie; hash ids, times and page headers."""
        rows = ShardReader(self.paths[shard], self.kind).columns(*_TIMES).to_pylist()
        metadata = pq.read_metadata(self.paths[shard])
        column = metadata.schema.names.index("features")
        data = self._map(shard)
        for group, row in enumerate(rows):
            digest.update(canonical_json([row[name] for name in _TIMES]).encode())
            if row["status"] != "ok":
                self.errors[row["video_id"]] = row["error"]
                continue
            times = row["length"], row["width"], row["start_seconds"], row["step_seconds"]
            chunk = metadata.row_group(group).column(column)
            header, offset = value_in_page(data, chunk, 2 * row["length"] * row["width"])
            page = page_of(header, chunk) if header else None
            self._blobs[row["video_id"]] = Blob(shard, offset, page, *times)
            digest.update(header or values_of(super().__getitem__(row["video_id"])).tobytes())

    def span(self, video_id: str) -> tuple[float, float]:
        """Seconds from container start at which the features of a video begin and end."""
        blob = self._blobs[video_id]
        return blob.start_seconds, blob.start_seconds + blob.length * blob.step_seconds

    def __getitem__(self, video_id: str) -> FeatureSequence:
        blob = self._blobs.get(video_id)
        if blob is None or blob.offset is None or not self._is_whole(video_id, blob):
            return super().__getitem__(video_id)  # which raises what is wrong with a damaged one
        flat = np.frombuffer(self._map(blob.shard), "<f2", blob.length * blob.width, blob.offset)
        values = flat.reshape(blob.length, blob.width)
        return FeatureSequence(video_id, "ok", "", blob.start_seconds, blob.step_seconds, values)

    def _is_whole(self, video_id: str, blob: Blob) -> bool:
        """Whether the bytes of a video are those that were written; looked at once in a process."""
        if blob.page is None:
            return False
        if video_id not in self._verified:
            page = memoryview(self._map(blob.shard))[blob.page.start : blob.page.end]
            if zlib.crc32(page) != blob.page.crc:
                return False
            self._verified.add(video_id)
        return True

    def _map(self, shard: int) -> mmap.mmap:
        if shard not in self._maps:
            if len(self._maps) >= MAPPED_SHARDS:
                self._maps.pop(next(iter(self._maps)))  # closed when its last view goes
            with open(self.paths[shard], "rb") as file:
                self._maps[shard] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[shard]


def value_in_page(data: mmap.mmap, chunk: Any, size: int) -> tuple[bytes | None, int | None]:
    """What precedes the only value of a column chunk, `size` bytes long, and its offset in the file.

    The page header, with the page's checksum, is in what precedes. (None, None) where the chunk is laid out otherwise.
    """
    if chunk.compression != "UNCOMPRESSED" or chunk.num_values != 1:
        return None, None
    offset = chunk.data_page_offset + chunk.total_compressed_size - size
    header = data[chunk.data_page_offset : offset]
    if int.from_bytes(header[-LENGTH_BYTES:], "little") != size:
        return None, None
    return header, offset


def page_of(header: bytes, chunk: Any) -> Page | None:
    """The only page of a column chunk, by the header that precedes it; None where the header has no CRC-32.

    Source: PageHeader of parquet.thrift, in the compact protocol: fields 1 to 4 are four integers of type i32, of which
    the third is the size of the page's bytes and the fourth their CRC-32.
    """
    numbers, place = [], 0
    for _ in range(4):
        if header[place : place + 1] != NEXT_INTEGER:
            return None
        number, shift = 0, 0
        while True:
            place += 1
            number |= (header[place] & 0x7F) << shift
            shift += 7
            if header[place] < 0x80:
                break
        numbers.append(number >> 1 ^ -(number & 1))
        place += 1
    end = chunk.data_page_offset + chunk.total_compressed_size
    return Page(end - numbers[2], end, numbers[3] & 0xFFFFFFFF)
