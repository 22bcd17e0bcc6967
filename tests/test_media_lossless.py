"""Lossless storage is lossless, for every size, and its bytes are reproducible."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.media import lossless
from mcn.media.lossless import HEADER, MAGIC, decode_rgb
from tests.features_shards import encode_rgb


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 6),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    batch=st.integers(1, 7),
    smooth=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip_is_exact(
    length: int, height: int, width: int, batch: int, smooth: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (length, height, width, 3), np.uint8)
    if smooth:  # ramps and still pictures take other paths through the encoder than noise does
        ramp = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
        frames = np.broadcast_to(ramp[None, :, :, None], frames.shape) + frames[:, :1, :1] // 64
    batches = list(decode_rgb(encode_rgb(frames), batch))
    assert np.array_equal(np.concatenate(batches), frames)
    assert [len(part) for part in batches[:-1]] == [batch] * (len(batches) - 1)


@pytest.mark.parametrize(("width", "height"), [(398, 224), (112, 112), (16000, 16), (224, 4000)])
def test_sizes_in_use_and_extreme_ones(width: int, height: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    assert np.array_equal(next(decode_rgb(encode_rgb(frames), 2)), frames)


def test_bytes_are_reproducible_and_carry_no_dates() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (30, 112, 112, 3), np.uint8)
    first, second = encode_rgb(frames), encode_rgb(iter(frames))
    assert first == second


def test_misuse() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"frame 1 is uint8 \(8, 9, 3\)"):
        encode_rgb([frame, np.zeros((8, 9, 3), np.uint8)])
    with pytest.raises(ValueError, match="float64"):
        encode_rgb([frame.astype(float)])
    with pytest.raises(ValueError, match="batch 0"):
        next(decode_rgb(encode_rgb([frame]), 0))


def test_differences_are_stored_where_they_are_smaller() -> None:
    """Of a still picture with a little noise differences are small; of unlike pictures they gain nothing."""
    random = np.random.default_rng(2)
    still = random.integers(0, 255, (1, 40, 50, 3), np.uint8) + random.integers(
        0, 2, (20, 40, 50, 3), np.uint8
    )
    unlike = random.integers(0, 4, (20, 40, 50, 3), np.uint8)
    sizes = {}
    for name, frames in {"still": still, "unlike": unlike}.items():
        data = encode_rgb(frames)
        sizes[name] = len(data) / frames.nbytes
        assert data[len(MAGIC)] == (name == "still")
        assert np.array_equal(np.concatenate(list(decode_rgb(data, 3))), frames)
    assert sizes["still"] < 0.35
    assert sizes["unlike"] < 0.35


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (41, 20, 30, 3), np.uint8)
    whole = list(decode_rgb(encode_rgb(frames), 4))
    for held in (3, 17):  # frames; of 17 a block holds 16
        monkeypatch.setattr(lossless, "BLOCK_BYTES", held * 20 * 30 * 3)
        data = encode_rgb(frames)
        assert data.count(MAGIC) == -(-len(frames) // min(held, 16))
        parts = list(decode_rgb(data, 4))
        assert [len(part) for part in parts] == [len(part) for part in whole]
        assert np.array_equal(np.concatenate(parts), frames)


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """Matroska with x264 RGB at qp 0."""
    frames = np.random.default_rng(4).integers(0, 256, (7, 24, 36, 3), np.uint8)
    with av.open(str(tmp_path / "old"), "w", format="matroska") as container:
        stream = container.add_stream("libx264rgb", rate=24, options={"qp": "0", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 36, 24, "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    data = (tmp_path / "old").read_bytes()
    assert np.array_equal(np.concatenate(list(decode_rgb(data, 2))), frames)
    with pytest.raises(ValueError, match=r".+"):
        list(decode_rgb(data[:40], 2))


def test_damage_is_an_error() -> None:
    data = encode_rgb(np.random.default_rng(5).integers(0, 256, (9, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="cut short"):
        list(decode_rgb(data[:-1], 2))
    with pytest.raises(ValueError, match="no block"):
        list(decode_rgb(data + b"MCN", 2))
    with pytest.raises((ValueError, OSError)):
        list(decode_rgb(data[: HEADER.size] + bytes(4) + data[HEADER.size + 4 :], 2))
