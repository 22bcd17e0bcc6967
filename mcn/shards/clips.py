"""From feature sequences and narration lines to one clip: a video vector, a log-mel slice, word ids.

Conventions
-----------
- Times are seconds from container start. `pool` and `mel_slice` count from row 0 of their array;
  `clip_features` subtracts the sequence's `start_seconds` first.
- A clip is grown around one narration line (HowTo100M loader, MCN youtube_dataloader.py:109-144): while it is
  shorter than `min_seconds` it takes the neighbouring line that leaves it shorter, the previous one on a tie.
- Visual rows of a clip are int(start * rate) .. int(end * rate), both included (MCN youtube_dataloader.py:172-191).
- Log-mel columns are floor((t * 16000 - 200) / 160), what librosa calls time_to_frames, the end excluded. Here
  they are clamped at 0. The released loader does not clamp: a clip that starts before 0.0125 s gets columns from
  -1 or -2, an empty slice, and all-zero audio.
- Padding of log-mels is 0 dB, which is the loudest level there is; hence the number of valid frames goes along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mcn.shards.schemas import FeatureSequence

SAMPLE_RATE = 16_000
HOP_SAMPLES = 160  # 10 ms
HALF_WINDOW_SAMPLES = 200  # half of the 25 ms window: librosa's n_fft // 2
FLOAT16_INFINITY = 0x7C00  # bit pattern; NaNs and negative numbers lie above it as integers
SMALLEST_NORM = 1e-12  # as torch.nn.functional.normalize


def extend_window(
    starts: Sequence[float], ends: Sequence[float], index: int, min_seconds: float
) -> list[int]:
    """The narration lines joined around line `index`, in the order they were added.

    Joining stops when the clip, from the first line's start to the last line's end, lasts `min_seconds` or when
    there are no more lines. ValueError where the lists differ in length or `index` is not in them.
    """
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts but {len(ends)} ends")
    if not 0 <= index < len(starts):
        raise ValueError(f"line {index} of {len(starts)}")
    first = last = index
    joined = [index]
    while ends[last] - starts[first] < min_seconds:
        longer_before = ends[last] - starts[first - 1] if first else math.inf
        longer_after = ends[last + 1] - starts[first] if last + 1 < len(starts) else math.inf
        if first and longer_before <= longer_after:
            first -= 1
            joined.append(first)
        elif last + 1 < len(starts):
            last += 1
            joined.append(last)
        else:
            break
    return joined


def window_of(
    starts: Sequence[float], ends: Sequence[float], indices: Sequence[int]
) -> tuple[float, float]:
    """Start and end in seconds of joined lines."""
    return starts[min(indices)], ends[max(indices)]


def rows_between(start: float, end: float, rate: float, length: int) -> slice:
    """Rows int(start * rate) .. int(end * rate), both included, of `length` rows at `rate` a second.

    None where the clip ends before row 0. ValueError where a time is not a number.
    """
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(f"a clip from {start} s to {end} s")
    if end < 0:
        return slice(0, 0)
    return slice(max(0, int(start * rate)), min(length, int(end * rate) + 1))


def pool(features: np.ndarray, start: float, end: float, rate: float) -> np.ndarray:
    """Maximum over the rows of a clip, L2-normalised: (T, D) at `rate` rows a second -> (D,) float32.

    Zeros where the clip holds no row or only zeros. ValueError where a row holds NaN or infinity.
    """
    return unit_length(maximum(features[rows_between(start, end, rate, len(features))]))


def pool_parts(
    features: np.ndarray, start: float, end: float, rate: float, parts: int
) -> np.ndarray:
    """`pool` of each of `parts` equal parts of a clip: (T, D) -> (parts, D) float32."""
    edges = np.linspace(start, end, parts + 1).tolist()
    return np.stack([pool(features, *edge, rate) for edge in pairwise(edges)])


def row_tokens(
    rows: Sequence[np.ndarray], rates: Sequence[float], count: int, long_clips: str = "first"
) -> list[np.ndarray]:
    """Rows of each visual feature in a clip -> as many of each, at most `count`: (T_i, D_i) -> (n, D_i).

    The feature with the most rows a second (the last of several) keeps its rows; of the others the row is taken whose
    share of the clip is the nearest below. None where a feature has no row. long_clips: what becomes of a clip with
    more rows: `first`, the first ones; `nearest`, of every feature those nearest below `count` equal steps; `maximum`,
    before that the maximum over as many neighbouring rows as leave at least `count`. Source:
    `ninatu/everything_at_once` dataset/utils.py, create_video_features, strategies clip, nearest, max_pool.
    """
    fastest = max(range(len(rows)), key=lambda feature: (rates[feature], feature))
    wanted = len(rows[fastest])
    if not all(map(len, rows)):
        return [one[:0] for one in rows]
    if wanted <= count or long_clips == "first":
        return [one[_nearest(len(one), wanted)[:count]] for one in rows]
    together = [len(one) // count for one in rows]
    if long_clips == "maximum" and min(together) > 1:
        pooled = [maxima(one, size) for one, size in zip(rows, together, strict=True)]
        return row_tokens(pooled, rates, count, "nearest")
    return [one[_nearest(len(one), count)] for one in rows]


def maxima(rows: np.ndarray, together: int) -> np.ndarray:
    """The maximum over every `together` neighbouring rows, (T, D) -> (T // together, D); a rest is left out."""
    whole = len(rows) // together * together
    return rows[:whole].reshape(-1, together, rows.shape[1]).max(axis=1)


def _nearest(length: int, wanted: int) -> np.ndarray:
    """floor(i * length / wanted) for i < wanted, in float32, as torch.nn.functional.interpolate computes it."""
    scale = np.float32(length) / np.float32(wanted)
    rows = (np.arange(wanted, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(rows, length - 1)


def accurate_rows(start: float, end: float, rate: float, length: int) -> slice:
    """Rows floor(start * rate) .. ceil(end * rate), the last excluded, of `length` rows at `rate` a second.

    Source: `ninatu/everything_at_once` dataset/utils.py, get_slice with accurate_borders.
    """
    return slice(min(length, max(0, math.floor(start * rate))), min(length, math.ceil(end * rate)))


def maximum(rows: np.ndarray) -> np.ndarray:
    """(T, D) -> (D,) maximum over rows; zeros where there is none.

    Bit patterns of non-negative finite float16 are ordered like the numbers, and integers compare 30 times faster.
    The maximum itself shows whether that held: a negative number, NaN or infinity has a larger pattern than any.
    """
    if not len(rows):
        return np.zeros(rows.shape[1], rows.dtype)
    if rows.dtype == np.float16:
        bits = rows.view(np.uint16).max(axis=0)
        if bits.max() < FLOAT16_INFINITY:
            return bits.view(np.float16)
    return rows.max(axis=0)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """(..., D) -> the same in float32, L2-normalised; zeros stay. ValueError for NaN and infinity."""
    values = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.square(values).sum(axis=-1, keepdims=True))
    if not np.isfinite(norms).all():
        raise ValueError("features hold NaN or infinity")
    return values / np.maximum(norms, np.float32(SMALLEST_NORM))


def values_of(sequence: FeatureSequence) -> np.ndarray:
    """The (T, D) matrix; ValueError where the video has none."""
    if sequence.values is None:
        raise ValueError(f"{sequence.video_id} has no features: {sequence.status} {sequence.error}")
    return sequence.values


def rate_of(sequence: FeatureSequence) -> float:
    """Rows a second."""
    return 1 / sequence.step_seconds


def clip_features(
    resnet152: FeatureSequence, resnext101: FeatureSequence, start: float, end: float
) -> np.ndarray:
    """Appearance and motion of a clip, each pooled and normalised, appearance first: (D2 + D3,) float32."""
    return np.concatenate(
        [
            pool(values_of(one), start - one.start_seconds, end - one.start_seconds, rate_of(one))
            for one in (resnet152, resnext101)
        ]
    )


def mel_column(seconds: float) -> int:
    """Column of a log-mel at a time, not below 0: max(0, floor((t * 16000 - 200) / 160))."""
    return max(0, math.floor((seconds * SAMPLE_RATE - HALF_WINDOW_SAMPLES) / HOP_SAMPLES))


RANGE_DB = 80.0


def relative_levels(levels: np.ndarray, loudest: np.float32 | None = None) -> np.ndarray:
    """Levels in dB, any shape, below the loudest value, by default their own, floored at -80 dB."""
    reference = levels.max() if loudest is None else loudest
    return np.asarray(np.maximum(levels - reference, -RANGE_DB))


def mel_rows(
    log_mel: np.ndarray, start: float, end: float, frames: int, of_clip: bool = False
) -> np.ndarray:
    """The frames of a clip, at most `frames`: (T, 40) -> view (n, 40), n >= 0.

    of_clip: `log_mel` holds absolute levels, and the clip's loudest value is 0 dB; then not a view.
    """
    first, last = mel_column(start), mel_column(end)
    if of_clip and len(log_mel[first:last]):
        return relative_levels(log_mel[first:last])[:frames]
    return log_mel[first : min(last, first + frames)]


def mel_slice(log_mel: np.ndarray, start: float, end: float, frames: int) -> tuple[np.ndarray, int]:
    """A clip's log-mel in dB, cut or zero-padded at its end: (T, 40) -> ((40, frames) float32, valid frames)."""
    rows = mel_rows(log_mel, start, end, frames)
    padded = np.zeros((log_mel.shape[1], frames), np.float32)
    padded[:, : len(rows)] = rows.T
    return padded, len(rows)


def words_of(indices: Sequence[int], tokens: Sequence[Sequence[int]], max_words: int) -> list[int]:
    """Token ids of joined lines in the order the lines were added, the first `max_words`."""
    words: list[int] = []
    for index in indices:
        words.extend(tokens[index])
        if len(words) >= max_words:
            break
    return words[:max_words]
