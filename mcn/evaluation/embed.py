"""From feature shards to embeddings: clips and texts through a model, one modality at a time.

Conventions
-----------
- What has no input (no such stream, a failed video, a window outside the features, a text without a known word) gets
  a zero vector and a reason `modality: code`; it is for the caller to count it, never to use it.
- Clips: every visual feature max-pooled and L2-normalised, then concatenated (MCN youtube_dataloader.py:172-191); so
  for every equal part of the clip, where the network takes parts.
- Audio: log-mels, padded with 0 dB, pooled over valid columns only; or, for a model with frozen audio, the mean of
  the davenet rows. Log-mels are padded to `audio_frames` or to where padding no longer reaches a valid column,
  whichever is shorter: the same numbers for a fraction of the work.
- Models run where their parameters are, in float32, in eval mode, and are handed back in the mode they came in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mcn.errors import UserError, several
from mcn.evaluation.annotations import Moment, Vocabulary
from mcn.networks.davenet import ResDavenet
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.options.evaluation import EvaluationOptions
from mcn.shards import FeatureSequence, FeatureStore
from mcn.shards.clips import mel_rows, pool, pool_parts, rate_of, rows_between

Stores = Mapping[str, FeatureStore]
Item = TypeVar("Item")
# what a ResDAVEnet column sees to each side of its first frame: over its 16 convolutions, 4 * the stride so far
REACH_FRAMES = 420


@dataclass(frozen=True)
class Embedded:
    """One modality of N items: `vectors` (N, d) float32; `reasons` (N): '' or why the item has none."""

    vectors: np.ndarray
    reasons: list[str]

    @property
    def present(self) -> np.ndarray:
        """bool (N,)."""
        return np.array([not reason for reason in self.reasons], bool)


@contextlib.contextmanager
def evaluating(model: MultimodalClusteringNetwork) -> Iterator[None]:
    """Eval mode, no gradients, float32 convolutions that repeat themselves; what was set is restored."""
    was_training = model.training
    model.eval()
    try:
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), exact:
            yield
    finally:
        model.train(was_training)


def audio_feature(model: MultimodalClusteringNetwork) -> str:
    """The feature that the model hears: `logmel`, or `davenet` where its audio is frozen."""
    return "davenet" if model.DAVEnet is None else "logmel"


def require_videos(stores: Stores, video_ids: Sequence[str]) -> None:
    """`UserError` naming every annotated video that a feature has no row of, failed rows being rows."""
    wanted = sorted(set(video_ids))
    problems = [
        f"{name}: no row of video {video_id}"
        for name, store in stores.items()
        for video_id in wanted
        if video_id not in store
    ]
    if problems:
        cure = "extract the features of the whole set, or correct the annotations"
        raise several(problems, "a row of every annotated video", cure)


def embed_video(
    model: MultimodalClusteringNetwork,
    stores: Stores,
    clips: Sequence[Moment],
    options: EvaluationOptions,
) -> Embedded:
    """Visual embeddings of clips."""

    def read(clip: Moment) -> np.ndarray | str:
        parts = []
        for name in options.video_features:
            sequence = stores[name][clip.video_id]
            if sequence.values is None:
                return absence("video", sequence)
            window, rate = clip.within(sequence), rate_of(sequence)
            if model.visual_units:
                parts.append(pool_parts(sequence.values, *window, rate, model.visual_units))
            else:
                parts.append(pool(sequence.values, *window, rate))
        if not all(part.any() for part in parts):
            return "video: empty_window"
        return np.concatenate(parts, axis=-1)

    return _embed(model, clips, read, _visual_batch(model), options.batch_size)


def embed_audio(
    model: MultimodalClusteringNetwork,
    store: FeatureStore,
    clips: Sequence[Moment],
    audio_frames: int,
    batch_size: int,
) -> Embedded:
    """Audio embeddings of clips from log-mels, at most `audio_frames` of each, or from davenet rows."""
    frozen = model.DAVEnet is None

    def read(clip: Moment) -> np.ndarray | str:
        sequence = store[clip.video_id]
        if sequence.values is None:
            return absence("audio", sequence)
        start, end = clip.within(sequence)
        if not frozen:
            rows = mel_rows(sequence.values, start, end, audio_frames)
            return rows if len(rows) else "audio: empty_window"
        rows = sequence.values[rows_between(start, end, rate_of(sequence), len(sequence.values))]
        return rows.mean(axis=0, dtype=np.float32) if len(rows) else "audio: empty_window"

    def run(rows: list[np.ndarray]) -> Tensor:
        if frozen:
            return model.embed_audio(_tensor(model, np.stack(rows)))
        log_mel, valid = audio_batch(rows, audio_frames)
        return model.embed_audio(_tensor(model, log_mel), _tensor(model, valid))

    order = np.argsort([clip.end - clip.start for clip in clips], kind="stable")
    found = _embed(model, [clips[i] for i in order], read, run, batch_size)
    back = np.argsort(order)
    return Embedded(found.vectors[back], [found.reasons[i] for i in back])


def audio_batch(rows: Sequence[np.ndarray], audio_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel rows (n, 40) of each clip -> (B, 40, T) float32 padded with 0 dB, and valid frames (B,)."""
    valid = np.array([len(one) for one in rows])
    ratio = ResDavenet.ratio
    needed = -(-(int(valid.max()) + REACH_FRAMES) // ratio) * ratio
    padded = np.zeros((len(rows), rows[0].shape[1], min(audio_frames, needed)), np.float32)
    for item, one in zip(padded, rows, strict=True):
        item[:, : len(one)] = one.T
    return padded, valid


def embed_features(
    model: MultimodalClusteringNetwork, features: np.ndarray, batch_size: int
) -> np.ndarray:
    """Visual embeddings (N, d) of ready clip features (N, video_width)."""
    return _embed(model, list(features), lambda row: row, _visual_batch(model), batch_size).vectors


def embed_text(
    model: MultimodalClusteringNetwork,
    vocabulary: Vocabulary,
    texts: Sequence[str],
    max_words: int,
    batch_size: int,
) -> Embedded:
    """Text embeddings from the first `max_words` known words, padded to that many."""
    _require_width("word vectors", vocabulary.vectors.shape[1], model.settings["word_width"])

    def read(text: str) -> np.ndarray | str:
        words = vocabulary.words(text, max_words)
        padding = ((0, max_words - len(words)), (0, 0))
        return np.pad(words, padding) if len(words) else "text: no_known_word"

    def run(words: list[np.ndarray]) -> Tensor:
        return model.embed_text(_tensor(model, np.stack(words)))

    return _embed(model, texts, read, run, batch_size)


def _embed(
    model: MultimodalClusteringNetwork,
    items: Sequence[Item],
    read: Callable[[Item], np.ndarray | str],
    run: Callable[[list[np.ndarray]], Tensor],
    batch_size: int,
) -> Embedded:
    vectors = np.zeros((len(items), model.embedding_width), np.float32)
    reasons: list[str] = []
    with evaluating(model):
        for start in range(0, len(items), batch_size):
            inputs = [read(item) for item in items[start : start + batch_size]]
            reasons += [one if isinstance(one, str) else "" for one in inputs]
            usable = [one for one in inputs if not isinstance(one, str)]
            if usable:
                rows = [start + i for i, one in enumerate(inputs) if not isinstance(one, str)]
                vectors[rows] = run(usable).float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise UserError("a model that gives NaN or infinity", "a trained model", "train it again")
    return Embedded(vectors, reasons)


def _visual_batch(model: MultimodalClusteringNetwork) -> Callable[[list[np.ndarray]], Tensor]:
    def run(rows: list[np.ndarray]) -> Tensor:
        features = np.stack(rows)
        _require_width("visual features", features.shape[-1], model.settings["video_width"])
        return model.embed_video(_tensor(model, features))

    return run


def _require_width(what: str, got: int, wanted: int) -> None:
    if got != wanted:
        cure = "use features and vectors made as those that the model was trained on"
        raise UserError(
            f"{what} of width {got}", f"width {wanted}, which the model was trained on", cure
        )


def _tensor(model: MultimodalClusteringNetwork, values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).to(next(model.parameters()).device)


def absence(modality: str, sequence: FeatureSequence) -> str:
    """`modality: code` of a sequence without values."""
    return f"{modality}: {sequence.error.partition(':')[0] or sequence.status}"
