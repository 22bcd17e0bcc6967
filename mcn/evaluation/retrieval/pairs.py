"""A captioned set in a model's space, and its pairs of modalities: which items are ranked, their ranks and scores.

Conventions
-----------
- A side is a string of t (text), v (video), a (audio); its embedding is the sum of theirs, un-normalised (MCN
  train_tri_kmeans.py:422-426), or that of all at once, where the network joins modalities; `v+a` is then the sum of the
  single embeddings, of unit length (Everything at Once test.py). A pair `t->va` has captions as queries and video +
  audio of clips as gallery.
- Items of a side are captions where t is in it, clips otherwise. An item answers a query when both belong to one clip.
- A clip may have several captions. Each is a query of its own (`t->va`). As gallery they are told apart by
  `SEVERAL_CAPTIONS` = `best`: a clip's rank is that of its best-ranked caption among the captions of other clips.
- Missing modalities: see `EvaluationOptions.missing_modality`. Gallery items that lack one are not ranked; a query
  whose clip is not in the gallery is a mistake, or is dropped. Queries that a published file lacks are mistakes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Captions, read_captions
from mcn.evaluation.embed import Embedded, EvaluatedModel
from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.retrieval.full_video import FullVideoSet
from mcn.evaluation.retrieval.metrics import released_metrics
from mcn.evaluation.retrieval.places import Places
from mcn.evaluation.scores import undefined_as_none
from mcn.options.evaluation import MissingPolicy, RetrievalOptions
from mcn.shards.clips import unit_length

logger = logging.getLogger(__name__)

SEVERAL_CAPTIONS = "best"
YOUTUBE_ID = 11  # letters of an id
# the headline first; each pair in both directions
PAIRS = (
    *("t->va", "t->v", "t->a", "va->t", "v->t", "a->t"),
    *("v->a", "a->v", "ta->v", "v->ta", "tv->a", "a->tv"),
)
# of networks that join modalities: the sum of the single embeddings instead of the joined one
SUM_PAIRS = ("t->v+a", "v+a->t", "v->t+a", "t+a->v", "a->t+v", "t+v->a")


@dataclass(frozen=True)
class Side:
    """Items of one side of a pair: `vectors` (I, d), whether each can be used (I,), the clip of each (I,)."""

    vectors: np.ndarray
    usable: np.ndarray
    clip_of: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """One pair: item indices of `queries` (n,) and `gallery` (g,); each query's positives and place.

    `total`: the denominator.
    """

    queries: np.ndarray
    gallery: np.ndarray
    positives: list[list[int]]
    places: Places
    total: int

    @property
    def ranks(self) -> np.ndarray:
        """0-based ranks (n,), ties averaged."""
        return self.places.ranks

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

    def released(self, of_positions: bool) -> dict[str, float | None] | None:
        """The released code's numbers, for comparison; None unless every query has one right item."""
        if not len(self.queries) or any(len(found) != 1 for found in self.positives):
            return None
        return undefined_as_none(released_metrics(self.places, self.total, of_positions))

    def intervals(self, level: float, draws: int, seed: int) -> dict[str, tuple[float, float]]:
        """Bootstrap interval of every recall."""
        if not self.total:
            return {}
        return {
            f"R@{k}": retrieval.confidence_interval(self.ranks, k, self.total, level, draws, seed)
            for k in retrieval.RECALLS
        }

    def of_queries(self, chosen: np.ndarray, total: int) -> Ranking:
        """The same of some of the queries; chosen (n,) bool, total: their denominator."""
        positives = [found for found, one in zip(self.positives, chosen, strict=True) if one]
        places = Places(*(column[chosen] for column in self.places))
        return Ranking(self.queries[chosen], self.gallery, positives, places, total)


@dataclass(frozen=True)
class ClipEmbeddings:
    """A captioned set in the common space; `modalities`: letter -> captions' (t) or clips' (v, a) embeddings.

    joined: side of two letters -> embeddings of both at once, of captions where t is one, else of clips.
    together: letters that have no embedding but in a joined side, and no vectors here.
    video_letters: how many of the first letters of an id name the full video; None: all. device: that ranks.
    """

    captions: Captions
    modalities: Mapping[str, Embedded]
    policy: MissingPolicy
    published_total: int | None = None
    video_letters: int | None = None
    joined: Mapping[str, Embedded] = field(default_factory=dict)
    together: str = ""
    device: str = "cpu"

    @classmethod
    def of(cls, given: EvaluatedModel) -> ClipEmbeddings:
        """Every caption and clip of a set, in the modalities that the model embeds; the log counts what lacks one."""
        captions, options = read_captions(given.tables["captions"]), given.options
        assert isinstance(options, RetrievalOptions)
        given.require_videos([clip.video_id for clip in captions.clips])
        modalities = {}
        together = "".join(modality[0] for modality in given.model.only_joined)
        if "t" in together:
            modalities["t"] = given.present("t", captions.texts)
        elif "t" in given.letters:
            modalities["t"] = given.embed_text(captions.texts)
        if "v" in given.letters:
            modalities["v"] = given.embed_video(captions.clips)
        if "a" in together:
            modalities["a"] = given.present("a", captions.clips, options.audio_frames)
        elif "a" in given.letters:
            modalities["a"] = given.embed_audio(captions.clips, options.audio_frames)
        policy = options.missing_modality
        letters = YOUTUBE_ID if options.full_video_by == "youtube_id" else None
        joined = joined_sides(given, captions, set(modalities), options.audio_frames)
        total, device = options.published_total, str(given.device)
        found = cls(captions, modalities, policy, total, letters, joined, together, device)
        for reason, count in found.missing.items():
            logger.warning("%d without %s (policy: %s)", count, reason, policy)
        return found

    @property
    def pairs(self) -> list[str]:
        """Pairs whose modalities the model embeds."""
        every = (*PAIRS, *SUM_PAIRS) if self.joined else PAIRS
        return [pair for pair in every if all(map(self._embedded, pair.split("->")))]

    def _embedded(self, side: str) -> bool:
        """Whether the model embeds a side: as one, or the modalities of it."""
        letters = set(side) - {"+"}
        alone = not letters & set(self.together)
        return letters <= set(self.modalities) and (alone or side in self.joined)

    @property
    def left_out(self) -> list[str]:
        """Pairs that cannot be ranked: the model lacks one of their modalities."""
        return [pair for pair in PAIRS if pair not in self.pairs]

    @property
    def missing(self) -> dict[str, int]:
        """How many captions (text) or clips (video, audio) lack an embedding, by reason."""
        reasons = Counter(
            reason for one in self.modalities.values() for reason in one.reasons if reason
        )
        return dict(sorted(reasons.items()))

    def side(self, letters: str) -> Side:
        """The items of a side."""
        summed, letters = "+" in letters, letters.replace("+", "")
        clip_of = self.captions.clip_of if "t" in letters else np.arange(len(self.captions.clips))
        rows = {letter: slice(None) if letter == "t" else clip_of for letter in letters}
        parts = [self.modalities[letter].vectors[rows[letter]] for letter in letters]
        joined = letters in self.joined and not summed
        vectors = self._joined(letters) if joined else np.asarray(sum(parts))
        vectors = unit_length(vectors) if summed else vectors
        needed = "v" if letters == "va" and self.policy == "video_only" else letters
        usable = np.all(
            [self.modalities[letter].present[rows[letter]] for letter in needed], axis=0
        )
        return Side(vectors, usable, clip_of)

    def _joined(self, letters: str) -> np.ndarray:
        """The embeddings of a joined side; of va those of video alone where there is no sound."""
        one = self.joined[letters]
        if letters != "va":
            return one.vectors
        return np.where(one.present[:, None], one.vectors, self.modalities["v"].vectors)

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
        places = retrieval.places_from_embeddings(
            query_side.vectors[queries], gallery_side.vectors[gallery], positives, self.device
        )
        total = len(queries) if self.policy == "drop" else self._total(len(query_side.usable))
        return Ranking(queries, gallery, positives, places, total)

    def by_language(self, ranking: Ranking) -> dict[str, Ranking]:
        """The ranking of a pair `t->...` by the language of its captions, in the order of their codes.

        The denominator is the number of captions in the language, those that cannot be ranked included, unless they
        are dropped.
        """
        languages = np.array(self.captions.languages)
        found = {}
        for language in np.unique(languages).tolist():
            chosen = languages[ranking.queries] == language
            dropped = self.policy == "drop"
            total = chosen.sum() if dropped else (languages == language).sum()
            found[language] = ranking.of_queries(chosen, int(total))
        return found

    def _total(self, queries: int) -> int:
        """The denominator: the queries at hand, or those of the published set; `UserError` where that has fewer."""
        if self.published_total is not None and self.published_total < queries:
            got = f"{queries} queries, published_total {self.published_total}"
            raise UserError(got, "at most as many as were published", "correct published_total")
        return self.published_total or queries

    def full_video(self, pair: str) -> FullVideoSet:
        """The captions and clips of a pair `t->...` that can be ranked, with the videos that they belong to."""
        query_side, gallery_side = (self.side(letters) for letters in pair.split("->"))
        names, video_of = np.unique(
            [clip.video_id[: self.video_letters] for clip in self.captions.clips],
            return_inverse=True,
        )
        gallery, queries = np.flatnonzero(gallery_side.usable), np.flatnonzero(query_side.usable)
        clip_video = video_of[gallery_side.clip_of[gallery]]
        query_video = video_of[query_side.clip_of[queries]]
        ranked = np.isin(query_video, clip_video)
        drop = self.policy == "drop"
        return FullVideoSet(
            query_side.vectors[queries],
            gallery_side.vectors[gallery],
            query_video,
            clip_video,
            len(names),
            int(ranked.sum()) if drop else len(query_side.usable),
            len(np.unique(query_video[ranked])) if drop else len(names),
        )


def joined_sides(
    given: EvaluatedModel, captions: Captions, letters: set[str], audio_frames: int
) -> dict[str, Embedded]:
    """Every side of two modalities that a network joins; none of a network that does not."""
    if not given.model.joins:
        return {}
    found = {}
    for side in sorted({side for pair in PAIRS for side in pair.split("->") if len(side) > 1}):
        if side not in given.model.joins or not set(side) <= letters:
            continue
        if "t" in side:
            clips, texts = [captions.clips[clip] for clip in captions.clip_of], captions.texts
            found[side] = given.embed_joined(side, clips, texts, audio_frames)
        else:
            found[side] = given.embed_joined(side, captions.clips, None, audio_frames)
    return found
