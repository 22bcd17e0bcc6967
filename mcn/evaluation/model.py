"""A model that is evaluated, apart from any data set: what it reads, and how its network is run.

Conventions: a network with `takes_frames` embeds the rows of a clip, of pictures or of sound, and the clip is their
mean, of unit length; with `late` the mean as it is.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.evaluation.inputs import require_width
from mcn.networks.embedding import EmbeddingNetwork
from mcn.options.model import ModelFeatures, ModelOptions

ROWS = 1024  # of a long clip that are embedded at a time


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
    # to set a mode costs more than to ask for it
    if any(layer.training for layer in model.modules()):
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


def device_of(model: EmbeddingNetwork) -> torch.device:
    """Where a model is."""
    return next(itertools.chain(model.parameters(), model.buffers())).device


def mean_frames(
    model: EmbeddingNetwork, names: Sequence[str], clips: Sequence[Sequence[np.ndarray]]
) -> Tensor:
    """Embeddings (n, d) of clips: the mean of each one's frames, and of the visual features'.

    names: of the visual features, whose rows (frames, D) every clip has in this order.
    """
    vectors = []
    for clip in clips:
        means = []
        for feature, rows in enumerate(clip):
            require_width(names[feature], rows.shape[1], model.video_widths[feature])
            means.append(_mean_of_rows(model, partial(model.embed_frames, feature), rows))
        joined = torch.stack(means)
        joined = _finished(model, joined) if model.separate else joined
        whole = joined.mean(dim=0)
        if model.late and model.separate:
            whole *= len(joined) ** 0.5  # each text side by side has 1 / sqrt(n) of unit length
        vectors.append(whole)
    return _finished(model, torch.stack(vectors))


def mean_sounds(model: EmbeddingNetwork, name: str, clips: Sequence[np.ndarray]) -> Tensor:
    """Embeddings (n, d) of clips of sound: the mean of each one's rows (rows, D) of the feature `name`."""
    assert model.sound_width is not None
    require_width(name, clips[0].shape[1], model.sound_width)
    means = [_mean_of_rows(model, model.embed_sounds, rows) for rows in clips]
    return _finished(model, torch.stack(means))


def _mean_of_rows(
    model: EmbeddingNetwork, embed: Callable[[Tensor], Tensor], rows: np.ndarray
) -> Tensor:
    """The mean (d,) of the embeddings of rows (n, D), so many at a time."""
    parts = [
        embed(torch.from_numpy(rows[first : first + ROWS].astype("f4")).to(device_of(model)))
        for first in range(0, len(rows), ROWS)
    ]
    return torch.cat(parts).mean(dim=0)


def _finished(model: EmbeddingNetwork, means: Tensor) -> Tensor:
    """Means (n, d) of rows of unit length, as the network has them: of unit length, or as they are."""
    return means if model.late else F.normalize(means, dim=1)
