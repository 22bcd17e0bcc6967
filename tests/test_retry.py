"""What failed once is tried again, alone, and the merged shards are those of a run in which nothing failed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcn.errors import UserError
from mcn.shards import FEATURE_SCHEMA, ShardReader, ShardWriter, empty_row, feature_row
from mcn.shards.made_by import read_record
from mcn.shards.schemas import SCHEMAS
from mcn.upkeep.retry import Outcome, merge
from tests.small_run import SmallRun

FAILED = "timeout: killed after 64 s"
# stream -> the video that is made to fail in it
STREAMS = {
    "decoded/frames_1fps_32px": "first",
    "decoded/frames_4fps_32px_crop32": "first",
    "decoded/audio_16khz": "third",
    "features/resnet152": "first",
    "features/resnext101": "first",
    "features/logmel": "third",
}


def write(path: Path, rows: dict[str, float | None], recipe: int = 1) -> Path:
    """A feature shard: video -> the value of its features, None where it failed."""
    with ShardWriter(path, FEATURE_SCHEMA, {"version": recipe}) as shard:
        for video_id, value in rows.items():
            if value is None:
                shard.write(empty_row(FEATURE_SCHEMA, video_id, "failed", FAILED))
            else:
                shard.write(feature_row(video_id, np.full((2, 3), value), 0, 1))
    return path


def test_merged_rows_keep_their_places(tmp_path: Path) -> None:
    shard = write(tmp_path / "shard", {"a": 1, "b": None, "c": 3, "d": None})
    addition = write(tmp_path / "new", {"b": 2, "d": None})
    assert merge(shard, addition) == Outcome(tried=2, mended=1)
    wanted = write(tmp_path / "wanted", {"a": 1, "b": 2, "c": 3, "d": None})
    assert shard.read_bytes() == wanted.read_bytes()


def test_a_shard_that_does_not_change_is_not_touched(tmp_path: Path) -> None:
    shard = write(tmp_path / "shard", {"a": 1, "b": None})
    os.utime(shard, (1, 1))
    assert merge(shard, write(tmp_path / "new", {"b": None})) == Outcome(tried=1, mended=0)
    assert shard.stat().st_mtime == 1


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    shard = write(tmp_path / "shard", {"a": 1, "b": None})
    before = shard.read_bytes()
    with pytest.raises(UserError, match="another recipe") as caught:
        merge(shard, write(tmp_path / "new", {"b": 2}, recipe=2))
    assert f"rm {shard}" in caught.value.do
    assert shard.read_bytes() == before


def fail(shard: Path, video_id: str) -> None:
    """Make a video of a shard a failed one."""
    reader = ShardReader(shard)
    record = read_record(shard)
    inputs = reader.origin.inputs
    with ShardWriter(shard, SCHEMAS[reader.kind], reader.recipe, record, inputs) as writer:
        for row in list(reader):
            failed = empty_row(SCHEMAS[reader.kind], row["video_id"], "failed", FAILED)
            writer.write(failed if row["video_id"] == video_id else row)


@pytest.mark.slow
@pytest.mark.workflow
def test_videos_that_work_now_are_merged_to_the_bytes_of_a_run_without_faults(
    undisturbed: SmallRun, finished: SmallRun
) -> None:
    small = finished.results / "small"
    rows = []
    for stream, video_id in STREAMS.items():
        fail(small / stream / "00000.parquet", video_id)
        if stream.startswith("features"):
            rows.append({"video_id": video_id, "stream": Path(stream).name, "code": "timeout"})
    pd.DataFrame(rows).to_csv(small / "quarantine.csv", index=False)
    assert finished.digests() != undisturbed.digests()
    output = finished.run("retry")
    assert "3 rows tried again, 3 of them ok now" in output
    assert finished.digests() == undisturbed.digests()
    for stream in ("frames_1fps_32px", "frames_4fps_32px_crop32", "audio_16khz"):
        decoded = f"small/decoded/{stream}/00000.parquet"
        ours, theirs = finished.results / decoded, undisturbed.results / decoded
        assert ours.read_bytes() == theirs.read_bytes()
    assert [path.name for path in small.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.workflow
def test_what_fails_again_keeps_its_newest_reason_and_costs_nobody_else(finished: SmallRun) -> None:
    finished.configure({"datasets": {"small": {"missing_files": "ledger"}}})
    small = finished.results / "small"
    before = ShardReader(small / "features/logmel/00000.parquet").read(0)
    fail(small / "features/logmel/00000.parquet", "third")
    pd.DataFrame([{"video_id": "third", "stream": "logmel"}]).to_csv(small / "quarantine.csv")
    shutil.move(finished.folder / "videos/long_audio.mp4", finished.folder / "gone.mp4")
    assert "1 rows tried again, 0 of them ok now" in finished.run("retry")
    reader = ShardReader(small / "features/logmel/00000.parquet")
    errors = dict(zip(reader.video_ids, reader.column("error"), strict=True))
    assert errors["third"].startswith("not_found")
    assert reader.read(0) == before


@pytest.mark.workflow
def test_without_an_account_there_is_nothing_to_retry(finished: SmallRun) -> None:
    (finished.results / "small/quarantine.csv").unlink()
    assert "the account of a finished run" in finished.run("retry", fails=True)
