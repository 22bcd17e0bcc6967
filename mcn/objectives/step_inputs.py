"""A batch where the network is: on its device, token ids as word vectors.

Conventions
-----------
- N clips, those of one video side by side. `present` has only the modalities that some clip lacks and that the policy
  `mask` leaves out; where it is empty, every clip counts with everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.options.objectives import MODALITIES
from mcn.training.data.collation import Batch


@dataclass(frozen=True)
class StepInputs:
    """video (N, D); audio (N, 40, T) dB or (N, A); words (N, W, word_width); word_ids (N, W).

    frames: (N,) valid log-mel frames, None where padding is not masked. present: modality -> (N,) bool. candidates
    (N, C, W, word_width) with `candidates_there` (N, C) bool; units (N, U, D); second: another clip for every clip.
    """

    video: Tensor
    audio: Tensor
    words: Tensor
    word_ids: Tensor
    clips_per_video: int
    frames: Tensor | None = None
    present: Mapping[str, Tensor] | None = None
    candidates: Tensor | None = None
    candidates_there: Tensor | None = None
    units: Tensor | None = None
    second: StepInputs | None = None

    @property
    def videos(self) -> Tensor:
        """(N,) int64: which of the batch's videos a clip is from."""
        return torch.arange(len(self.video), device=self.video.device) // self.clips_per_video

    def share(self, rows: slice) -> StepInputs:
        """The same of some rows: whole videos."""
        if rows == slice(0, len(self.video)):
            return self
        parts: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                parts[name] = value[rows]
            elif isinstance(value, StepInputs):
                parts[name] = value.share(rows)
        present = {name: row[rows] for name, row in (self.present or {}).items()}
        return replace(self, **parts, present=present)

    def rows_with(self, *modalities: str) -> Tensor | None:
        """(R,) indices of the clips that have all of them; None where that is every clip."""
        masks = [mask for name, mask in (self.present or {}).items() if name in modalities]
        return torch.stack(masks).all(dim=0).nonzero().squeeze(1) if masks else None


def step_inputs(
    batch: Batch,
    vocabulary: Tensor,
    device: torch.device | str,
    clips_per_video: int,
    mask_audio: bool = False,
    mask_absent: bool = False,
) -> StepInputs:
    """A batch on `device`. vocabulary: (V + 1, word_width); mask_absent: policy `mask` for what clips lack.

    Second clips always tell what they lack: a moved window may have no room.
    """
    move: dict[str, Any] = {"device": device, "non_blocking": True}
    audio = batch.audio.to(**move).float()
    if audio.dim() == 3:  # (N, frames, 40) as stored -> (N, 40, frames)
        audio = audio.transpose(1, 2).contiguous()
    ids = batch.words.to(**move)
    candidates = None if batch.candidates is None else batch.candidates.to(**move)
    absent = [
        name for name, row in zip(MODALITIES, batch.present.t(), strict=True) if not row.all()
    ]
    there = dict(zip(MODALITIES, batch.present.t(), strict=True))
    second = None
    if batch.second is not None:
        second = step_inputs(batch.second, vocabulary, device, clips_per_video, mask_audio, True)
    return StepInputs(
        batch.video.to(**move),
        audio,
        F.embedding(ids, vocabulary),
        ids,
        clips_per_video,
        batch.frames.to(**move) if mask_audio else None,
        {name: there[name].to(**move) for name in absent} if mask_absent else {},
        None if candidates is None else F.embedding(candidates, vocabulary),
        None if candidates is None else (candidates != 0).any(dim=-1),
        None if batch.units is None else batch.units.to(**move),
        second,
    )
