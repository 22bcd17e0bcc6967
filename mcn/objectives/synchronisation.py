"""AVTS: is the sound in time with the picture? (Korbar et al. 2018)

    L = 1/2 mean_i |v_i - a_i|^2
      + 1/2 [ (1 - h) mean_i max(m - |v_i - a_e(i)|, 0)^2  +  h mean_i max(m - |v_i - a'_i|, 0)^2 ]

- a_e(i): sound of another video of the batch (easy), the clip of the same place in the video before it; a'_i: sound of
  the same video, moved (hard). h is 0 in the first `easy_epochs` epochs (curriculum), then `hard_rate`: the expectation
  of drawing that share of hard negatives. m = 0.99 and 25 % hard are recalled, the rest is not verified.
- Embeddings are of unit length here, so that distances and the dot products of evaluation rank alike.
- Clips without room to move their sound have no hard negative; with one video there are no easy ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mcn.networks import EmbeddingNetwork
from mcn.objectives.objective import Objective, StepInputs
from mcn.options.pretexts import SynchronisationOptions


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
    return torch.arange(inputs.clips, device=inputs.video.device) if rows is None else rows


def false_rows(inputs: StepInputs) -> Tensor:
    """Indices of the clips that have pictures and sound, and whose sound `elsewhere` is of another video and there."""
    rows, heard = true_rows(inputs), inputs.rows_with("audio")
    if inputs.clips <= inputs.clips_per_video:
        return rows[:0]
    if heard is None:
        return rows
    before = torch.arange(inputs.clips, device=rows.device).roll(inputs.clips_per_video)
    return rows[torch.isin(before[rows], heard)]


def separation(distance: Tensor, margin: float) -> Tensor:
    """(R,) distances of negatives -> scalar: mean squared shortfall from the margin; 0 without any."""
    return (margin - distance).relu().square().mean() if len(distance) else distance.sum()


class SynchronisationObjective(Objective):
    """Aligned sound against sound of elsewhere."""

    options: SynchronisationOptions

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """video, audio, moved: (N, d)."""
        assert inputs.second is not None
        moved = network.embed_audio(inputs.second.audio, inputs.second.frames)
        return {**super().embed(network, inputs), "moved": moved}

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        options, video, audio = self.options, views["video"], views["audio"]
        assert inputs.second is not None
        here, other, room = true_rows(inputs), false_rows(inputs), inputs.second.rows_with("audio")
        hard = here if room is None else here[torch.isin(here, room)]
        rate = 0.0 if self.epochs_begun <= options.easy_epochs else options.hard_rate
        together = (video[here] - audio[here]).square().sum(dim=1)
        away = elsewhere(audio, inputs.clips_per_video)
        easy = separation(distances(video[other], away[other]), options.margin)
        moved = separation(distances(video[hard], views["moved"][hard]), options.margin)
        return {
            "aligned": (together.mean() if len(here) else together.sum()) / 2,
            "easy": (1 - rate) * easy / 2,
            "hard": rate * moved / 2,
        }
