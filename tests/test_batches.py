"""Training batches: selection, sampling, collation, reading ahead."""

import shutil
import zlib
from collections import Counter

import numpy as np
import pytest
import torch

from mcn.errors import DamagedShard, UserError
from mcn.options.training import TrainingOptions
from mcn.shards import FEATURE_SCHEMA, TEXT_SCHEMA, FeatureStore, RowStore, ShardWriter
from mcn.shards.clips import clip_features, extend_window, mel_slice, words_of
from mcn.shards.lines import Narration, vocabulary_vectors
from mcn.shards.mapped import MappedFeatures
from mcn.training.clips import draw_distinct_lines, draw_lines
from mcn.training.data import TrainingSet, batch_size, read_batches, videos_of_step
from tests.synthetic_shards import LINES, text_row, write_topic_shards


def options(**values):
    values = {
        "videos_per_batch": 3,
        "clips_per_video": 4,
        "min_clip_seconds": 3.0,
        "audio_frames": 300,
        "max_words": 4,
        "seed": 5,
    } | values
    return TrainingOptions(**values)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("shards"), videos=10, spoil=True)


@pytest.fixture(scope="module")
def training_set(shards):
    return TrainingSet(shards, options())


def test_every_video_is_used_or_excluded_with_its_reason(training_set):
    assert training_set.videos == [f"video{i:02d}" for i in range(10)]
    assert training_set.excluded == {
        "spoiled0": "logmel missing (no_audio)",
        "spoiled1": "resnext101 failed (timeout)",
        "spoiled2": "no narration line with a known word lies inside pictures and sound",
        "spoiled3": "no narration line with a known word lies inside pictures and sound",
        "spoiled4": "resnet152 no row in the shards (-)",
    }


def test_no_usable_video_is_an_error(tmp_path):
    shards = write_topic_shards(tmp_path, videos=0, spoil=True)
    with pytest.raises(UserError, match=r"no video to train on .*1 logmel missing \(no_audio\)"):
        TrainingSet(shards, options())


def redraw(training_set, shards, epoch, step):
    """The batch by the rules of the recipe, from the stores alone: lines, then one clip after the other."""
    chosen = training_set.options
    features = {name: FeatureStore(paths) for name, paths in (shards.video | shards.audio).items()}
    narration = RowStore(shards.text["word2vec"], "text")
    order = np.random.default_rng([chosen.seed, epoch, 0]).permutation(len(training_set.videos))
    rng = np.random.default_rng([chosen.seed, epoch, 1 + step])
    size = chosen.videos_per_batch
    for index in order[step * size : (step + 1) * size]:
        video = training_set.videos[index]
        text = narration[video]
        for line in rng.integers(LINES, size=chosen.clips_per_video):
            joined = extend_window(text["starts"], text["ends"], line, chosen.min_clip_seconds)
            start, end = text["starts"][min(joined)], text["ends"][max(joined)]
            visual = clip_features(
                features["resnet152"][video], features["resnext101"][video], start, end
            )
            mel, valid = mel_slice(
                features["logmel"][video].values, start, end, chosen.audio_frames
            )
            yield visual, mel, valid, words_of(joined, text["tokens"], chosen.max_words)


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 2), (3, 1)])
def test_batch_is_what_the_recipe_draws(training_set, shards, epoch, step):
    batch = training_set.batch(epoch, step)
    assert batch.video.shape == (12, 24)
    assert batch.audio.shape == (12, 300, 40)
    assert batch.audio.dtype == torch.float16
    for row, (visual, mel, valid, words) in enumerate(redraw(training_set, shards, epoch, step)):
        np.testing.assert_array_equal(batch.video[row].numpy(), visual)
        np.testing.assert_array_equal(batch.audio[row].float().numpy().T, mel)
        assert batch.frames[row] == valid
        assert batch.words[row].tolist() == words + [0] * (4 - len(words))
    assert row == 11
    assert batch.redrawn == 0


def same(one, other):
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("video", "audio", "frames", "words")
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_ahead_changes_nothing(training_set, shards, workers):
    """Whatever the workers and wherever reading starts, step i sees batch i."""
    expected = [training_set.batch(*divmod(step, 3)) for step in range(7)]
    reading = TrainingSet(shards, options(loader_workers=workers, read_ahead=2))
    read = list(read_batches(reading, 0, 7))
    assert len(read) == 7
    assert all(map(same, read, expected))
    resumed = list(read_batches(reading, 4, 7))
    assert all(map(same, resumed, expected[4:]))
    assert not same(expected[0], expected[1])
    assert not same(expected[0], expected[3])


def test_reading_ahead_touches_no_global_random_state(shards):
    before = torch.get_rng_state()
    list(read_batches(TrainingSet(shards, options(loader_workers=1)), 0, 2))
    assert torch.equal(before, torch.get_rng_state())


def test_an_error_of_the_reader_reaches_training_and_closing_ends_it(training_set, monkeypatch):
    reader = read_batches(training_set, 0, 100)
    next(reader)
    reader.close()  # returns: the thread has ended although 98 batches were left
    monkeypatch.setattr(training_set, "batch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(read_batches(training_set, 0, 2))


def test_epoch_is_a_permutation_and_the_rest_is_dropped():
    steps = [videos_of_step(10, 3, seed=1, epoch=4, step=step) for step in range(3)]
    seen = np.concatenate(steps)
    assert len(set(seen.tolist())) == 9
    assert set(seen.tolist()) <= set(range(10))
    other = np.concatenate([videos_of_step(10, 3, 1, 5, step) for step in range(3)])
    assert seen.tolist() != other.tolist()


def test_small_sets(caplog):
    assert batch_size(2, options()) == 2
    assert "batches hold all 2 videos" in caplog.text
    assert batch_size(3, options(small_sets="refuse")) == 3
    with pytest.raises(UserError, match="small_sets to shrink or repeat"):
        batch_size(2, options(small_sets="refuse"))
    assert batch_size(2, options(small_sets="repeat")) == 3
    repeated = videos_of_step(2, 5, seed=0, epoch=0, step=0)
    assert Counter(repeated.tolist()).most_common()[0][1] == 3
    assert set(repeated.tolist()) == {0, 1}


def test_lines_with_replacement_are_uniform_over_acceptable_ones():
    rng = np.random.default_rng(0)
    lines, rejected = draw_lines(rng, 6, 6000, lambda line: line % 2 == 0)
    counts = Counter(lines)
    assert set(counts) == {0, 2, 4}
    assert all(abs(count - 2000) < 150 for count in counts.values())
    assert 5400 < rejected < 6600
    with pytest.raises(ValueError, match="none of 6"):
        draw_lines(rng, 6, 2, lambda line: False)


def test_distinct_lines_all_come_before_any_comes_again():
    rng = np.random.default_rng(0)
    lines, rejected = draw_distinct_lines(rng, 6, 4, lambda line: True)
    assert len(set(lines)) == 4
    assert rejected == 0
    lines, rejected = draw_distinct_lines(rng, 6, 11, lambda line: line != 3)
    assert Counter(lines[:5]) == Counter(lines[5:10]) == Counter([0, 1, 2, 4, 5])
    assert len(lines) == 11
    assert rejected == 1
    with pytest.raises(ValueError, match="none of 6"):
        draw_distinct_lines(rng, 6, 2, lambda line: False)


def test_wordless_clips_are_redrawn_or_kept(tmp_path):
    shards = write_topic_shards(tmp_path, videos=1, shards=1)
    tokens = [[7]] + [[]] * (LINES - 1)
    starts = [2.0 * line for line in range(LINES)]
    with ShardWriter(shards.text["word2vec"][0], TEXT_SCHEMA, {}) as shard:
        shard.write(text_row("video00", starts, [start + 2 for start in starts], tokens))
    wanted = {"min_clip_seconds": 1.0, "clips_per_video": 32, "small_sets": "repeat"}
    redrawn = TrainingSet(shards, options(**wanted)).batch(0, 0)
    assert (redrawn.words[:, 0] == 7).all()
    assert redrawn.redrawn > 0
    kept = TrainingSet(shards, options(**wanted, empty_clips="keep")).batch(0, 0)
    assert (kept.words[:, 0] == 0).any()
    assert kept.redrawn == 0


def test_frozen_audio_is_the_mean_of_the_rows(shards, tmp_path):
    """Log-mels stand in for davenet vectors here: any (T, D) matrix does."""
    frozen_shards = write_topic_shards(tmp_path, videos=10, spoil=True, audio="davenet")
    frozen = TrainingSet(frozen_shards, options())
    batch, expected = frozen.batch(0, 0), list(redraw(frozen, shards, 0, 0))
    assert batch.audio.shape == (12, 40)
    for row, (_, mel, valid, _) in enumerate(expected):
        np.testing.assert_allclose(batch.audio[row], mel[:, :valid].mean(axis=1), atol=0.6)


def test_mapped_features_equal_verified_ones(shards):
    mapped, plain = MappedFeatures(shards.audio["logmel"]), FeatureStore(shards.audio["logmel"])
    assert list(mapped) == list(plain)
    assert mapped.errors == {"spoiled0": "no_audio: none"}
    for _ in range(2):  # the first read is the verified one
        for video_id in mapped:
            one, other = mapped[video_id], plain[video_id]
            assert (one.status, one.step_seconds) == (other.status, other.step_seconds)
            if other.values is not None:
                np.testing.assert_array_equal(one.values, other.values)
    assert mapped["video00"].values.base is not None
    assert mapped.span("video00") == (0.0, 16.0)


def test_fingerprints_follow_the_content_alone(shards, tmp_path):
    copies = [tmp_path / f"{i}.parquet" for i in range(2)]
    for path, copy in zip(shards.audio["logmel"], copies, strict=True):
        shutil.copy(path, copy)
    assert MappedFeatures(copies).fingerprint == MappedFeatures(shards.audio["logmel"]).fingerprint
    other = write_topic_shards(tmp_path / "other", videos=10, seed=1, spoil=True)
    for kind, modality in ((MappedFeatures, "audio"), (Narration, "text")):
        found = [kind(*getattr(one, modality).values()).fingerprint for one in (shards, other)]
        assert found[0] != found[1]


def test_damage_is_found_at_the_first_read(shards, tmp_path):
    path = tmp_path / "damaged.parquet"
    data = bytearray(shards.audio["logmel"][1].read_bytes())
    data[len(data) // 2] ^= 1  # inside a matrix, which makes up nearly all of the file
    path.write_bytes(data)
    store = MappedFeatures([path])
    with pytest.raises(DamagedShard, match=r"damaged\.parquet"):
        for video_id in store:
            store[video_id]


def test_narration_lines(shards):
    narration, rows = Narration(shards.text["word2vec"]), RowStore(shards.text["word2vec"], "text")
    for video_id in narration:
        lines, row = narration[video_id], rows[video_id]
        assert lines.starts == row["starts"]
        assert lines.ends == row["ends"]
        assert list(lines.tokens) == row["tokens"]


def test_vocabulary_has_a_zero_row_for_padding(tmp_path):
    vectors, digest = vocabulary_vectors(write_topic_shards(tmp_path, videos=1).vocabulary)
    assert vectors.shape == (49, 8)
    assert not vectors[0].any()
    assert vectors[1:].any(axis=1).all()
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"feature": "logmel"}, True),
        ({"feature": "mirrored", "padding": "reflect"}, True),
        ({"feature": "mirrored", "encoder": "logmel"}, True),
        ({"feature": "davenet", "chunk_rows": 8192}, False),
        ({"feature": "mine", "encoder": "my_audio:Encoder", "padding": 3}, False),
    ],
)
def test_the_recipe_tells_log_mels_from_vectors(tmp_path, recipe, expected):
    with ShardWriter(tmp_path / "00000.parquet", FEATURE_SCHEMA, recipe):
        pass
    assert MappedFeatures([tmp_path / "00000.parquet"]).log_mel is expected


def test_pages_are_compared_with_their_own_checksum(tmp_path):
    paths = next(iter(write_topic_shards(tmp_path, videos=3).video.values()))
    store = MappedFeatures(paths)
    pages = {name: store.page(name) for name in store}
    assert pages
    assert all(pages.values()), "every page of our own shards has a checksum"
    video_id, page = next(iter(pages.items()))
    path = next(path for path in store.paths if video_id in MappedFeatures([path]))
    data = bytearray(path.read_bytes())
    assert zlib.crc32(data[page.start : page.end]) == page.crc
    data[page.end - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedShard, match=path.name):
        MappedFeatures(paths)[video_id]
