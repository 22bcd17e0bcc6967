"""What finds moments: the words that were said, and vectors of windows that a query's vector is compared with.

Conventions
-----------
- A source gives hits, best first, of the videos that are allowed. It is opened with the folder and loads its encoder
  at the first query.
- An index above `search.exact_windows` is searched in its lists (`mcn.search.approximate`), every other one whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from mcn.search.approximate import Lists
from mcn.search.fusion import Hit
from mcn.search.limits import TAIL
from mcn.search.vectors import Found, VectorIndex

Allowed = Collection[str] | None  # video ids, None: all


class Encoder(Protocol):
    """Queries to vectors of unit length, float32 (n, D)."""

    def embed_text(self, texts: list[str]) -> np.ndarray: ...


class TextSource(Protocol):
    """What finds the words that were said."""

    name: str
    basis: str

    def by_text(self, query: str, limit: int, allowed: Allowed) -> list[Hit]:
        """The passages whose words fit, best first."""
        ...


@dataclass
class VectorSource:
    """The windows of one source and model. basis: what its scores rest on; encoder: loads the query encoder.

    least: cosine below which a window is no answer. limit: of a text's vector, the cosine that its best window must
    reach. text, knows: the feature that reads queries, and the languages that it knows, () where that is not known.
    """

    name: str
    basis: str
    index: VectorIndex
    encoder: Callable[[], Encoder]
    lists: Lists | None = None
    least: float = -1.0
    text: str = ""
    knows: tuple[str, ...] = ()
    limit: Callable[[np.ndarray], float] | None = None

    @classmethod
    def open(
        cls,
        name: str,
        basis: str,
        folder: Path,
        parts: int,
        approximate: bool,
        encoder: Callable[[], Encoder],
    ) -> VectorSource:
        """The source of a folder of parts. Errors: `UserError` of parts that are missing or damaged."""
        paths = [folder / f"{number:05d}.parquet" for number in range(parts)]
        index = VectorIndex(paths, name)
        lists = Lists(index, folder / "approximate") if approximate else None
        return cls(name, basis, index, encoder, lists)

    @cached_property
    def loaded(self) -> Encoder:
        return self.encoder()

    def by_text(self, query: str, limit: int, allowed: Allowed, weak: bool = False) -> list[Hit]:
        """The windows that are nearest to a text; none where the encoder knows no word of it, or none is near.

        weak: also those that are too far to be an answer, which say so.
        """
        vector = self.loaded.embed_text([query])[0]
        if not np.any(vector):
            return []
        hits = self.by_vector(vector, limit, allowed, least=-1.0)
        wanted = self.limit(vector) if self.limit else self.least
        near = bool(hits) and hits[0].score >= wanted
        tail = TAIL * wanted if self.limit else wanted
        kept = [hit for hit in hits if near and hit.score >= tail]
        if not weak:
            return kept
        far = f"{self.basis} (weak: an answer has {wanted:.3f} or more)"
        return kept + [hit._replace(basis=far, weak=True) for hit in hits[len(kept) :]]

    def by_vector(
        self,
        vector: np.ndarray,
        limit: int,
        allowed: Allowed,
        without: np.ndarray | None = None,
        least: float | None = None,
    ) -> list[Hit]:
        """The windows that are nearest to a vector (D,).

        without: windows that are no answer. least: cosine below which a window is none, that of the source by default.
        """
        if not np.any(vector):
            return []
        mask = self._mask(allowed)
        if without is not None and len(without):
            mask = np.ones(len(self.index), bool) if mask is None else mask
            mask[without] = False
        engine = self.lists or self.index
        least = self.least if least is None else least
        return self._hits(engine.search(vector, limit, mask)[0], least)

    def between(self, video_id: str, start: float, end: float) -> np.ndarray:
        """Numbers of the windows of a video that overlap a stretch of it."""
        rows = self.index.of_video(video_id)
        return rows[(self.index.starts[rows] < end) & (self.index.ends[rows] > start)]

    def _mask(self, allowed: Allowed) -> np.ndarray | None:
        if allowed is None:
            return None
        wanted = set(allowed)
        return np.array([one in wanted for one in self.index.video_ids], bool)[self.index.videos]

    def _hits(self, found: Found, least: float) -> list[Hit]:
        index = self.index
        return [
            Hit(
                index.video_ids[index.videos[row]],
                float(index.starts[row]),
                float(index.ends[row]),
                float(score),
                basis=self.basis,
            )
            for row, score in zip(found.rows, found.scores, strict=True)
            if row >= 0 and score >= least
        ]
