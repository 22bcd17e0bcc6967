"""AVLnet, AVLnet-Text-Tri and AVLnet-Text-Fused (Rouditchenko et al. 2021; `roudimit/AVLnet` train.py, training.md).

    none:   L = MMS(A V^T)
    tri:    L = MMS(T V^T) + MMS(A T^T) + MMS(A V^T)
    fused:  L = MMS((A + T) V^T)
    summed: L = MMS(T (A + V)^T)

The released fused network joins sound and text before its last gate (`variant: released`, `mcn.networks.fused`). Under
`variant: ours` their embeddings are added, as evaluation adds them, so that every model has one embedding a modality. A
clip without sound or text is then left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mcn.networks import EmbeddingNetwork
from mcn.objectives.mcn import masked_margin_softmax
from mcn.objectives.objective import PairObjective, Setting, StepInputs, similarity_loss
from mcn.options.contrast import AvlnetOptions
from mcn.options.objectives import ALL_PAIRS


class AvlnetObjective(PairObjective):
    """Masked margin softmax of the pairs of a variant."""

    def __init__(self, options: AvlnetOptions, setting: Setting) -> None:
        super().__init__(options, setting, ALL_PAIRS if options.text == "tri" else ("video_audio",))
        self.margin, self.text = options.margin, options.text
        self.together = bool(options.needs.only_joined)

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """(N, d) of each modality; of the released fused network those of pictures, and of sound with text."""
        if not self.together:
            return super().embed(network, inputs)
        both = {"audio": (inputs.audio, inputs.frames), "text": (inputs.words,)}
        return {"video": network.embed_video(inputs.video), "both": network.embed_joined(both)}

    def loss(self, similarity: Tensor) -> Tensor:
        return masked_margin_softmax(similarity, self.margin)

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        joined = {"fused": ("text", "video"), "summed": ("video", "text")}
        if self.text not in joined:
            return super().losses(views, inputs)
        beside, other = joined[self.text]
        both = views["both"] if self.together else views["audio"] + views[beside]
        rows = inputs.rows_with("video", "audio", "text")
        return {
            "contrast": similarity_loss(
                both, views[other], rows, inputs.videos, self.masked, self.loss
            )
        }
