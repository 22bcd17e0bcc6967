"""Ordered alignment with a Poisson model of how long an action lasts: the programme of Mining YouTube's own aligner.

Conventions
-----------
- `log_probabilities` (T, C) of frames and `transcript` (N,) are as in `mcn.evaluation.alignment.programme`. Lengths are
  frames: `mean_lengths` (C,) has the expected length of each class.
- Log-score of a segment of l frames of class c with mean m: l log m - m - log l! less what this is at l = m, where m is
  rounded as the official table has it; l >= `longest` is impossible. The official program stops with an IndexError at
  5,000 frames exactly, and so at any video from about 4,980 frames (166 s) that its pruning spares.
- Time moves in chunks of `frame_sampling` frames. A path is a sequence of nodes, one before the first chunk and one for
  every begun chunk. A chunk's score counts for the node before it, so that the first `frame_sampling` frames count
  twice (their first frame thrice) and the last chunk not at all; a length is `frame_sampling` times the number of
  nodes; the frames of node j + 1 are those of chunk j. An item that has the first node alone gets no frame.
- Sums run in the order and in the precision of the official program: cumulative sums of frames in float32, all others
  in float64. After every chunk the `hypotheses` best (item, length) are kept. Of equal scores the later found is taken
  there, in the order of a Python 2 dictionary; here the shortest.
- N nodes or more are needed: T > (N - 2) * frame_sampling, else ValueError; ValueError too where pruning leaves no path
  to the end of the transcript. The official program gives part of the transcript there, with a score of -inf.

Source: hildekuehne/Mining_YouTube_dataset video_alignment (frame_sampling 20, 50,000 hypotheses, mean length 150 frames
of every class, longest 5,000), a form of NN-Viterbi (Richard et al. 2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcn.evaluation.alignment.programme import validate

LONGEST = 5000  # frames
HYPOTHESES = 50_000
FRAME_SAMPLING = 20  # frames
MEAN_LENGTH = 150.0  # frames


class PoissonPath(NamedTuple):
    """The transcript item of every frame (T,), and the score of the path."""

    items: np.ndarray
    score: float


def length_scores(mean_lengths: np.ndarray, lengths: np.ndarray, longest: int) -> np.ndarray:
    """Log-scores (L, C) of segments of `lengths` (L,) frames; see Conventions. Errors: ValueError for means below 1."""
    means = np.asarray(mean_lengths, np.float64)
    if means.ndim != 1 or not np.isfinite(means).all() or (means < 1).any():
        raise ValueError("got mean lengths other than (C,) numbers of 1 frame or more")
    factorials = np.concatenate([np.zeros(2), np.cumsum(np.log(np.arange(2, longest)))])
    rounded = np.round(means)
    norms = rounded * np.log(rounded) - rounded
    norms -= factorials[np.minimum(means.astype(np.int64), longest - 1)]
    scores = np.full((len(lengths), len(means)), -np.inf)
    possible = (lengths > 0) & (lengths < longest)
    some = lengths[possible]
    table = some[:, None] * np.log(means) - means - factorials[some][:, None] - norms
    scores[possible] = table
    return scores


def align_poisson(
    log_probabilities: np.ndarray,
    transcript: np.ndarray,
    mean_lengths: np.ndarray | float = MEAN_LENGTH,
    frame_sampling: int = FRAME_SAMPLING,
    hypotheses: int = HYPOTHESES,
    longest: int = LONGEST,
) -> PoissonPath:
    """The best path through the transcript; see Conventions.

    longest: what a segment cannot last [frames]. Probabilities with one above 0 are moved down by twice the largest, as
    the official program does.
    """
    transcript = np.asarray(transcript)
    frames = np.asarray(log_probabilities, np.float32)
    validate(frames, transcript, max(1, (len(transcript) - 2) * frame_sampling + 1))
    highest = frames.max()
    if highest > 0:
        frames = frames - 2 * highest
    first, chunks = _chunk_scores(frames, frame_sampling)
    scores, items = chunks[:, transcript], len(transcript)
    nodes = len(chunks) + 1
    means = np.broadcast_to(np.asarray(mean_lengths, np.float64), (frames.shape[1],))
    passed = frame_sampling * np.arange(1, nodes + 1)
    lengths = length_scores(means, passed, longest)[:, transcript].T
    best = np.full((items, nodes), -np.inf)  # of item n with l + 1 nodes
    best[0, 0] = first[transcript[0]]
    before = np.zeros((len(chunks), items), np.int64)  # nodes of the item before, less 1
    for chunk, gained in enumerate(scores):
        reached = best + gained[:, None]
        ended = reached + lengths
        before[chunk, 1:] = ended[:-1].argmax(axis=1)
        best[:, 1:] = reached[:, :-1]
        best[0, 0] = -np.inf
        best[1:, 0] = ended[:-1].max(axis=1)
        _prune(best, hypotheses)
    final = best[-1] + lengths[-1]
    last = int(final.argmax())
    if not np.isfinite(final[last]):
        raise ValueError(f"no path of {items} items through {len(frames)} frames is possible")
    return PoissonPath(_trace(before, last, len(frames), frame_sampling), float(final[last]))


def _chunk_scores(frames: np.ndarray, sampling: int) -> tuple[np.ndarray, np.ndarray]:
    """Score of the node before the first chunk (C,), and of every chunk (K, C); float64 of float32 differences."""
    sums = np.cumsum(frames, axis=0)
    ends = sums[::sampling]
    chunks = np.concatenate([ends[:1], ends[1:] - ends[:-1]])
    return sums[min(sampling, len(sums)) - 1].astype(np.float64), chunks.astype(np.float64)


def _prune(best: np.ndarray, hypotheses: int) -> None:
    """Leave only the `hypotheses` best of all, in place."""
    if np.isfinite(best).sum() > hypotheses:
        flat = best.reshape(-1)
        flat[np.argpartition(flat, -hypotheses)[:-hypotheses]] = -np.inf


def _trace(before: np.ndarray, last: int, frames: int, sampling: int) -> np.ndarray:
    """Item of every frame, from the nodes of the last item, less 1, and those of the items before."""
    nodes = np.zeros(len(before) + 1, np.int64)
    end, item, length = len(nodes), before.shape[1] - 1, last + 1
    while item >= 0:
        nodes[end - length : end] = item
        end -= length
        if item:
            length = int(before[end - 1, item]) + 1
        item -= 1
    return np.repeat(nodes[1:], sampling)[:frames]
