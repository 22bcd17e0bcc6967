"""What the objectives of sound and picture share: distances, and which clips have a true and a false sound."""

from __future__ import annotations

import torch
from torch import Tensor

from mcn.objectives.step_inputs import StepInputs


def distances(left: Tensor, right: Tensor) -> Tensor:
    """(R, d), (R, d) -> (R,) Euclidean distances, with a gradient of 0 where they are equal."""
    squared = (left - right).square().sum(dim=1)
    equal = squared == 0
    return squared.masked_fill(equal, 1.0).sqrt().masked_fill(equal, 0.0)


def elsewhere(audio: Tensor, clips_per_video: int) -> Tensor:
    """(N, d) -> (N, d): for every clip the sound of the clip of the same place in the video before it."""
    return audio.roll(clips_per_video, dims=0)


def true_rows(inputs: StepInputs) -> Tensor:
    """Indices of the clips that have pictures and sound."""
    rows = inputs.rows_with("video", "audio")
    return torch.arange(len(inputs.video), device=inputs.video.device) if rows is None else rows


def false_rows(inputs: StepInputs) -> Tensor:
    """Indices of the clips that have pictures and sound, and whose sound `elsewhere` is of another video and there."""
    rows, heard = true_rows(inputs), inputs.rows_with("audio")
    if len(inputs.video) <= inputs.clips_per_video:
        return rows[:0]
    if heard is None:
        return rows
    before = torch.arange(len(inputs.video), device=rows.device).roll(inputs.clips_per_video)
    return rows[torch.isin(before[rows], heard)]
