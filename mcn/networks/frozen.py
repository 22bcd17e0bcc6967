"""A pair of frozen encoders as one network: pictures or sounds and texts that meet in the space of the text encoder.

Conventions
-----------
- Text: the mean of the vectors of its parts (lines, words), of unit length.
- `same_space`: a picture encoder whose vectors lie in the space of the text encoder already, as in CLIP (Radford et
  al., ICML 2021): each row of unit length.
- `conse` (Norouzi et al., ICLR 2014): a classifier with named classes. p = softmax(logits / temperature) of a frame,
  the `top` likeliest classes alone and their probabilities made to sum to 1; the frame is sum_k p_k t_k, with t_k the
  text encoder's vector of class k, less the mean of all t_k where `center`; then of unit length.
- A clip is the mean of its frames' vectors, of unit length; of several video features the mean of theirs. So the dot
  product of a clip and a text is a cosine.
- `late`: a clip is the mean of its rows' unit vectors as it is, so that its dot product with a text is the mean of the
  rows' cosines with it (late fusion).
- Several dual encoders: the text encoder's vector is theirs side by side, each of unit length, and the pictures of
  each lie in its own part, beginning at `first`; a clip is the mean of each part, of unit length. So the dot product
  of a clip and a text is the mean of the encoders' cosines.
- Sound: rows of an encoder whose vectors lie in the space of the text encoder, as CLAP's (Wu et al., ICASSP 2023);
  each of unit length, and a clip is their mean, of unit length.
- The rows of the network are all that the pair needs: the classifier and the vectors of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.embedding import EmbeddingNetwork


class PictureSettings(TypedDict):
    """How one video feature reaches the space of the texts; keys after `width` are those of `conse`."""

    pairing: str
    width: int
    classes: int
    temperature: float
    top: int
    center: bool
    first: NotRequired[int]


class ClassVectors(nn.Module):
    """ConSE: rows that a classifier reads -> mean of its classes' text vectors (formula: see Conventions)."""

    weight: Tensor
    bias: Tensor
    names: Tensor

    def __init__(self, settings: PictureSettings, text_width: int) -> None:
        super().__init__()
        classes, width = settings["classes"], settings["width"]
        self.register_buffer("weight", torch.zeros(classes, width))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("names", torch.zeros(classes, text_width))
        self.temperature, self.top = settings["temperature"], min(settings["top"], classes)
        self.center = settings["center"]

    def forward(self, rows: Tensor) -> Tensor:
        """(n, width) -> (n, text_width)."""
        probabilities = self.probabilities(rows)
        names = self.names
        return probabilities @ (names - names.mean(dim=0) if self.center else names)

    def probabilities(self, rows: Tensor) -> Tensor:
        """(n, width) -> (n, classes), those of all but the `top` classes 0."""
        logits = F.linear(rows, self.weight, self.bias) / self.temperature
        least = logits.topk(self.top, dim=1).values[:, -1:]
        return logits.masked_fill(logits < least, -torch.inf).softmax(dim=1)


class FrozenPair(EmbeddingNetwork):
    """Frozen encoders of pictures or sound and of texts in one space.

    pictures: one for each video feature, in order. sound_width: numbers of a row of the audio feature; None: no sound.
    late: scores of rows are averaged instead of their vectors.
    """

    takes_frames = True

    def __init__(
        self,
        pictures: Sequence[PictureSettings],
        word_width: int,
        sound_width: int | None = None,
        late: bool = False,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "pictures": [dict(one) for one in pictures],
            "word_width": word_width,
        }
        if sound_width is not None:
            self.settings["sound_width"] = sound_width
        self.late = late
        if late:
            self.settings["late"] = True
        self.firsts = [one.get("first") for one in pictures]
        self.separate = any(first is not None for first in self.firsts)
        self.video_widths = [one["width"] for one in pictures]
        self.sound_width = sound_width
        self.embedding_width = word_width
        self.has_video, self.has_audio, self.has_text = (
            bool(pictures),
            sound_width is not None,
            True,
        )
        self.DAVEnet = None
        made = [
            ClassVectors(one, word_width) if one["pairing"] == "conse" else nn.Identity()
            for one in pictures
        ]
        self.pictures = nn.ModuleList(made)
        # where the network is, also for a pair without rows of its own
        self.register_buffer("empty", torch.zeros(0))

    def embed_frames(self, feature: int, rows: Tensor) -> Tensor:
        """Rows (n, D) of a video feature -> (n, d) of unit length."""
        vectors, first = F.normalize(self.pictures[feature](rows), dim=-1), self.firsts[feature]
        if first is None:
            return vectors
        behind = self.embedding_width - first - vectors.shape[-1]
        return F.pad(vectors, (first, behind))

    def embed_sounds(self, rows: Tensor) -> Tensor:
        """Rows (n, sound_width) of the audio feature -> (n, d) of unit length."""
        return F.normalize(rows, dim=-1)

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d): the mean of the vectors, of unit length."""
        return F.normalize(words.sum(dim=1), dim=-1)
