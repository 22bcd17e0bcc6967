"""The media matrix: a part of it in every run, all of it in the long one."""

from __future__ import annotations

import pytest

from tests.media_cases import CASES
from tests.media_matrix import table, wrong_lines

PART = [
    "mp4.h264.aac.mp4",
    "avi.h264.mp3.avi",
    "wmv.wmv2.wma2.wmv",
    "mpg.mpeg2.mp2.mpg",
    "raw.m2v",
    "offset.webm",
    "joined.ts",
    "cut_50.wmv.wmv2.wma2.wmv",
    "cut_50.mpg.mpeg2.mp2.mpg",
    "cut_90.animation.gif",
    "cut_50.ogg.ogg",
]


def test_a_part_of_the_matrix() -> None:
    text, counts = table(PART)
    assert wrong_lines(text) == []
    assert counts["equal"] >= 12


@pytest.mark.slow
def test_the_whole_matrix() -> None:
    """More than 300 files; `python -m tests.media_matrix` prints them."""
    text, counts = table(list(CASES))
    assert wrong_lines(text) == []
    assert len(CASES) >= 300
    assert counts["equal"] >= 390
