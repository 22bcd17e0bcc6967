"""The small parts of the heads: gated embedding units and the pooling of words.

Conventions
-----------
- Source: Miech et al. 2018/2019 (`antoine77340/howto100m` model.py) as simplified in
  `brian7685/Multimodal-Clustering-Network` (no batch norm, no normalisation). Parameter names (`fc`, `cg.fc`) are
  those of the published checkpoints.
"""

from __future__ import annotations

from torch import Tensor, nn


class ContextGate(nn.Module):
    """y -> y * sigmoid(W y + b); (B, D) -> (B, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x).sigmoid()


class GatedEmbeddingUnit(nn.Module):
    """A linear map, then its context gate; (B, width_in) -> (B, width_out)."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width_in, width_out)
        self.cg = ContextGate(width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.cg(self.fc(x))


class WordPooling(nn.Module):
    """max over words of relu(W word + b); (B, W, word_width) -> (B, width).

    Padding rows are zero vectors. As published they take part, that is, they contribute relu(b). With
    `mask_padding` they do not, and a caption without any word becomes the zero vector.
    """

    def __init__(self, word_width: int, width: int, mask_padding: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(word_width, width)
        self.mask_padding = mask_padding

    def forward(self, words: Tensor) -> Tensor:
        x = self.fc(words)
        if self.mask_padding:
            padding = (words == 0).all(dim=-1, keepdim=True)
            x = x.masked_fill(padding, 0.0)  # the least that relu gives: never above a word
        # relu rises, so it commutes with max; after it, it need not hold (B, W, width) a second time
        return x.max(dim=1).values.relu()
