"""Partition: membership depends on the id and the number of shards alone."""

import hashlib

import pandas as pd

from mcn.partition import partition, shard_of
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
