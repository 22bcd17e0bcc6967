"""The network of Everything at Once as released: tokens of a clip, and a transformer that joins any modalities of it.

Conventions
-----------
- Tokens: rows of a clip's visual features (see `mcn.shards.clips.row_tokens`), columns of a ResDAVEnet of six stages
  (64 frames of log-mel each), words. Each goes through a gated unit to `fusion_width` and a layer norm.
- Zero rows pad; a column with a valid frame counts. A modality without any token of a clip is one learned token.
- Some modalities of a clip go through the transformer together (`mcn.networks.fusion_transformer`). The embedding of a
  modality is the mean of its output tokens through a gated unit, of unit length; that of several modalities is the mean
  of theirs.
- The ablations, all off by default: one last unit for all modalities; a class token, whose output through that unit is
  the embedding; learned positions, added to the tokens; a transformer for each modality, so that several modalities are
  the mean of their single embeddings; no block at all (`fusion_layers: 0`).
- Source: Shvetsova et al. 2022 as released in `ninatu/everything_at_once` (fusion_model.py). Parameter names are those
  of its checkpoints (`DAVEnet` there is `davenet`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.networks.davenet import ResDavenet
from mcn.networks.embedding import EmbeddingNetwork, no_branch
from mcn.networks.fusion import Tokens, present
from mcn.networks.fusion_transformer import EPS, FusionTransformer
from mcn.networks.mcn import GatedEmbeddingUnit


class LongSound(NamedTuple):
    """How `tokens` columns are chosen where sound has more: `nearest` below equal steps, or `maximum` of each share.

    Source: `ninatu/everything_at_once` fusion_model.py, create_audio_tokens, strategies nearest and max_pool.
    """

    kind: str
    tokens: int

    def choose(self, columns: Tensor, there: Tensor, frames: Tensor, ratio: int) -> Tokens:
        """(B, C, D), which of them are there (B, C), frames of log-mel (B,), frames a column -> (B, tokens, D)."""
        values, valid = columns[:, : self.tokens].clone(), there[:, : self.tokens].clone()
        for item, whole in enumerate((frames.long() // ratio).tolist()):
            if whole > self.tokens:
                rows = columns[item, :whole].T.unsqueeze(0)
                if self.kind == "nearest":
                    found = F.interpolate(rows, size=self.tokens, mode="nearest")
                else:
                    found = F.adaptive_max_pool1d(rows, self.tokens)
                values[item], valid[item] = found[0].T, True
        return Tokens(values, valid)


class EverythingAtOnceNetwork(EmbeddingNetwork):
    """Gated units to `fusion_width`, the transformer, and a gated unit to `embedding_width` for each modality.

    davenet_widths: stages of a trainable ResDAVEnet (six as published); None: pooled vectors of `audio_width` come in,
    a token each, and with `audio_width` None too there is no audio branch. visual_units: tokens of a clip in training.
    The last four are the ablations; positions: tokens of video, text and audio that have one. ValueError for a class
    token without a shared projection, which the released code excludes.
    """

    units_are_rows = True
    joins = ("ta", "tv", "va")

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
        class_token: bool = False,
        shared_projection: bool = False,
        positions: Sequence[int] | None = None,
        transformer_per_modality: bool = False,
    ) -> None:
        super().__init__()
        if class_token and not shared_projection:
            raise ValueError("a class token without a shared projection")
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
            "class_token": class_token,
            "shared_projection": shared_projection,
            "positions": None if positions is None else list(positions),
            "transformer_per_modality": transformer_per_modality,
        }
        self.embedding_width, self.visual_units = embedding_width, visual_units
        self.shared_projection, self.per_modality = shared_projection, transformer_per_modality
        sizes = fusion_width, fusion_heads, fusion_mlp_ratio, fusion_layers
        self.has_video, self.has_audio = video_width is not None, audio_width is not None
        self.has_text = word_width is not None
        self.fusion = FusionTransformer(*sizes, class_token)
        self.DAVEnet = None if davenet_widths is None else ResDavenet(davenet_widths)
        for modality, width in (
            ("video", video_width),
            ("text", word_width),
            ("audio", audio_width),
        ):
            if width is not None:
                self.add_module(f"{modality}_norm_layer", nn.LayerNorm(fusion_width, EPS))
                self.add_module(f"{modality}_token_proj", GatedEmbeddingUnit(width, fusion_width))
                if not shared_projection:
                    unit = GatedEmbeddingUnit(fusion_width, embedding_width)
                    self.add_module(f"{modality}_proj", unit)
                if transformer_per_modality and modality != "text":
                    self.add_module(f"fusion_{modality}", FusionTransformer(*sizes, class_token))
                    self.get_submodule(f"fusion_{modality}").masking_token.requires_grad_(False)
        if shared_projection:
            self.proj = GatedEmbeddingUnit(fusion_width, embedding_width)
        for modality, count in zip(("video", "text", "audio"), positions or (), strict=False):
            place = nn.Parameter(torch.zeros(1, count, fusion_width))
            nn.init.trunc_normal_(place, std=0.02)
            self.register_parameter(f"{modality}_pos_embed", place)

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, U, video_width), or (B, video_width) for a clip of one token -> (B, d)."""
        return self.fuse({"video": self.video_tokens(features)})

    def embed_audio(
        self, log_mel: Tensor, frames: Tensor | None = None, long_sound: LongSound | None = None
    ) -> Tensor:
        """(B, 40, T) dB and valid frames (B,), None: all of T; or pooled vectors (B, audio_width) -> (B, d)."""
        return self.fuse({"audio": self.audio_tokens(log_mel, frames, long_sound)})

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d)."""
        return self.fuse({"text": self.word_tokens(words)})

    def embed_joined(self, inputs: Mapping[str, Sequence[Any]]) -> Tensor:
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

    def audio_tokens(
        self, log_mel: Tensor, frames: Tensor | None = None, long_sound: LongSound | None = None
    ) -> Tokens:
        """(B, 40, T) -> a token a column; pooled vectors (B, audio_width) -> one. long_sound: fewer of many columns."""
        if self.DAVEnet is None:
            pooled = log_mel.unsqueeze(1)
            return self._tokens("audio", pooled, present(pooled))
        columns = self.DAVEnet(log_mel).transpose(1, 2)
        there = torch.ones(columns.shape[:2], dtype=torch.bool, device=columns.device)
        if frames is not None:
            starts = torch.arange(columns.shape[1], device=columns.device) * self.DAVEnet.ratio
            there = starts < frames.to(columns.device).unsqueeze(1)
            if long_sound is not None:
                columns, there = long_sound.choose(columns, there, frames, self.DAVEnet.ratio)
        return self._tokens("audio", columns, there)

    def word_tokens(self, words: Tensor) -> Tokens:
        """(B, W, word_width) -> a token each."""
        return self._tokens("text", words, present(words))

    def fuse(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """Tokens of some modalities -> one embedding of them all, (B, d), the mean of theirs of unit length."""
        if self.per_modality and len(tokens) > 1:
            return torch.stack([self.fuse({name: one}) for name, one in tokens.items()]).mean(dim=0)
        transformer: nn.Module = self.fusion
        if self.per_modality and "text" not in tokens:
            transformer = self.get_submodule(f"fusion_{next(iter(tokens))}")
        vectors = [
            F.normalize(self.get_submodule(self._projection(name))(mean), dim=-1)
            for name, mean in transformer(tokens).items()
        ]
        return torch.stack(vectors).mean(dim=0)

    def _projection(self, modality: str) -> str:
        return "proj" if self.shared_projection else f"{modality}_proj"

    def _tokens(self, modality: str, rows: Tensor, there: Tensor) -> Tokens:
        """Rows through their unit and norm; where none is there, the first is the learned token."""
        if not self.settings[f"{'word' if modality == 'text' else modality}_width"]:
            raise no_branch(modality)
        values = self.get_submodule(f"{modality}_token_proj")(rows)
        values = self.get_submodule(f"{modality}_norm_layer")(values)
        first = torch.arange(there.shape[1], device=there.device) == 0
        lacking = ~there.any(dim=1, keepdim=True) & first
        token = self.fusion.masking_token.to(values.dtype)
        values = torch.where(lacking.unsqueeze(-1), token, values)
        if self.settings["positions"]:
            values = values + self._positions(modality, values.shape[1])
        return Tokens(values, there | lacking)

    def _positions(self, modality: str, count: int) -> Tensor:
        places = self.get_parameter(f"{modality}_pos_embed")
        if count > places.shape[1]:
            got = f"{count} tokens of {modality}, and learned positions for {places.shape[1]}"
            cure = "set long_clips to nearest or maximum, or visual_tokens and max_words to these"
            raise UserError(got, "no more tokens than positions", cure)
        return places[:, :count]


HEAD_WIDTH = 64  # of all released models
POSITIONS = ("video_pos_embed", "text_pos_embed", "audio_pos_embed")


def settings_of_rows(rows: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments that fit the rows of a released model; KeyError where one is not there.

    The rows do not tell the number of heads: all released models have heads of 64, and smaller ones have one head.
    """
    width = len(rows["fusion.masking_token"])
    layers = {int(name.split(".")[2]) for name in rows if name.startswith("fusion.blocks.")}
    stages = {int(name[len("DAVEnet.layer")]) for name in rows if name.startswith("DAVEnet.layer")}
    davenet = [rows[f"DAVEnet.layer{stage}.0.conv1.weight"].shape[0] for stage in sorted(stages)]
    hidden = rows["fusion.blocks.0.mlp.fc1.weight"].shape[0] if layers else width
    shared = "proj.fc.weight" in rows
    places = [rows[name].shape[1] for name in POSITIONS] if POSITIONS[0] in rows else None
    return {
        "video_width": rows["video_token_proj.fc.weight"].shape[1],
        "word_width": rows["text_token_proj.fc.weight"].shape[1],
        "embedding_width": rows["proj.fc.weight" if shared else "video_proj.fc.weight"].shape[0],
        "davenet_widths": davenet or None,
        "audio_width": rows["audio_token_proj.fc.weight"].shape[1],
        "visual_units": places[0] if places else 12,
        "fusion_width": width,
        "fusion_heads": max(1, width // HEAD_WIDTH),
        "fusion_mlp_ratio": hidden / width,
        "fusion_layers": len(layers),
        "class_token": "fusion.cls_token" in rows,
        "shared_projection": shared,
        "positions": places,
        "transformer_per_modality": "fusion_video.masking_token" in rows,
    }
