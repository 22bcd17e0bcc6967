"""Ordered alignment: given a video's transcript (its actions in order), find where each item begins and ends.

Conventions
-----------
- `log_probabilities` (T, C): log-probability of class c in frame t; -inf is allowed, NaN and +inf are ValueError.
- `transcript` (N,): class ids in order, background among them where it is a class; a class may come again, also at
  once. Frames are assigned to its items 0, 1, ..., N - 1: every item takes one or more frames, none is left over.
- The programme is exact: D[t, n] = logp[t, a_n] + max(D[t-1, n], D[t-1, n-1]), in O(T N). T < N has no solution:
  ValueError. Ties: every item begins as early as is equally good, the last first.
- Background is given by class index (in Mining YouTube's 513 classes the last, 512, not 0); `background` holds any
  number of such indices.
- `truth` and `predicted` of `evaluate` are the transcript item of every frame, -1 where none lies there: beyond the
  last second that could be predicted, or between annotated steps where the transcript has no background. Such a frame
  counts as background. True items need not be in order, nor all be there (steps overlap; one may be shorter than a
  frame): an item without a frame counts as not found.
- Results of `evaluate` are percent; single metrics are fractions of one video. D is what is predicted, G the truth:
  IoU = |G and D| / |G or D|, IoD = |G and D| / |D|.

Metrics
-------
- `segmentwise` (the declared default): the n-th transcript item as predicted against the n-th as true, mean over items
  that are not background.
- `classmask`: all frames of a class against all true frames of it, mean over the classes that are in the truth.
- `hull`: for every true segment the best predicted segment of the same class, its union being the hull
  max(end) - min(start), mean over true segments that are not background (as the ISBA / TCFPN code does).
- `frame_accuracy`: share of frames with the right class.

Sources: Chen et al. 2021 (MCN), Kuehne et al. 2019 (Mining YouTube). Which averaging the published IoD and IoU used is
not known, therefore all are named.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

VARIANTS = ("", "_classmask", "_classmask_with_background", "_hull")  # of IoU and IoD in `evaluate`


class Overlap(NamedTuple):
    """Mean IoU and IoD of one video, fractions."""

    iou: float
    iod: float


def validate(
    log_probabilities: np.ndarray, transcript: np.ndarray, least: int | None = None
) -> None:
    """Raise ValueError unless the arguments fit `align`; least: frames that are needed, by default one an item."""
    if log_probabilities.ndim != 2:
        raise ValueError(f"got shape {log_probabilities.shape}, wanted (frames, classes)")
    if transcript.ndim != 1 or len(transcript) == 0 or transcript.dtype.kind not in "iu":
        got = f"{transcript.dtype} of shape {transcript.shape}"
        raise ValueError(f"got a transcript of {got}, wanted class ids (N,), N >= 1")
    frames, classes = log_probabilities.shape
    if transcript.min() < 0 or transcript.max() >= classes:
        got = f"{transcript.min()} to {transcript.max()}"
        raise ValueError(f"got class ids from {got}, wanted 0 to {classes - 1}")
    least = len(transcript) if least is None else least
    if frames < least:
        raise ValueError(
            f"got {frames} frames for {len(transcript)} items, wanted at least {least}"
        )
    if np.isnan(log_probabilities).any() or np.isposinf(log_probabilities).any():
        raise ValueError("got NaN or +inf among the log-probabilities, wanted numbers or -inf")


def align(log_probabilities: np.ndarray, transcript: np.ndarray) -> np.ndarray:
    """Class id of every frame (T,) on the best path through the transcript; see Conventions.

    >>> align(np.log([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]), np.array([0, 1])).tolist()
    [0, 1, 1]
    """
    return np.asarray(transcript)[align_items(log_probabilities, transcript)]


def align_items(log_probabilities: np.ndarray, transcript: np.ndarray) -> np.ndarray:
    """Transcript item (0 .. N-1) of every frame (T,) on the best path."""
    transcript = np.asarray(transcript)
    log_probabilities = np.asarray(log_probabilities, np.float64)
    validate(log_probabilities, transcript)
    frames, items = len(log_probabilities), len(transcript)
    scores = log_probabilities[:, transcript]
    advanced = np.zeros((frames, items), bool)
    best = np.full(items, -np.inf)
    best[0] = scores[0, 0]
    for t in range(1, frames):
        advanced[t, 1:] = best[:-1] > best[1:]
        best[1:] = np.maximum(best[:-1], best[1:])
        best += scores[t]
    # items that only an advance in every frame can reach: their -inf must not be mistaken for a probability of zero
    advanced[np.arange(1, items), np.arange(1, items)] = True
    path = np.empty(frames, np.int64)
    item = items - 1
    for t in reversed(range(frames)):
        path[t] = item
        item -= int(advanced[t, item])
    return path


def segments(labels: np.ndarray) -> np.ndarray:
    """Runs of equal labels (T,) as rows (label, start, end), end exclusive."""
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    return np.stack([labels[starts], starts, np.append(starts[1:], len(labels))], axis=1)


def segmentwise(
    truth: np.ndarray,
    predicted: np.ndarray,
    transcript: np.ndarray,
    background: Collection[int] = (),
) -> Overlap:
    """Mean over transcript items that are not background; `truth` and `predicted` are items (T,), not classes."""
    _validate_labels(truth, predicted)
    _validate_items(truth, transcript, "truth")
    _validate_items(predicted, transcript, "prediction")
    counted = np.flatnonzero(~np.isin(transcript, list(background)))
    return _mean([_overlap(truth == item, predicted == item) for item in counted])


def classmask(
    truth: np.ndarray, predicted: np.ndarray, background: Collection[int] = ()
) -> Overlap:
    """Mean over the classes in the truth, `background` left out; class ids (T,)."""
    _validate_labels(truth, predicted)
    counted = np.setdiff1d(truth, list(background))
    return _mean([_overlap(truth == label, predicted == label) for label in counted])


def hull(truth: np.ndarray, predicted: np.ndarray, background: Collection[int] = ()) -> Overlap:
    """Mean over true segments that are not background, each with its best predicted one; class ids (T,).

    IoU and IoD are maximised apart. A segment whose class is not predicted counts as 0.
    """
    _validate_labels(truth, predicted)
    guesses = segments(predicted)
    found = []
    for label, start, end in segments(truth):
        if label in background:
            continue
        _, starts, ends = guesses[guesses[:, 0] == label].T
        shared = np.maximum(np.minimum(ends, end) - np.maximum(starts, start), 0)
        union = np.maximum(ends, end) - np.minimum(starts, start)
        iou, iod = shared / union, shared / (ends - starts)
        found.append(Overlap(float(iou.max(initial=0)), float(iod.max(initial=0))))
    return _mean(found)


def frame_accuracy(
    truth: np.ndarray, predicted: np.ndarray, background: Collection[int] = ()
) -> float:
    """Share of frames with the right class, true background left out; NaN where no frame is left."""
    _validate_labels(truth, predicted)
    counted = ~np.isin(truth, list(background))
    return float((truth == predicted)[counted].mean()) if counted.any() else float("nan")


def evaluate(
    truth: np.ndarray,
    predicted: np.ndarray,
    transcript: np.ndarray,
    background: Collection[int] = (),
) -> dict[str, float]:
    """All variants of one video, percent, by name; `truth` and `predicted` are transcript items (T,).

    IoU and IoD without a suffix are the segment-wise ones; `_with_background` counts background as a class.
    """
    transcript = np.asarray(transcript)
    items = segmentwise(truth, predicted, transcript, background)
    # item -1 is the last entry: background
    class_of = np.append(transcript, min(background, default=-1))
    background = {*background, -1}
    classes = class_of[truth], class_of[predicted]
    overlaps = [
        items,
        classmask(*classes, background),
        classmask(*classes),
        hull(*classes, background),
    ]
    scores = {f"IoU{name}": 100 * one.iou for name, one in zip(VARIANTS, overlaps, strict=True)}
    scores |= {f"IoD{name}": 100 * one.iod for name, one in zip(VARIANTS, overlaps, strict=True)}
    scores["frame_accuracy"] = 100 * frame_accuracy(*classes, background)
    scores["frame_accuracy_with_background"] = 100 * frame_accuracy(*classes)
    return scores


def _overlap(truth: np.ndarray, predicted: np.ndarray) -> Overlap:
    shared, wanted = int((truth & predicted).sum()), int((truth | predicted).sum())
    return Overlap(shared / max(wanted, 1), shared / max(int(predicted.sum()), 1))


def _mean(overlaps: list[Overlap]) -> Overlap:
    if not overlaps:
        return Overlap(float("nan"), float("nan"))
    return Overlap(*(float(np.mean(values)) for values in zip(*overlaps, strict=True)))


def _validate_items(items: np.ndarray, transcript: np.ndarray, name: str) -> None:
    if items.dtype.kind not in "iu" or items.min() < -1 or items.max() >= len(transcript):
        got = f"{items.dtype} from {items.min()} to {items.max()}"
        raise ValueError(
            f"got a {name} of {got}, wanted transcript items -1 to {len(transcript) - 1}"
        )


def _validate_labels(truth: np.ndarray, predicted: np.ndarray) -> None:
    if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
        got = f"truth {truth.shape} and prediction {predicted.shape}"
        raise ValueError(f"got {got}, wanted one shape (frames,), frames >= 1")
