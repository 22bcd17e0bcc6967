"""Multimodal Clustering Network: video, audio and text into one space of `embedding_width` dimensions.

Conventions
-----------
- video: (B, video_width) appearance and motion, pooled and concatenated. audio: log-mel (B, 40, T) dB through a
  trainable ResDAVEnet, or, when `davenet_widths` is None, pooled DAVEnet vectors (B, audio_width). text: word vectors
  (B, W, word_width), zero vectors pad.
- Branches: video: gated unit. audio: mean over time, gated unit in its own width, linear map. text: linear, ReLU, max
  over words, gated unit. Embeddings are not normalised unless `normalize` (Miech et al.).
- Reconstruction heads: linear, ReLU, linear (and ReLU under target `input`).
- Gated embedding units and the pooling of words: Miech et al. 2018/2019 (`antoine77340/howto100m` model.py) as
  simplified in MCN's code (no batch norm, no normalisation).
- Source: Chen et al. 2021 and `brian7685/Multimodal-Clustering-Network` model_kmeans_ICCV.py, whose parameter names
  these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.davenet import PUBLISHED_WIDTHS, ResDavenet
from mcn.networks.embedding import EmbeddingNetwork, no_branch


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


class Embeddings(NamedTuple):
    """One batch in the common space.

    video, audio, text: (B, d), None where the network has no such branch. inputs: what the reconstruction heads have
    to reproduce, by modality: under target `input` the features before their projection (video (B, video_width),
    pooled audio (B, audio_width), text after max (B, d)), under target `common` the embeddings themselves.
    """

    video: Tensor | None
    audio: Tensor | None
    text: Tensor | None
    inputs: dict[str, Tensor]


class MultimodalClusteringNetwork(EmbeddingNetwork):
    """The three branches and, when `reconstruction_width` is given, the reconstruction heads.

    video_width: features of a clip (4096 as published). word_width: of the word vectors. Either None: no such branch.
    davenet_widths: stages of a trainable ResDAVEnet; None: pooled vectors of `audio_width` come in, and with
    `audio_width` None too there is no audio branch. reconstruction_width: hidden units; None: no heads.
    reconstruction_target: `input` (released code) or `common` (paper). mask_padding_words: see `WordPooling`.
    normalize: L2-normalise every embedding; `at_test`: in eval mode alone.
    """

    def __init__(
        self,
        video_width: int | None,
        word_width: int | None,
        embedding_width: int,
        davenet_widths: Sequence[int] | None = PUBLISHED_WIDTHS,
        audio_width: int | None = 1024,
        reconstruction_width: int | None = 1024,
        reconstruction_target: str = "input",
        mask_padding_words: bool = False,
        normalize: bool | str = False,
    ) -> None:
        super().__init__()
        if reconstruction_target not in ("input", "common"):
            raise ValueError(f"reconstruction_target: input or common, not {reconstruction_target}")
        if davenet_widths is not None:
            audio_width = davenet_widths[-1]
        self.settings = {
            "video_width": video_width,
            "word_width": word_width,
            "embedding_width": embedding_width,
            "davenet_widths": None if davenet_widths is None else list(davenet_widths),
            "audio_width": audio_width,
            "reconstruction_width": reconstruction_width,
            "reconstruction_target": reconstruction_target,
            "mask_padding_words": mask_padding_words,
            "normalize": normalize,
        }
        self.embedding_width = embedding_width
        self.reconstruction_target = reconstruction_target
        self.normalize = normalize
        self.DAVEnet = None if davenet_widths is None else ResDavenet(davenet_widths)
        self.has_video = video_width is not None
        self.has_audio, self.has_text = audio_width is not None, word_width is not None
        widths = {}
        if video_width is not None:
            self.GU_video = GatedEmbeddingUnit(video_width, embedding_width)
            widths["video"] = video_width
        if audio_width is not None:
            self.GU_audio = GatedEmbeddingUnit(audio_width, audio_width)
            self.DAVEnet_projection = nn.Linear(audio_width, embedding_width)
            widths["audio"] = audio_width
        if word_width is not None:
            self.text_pooling_caption = WordPooling(word_width, embedding_width, mask_padding_words)
            self.GU_text_captions = GatedEmbeddingUnit(embedding_width, embedding_width)
            widths["text"] = embedding_width
        self.has_reconstruction = reconstruction_width is not None
        if reconstruction_width is not None:
            for modality, width in widths.items():
                self.add_module(
                    f"recon_{modality[0]}",
                    self._reconstruction_head(reconstruction_width, width),
                )

    def embed_video(self, features: Tensor) -> Tensor:
        """(B, video_width) -> (B, d). A network without a video branch: `UserError`."""
        if not self.has_video:
            raise no_branch("video")
        return self._finish(self.GU_video(features))

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """(B, 40, T) dB, or (B, audio_width) pooled vectors when no DAVEnet is inside -> (B, d).

        frames: (B,) valid log-mel frames of each item, see `pool_audio`; pooled vectors need none.
        A network without an audio branch: `UserError`.
        """
        return self._project_audio(self._pooled_audio(log_mel, frames))

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d). A network without a text branch: `UserError`."""
        return self._project_text(self._pooled_text(words))

    def forward(
        self, video: Tensor, audio: Tensor, text: Tensor, frames: Tensor | None = None
    ) -> Embeddings:
        """Embed one batch of all modalities there are branches for; shapes as in `embed_video` and its siblings."""
        embedded: dict[str, Tensor] = {}
        inputs: dict[str, Tensor] = {}
        if self.has_video:
            inputs["video"], embedded["video"] = video, self.embed_video(video)
        if self.has_audio:
            inputs["audio"] = self._pooled_audio(audio, frames)
            embedded["audio"] = self._project_audio(inputs["audio"])
        if self.has_text:
            inputs["text"] = self._pooled_text(text)
            embedded["text"] = self._project_text(inputs["text"])
        targets = inputs if self.reconstruction_target == "input" else dict(embedded)
        get = embedded.get
        return Embeddings(get("video"), get("audio"), get("text"), inputs=targets)

    def reconstruct(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """What the heads make of each modality's embedding, shaped as `embeddings.inputs`; no heads: ValueError."""
        if not self.has_reconstruction:
            raise ValueError("this network was made without reconstruction heads")
        return {
            modality: self.get_submodule(f"recon_{modality[0]}")(getattr(embeddings, modality))
            for modality in embeddings.inputs
        }

    def _pooled_audio(self, audio: Tensor, frames: Tensor | None) -> Tensor:
        if not self.has_audio:
            raise no_branch("audio")
        if self.DAVEnet is None:
            return audio
        return pool_audio(self.DAVEnet(audio), audio.shape[-1], frames)

    def _project_audio(self, pooled: Tensor) -> Tensor:
        # the gate comes before the widening, where half precision is safer (released code)
        return self._finish(self.DAVEnet_projection(self.GU_audio(pooled)))

    def _pooled_text(self, words: Tensor) -> Tensor:
        if not self.has_text:
            raise no_branch("text")
        return self.text_pooling_caption(words)

    def _project_text(self, pooled: Tensor) -> Tensor:
        return self._finish(self.GU_text_captions(pooled))

    def _finish(self, embedding: Tensor) -> Tensor:
        unit = self.normalize is True or (self.normalize == "at_test" and not self.training)
        return F.normalize(embedding, dim=-1) if unit else embedding

    def _reconstruction_head(self, hidden: int, input_width: int) -> nn.Sequential:
        to_input = self.reconstruction_target == "input"
        width = input_width if to_input else self.embedding_width
        layers = [nn.Linear(self.embedding_width, hidden), nn.ReLU(), nn.Linear(hidden, width)]
        # the input features are never negative, embeddings are
        return nn.Sequential(*layers, nn.ReLU()) if to_input else nn.Sequential(*layers)


def pool_audio(columns: Tensor, length: int, frames: Tensor | None) -> Tensor:
    """Mean over time: (B, D, T') -> (B, D).

    frames None: over all columns, padding included (training as released). Else the mean over the first
    max(1, frames // ratio) columns, ratio = round(length / T'), where `length` is T of the log-mel and `frames` (B,)
    its valid frames (evaluation as released; padding near the end still reaches those columns through the
    convolutions).
    """
    if frames is None:
        return columns.mean(dim=2)
    steps = columns.shape[2]
    valid = (frames.to(columns.device).long() // round(length / steps)).clamp(1, steps)
    mask = torch.arange(steps, device=columns.device) < valid.unsqueeze(1)
    # before the sum, which float16 might not hold
    weights = (mask / valid.unsqueeze(1)).to(columns.dtype)
    return (columns * weights.unsqueeze(1)).sum(dim=2)
