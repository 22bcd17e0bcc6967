"""`mcn run` on real files: words and pictures answer, and a file that comes or goes costs its own shard."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcn.sources.folders import video_id_of
from mcn.sources.partition import shard_of
from tests.http_server import Server
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
    assert {one["video_id"] for one in found(root, "test picture", "--seen", "--weak")} == {
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
    assert new in {one["video_id"] for one in found(root, "test picture", "--seen", "--weak")}
    after = times(root, features)
    touched = f"{shard_of(new, len(before)):05d}.parquet"
    assert {name for name in before if before[name] != after[name]} == {touched}
    (root / "videos" / "new film.avi").unlink()
    assert mcn(root, "run", "videos", "--output", "answers", "--cores", "2").returncode == 0
    assert new not in {one["video_id"] for one in found(root, "test picture", "--seen", "--weak")}
    again = mcn(root, "run", "videos", "--output", "answers", "--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in (root / "answers/results/logs/run.log").read_text()


def test_a_manifest_of_addresses_is_fetched_once_and_a_changed_video_made_again(
    tmp_path, monkeypatch
):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        for name in ("plain.mp4", "vp9.webm"):
            server.files[name] = make(name).read_bytes()
        soup = server.url("good", "plain.mp4").replace("http://", "http://me:hidden@")
        rows = [
            ("soup", f"{soup}?key=sesame"),
            ("film", server.url("whole", "vp9.webm")),
            ("gone", server.url("404", "gone.mp4")),
            ("cut", server.url("short", "vp9.webm")),
        ]
        text = "".join(f"{video},{url}\n" for video, url in rows)
        (tmp_path / "list.csv").write_text(f"video_id,path\n{text}")
        (tmp_path / "over.yaml").write_text("downloads: {attempts: 2, pause_seconds: 0}\n")
        words = ["list.csv", "--output", "answers", "--cores", "2", "--configfile", "over.yaml"]
        done = mcn(tmp_path, "run", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 files: 3 ok, 1 failed" in done.stdout
        assert "gone: not_found" in done.stdout
        assert "Not searched: cut: truncated" in done.stdout
        assert server.seen["good"] == server.seen["whole"] == 1
        seen = {one["video_id"]: one for one in found(tmp_path, "test picture", "--seen", "--weak")}
        assert set(seen) == {"soup", "film"}
        assert seen["soup"]["path"] == f"{server.url('good', 'plain.mp4')}?..."
        said = [path.read_text() for path in (tmp_path / "answers/results/logs").rglob("*.log")]
        assert len(said) > 5
        assert not any(secret in one for one in said for secret in ("hidden", "sesame"))
        before = times(tmp_path, "videos/features/*/*.parquet")
        assert mcn(tmp_path, "run", *words).returncode == 0
        log = (tmp_path / "answers/results/logs/run.log").read_text()
        assert "Nothing to be done" in log
        server.files["vp9.webm"] = make("mpeg4.avi").read_bytes()
        assert mcn(tmp_path, "run", *words).returncode == 0
        assert server.seen["whole"] == 2
        after = times(tmp_path, "videos/features/*/*.parquet")
        touched = {f"{shard_of(one, len(before)):05d}.parquet" for one in ("film", "cut")}
        assert {name for name in before if before[name] != after[name]} == touched
        server.shutdown()


def test_a_head_is_trained_by_itself_and_judged_and_a_second_run_does_nothing(tmp_path):
    """Twenty videos alike, from which nothing can be learned: the frozen pair stays."""
    (tmp_path / "videos").mkdir()
    lines = [
        f"{one + 1}\n00:00:0{one * 0.4:.3f} --> 00:00:0{one * 0.4 + 0.4:.3f}\nsee number {one}\n"
        for one in range(10)
    ]
    for number in range(20):
        shutil.copy(make("plain.mp4"), tmp_path / "videos" / f"{number}.mp4")
        (tmp_path / "videos" / f"{number}.srt").write_text("\n".join(lines).replace(".", ","))
    (tmp_path / "one.yaml").write_text("datasets: {videos: {shards: 1}}\n")
    words = ["run", "videos", "--output", "answers", "--cores", "2", "--configfile", "one.yaml"]
    done = mcn(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Trained here on 200 narrated clips of 20 videos: conse_head: it does not" in done.stdout
    verdict = json.loads((tmp_path / "answers/results/verdicts/conse_head.json").read_text())
    assert (verdict["videos"], verdict["head_answers"]) == (4, False)
    results = found(tmp_path, "test picture", "--seen", "--weak")
    assert "nothing trained here" in results[0]["why"][0]
    made = times(tmp_path, "models/*/*") | times(tmp_path, "index/*/*/*")
    again = mcn(tmp_path, *words)
    assert again.stdout.count("snakemake -s") == 1, "it is known how many clips there are"
    assert "Nothing to be done" in (tmp_path / "answers/results/logs/run.log").read_text()
    assert times(tmp_path, "models/*/*") | times(tmp_path, "index/*/*/*") == made
    without = mcn(tmp_path, *words, "--no-head")
    assert "Nothing was trained here, as was wished: 200 narrated clips" in without.stdout
    settings = json.loads((tmp_path / "answers/results/settings.json").read_text())
    assert set(settings["experiments"]) == {"conse"}
