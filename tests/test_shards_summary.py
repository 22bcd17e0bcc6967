"""The summary that large sets of shards keep says what the shards say, and never what they said before."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mcn.errors import DamagedShard, UserError
from mcn.files import write_text
from mcn.shards import FEATURE_SCHEMA, ShardWriter, empty_row, feature_row
from mcn.shards import summary as summaries
from mcn.shards.mapped import MappedFeatures
from mcn.shards.origin import list_digest

WIDTH = 4


def write_shard(folder: Path, number: int, value: float, videos: int = 3) -> Path:
    """A shard of a data set, its list beside it; the last video has no sound."""
    ids = [f"v{number}_{video}" for video in range(videos)]
    shard_list = folder / "shards" / f"{number:05d}.csv"
    write_text(shard_list, "video_id,path\n" + "".join(f"{one},{one}.mp4\n" for one in ids))
    path = folder / "features" / "mine" / f"{number:05d}.parquet"
    recipe = {"feature": "mine"}
    with ShardWriter(path, FEATURE_SCHEMA, recipe, inputs=list_digest(shard_list)) as shard:
        for row, one in enumerate(ids[:-1]):
            shard.write(feature_row(one, np.full((2 + row, WIDTH), value), -1.5, 0.5))
        shard.write(empty_row(FEATURE_SCHEMA, ids[-1], "missing", "no_audio: none"))
    return path


def seen(paths: list[Path]) -> dict[str, object]:
    """What a store says of every video."""
    store = MappedFeatures(paths)
    videos = {
        name: (one.status, one.start_seconds, one.step_seconds, np.array(one.values).tolist())
        for name, one in store.items()
    }
    about = store.fingerprint, store.width, store.recipe, store.errors, store.status
    return {"videos": list(videos.items()), "about": about, "pages": [*map(store.page, store)]}


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two shards of a set that is large enough to keep its summary, and settled."""
    monkeypatch.setattr(summaries, "KEPT_FROM", 1)
    monkeypatch.setattr(summaries, "SETTLED_NS", -(10**12))
    return [write_shard(tmp_path / "set", number, number + 0.5) for number in range(2)]


def kept(shards: list[Path]) -> Path:
    return shards[0].parent / summaries.NAME


def test_a_kept_summary_says_what_the_shards_say(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = seen(shards)
    assert kept(shards).exists()
    with monkeypatch.context() as patched:
        patched.setattr(summaries, "ShardReader", None)  # none is opened for the summary
        patched.setattr(summaries, "_Read", None)
        assert MappedFeatures(shards).fingerprint == read["about"][0]  # type: ignore[index]
    assert seen(shards) == read
    kept(shards).unlink()
    monkeypatch.setattr(summaries, "KEPT_FROM", 100)
    assert seen(shards) == read
    assert not kept(shards).exists(), "a small set keeps none"


def test_changed_shards_are_read_again(shards: list[Path]) -> None:
    before, size = seen(shards), shards[1].stat().st_size
    write_shard(shards[0].parents[2], 1, 7.5)
    assert shards[1].stat().st_size == size
    after = seen(shards)
    assert after != before
    assert after == seen(shards)
    assert list(MappedFeatures(shards)["v1_0"].values[0]) == [7.5] * WIDTH
    assert seen(shards[:1])["about"] != after["about"], "other shards of the folder"
    assert seen(shards) == after


def test_a_file_that_just_changed_is_not_relied_on(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "SETTLED_NS", 10**13)
    read = seen(shards)
    assert not kept(shards).exists()
    assert seen(shards) == read


@pytest.mark.parametrize("change", ["flip", "cut", "version", "empty"])
def test_a_damaged_summary_is_made_again(shards: list[Path], change: str) -> None:
    read, path = seen(shards), kept(shards)
    whole = path.read_bytes()
    if change == "version":
        table = pq.read_table(path)
        about = table.schema.metadata[b"mcn"].replace(b'"version":1', b'"version":0')
        pq.write_table(table.replace_schema_metadata({b"mcn": about}), path)
    else:
        middle = len(whole) // 3
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes({"flip": flipped, "cut": whole[:middle], "empty": b""}[change])
    assert seen(shards) == read
    assert path.read_bytes() == whole


def test_it_is_done_without_where_it_cannot_be_written(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*given: object) -> None:
        raise UserError("a full disk", "room", "free some")

    monkeypatch.setattr(summaries, "write_table", refuse)
    with caplog.at_level(logging.INFO):
        read = seen(shards)
    assert "not kept" in caplog.text
    assert not kept(shards).exists()
    monkeypatch.undo()
    assert seen(shards) == read


def test_other_lists_and_other_places_are_refused_as_without_it(
    shards: list[Path], tmp_path: Path
) -> None:
    read = seen(shards)
    shutil.move(tmp_path / "set", tmp_path / "other")
    moved = [tmp_path / "other" / path.relative_to(tmp_path / "set") for path in shards]
    with pytest.raises(DamagedShard, match="the data set set"):
        MappedFeatures(moved)
    shutil.move(tmp_path / "other", tmp_path / "set")
    assert seen(shards) == read
    write_text(tmp_path / "set" / "shards" / "00001.csv", "video_id,path\nw,w.mp4\n")
    with pytest.raises(UserError, match="made of other videos"):
        MappedFeatures(shards)
    shards[0].unlink()
    with pytest.raises(UserError, match="no file"):
        MappedFeatures(shards)
