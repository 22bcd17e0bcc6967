"""What `mcn compare features` prints."""

from __future__ import annotations

import numpy as np

from mcn.published.causes import likely_causes
from mcn.published.compare_features import Comparison, worst_videos

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


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
