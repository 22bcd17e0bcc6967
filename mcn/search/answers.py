"""The moments of a folder of videos that fit a query: the words that were said, what they mean, what is seen and heard.

Conventions
-----------
- A folder of answers is one that `mcn run` wrote, or any folder in which Snakemake made indexes:
  `results/settings.json` says which data sets and experiments it has. One data set is asked at a time.
- Each source ranks moments by its own score, and `mcn.search.fusion` joins the rankings. An answer names every source
  that found it, and says of each what its score rests on.
- What no source found is no answer: the list is then empty. A source finds nothing where its best moment is too far
  from the query (`mcn.search.limits` for what is seen, `search.meaning_cosine` for meaning).
- Seeded weights understand nothing. They answer only about data sets that are marked `synthetic`, which is the demo.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcn.errors import UserError
from mcn.search.folder import Folder, Line, Video
from mcn.search.fusion import SOURCES, Hit, Moment, fuse
from mcn.search.sources import TextSource, VectorSource
from mcn.search.terms import check_query

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SOURCES", "Answer", "Answers", "Filters", "Line", "Video"]

DEPTH = 5  # hits asked of a source for each answer that is wanted, since near hits are one moment
LEAST_DEPTH = 50
MAP_POINTS = 5000


@dataclass(frozen=True)
class Answer:
    """A moment of a video, in seconds from its start.

    score: of the joined ranking, higher is better. sources: what found it, out of `SOURCES`. said: words that are said
    in it, '' where none are. why: a sentence for each source, which says what its score rests on. weak: nothing near
    enough to the query found it.
    """

    video_id: str
    start_seconds: float
    end_seconds: float
    score: float
    sources: tuple[str, ...]
    said: str = ""
    why: tuple[str, ...] = ()
    weak: bool = False


@dataclass(frozen=True)
class Filters:
    """Which videos may answer. folder: where the file lies, or above; lengths in seconds; dates: of the file, epoch.

    A video at an address has the date 0.
    """

    video_ids: frozenset[str] | None = None
    folder: str = ""
    min_length: float = 0
    max_length: float = math.inf
    newer_than: float = 0
    older_than: float = math.inf


NO_FILTERS = Filters()


@dataclass
class Answers:
    """The answers of one folder.

    videos: every video of the manifest by id. basis: sentences that say what the answers rest on. texts, vectors: what
    finds moments. lines: video id -> what is said in it. sources: those of `SOURCES` that can be asked here.
    """

    videos: Mapping[str, Video]
    basis: list[str]
    texts: Sequence[TextSource] = ()
    vectors: Sequence[VectorSource] = ()
    lines: Mapping[str, list[Line]] = field(default_factory=dict)
    sources: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        there = {one.name for one in (*self.texts, *self.vectors)}
        self.sources = tuple(name for name in SOURCES if name in there)

    @classmethod
    def open(cls, directory: Path, dataset: str | None = None) -> Answers:
        """The folder of `mcn run`. Errors: `UserError` where nothing can be asked there."""
        from mcn.search.opening import open_sources

        folder = Folder.open(Path(directory), dataset)
        texts, vectors, basis = open_sources(folder)
        if not texts and not vectors:
            because = "; ".join(basis) or "nothing was indexed"
            raise UserError(
                f"{directory} cannot answer: {because}", "an index", "run `mcn run` again"
            )
        return cls(_with_lengths(folder, vectors), basis, texts, vectors, folder.lines)

    def search(
        self,
        query: str,
        limit: int = 10,
        sources: Sequence[str] | None = None,
        filters: Filters = NO_FILTERS,
        one_per_video: bool = False,
        weak: bool = False,
    ) -> list[Answer]:
        """The best moments for a text, best first. sources: default: all that there are.

        weak: also moments that are too far from the text to be an answer; `why` says which those are.
        Errors: `UserError` for a source that is not here, and those of `check_query`.
        """
        check_query(query)
        wanted = self._wanted(sources)
        allowed, depth = self._allowed(filters), max(LEAST_DEPTH, DEPTH * limit)
        rankings: dict[str, list[list[Hit]]] = {}
        for text in self.texts:
            if text.name in wanted:
                rankings.setdefault(text.name, []).append(text.by_text(query, depth, allowed))
        for source in self.vectors:
            if source.name in wanted:
                hits = source.by_text(query, depth, allowed, weak)
                rankings.setdefault(source.name, []).append(hits)
        return self._answers(rankings, limit, one_per_video)

    def more_like(
        self,
        video_id: str,
        start_seconds: float,
        end_seconds: float,
        limit: int = 10,
        filters: Filters = NO_FILTERS,
    ) -> list[Answer]:
        """Moments that look or sound like one of a video, without that one; `UserError` for an unknown video."""
        if video_id not in self.videos:
            raise UserError(
                f"no video {video_id!r}", "an id of the manifest", "look at the list of videos"
            )
        allowed, depth = self._allowed(filters), max(LEAST_DEPTH, DEPTH * limit)
        rankings: dict[str, list[list[Hit]]] = {}
        for source in self.vectors:
            rows = source.between(video_id, start_seconds, end_seconds)
            if len(rows):
                vector = source.index.vectors(rows).mean(axis=0)
                hits = source.by_vector(vector, depth, allowed, without=rows)
                rankings.setdefault(source.name, []).append(hits)
        here = Hit(video_id, start_seconds, end_seconds, 0.0)
        others = {
            name: [[hit for hit in hits if not hit.near(here)] for hits in lists]
            for name, lists in rankings.items()
        }
        return self._answers(others, limit, False)

    def by_picture(
        self, picture: Image, limit: int = 10, filters: Filters = NO_FILTERS
    ) -> list[Answer]:
        """Moments that look like a picture; `UserError` where no encoder here takes pictures."""
        pixels = np.asarray(picture.convert("RGB"))
        allowed, depth = self._allowed(filters), max(LEAST_DEPTH, DEPTH * limit)
        lists = []
        for source in self.vectors:
            embed = (
                getattr(source.loaded, "embed_pictures", None) if source.name == "seen" else None
            )
            if embed is not None:
                lists.append(source.by_vector(embed([pixels])[0], depth, allowed))
        if not lists:
            cure = "ask with words, or index with an encoder of pictures"
            raise UserError("no encoder here takes pictures", "one that does", cure)
        return self._answers({"seen": lists}, limit, False)

    def transcript(self, video_id: str) -> list[Line]:
        """What is said in a video, in order; [] where nothing is known."""
        return list(self.lines.get(video_id, []))

    def map(self) -> list[tuple[str, float, float, float, float]]:
        """(video_id, start, end, x, y) of windows, x and y in 0..1: the two main directions of the vectors.

        Of more than `MAP_POINTS` windows, evenly spaced ones are shown. [] without a source of pictures or sound.
        """
        source = next((one for one in self.vectors if one.name in ("seen", "heard")), None)
        if source is None or len(source.index) < 3:
            return []
        index = source.index
        rows = np.arange(0, len(index), -(-len(index) // MAP_POINTS))
        vectors = index.vectors(rows)
        centred = vectors - vectors.mean(axis=0)
        _, directions = np.linalg.eigh(centred.T @ centred)
        places = centred @ directions[:, [-1, -2]]
        span = np.ptp(places, axis=0)
        places = (places - places.min(axis=0)) / np.where(span > 0, span, 1)
        return [
            (
                index.video_ids[index.videos[row]],
                float(index.starts[row]),
                float(index.ends[row]),
                float(x),
                float(y),
            )
            for row, (x, y) in zip(rows, places, strict=True)
        ]

    def _wanted(self, sources: Sequence[str] | None) -> Collection[str]:
        if sources is None:
            return self.sources
        absent = [one for one in sources if one not in self.sources]
        if absent:
            got = f"{', '.join(absent)} cannot be asked here"
            raise UserError(got, f"out of {', '.join(self.sources)}", "; ".join(self.basis))
        return sources

    def _allowed(self, filters: Filters) -> frozenset[str] | None:
        """The videos that pass, None for all."""
        if filters == NO_FILTERS:
            return None
        return frozenset(one for one, video in self.videos.items() if _passes(video, filters))

    def _answers(
        self, rankings: Mapping[str, Sequence[Sequence[Hit]]], limit: int, one_per_video: bool
    ) -> list[Answer]:
        found: list[Answer] = []
        seen: set[str] = set()
        for moment in fuse(rankings):
            if len(found) == limit:
                break
            video_id = moment.best.video_id
            if video_id not in self.videos or (one_per_video and video_id in seen):
                continue
            seen.add(video_id)
            found.append(self._answer(moment))
        return found

    def _answer(self, moment: Moment) -> Answer:
        video_id, start, end = moment.best[:3]
        sources = tuple(name for name in SOURCES if name in moment.hits)
        hits = ((name, moment.hits[name]) for name in sources)
        why = tuple(f"{name} ({hit.score:.3f}): {hit.basis}" for name, hit in hits)
        lines = self.lines.get(video_id, [])
        said = " ".join(
            line.text for line in lines if line.start_seconds < end and line.end_seconds > start
        )
        weak = all(hit.weak for hit in moment.hits.values())
        return Answer(video_id, start, end, moment.score, sources, said, why, weak)


def _passes(video: Video, filters: Filters) -> bool:
    if filters.video_ids is not None and video.video_id not in filters.video_ids:
        return False
    place = video.path if isinstance(video.path, Path) else video.path.folder
    if filters.folder and not place.is_relative_to(filters.folder):
        return False
    if not filters.min_length <= (video.length_seconds or 0) <= filters.max_length:
        return False
    if filters.newer_than > 0 or filters.older_than < math.inf:
        there = isinstance(video.path, Path) and video.path.exists()
        changed = place.stat().st_mtime if there else 0.0
        return filters.newer_than <= changed <= filters.older_than
    return True


def _with_lengths(folder: Folder, vectors: Sequence[VectorSource]) -> dict[str, Video]:
    """The videos, those that have windows with their lengths."""
    ends: dict[str, float] = {}
    for source in vectors:
        index = source.index
        last = np.zeros(len(index.video_ids))
        np.maximum.at(last, index.videos, index.ends)
        for video_id, end in zip(index.video_ids, last.tolist(), strict=True):
            ends[video_id] = max(end, ends.get(video_id, 0.0))
    for video_id, lines in folder.lines.items():
        if lines and not ends.get(video_id):
            ends[video_id] = max(line.end_seconds for line in lines)
    return {
        one: replace(video, length_seconds=ends.get(one) or None)
        for one, video in folder.videos.items()
    }
