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
from collections.abc import Sequence

import numpy as np

from mcn.errors import UserError
from mcn.layout import ModelShards
from mcn.options.objectives import Needs
from mcn.options.training import TrainingOptions
from mcn.shards import FeatureSequence
from mcn.shards.mapped import MappedFeatures, Narration
from mcn.training.data.clips import Video, enough
from mcn.training.data.collation import Batch, Collator, Widths
from mcn.training.data.sampling import batch_size, videos_of_step

logger = logging.getLogger(__name__)

EVERYTHING = Needs()
NAMES = {"video": "pictures", "audio": "sound"}
SHORTEST_OVERLAP_SECONDS = 0.05  # a line inside the streams by this much has a row of each


class TrainingSet:
    """Feature and text shards as batches.

    needs: of the objective. `videos`: ids used, in order of id; `excluded`: id -> reason. Nothing usable: `UserError`.
    """

    def __init__(
        self, shards: ModelShards, options: TrainingOptions, needs: Needs = EVERYTHING
    ) -> None:
        self.options, self.needs = options, needs
        self.video = {name: MappedFeatures(paths) for name, paths in shards.video.items()}
        self.audio = {name: MappedFeatures(paths) for name, paths in shards.audio.items()}
        self.text = {name: Narration(paths) for name, paths in shards.text.items()}
        self.log_mel = any(store.log_mel for store in self.audio.values())
        self.videos, self.excluded = self._select()
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
    def stores(self) -> dict[str, MappedFeatures | Narration]:
        """Every feature that is read, by its name."""
        return {**self.video, **self.audio, **self.text}

    @property
    def widths(self) -> Widths:
        """Of one clip's vectors."""
        audio = next(iter(self.audio.values()), None)
        return Widths([store.width for store in self.video.values()], audio.width if audio else 0)

    @property
    def fingerprint(self) -> dict[str, str]:
        """What identifies the content of every feature."""
        return {name: store.fingerprint for name, store in self.stores.items()}

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of a step; both count from 0."""
        options = self.options
        order = videos_of_step(len(self.videos), self.batch_videos, options.seed, epoch, step)
        rng = np.random.default_rng([options.seed, epoch, 1 + step])
        second = np.random.default_rng([options.seed, epoch, 1 + step, 1])
        size = len(order) * options.clips_per_video
        collator = Collator(size, self.widths, options, self.log_mel, self.needs)
        for index in order:
            collator.add(self._video(self.videos[index]), rng, second)
        return collator.batch()

    def _video(self, video_id: str) -> Video:
        lines = next((store.get(video_id) for store in self.text.values()), None)
        visual = tuple(_sequence(store, video_id) for store in self.video.values())
        audio = next((_sequence(store, video_id) for store in self.audio.values()), None)
        return Video(visual, audio, self.log_mel, lines)

    def _select(self) -> tuple[list[str], dict[str, str]]:
        """Ids of the videos that can be trained on, and the reason for every other one, ids sorted."""
        known = sorted(set[str]().union(*(store.status for store in self.stores.values())))
        reasons = {video_id: self._exclusion(video_id) for video_id in known}
        excluded = {video_id: reason for video_id, reason in reasons.items() if reason}
        return [video_id for video_id in known if video_id not in excluded], excluded

    def _exclusion(self, video_id: str) -> str:
        """Why a video cannot be trained on; empty where it can. A clip of it must be complete even under `keep`."""
        needs, strict = self.needs, self.options.empty_clips
        strict = "redraw" if strict == "keep" else strict
        spans, absent = {}, []
        for modality, stores in (("video", self.video), ("audio", self.audio)):
            reasons = [_absence(name, store, video_id) for name, store in stores.items()]
            absent += filter(None, reasons)
            if modality in needs.modalities and not any(reasons):
                spans[modality] = [store.span(video_id) for store in stores.values()]
        texts = ["text"] * ("text" in needs.modalities)
        if not enough([*spans, *texts], needs.modalities, strict):
            return absent[0]
        if needs.windows == "random":
            return ""
        for name, store in self.text.items():
            if reason := _absence(name, store, video_id):
                return reason
            starts, ends, tokens = store[video_id]
            for line in range(len(starts)):
                there = [
                    modality
                    for modality, found in spans.items()
                    if _overlaps(starts[line], ends[line], found)
                ]
                said = ["text"] * bool(tokens[line])
                if enough([*there, *said], needs.modalities, strict):
                    return ""
        words = " with a known word" if texts else ""
        places = " and ".join(NAMES[modality] for modality in spans)
        return f"no narration line{words} lies inside {places}"


def _sequence(store: MappedFeatures, video_id: str) -> FeatureSequence | None:
    return store[video_id] if store.status.get(video_id) == "ok" else None


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
