"""One video, second by second: visual features and windows of sound.

Conventions
-----------
- Second i is [start + i, start + i + 1), `start` being the time of the first feature row; T is the number of seconds
  that the first visual feature covers.
- Every visual feature is adaptively max-pooled to T rows, each L2-normalised, then concatenated (MCN
  cvpr19_dataloader.py).
- The sound of a second is a window around its beginning, [t - w/2, t + w/2], moved inwards at the ends of the video.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.embed import Stores, absence
from mcn.shards.clips import values_of


def second_features(
    stores: Stores, names: Sequence[str], video_id: str
) -> tuple[np.ndarray, float] | str:
    """Features (T, D) float32 of one video, one row a second, and the time of its first; or the reason why not.

    T is the number of seconds that the first feature covers.
    """
    sequences = [stores[name][video_id] for name in names]
    for sequence in sequences:
        if sequence.values is None:
            return absence("video", sequence)
    starts = [sequence.start_seconds for sequence in sequences]
    if max(starts) - min(starts) > 0.5:
        raise UserError(
            f"{video_id}: {', '.join(names)} start at {starts} s",
            "features of one clock",
            "extract them from the same decoding",
        )
    seconds = max(1, round(len(values_of(sequences[0])) * sequences[0].step_seconds))
    pooled = [
        F.normalize(
            F.adaptive_max_pool1d(torch.tensor(values_of(one).T, dtype=torch.float32), seconds).T
        )
        for one in sequences
    ]
    return torch.cat(pooled, dim=1).numpy(), starts[0]


def second_windows(video_id: str, start: float, seconds: int, width: float) -> list[Moment]:
    """The stretch of sound of every second, `width` seconds long or as long as the video."""
    last = start + max(0.0, seconds - width)
    begins = np.clip(start + np.arange(seconds) - width / 2, start, last)
    return [Moment(video_id, float(begin), float(begin + min(width, seconds))) for begin in begins]
