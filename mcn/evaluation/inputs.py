"""What reaches a model of a data set's features: opened shards, padded sound, and the reasons for what is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcn.errors import UserError
from mcn.networks.davenet import ResDavenet
from mcn.shards import FeatureSequence, FeatureStore
from mcn.shards.mapped import MappedFeatures

Stores = Mapping[str, FeatureStore]
# what a ResDAVEnet column sees to each side of its first frame: over its 16 convolutions, 4 * the stride so far
REACH_FRAMES = 420


def open_stores(shards: Mapping[str, Sequence[Path]]) -> Stores:
    """Feature name -> its opened shards; `UserError` naming every feature that has shards missing."""
    absent = [name for name, paths in shards.items() if not all(path.exists() for path in paths)]
    if absent:
        missing = next(p for name in absent for p in shards[name] if not p.exists())
        raise UserError(
            f"no shards of {', '.join(absent)} ({missing})",
            f"shards of {', '.join(shards)}, which the model reads",
            "extract these features of the data set",
        )
    return {name: MappedFeatures(paths) for name, paths in shards.items()}


def audio_batch(rows: Sequence[np.ndarray], audio_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel rows (n, 40) of each clip -> (B, 40, T) float32 padded with 0 dB, and valid frames (B,)."""
    valid = np.array([len(one) for one in rows])
    ratio = ResDavenet.ratio
    needed = -(-(int(valid.max()) + REACH_FRAMES) // ratio) * ratio
    padded = np.zeros((len(rows), rows[0].shape[1], min(audio_frames, needed)), np.float32)
    for item, one in zip(padded, rows, strict=True):
        item[:, : len(one)] = one.T
    return padded, valid


def absence(modality: str, sequence: FeatureSequence) -> str:
    """`modality: code` of a sequence without values."""
    return f"{modality}: {sequence.error.partition(':')[0] or sequence.status}"


def require_width(what: str, got: int, wanted: int) -> None:
    if got != wanted:
        cure = "use features and vectors made as those that the model was trained on"
        raise UserError(
            f"{what} of width {got}", f"width {wanted}, which the model was trained on", cure
        )
