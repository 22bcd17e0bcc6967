"""Training batches: which videos are used, and the batch of a step.

Conventions
-----------
- A video is used when its status is ok in every stream that the objective needs and at least one narration line with
  an in-vocabulary word lies inside them; under `empty_clips: mask` two of its modalities are enough, and an objective
  of random windows needs no narration. Every other video is in `TrainingSet.excluded` with its reason.
- What step `step` of epoch `epoch` sees depends on (seed, epoch, step), the options and the data alone, not on
  worker processes or on earlier steps: a resumed run draws what an undisturbed one would have drawn.
- Random numbers: [seed, epoch, 1 + step] draws the clips, [seed, epoch, 1 + step, 1] the second clips.
- The released loader (MCN youtube_dataloader.py) draws lines with replacement, keeps clips without words or features
  as zero vectors and, on old PyTorch, gave all workers the same random numbers; the first two are options here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcn.errors import UserError
from mcn.options.objectives import Needs
from mcn.options.training import TrainingOptions
from mcn.shards import FeatureSequence
from mcn.shards.mapped import MappedFeatures, Narration
from mcn.training.data.clips import Video, enough
from mcn.training.data.collation import VISUAL, Batch, Collator
from mcn.training.data.sampling import batch_size, videos_of_step

logger = logging.getLogger(__name__)

STREAMS = {"video": VISUAL, "audio": ("audio",)}  # of a modality
EVERYTHING = Needs()
NAMES = {"video": "pictures", "audio": "sound"}
SHORTEST_OVERLAP_SECONDS = 0.05  # a line inside the streams by this much has a row of each


class TrainingSet:
    """Feature and text shards as batches.

    stores: paths of the shards of `resnet152`, `resnext101`, `audio` (log-mel, or davenet where `log_mel` is false)
    and `word2vec`. needs: of the objective. `videos`: ids used, in order of id; `excluded`: id -> reason.
    Nothing usable: `UserError`.
    """

    def __init__(
        self,
        stores: Mapping[str, Sequence[Path]],
        options: TrainingOptions,
        log_mel: bool,
        needs: Needs = EVERYTHING,
    ) -> None:
        self.options, self.log_mel, self.needs = options, log_mel, needs
        self.features = {name: MappedFeatures(stores[name]) for name in (*VISUAL, "audio")}
        self.narration = Narration(stores["word2vec"])
        self.videos, self.excluded = select_videos(
            self.features, self.narration, needs, options.empty_clips
        )
        for reason, count in sorted(Counter(self.excluded.values()).items()):
            logger.warning("%d videos are not trained on: %s", count, reason)
        if not self.videos:
            counts = ", ".join(f"{n} {why}" for why, n in Counter(self.excluded.values()).items())
            raise UserError(
                f"no video to train on ({counts or 'the shards are empty'})",
                "videos with pictures, sound and narration with known words",
                "give the manifest a narration column, or mend what the ledger names",
            )
        self.batch_videos = batch_size(len(self.videos), options)
        self.steps_per_epoch = max(1, len(self.videos) // self.batch_videos)

    @property
    def video_width(self) -> int:
        """Width of the visual clip vector."""
        return sum(self.features[name].width for name in VISUAL)

    @property
    def fingerprint(self) -> dict[str, str]:
        """What identifies the content of every stream."""
        streams = {name: store.fingerprint for name, store in self.features.items()}
        return {**streams, "word2vec": self.narration.fingerprint}

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of a step; both count from 0."""
        options = self.options
        order = videos_of_step(len(self.videos), self.batch_videos, options.seed, epoch, step)
        rng = np.random.default_rng([options.seed, epoch, 1 + step])
        second = np.random.default_rng([options.seed, epoch, 1 + step, 1])
        widths = {name: store.width for name, store in self.features.items()}
        size = len(order) * options.clips_per_video
        collator = Collator(size, widths, options, self.log_mel, self.needs)
        for index in order:
            collator.add(self._video(self.videos[index]), rng, second)
        return collator.batch()

    def _video(self, video_id: str) -> Video:
        lines = self.narration.get(video_id)
        visual = tuple(self._sequence(name, video_id) for name in VISUAL)
        return Video(visual, self._sequence("audio", video_id), self.log_mel, lines)

    def _sequence(self, name: str, video_id: str) -> FeatureSequence | None:
        store = self.features[name]
        return store[video_id] if store.status.get(video_id) == "ok" else None


def select_videos(
    features: Mapping[str, MappedFeatures], narration: Narration, needs: Needs, policy: str
) -> tuple[list[str], dict[str, str]]:
    """Ids of the videos that can be trained on, and the reason for every other one, ids sorted."""
    known = sorted({*narration.status}.union(*features.values()))
    excluded = {}
    for video_id in known:
        reason = _exclusion(video_id, features, narration, needs, policy)
        if reason:
            excluded[video_id] = reason
    return [video_id for video_id in known if video_id not in excluded], excluded


def _exclusion(
    video_id: str,
    features: Mapping[str, MappedFeatures],
    narration: Narration,
    needs: Needs,
    policy: str,
) -> str | None:
    absent = {
        name: reason
        for name, store in features.items()
        if (reason := _absence(name, store, video_id))
    }
    lost = {
        modality for modality, names in STREAMS.items() if any(name in absent for name in names)
    }
    left = [modality for modality in needs.modalities if modality not in lost]
    if not enough(left, needs.modalities, _strict(policy)):
        return next(iter(absent.values()))
    if needs.windows == "random":
        return None
    unspoken = _absence("word2vec", narration, video_id)
    if unspoken:
        return unspoken
    spans = {
        modality: [features[name].span(video_id) for name in STREAMS[modality]]
        for modality in left
        if modality in STREAMS
    }
    starts, ends, tokens = narration[video_id]
    for line in range(len(starts)):
        there = [
            modality
            for modality, found in spans.items()
            if _overlaps(starts[line], ends[line], found)
        ]
        if enough([*there, *["text"] * bool(tokens[line])], needs.modalities, _strict(policy)):
            return None
    words = " with a known word" if "text" in left else ""
    return f"no narration line{words} lies inside {' and '.join(NAMES[modality] for modality in spans)}"


def _strict(policy: str) -> str:
    """A video must hold one clip that is no zero vector, also where others are kept."""
    return "redraw" if policy == "keep" else policy


def _absence(name: str, store: MappedFeatures | Narration, video_id: str) -> str:
    """Why a video has nothing in a store; empty where it has."""
    status = store.status.get(video_id, "no row in the shards")
    if status == "ok":
        return ""
    return f"{name} {status} ({store.errors.get(video_id, '').partition(':')[0] or '-'})"


def _overlaps(start: float, end: float, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether a line lies inside all spans by enough to have a row of each."""
    first, last = max(span[0] for span in spans), min(span[1] for span in spans)
    return min(end, last) - max(start, first) >= SHORTEST_OVERLAP_SECONDS
