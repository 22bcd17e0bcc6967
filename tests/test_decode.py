"""The decode stage: every listed video ends as one row, in order, whatever its file is like."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import mcn.media.decode
from mcn.errors import UserError
from mcn.media.decode import decode, read_shard_list
from mcn.media.frames import rgb_frames
from mcn.media.lossless import decode_rgb
from mcn.media.remarks import remarks_of
from mcn.options.decode import DecodeOptions
from mcn.options.encoders import AUDIO_16KHZ, FRAMES_24FPS
from mcn.options.row import FRAMES_1FPS
from mcn.shards import ShardReader
from tests.media_files import make

OPTIONS = DecodeOptions()
RATES, SOUND = [FRAMES_1FPS, FRAMES_24FPS], [AUDIO_16KHZ]

# name of the file -> (code in the frame shards, code in the audio shard), "" is ok
EXPECTED = {
    "plain.mp4": ("", ""),
    "variable.mp4": ("", "no_audio"),
    "rotated_90.mp4": ("", ""),
    "late_video.mp4": ("", ""),
    "odd.mkv": ("", "no_audio"),
    "surround.mp4": ("", ""),
    "no_audio.mp4": ("", "no_audio"),
    "no_video.m4a": ("no_video_stream", ""),
    "one_frame.mp4": ("", "no_audio"),
    "two_frames.mp4": ("", "no_audio"),
    "short_audio.mp4": ("", ""),
    "long_audio.mp4": ("", ""),
    "cut_index_last.mp4": ("unreadable", "unreadable"),
    "cut_index_first.mp4": ("truncated", "truncated"),
    "damaged.mp4": ("decode_error", "decode_error"),
    "nothing.mp4": ("empty_file", "empty_file"),
    "text.mp4": ("unreadable", "unreadable"),
    "absent.mp4": ("not_found", "not_found"),
    "folder": ("unreadable", "unreadable"),
}

UNEQUAL = ("late_video.mp4", "short_audio.mp4", "long_audio.mp4")  # remarked


def write_list(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video_id", "path", "sha256"])
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ShardReader]:
    """Every file of `EXPECTED`, decoded."""
    folder = tmp_path_factory.mktemp("decode")
    places = {name: str(folder / name) for name in ("absent.mp4", "folder")}
    (folder / "folder").mkdir()
    rows = [(f"id_{name}", places.get(name) or str(make(name)), "") for name in EXPECTED]
    listed = write_list(folder / "00000.csv", rows)
    paths = {name: folder / f"{name}.parquet" for name in ("frames_1fps", "frames_24fps", "audio")}
    decode(listed, RATES, [paths["frames_1fps"], paths["frames_24fps"]], OPTIONS)
    decode(listed, SOUND, [paths["audio"]], OPTIONS)
    return {name: ShardReader(path) for name, path in paths.items()}


@pytest.mark.parametrize("stream", ["frames_1fps", "frames_24fps", "audio"])
def test_every_video_has_its_row_in_order(shards: dict[str, ShardReader], stream: str) -> None:
    assert shards[stream].video_ids == [f"id_{name}" for name in EXPECTED]
    for row, (name, codes) in zip(shards[stream], EXPECTED.items(), strict=True):
        code = codes[1] if stream == "audio" else codes[0]
        missing = code in ("no_audio", "no_video_stream")
        assert row["status"] == ("missing" if missing else "failed" if code else "ok"), row["error"]
        assert row["status"] == "ok" or row["error"].split(":")[0] == code
        remarked = set(remarks_of(row["error"])) if row["status"] == "ok" else set()
        assert remarked == ({"unequal_span"} if name in UNEQUAL and not code else set())
        content = row["samples"] if stream == "audio" else row["video"]
        assert (content is None) == bool(code)


def test_frames_are_those_of_the_decoder(shards: dict[str, ShardReader]) -> None:
    frames: list[list[np.ndarray]] = [[], []]
    for index, frame in rgb_frames(make("plain.mp4"), RATES):
        frames[index].append(frame)
    for stream, expected, step in zip(
        ("frames_1fps", "frames_24fps"), frames, (1, 1 / 24), strict=True
    ):
        row = shards[stream].read(0)
        stored = np.concatenate(list(decode_rgb(row["video"], 7)))
        assert np.array_equal(stored, np.stack(expected))
        assert stored.shape == (row["length"], row["height"], row["width"], 3)
        assert (row["start_seconds"], row["step_seconds"]) == (0, pytest.approx(step))


def test_samples_are_little_endian_floats(shards: dict[str, ShardReader]) -> None:
    row = shards["audio"].read(0)
    samples = np.frombuffer(row["samples"], "<f4")
    assert (len(samples), row["sample_rate"], row["start_seconds"]) == (row["length"], 16000, 0)
    assert 0.1 < np.abs(samples).max() < 0.5


def test_the_recipe_says_what_made_the_numbers(shards: dict[str, ShardReader]) -> None:
    recipe = shards["frames_24fps"].recipe
    assert (recipe["frames_per_second"], recipe["short_side"], recipe["crop"]) == (24, 112, 112)
    assert recipe["version"] == mcn.media.decode.FRAMES_VERSION
    assert {"av", "libavcodec", "libavfilter", "libswscale"} <= set(recipe["libraries"])
    assert "soxr" in shards["audio"].recipe["libraries"]


def test_same_list_same_bytes(tmp_path: Path) -> None:
    rows = [("a", str(make("plain.mp4")), ""), ("b", str(make("nothing.mp4")), "")]
    listed = write_list(tmp_path / "00000.csv", rows)
    for run in ("first", "second"):
        decode(listed, RATES, [tmp_path / run / "1", tmp_path / run / "24"], OPTIONS)
        decode(listed, SOUND, [tmp_path / run / "16"], OPTIONS)
    for name in ("1", "24", "16"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "first").iterdir()) == ["1", "16", "24"]


def test_names_that_shells_and_ffmpeg_would_misread(tmp_path: Path) -> None:
    names = [
        "-y.mp4",
        "a b'c\"d.mp4",
        "two\nlines, and a comma.mp4",
        "concat:x|y.mp4",
        "$(touch x).mp4",
        "é中.mp4",
    ]
    for name in names:
        shutil.copy(make("ten_frames.mp4"), tmp_path / name)
    rows = [(f"v{index}", str(tmp_path / name), "") for index, name in enumerate(names)]
    listed = write_list(tmp_path / "00000.csv", rows)
    decode(listed, RATES, [tmp_path / "1.parquet", tmp_path / "24.parquet"], OPTIONS)
    assert ShardReader(tmp_path / "24.parquet").column("status") == ["ok"] * len(names)
    assert ShardReader(tmp_path / "24.parquet").column("length") == [10] * len(names)


def test_an_empty_list_makes_empty_shards(tmp_path: Path) -> None:
    listed = write_list(tmp_path / "00000.csv", [])
    decode(listed, SOUND, [tmp_path / "audio.parquet"], OPTIONS)
    assert ShardReader(tmp_path / "audio.parquet").video_ids == []


def test_checksums_are_checked(tmp_path: Path) -> None:
    path = make("ten_frames.mp4")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = [("right", str(path), right.upper()), ("wrong", str(path), "0" * 64)]
    listed = write_list(tmp_path / "00000.csv", rows)
    decode(listed, RATES, [tmp_path / "1.parquet", tmp_path / "24.parquet"], OPTIONS)
    errors = ShardReader(tmp_path / "1.parquet").column("error")
    assert errors[0] == ""
    assert errors[1].startswith("checksum: ")


def test_a_time_limit_costs_one_video_and_the_run_goes_on(tmp_path: Path) -> None:
    options = DecodeOptions(time_limit_seconds=0.001, time_limit_per_second=0)
    listed = write_list(tmp_path / "00000.csv", [("a", str(make("plain.mp4")), "")] * 2)
    decode(listed, SOUND, [tmp_path / "audio.parquet"], options)
    errors = ShardReader(tmp_path / "audio.parquet").column("error")
    assert all(error.startswith("timeout: ") for error in errors)


@pytest.mark.parametrize(
    "text", ["", "path\nx.mp4\n", "video_id,path\na\n", 'video_id,path\na,"b\n']
)
def test_lists_that_do_not_parse(text: str, tmp_path: Path) -> None:
    path = tmp_path / "00000.csv"
    path.write_text(text)
    if text == "":
        path.unlink()
    with pytest.raises(UserError, match="a csv with the columns"):
        read_shard_list(path)


def test_videos_side_by_side_give_the_same_shards(tmp_path: Path) -> None:
    """Rows in the list's order, failed ones too, whatever ends first."""
    names = ["plain.mp4", "ten_frames.mp4", "nothing.mp4", "one_frame.mp4", "two_frames.mp4"]
    listed = tmp_path / "list.csv"
    rows = [f"v{number},{make(name)}," for number, name in enumerate([*names, "plain.mp4"])]
    listed.write_text("\n".join(["video_id,path,sha256", *rows]) + "\n")
    found = []
    for threads in (1, 3):
        outputs = [
            tmp_path / f"{threads}.{stream.stream}" for stream in (FRAMES_1FPS, FRAMES_24FPS)
        ]
        decode(listed, [FRAMES_1FPS, FRAMES_24FPS], outputs, DecodeOptions(), threads=threads)
        found.append([path.read_bytes() for path in outputs])
    assert found[0] == found[1]
