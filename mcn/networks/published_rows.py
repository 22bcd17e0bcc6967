"""Rows of the state dicts that others published: which count, what they are called here, which sizes they tell.

Conventions
-----------
- `rows`: parameter or buffer name -> tensor, already without the wrapping of `mcn.networks.resnext3d.unwrap`.
- `source` names the file in errors.
- Sources of the names: `brian7685/Multimodal-Clustering-Network`, `roudimit/AVLnet`, `antoine77340/howto100m`,
  `ninatu/everything_at_once`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mcn.errors import UserError

logger = logging.getLogger(__name__)

AUDIO_PREFIX = "DAVEnet."
# Miech et al. name the text branch differently (its gates declare a batch norm that no computation uses), Everything at
# Once the audio network
RENAMES = {
    "text_pooling.": "text_pooling_caption.",
    "GU_text.": "GU_text_captions.",
    "davenet.": AUDIO_PREFIX,
}
# a row of a file that is no model -> what the file is, and what reads it
OTHER_NETWORKS = {
    "conv_2c.conv1.weight": "an S3D of MIL-NCE, which embeds pixels; it is not read here",
    "text_module.fc1.weight": "an S3D of MIL-NCE, which embeds pixels; it is not read here",
    "layer1.0.conv3.weight": "a ResNet of pictures or frames: name it in features.resnet152.weights or "
    "features.resnext101.weights",
    "layer4.0.conv1.weight": "a ResDAVEnet alone: name it in model.audio_weights or features.davenet.weights",
}
UNUSED_BATCH_NORM = ".cg.batch_norm."
UNUSED_SOUND_GATE = "GU_audio."  # which AVLnet-Text-Fused declares
# heads of the Sinkhorn variant: they see the clustering objective, never an embedding
CLUSTERING_HEADS = ("projection_head.", "classification.", "classification2.", "classification3.")


def published_name(name: str) -> str:
    """The name that a row of a published file has here."""
    return renamed(name.removeprefix("module."))


def without_unused(
    rows: Mapping[str, Tensor], source: str, unused_heads: tuple[str, ...] = CLUSTERING_HEADS
) -> dict[str, Tensor]:
    """`rows` without those that no embedding depends on; what is left out is logged."""
    unused = [name for name in rows if UNUSED_BATCH_NORM in name or name.startswith(unused_heads)]
    if unused:
        logger.info("%s: left out, no embedding uses them: %s", source, ", ".join(sorted(unused)))
    return {name: row for name, row in rows.items() if name not in unused}


def renamed(name: str) -> str:
    """The name here of a row, of a file without `module.` prefixes."""
    for theirs, ours in RENAMES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def infer_settings(rows: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """Constructor arguments that fit the shapes of `rows`. Rows that are not there, or no matrices: `UserError`."""
    embedding_width, video_width = _matrix(rows, "GU_video.fc.weight", source)
    settings: dict[str, Any] = {
        "video_width": video_width,
        "word_width": None,
        "embedding_width": embedding_width,
        "davenet_widths": None,
        "audio_width": None,
        "reconstruction_width": None,
    }
    if any(name.startswith("text_pooling_caption.") for name in rows):
        settings["word_width"] = _matrix(rows, "text_pooling_caption.fc.weight", source)[1]
    if any(name.startswith(AUDIO_PREFIX) for name in rows):
        settings["davenet_widths"] = davenet_widths(rows, AUDIO_PREFIX, source)
    if any(name.startswith("recon_") for name in rows):
        settings["reconstruction_width"] = _matrix(rows, "recon_v.0.weight", source)[0]
    return settings


def davenet_widths(rows: Mapping[str, Tensor], prefix: str, source: str) -> list[int]:
    """Channels of the four stages of a ResDAVEnet, whose rows begin with `prefix`. A row is missing: `UserError`."""
    names = [f"{prefix}layer{stage}.0.conv1.weight" for stage in (1, 2, 3, 4)]
    return [_row(rows, name, source).shape[0] for name in names]


def _matrix(rows: Mapping[str, Tensor], name: str, source: str) -> tuple[int, int]:
    row = _row(rows, name, source)
    if row.dim() != 2:
        raise unreadable(source, f"has a {name} of shape {tuple(row.shape)}, not a matrix")
    return row.shape[0], row.shape[1]


def _row(rows: Mapping[str, Tensor], name: str, source: str) -> Tensor:
    if name not in rows:
        found = ", ".join(sorted(rows)[:5])
        other = next((what for row, what in OTHER_NETWORKS.items() if row in rows), "")
        known = f"is {other}" if other else f"has no {name}; it begins with {found}"
        raise unreadable(source, known)
    return rows[name]


def unreadable(path: Path | str, problem: str) -> UserError:
    """The error of a file of which `problem` is true, a clause that follows `which`."""
    return UserError(
        f"{path}, which {problem}",
        "a state dict of a published network (.pth, .pt) or a .safetensors file",
        "check that this is the right file and that it was downloaded whole",
    )
