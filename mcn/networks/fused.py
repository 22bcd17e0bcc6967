"""AVLnet-Text-Fused: sound and text joined before their last gate, compared with pictures.

    both = gate( W_a (P DAVEnet(sound)) + W_t max_w relu(W word + b) ),   video = gated unit of the pictures

Conventions
-----------
- The projection P of sound and the pooled words have half the embedding's width. Sound is pooled over time as in
  `mcn.networks.mcn`; embeddings are not normalised.
- Sound and text have no embedding of their own: there are `embed_video` and `embed_joined` of both.
- Source: Rouditchenko et al. 2021, `roudimit/AVLnet` model.py (`tri_modal_fuse`), whose parameter names these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mcn.errors import UserError
from mcn.networks.davenet import ResDavenet
from mcn.networks.embedding import EmbeddingNetwork, no_branch
from mcn.networks.mcn import ContextGate, GatedEmbeddingUnit, WordPooling, pool_audio


class FusedGate(nn.Module):
    """The sum of two linear maps, then a context gate; (B, width_in) twice -> (B, width_out)."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.fc_audio, self.fc_text = nn.Linear(width_in, width_out), nn.Linear(width_in, width_out)
        self.cg = ContextGate(width_out)

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        return self.cg(self.fc_audio(audio) + self.fc_text(text))


class FusedSoundTextNetwork(EmbeddingNetwork):
    """Pictures (B, d) and sound with text (B, d); arguments as those of `MultimodalClusteringNetwork`."""

    joins = ("ta",)
    only_joined = ("audio", "text")

    def __init__(
        self,
        video_width: int,
        word_width: int,
        embedding_width: int,
        davenet_widths: Sequence[int] | None,
        audio_width: int | None = None,
    ) -> None:
        super().__init__()
        if davenet_widths is not None:
            audio_width = davenet_widths[-1]
        if not (video_width and word_width and audio_width):
            raise UserError(
                "AVLnet-Text-Fused without pictures, sound or text",
                "features of all three modalities",
                "name them in model.video, model.audio and model.text",
            )
        self.settings = {
            "video_width": video_width,
            "word_width": word_width,
            "embedding_width": embedding_width,
            "davenet_widths": None if davenet_widths is None else list(davenet_widths),
            "audio_width": audio_width,
        }
        self.embedding_width = embedding_width
        self.has_video = self.has_audio = self.has_text = True
        half = embedding_width // 2
        self.DAVEnet = None if davenet_widths is None else ResDavenet(davenet_widths)
        self.DAVEnet_projection = nn.Linear(audio_width, half)
        self.GU_video = GatedEmbeddingUnit(video_width, embedding_width)
        self.text_pooling_caption = WordPooling(word_width, half)
        self.GU_audio_text = FusedGate(half, embedding_width)

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, video_width) -> (B, d)."""
        return self.GU_video(features)

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """Raises `UserError`: sound has no embedding of its own."""
        raise no_branch("sound without text")

    def embed_text(self, words: Tensor) -> Tensor:
        """Raises `UserError`: text has no embedding of its own."""
        raise no_branch("text without sound")

    def embed_joined(self, inputs: Mapping[str, Sequence[Any]]) -> Tensor:
        """`audio`: log-mel (B, 40, T) and valid frames (B,) or None, or pooled vectors (B, audio_width); `text`: words
        (B, W, word_width) -> (B, d). Other modalities: `UserError`."""
        if set(inputs) != {"audio", "text"}:
            raise no_branch(" and ".join(inputs))
        sound, *frames = inputs["audio"]
        if self.DAVEnet is not None:
            columns = self.DAVEnet(sound)
            sound = pool_audio(columns, sound.shape[-1], frames[0] if frames else None)
        words = self.text_pooling_caption(*inputs["text"])
        return self.GU_audio_text(self.DAVEnet_projection(sound), words)
