"""Training batches: which videos are used, and the batch of a step.

Conventions
-----------
- A video is used when its status is ok in every stream that the model reads and at least one narration line with an
  in-vocabulary word lies inside them; every other video is in `TrainingSet.excluded` with its reason.
- What step `step` of epoch `epoch` sees depends on (seed, epoch, step), the options and the data alone, not on
  worker processes or on earlier steps: a resumed run draws what an undisturbed one would have drawn.
- The released loader (MCN youtube_dataloader.py) draws lines with replacement, keeps clips without words or features
  as zero vectors and, on old PyTorch, gave all workers the same random numbers; the first two are options here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcn.collation import VISUAL, Batch, Collator, Video
from mcn.errors import UserError
from mcn.mapped import MappedFeatures, Narration
from mcn.sampling import batch_size, videos_of_step
from mcn.training_options import TrainingOptions

logger = logging.getLogger(__name__)

SHORTEST_OVERLAP_SECONDS = 0.05  # a line inside the streams by this much has a row of each


class TrainingSet:
    """Feature and text shards as batches.

    stores: paths of the shards of `resnet152`, `resnext101`, `audio` (log-mel, or davenet where `log_mel` is false)
    and `word2vec`. `videos`: ids used, in order of id; `excluded`: id -> reason. Nothing usable: `UserError`.
    """

    def __init__(
        self, stores: Mapping[str, Sequence[Path]], options: TrainingOptions, log_mel: bool
    ) -> None:
        self.options, self.log_mel = options, log_mel
        self.features = {name: MappedFeatures(stores[name]) for name in (*VISUAL, "audio")}
        self.narration = Narration(stores["word2vec"])
        self.videos, self.excluded = select_videos(self.features, self.narration)
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
        widths = {name: store.width for name, store in self.features.items()}
        size = len(order) * options.clips_per_video
        collator = Collator(size, widths, options, self.log_mel)
        for index in order:
            collator.add(self._video(self.videos[index]), rng)
        return collator.batch()

    def _video(self, video_id: str) -> Video:
        return Video(
            tuple(self.features[name][video_id] for name in VISUAL),
            self.features["audio"][video_id],
            self.log_mel,
            self.narration[video_id],
        )


def select_videos(
    features: Mapping[str, MappedFeatures], narration: Narration
) -> tuple[list[str], dict[str, str]]:
    """Ids of the videos that can be trained on, and the reason for every other one, ids sorted."""
    known = sorted({*narration.status}.union(*features.values()))
    excluded = {}
    for video_id in known:
        reason = _exclusion(video_id, features, narration)
        if reason:
            excluded[video_id] = reason
    return [video_id for video_id in known if video_id not in excluded], excluded


def _exclusion(
    video_id: str, features: Mapping[str, MappedFeatures], narration: Narration
) -> str | None:
    streams: dict[str, MappedFeatures | Narration] = {**features, "word2vec": narration}
    for name, store in streams.items():
        status = store.status.get(video_id, "no row in the shards")
        if status != "ok":
            return f"{name} {status} ({store.errors.get(video_id, '').partition(':')[0] or '-'})"
    spans = [store.span(video_id) for store in features.values()]
    start, end = max(span[0] for span in spans), min(span[1] for span in spans)
    starts, ends, tokens = narration[video_id]
    for line in range(len(starts)):
        overlap = min(ends[line], end) - max(starts[line], start)
        if overlap >= SHORTEST_OVERLAP_SECONDS and tokens[line]:
            return None
    return "no narration line with a known word lies inside pictures and sound"
