"""Narration of a data set in memory, and the vectors of its words.

Conventions: narration is held as flat arrays (about 60 bytes a line of eight words), which forked loader processes
share. `fingerprint` identifies its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mcn.errors import UserError
from mcn.files import canonical_json, read_table
from mcn.shards.shard import ShardReader
from mcn.shards.store import RowStore


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
