"""Narration of a data set in memory, and the vectors of its words.

Conventions: narration is held as flat arrays (about 60 bytes a line of eight words), which forked loader processes
share. `fingerprint` identifies its content. Lines of one language lie together, in order of time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    firsts: np.ndarray  # (lines,)
    lasts: np.ndarray

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, line: Any) -> Any:
        if isinstance(line, slice):
            return Tokens(self.flat, self.firsts[line], self.lasts[line])
        return self.flat[self.firsts[line] : self.lasts[line]].tolist()


class Lines(NamedTuple):
    """Narration of one video, line by line: seconds from container start, token ids, language."""

    starts: Sequence[float]
    ends: Sequence[float]
    tokens: Sequence[list[int]]
    languages: Sequence[str]

    def alike(self, line: int) -> tuple[Lines, int]:
        """The lines that are in the language of a line, and the place of that line among them."""
        if self.languages[0] == self.languages[-1]:
            return self, line
        language, first, last = self.languages[line], line, line + 1
        while first and self.languages[first - 1] == language:
            first -= 1
        while last < len(self.languages) and self.languages[last] == language:
            last += 1
        part = slice(first, last)
        alike = self.starts[part], self.ends[part], self.tokens[part], self.languages[part]
        return Lines(*alike), line - first

    def only(self, languages: Collection[str]) -> Lines:
        """The lines that are in one of some languages."""
        kept = [line for line, spoken in enumerate(self.languages) if spoken in languages]
        tokens = [self.tokens[line] for line in kept]
        starts, ends = ([column[line] for line in kept] for column in (self.starts, self.ends))
        return Lines(starts, ends, tokens, [self.languages[line] for line in kept])

    def within(self, start: float, end: float, language: str) -> list[int]:
        """The lines in a language that are said between two times, at least in part."""
        return [
            line
            for line, spoken in enumerate(self.languages)
            if spoken == language and self.starts[line] < end and start < self.ends[line]
        ]


class Narration(Mapping[str, Lines]):
    """Narration lines of every video whose status is ok; `errors` as in `MappedFeatures`.

    languages: those whose lines count, () for all; a video without such a line is `missing`.
    """

    def __init__(self, paths: Sequence[Path | str], languages: Collection[str] = ()) -> None:
        store = RowStore(paths, "text")  # checks recipes and ids
        self.recipe, self.status = store.recipe, dict(store.status)
        self.errors: dict[str, str] = {}
        self.languages: set[str] = set()  # of all lines that count
        self._wanted = languages
        self._videos: dict[str, tuple[int, int]] = {}
        self._shards: list[tuple[np.ndarray, ...]] = []
        self._names: list[list[str]] = []
        digest = hashlib.sha256(canonical_json(self.recipe).encode())
        for path in store.paths:
            self._add(path, digest)
        self.fingerprint = digest.hexdigest()

    def _add(self, path: Path, digest: Any) -> None:
        names = ["video_id", "status", "error", "starts", "ends", "tokens", "languages"]
        table = ShardReader(path, "text").columns(*names)
        heads = table.select(["video_id", "status", "error"]).to_pylist()
        starts, ends, tokens = (_list_array(table, name) for name in ("starts", "ends", "tokens"))
        words = tokens.values
        spoken = _list_array(table, "languages").values.dictionary_encode()
        arrays = (
            starts.offsets.to_numpy(),
            starts.values.to_numpy(),
            ends.values.to_numpy(),
            words.offsets.to_numpy(),
            words.values.to_numpy(),
            spoken.indices.to_numpy().astype(np.int16),
        )
        for row, head in enumerate(heads):
            digest.update(canonical_json(head).encode())
            if head["status"] == "ok":
                self._videos[head["video_id"]] = len(self._shards), row
            else:
                self.errors[head["video_id"]] = head["error"]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(canonical_json(spoken.dictionary.to_pylist()).encode())
        self._shards.append(arrays)
        self._names.append(spoken.dictionary.to_pylist())
        self._select(heads)

    def _select(self, heads: Sequence[Mapping[str, Any]]) -> None:
        """Leave out the videos of the last shard that have no line in a wanted language."""
        wanted = set(self._wanted)
        self.languages |= set(self._names[-1]) & (wanted or set(self._names[-1]))
        for video_id in (head["video_id"] for head in heads if wanted):
            if video_id in self._videos and not self[video_id].languages:
                del self._videos[video_id]
                self.status[video_id] = "missing"
                self.errors[video_id] = f"no narration in {', '.join(self._wanted)}"

    def __getitem__(self, video_id: str) -> Lines:
        shard, row = self._videos[video_id]
        offsets, starts, ends, word_offsets, words, codes = self._shards[shard]
        names = self._names[shard]
        first, last = offsets[row], offsets[row + 1]
        columns = starts[first:last], ends[first:last], word_offsets[first : last + 1]
        spoken = [names[code] for code in codes[first:last].tolist()]
        found = Lines(
            columns[0].tolist(),
            columns[1].tolist(),
            Tokens(words, columns[2][:-1], columns[2][1:]),
            spoken,
        )
        return found.only(self._wanted) if self._wanted else found

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
