"""Narration, manifests and names that are odd or broken: read right, or named, and never the end of the rest."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mcn.sources.narration
from mcn.config.configuration import configure
from mcn.errors import UserError, VideoError
from mcn.features.text import extract_text, make_vocabulary
from mcn.features.vectors import _read
from mcn.media.decode import decode, read_shard_list
from mcn.options.decode import DecodeOptions, FrameOptions
from mcn.options.features import TextOptions
from mcn.shards import ShardReader
from mcn.sources.annotation_tables import read_captions_csv
from mcn.sources.manifest import read_manifest
from mcn.sources.narration import Line, read_narration
from mcn.sources.official_text import csv_lines, read_json, text_lines
from mcn.sources.outside import known_by, narration_digest
from mcn.sources.partition import partition, shard_narration, shard_videos
from mcn.sources.videos import prepare_videos
from tests.media_files import make

SECOND = FrameOptions(frames_per_second=1, short_side=32)
ROOT = Path(__file__).parent.parent

# YouTube's form: what was said before stays above what is new; the space in an empty line is YouTube's, too
AUTOMATIC = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
 
so<00:00:00.400><c> today</c><00:00:00.719><c> we&#39;re</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
so today we&#39;re
 

00:00:02.399 --> 00:00:04.500 align:start position:0%
so today we&#39;re
going<00:00:02.700><c> to</c><00:00:03.000><c> cook</c>

00:00:04.500 --> 00:00:04.510 align:start position:0%
going to cook
 

00:00:04.510 --> 00:00:06.000 align:start position:0%
going to cook
[Music]

00:00:06.000 --> 00:00:06.010 align:start position:0%
[Music]
 

00:00:06.010 --> 00:00:08.000 align:start position:0%
[Music]
[Music]
"""  # noqa: W293
ROLLED = [
    Line(0.16, 2.389, "so today we're"),
    Line(2.399, 4.5, "going to cook"),
    Line(4.51, 6.0, "[Music]"),
    Line(6.01, 8.0, "[Music]"),
]


def said(folder: Path, name: str, content: str | bytes) -> list[Line]:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return read_narration(folder / name)


def refused(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(VideoError) as caught:
        said(folder, name, content)
    assert caught.value.code == "narration_unreadable"
    return caught.value.message


def test_automatic_captions_give_every_word_once(tmp_path: Path) -> None:
    assert said(tmp_path, "a.vtt", AUTOMATIC) == ROLLED


def test_automatic_captions_that_were_made_srt(tmp_path: Path) -> None:
    """The times of the words are lost then; the repetition is not."""
    blocks = AUTOMATIC.replace("&#39;", "'").split("\n\n")[1:]
    text = ""
    for number, block in enumerate(blocks, start=1):
        timing, *lines = block.splitlines()
        plain = [mcn.sources.cues._plain(line, False) for line in lines]
        shown = "\n".join(line for line in plain if line)
        text += f"{number}\n{timing[:29].replace('.', ',')}\n{shown}\n\n"
    assert said(tmp_path, "a.srt", text) == ROLLED


def test_what_is_said_twice_in_plain_captions_stays(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nno\n\n2\n00:00:02,000 --> 00:00:03,000\nno\nno\n"
    assert [line.text for line in said(tmp_path, "a.srt", text)] == ["no", "no no"]


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        ("100:00:01,500", 360001.5),
        ("00:00:01.5", 1.5),
        ("61:01.250", 3661.25),
        ("1:02:03,004", 3723.004),
        ("9:00", 540),
    ],
)
def test_times(tmp_path: Path, start: str, seconds: float) -> None:
    text = f"1\n{start} --> 200:00:00,000\nstir\n"
    assert said(tmp_path, "a.srt", text) == [Line(seconds, 720000, "stir")]


@pytest.mark.parametrize("start", ["-00:00:05,000", "00:00:75,000", "1:75:00,0", "00:00:01:5,2"])
def test_times_that_are_none(tmp_path: Path, start: str) -> None:
    text = f"1\n00:00:00,000 --> 00:00:01,000\nfine\n\n2\n{start} --> 200:00:00,000\nstir\n"
    assert "line 6" in refused(tmp_path, "a.srt", text)


def test_an_arrow_in_a_text_is_text(tmp_path: Path) -> None:
    lines = said(tmp_path, "a.srt", "1\n00:00:01,000 --> 00:00:02,000\nraw --> cooked\n2\n")
    assert [line.text for line in lines] == ["raw --> cooked 2"]


def test_json(tmp_path: Path) -> None:
    assert said(tmp_path, "a.json", '{"start": [0, 1], "end": [1, 2], "text": [null, "a"]}') == [
        Line(1, 2, "a")
    ]
    assert "surrogates" in refused(tmp_path, "b.json", '[{"start":0,"end":1,"text":"\\ud800"}]')
    assert "wanted a string" in refused(tmp_path, "c.json", '[{"start":0,"end":1,"text":["a"]}]')
    refused(tmp_path, "d.json", '[{"start":null,"end":1,"text":"a"}]')
    refused(tmp_path, "e.json", '[{"start":0,"end":1e999,"text":"a"}]')


def test_commas_in_csv(tmp_path: Path) -> None:
    text = 'start,end,text\n0,1,chop, stir, serve\n1,2,"quoted, too"\n\n'
    assert [line.text for line in said(tmp_path, "a.csv", text)] == [
        "chop, stir, serve",
        "quoted, too",
    ]
    assert "line 3" in refused(tmp_path, "b.csv", "text,start,end\na,0,1\nb,c,1,2\n")
    assert "line 2" in refused(tmp_path, "c.csv", "start,end,text\n0,1\n")
    assert "text" in refused(tmp_path, "d.csv", "start,end,text,text\n0,1,a,b\n")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, mark: bytes) -> None:
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\nsauté\r\n"
    assert said(tmp_path, "a.srt", mark + text.encode(encoding)) == [Line(1, 2, "sauté")]


def test_bytes_of_another_encoding_are_named(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nsauté\n".encode("latin-1")
    assert "save it as UTF-8" in refused(tmp_path, "a.srt", text)


@pytest.mark.parametrize("suffix", [".srt", ".vtt", ".json", ".csv"])
@pytest.mark.parametrize("character", ["{", "[", "<", "\\", '"', "0:"])
def test_long_nonsense_takes_no_time(tmp_path: Path, suffix: str, character: str) -> None:
    head = "1\n00:00:01,000 --> 00:00:02,000\n" if suffix in (".srt", ".vtt") else ""
    (tmp_path / f"a{suffix}").write_text(head + 100_000 * character)
    with contextlib.suppress(VideoError):  # in subtitles some of it is text
        read_narration(tmp_path / f"a{suffix}")


def test_pipes_devices_folders_and_large_files(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    os.mkfifo(tmp_path / "pipe.srt")
    (tmp_path / "zero.srt").symlink_to("/dev/zero")
    (tmp_path / "folder.srt").mkdir()
    (tmp_path / "loop.srt").symlink_to("loop.srt")
    for name in ("pipe.srt", "zero.srt", "folder.srt", "loop.srt", f"{300 * 'n'}.srt", "a\0b.srt"):
        with pytest.raises(VideoError, match="narration_unreadable"):
            read_narration(tmp_path / name)
        assert known_by(tmp_path / name)  # looked at when a run starts
    with open(tmp_path / "huge.srt", "wb") as file:
        file.truncate(10**12)
    with pytest.raises(VideoError, match="too large"):
        read_narration(tmp_path / "huge.srt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"video_id,path\na,a.mp4,x\n", "line 2: 3 cells where the header has 2"),
        (b"video_id,path,title\n\na,a.mp4\n", "line 3: 2 cells where the header has 3"),
        (b'video_id,path\na,"a\n.mp4"\nb\n', "line 4: 1 cells"),
        (b'video_id,path\na,a.mp4\nb,"b.mp4\n', "line 3: "),
        (b"video_id,path,path\na,b,c\n", "a column occurs twice"),
        (b"video_id,path,title,title\na,b,c,d\n", "a column occurs twice"),
        (b"video_id,path\n\xe9,a.mp4\n", "line 2: video_id"),
        (b"\n\n", "is empty"),
    ],
)
def test_manifests_of_another_form(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "m.csv").write_bytes(text)
    with pytest.raises(UserError) as caught:
        read_manifest(tmp_path / "m.csv", check_files=False)
    assert message in caught.value.got


@pytest.mark.parametrize(
    "text",
    [
        "video_id;path\na;x,y.mp4\nb;b.mp4\n",
        "video_id\tpath\na\tx,y.mp4\nb\tb.mp4\n",
        '\ufeffvideo_id,path\r\na,"x,y.mp4"\nb,b.mp4\r',
        'video_id,path\n\n\na,"x,y.mp4"\n\nb,b.mp4\n\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_separators_marks_line_ends_and_empty_lines(
    tmp_path: Path, text: str, encoding: str
) -> None:
    text = text.removeprefix("\ufeff") if encoding == "utf-16" else text
    (tmp_path / "m.csv").write_bytes(text.encode(encoding))
    rows = read_manifest(tmp_path / "m.csv", check_files=False)
    assert [(row.video_id, row.path.name) for row in rows] == [("a", "x,y.mp4"), ("b", "b.mp4")]


def test_types_in_parquet(tmp_path: Path) -> None:
    def rows(**columns: pa.Array) -> list[tuple[str, str]]:
        pq.write_table(pa.table(columns), tmp_path / "m.parquet")
        found = read_manifest(tmp_path / "m.parquet", check_files=False)
        return [(row.video_id, row.path.name) for row in found]

    paths = pa.array(["a.mp4", "b.mp4"])
    wanted = [("7", "a.mp4"), ("8", "b.mp4")]
    for kind in (pa.int64(), pa.string(), pa.large_string()):
        assert rows(video_id=pa.array([7, 8]).cast(kind), path=paths) == wanted
    assert rows(video_id=pa.array(["7", "8"]), path=paths.dictionary_encode()) == wanted
    for odd in (pa.array([b"a", b"b"]), pa.array([["a"], ["b"]]), pa.array([1.5, 2.5])):
        with pytest.raises(UserError, match="column path holds"):
            rows(video_id=pa.array(["7", "8"]), path=odd)


ODD_NAMES = [
    "a\rb",
    "a\nb",
    "a\r\nb",
    "a\0b",
    300 * "n",
    "loop/x",
    "{A}",
    "-i",
    'q"u,o',
    " x",
    "caf\\xe9",
]


def test_odd_names_take_one_row_each(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    names = [*ODD_NAMES, "bad.srt"]
    cells = ['"' + name.replace('"', '""') + '"' for name in names]
    lines = [f"v{i},{cell},{cell},{{A}}" for i, cell in enumerate(cells)]
    data = "\n".join(["video_id,path,narration,title", *lines]) + "\n"
    Path("m.csv").write_bytes(data.encode().replace(b"\\xe9", b"\xe9"))
    Path("bad.srt").write_text("nonsense")
    outputs = Path("videos.parquet"), Path("narration.parquet")
    prepare_videos(Path("m.csv"), *outputs, missing_files="ledger")
    partition(*outputs, 1, Path())
    shard_videos(Path("m.csv"), 1, 0, Path("again.csv"))
    assert Path("again.csv").read_bytes() == Path("shards/00000.csv").read_bytes()
    listed = {one.video_id: one.place.name for one in read_shard_list(Path("shards/00000.csv"))}
    assert listed == {f"v{i}": Path(name).name for i, name in enumerate(names)}
    Path("a\rb").write_bytes(make("ten_frames.mp4").read_bytes())
    decode(Path("shards/00000.csv"), [SECOND], [Path("frames.parquet")], DecodeOptions())
    rows = list(ShardReader(Path("frames.parquet"), "frames"))
    found = {row["video_id"]: row["status"] + row["error"].split(":")[0] for row in rows}
    ends = {"v0": "ok", "v4": "failedunreadable", f"v{len(names) - 1}": "failedunreadable"}
    assert found == {video: ends.get(video, "failednot_found") for video in listed}
    assert narration_digest("m.csv")
    shard_narration(Path("m.csv"), 1, 0, Path("again.parquet"))
    assert Path("again.parquet").read_bytes() == Path("narration/00000.parquet").read_bytes()


def test_unreadable_narration_reaches_the_text_shard_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "video_id,path,narration\ngood,a.mp4,a.srt\nbad,b.mp4,b.srt\ngone,c.mp4,c.srt\nnone,d.mp4,\n"
    )
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nstir\n")
    (tmp_path / "b.srt").write_bytes(b"\xe9")
    (tmp_path / "words.txt").write_text("stir 1 2\n")
    outputs = tmp_path / "videos.parquet", tmp_path / "narration.parquet"
    prepare_videos(tmp_path / "m.csv", *outputs, missing_files="ledger")
    partition(*outputs, 1, tmp_path)
    options = TextOptions(
        vectors=str(tmp_path / "words.txt"), cache=str(tmp_path / "cache"), case="lower"
    )
    vocabulary, made = tmp_path / "vocabulary.parquet", tmp_path / "text.parquet"
    make_vocabulary([outputs[1]], options.vectors, vocabulary, options)
    lists = tmp_path / "shards/00000.csv", tmp_path / "narration/00000.parquet"
    extract_text("word2vec", *lists, vocabulary, made, options)
    rows = {row["video_id"]: row for row in ShardReader(made, "text")}
    status = {name: (row["status"], row["error"].split(":")[0]) for name, row in rows.items()}
    assert status == {
        "good": ("ok", ""),
        "bad": ("failed", "narration_unreadable"),
        "gone": ("failed", "not_found"),
        "none": ("missing", "no_narration"),
    }
    assert "b.srt" in rows["bad"]["error"]


def test_braces_in_a_configured_path_are_named_before_snakemake_meets_them() -> None:
    with pytest.raises(UserError, match=r"datasets.own.manifest: 'my \{A\}/m.csv' has braces"):
        configure({"datasets": {"own": {"manifest": "my {A}/m.csv"}}, "title": "my {A}"})


def sparse(path: Path, head: bytes = b"") -> Path:
    """A file of eight gigabytes, of which nearly all are zeros that take no place."""
    path.write_bytes(head)
    os.truncate(path, 8 << 30)
    return path


def test_gigabytes_without_a_line_end_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """Each in less than a second: who reads on holds eight gigabytes."""
    headed = sparse(tmp_path / "m.csv", b"video_id,path\n")
    readers: list[tuple[Callable[[], object], str]] = [
        (lambda: read_manifest(sparse(tmp_path / "a.csv")), "no line ends in 1048576 bytes"),
        (lambda: read_manifest(headed, check_files=False), "from byte 1048576 on"),
        (lambda: read_shard_list(headed), "no line ends"),
        (lambda: list(csv_lines(headed, ("video_id",), header=True)), "no line ends"),
        (lambda: list(text_lines(headed)), "no line ends"),
        (lambda: read_json(headed), "1073741824 are the most"),
        (lambda: read_captions_csv(headed), "1073741824 are the most"),
        (lambda: _read(sparse(tmp_path / "v.bin", b"2000000 300\n")), "vector 0 of 2000000"),
        (lambda: _read(sparse(tmp_path / "v.txt", b"stir 1 2\n")), "no line ends"),
    ]
    for read, message in readers:
        with pytest.raises(UserError, match=message):
            read()


def test_brackets_without_end_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="brackets within brackets"):
        read_json(tmp_path / "a.json")
