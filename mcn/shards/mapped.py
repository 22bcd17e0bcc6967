"""Random access by video id over the shards of a data set: read row by row, mapped from disk, or held in memory.

Conventions
-----------
- `RowStore` and `FeatureStore` read a row at a time, with checksums. `MappedFeatures` and `Narration` are for many
  reads of the same videos, as training makes them.
- The first read of a video in a process compares its page with the page's CRC-32; every read is a view of the
  memory-mapped shard, so that a clip touches only its own rows. `mcn.shards` writes one video a row group,
  uncompressed, as a single value: its bytes are the end of the column's only page. Shards laid out otherwise are read
  by the library, with checksums, every time.
- Narration is held as flat arrays (about 60 bytes a line of eight words), which forked loader processes share.
- `fingerprint` identifies the content: recipe, ids, statuses, times and the CRC-32 that every page carries.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import UserError
from mcn.files import canonical_json, read_table
from mcn.shards.clips import values_of
from mcn.shards.origin import require_inputs
from mcn.shards.shard import FeatureSequence, ShardReader, feature_sequence


class RowStore(Mapping[str, Any]):
    """Random access by video id over many shards of one kind; safe in forked loader processes.

    Errors: `UserError` where two shards hold the same id or were made by different recipes.
    """

    def __init__(self, paths: Sequence[Path | str], kind: str) -> None:
        self.paths, self.kind = [Path(path) for path in paths], kind
        self._readers: dict[tuple[int, int], ShardReader] = {}
        self._where: dict[str, tuple[int, int]] = {}
        self.status: dict[str, str] = {}
        self.recipe: dict[str, Any] = {}
        for shard, path in enumerate(self.paths):
            self._index(shard, path)

    def _index(self, shard: int, path: Path) -> None:
        reader = ShardReader(path, self.kind)
        require_inputs(path, reader.origin)
        if shard and reader.recipe != self.recipe:
            cure = f"delete the one that is out of date and run snakemake again (rm {path})"
            raise UserError(f"{self.paths[0]} and {path} differ in recipe", "one recipe", cure)
        self.recipe = reader.recipe
        for row, (video_id, status) in enumerate(
            zip(reader.video_ids, reader.column("status"), strict=True)
        ):
            if video_id in self._where:
                other = self.paths[self._where[video_id][0]]
                cure = f"delete both and run snakemake again (rm {other} {path})"
                raise UserError(f"{video_id} in {other} and {path}", "each video once", cure)
            self._where[video_id], self.status[video_id] = (shard, row), status
        reader.close()

    def _row(self, video_id: str) -> dict[str, Any]:
        shard, row = self._where[video_id]
        key = os.getpid(), shard
        if key not in self._readers:
            if len(self._readers) >= 128:  # open files a process
                self._readers.pop(next(iter(self._readers))).close()
            self._readers[key] = ShardReader(self.paths[shard], self.kind)
        return self._readers[key].read(row)

    def __getitem__(self, video_id: str) -> Any:
        return self._row(video_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


class FeatureStore(RowStore):
    """`RowStore` of feature shards: values are `FeatureSequence`."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        super().__init__(paths, "features")

    def __getitem__(self, video_id: str) -> FeatureSequence:
        return feature_sequence(self._row(video_id))


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
        self.width = next((blob.width for blob in self._blobs.values()), 0)

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


@dataclass(frozen=True)
class Tokens(Sequence[list[int]]):
    """Token ids of the lines of one video, by line."""

    flat: np.ndarray
    offsets: np.ndarray  # (lines + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, line: Any) -> Any:
        return self.flat[self.offsets[line] : self.offsets[line + 1]].tolist()


class Lines(NamedTuple):
    """Narration of one video: seconds from container start, and token ids, line by line."""

    starts: list[float]
    ends: list[float]
    tokens: Tokens


class Narration(Mapping[str, Lines]):
    """Narration lines of every video whose status is ok; `errors` as in `MappedFeatures`."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        store = RowStore(paths, "text")  # checks recipes and ids
        self.recipe, self.status = store.recipe, store.status
        self.errors: dict[str, str] = {}
        self._videos: dict[str, tuple[int, int]] = {}
        self._shards: list[tuple[np.ndarray, ...]] = []
        digest = hashlib.sha256(canonical_json(self.recipe).encode())
        for path in store.paths:
            self._add(path, digest)
        self.fingerprint = digest.hexdigest()

    def _add(self, path: Path, digest: Any) -> None:
        names = ["video_id", "status", "error", "starts", "ends", "tokens"]
        table = ShardReader(path, "text").columns(*names)
        heads = table.select(["video_id", "status", "error"]).to_pylist()
        starts, ends, tokens = (_list_array(table, name) for name in ("starts", "ends", "tokens"))
        words = tokens.values
        arrays = (
            starts.offsets.to_numpy(),
            starts.values.to_numpy(),
            ends.values.to_numpy(),
            words.offsets.to_numpy(),
            words.values.to_numpy(),
        )
        for row, head in enumerate(heads):
            digest.update(canonical_json(head).encode())
            if head["status"] == "ok":
                self._videos[head["video_id"]] = len(self._shards), row
            else:
                self.errors[head["video_id"]] = head["error"]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        self._shards.append(arrays)

    def __getitem__(self, video_id: str) -> Lines:
        shard, row = self._videos[video_id]
        offsets, starts, ends, word_offsets, words = self._shards[shard]
        first, last = offsets[row], offsets[row + 1]
        tokens = Tokens(words, word_offsets[first : last + 1])
        return Lines(starts[first:last].tolist(), ends[first:last].tolist(), tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self._videos)

    def __len__(self) -> int:
        return len(self._videos)


def vocabulary_vectors(path: Path) -> tuple[np.ndarray, str]:
    """Word vectors (V + 1, W) float32 by token id, row 0 zeros for padding, and the sha256 of their bytes."""
    blobs = read_table(path, ["vector"]).column("vector").to_pylist()
    if not blobs:
        cure = "give the vectors of the narration's language, then snakemake --cores N"
        raise UserError(f"no word in {path}", "a vocabulary with vectors", cure)
    words = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1)
    vectors = np.concatenate([np.zeros_like(words[:1]), words])
    return vectors, hashlib.sha256(vectors.tobytes()).hexdigest()


def _list_array(table: pa.Table, name: str) -> pa.ListArray:
    """A list column as one array."""
    array = table.column(name).combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
