"""What `mcn compare features` says of two sets: the measures in words, and what a difference most likely comes from.

Each rule looks at one measure of `mcn.published.compare_features` and says what it saw. The limits come from the table
"what equals what" in docs/published.md, which was measured by changing one step of the extraction at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mcn.published.compare_features import Comparison, worst_videos

SAME_COSINE = 0.99999  # float16 rounding of unit rows stays above
ROUNDING_COSINE = 0.999  # other devices, precisions and libraries stay above
SAME_GEOMETRY = 0.9  # linear CKA of rows that lie alike
SYSTEMATIC_SHARE = 0.3  # offset share from which the error is called the same everywhere
UNIT_TOLERANCE = 0.01
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SHIFT_GAIN = 0.01  # cosine that a shift must win


def likely_causes(comparison: Comparison) -> list[str]:
    """Sentences, the most telling first; never empty."""
    rate = list(_rate(comparison))
    # rows of two rates are not of the same moment
    times = [] if rate else [*_shift(comparison), *_ends(comparison)]
    causes = [*rate, *times, *_normalization(comparison)]
    return [*causes, *_values(comparison, explained=bool(causes))]


def _rate(comparison: Comparison) -> Iterator[str]:
    ratios = np.array([theirs / ours for ours, theirs in (v.lengths for v in comparison.videos)])
    ratio = float(np.median(ratios))
    one_row = np.median([1 / video.lengths[0] for video in comparison.videos])
    if abs(ratio - 1) > max(0.02, 1.5 * float(one_row)):
        yield f"frame rate: the published side has {ratio:.3f} times as many rows"


def _ends(comparison: Comparison) -> Iterator[str]:
    differing = [
        max(v.lengths) - min(v.lengths) for v in comparison.videos if len(set(v.lengths)) > 1
    ]
    if differing and max(differing) <= 2:
        yield f"ends: {len(differing)} videos differ by a row or two, as decoders do at a video's end"
    elif differing:
        yield f"lengths: {len(differing)} videos differ, by up to {max(differing)} rows: other files, or cut ones"


def _shift(comparison: Comparison) -> Iterator[str]:
    shifts = [video.shift for video in comparison.videos]
    common = max(set(shifts), key=shifts.count)
    gains = [video.shifted_cosine - video.cosine for video in comparison.videos]
    if common and shifts.count(common) > len(shifts) / 2 and np.median(gains) > SHIFT_GAIN:
        yield f"start: the published rows fit best {common:+d} rows ({common * comparison.steps[0]:+.3g} s) away"


def _normalization(comparison: Comparison) -> Iterator[str]:
    norms = np.array([video.norms for video in comparison.videos]).mean(axis=0)
    unit = np.abs(norms - 1) < UNIT_TOLERANCE
    if unit[0] != unit[1]:
        side = "published" if unit[0] else "our"
        yield f"normalisation: {side} rows have a mean norm of {norms[1 if unit[0] else 0]:.4g}, the others 1"
    elif not unit.any() and not math.isclose(norms[0], norms[1], rel_tol=UNIT_TOLERANCE):
        yield f"scale: mean norms are {norms[0]:.4g} and {norms[1]:.4g}"


def _values(comparison: Comparison, explained: bool) -> Iterator[str]:
    """What the cosines say. Where rate or start differ, the rows beside each other are not of the same moment."""
    cosine = float(np.median(comparison.cosines))
    if cosine >= SAME_COSINE:
        yield "values: the same to float16" if explained else "none: the same to float16"
    elif cosine >= ROUNDING_COSINE:
        yield "rounding: another device, precision or library version; the same recipe"
    elif comparison.offset_share >= SYSTEMATIC_SHARE and comparison.geometry >= SAME_GEOMETRY:
        yield "input scale: the error is the same everywhere: mean, standard deviation or pixel range"
    elif comparison.offset_share >= SYSTEMATIC_SHARE:
        yield "input scale or weights: a large error that is the same everywhere: mean, pixel range, V1/V2 weights"
    elif comparison.geometry >= SAME_GEOMETRY and cosine > 0.9:
        yield "preprocessing: small errors that go with the picture: resize or crop, decoder, or a slightly other mean"
    elif cosine < 0.5 and comparison.geometry >= 0.3:
        yield "weights: rows lie alike but their columns mean other things: another training (V1/V2 weights)"
    elif not explained:
        yield "colour order, weights or content: rows differ and lie otherwise: RGB/BGR, other weights, other videos"


def format_comparison(comparison: Comparison, worst: int) -> str:
    """The comparison as text."""
    cosines = comparison.cosines
    lengths = np.array([video.lengths for video in comparison.videos])
    differing = int((lengths[:, 0] != lengths[:, 1]).sum())
    quantiles = np.quantile(cosines, QUANTILES)
    lines = [
        f"{comparison.feature}: {comparison.names[0]} beside {comparison.names[1]}",
        f"videos on both sides {len(cosines)}; others: {comparison.unpaired or 'none'}",
        "cosine a video: "
        + ", ".join(f"{q:.0%} {value:.5f}" for q, value in zip(QUANTILES, quantiles, strict=True))
        + f"; mean {cosines.mean():.5f}",
        f"rows {lengths[:, 0].sum()} beside {lengths[:, 1].sum()}; lengths differ in {differing} videos",
        f"offset share {comparison.offset_share:.2f}, geometry {comparison.geometry:.3f}",
        "worst: "
        + ", ".join(
            f"{video.video_id} {video.cosine:.4f} ({video.lengths[0]}/{video.lengths[1]} rows)"
            for video in worst_videos(comparison, worst)
        ),
        *(f"likely: {cause}" for cause in likely_causes(comparison)),
    ]
    return "\n".join(lines)
