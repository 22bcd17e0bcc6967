"""A network over the rows of one feature, for objectives that learn from their order in time alone.

    z_t = W2 relu(W1 norm(x_t) + b1) + b2          latent of row x_t; norm: layer norm over its numbers
    c   = context(z_1 .. z_T)                      none: c = z; gru: c_t of z_1 .. z_t; transformer: c_t of all rows

Conventions
-----------
- Rows (B, F, D) come from one feature of pictures or sound whose encoder stays as it is; zero rows pad behind the last.
- The embedding of a clip is the mean of the contexts of its rows, less `centre`, of unit length. Rows of a clip that
  are embedded apart (evaluation takes 1,024 at a time) have contexts of their own.
- Texts: the mean of a text's vectors, of unit length, less `text_centre`, times `text_map`, of unit length. Centres
  and map are fitted on the training set when training is done (`mcn.training.text_map`), never trained: a text then
  lies where the ridge regression from texts to clips puts it. Regression towards the examples keeps neighbours from
  gathering at a few points (Shigeto et al., ECML PKDD 2015).
- The transformer has sinusoidal positions, no dropout, and reads forwards and backwards; the GRU reads forwards.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.embedding import no_branch
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.networks.residual import mean_of_rows

LONGEST_PERIOD = 10_000.0  # of the positions, in rows


class SequenceNetwork(MultimodalClusteringNetwork):
    """Latents and contexts of the rows of one feature. word_width: numbers of a text's vector; None: no texts."""

    takes_frames = True
    text_centre: Tensor
    text_map: Tensor
    centre: Tensor

    def __init__(
        self,
        modality: str,
        row_width: int,
        word_width: int | None,
        embedding_width: int,
        context: str,
        layers: int = 1,
        heads: int = 4,
    ) -> None:
        super().__init__(None, None, embedding_width, None, None, None)
        video = modality == "video"
        self.settings = {
            "modality": modality,
            "row_width": row_width,
            "word_width": word_width,
            "embedding_width": embedding_width,
            "context": context,
            "layers": layers,
            "heads": heads,
        }
        self.video_widths = [row_width] if video else []
        self.sound_width = None if video else row_width
        self.has_video, self.has_audio, self.has_text = video, not video, word_width is not None
        width = embedding_width
        self.norm = nn.LayerNorm(row_width)
        self.latent = nn.Sequential(nn.Linear(row_width, width), nn.ReLU(), nn.Linear(width, width))
        self.recurrent = (
            nn.GRU(width, width, layers, batch_first=True) if context == "gru" else None
        )
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers if context == "transformer" else 0)
        )
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("text_centre", torch.zeros(word_width or 0))
        self.register_buffer("text_map", torch.zeros(word_width or 0, width))

    def latents(self, rows: Tensor) -> Tensor:
        """(B, F, D) -> (B, F, d)."""
        return self.latent(self.norm(rows))

    def contexts(self, latents: Tensor, there: Tensor) -> Tensor:
        """(B, F, d) latents, perhaps masked, and (B, F) bool, which of them are rows -> (B, F, d)."""
        if self.recurrent is not None:
            with torch.autocast(latents.device.type, enabled=False):
                return self.recurrent(latents.to(self.centre.dtype))[0]
        if not self.blocks:
            return latents
        first = torch.arange(there.shape[1], device=there.device) == 0
        padding = ~(there | first)  # attention needs one row
        values = latents + positions(latents)
        for block in self.blocks:
            values = block(values, src_key_padding_mask=padding)
        return values

    def mean_contexts(self, rows: Tensor) -> Tensor:
        """Clips of rows (B, F, D), zero rows pad -> the means of their contexts (B, d)."""
        return mean_of_rows(self.contexts(self.latents(rows), there_of(rows)), rows)

    def embed_rows(self, rows: Tensor) -> Tensor:
        """Clips of rows (B, F, D), zero rows pad -> (B, d) of unit length."""
        return F.normalize(self.mean_contexts(rows) - self.centre, dim=-1)

    def embed_frames(self, feature: int, rows: Tensor) -> Tensor:
        """The rows (n, D) of a clip in their order -> their contexts less the centre (n, d)."""
        if not self.has_video:
            raise no_branch("video")
        return self._contexts_of(rows)

    def embed_sounds(self, rows: Tensor) -> Tensor:
        """The rows (n, A) of a clip in their order -> their contexts less the centre (n, d)."""
        if not self.has_audio:
            raise no_branch("audio")
        return self._contexts_of(rows)

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, F, D), zero rows pad -> (B, d) of unit length."""
        if not self.has_video:
            raise no_branch("video")
        return self.embed_rows(features)

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """(B, F, A), zero rows pad -> (B, d) of unit length."""
        if not self.has_audio:
            raise no_branch("audio")
        return self.embed_rows(log_mel)

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d) of unit length."""
        if not self.has_text:
            raise no_branch("text")
        centred = mean_of_text(words) - self.text_centre
        return F.normalize(centred @ self.text_map, dim=-1)

    def _contexts_of(self, rows: Tensor) -> Tensor:
        there = torch.ones(1, len(rows), dtype=torch.bool, device=rows.device)
        return self.contexts(self.latents(rows[None]), there)[0] - self.centre


def there_of(rows: Tensor) -> Tensor:
    """(B, F, D) -> (B, F) bool: which are rows, and not padding."""
    return (rows != 0).any(dim=-1)


def mean_of_text(words: Tensor) -> Tensor:
    """(B, W, word_width), zero vectors pad -> (B, word_width): the direction of the mean vector, of unit length."""
    return F.normalize(words.sum(dim=1), dim=-1)


def positions(values: Tensor) -> Tensor:
    """(B, F, d) -> (F, d): sines and cosines of the row's number, periods from 2 pi to 2 pi LONGEST_PERIOD rows."""
    rows, width = values.shape[1:]
    half = (width + 1) // 2
    steps = torch.arange(half, device=values.device, dtype=values.dtype)
    rates = torch.exp(steps * (-math.log(LONGEST_PERIOD) / max(1, half - 1)))
    number = torch.arange(rows, device=values.device, dtype=values.dtype)
    angles = number.unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]
