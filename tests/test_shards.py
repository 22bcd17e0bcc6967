"""Shards: what is written is read, and nothing damaged is read as data."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.errors import DamagedShard, UserError
from mcn.files import atomic_path
from mcn.shards import (
    AUDIO_SCHEMA,
    FEATURE_SCHEMA,
    FeatureStore,
    ShardReader,
    ShardWriter,
    empty_row,
    feature_row,
)


def write(path, ids=("a", "b"), recipe=None, seed=0):
    random = np.random.default_rng(seed)
    with ShardWriter(path, FEATURE_SCHEMA, recipe or {"version": 1}) as shard:
        for video_id in ids:
            shard.write(feature_row(video_id, random.random((7, 5)), 0.5, 1.5))
    return path


def test_features_come_back_as_written(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with ShardWriter(tmp_path / "s.parquet", FEATURE_SCHEMA, {"version": 1}) as shard:
        shard.write(feature_row("a", values, 0.25, 1.5))
        shard.write(empty_row(FEATURE_SCHEMA, "b", "failed", "timeout: 3 s"))
    store = FeatureStore([tmp_path / "s.parquet"])
    assert list(store) == ["a", "b"]
    assert (store["a"].start_seconds, store["a"].step_seconds) == (0.25, 1.5)
    np.testing.assert_array_equal(store["a"].values, values)
    assert store["a"].values.dtype == np.float16
    assert (store["b"].status, store["b"].error, store["b"].values) == (
        "failed",
        "timeout: 3 s",
        None,
    )
    assert store.status == {"a": "ok", "b": "failed"}


def test_equal_content_gives_equal_bytes(tmp_path):
    digests = {
        hashlib.sha256(write(tmp_path / f"{i}.parquet").read_bytes()).hexdigest() for i in range(2)
    }
    assert len(digests) == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_noticed_or_harmless(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("bits") / "s.parquet")
    original = [(row["video_id"], row["features"]) for row in ShardReader(path)]
    raw = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    try:
        found = [(row["video_id"], row["features"]) for row in ShardReader(path, "features")]
    except DamagedShard:
        return
    assert found == original


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-1],
        lambda raw: raw[:64] + bytes(64) + raw[128:],
        lambda raw: b"not parquet at all",
    ],
)
def test_damage_names_the_file_and_the_cure(tmp_path, damage):
    path = write(tmp_path / "s.parquet")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedShard, match=r"s\.parquet") as caught:
        list(ShardReader(path))
    assert "run snakemake again" in caught.value.do


def test_a_shard_of_another_kind_is_refused(tmp_path):
    with ShardWriter(tmp_path / "s.parquet", AUDIO_SCHEMA, {}):
        pass
    with pytest.raises(DamagedShard, match="shard of audio, wanted one of features"):
        FeatureStore([tmp_path / "s.parquet"])


def test_a_foreign_parquet_file_is_refused(tmp_path):
    import pandas as pd

    pd.DataFrame({"video_id": ["a"]}).to_parquet(tmp_path / "s.parquet")
    with pytest.raises(DamagedShard, match="not a shard"):
        ShardReader(tmp_path / "s.parquet")


def test_shards_of_two_recipes_or_with_one_id_twice_are_refused(tmp_path):
    first = write(tmp_path / "0.parquet", ["a"])
    with pytest.raises(UserError, match="differ in recipe"):
        FeatureStore([first, write(tmp_path / "1.parquet", ["b"], {"version": 2})])
    with pytest.raises(UserError, match="each video once"):
        FeatureStore([first, write(tmp_path / "2.parquet", ["a"])])


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.zeros((0, 4)), np.array([[np.nan]]), np.array([[1e6]])]
)
def test_features_that_float16_cannot_hold_are_refused(values):
    with pytest.raises(ValueError, match="a: features"):
        feature_row("a", values, 0, 1)


def test_a_row_with_a_forgotten_column_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="schema wants"),
        ShardWriter(tmp_path / "s.parquet", FEATURE_SCHEMA, {}) as shard,
    ):
        shard.write({"video_id": "a"})


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError),
        ShardWriter(tmp_path / "s.parquet", FEATURE_SCHEMA, {}) as shard,
    ):
        shard.write(feature_row("a", np.ones((1, 1)), 0, 1))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = write(tmp_path / "s.parquet")
    before = path.read_bytes()
    with pytest.raises(RuntimeError), ShardWriter(path, FEATURE_SCHEMA, {}):
        raise RuntimeError
    assert path.read_bytes() == before


def test_leftovers_of_a_killed_writer_are_removed_and_those_of_a_live_one_kept(tmp_path):
    killed = (
        "import os, signal, sys; from mcn.files import atomic_path\n"
        f"with atomic_path({str(tmp_path / 's.csv')!r}) as p:\n"
        "    p.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_path(tmp_path / "s.csv") as first:
        first.write_text("first")
        with atomic_path(tmp_path / "s.csv") as second:
            second.write_text("second")
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]
    assert (tmp_path / "s.csv").read_text() == "first"


def test_random_access_survives_a_fork(tmp_path):
    store = FeatureStore([write(tmp_path / "s.parquet")])
    expected = store["b"].values.sum()
    child = os.fork()
    if child == 0:
        os._exit(0 if store["b"].values.sum() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
