"""Every video once in every stream, or an error that names it."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcn.errors import UserError
from mcn.files import write_table
from mcn.shards import FEATURE_SCHEMA, ShardWriter, empty_row, feature_row
from mcn.upkeep.ledger import make_ledger

IDS = ["b", "a", "bad one", "silent", "long"]


def write_videos(path: Path, ids: list[str]) -> Path:
    write_table(path, pa.table({"video_id": ids, "path": [f"{i}.mp4" for i in ids]}))
    return path


def write_shard(path: Path, rows: list[str]) -> Path:
    errors = {
        "bad one": ("failed", "truncated: ends, early: at 3.0 s"),
        "silent": ("missing", "no_audio: none"),
    }
    with ShardWriter(path, FEATURE_SCHEMA, {}) as shard:
        for video_id in rows:
            if video_id in errors:
                shard.write(empty_row(FEATURE_SCHEMA, video_id, *errors[video_id]))
            else:
                shard.write(feature_row(video_id, np.ones((2, 3)), 0.0, 1.0))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, list[Path]]:
    first = write_shard(tmp_path / "0.parquet", ["a", "silent", "bad one"])
    second = write_shard(tmp_path / "1.parquet", ["b", "long"])
    return {"logmel": [first, second], "davenet": [second, first]}


def test_every_video_ends_in_exactly_one_state(tmp_path, shards, caplog):
    videos = write_videos(tmp_path / "videos.parquet", IDS)
    with caplog.at_level(logging.INFO):
        line = make_ledger(
            videos, shards, tmp_path / "ledger.parquet", {"long": "too_long: over 2 h"}
        )
    rows = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert [
        row["video_id"] for row in rows
    ] == IDS * 2  # the manifest's order, whatever the shards' order
    assert [row["stream"] for row in rows] == ["logmel"] * 5 + ["davenet"] * 5
    assert [(row["status"], row["code"], row["error"]) for row in rows[:5]] == [
        ("ok", "", ""),
        ("ok", "", ""),
        ("failed", "truncated", "ends, early: at 3.0 s"),
        ("missing", "no_audio", "none"),
        ("excluded", "too_long", "over 2 h"),
    ]
    counts = "2 ok, 1 failed (truncated 1), 1 missing (no_audio 1), 1 excluded (too_long 1)"
    assert line == f"5 videos | logmel: {counts} | davenet: {counts}"
    assert line in caplog.text


def test_quarantine_lists_failures_with_a_command_that_a_shell_can_run(tmp_path, shards):
    videos = write_videos(tmp_path / "videos.parquet", IDS)
    make_ledger(videos, shards, tmp_path / "ledger.parquet", manifest=Path("my videos.csv"))
    with open(tmp_path / "quarantine.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video_id"], row["stream"]) for row in rows] == [
        ("bad one", "logmel"),
        ("bad one", "davenet"),
    ]
    assert rows[0]["code"] == "truncated"
    assert rows[0]["message"] == "ends, early: at 3.0 s"
    assert rows[0]["reproduce"] == "mcn doctor '--video=bad one' 'my videos.csv'"


@pytest.mark.parametrize(
    ("manifest", "excluded", "named"),
    [
        ([*IDS, "lost"], {}, "logmel: video 'lost' is in no shard"),
        (IDS[:-1], {}, "davenet: video 'long' is not in the manifest"),
        ([*IDS, "a"], {}, "video 'a' is there 2 times"),
        (IDS, {"nobody": "private"}, "excluded video 'nobody'"),
    ],
)
def test_totals_that_do_not_equal_the_manifest_are_an_error(
    tmp_path, shards, manifest, excluded, named
):
    videos = write_videos(tmp_path / "videos.parquet", manifest)
    with pytest.raises(UserError, match=named):
        make_ledger(videos, shards, tmp_path / "ledger.parquet", excluded)
    assert not (tmp_path / "ledger.parquet").exists()


def test_a_video_in_two_shards_is_an_error(tmp_path, shards):
    videos = write_videos(tmp_path / "videos.parquet", IDS)
    again = write_shard(tmp_path / "2.parquet", ["a"])
    with pytest.raises(UserError, match="davenet: video 'a' is there 2 times"):
        make_ledger(
            videos, {**shards, "davenet": [*shards["davenet"], again]}, tmp_path / "ledger.parquet"
        )


def test_an_excluded_video_needs_no_shard_row(tmp_path, shards):
    videos = write_videos(tmp_path / "videos.parquet", [*IDS, "private"])
    line = make_ledger(videos, shards, tmp_path / "ledger.parquet", {"private": "no_licence"})
    assert line.startswith(
        "6 videos | logmel: 3 ok, 1 failed (truncated 1), 1 missing (no_audio 1), 1 excluded"
    )


def test_the_ledger_is_byte_identical(tmp_path, shards):
    videos = write_videos(tmp_path / "videos.parquet", IDS)
    for name in ("one", "two"):
        make_ledger(videos, shards, tmp_path / name / "ledger.parquet")
    for name in ("ledger.parquet", "quarantine.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
