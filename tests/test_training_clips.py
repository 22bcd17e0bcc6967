"""Clips of a video: random and moved windows, further texts, parts; and what of it a batch holds."""

import numpy as np
import pytest
import torch

from mcn.options.objectives import Needs
from mcn.options.training import TrainingOptions
from mcn.shards import FeatureSequence
from mcn.shards.clips import pool_parts
from mcn.shards.lines import Lines, Tokens
from mcn.training.clips import Video, enough, neighbours, span_of, widened
from mcn.training.data import TrainingSet
from tests.synthetic_shards import LINE_SECONDS, write_topic_shards

OPTIONS = TrainingOptions(
    videos_per_batch=4, clips_per_video=3, min_clip_seconds=2.0, audio_frames=64, max_words=4
)


def lines(starts, ends, tokens):
    flat = np.array([word for line in tokens for word in line], np.int32)
    offsets = np.cumsum([0, *map(len, tokens)])
    return Lines(
        list(starts), list(ends), Tokens(flat, offsets[:-1], offsets[1:]), ["en"] * len(starts)
    )


def sequence(seconds, width=2, step=1.0):
    rows = (np.arange(int(seconds / step) * width) % 97).reshape(-1, width).astype(np.float16)
    return FeatureSequence("v", "ok", "", 0.0, step, rows)


def video(narration=None, seconds=20):
    sound = sequence(seconds, 40, 0.01)
    return Video((sequence(seconds), sequence(seconds)), sound, True, narration)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=6, spoil=True)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [(10.2, 11.2, (8, 13)), (0.5, 1.5, (0, 5)), (4.0, 14.9, (4, 14)), (30.0, 35.0, (30, 35))],
)
def test_a_line_is_widened_on_both_sides_to_whole_seconds(start, end, span):
    assert widened(start, end, 5.0) == span
    options = TrainingOptions(window="widened", min_clip_seconds=5, max_words=4)
    narrated = video(lines([0.0, start], [0.2, end], [[1, 2], [3]]), seconds=60)
    clip = narrated.clip(1, options, candidates=2)
    assert (clip.start, clip.end, clip.words, clip.candidates) == (*span, [3], [[1, 2]])
    assert len(clip.visual[0]) == span[1] - span[0] + 1


def test_a_clip_may_have_a_loudest_value_of_its_own():
    levels = np.full((300, 40), -50, np.float16)
    levels[250] = -10
    sound = FeatureSequence("v", "ok", "", 0.0, 0.01, levels)
    narration = lines([0.5, 2.0], [1.0, 3.0], [[1], [2]])
    narrated = Video((), sound, True, narration, of_clip=True)
    options = TrainingOptions(min_clip_seconds=0, audio_frames=20)
    assert narrated.clip(0, options).audio.max() == 0
    assert narrated.clip(1, options).audio.max() == -40  # the loudest frame is cut off, but counts
    assert Video((), sound, True, narration).clip(0, options).audio.max() == -50


def test_sound_before_the_first_whole_column_is_lost_as_released():
    narrated = video(lines([0.0, 0.0125], [1.0, 1.0], [[1], [1]]))
    for value, counts in (("kept", [98, 98]), ("lost", [0, 98])):
        options = TrainingOptions(early_sound=value, min_clip_seconds=0.5)
        assert [len(narrated.clip(line, options).audio) for line in (0, 1)] == counts


def test_further_texts_are_the_nearest_lines_that_have_words():
    #                gap of 5 s before the last line; line 2 has no known word
    narration = lines([0, 2, 4, 6, 13], [2, 4, 6, 8, 15], [[1], [2], [], [4], [5]])
    assert list(neighbours(narration, [2])) == [1, 0, 3, 4]  # the earlier one on a tie
    one = video(narration)
    clip = one.clip(3, OPTIONS, candidates=4)
    assert (clip.words, clip.candidates) == ([4], [[2], [1], [5]])
    assert one.clip(3, OPTIONS, candidates=2).candidates == [[2]]
    assert one.clip(3, OPTIONS).candidates == []
    alone = video(lines([0], [3], [[1]]))
    assert alone.clip(0, OPTIONS, candidates=4).candidates == []


def test_lines_that_a_clip_was_grown_over_are_no_further_texts():
    narration = lines([0, 1, 2, 3], [1, 2, 3, 4], [[1], [2], [3], [4]])
    clip = video(narration).clip(1, OPTIONS, candidates=4)
    assert (clip.start, clip.end, clip.words) == (0, 2, [2, 1])
    assert clip.candidates == [[3], [4]]


def test_random_windows_lie_inside_and_cover_the_video():
    rng = np.random.default_rng(0)
    windows = [video().random_window(rng, OPTIONS) for _ in range(300)]
    starts = np.array([clip.start for clip in windows])
    assert all(clip.end - clip.start == pytest.approx(2) for clip in windows)
    assert starts.min() < 0.5
    assert 17.5 < starts.max() <= 18
    assert all(clip.present == {"video": True, "audio": True, "text": False} for clip in windows)
    short = video(seconds=1).random_window(rng, OPTIONS)
    assert (short.start, short.end) == (0, 1)


def test_moved_windows_keep_their_length_and_stay_inside():
    rng, one = np.random.default_rng(0), video(lines([9], [11], [[1]]))
    clip = one.clip(0, OPTIONS)
    moved = [one.shifted(clip, rng, OPTIONS, (3.0, 8.0)) for _ in range(200)]
    offsets = np.array([other.start - clip.start for other in moved])
    assert (np.abs(offsets) >= 3).all()
    assert (np.abs(offsets) <= 8).all()
    assert 0.3 < (offsets > 0).mean() < 0.7
    assert all(other.end - other.start == pytest.approx(2) for other in moved)
    assert all(other.start >= 0 and other.end <= 20 for other in moved)
    early = video(lines([2], [4], [[1]]))
    first = early.clip(0, OPTIONS)
    assert all(early.shifted(first, rng, OPTIONS, (3.0, 8.0)).start > 4 for _ in range(20))
    nowhere = one.shifted(clip, rng, OPTIONS, (12.0, 13.0))
    assert nowhere.present == {"video": False, "audio": False, "text": False}


def test_streams_that_a_video_lacks():
    deaf = Video((sequence(20), sequence(20)), None, True, lines([3], [5], [[1]]))
    clip = deaf.clip(0, OPTIONS)
    assert clip.present == {"video": True, "audio": False, "text": True}
    assert span_of(sequence(20, 40, 0.01)) == pytest.approx((0, 20))


def test_policies():
    every = ("video", "audio", "text")
    assert enough(every, every, "redraw")
    assert not enough(("video", "text"), every, "redraw")
    assert enough(("video", "text"), every, "mask")
    assert not enough(("text",), every, "mask")
    assert enough((), every, "keep")
    assert enough(("video", "text"), ("video", "text"), "redraw")


def test_all_objectives_see_the_same_clips(data):
    plain = TrainingSet(data, OPTIONS).batch(2, 0)
    for needs in (
        Needs(candidates=3),
        Needs(visual_units=3),
        Needs(second="line"),
        Needs(second="shift", shift_seconds=(2.0, 4.0)),
    ):
        batch = TrainingSet(data, OPTIONS, needs).batch(2, 0)
        for name in ("video", "audio", "frames", "words", "present"):
            assert torch.equal(getattr(batch, name), getattr(plain, name)), needs
        again = TrainingSet(data, OPTIONS, needs).batch(2, 0)
        for name in ("candidates", "units"):
            assert getattr(batch, name) is None or torch.equal(
                getattr(batch, name), getattr(again, name)
            )
        if needs.second != "none":
            assert torch.equal(batch.second.audio, again.second.audio)


def test_candidates_begin_with_the_own_text(data):
    batch = TrainingSet(data, OPTIONS, Needs(candidates=3)).batch(0, 0)
    assert batch.candidates.shape == (12, 3, 4)
    assert torch.equal(batch.candidates[:, 0], batch.words)
    assert (batch.candidates[:, 1, 0] > 0).all()
    assert (batch.candidates[:, 1, 0] != batch.words[:, 0]).all()


def test_units_are_the_pooled_parts_that_evaluation_takes(data):
    training_set = TrainingSet(data, OPTIONS, Needs(visual_units=3))
    batch = training_set.batch(0, 0)
    assert batch.units.shape == (12, 3, 24)
    pictures = list(training_set.video.values())
    wanted = []
    for video_id in training_set.videos:
        for line in range(8):
            start = LINE_SECONDS * line
            parts = [
                pool_parts(store[video_id].values, start, start + LINE_SECONDS, rate, 3)
                for store, rate in zip(pictures, (1.0, 1.5), strict=True)
            ]
            wanted.append(np.concatenate(parts, axis=1))
    for unit in batch.units.numpy():
        assert min(np.abs(unit - one).max() for one in wanted) < 1e-3


def test_second_clips_are_others_of_the_same_video(data):
    batch = TrainingSet(data, OPTIONS, Needs(second="line")).batch(0, 0)
    assert (batch.second.words[:, 0] != batch.words[:, 0]).all()
    assert batch.second.present.all()


def test_videos_without_sound_or_narration(data):
    """spoiled0 has no sound, 1 and 4 lack pictures, 2 has no known word, 3 is spoken to after its end."""
    used = lambda policy, needs: {  # noqa: E731
        video_id
        for video_id in TrainingSet(
            data, OPTIONS.model_copy(update={"empty_clips": policy}), needs
        ).videos
        if video_id.startswith("spoiled")
    }
    assert used("redraw", Needs()) == set()
    assert used("redraw", Needs(("video", "text"))) == {"spoiled0"}
    assert used("redraw", Needs(("video", "audio"))) == {"spoiled2"}
    assert used("redraw", Needs(("video", "audio"), windows="random")) == {"spoiled2", "spoiled3"}
    assert used("mask", Needs()) == {"spoiled0", "spoiled1", "spoiled2", "spoiled4"}
    assert used("keep", Needs()) == set()


def test_kept_clips_tell_what_they_lack(data):
    options = OPTIONS.model_copy(update={"empty_clips": "mask", "videos_per_batch": 9})
    training_set = TrainingSet(data, options)
    batch = training_set.batch(0, 0)
    deaf = [n for n, row in enumerate(batch.present.tolist()) if not row[1]]
    assert len(deaf) == 3  # the clips of spoiled0
    assert (batch.audio[deaf] == 0).all()
    assert batch.present.sum(dim=1).min() == 2


def test_a_moment_gives_the_line_that_is_said_there_or_the_window() -> None:
    """Everything at Once howto_dataset.py, with sound that begins half a window later."""
    options = TrainingOptions(
        sampling="moments",
        empty_clips="mask",
        min_clip_seconds=4,
        audio_frames=384,
        sound_shift_seconds=2,
        max_words=4,
    )
    narrated = video(lines([3.0, 15.0], [8.0, 20.0], [[1, 2], [3]]), seconds=24)
    words = set()
    for draw in np.linspace(0, 0.999, 50):
        start = draw * 20
        clip = narrated.moment(_Drawn(draw), options)
        said = next(
            (n for n in (start, start + 4) for low, high in [(3, 8), (15, 20)] if low <= n <= high),
            None,
        )
        words.add(tuple(clip.words))
        if said is None:
            assert (clip.start, clip.end, clip.words) == (start, start + 4, [])
            first = int((start * 16000 - 200) // 160)
            assert len(clip.audio) == 384
        else:
            line = (3.0, 8.0) if said < 10 else (15.0, 20.0)
            assert (clip.start, clip.end) == line
            first = int(((line[0] + 2) * 16000 - 200) // 160)
        np.testing.assert_array_equal(clip.audio[0], narrated.audio.values[max(0, first)])
    assert words == {(), (1, 2), (3,)}
    with pytest.raises(ValueError, match="set empty_clips to mask or keep"):
        TrainingOptions(sampling="moments")


class _Drawn:
    """A generator that draws one number."""

    def __init__(self, number: float) -> None:
        self.random = lambda: number


def test_a_batch_holds_the_first_rows_of_each_clip(data) -> None:
    needs = Needs(visual_units=3, units_are_rows=True)
    options = OPTIONS.model_copy(update={"sampling": "moments", "empty_clips": "keep"})
    training_set = TrainingSet(data, options, needs)
    batch = training_set.batch(0, 0)
    assert batch.units is not None
    assert batch.units.shape == (12, 3, batch.video.shape[1])
    there = (batch.units != 0).any(dim=-1)
    assert there.any()
    assert (there.long().diff(dim=1) <= 0).all()  # zero rows only behind others
