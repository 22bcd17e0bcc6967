"""The seconds of a video in a model's space, in every mode: v, a, va.

Conventions: mode va is the un-normalised sum of a second's visual embedding and that of the sound around it. A mode
that a video cannot be embedded in is the reason why, `modality: code`; under `video_only` va is then the visual
embedding alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.embed import Stores, audio_feature, embed_audio, embed_features
from mcn.evaluation.localization.seconds import second_features, second_windows
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.options.evaluation import SecondsOptions

logger = logging.getLogger(__name__)

Chosen = TypeVar("Chosen", bound=SecondsOptions)


@dataclass(frozen=True)
class SecondEmbeddings:
    """One video: `seconds` T from `start`; `modes`: mode -> (T, d) float32, or why there are none."""

    start: float
    seconds: int
    modes: Mapping[str, np.ndarray | str]


def scorable(model: MultimodalClusteringNetwork, options: Chosen) -> Chosen:
    """The options, with score mode v where the model has no audio branch; the log says so."""
    if model.has_audio or options.score_mode == "v":
        return options
    logger.warning("score_mode v, not %s: the model has no audio branch", options.score_mode)
    return options.model_copy(update={"score_mode": "v"})


class SecondEmbedder:
    """Embeds the seconds of videos; `modes` are those that the model has branches for.

    Errors: `UserError` where the headline mode needs a branch that the model lacks.
    """

    def __init__(
        self, model: MultimodalClusteringNetwork, stores: Stores, options: SecondsOptions
    ) -> None:
        self.model, self.stores, self.options = model, stores, options
        self.modes = ("v", "a", "va") if model.has_audio else ("v",)
        if options.score_mode not in self.modes:
            raise UserError(
                f"score_mode {options.score_mode}, but the model has no audio branch",
                f"one of {', '.join(self.modes)}",
                "set score_mode: v",
            )

    def embed(self, video_id: str, least_seconds: int, too_short: str) -> SecondEmbeddings | str:
        """All modes of a video; or why there are none: no pictures, or `too_short` below `least_seconds`."""
        found = second_features(self.stores, self.options.video_features, video_id)
        if isinstance(found, str):
            return found
        features, start = found
        if len(features) < least_seconds:
            return too_short
        return SecondEmbeddings(start, len(features), self._modes(video_id, features, start))

    def _modes(
        self, video_id: str, features: np.ndarray, start: float
    ) -> dict[str, np.ndarray | str]:
        options = self.options
        visual = embed_features(self.model, features, options.batch_size)
        if not self.model.has_audio:
            return {"v": visual}
        width = options.audio_window_seconds
        audio = embed_audio(
            self.model,
            self.stores[audio_feature(self.model)],
            second_windows(video_id, start, len(features), width),
            options.audio_frames,
            options.batch_size,
        )
        absent = next((reason for reason in audio.reasons if reason), "")
        if not absent:
            return {"v": visual, "a": audio.vectors, "va": visual + audio.vectors}
        alone = visual if options.missing_modality == "video_only" else absent
        return {"v": visual, "a": absent, "va": alone}
