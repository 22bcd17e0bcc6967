"""What probing says about odd files."""

from __future__ import annotations

import pytest

from mcn.errors import VideoError
from mcn.media.probe import declared_seconds, probe, spot_check
from tests.media_files import make


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("plain.mp4", False),
        ("ntsc.mp4", False),
        ("mpeg4.avi", False),
        ("sixty.mkv", False),
        ("stream.ts", False),
        ("vp9.webm", False),
        ("variable.mp4", True),
        ("slides.mkv", True),
    ],
)
def test_variable_rate(name: str, variable: bool) -> None:
    video = probe(make(name)).video
    assert video is not None
    assert video.variable_rate is variable


def test_facts_of_a_plain_file() -> None:
    facts = probe(make("plain.mp4"))
    assert facts.seconds == pytest.approx(4, abs=0.05)
    assert facts.video is not None
    assert facts.audio is not None
    video, audio = facts.video, facts.audio
    assert (video.codec, video.width, video.height, video.frames_per_second) == (
        "h264",
        160,
        120,
        25,
    )
    assert (audio.codec, audio.sample_rate, audio.channels) == ("aac", 44100, 1)
    assert (video.start_seconds, video.end_seconds, video.turned) == (0, 4, False)


def test_rotation_late_start_channels_and_missing_streams() -> None:
    turned = probe(make("rotated_90.mp4")).video
    assert turned is not None
    assert (turned.width, turned.height, turned.turned) == (120, 160, True)
    late = probe(make("late_video.mp4")).video
    assert late is not None
    assert late.start_seconds == pytest.approx(1.52)
    surround = probe(make("surround.mp4")).audio
    assert surround is not None
    assert surround.channels == 6
    assert probe(make("no_audio.mp4")).audio is None
    assert probe(make("cover_art.mp3")).video is None
    assert declared_seconds(make("cut_index_first.mp4")) == 4


@pytest.mark.parametrize(
    "name", ["plain.mp4", "vp9.webm", "mpeg4.avi", "stream.ts", "fragmented.mp4", "one_frame.mp4"]
)
def test_spot_check_accepts_whole_files(name: str) -> None:
    spot_check(make(name), "video")


@pytest.mark.parametrize("name", ["cut_index_first.mp4", "cut.mkv", "cut.avi", "cut.webm"])
def test_spot_check_finds_cut_files(name: str) -> None:
    with pytest.raises(VideoError, match="truncated"):
        spot_check(make(name), "video")
