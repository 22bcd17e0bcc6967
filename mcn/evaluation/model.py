"""A model that is evaluated, apart from any data: what it reads, and how its network is run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from mcn.networks.embedding import EmbeddingNetwork
from mcn.options.model import ModelFeatures, ModelOptions


def features_of(config: Mapping[str, Any], model: EmbeddingNetwork) -> ModelFeatures:
    """The features that a model reads, as its config.yaml says, those of modalities without a branch left out.

    Models of older versions name their audio feature alone; what else they read are the published features.
    """
    named = config.get("features") or {}
    if not isinstance(named.get("video"), list):  # in older files: the recipes by feature
        heard = config.get("audio_feature") or ("davenet" if model.DAVEnet is None else "logmel")
        named = {**ModelOptions().features._asdict(), "audio": heard}
    return ModelFeatures(
        tuple(named["video"]) if model.has_video else (),
        named.get("audio") if model.has_audio else None,
        named.get("text") if model.has_text else None,
    )


@contextlib.contextmanager
def evaluating(model: EmbeddingNetwork) -> Iterator[None]:
    """Eval mode, no gradients, float32 convolutions that repeat themselves; what was set is restored."""
    was_training = model.training
    if any(
        layer.training for layer in model.modules()
    ):  # to set a mode costs more than to ask for it
        model.eval()
    try:
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), exact:
            yield
    finally:
        if was_training:
            model.train()
