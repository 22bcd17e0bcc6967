"""Partition: membership depends on the id and the number of shards alone."""

import hashlib

import pandas as pd
import pyarrow as pa
import pytest

from mcn.errors import UserError
from mcn.files import stream_table, write_table
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.partition import partition, shard_of
from mcn.sources.videos import prepare_videos


def make(folder, ids):
    folder.mkdir()
    (folder / "v.mp4").write_text("")
    (folder / "n.csv").write_text("start,end,text\n0,1,stir the pot\n")
    rows = "".join(f"{video_id},v.mp4,n.csv\n" for video_id in ids)
    (folder / "m.csv").write_text("video_id,path,narration\n" + rows)
    prepare_videos(folder / "m.csv", folder / "videos.parquet", folder / "narration.parquet")
    partition(folder / "videos.parquet", folder / "narration.parquet", 3, folder)
    return [folder / "shards" / f"{shard:05d}.csv" for shard in range(3)]


def test_shard_numbers_are_those_of_sha256():
    expected = int(hashlib.sha256(b"video-1").hexdigest()[:16], 16) % 1220
    assert shard_of("video-1", 1220) == expected


def test_one_more_video_touches_one_shard(tmp_path):
    ids = [f"v{i}" for i in range(20)]
    before = [path.read_text().split("\n") for path in make(tmp_path / "before", ids)]
    after = [path.read_text().split("\n") for path in make(tmp_path / "after", ["new", *ids[::-1]])]

    def ids_of(lines):
        return [line.split(",")[0] for line in lines]

    changed = [i for i in range(3) if ids_of(before[i]) != ids_of(after[i])]
    assert changed == [shard_of("new", 3)]


def test_every_video_and_every_line_is_in_exactly_one_shard(tmp_path):
    ids = {f"v{i}" for i in range(20)}
    shards = make(tmp_path / "set", ids)
    found = [video_id for path in shards for video_id in pd.read_csv(path).video_id]
    assert sorted(found) == sorted(ids)
    for path in shards:
        lines = pd.read_parquet(
            path.parent.parent / "narration" / path.with_suffix(".parquet").name
        )
        assert set(lines.video_id) == set(pd.read_csv(path).video_id)


def test_an_empty_shard_keeps_its_columns(tmp_path):
    shards = make(tmp_path / "set", ["only"])
    assert sorted(len(pd.read_csv(path)) for path in shards) == [0, 0, 1]
    assert list(pd.read_csv(shards[0]).columns) == ["video_id", "path", "sha256"]


def narration_files(folder):
    return {path.name: path.read_bytes() for path in (folder / "narration").iterdir()}


def test_narration_that_must_wait_on_disk_ends_in_the_same_files(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    ids = [f"v{i}" for i in range(50)]
    make(folder, ids)
    lines = [
        (video_id, float(n), n + 1.0, f"line {n}", "en") for n in range(40) for video_id in ids
    ]
    table = pa.Table.from_pylist([dict(zip(NARRATION.names, one, strict=True)) for one in lines])
    with stream_table(folder / "narration.parquet", NARRATION) as writer:
        writer.write_table(table.cast(NARRATION))
    arguments = folder / "videos.parquet", folder / "narration.parquet", 3, folder
    partition(*arguments)
    in_memory = narration_files(folder)
    monkeypatch.setattr("mcn.sources.partition.WAITING_BYTES", 1000)
    monkeypatch.setattr("mcn.files.BATCH_ROWS", 64)
    partition(*arguments)
    assert narration_files(folder) == in_memory
    for shard in range(3):
        found = pd.read_parquet(folder / f"narration/{shard:05d}.parquet")
        wanted = [one for one in lines if shard_of(one[0], 3) == shard]
        assert list(found.itertuples(index=False, name=None)) == wanted


def test_lines_of_videos_that_are_not_listed_are_an_error(tmp_path):
    folder = tmp_path / "set"
    make(folder, ["a"])
    table = pa.Table.from_pylist(
        [{"video_id": "b", "start_seconds": 0.0, "end_seconds": 1.0, "text": "stir"}], NARRATION
    )
    write_table(folder / "narration.parquet", table)
    with pytest.raises(UserError, match="lines of b, which is not listed"):
        partition(folder / "videos.parquet", folder / "narration.parquet", 3, folder)
