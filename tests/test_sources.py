"""Manifests, narration files and annotations: every bad row is named at once."""

import json

import pandas as pd
import pytest

from mcn.errors import UserError, VideoError
from mcn.sources.annotation_tables import prepare_captions, prepare_steps
from mcn.sources.manifest import read_manifest
from mcn.sources.narration import Line, read_narration
from mcn.sources.videos import prepare_videos

SRT = "1\n00:00:01,500 --> 00:00:02,000\n<i>stir</i>\nthe pot\n\n2\n00:00:00,250 --> 00:00:01,000\nhello\n"
VTT = "WEBVTT\n\n00:01.500 --> 00:02.000\nstir the pot\n\n00:00.250 --> 00:01.000\nhello\n"
LINES = [Line(0.25, 1.0, "hello"), Line(1.5, 2.0, "stir the pot")]
COLUMNS = {"start": [1.5, 0.25], "end": [2, 1], "text": ["stir the pot", "hello"]}
FORMS = {
    "a.srt": SRT,
    "a.vtt": VTT,
    "columns.json": json.dumps(COLUMNS),
    "lines.json": json.dumps([{k: COLUMNS[k][i] for k in COLUMNS} for i in range(2)]),
    "a.csv": "start,end,text\n1.5,2,stir the pot\n0.25,1,hello\n",
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_narration_format_gives_the_same_lines(tmp_path, name, mark):
    (tmp_path / name).write_text(mark + FORMS[name], encoding="utf-8")
    assert read_narration(tmp_path / name) == LINES


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.srt", b"this is no subtitle file"),
        ("a.vtt", b"\xff\xfe\x00bad"),
        ("a.json", b'{"start": [1], "end": [2]}'),
        ("a.json", b'{"start": [1, 2], "end": [2], "text": ["a"]}'),
        ("a.json", b"{"),
        ("a.csv", b"start,end,text\n3,1,backwards\n"),
        ("a.csv", b"start,end,text\n-1,1,early\n"),
        ("a.csv", b"start,end,text\nnan,1,never\n"),
        ("a.txt", b"hello"),
    ],
)
def test_a_narration_that_does_not_parse_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError) as caught:
        read_narration(tmp_path / name)
    assert caught.value.code == "narration_unreadable"
    assert name in caught.value.message


def test_an_empty_narration_has_no_lines(tmp_path):
    (tmp_path / "a.srt").write_text("")
    (tmp_path / "a.vtt").write_text("WEBVTT\n")
    assert read_narration(tmp_path / "a.srt") == read_narration(tmp_path / "a.vtt") == []


def manifest(folder, text, files=("a.mp4", "b.mp4", "n.srt")):
    for name in files:
        (folder / name).write_text(SRT if name.endswith("srt") else "video")
    (folder / "m.csv").write_text(text)
    return folder / "m.csv"


def test_paths_are_relative_to_the_manifest(tmp_path):
    rows = read_manifest(
        manifest(tmp_path, "video_id,video_path,narration\na,a.mp4,n.srt\nb,b.mp4,\n")
    )
    assert [(row.video_id, row.path, row.narration) for row in rows] == [
        ("a", tmp_path / "a.mp4", (tmp_path / "n.srt",)),
        ("b", tmp_path / "b.mp4", ()),
    ]


def test_ids_that_look_like_numbers_stay_text(tmp_path):
    rows = read_manifest(manifest(tmp_path, "video_id,path\n007,a.mp4\n1e5,b.mp4\n"))
    assert [row.video_id for row in rows] == ["007", "1e5"]


def test_every_bad_row_is_reported_at_once_with_its_line(tmp_path):
    text = "video_id,path,sha256\n../x,a.mp4,\na,a.mp4,zz\na,b.mp4,\n-f,b.mp4,\n.g,b.mp4,\nc,gone.mp4,\nd,,\n"
    with pytest.raises(UserError) as caught:
        read_manifest(manifest(tmp_path, text))
    for part in (
        "line 2: video_id '../x'",
        "line 3: sha256 'zz'",
        "line 4: video_id 'a' is already on line 3",
    ):
        assert part in caught.value.got
    assert "line 5" not in caught.value.got, "YouTube ids may start with -"
    assert "line 6: video_id '.g'" in caught.value.got
    assert f"line 7: no file {tmp_path}/gone.mp4" in caught.value.got
    assert "line 8: no path" in caught.value.got


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,path\n", "no rows"),
        ("", "is empty"),
        ("video_id,pth\na,b\n", "unknown column 'pth', did you mean 'path'?"),
        ("video_id,path,video_path\na,b,c\n", "a column occurs twice"),
    ],
)
def test_a_manifest_of_the_wrong_form_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match="wanted") as caught:
        read_manifest(tmp_path / "m.csv")
    assert message in caught.value.got


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no manifest .*gone\.csv"):
        read_manifest(tmp_path / "gone.csv")


def test_missing_files_are_an_error_or_left_to_the_ledger(tmp_path):
    path = manifest(tmp_path, "video_id,path,narration\na,gone.mp4,bad.srt\nb,b.mp4,n.srt\n")
    (tmp_path / "bad.srt").write_text("nonsense")
    outputs = tmp_path / "videos.parquet", tmp_path / "narration.parquet"
    with pytest.raises(UserError, match=r"gone\.mp4"):
        prepare_videos(path, *outputs)
    prepare_videos(path, *outputs, missing_files="ledger")
    assert list(pd.read_parquet(outputs[0]).video_id) == ["a", "b"]
    assert set(pd.read_parquet(outputs[1]).video_id) == {"b"}


def test_captions_are_lines_of_narration_where_the_set_says_so(tmp_path):
    path = manifest(tmp_path, "video_id,path\na,a.mp4\nb,b.mp4\n")
    outputs = tmp_path / "videos.parquet", tmp_path / "narration.parquet"
    header = "clip_id,video_id,start_seconds,end_seconds,caption\n"
    table = tmp_path / "captions.csv"
    table.write_text(header + "c2,b,5,9,pour\nc1,b,0,4,stir\nc0,a,0,1,chop\nc1,b,0,4,mix\n")
    prepare_videos(path, *outputs, narration_table=table)
    found = pd.read_parquet(outputs[1])
    assert list(found.video_id) == ["a", "b", "b", "b"]
    assert list(found.text) == ["chop", "stir", "mix", "pour"]
    table.write_text(header + "c0,a,0,,chop\nc1,x,0,1,stir\n")
    with pytest.raises(UserError) as caught:
        prepare_videos(path, *outputs, narration_table=table)
    assert "video x" in caught.value.got
    assert "video a" in caught.value.got  # without an end it is no line


def test_captions_and_steps_are_checked_against_the_videos(tmp_path):
    path = manifest(tmp_path, "video_id,path\na,a.mp4\n")
    videos = tmp_path / "videos.parquet"
    prepare_videos(path, videos, tmp_path / "narration.parquet")
    (tmp_path / "c.csv").write_text(
        "clip_id,video_id,start_seconds,end_seconds,caption\nc,a,0,1,stir\nc,x,3,2,pour\n"
    )
    with pytest.raises(UserError) as caught:
        prepare_captions(tmp_path / "c.csv", videos, tmp_path / "captions.parquet")
    assert "unknown video_id 'x'" in caught.value.got
    assert "3.0 to 2.0 s" in caught.value.got
    (tmp_path / "t.csv").write_text("task,step,text\nsoup,0,chop\nsoup,2,stir\n")
    (tmp_path / "s.csv").write_text("video_id,task,step,start_seconds,end_seconds\na,soup,1,0,1\n")
    with pytest.raises(UserError) as caught:
        prepare_steps(
            tmp_path / "t.csv",
            tmp_path / "s.csv",
            videos,
            tmp_path / "t.parquet",
            tmp_path / "s.parquet",
        )
    assert "task 'soup': steps [0, 2], wanted 0..1" in caught.value.got
    assert "step 1 of task 'soup' is not listed" in caught.value.got
