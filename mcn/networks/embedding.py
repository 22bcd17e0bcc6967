"""What evaluation and search ask of any network: which modalities it embeds, and how clips and texts reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mcn.errors import UserError
from mcn.networks.davenet import ResDavenet


class EmbeddingNetwork(nn.Module):
    """A network whose `embed_video`, `embed_audio` and `embed_text` give vectors (B, d) of one space.

    settings: arguments of the constructor, which a model's config.yaml holds. visual_units: equal parts of a clip that
    `embed_video` wants a vector of; 0: the clip as one. units_are_rows: they are rows of the features instead of equal
    parts, as many as a clip has, zero rows behind them; `visual_units` is how many a clip had in training.
    takes_frames: a clip is not pooled before it is embedded: `embed_frames` embeds the rows of a video feature, one
    feature at a time, `embed_sounds` those of the audio feature, and the clip is the mean of them. separate:
    the means of several video features have unit length each before their own mean is taken. late: these means are not
    brought to unit length, so that a clip's score is the mean of its rows' scores. joins: sides, such
    as `va`, of which `embed_joined` embeds the modalities as one. only_joined: modalities that have no other embedding.
    """

    visual_units = 0
    units_are_rows = False
    joins: tuple[str, ...] = ()
    only_joined: tuple[str, ...] = ()
    takes_frames = False
    separate = False
    late = False
    settings: dict[str, Any]
    video_widths: Sequence[int] = ()  # of networks with `takes_frames`: rows of each video feature
    sound_width: int | None = None  # and of the audio feature
    embedding_width: int
    has_video: bool
    has_audio: bool
    has_text: bool
    DAVEnet: ResDavenet | None

    def embed_video(self, features: Tensor) -> Tensor:
        """Pooled features of clips -> (B, d). A network without a video branch: `UserError`."""
        raise no_branch("video")

    def embed_frames(self, feature: int, rows: Tensor) -> Tensor:
        """Rows (n, D) of the video feature of this number -> (n, d), of networks with `takes_frames`."""
        raise no_branch("single frames")

    def embed_sounds(self, rows: Tensor) -> Tensor:
        """Rows (n, A) of the audio feature -> (n, d), of networks with `takes_frames`."""
        raise no_branch("rows of sound")

    def embed_audio(self, log_mel: Tensor, frames: Tensor | None = None) -> Tensor:
        """Log-mels or pooled vectors -> (B, d). A network without an audio branch: `UserError`."""
        raise no_branch("audio")

    def embed_text(self, words: Tensor) -> Tensor:
        """(B, W, word_width), zero vectors pad -> (B, d). A network without a text branch: `UserError`."""
        raise no_branch("text")

    def embed_joined(self, inputs: Mapping[str, Sequence[Any]]) -> Tensor:
        """Modality -> the arguments of its `embed_` method, of two or more -> (B, d) of unit length, where `joins`."""
        raise no_branch("several modalities at once")


def no_branch(modality: str) -> UserError:
    """The error of a network that does not embed a modality."""
    return UserError(
        f"a network without a branch for {modality}",
        f"a network that embeds {modality}",
        f"use another checkpoint, or leave {modality} out of what is compared",
    )
