import subprocess
import sys
from itertools import pairwise

import librosa
import numpy as np
import pyarrow as pa
import pytest
import scipy.signal

import mcn.features.audio
from mcn.features.audio import FRAMES_A_BLOCK, log_mel, log_mel_rows
from mcn.options.encoders import LogMelOptions
from mcn.options.features import RuntimeOptions
from mcn.shards import ShardReader, feature_sequence
from mcn.shards.clips import mel_column, mel_rows, relative_levels
from mcn.shards.mapped import MappedFeatures
from mcn.shards.parts import Parts, Samples
from tests.features_shards import extract_feature, write_audio

RATE = 16000


def by_librosa(waveform: np.ndarray, padding: str = "constant") -> np.ndarray:
    """The published formulation, step by step, with librosa."""
    waveform = waveform - waveform.mean()
    emphasised = np.append(waveform[0], waveform[1:] - 0.97 * waveform[:-1])
    spectrum = librosa.stft(
        emphasised,
        n_fft=400,
        hop_length=160,
        win_length=400,
        window=lambda n: scipy.signal.windows.hamming(n),
        center=True,
        pad_mode=padding,
    )
    mel = librosa.feature.melspectrogram(S=np.abs(spectrum) ** 2, sr=RATE, n_mels=40, fmin=20)
    return librosa.power_to_db(mel, ref=np.max, top_db=80)


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    chirp = np.sin(2 * np.pi * (200 + 900 * t) * t) * np.exp(-((t % 0.7) * 3))
    return (0.4 * chirp + 0.01 * random.standard_normal(len(t)) + 0.02).astype(np.float32)


@pytest.mark.parametrize("padding", ["constant", "reflect"])
@pytest.mark.parametrize("samples", [201, 399, 400, 16000, 16159, 16160, 16161, 52345])
def test_equals_librosa(samples, padding):
    waveform = sound(4)[:samples]
    ours = log_mel(waveform, RATE, padding)
    reference = by_librosa(waveform, padding)
    assert ours.shape == reference.shape == (40, 1 + samples // 160)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, reference, atol=1e-3)


def test_blocks_join_without_a_seam():
    waveform = sound((FRAMES_A_BLOCK + 37) * 0.01)
    np.testing.assert_allclose(log_mel(waveform), by_librosa(waveform), atol=1e-3)


def at_once(waveform: np.ndarray, padding: str, absolute: bool, frames: int) -> np.ndarray:
    """Our own formulation, of a waveform that is held whole; spectra of `frames` windows at a time."""
    centred = waveform - waveform.mean(dtype=np.float64).astype(np.float32)
    centred[1:] -= np.float32(0.97) * centred[:-1]
    padded = np.pad(centred, 200, "reflect" if padding == "reflect" else "constant")
    filters = librosa.filters.mel(sr=RATE, n_fft=400, n_mels=40, fmin=20, fmax=RATE / 2)
    taper, count, blocks = scipy.signal.windows.hamming(400), 1 + len(waveform) // 160, []
    for first in range(0, count, frames):
        last = min(first + frames, count) - 1
        stretch = padded[first * 160 : last * 160 + 400]
        spectrum = librosa.stft(stretch, n_fft=400, hop_length=160, window=taper, center=False)
        power = filters @ np.square(np.abs(spectrum))
        blocks.append(10 * np.log10(np.maximum(power, 1e-10)))
    levels = np.concatenate(blocks, axis=1)
    return levels if absolute else np.maximum(levels - levels.max(), -80)


@pytest.mark.parametrize("padding", ["constant", "reflect"])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("samples", [201, 399, 160 * 63, 160 * 64, 160 * 64 + 159, 300_001])
def test_sound_read_in_stretches_gives_the_bits_of_the_whole(
    samples, absolute, padding, monkeypatch
):
    monkeypatch.setattr(mcn.features.audio, "FRAMES_A_BLOCK", 64)
    monkeypatch.setattr(mcn.features.audio, "SAMPLES_A_STRETCH", 1 << 14)
    waveform = sound(samples / RATE + 1)[:samples]
    ends = [0, 7, samples // 3, samples // 2 + 1, samples]
    parts = [waveform[start:end].tobytes() for start, end in pairwise(ends)]
    in_parts = Samples(Parts(len(parts), lambda number: pa.py_buffer(parts[number])))
    rows = log_mel_rows(in_parts, RATE, padding, absolute)
    wanted = at_once(waveform, padding, absolute, 64)
    assert np.array_equal(rows, wanted.T.astype(np.float16))
    assert np.array_equal(log_mel(waveform, RATE, padding, absolute), wanted)


def test_log_mels_need_no_pytorch():
    """Which takes half a gigabyte of each job, and seconds."""
    code = "import sys, mcn.features.audio; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_gain_cancels():
    np.testing.assert_allclose(log_mel(sound(1)), log_mel(0.25 * sound(1)), atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 160, 200])
@pytest.mark.parametrize("padding", ["constant", "reflect"])
def test_short_waveforms_have_finite_columns(samples, padding):
    levels = log_mel(sound(1)[:samples], RATE, padding)
    assert levels.shape == (40, 1 + samples // 160)
    assert np.isfinite(levels).all()
    assert levels.max() == 0
    assert levels.min() >= -80


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_silence_is_zero_decibels_as_in_librosa(level):
    waveform = np.full(RATE, level, np.float32)
    levels = log_mel(waveform)
    assert np.isfinite(levels).all()
    np.testing.assert_allclose(levels, by_librosa(waveform), atol=1e-3)


def test_bad_waveforms_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        log_mel(np.array([0.0, np.nan], np.float32))
    with pytest.raises(ValueError, match="shape"):
        log_mel(np.zeros((2, 5), np.float32))


def test_shard_has_rows_of_frames_and_passes_errors_on(tmp_path):
    nan = np.full(800, np.nan, np.float32)
    videos = {"a": sound(2), "silent": np.zeros(800, np.float32), "none": None, "broken": nan}
    source = write_audio(tmp_path / "audio.parquet", videos)
    output = tmp_path / "logmel.parquet"
    extract_feature(source, "", output, LogMelOptions(), RuntimeOptions(), 2)
    reader = ShardReader(output, "features")
    assert reader.video_ids == list(videos)
    a, silent, none, broken = map(feature_sequence, reader)
    assert (a.start_seconds, a.step_seconds) == (0.5, 0.01)
    np.testing.assert_array_equal(a.values, log_mel(videos["a"]).T.astype(np.float16))
    assert silent.values.shape == (6, 40)
    assert (none.status, none.error) == ("missing", "no_audio")
    assert broken.status == "failed"
    assert broken.error.startswith("decode_error: ")
    assert reader.recipe["decoded"] == {"stream": "test"}
    again = tmp_path / "again.parquet"
    extract_feature(source, "", again, LogMelOptions(), RuntimeOptions(), 1)
    assert again.read_bytes() == output.read_bytes()


def test_numbers_stay():
    """A change of these is a change of the features: raise `VERSION` with it."""
    t = np.arange(3200) / RATE
    waveform = (np.sin(2 * np.pi * (300 + 9000 * t) * t) * (0.2 + t)).astype(np.float32)
    np.testing.assert_allclose(log_mel(waveform)[[4, 10, 15, 20, 25], 10], FROZEN, atol=2e-3)


FROZEN = [-66.306, -59.731, -54.254, -34.700, -43.684]  # dB


def test_levels_may_be_relative_to_each_clip(tmp_path):
    """A quiet second after a loud one: -40 dB below the video's loudest value, 0 dB below its own."""
    waveform = np.concatenate([sound(1.0), 0.01 * sound(2.0, seed=1)])
    absolute, whole = log_mel(waveform, absolute=True), log_mel(waveform)
    np.testing.assert_allclose(relative_levels(absolute), whole, atol=1e-5)
    quiet = mel_rows(absolute.T, 1.5, 2.5, 60, of_clip=True)
    assert quiet.shape == (60, 40)
    assert mel_rows(whole.T, 1.5, 2.5, 100).max() < -30
    assert mel_rows(absolute.T, 1.5, 2.5, 100, of_clip=True).max() == 0
    first, last = mel_column(1.5), mel_column(2.5)
    wanted = np.maximum(absolute[:, first:last] - absolute[:, first:last].max(), -80)
    np.testing.assert_allclose(quiet, wanted.T[:60])
    assert len(mel_rows(absolute.T, 9.0, 9.5, 60, of_clip=True)) == 0
    source = write_audio(tmp_path / "in.parquet", {"v": waveform})
    row, output = LogMelOptions(reference="clip"), tmp_path / "out.parquet"
    extract_feature(source, "", output, row, RuntimeOptions(), 1)
    store = MappedFeatures([output])
    assert store.of_clip
    np.testing.assert_allclose(store["v"].values, absolute.T, atol=0.05)
