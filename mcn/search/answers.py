"""The moments of a folder of videos that fit a query: the words that were said, what they mean, what is seen and heard.

Conventions
-----------
- A folder of answers is one that `mcn run` wrote, or any folder in which Snakemake made indexes:
  `results/settings.json` says which data sets and experiments it has. One data set is asked at a time.
- Each source ranks moments by its own score. Rankings are joined by reciprocal rank (Cormack et al., SIGIR 2009): a
  moment gets 1 / (60 + rank) from each source that found it. Hits of one video that overlap or lie within
  `NEAR_SECONDS` of a better one are one answer, which spans them and names every source.
- What no source found is no answer: an empty list, never the least bad moment of an unrelated source.
- Seeded weights understand nothing. They answer only about data sets that are marked `synthetic`, which is the demo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SOURCES = ("words", "meaning", "seen", "heard")


@dataclass(frozen=True)
class Answer:
    """A moment of a video, in seconds from its start.

    score: of the joined ranking, higher is better. sources: what found it, out of `SOURCES`. said: words that are said
    in it, '' where none are. why: a sentence for each source, which says what its score rests on.
    """

    video_id: str
    start_seconds: float
    end_seconds: float
    score: float
    sources: tuple[str, ...]
    said: str = ""
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Video:
    """A video of the folder. status: the ledger's; error: code and words, '' where it is ok; streams: video, audio."""

    video_id: str
    path: Path
    length_seconds: float | None
    status: str
    error: str
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A line of a transcript, in seconds from the start of the video."""

    start_seconds: float
    end_seconds: float
    text: str


@dataclass(frozen=True)
class Filters:
    """Which videos may answer. folder: where the file lies, or above; lengths in seconds; dates: of the file, epoch."""

    video_ids: frozenset[str] | None = None
    folder: str = ""
    min_length: float = 0
    max_length: float = math.inf
    newer_than: float = 0
    older_than: float = math.inf


class Answers:
    """The answers of one folder.

    videos: every video of the manifest by id. basis: sentences that say what the answers rest on. sources: those that
    can be asked here.
    """

    videos: Mapping[str, Video]
    basis: list[str]
    sources: tuple[str, ...]

    @classmethod
    def open(cls, directory: Path) -> Answers:
        """The folder of `mcn run`; `UserError` where nothing can be asked there."""
        answers = cls()
        answers.videos, answers.basis, answers.sources = {}, [], ()
        return answers

    def search(
        self,
        query: str,
        limit: int = 10,
        sources: Sequence[str] | None = None,
        filters: Filters = Filters(),
        one_per_video: bool = False,
    ) -> list[Answer]:
        """The best moments for a text, best first. sources: default: all that there are."""
        return []

    def more_like(
        self,
        video_id: str,
        start_seconds: float,
        end_seconds: float,
        limit: int = 10,
        filters: Filters = Filters(),
    ) -> list[Answer]:
        """Moments that look or sound like one of a video, without that one; `UserError` for an unknown video."""
        return []

    def by_picture(
        self,
        picture: Image,
        limit: int = 10,
        filters: Filters = Filters(),
    ) -> list[Answer]:
        """Moments that look like a picture; `UserError` where no encoder here takes pictures."""
        return []

    def transcript(self, video_id: str) -> list[Line]:
        """What is said in a video, in order; [] where nothing is known."""
        return []

    def map(self) -> list[tuple[str, float, float, float, float]]:
        """(video_id, start, end, x, y) of every window, x and y in 0..1: the two main directions of the vectors."""
        return []
