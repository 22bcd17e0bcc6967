"""Networks of tokens: parts of a clip and words of a text, embedded one by one, and a transformer over them.

Conventions
-----------
- A unit is an equal part of a clip or a word of a text. Zero rows are padding: parts without a feature, words that are
  not there.
- `UnitNetwork` (for frame-word similarity): every unit goes through the branch of the clustering network, words without
  the maximum over words; unit vectors are L2-normalised. The embedding of a clip or text is the mean of its units,
  L2-normalised: attention that is the same for all units. So a dot product of embeddings, which is what evaluation
  takes, is the mean similarity of units up to length.
- `FusionNetwork` (Shvetsova et al. 2022; `ninatu/everything_at_once` fusion_model.py, fusion_transformer.py): tokens
  are equal parts of a clip, averages of neighbouring ResDAVEnet columns, and words. Each goes through the branch of the
  clustering network and a layer norm. No positions, no class token. A set of modalities goes through the transformer
  together. The embedding of one modality is the mean of its output tokens through its own gated unit, L2-normalised;
  that of several modalities is the mean of theirs.
- `embed_video`, `embed_audio`, `embed_text` are sets of one modality. Evaluation adds them for `video + audio`, where
  the released code fuses them.
- Audio columns beyond the valid frames are padding too. Where all tokens are padding, the first stays: attention needs
  one, and what comes of it is for the caller to leave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.mcn import GatedEmbeddingUnit, MultimodalClusteringNetwork


class UnitNetwork(MultimodalClusteringNetwork):
    """`MultimodalClusteringNetwork` with embeddings of units; visual_units: parts of a clip."""

    def __init__(self, visual_units: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.visual_units = visual_units
        self.settings["visual_units"] = visual_units

    def video_units(self, features: Tensor) -> Tensor:
        """(B, U, video_width) -> (B, U, d)."""
        return F.normalize(self.GU_video(features), dim=-1)

    def word_units(self, words: Tensor) -> Tensor:
        """(B, W, word_width) -> (B, W, d)."""
        return F.normalize(
            self.GU_text_captions(self.text_pooling_caption.fc(words).relu()), dim=-1
        )

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, U, video_width), or (B, video_width) for a clip of one unit -> (B, d)."""
        features = features.unsqueeze(1) if features.dim() == 2 else features
        return mean_of_units(self.video_units(features), present(features))

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width) -> (B, d)."""
        return mean_of_units(self.word_units(words), present(words))


def present(rows: Tensor) -> Tensor:
    """(B, U, D) -> (B, U) bool: rows that are not padding."""
    return (rows != 0).any(dim=-1)


def mean_of_units(units: Tensor, there: Tensor) -> Tensor:
    """(B, U, d), (B, U) bool -> (B, d): L2-normalised mean of the units that are there; zeros without any."""
    return F.normalize((units * there.unsqueeze(-1).to(units.dtype)).sum(dim=1), dim=-1)


class Tokens(NamedTuple):
    """values (B, T, width); there (B, T) bool: not padding, at least one in every row."""

    values: Tensor
    there: Tensor


class FusionNetwork(MultimodalClusteringNetwork):
    """Branches of width `fusion_width`, transformer blocks, and a gated unit to `embedding_width` for each modality."""

    def __init__(
        self,
        embedding_width: int,
        visual_units: int,
        audio_columns_per_token: int,
        fusion_width: int,
        fusion_heads: int,
        fusion_mlp_ratio: float,
        fusion_layers: int,
        **settings: Any,
    ) -> None:
        super().__init__(embedding_width=fusion_width, **settings)
        self.settings |= {
            "embedding_width": embedding_width,
            "visual_units": visual_units,
            "audio_columns_per_token": audio_columns_per_token,
            "fusion_width": fusion_width,
            "fusion_heads": fusion_heads,
            "fusion_mlp_ratio": fusion_mlp_ratio,
            "fusion_layers": fusion_layers,
        }
        self.embedding_width, self.visual_units = embedding_width, visual_units
        self.audio_columns_per_token = audio_columns_per_token
        branches = {"video": self.has_video, "audio": self.has_audio, "text": self.has_text}
        modalities = [name for name, there in branches.items() if there]
        self.norms = nn.ModuleDict({name: nn.LayerNorm(fusion_width) for name in modalities})
        self.projections = nn.ModuleDict(
            {name: GatedEmbeddingUnit(fusion_width, embedding_width) for name in modalities}
        )
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                fusion_width,
                fusion_heads,
                round(fusion_mlp_ratio * fusion_width),
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(fusion_layers)
        )

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, U, video_width), or (B, video_width) for a clip of one unit -> (B, d)."""
        return self.fuse({"video": self.video_tokens(features)})

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """As the clustering network's."""
        return self.fuse({"audio": self.audio_tokens(log_mel, frames)})

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width) -> (B, d)."""
        return self.fuse({"text": self.word_tokens(words)})

    def video_tokens(self, features: Tensor) -> Tokens:
        """(B, U, video_width) or (B, video_width) -> a token each."""
        features = features.unsqueeze(1) if features.dim() == 2 else features
        return self._tokens("video", self.GU_video(features), present(features))

    def audio_tokens(self, log_mel: Tensor, frames: Tensor | None = None) -> Tokens:
        """(B, 40, T) -> a token every `audio_columns_per_token` columns; pooled vectors (B, audio_width) -> one."""
        if self.DAVEnet is None:
            pooled = self._pooled_audio(log_mel, frames).unsqueeze(1)
            return self._tokens("audio", self._gated_audio(pooled), present(pooled))
        size = self.audio_columns_per_token
        columns = F.avg_pool1d(self.DAVEnet(log_mel), size, ceil_mode=True).transpose(1, 2)
        there = torch.ones(columns.shape[:2], dtype=torch.bool, device=columns.device)
        if frames is not None:
            starts = torch.arange(columns.shape[1], device=columns.device) * size
            there = starts < (frames.to(columns.device) // self.DAVEnet.ratio).unsqueeze(1)
        return self._tokens("audio", self._gated_audio(columns), there)

    def word_tokens(self, words: Tensor) -> Tokens:
        """(B, W, word_width) -> a token each."""
        values = self.GU_text_captions(self.text_pooling_caption.fc(words).relu())
        return self._tokens("text", values, present(words))

    def fuse(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """Tokens of some modalities -> one embedding of them all, (B, d)."""
        values = torch.cat([one.values for one in tokens.values()], dim=1)
        there = torch.cat([one.there for one in tokens.values()], dim=1)
        for block in self.blocks:
            values = block(values, src_key_padding_mask=~there)
        parts = values.split([one.values.shape[1] for one in tokens.values()], dim=1)
        vectors = []
        for (name, one), part in zip(tokens.items(), parts, strict=True):
            weights = (one.there / one.there.sum(dim=1, keepdim=True)).to(part.dtype)
            mean = (part * weights.unsqueeze(-1)).sum(dim=1)
            vectors.append(F.normalize(self.projections[name](mean), dim=-1))
        return torch.stack(vectors).mean(dim=0)

    def _gated_audio(self, columns: Tensor) -> Tensor:
        return self.DAVEnet_projection(self.GU_audio(columns))

    def _tokens(self, modality: str, values: Tensor, there: Tensor) -> Tokens:
        first = torch.arange(there.shape[1], device=there.device) == 0
        there = there | (~there.any(dim=1, keepdim=True) & first)
        return Tokens(self.norms[modality](values), there)
