"""Lossless storage is lossless, for every size, and its bytes are reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.media.lossless import decode_rgb
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
