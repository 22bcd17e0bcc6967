"""Clips: window growth, pooling, log-mel slices, words."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.shards import FeatureSequence
from mcn.shards.clips import (
    clip_features,
    extend_window,
    mel_slice,
    pool,
    rows_between,
    window_of,
    words_of,
)
from mcn.sources.words import tokenize


def grown(starts, ends, index, min_seconds):
    """The rule as the recipe states it, over candidate windows."""
    window, order = {index}, [index]
    while ends[max(window)] - starts[min(window)] < min_seconds:
        candidates = [i for i in (min(window) - 1, max(window) + 1) if 0 <= i < len(starts)]
        if not candidates:
            break
        lengths = {i: ends[max(*window, i)] - starts[min(*window, i)] for i in candidates}
        best = min(candidates, key=lambda i: (lengths[i], i))  # a tie goes to the previous line
        window.add(best)
        order.append(best)
    return order


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=1, max_size=12),
    st.integers(0, 11),
    st.integers(0, 40),
)
def test_window_grows_as_stated(lines, index, min_seconds):
    starts = np.cumsum([gap for gap, _ in lines]).astype(float).tolist()
    ends = [start + length for start, (_, length) in zip(starts, lines, strict=True)]
    index %= len(starts)
    assert extend_window(starts, ends, index, min_seconds) == grown(
        starts, ends, index, min_seconds
    )


def test_tie_takes_the_previous_line():
    starts, ends = [0.0, 2.0, 4.0], [2.0, 4.0, 6.0]
    assert extend_window(starts, ends, 1, 3.0) == [1, 0]
    assert extend_window(starts, ends, 1, 5.0) == [1, 0, 2]
    assert window_of(starts, ends, [1, 0]) == (0.0, 4.0)


def test_shorter_clip_wins_over_order():
    assert extend_window([0.0, 5.0, 6.0], [1.0, 6.0, 7.0], 1, 2.0) == [1, 2]


def test_no_more_lines_ends_the_growth():
    assert extend_window([0.0, 2.0], [1.0, 3.0], 1, 100.0) == [1, 0]


def test_window_of_a_line_that_is_not_there():
    with pytest.raises(ValueError, match="line 2 of 2"):
        extend_window([0.0, 1.0], [1.0, 2.0], 2, 1.0)
    with pytest.raises(ValueError, match="starts"):
        extend_window([0.0, 1.0], [1.0], 0, 1.0)


@given(st.integers(0, 1000), st.floats(0, 9), st.floats(0, 9), st.sampled_from([1.0, 1.5, 0.16]))
def test_pool_is_maximum_then_unit_length(seed, start, length, rate):
    features = np.random.default_rng(seed).random((9, 5)).astype(np.float16)
    expected = np.zeros(5, np.float32)
    rows = [features[i] for i in range(9) if int(start * rate) <= i <= int((start + length) * rate)]
    if rows:
        expected = np.max(np.stack(rows).astype(np.float32), axis=0)
        expected /= np.linalg.norm(expected)
    pooled = pool(features, start, start + length, rate)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_integer_maximum_equals_the_float_maximum(scale):
    """Bit for bit for non-negative values; negative ones, whose patterns are not ordered, take the float way."""
    rng = np.random.default_rng(0)
    half = (scale * rng.random((7, 2048))).astype(np.float16)
    half[0, :9] = 0
    as_float = half.astype(np.float32)
    np.testing.assert_array_equal(pool(half, 0, 6, 1.0), pool(as_float, 0, 6, 1.0))


def test_mixed_signs_and_negative_zero():
    half = np.array([[-1, 2, -0.0], [-3, -4, 0.0]], np.float16)
    expected = np.array([-1, 2, 0], np.float32) / np.sqrt(np.float32(5))
    np.testing.assert_array_equal(pool(half, 0, 1, 1.0), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pool_refuses_what_is_no_number(bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        pool(np.full((2, 3), bad, np.float16), 0, 1, 1.0)
    with pytest.raises(ValueError, match="a clip from"):
        pool(np.ones((2, 3), np.float16), bad, 1, 1.0)


def test_pool_outside_the_features_is_zero():
    features = np.ones((4, 3), np.float16)
    for start, end in [(4.0, 9.0), (-3.0, -0.5), (3.0, 1.0)]:
        np.testing.assert_array_equal(pool(features, start, end, 1.0), np.zeros(3))
    assert pool(features, -5.0, 0.0, 1.0).any()
    assert rows_between(-5.0, 0.5, 1.0, 4) == slice(0, 1)


def test_clip_features_subtracts_the_start_and_puts_appearance_first():
    appearance = FeatureSequence("v", "ok", "", 2.0, 1.0, np.eye(4, dtype=np.float16))
    motion = FeatureSequence("v", "ok", "", 0.0, 16 / 24, np.eye(6, dtype=np.float16))
    clip = clip_features(appearance, motion, 3.0, 3.4)
    np.testing.assert_array_equal(clip[:4], [0, 1, 0, 0])
    np.testing.assert_allclose(clip[4:], np.array([0, 0, 0, 0, 1, 1]) / math.sqrt(2), rtol=1e-6)


def test_video_without_features_is_an_error():
    nothing = FeatureSequence("v", "missing", "no_audio: none", 0.0, 0.0, None)
    with pytest.raises(ValueError, match="v has no features"):
        clip_features(nothing, nothing, 0, 1)


@settings(deadline=None)  # the first call imports librosa
@given(st.floats(0.0125, 6), st.floats(0, 4), st.integers(1, 300))
def test_mel_columns_are_librosas(start, length, frames):
    librosa = pytest.importorskip("librosa")
    mel = -np.arange(500 * 40, dtype=np.float32).reshape(500, 40) % 80
    times = np.array([start, start + length])
    first, last = librosa.time_to_frames(times, sr=16000, hop_length=160, n_fft=400)
    padded, valid = mel_slice(mel, start, start + length, frames)
    expected = mel[first:last][:frames]
    assert padded.shape == (40, frames)
    assert padded.dtype == np.float32
    assert valid == len(expected)
    np.testing.assert_array_equal(padded[:, :valid], expected.T)
    assert not padded[:, valid:].any()


def test_clip_at_the_start_keeps_its_sound():
    """The released loader takes columns -2 to 998 of a clip that starts at 0 and finds nothing."""
    mel = np.full((2000, 40), -30, np.float16)
    assert len(mel[math.floor((0 - 200) / 160) : 998]) == 0
    padded, valid = mel_slice(mel, 0.0, 10.0, 1000)
    assert valid == 998
    assert (padded[:, :998] == -30).all()


def test_tokens_keep_case_and_apostrophes():
    assert tokenize("Don't add 2 EGGS, yet!") == ["Don't", "add", "2", "EGGS", "yet"]


def test_words_come_in_the_order_of_growth_and_are_cut():
    tokens = [[1, 2], [3], [], [4, 5, 6]]
    assert words_of([1, 0, 2, 3], tokens, 20) == [3, 1, 2, 4, 5, 6]
    assert words_of([1, 0, 2, 3], tokens, 4) == [3, 1, 2, 4]
    assert words_of([2], tokens, 4) == []
