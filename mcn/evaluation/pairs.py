"""Every pair of modalities of one captioned set: which items can be ranked, their ranks, their scores.

Conventions
-----------
- A side is a string of t (text), v (video), a (audio); its embedding is the sum of theirs, un-normalised (MCN
  train_tri_kmeans.py:422-426). A pair `t->va` has captions as queries and video + audio of clips as gallery.
- Items of a side are captions where t is in it, clips otherwise. An item answers a query when both belong to one clip.
- Missing modalities: see `EvaluationOptions.missing_modality`. Gallery items that lack one are not ranked; a query
  whose clip is not in the gallery is a mistake, or is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcn.evaluation import retrieval
from mcn.evaluation.annotations import Captions
from mcn.evaluation.embed import Embedded
from mcn.evaluation.options import MissingPolicy

# the headline first; each pair in both directions
PAIRS = (
    *("t->va", "t->v", "t->a", "va->t", "v->t", "a->t"),
    *("v->a", "a->v", "ta->v", "v->ta", "tv->a", "a->tv"),
)


@dataclass(frozen=True)
class Side:
    """Items of one side of a pair: `vectors` (I, d), whether each can be used (I,), the clip of each (I,)."""

    vectors: np.ndarray
    usable: np.ndarray
    clip_of: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """One pair: item indices of `queries` (n,) and `gallery` (g,); 0-based `ranks` (n,); per query its positives.

    `total`: the denominator.
    """

    queries: np.ndarray
    gallery: np.ndarray
    positives: list[list[int]]
    ranks: np.ndarray
    total: int

    @property
    def scores(self) -> dict[str, float | None]:
        """Metrics; None where undefined."""
        if not self.total:
            names = [*(f"R@{k}" for k in retrieval.RECALLS), "MedR", "MeanR"]
            return {**dict.fromkeys(names), "n": 0, "total": 0}
        return undefined_as_none(retrieval.metrics(self.ranks, self.total))

    @property
    def chance(self) -> dict[str, float | None]:
        """Expected metrics of a random order of the same gallery."""
        if not len(self.queries):
            return self.scores
        counts = [len(found) for found in self.positives]
        return dict(retrieval.chance(len(self.gallery), self.total, counts))

    def intervals(self, level: float, draws: int, seed: int) -> dict[str, tuple[float, float]]:
        """Bootstrap interval of every recall."""
        if not self.total:
            return {}
        return {
            f"R@{k}": retrieval.confidence_interval(self.ranks, k, self.total, level, draws, seed)
            for k in retrieval.RECALLS
        }


@dataclass(frozen=True)
class ClipEmbeddings:
    """A captioned set in the common space; `modalities`: letter -> captions' (t) or clips' (v, a) embeddings."""

    captions: Captions
    modalities: Mapping[str, Embedded]
    policy: MissingPolicy

    @property
    def pairs(self) -> list[str]:
        """Pairs that the model has branches for."""
        return [pair for pair in PAIRS if set(pair) - set("->") <= set(self.modalities)]

    @property
    def missing(self) -> dict[str, int]:
        """How many captions (text) or clips (video, audio) lack an embedding, by reason."""
        reasons = Counter(
            reason for one in self.modalities.values() for reason in one.reasons if reason
        )
        return dict(sorted(reasons.items()))

    def side(self, letters: str) -> Side:
        """The items of a side."""
        clip_of = self.captions.clip_of if "t" in letters else np.arange(len(self.captions.clips))
        rows = {letter: slice(None) if letter == "t" else clip_of for letter in letters}
        vectors = sum(self.modalities[letter].vectors[rows[letter]] for letter in letters)
        needed = "v" if letters == "va" and self.policy == "video_only" else letters
        usable = np.all(
            [self.modalities[letter].present[rows[letter]] for letter in needed], axis=0
        )
        return Side(np.asarray(vectors), usable, clip_of)

    def rank(self, pair: str) -> Ranking:
        """Rank the gallery of a pair for every query that can be ranked."""
        query_side, gallery_side = (self.side(letters) for letters in pair.split("->"))
        gallery = np.flatnonzero(gallery_side.usable)
        answers: dict[int, list[int]] = {}
        for position, clip in enumerate(gallery_side.clip_of[gallery]):
            answers.setdefault(int(clip), []).append(position)
        found = [answers.get(int(clip), []) for clip in query_side.clip_of]
        queries = np.flatnonzero(query_side.usable & np.array([bool(one) for one in found]))
        positives = [found[query] for query in queries]
        ranks = retrieval.ranks_from_embeddings(
            query_side.vectors[queries], gallery_side.vectors[gallery], positives
        )
        total = len(queries) if self.policy == "drop" else len(query_side.usable)
        return Ranking(queries, gallery, positives, ranks, total)


def undefined_as_none(scores: Mapping[str, float]) -> dict[str, float | None]:
    """NaN as None, which JSON can hold."""
    return {name: None if np.isnan(value) else value for name, value in scores.items()}
