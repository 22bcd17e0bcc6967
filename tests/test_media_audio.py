"""Sound: mean of the channels, soxr HQ, sample 0 at container start."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soxr

from mcn.errors import VideoError
from mcn.media.audio import mono_samples
from tests.media_files import make, run_ffmpeg

RATE = 16000


def decode(path: Path, rate: int = RATE, tolerated_errors: int = 0) -> np.ndarray:
    return np.concatenate(list(mono_samples(path, rate, tolerated_errors)))


def ffmpeg_samples(path: Path, channels: int) -> np.ndarray:
    """The ffmpeg program's float samples at the file's own rate: (N, channels)."""
    raw = run_ffmpeg(f"-i {path} -map 0:a:0 -f f32le -c:a pcm_f32le -".split())
    return np.frombuffer(raw, "<f4").reshape(-1, channels)


@pytest.mark.parametrize(
    ("name", "channels", "rate"),
    [
        ("plain.mp4", 1, 44100),
        ("mono_u8.wav", 1, 8000),
        ("sixteen.wav", 1, 16000),
        ("float.wav", 2, 48000),
        ("surround.mkv", 6, 44100),
        ("surround.mp4", 6, 48000),
        ("vp9.webm", 1, 48000),
    ],
)
def test_equals_the_mean_of_ffmpegs_channels_resampled_at_once(
    name: str, channels: int, rate: int
) -> None:
    path = make(name)
    mono = ffmpeg_samples(path, channels).mean(axis=1, dtype=np.float32)
    expected = mono if rate == RATE else soxr.resample(mono, rate, RATE, "HQ")
    ours = decode(path)
    assert ours.dtype == np.float32
    padding = len(ours) - len(
        expected
    )  # ffmpeg 9 drops the encoder's padding of a last AAC frame, ffmpeg 8 does not
    assert 0 <= padding <= (1024 / rate * RATE if name.endswith(".mp4") else 0)
    inner = len(expected) - (
        RATE // 50 if padding else 0
    )  # the resampler looks 20 ms ahead at most
    np.testing.assert_allclose(ours[:inner], expected[:inner], atol=2e-7)


def test_sound_that_starts_late_is_preceded_by_silence() -> None:
    samples = decode(make("late_audio.mkv"))
    assert len(samples) == 3.5 * RATE
    assert np.abs(samples[: int(1.49 * RATE)]).max() < 1e-4
    assert np.abs(samples[int(1.51 * RATE) :]).max() > 0.1


def test_gaps_are_filled_with_silence() -> None:
    """Sound from 0 to 1 s and from 2.5 to 4 s."""
    samples = decode(make("gap.mkv"))
    assert abs(len(samples) - 4 * RATE) < 0.01 * RATE
    tenths = np.abs(samples[: 4 * RATE]).reshape(40, -1).max(axis=1)
    assert tenths[:10].min() > 0.1
    assert tenths[11:24].max() < 1e-4  # ffmpeg cuts at its frames of 1024 samples
    assert tenths[26:].min() > 0.1


@pytest.mark.parametrize(("name", "seconds"), [("short_audio.mp4", 1), ("long_audio.mp4", 4)])
def test_sound_keeps_its_own_length(name: str, seconds: float) -> None:
    assert len(decode(make(name))) == pytest.approx(seconds * RATE, abs=0.05 * RATE)


def test_any_rate() -> None:
    assert len(decode(make("sixteen.wav"), rate=8000)) == 2 * 8000


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no_audio.mp4", "no_audio"),
        ("subtitles_only.mkv", "no_audio"),
        ("cut_index_last.mp4", "unreadable"),
        ("cut_index_first.mp4", "truncated"),
        ("cut.avi", "truncated"),
        ("cut.webm", "truncated"),
        ("damaged.mp4", "decode_error"),
        ("nothing.mp4", "empty_file"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, code: str) -> None:
    with pytest.raises(VideoError) as raised:
        decode(make(name))
    assert raised.value.code == code


def test_tolerated_damage_becomes_silence_and_not_a_shift() -> None:
    samples = decode(make("damaged.mp4"), tolerated_errors=1000)
    assert len(samples) == pytest.approx(4 * RATE, abs=0.05 * RATE)


def test_nan_is_refused(tmp_path: Path) -> None:
    data = make("float.wav").read_bytes()
    path = tmp_path / "nan.wav"
    path.write_bytes(data[:-8000] + struct.pack("<f", float("nan")) + data[-7996:])
    with pytest.raises(VideoError, match="decode_error: the sound holds NaN"):
        decode(path)
