"""A folder of videos: found by content, each real file once, under ids that stay."""

import os
import shutil

import pytest
from PIL import Image

from mcn.errors import UserError
from mcn.files import write_text
from mcn.options.decode import DecodeOptions
from mcn.sources.doctor import examine
from mcn.sources.folders import choose, manifest_text, row_of, video_id_of, walk
from mcn.sources.manifest import SAFE_ID, read_manifest
from tests.media_files import make


def taken(folder, excluded=()):
    return [file.below for file, is_taken in choose(walk(folder, excluded)) if is_taken]


def test_videos_are_found_by_content_and_broken_ones_by_their_name(tmp_path):
    shutil.copy(make("plain.mp4"), tmp_path / "film")
    shutil.copy(make("no_video.m4a"), tmp_path / "sound.txt")
    shutil.copy(make("vp9.webm"), tmp_path / "b.webm")
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 100)
    (tmp_path / "notes.txt").write_text("mp4 " * 2000)
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty").touch()
    (tmp_path / ".hidden.mp4").write_bytes(b"x")
    for suffix in ("png", "jpg", "gif"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / f"still.{suffix}")
    assert taken(tmp_path) == ["b.webm", "broken.mp4", "film", "sound.txt"]


def test_links_are_followed_and_each_file_counts_once(tmp_path):
    videos = tmp_path / "videos"
    (videos / "a").mkdir(parents=True)
    shutil.copy(make("plain.mp4"), videos / "a" / "one.mp4")
    (videos / "0_link.mp4").symlink_to("a/one.mp4")
    (videos / "loop").symlink_to(videos)
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(make("plain.mp4"), outside / "two.mp4")
    (videos / "more").symlink_to(outside)
    (videos / "answers").mkdir()
    shutil.copy(make("plain.mp4"), videos / "answers" / "made.mp4")
    assert taken(videos, [videos / "answers"]) == ["a/one.mp4", "more/two.mp4"]


def test_what_is_called_a_video_and_cannot_be_opened_is_told_of(tmp_path, caplog):
    (tmp_path / "loop.mp4").symlink_to("circle.mp4")
    (tmp_path / "circle.mp4").symlink_to("loop.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere")
    (tmp_path / "gone.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"x")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    found = taken(tmp_path)
    assert found == ["caf\\xe9.mp4", "circle.mp4", "gone.mp4", "loop.mp4", "pipe.mp4"]
    assert "not UTF-8" in caplog.text
    rows = [row_of(file) for file, is_taken in choose(walk(tmp_path)) if is_taken]
    report = examine(rows, DecodeOptions())
    codes = {one.video_id.split("-")[0]: one.findings[0].code for one in report.diagnoses}
    assert codes.pop("pipe.mp4") == "unreadable"
    assert set(codes.values()) == {"not_found"}


def test_ids_are_safe_unique_and_depend_on_the_path_alone():
    paths = [
        "soup.mp4",
        "soup.webm",
        "a/soup.mp4",
        "a_soup.mp4",
        "Über Suppe.mp4",
        "../x",
        "-dash.mp4",
    ]
    paths += [
        "x/" * 100 + "long.mp4",
        "a_soup.mp4-" + video_id_of("a/soup.mp4")[-8:],
        "bad\udcff.mp4",
    ]
    ids = [video_id_of(path) for path in paths]
    assert ids[0] == "soup.mp4"
    assert ids[2].startswith("a_soup.mp4-")
    assert len(set(ids)) == len(ids)
    assert all(SAFE_ID.fullmatch(one) for one in ids)


def test_the_manifest_is_read_back(tmp_path):
    names = ['My "soup", hot.mp4', "a\rb.mp4", "a\nb.mp4", "a\r\nb.mp4", "\t;|.mp4", "#.mp4"]
    for name in names:
        shutil.copy(make("plain.mp4"), tmp_path / name)
    rows = [row_of(file) for file, is_taken in choose(walk(tmp_path)) if is_taken]
    write_text(tmp_path / "out.csv", manifest_text(rows))
    found = {row.video_id: row.path for row in read_manifest(tmp_path / "out.csv")}
    assert found == {video_id_of(name): tmp_path / name for name in names}


def test_a_folder_that_is_not_there_is_an_error_in_words(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        walk(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        walk(tmp_path / "file")


def test_a_file_that_may_be_read_at_last_is_known_as_another(tmp_path, monkeypatch):
    shutil.copy(make("plain.mp4"), tmp_path)
    (readable,) = walk(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    (unreadable,) = walk(tmp_path)
    assert unreadable.known != readable.known
