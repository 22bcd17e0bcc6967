"""Joined, shifted and cut files: decoded as the ffmpeg program decodes them, failed under a code, or remarked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mcn.errors import VideoError
from mcn.files import read_table, write_table
from mcn.media.audio import mono_samples
from mcn.media.frames import rgb_frames
from mcn.media.remarks import Remarks, remarks_of
from mcn.options.decode import DecodeOptions, FrameOptions
from mcn.shards import FEATURE_SCHEMA, ShardWriter, feature_row
from mcn.sources.doctor import examine
from mcn.sources.manifest import ManifestRow
from mcn.upkeep.ledger import make_ledger
from tests.media_files import run_ffmpeg

SECOND, TENTH = (
    FrameOptions(frames_per_second=1, short_side=32),
    FrameOptions(frames_per_second=10, short_side=32, crop=32),
)
RATE = 44100
X264 = "-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"
MPEG = "-c:v mpeg2video -c:a mp2"


def picture(seconds: float = 4) -> str:
    return f"-f lavfi -i testsrc2=size=64x48:rate=25:duration={seconds}"


def tone(seconds: float = 4) -> str:
    return f"-f lavfi -i sine=frequency=440:sample_rate={RATE}:duration={seconds}"


def encode(path: Path, arguments: str, streams: str | None = None) -> Path:
    streams = f"{picture()} {tone()}" if streams is None else streams
    run_ffmpeg([*f"{streams} {arguments} -fflags +bitexact".split(), str(path)])
    return path


def join(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def decoded(path: Path) -> tuple[list[np.ndarray], np.ndarray, Remarks, Remarks]:
    """Pictures at both rates, sound at its own, and the remarks on either."""
    frames: list[list[np.ndarray]] = [[], []]
    seen, heard = Remarks(), Remarks()
    for index, frame in rgb_frames(path, [SECOND, TENTH], remarks=seen):
        frames[index].append(frame)
    sound = np.concatenate(list(mono_samples(path, RATE, remarks=heard)))
    return [np.stack(rows) for rows in frames], sound, seen, heard


def by_ffmpeg(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """The same by the ffmpeg program: both streams are mapped, so that it sees every packet."""
    folder = path.parent / f"{path.name}.out"
    folder.mkdir()
    chains = (
        "fps=fps=1:start_time=0,scale=42:32",
        "fps=fps=10:start_time=0,scale=42:32,crop=32:32:5:0",
    )
    command = ["-i", str(path)]
    for number, chain in enumerate(chains):
        command += (
            f"-map 0:v:0 -vf {chain} -fps_mode passthrough -pix_fmt rgb24 -f rawvideo".split()
        )
        command.append(str(folder / str(number)))
    command += ["-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le"]
    run_ffmpeg([*command, str(folder / "sound")])
    sizes = ((32, 42, 3), (32, 32, 3))
    frames = [
        np.frombuffer((folder / str(number)).read_bytes(), np.uint8).reshape(-1, *size)
        for number, size in enumerate(sizes)
    ]
    return frames, np.frombuffer((folder / "sound").read_bytes(), "<f4")


def joined_ts(folder: Path) -> Path:
    part = encode(folder / "a.ts", f"{X264} -c:a aac")
    return join(folder / "joined.ts", part, part)


def jumping_ts(folder: Path) -> Path:
    first = encode(folder / "a.ts", f"{X264} -c:a aac")
    later = encode(folder / "b.ts", f"{X264} -c:a aac -output_ts_offset 300")
    return join(folder / "jumping.ts", first, later, first)


def joined_ps(folder: Path) -> Path:
    part = encode(folder / "a.mpg", MPEG)
    return join(folder / "joined.mpg", part, part)


def late_matroska(folder: Path) -> Path:
    return encode(folder / "late.mkv", f"{X264} -c:a pcm_s16le -output_ts_offset 10")


def late_webm(folder: Path) -> Path:
    codecs = "-c:v libvpx -deadline realtime -c:a pcm_s16le -f matroska"
    return encode(folder / "late.webm", f"{codecs} -output_ts_offset 3725")


@pytest.mark.parametrize("make", [joined_ts, jumping_ts, joined_ps, late_matroska, late_webm])
def test_equal_to_the_ffmpeg_program(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    frames, sound, seen, heard = decoded(path)
    theirs, heard_by_ffmpeg = by_ffmpeg(path)
    for ours, expected in zip(frames, theirs, strict=True):
        assert np.array_equal(ours, expected)
    shared = min(len(sound), len(heard_by_ffmpeg))
    np.testing.assert_allclose(sound[-shared:], heard_by_ffmpeg[-shared:], atol=2e-7)
    assert abs(len(sound) - len(heard_by_ffmpeg)) < 0.1 * RATE
    for remarks in (seen, heard):
        assert "unequal_span" not in remarks_of(str(remarks))
        start, end = remarks.span
        assert abs(len(sound) / RATE - end) < 0.2
        assert start < 0.1


def test_raw_pictures_are_usable_for_decoder_and_doctor(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", X264, picture())
    remarks = Remarks()
    assert len(list(rgb_frames(path, [SECOND], remarks=remarks))) == 4
    assert list(remarks_of(str(remarks))) == ["end_not_verifiable"]
    report = examine([ManifestRow("raw", path)], DecodeOptions())
    assert report.diagnoses[0].verdict == "warning", "only for its lack of sound"
    assert report.diagnoses[0].outcome.endswith("end not verifiable")


WHOLE = {
    "a.wmv": "-c:v wmv2 -c:a wmav2",
    "a.ogv": "-c:v libtheora -c:a libvorbis",
    "a.mpg": MPEG,
    "a.ts": f"{X264} -c:a aac",
    "a.flv": f"{X264} -c:a aac",
    "fragments.mp4": f"{X264} -c:a aac -movflags +frag_keyframe+empty_moov",
    "a.mkv": f"{X264} -c:a aac",
    "a.avi": "-c:v mpeg4 -c:a mp3",
}
SILENT = {"a.gif": ""}
HEARD = {"a.mp3": "-c:a libmp3lame", "a.wav": ""}


@pytest.mark.parametrize("name", [*WHOLE, *SILENT, *HEARD])
@pytest.mark.parametrize("share", [0.13, 0.501])
def test_cut_files_never_pass_as_whole(tmp_path: Path, name: str, share: float) -> None:
    arguments = {**WHOLE, **SILENT, **HEARD}[name]
    streams = picture() if name in SILENT else tone() if name in HEARD else None
    path = encode(tmp_path / name, arguments, streams)
    data = path.read_bytes()
    kinds: list[Callable[[Path], object]] = []
    if name not in HEARD:
        kinds.append(lambda file: list(rgb_frames(file, [SECOND])))
    if name not in SILENT:
        kinds.append(lambda file: list(mono_samples(file, RATE)))
    for kind in kinds:
        kind(path)  # whole, it works
    path.write_bytes(data[: int(share * len(data)) + (int(share * len(data)) % 188 == 0)])
    for kind in kinds:
        with pytest.raises(VideoError) as caught:
            kind(path)
        assert caught.value.code in (
            "truncated",
            "decode_error",
            "unreadable",
            "no_frames",
            "no_audio",
        )


@pytest.mark.parametrize(
    ("name", "verified"),
    [("a.wmv", True), ("a.ogv", True), ("a.ts", False), ("a.mpg", False), ("fragments.mp4", True)],
)
def test_how_sure_the_end_is(tmp_path: Path, name: str, verified: bool) -> None:
    _, _, seen, heard = decoded(encode(tmp_path / name, WHOLE[name]))
    for remarks in (seen, heard):
        assert ("end_not_verifiable" not in remarks_of(str(remarks))) == verified


def test_a_jump_that_nothing_bears_out_is_no_minute_of_one_picture(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", f"{X264} -movflags +frag_keyframe+empty_moov", picture())
    data = bytearray(path.read_bytes())
    at = data.rindex(b"tfdt") + 8  # the last fragment's time, in 1/12800 s
    data[at : at + 8] = (12800 * 200).to_bytes(8, "big")
    path.write_bytes(data)
    with pytest.raises(VideoError, match="discontinuous: a frame is stamped 200"):
        list(rgb_frames(path, [SECOND]))


def test_errors_of_the_decoder_are_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mpg", "-c:v mpeg1video -q:v 2", picture())
    data = bytearray(path.read_bytes())
    for place in range(20_000, len(data), 5000):
        data[place] ^= 0x10
    path.write_bytes(data)
    remarks = Remarks()
    list(rgb_frames(path, [SECOND], tolerated_errors=1000, remarks=remarks))
    assert remarks.errors > 0
    assert "the first: " in remarks_of(str(remarks))["decoder_errors"]


def test_the_ledger_says_how_sure_ends_are(tmp_path: Path) -> None:
    values = np.ones((2, 3), np.float32)
    rows = {
        "sure": "",
        "unsure": "end_not_verifiable: MPEG-TS does not say where it ends",
        "odd": "unequal_span: picture from 0.00 to 4.00 s, sound from 0.00 to 9.00 s",
    }
    with ShardWriter(tmp_path / "f.parquet", FEATURE_SCHEMA, {"decoded": {}}) as writer:
        for video, remarks in rows.items():
            writer.write({**feature_row(video, values, 0, 1), "error": remarks})
    videos = pa.table({"video_id": list(rows)})
    write_table(tmp_path / "videos.parquet", videos)
    make_ledger(
        tmp_path / "videos.parquet",
        {"resnet152": [tmp_path / "f.parquet"]},
        tmp_path / "ledger.parquet",
    )
    ledger = read_table(tmp_path / "ledger.parquet").to_pylist()
    assert [row["end"] for row in ledger] == ["verified end", "end not verifiable", "verified end"]
    assert [row["remarks"] for row in ledger] == list(rows.values())
    assert {row["code"] for row in ledger} == {""}
