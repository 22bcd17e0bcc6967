"""Full-video retrieval: find the video that a caption, or all captions of a video, were taken from.

Conventions
-----------
- `queries` (Q, D) are captions, `gallery` (G, D) clips; `query_video` (Q,) and `clip_video` (G,) are the videos that
  they belong to, 0 .. V - 1. Scores are dot products, as in `mcn.evaluation.retrieval.metrics`, computed in blocks of
  captions; what is kept is (V, V) sums and ten best a caption.
- A video is asked for when it has a caption; it can be found when it has a clip in the gallery. `total_videos` is the
  denominator of the protocols whose query is a video, `total_captions` that of the other. What is asked for and cannot
  be found counts as an error. `n` is the number of queries that could be ranked.
- Ties of videos share the mean of their places, as everywhere; votes may be ordered as the released program orders
  them (`released_ties`: numpy's argsort of the counts of the videos that were named). The ten best of a caption are cut
  in gallery order where scores are equal.

Protocols (MCN video_evaluation.py)
---------
- `single_caption`: the clips are ranked for one caption; R@k counts captions with a clip of their video among the first
  k clips (not videos).
- `all_captions`: a caption's score of a video is its best clip's, a video's score for a query video the mean over that
  one's captions.
- `vote_of_videos`: every caption names its k best videos; R@k counts query videos among the k most named.
- `vote_of_clips`: every caption names the videos of its k best clips, a video as often as it has clips among them.
- `caption_average`: every caption names the video of its best clip, and the videos are ranked by how often they were
  named, whatever k is (Norton's "Cap. Avg.": the video with most matched clips).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.retrieval.metrics import RECALLS
from mcn.evaluation.retrieval.places import Places
from mcn.evaluation.scores import Gallery, block_rows

BEST = max(RECALLS)


@dataclass(frozen=True)
class FullVideoSet:
    """Captions and clips of V videos that can be ranked; see Conventions."""

    queries: np.ndarray
    gallery: np.ndarray
    query_video: np.ndarray
    clip_video: np.ndarray
    videos: int
    total_captions: int
    total_videos: int


@dataclass(frozen=True)
class _CaptionScores:
    """`sums` (V, V): best scores of a query video's captions in each video; the ten best of a caption (Q, <= 10)."""

    sums: np.ndarray
    best_videos: np.ndarray
    best_clips: np.ndarray


def applies(clip_video: np.ndarray) -> bool:
    """Whether there are two videos or more, and one of them has several clips."""
    return len(np.unique(clip_video)) > 1 and len(np.unique(clip_video)) < len(clip_video)


def evaluate(given: FullVideoSet, released_ties: bool = False) -> dict[str, dict[str, float]]:
    """Protocol -> R@1, R@5, R@10 (percent), n, total; MedR and MeanR too where the ranking is the same for every k."""
    vote = _released_vote if released_ties else _vote
    findable = np.zeros(given.videos, bool)
    findable[given.clip_video] = True
    asked = np.flatnonzero(np.bincount(given.query_video, minlength=given.videos) > 0)
    asked = asked[findable[asked]]
    found = {
        "single_caption": retrieval.metrics(_single_caption(given, findable), given.total_captions)
    }
    scores = _score_captions(given)
    columns = np.flatnonzero(findable)
    own = np.searchsorted(columns, asked).tolist()
    # of one query video's captions the sum ranks as the mean does
    found["all_captions"] = _ranked(scores.sums[np.ix_(asked, columns)], own, given.total_videos)
    for name, best in (
        ("vote_of_videos", scores.best_videos),
        ("vote_of_clips", scores.best_clips),
    ):
        places = {k: vote(given, best[:, :k], asked) for k in RECALLS}
        found[name] = _voted(places, len(asked), given.total_videos)
    named = _votes(given, scores.best_clips[:, :1])[np.ix_(asked, columns)]
    found["caption_average"] = _ranked(named, own, given.total_videos)
    return found


def chance(given: FullVideoSet) -> dict[str, dict[str, float]]:
    """Expectation over random orders, exact, of the two protocols that have one: single_caption, all_captions."""
    clips = np.bincount(given.clip_video, minlength=given.videos)
    per_query = clips[given.query_video]
    per_query = per_query[per_query > 0]
    findable = int((clips > 0).sum())
    asked = len(np.unique(given.query_video[clips[given.query_video] > 0]))
    return {
        "single_caption": retrieval.chance(len(given.gallery), given.total_captions, per_query),
        "all_captions": retrieval.chance(findable, given.total_videos, [1] * asked),
    }


def _single_caption(given: FullVideoSet, findable: np.ndarray) -> np.ndarray:
    """0-based ranks of the captions whose video can be found."""
    clips = [np.flatnonzero(given.clip_video == video).tolist() for video in range(given.videos)]
    ranked = np.flatnonzero(findable[given.query_video])
    positives = [clips[video] for video in given.query_video[ranked]]
    return retrieval.places_from_embeddings(given.queries[ranked], given.gallery, positives).ranks


def _score_captions(given: FullVideoSet) -> _CaptionScores:
    order = np.argsort(given.clip_video, kind="stable")
    present, starts = np.unique(given.clip_video[order], return_index=True)
    sums = np.zeros((given.videos, given.videos))
    best_videos, best_clips = [], []
    gallery = Gallery(given.gallery)
    step = block_rows(len(given.gallery))
    for at in range(0, len(given.queries), step):
        block = slice(at, at + step)
        scores = gallery.scores(given.queries[block])
        of_videos = np.maximum.reduceat(scores[:, order], starts, axis=1)
        rows = np.zeros((len(scores), given.videos))
        rows[:, present] = of_videos
        np.add.at(sums, given.query_video[block], rows)
        best_videos.append(present[np.argsort(-of_videos, axis=1, kind="stable")[:, :BEST]])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :BEST]
        best_clips.append(given.clip_video[best])
    return _CaptionScores(sums, np.concatenate(best_videos), np.concatenate(best_clips))


def _votes(given: FullVideoSet, named: np.ndarray) -> np.ndarray:
    """How often the captions of each query video named each video: (Q, k) video ids -> (V, V)."""
    votes = np.zeros((given.videos, given.videos))
    np.add.at(votes, (np.repeat(given.query_video, named.shape[1]), named.ravel()), 1)
    return votes


def _vote(given: FullVideoSet, named: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """0-based place (A,) of each query video among the videos named, infinite where it was not named."""
    votes = _votes(given, named)[asked]
    own = votes[np.arange(len(asked)), asked]
    higher = (votes > own[:, None]).sum(axis=1)
    same = (votes == own[:, None]).sum(axis=1) - 1
    return np.where(own > 0, Places(higher, same).ranks, np.inf)


def _released_vote(given: FullVideoSet, named: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """0-based place (A,) of each query video in the released program's order, infinite where it was not named."""
    places = np.full(len(asked), np.inf)
    for row, video in enumerate(asked):
        videos, counts = np.unique(named[given.query_video == video], return_counts=True)
        own = np.flatnonzero(videos[np.argsort(counts)][::-1] == video)
        if len(own):
            places[row] = own[0]
    return places


def _voted(places: dict[int, np.ndarray], asked: int, total: int) -> dict[str, float]:
    hits = {k: int(retrieval.hits(found, k).sum()) for k, found in places.items()}
    return {
        **{f"R@{k}": 100.0 * count / total for k, count in hits.items()},
        "n": asked,
        "total": total,
    }


def _ranked(scores: np.ndarray, own: list[int], total: int) -> dict[str, float]:
    return retrieval.metrics(retrieval.ranks(scores, own), total)
