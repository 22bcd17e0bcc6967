"""What reaches a model of a data set's features: shards, rows of a clip, padded sound, reasons for what is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment, Vocabulary
from mcn.networks.davenet import ResDavenet
from mcn.networks.embedding import EmbeddingNetwork
from mcn.options.model import ModelFeatures
from mcn.shards import FeatureSequence, FeatureStore
from mcn.shards.clips import (
    accurate_rows,
    mel_rows,
    pool,
    pool_parts,
    rate_of,
    row_tokens,
    rows_between,
    unit_length,
)
from mcn.shards.mapped import MappedFeatures

Stores = Mapping[str, FeatureStore]


@dataclass(frozen=True)
class ClipReader:
    """What a network takes of a clip or text, or the reason `modality: code` why there is nothing.

    tokens: rows of a clip, for networks of rows; None: as many as in training. accurate: they are those that
    `mcn.shards.clips.accurate_rows` gives, else those of `rows_between`. long_clips: what becomes of a clip with more
    (`mcn.shards.clips.row_tokens`).
    """

    model: EmbeddingNetwork
    inputs: ModelFeatures
    stores: Stores
    tokens: int | None = None
    accurate: bool = False
    long_clips: str = "first"

    def visual(self, clip: Moment) -> np.ndarray | str:
        """The visual features of a clip (D,), or (parts, D), side by side."""
        if self.model.units_are_rows:
            return self._row_tokens(clip)
        parts, units = [], self.model.visual_units
        for name in self.inputs.video:
            sequence = self.stores[name][clip.video_id]
            if sequence.values is None:
                return absence("video", sequence)
            window, rate = clip.within(sequence), rate_of(sequence)
            if units:
                parts.append(pool_parts(sequence.values, *window, rate, units))
            else:
                parts.append(pool(sequence.values, *window, rate))
        if not all(part.any() for part in parts):
            return "video: empty_window"
        return np.concatenate(parts, axis=-1)

    def frames(self, clip: Moment) -> list[np.ndarray] | str:
        """The rows of a clip, of every visual feature."""
        found = []
        for name in self.inputs.video:
            sequence = self.stores[name][clip.video_id]
            if sequence.values is None:
                return absence("video", sequence)
            window, rate = clip.within(sequence), rate_of(sequence)
            rows = accurate_rows if self.accurate else rows_between
            found.append(sequence.values[rows(*window, rate, len(sequence.values))])
        return found if all(map(len, found)) else "video: empty_window"

    def sound(self, clip: Moment, audio_frames: int) -> np.ndarray | str:
        """Log-mels of a clip (n, 40), at most `audio_frames`; or the mean (D,) of another audio feature."""
        if self.model.DAVEnet is None:
            found = self.sounds(clip)
            return found if isinstance(found, str) else found.mean(axis=0, dtype=np.float32)
        store = self.stores[str(self.inputs.audio)]
        sequence = store[clip.video_id]
        if sequence.values is None:
            return absence("audio", sequence)
        of_clip = store.recipe.get("reference") == "clip"
        rows = mel_rows(sequence.values, *clip.within(sequence), audio_frames, of_clip)
        return rows if len(rows) else "audio: empty_window"

    def sounds(self, clip: Moment) -> np.ndarray | str:
        """The rows of a clip, of the audio feature."""
        sequence = self.stores[str(self.inputs.audio)][clip.video_id]
        if sequence.values is None:
            return absence("audio", sequence)
        span = clip.within(sequence)
        rows = sequence.values[rows_between(*span, rate_of(sequence), len(sequence.values))]
        return rows if len(rows) else "audio: empty_window"

    def heard(self, audio_frames: int) -> int:
        """Log-mel frames of a clip: `audio_frames`; of networks of rows no more tokens of sound than of pictures.

        Where the tokens are chosen from a long clip, all of its sound is heard.
        """
        network = self.model.DAVEnet
        if network is None or not self.model.units_are_rows or self.long_clips != "first":
            return audio_frames
        return min(audio_frames, self.most_tokens * network.ratio)

    @property
    def most_tokens(self) -> int:
        """Tokens of a clip, for networks of rows."""
        return self.tokens or self.model.visual_units

    def words(self, text: str, vocabulary: Vocabulary, most: int) -> np.ndarray | str:
        """The vectors (most, W) of a text's first known words, zero rows behind them."""
        words = vocabulary.words(text, most)
        padding = ((0, most - len(words)), (0, 0))
        return np.pad(words, padding) if len(words) else "text: no_known_word"

    def _row_tokens(self, clip: Moment) -> np.ndarray | str:
        found = self.frames(clip)
        if isinstance(found, str):
            return found
        count = self.most_tokens
        rates = [rate_of(self.stores[name][clip.video_id]) for name in self.inputs.video]
        rows = [unit_length(one) for one in row_tokens(found, rates, count, self.long_clips)]
        side_by_side = np.concatenate(rows, axis=-1)
        return np.pad(side_by_side, ((0, count - len(side_by_side)), (0, 0)))


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


def audio_batch(
    rows: Sequence[np.ndarray], audio_frames: int, network: ResDavenet
) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel rows (n, 40) of each clip -> (B, 40, T) float32 padded with 0 dB, and valid frames (B,).

    network: what they are for; beyond its reach padding is seen by no valid column.
    """
    valid = np.array([len(one) for one in rows])
    needed = -(-(int(valid.max()) + network.reach) // network.ratio) * network.ratio
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
