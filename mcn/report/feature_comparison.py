"""The page of `mcn compare features`: likeliest causes, distributions over videos, worst videos; offline, no script."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcn.files import write_text
from mcn.published.causes import likely_causes
from mcn.published.compare_features import Comparison, worst_videos
from mcn.report.curves import POINTS, Panel, Series
from mcn.report.render import environment


def write_page(comparison: Comparison, output: Path, worst: int) -> None:
    """Write the page atomically."""
    page = (
        environment()
        .get_template("feature_comparison.html")
        .render(
            comparison=comparison,
            causes=likely_causes(comparison),
            panels=panels(comparison),
            worst=worst_videos(comparison, worst),
        )
    )
    write_text(output, page)


def panels(comparison: Comparison) -> list[Panel]:
    """Sorted values of the videos, as curves over the percent of videos that are not above them."""
    ratios = [theirs / ours for ours, theirs in (video.lengths for video in comparison.videos)]
    least = [video.least_cosine for video in comparison.videos]
    return [
        _panel("cosine", {"mean of rows": comparison.cosines, "least row": np.array(least)}),
        _panel("rows, published over ours", {"ratio": np.array(ratios)}),
    ]


def _panel(title: str, values: dict[str, np.ndarray]) -> Panel:
    share = np.linspace(0, 100, POINTS)
    series = [
        Series(label, share.tolist(), curve, curve[0], curve[-1])
        for label, found in values.items()
        for curve in [np.quantile(found, share / 100).tolist()]
    ]
    return Panel("train", title, "% of videos", series, [])
