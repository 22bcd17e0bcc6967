"""Rankings of several sources to one: reciprocal-rank fusion of moments.

Conventions
-----------
- A hit is a moment that one source found. Hits of one source in one video that overlap, or lie within `NEAR_SECONDS`,
  are one moment, which is that of the best of them: a moment never grows along a chain of hits.
- Moments of different sources are joined by the same rule. A joined moment begins and ends as the hit of the highest
  rank does (of equal ranks: in the order of `SOURCES`), so that it plays from the words that were said; its score is
  the sum of 1 / (60 + rank) over its sources (Cormack, Clarke and Buettcher, SIGIR 2009), of which a hit that holds
  a part of the query brings that part: one word of four that is said stands behind what fits the whole.
- Equal scores come in the order of `SOURCES`, then of the video ids, so that equal queries give equal answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SOURCES = ("words", "meaning", "seen", "heard")
NEAR_SECONDS = 2.0
RANK_OFFSET = 60


class Hit(NamedTuple):
    """A moment that a source found, in seconds from the start of the video.

    score: of that source, higher is better; text: the words that were said; basis: what the score rests on; weak: too
    far from the query to be an answer, and shown because that was asked for; share: how much of the query it holds.
    """

    video_id: str
    start_seconds: float
    end_seconds: float
    score: float
    text: str = ""
    basis: str = ""
    weak: bool = False
    share: float = 1.0

    def near(self, other: Hit) -> bool:
        """Whether both are one moment."""
        return (
            self.video_id == other.video_id
            and self.start_seconds < other.end_seconds + NEAR_SECONDS
            and other.start_seconds < self.end_seconds + NEAR_SECONDS
        )


@dataclass
class Moment:
    """A moment with the hit of each source that found it, the one of the highest rank first."""

    hits: dict[str, Hit] = field(default_factory=dict)
    score: float = 0.0

    @property
    def best(self) -> Hit:
        """The hit of the highest rank, whose place is that of the moment."""
        return next(iter(self.hits.values()))


def distinct(hits: Sequence[Hit]) -> list[Hit]:
    """Hits, best first, without those that are near a better one of their video."""
    kept: list[Hit] = []
    by_video: dict[str, list[Hit]] = {}
    for hit in hits:
        better = by_video.setdefault(hit.video_id, [])
        if not any(hit.near(one) for one in better):
            better.append(hit)
            kept.append(hit)
    return kept


def fuse(rankings: Mapping[str, Sequence[Sequence[Hit]]]) -> list[Moment]:
    """Moments, best first. rankings: source -> its rankings (one for each model), hits best first."""
    ranked = [
        (rank, SOURCES.index(source), hit)
        for source, lists in rankings.items()
        for hits in lists
        for rank, hit in enumerate(distinct(hits), start=1)
    ]
    moments: list[Moment] = []
    by_video: dict[str, list[Moment]] = {}
    for rank, number, hit in sorted(ranked, key=lambda one: (*one[:2], one[2].video_id)):
        source = SOURCES[number]
        in_video = by_video.setdefault(hit.video_id, [])
        fitting = [one for one in in_video if any(hit.near(other) for other in one.hits.values())]
        moment = next(iter(fitting), None)
        if moment is None:
            moment = Moment()
            in_video.append(moment)
            moments.append(moment)
        elif source in moment.hits:
            continue  # a second model found it at a lower rank
        moment.hits[source] = hit
        moment.score += hit.share / (RANK_OFFSET + rank)
    return sorted(moments, key=lambda one: -one.score)
