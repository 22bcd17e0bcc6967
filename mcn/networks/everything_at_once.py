"""The network of Everything at Once as released: tokens of a clip, and a transformer that joins any modalities of it.

Conventions
-----------
- Tokens: rows of a clip's visual features (see `mcn.shards.clips.row_tokens`), columns of a ResDAVEnet of six stages
  (64 frames of log-mel each), words. Each goes through a gated unit to `fusion_width` and a layer norm. There are no
  positions and no class token.
- Zero rows pad; a column with a valid frame counts. A modality without any token of a clip is one learned token.
- Some modalities of a clip go through the transformer together: attention over the tokens that are there, before it and
  before the perceptron a layer norm, both added to what came in. The embedding of a modality is the mean of its output
  tokens through a gated unit, of unit length; that of several modalities is the mean of theirs.
- Layer norms have eps 1e-6. Linear maps of the transformer are drawn from a normal distribution of deviation 0.02, cut
  at +-2, with biases 0.
- Source: Shvetsova et al. 2022 as released in `ninatu/everything_at_once` (fusion_model.py, fusion_transformer.py,
  layers.py). Parameter names are those of its checkpoints (`DAVEnet` there is `davenet`), `fusion.norm` included, which
  no computation uses and which is therefore frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.davenet import ResDavenet
from mcn.networks.embedding import EmbeddingNetwork, no_branch
from mcn.networks.fusion import Tokens, present
from mcn.networks.mcn import GatedEmbeddingUnit

EPS = 1e-6


class Attention(nn.Module):
    """Several heads over the tokens that are there; (B, T, D), (B, T) bool -> (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts
        mask = there[:, None, None, :]
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.proj(found.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Two linear maps with GELU between them; (..., D) -> (..., D)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class FusionBlock(nn.Module):
    """Attention and perceptron, each after a layer norm and added to its input; (B, T, D), (B, T) -> (B, T, D)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attn = Attention(width, heads)
        self.mlp = Perceptron(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), there)
        return x + self.mlp(self.norm2(x))


class FusionTransformer(nn.Module):
    """Blocks over the tokens of some modalities of each clip, and the token of a modality that a clip lacks."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, layers: int) -> None:
        super().__init__()
        self.masking_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(FusionBlock(width, heads, mlp_ratio) for _ in range(layers))
        self.norm = nn.LayerNorm(width, EPS).requires_grad_(False)
        nn.init.trunc_normal_(self.masking_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Mapping[str, Tokens]) -> dict[str, Tensor]:
        """Tokens of some modalities -> the mean (B, width) of each modality's output tokens."""
        values = torch.cat([one.values for one in tokens.values()], dim=1)
        there = torch.cat([one.there for one in tokens.values()], dim=1)
        for block in self.blocks:
            values = block(values, there)
        parts = values.split([one.values.shape[1] for one in tokens.values()], dim=1)
        means = {}
        for (name, one), part in zip(tokens.items(), parts, strict=True):
            weights = (one.there / one.there.sum(dim=1, keepdim=True)).to(part.dtype)
            means[name] = (part * weights.unsqueeze(-1)).sum(dim=1)
        return means


class EverythingAtOnceNetwork(EmbeddingNetwork):
    """Gated units to `fusion_width`, the transformer, and a gated unit to `embedding_width` for each modality.

    davenet_widths: stages of a trainable ResDAVEnet (six as published); None: pooled vectors of `audio_width` come in,
    a token each, and with `audio_width` None too there is no audio branch. visual_units: tokens of a clip in training.
    """

    units_are_rows = True
    joins = True

    def __init__(
        self,
        video_width: int | None,
        word_width: int | None,
        embedding_width: int,
        davenet_widths: Sequence[int] | None,
        audio_width: int | None,
        visual_units: int,
        fusion_width: int,
        fusion_heads: int,
        fusion_mlp_ratio: float,
        fusion_layers: int,
    ) -> None:
        super().__init__()
        if davenet_widths is not None:
            audio_width = davenet_widths[-1]
        self.settings = {
            "video_width": video_width,
            "word_width": word_width,
            "embedding_width": embedding_width,
            "davenet_widths": None if davenet_widths is None else list(davenet_widths),
            "audio_width": audio_width,
            "visual_units": visual_units,
            "fusion_width": fusion_width,
            "fusion_heads": fusion_heads,
            "fusion_mlp_ratio": fusion_mlp_ratio,
            "fusion_layers": fusion_layers,
        }
        self.embedding_width, self.visual_units = embedding_width, visual_units
        self.has_video, self.has_audio = video_width is not None, audio_width is not None
        self.has_text = word_width is not None
        self.fusion = FusionTransformer(fusion_width, fusion_heads, fusion_mlp_ratio, fusion_layers)
        self.DAVEnet = None if davenet_widths is None else ResDavenet(davenet_widths)
        for modality, width in (
            ("video", video_width),
            ("text", word_width),
            ("audio", audio_width),
        ):
            if width is not None:
                self.add_module(f"{modality}_norm_layer", nn.LayerNorm(fusion_width, EPS))
                self.add_module(f"{modality}_token_proj", GatedEmbeddingUnit(width, fusion_width))
                self.add_module(
                    f"{modality}_proj", GatedEmbeddingUnit(fusion_width, embedding_width)
                )

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, U, video_width), or (B, video_width) for a clip of one token -> (B, d)."""
        return self.fuse({"video": self.video_tokens(features)})

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """(B, 40, T) dB and valid frames (B,), None: all of T; or pooled vectors (B, audio_width) -> (B, d)."""
        return self.fuse({"audio": self.audio_tokens(log_mel, frames)})

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d)."""
        return self.fuse({"text": self.word_tokens(words)})

    def embed_joined(self, inputs: Mapping[str, Sequence[Tensor]]) -> Tensor:
        """Modality -> the arguments of its `embed_` method; two or more -> (B, d) of unit length."""
        make: dict[str, Callable[..., Tokens]] = {
            "video": self.video_tokens,
            "audio": self.audio_tokens,
            "text": self.word_tokens,
        }
        return F.normalize(
            self.fuse({name: make[name](*one) for name, one in inputs.items()}), dim=-1
        )

    def video_tokens(self, features: Tensor) -> Tokens:
        """(B, U, video_width) or (B, video_width) -> a token each."""
        features = features.unsqueeze(1) if features.dim() == 2 else features
        return self._tokens("video", features, present(features))

    def audio_tokens(self, log_mel: Tensor, frames: Tensor | None = None) -> Tokens:
        """(B, 40, T) -> a token a column; pooled vectors (B, audio_width) -> one."""
        if self.DAVEnet is None:
            pooled = log_mel.unsqueeze(1)
            return self._tokens("audio", pooled, present(pooled))
        columns = self.DAVEnet(log_mel).transpose(1, 2)
        there = torch.ones(columns.shape[:2], dtype=torch.bool, device=columns.device)
        if frames is not None:
            starts = torch.arange(columns.shape[1], device=columns.device) * self.DAVEnet.ratio
            there = starts < frames.to(columns.device).unsqueeze(1)
        return self._tokens("audio", columns, there)

    def word_tokens(self, words: Tensor) -> Tokens:
        """(B, W, word_width) -> a token each."""
        return self._tokens("text", words, present(words))

    def fuse(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """Tokens of some modalities -> one embedding of them all, (B, d), the mean of theirs of unit length."""
        means = self.fusion(tokens)
        vectors = [
            F.normalize(self.get_submodule(f"{name}_proj")(mean), dim=-1)
            for name, mean in means.items()
        ]
        return torch.stack(vectors).mean(dim=0)

    def _tokens(self, modality: str, rows: Tensor, there: Tensor) -> Tokens:
        """Rows through their unit and norm; where none is there, the first is the learned token."""
        if not self.settings[f"{'word' if modality == 'text' else modality}_width"]:
            raise no_branch(modality)
        values = self.get_submodule(f"{modality}_token_proj")(rows)
        values = self.get_submodule(f"{modality}_norm_layer")(values)
        first = torch.arange(there.shape[1], device=there.device) == 0
        lacking = ~there.any(dim=1, keepdim=True) & first
        token = self.fusion.masking_token.to(values.dtype)
        return Tokens(torch.where(lacking.unsqueeze(-1), token, values), there | lacking)


HEAD_WIDTH = 64  # of all released models


def settings_of_rows(rows: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments that fit the rows of a released model; KeyError where one is not there.

    The rows do not tell the number of heads: all released models have heads of 64, and smaller ones have one head.
    """
    width = len(rows["fusion.masking_token"])
    layers = {int(name.split(".")[2]) for name in rows if name.startswith("fusion.blocks.")}
    stages = {int(name[len("DAVEnet.layer")]) for name in rows if name.startswith("DAVEnet.layer")}
    davenet = [rows[f"DAVEnet.layer{stage}.0.conv1.weight"].shape[0] for stage in sorted(stages)]
    hidden = rows["fusion.blocks.0.mlp.fc1.weight"].shape[0]
    return {
        "video_width": rows["video_token_proj.fc.weight"].shape[1],
        "word_width": rows["text_token_proj.fc.weight"].shape[1],
        "embedding_width": rows["video_proj.fc.weight"].shape[0],
        "davenet_widths": davenet or None,
        "audio_width": rows["audio_token_proj.fc.weight"].shape[1],
        "visual_units": 12,
        "fusion_width": width,
        "fusion_heads": max(1, width // HEAD_WIDTH),
        "fusion_mlp_ratio": hidden / width,
        "fusion_layers": len(layers),
    }
