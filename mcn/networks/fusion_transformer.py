"""The transformer of Everything at Once: attention over the tokens of any modalities of a clip.

Conventions
-----------
- Attention over the tokens that are there; before it and before the perceptron a layer norm; both are added to their
  inputs.
- Layer norms have eps 1e-6. Linear maps are drawn from a normal distribution of deviation 0.02, cut at +-2; biases are
  0.
- Source: `ninatu/everything_at_once` fusion_transformer.py, layers.py. Parameter names are those of its checkpoints,
  `norm` included, which no computation uses and which is therefore frozen.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.fusion import Tokens

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
    """Blocks over the tokens of some modalities of each clip, and the token of a modality that a clip lacks.

    class_token: a learned token stands before the others, and what becomes of it is the output.
    """

    def __init__(
        self, width: int, heads: int, mlp_ratio: float, layers: int, class_token: bool = False
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.masking_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(FusionBlock(width, heads, mlp_ratio) for _ in range(layers))
        self.norm = nn.LayerNorm(width, EPS).requires_grad_(False)
        nn.init.trunc_normal_(self.masking_token, std=0.02)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Mapping[str, Tokens]) -> dict[str, Tensor]:
        """Tokens of some modalities -> the mean (B, width) of each modality's output tokens.

        With a class token: {"": its output (B, width)}.
        """
        values = torch.cat([one.values for one in tokens.values()], dim=1)
        there = torch.cat([one.there for one in tokens.values()], dim=1)
        if self.cls_token is not None:
            values = torch.cat([self.cls_token.expand(len(values), -1, -1), values], dim=1)
            there = torch.cat([torch.ones_like(there[:, :1]), there], dim=1)
        for block in self.blocks:
            values = block(values, there)
        if self.cls_token is not None:
            return {"": values[:, 0]}
        parts = values.split([one.values.shape[1] for one in tokens.values()], dim=1)
        means = {}
        for (name, one), part in zip(tokens.items(), parts, strict=True):
            weights = (one.there / one.there.sum(dim=1, keepdim=True)).to(part.dtype)
            means[name] = (part * weights.unsqueeze(-1)).sum(dim=1)
        return means
