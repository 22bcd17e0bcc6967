"""The doctor's verdicts, and what it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcn.cli import main
from mcn.options.decode import DecodeOptions
from mcn.sources.doctor import Diagnosis, examine, format_report
from mcn.sources.manifest import ManifestRow
from tests.media_files import make

EXPECTED = {
    "plain.mp4": ("ok", []),
    "variable.mp4": ("warning", ["no_audio", "variable_rate"]),
    "rotated_90.mp4": ("ok", ["turned"]),
    "late_video.mp4": ("warning", ["late_video"]),
    "late_audio.mkv": ("warning", ["late_audio"]),
    "no_audio.mp4": ("warning", ["no_audio"]),
    "no_video.m4a": ("warning", ["no_video_stream"]),
    "one_frame.mp4": ("warning", ["no_audio", "short"]),
    "subtitles_only.mkv": ("failed", ["no_video_stream", "no_audio"]),
    "cut_index_last.mp4": ("failed", ["unreadable"]),
    "cut_index_first.mp4": ("failed", ["truncated", "truncated"]),
    "cut.mkv": ("failed", ["truncated", "no_audio"]),
    "nothing.mp4": ("failed", ["empty_file"]),
    "text.mp4": ("failed", ["unreadable"]),
    "absent.mp4": ("failed", ["not_found"]),
}


def row(
    name: str, path: Path, narration: Path | None = None, sha256: str | None = None
) -> ManifestRow:
    return ManifestRow(name, path, (narration,) if narration else (), sha256=sha256)


@pytest.fixture(scope="module")
def diagnoses() -> dict[str, Diagnosis]:
    rows = [
        row(name, Path("/nowhere") / name if name == "absent.mp4" else make(name))
        for name in EXPECTED
    ]
    return {d.video_id: d for d in examine(rows, DecodeOptions()).diagnoses}


@pytest.mark.parametrize("name", EXPECTED)
def test_verdicts(diagnoses: dict[str, Diagnosis], name: str) -> None:
    verdict, codes = EXPECTED[name]
    assert diagnoses[name].verdict == verdict
    assert [finding.code for finding in diagnoses[name].findings] == codes


def test_what_will_happen(diagnoses: dict[str, Diagnosis]) -> None:
    assert diagnoses["plain.mp4"].outcome.startswith("video and audio features; no narration")
    assert diagnoses["no_audio.mp4"].outcome.startswith("video features; audio counted as missing")
    assert diagnoses["cut_index_first.mp4"].outcome.startswith(
        "no features; video counted as failed"
    )


def test_checksums_and_narration(tmp_path: Path) -> None:
    path = make("ten_frames.mp4")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    narration = tmp_path / "a.srt"
    rows = [row("right", path, narration, right), row("wrong", path, narration, "0" * 64)]
    report = examine(rows, DecodeOptions())
    assert [d.verdict for d in report.diagnoses] == ["warning", "failed"]
    assert report.diagnoses[1].findings[0].code == "checksum"
    assert "no narration" not in report.diagnoses[0].outcome
    assert report.any_failed


def test_the_report_reads_well() -> None:
    report = examine(
        [row("clip", make("plain.mp4")), row("gone", Path("/nowhere/x"))], DecodeOptions()
    )
    text = format_report(report)
    assert "ok      clip      4.0 s  h264 160x120 25/s, aac 44100 Hz 1 ch" in text
    assert "not_found: no file /nowhere/x" in text
    assert text.endswith("2 videos: 1 ok, 0 warning, 1 failed")
    assert not examine([row("clip", make("plain.mp4"))], DecodeOptions()).any_failed


def test_a_folder_is_looked_at_as_a_manifest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").symlink_to(make("plain.mp4"))
    (tmp_path / "notes.txt").write_text("words")
    assert main(["doctor", str(tmp_path)]) == 0
    assert "1 videos: 1 ok, 0 warning, 0 failed" in capsys.readouterr().out
