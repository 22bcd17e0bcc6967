"""`mcn run` on real files: words and pictures answer, and a file that comes or goes costs its own shard."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcn.media.folders import video_id_of
from mcn.sources.partition import shard_of
from tests.media_files import make

pytestmark = [pytest.mark.slow, pytest.mark.workflow]
SUBTITLES = "1\n00:00:00,000 --> 00:00:02,000\nstir the soup\n\n2\n00:00:02,000 --> 00:00:04,000\nchop an onion\n"


def mcn(root: Path, *words: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "mcn", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def found(root: Path, query: str, *more: str) -> list[dict]:
    return json.loads(mcn(root, "search", "answers", query, "--json", *more).stdout)["results"]


def times(root: Path, pattern: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (root / "answers/results").glob(pattern)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    videos = root / "videos"
    videos.mkdir()
    for name in ("plain.mp4", "vp9.webm", "no_video.m4a"):
        shutil.copy(make(name), videos / name)
    (videos / "plain.srt").write_text(SUBTITLES)
    (videos / "broken.mp4").write_bytes(b"\0" * 1000)
    (videos / "notes.txt").write_text("no video")
    done = mcn(root, "run", "videos", "--output", "answers", "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 files: 2 ok, 1 warning, 1 failed" in done.stdout
    assert "snakemake -s " in done.stdout
    assert "Nothing was trained here" in done.stdout
    assert sorted(one.name for one in root.iterdir()) == ["answers", "videos"]
    return root


def test_what_was_said_and_what_is_seen_answers(root):
    first, *_ = found(root, "soup")
    assert first["video_id"] == "plain.mp4"
    assert "words" in first["sources"]
    assert first["start_seconds"] < 2
    assert {one["video_id"] for one in found(root, "test picture", "--seen")} == {
        "plain.mp4",
        "vp9.webm",
    }
    meant = found(root, "hot broth", "--said")
    assert meant[0]["video_id"] == "plain.mp4"
    assert meant[0]["sources"] == ["meaning"]


def test_files_that_come_and_go_cost_their_own_shards(root):
    features = "videos/features/efficientnet_lite2/*.parquet"
    before = times(root, features)
    shutil.copy(make("mpeg4.avi"), root / "videos" / "new film.avi")
    new = video_id_of("new film.avi")
    assert mcn(root, "run", "videos", "--output", "answers", "--cores", "2").returncode == 0
    assert new in {one["video_id"] for one in found(root, "test picture", "--seen")}
    after = times(root, features)
    touched = f"{shard_of(new, len(before)):05d}.parquet"
    assert {name for name in before if before[name] != after[name]} == {touched}
    (root / "videos" / "new film.avi").unlink()
    assert mcn(root, "run", "videos", "--output", "answers", "--cores", "2").returncode == 0
    assert new not in {one["video_id"] for one in found(root, "test picture", "--seen")}
    again = mcn(root, "run", "videos", "--output", "answers", "--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in (root / "answers/results/logs/run.log").read_text()
