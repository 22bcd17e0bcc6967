"""A network whose units, parts of a clip and words of a text, are embedded one by one (for frame-word similarity).

Conventions
-----------
- Every unit goes through the branch of the clustering network: video parts through its gated unit, words through
  linear, ReLU and gated unit without the maximum over words. Unit vectors are L2-normalised.
- A clip's, or text's, embedding is the mean of its units, L2-normalised: attention that is the same for all units. So a
  dot product of embeddings, which is what evaluation takes, is the mean similarity of units up to length.
- Zero rows are padding: parts without a feature, words that are not there.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mcn.networks.mcn import MultimodalClusteringNetwork


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
