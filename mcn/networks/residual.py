"""A head on a frozen pair that is the frozen pair before its first step: residual maps that start at zero.

    picture of a frame x:  v = unit( p(x) + W2 relu(W1 unit(x) + b1) + b2 ),   W2 = 0, b2 = 0 at the start
    sound of a row x:      the same with weights of its own
    text t:                unit( t + W2 relu(W1 t + b1) + b2 ),                t = the pair's vector of the text

Conventions
-----------
- p(x) is the pair's own vector of the row (`mcn.networks.frozen`), and the map beside it reads the encoder's row, of
  unit length: of a classifier under `conse` that is more than the pair's vector holds. unit(x): x over its length.
- Clips are means of their rows as in the pair, so a network without a step of training gives the pair's scores up to
  rounding, and what training changes can be seen against it. The pair's own rows are buffers: nothing trains them.
- Source: bottleneck adapters with a residual connection on CLIP (Gao et al., CLIP-Adapter, IJCV 2024), whose mixing
  weight is left out here for maps that start at zero, as residual branches do in ReZero (Bachlechner et al., UAI 2021).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.embedding import no_branch
from mcn.networks.frozen import FrozenPair
from mcn.networks.mcn import Embeddings, MultimodalClusteringNetwork


def residual_map(width_in: int, hidden: int, width_out: int) -> nn.Sequential:
    """(n, width_in) -> (n, width_out), all zeros until it is trained."""
    last = nn.Linear(hidden, width_out)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width_in, hidden), nn.ReLU(), last)


class ResidualPair(MultimodalClusteringNetwork):
    """A frozen pair with a map beside each of its encoders. hidden: units of a map; pair: settings of the pair.

    Clips reach `embed_video` and `embed_audio` as rows (B, F, widths of the features side by side), zero rows pad.
    """

    takes_frames = True

    def __init__(self, hidden: int, **pair: Any) -> None:
        width, sound = pair["word_width"], pair.get("sound_width")
        super().__init__(None, None, width, None, None, None)
        self.pair = FrozenPair(**pair)
        self.settings = {"hidden": hidden, **self.pair.settings}
        self.separate = self.pair.separate
        self.video_widths, self.sound_width = self.pair.video_widths, sound
        self.has_video, self.has_audio, self.has_text = (
            bool(self.video_widths),
            sound is not None,
            True,
        )
        self.seen = nn.ModuleList(residual_map(one, hidden, width) for one in self.video_widths)
        self.heard = None if sound is None else residual_map(sound, hidden, width)
        self.said = residual_map(width, hidden, width)

    def embed_frames(self, feature: int, rows: Tensor) -> Tensor:
        """Rows (..., D) of the video feature of this number -> (..., d) of unit length."""
        flat = rows.flatten(0, -2)  # the classifier of `conse` takes two dimensions
        base = self.pair.embed_frames(feature, flat)
        moved = F.normalize(base + self.seen[feature](F.normalize(flat, dim=-1)), dim=-1)
        return moved.view(*rows.shape[:-1], -1)

    def embed_sounds(self, rows: Tensor) -> Tensor:
        """Rows (..., A) of the audio feature -> (..., d) of unit length."""
        if self.heard is None:
            raise no_branch("audio")
        base = self.pair.embed_sounds(rows)
        return F.normalize(base + self.heard(base), dim=-1)

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, F, video widths side by side), zero rows pad -> (B, d) of unit length."""
        if not self.has_video:
            raise no_branch("video")
        parts = features.split(list(self.video_widths), dim=-1)
        means = [
            mean_of_rows(self.embed_frames(number, part), part) for number, part in enumerate(parts)
        ]
        if self.separate:
            means = [F.normalize(one, dim=-1) for one in means]
        return F.normalize(torch.stack(means).mean(dim=0), dim=-1)

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """(B, F, A) rows of the audio feature, zero rows pad -> (B, d) of unit length."""
        return F.normalize(mean_of_rows(self.embed_sounds(log_mel), log_mel), dim=-1)

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d) of unit length."""
        base = self.pair.embed_text(words)
        return F.normalize(base + self.said(base), dim=-1)

    def forward(
        self, video: Tensor, audio: Tensor, text: Tensor, frames: Tensor | None = None
    ) -> Embeddings:
        """Embed one batch of all modalities there are branches for; nothing is reconstructed."""
        return Embeddings(
            self.embed_video(video) if self.has_video else None,
            self.embed_audio(audio) if self.has_audio else None,
            self.embed_text(text),
            inputs={},
        )


def mean_of_rows(vectors: Tensor, rows: Tensor) -> Tensor:
    """(B, F, d) vectors of rows (B, F, D) -> (B, d): the mean over rows that are not zero; zeros without any."""
    there = (rows != 0).any(dim=-1, keepdim=True).to(vectors.dtype)
    return (vectors * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
