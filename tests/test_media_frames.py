"""Frames equal those of the ffmpeg program; rows are seconds; damage has a name."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mcn.errors import VideoError
from mcn.media.files import open_media
from mcn.media.frames import frame_at, rgb_frames, scaled_size, upright_size
from mcn.options.decode import FrameOptions
from mcn.options.encoders import FRAMES_24FPS
from mcn.options.row import FRAMES_1FPS
from tests.media_files import make, run_ffmpeg

APPEARANCE, MOTION = FRAMES_1FPS, FRAMES_24FPS

EQUAL = (
    "plain.mp4 faststart.mp4 ntsc.mp4 fifteen_full_range.mp4 sixty.mkv portrait.mp4 bt709.mp4 ten_bit.mkv odd.mkv "
    "odd.webm mpeg4.avi vp9.webm fragmented.mp4 stream.ts variable.mp4 slides.mkv late_video.mp4 late_video.mkv "
    "short_audio.mp4 long_audio.mp4 trimmed.mp4 rotated_90.mp4 rotated_180.mp4 rotated_270.mp4 mirrored.mp4 "
    "mirrored_90.mp4 grows.ts"
)


def decode(path: Path, tolerated_errors: int = 0) -> list[np.ndarray]:
    """Both rates: [(T, H, W, 3), (T', 112, 112, 3)]."""
    frames: list[list[np.ndarray]] = [[], []]
    for index, frame in rgb_frames(path, [APPEARANCE, MOTION], tolerated_errors):
        frames[index].append(frame)
    return [np.stack(rows) for rows in frames]


def ffmpeg_frames(path: Path, options: FrameOptions, width: int, height: int) -> np.ndarray:
    """The same by the ffmpeg program; width and height are the upright picture's."""
    width, height = scaled_size(width, height, options.short_side)
    filters = f"fps=fps={options.frames_per_second:g}:start_time=0,scale={width}:{height}"
    if options.crop is not None:
        filters += f",crop={options.crop}:{options.crop}"
        x, y = int((width - options.crop) / 2.0), int((height - options.crop) / 2.0)
        filters += f":{x}:{y}"
        width = height = options.crop
    # the sound is mapped, too: otherwise ffmpeg takes the picture's start for the container's
    command = f"-reinit_filter 0 -i file:{path} -map 0:v:0 -vf {filters} -fps_mode passthrough -f rawvideo "
    sound = "-map 0:a? -f null /dev/null" if has_sound(path) else ""
    raw = run_ffmpeg(f"{command} -pix_fmt rgb24 - {sound}".split())
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def has_sound(path: Path) -> bool:
    with open_media(path) as container:
        return bool(container.streams.audio)


def first_size(path: Path) -> tuple[int, int]:
    with open_media(path) as container:
        return upright_size(next(container.decode(video=0)))


@pytest.mark.parametrize("name", EQUAL.split())
def test_frames_equal_those_of_the_ffmpeg_program(name: str) -> None:
    path = make(name)
    for options, ours in zip((APPEARANCE, MOTION), decode(path), strict=True):
        theirs = ffmpeg_frames(path, options, *first_size(path))
        assert ours.shape == theirs.shape
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "rows", "size"),
    [
        ("plain.mp4", 4, (224, 298)),
        ("portrait.mp4", 4, (399, 224)),
        ("rotated_90.mp4", 4, (298, 224)),
        ("variable.mp4", 4, (224, 298)),
        ("slides.mkv", 4, (224, 298)),
        ("late_video.mp4", 4, (224, 298)),
    ],
)
def test_one_row_a_second_upright_and_uncropped(
    name: str, rows: int, size: tuple[int, int]
) -> None:
    appearance, motion = decode(make(name))
    assert appearance.shape == (rows, *size, 3)
    assert motion.shape[1:] == (112, 112, 3)


def test_a_row_shows_the_middle_of_its_second() -> None:
    """25 pictures a second: the last one stamped before 0.5 s is number 12."""
    appearance, _ = decode(make("plain.mp4"))
    for second in range(4):
        assert np.array_equal(appearance[second], ffmpeg_frame(make("plain.mp4"), 25 * second + 12))


def test_late_video_is_filled_with_its_first_picture() -> None:
    """The stream starts at 1.52 s: nothing is stamped before the middle of row 1."""
    late, _ = decode(make("late_video.mp4"))
    assert np.array_equal(late[0], late[1])
    assert not np.array_equal(late[1], late[2])


def test_slides_are_repeated_until_the_next() -> None:
    """Pictures at 0, 1.6 and 3.96 s."""
    _, motion = decode(make("slides.mkv"))
    changes = np.flatnonzero((motion[1:] != motion[:-1]).any(axis=(1, 2, 3))) + 1
    assert changes.tolist() == [round(1.6 * 24), round(3.96 * 24)]


@pytest.mark.parametrize(
    ("name", "rows"), [("one_frame.mp4", 1), ("two_frames.mp4", 2), ("ten_frames.mp4", 10)]
)
def test_a_few_frames_give_at_least_one_row(name: str, rows: int) -> None:
    appearance, motion = decode(make(name))
    assert appearance.shape == (1, 224, 298, 3)
    assert motion.shape == (rows, 112, 112, 3)
    expected = run_ffmpeg(
        f"-i {make(name)} -vf scale=298:224 -frames:v 1 -pix_fmt rgb24 -f rawvideo -".split()
    )
    assert appearance.tobytes() == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cut_index_last.mp4", "unreadable"),
        ("cut_index_first.mp4", "truncated"),
        ("cut.mkv", "truncated"),
        ("cut.avi", "truncated"),
        ("cut.webm", "truncated"),
        ("damaged.mp4", "decode_error"),
        ("concealed.mp4", "decode_error"),
        ("nothing.mp4", "empty_file"),
        ("text.mp4", "unreadable"),
        ("playlist.mp4", "unreadable"),
        ("line.srt", "unreadable"),
        ("no_video.m4a", "no_video_stream"),
        ("cover_art.mp3", "no_video_stream"),
        ("subtitles_only.mkv", "no_video_stream"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, code: str) -> None:
    with pytest.raises(VideoError) as raised:
        decode(make(name))
    assert raised.value.code == code


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "absent.mp4", "not_found"), (tmp_path, "unreadable")):
        with pytest.raises(VideoError) as raised:
            decode(path)
        assert raised.value.code == code


def test_tolerated_errors_let_a_damaged_stream_through() -> None:
    appearance, motion = decode(make("damaged.mp4"), tolerated_errors=1000)
    assert len(appearance) == 4
    assert len(motion) == 96


def test_a_last_packet_cut_off_is_no_truncation(tmp_path: Path) -> None:
    data = make("faststart.mp4").read_bytes()
    path = tmp_path / "nearly.mp4"
    path.write_bytes(data[: int(0.97 * len(data))])
    _, motion = decode(path)
    assert 80 <= len(motion) <= 96


def test_damage_before_the_first_good_frame_only_delays_it(tmp_path: Path) -> None:
    data = make("stream.ts").read_bytes()
    path = tmp_path / "joined_late.ts"
    path.write_bytes(data[188 * (len(data) // 188 // 10) :])  # starts between two key frames
    appearance, _ = decode(path)
    assert len(appearance) in (3, 4)


@pytest.mark.parametrize(
    "name", ["concat:x.mp4", "-i.mp4", 'it\'s a "clip".mp4', "two\nlines.mp4", "%03d é.mp4"]
)
def test_any_file_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a bare name is where a protocol could be read into it
    Path(name).write_bytes(make("ten_frames.mp4").read_bytes())
    assert len(decode(Path(name))[1]) == 10


def test_other_metadata_encodings_do_not_matter(tmp_path: Path) -> None:
    run_ffmpeg(
        [
            "-i",
            str(make("sixty.mkv")),
            "-c",
            "copy",
            "-metadata",
            "title=cafXY",
            str(tmp_path / "a.mkv"),
        ]
    )
    data = (tmp_path / "a.mkv").read_bytes()
    assert b"cafXY" in data
    (tmp_path / "a.mkv").write_bytes(data.replace(b"cafXY", b"caf\xe9\xff"))
    assert len(decode(tmp_path / "a.mkv")[0]) == 2


def test_a_timestamp_far_off_is_an_error_and_not_hours_of_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "jump.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25, options={"strict": "-1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts = index if index < 5 else index + 25 * 90_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"discontinuous: a frame is stamped 90000\.2 s"):
        decode(path)


def test_absurd_shapes_are_refused() -> None:
    assert scaled_size(640, 360, 224) == (398, 224)
    assert scaled_size(360, 640, 224) == (224, 398)
    assert scaled_size(200, 200, 112) == (112, 112)
    with pytest.raises(VideoError, match="decode_error: a picture of 5000x2"):
        scaled_size(5000, 2, 224)


def test_frame_at_shows_the_picture_of_that_second() -> None:
    path = make("plain.mp4")
    for second in (0, 1, 3):
        assert np.array_equal(frame_at(path, second, 224), ffmpeg_frame(path, 25 * second))
    assert np.array_equal(frame_at(path, 1.55, 224), ffmpeg_frame(path, 38))
    assert np.array_equal(frame_at(path, 99, 224), ffmpeg_frame(path, 99))
    assert frame_at(make("rotated_90.mp4"), 1, 60).shape == (80, 60, 3)
    assert np.array_equal(
        frame_at(make("late_video.mp4"), 0, 224), decode(make("late_video.mp4"))[0][0]
    )


@pytest.mark.parametrize("name", ["stream.ts", "late_video.mkv", "mpeg4.avi"])
def test_frame_at_shows_what_decoding_the_whole_file_shows(name: str) -> None:
    """MPEG-TS has no index: a seek may land behind the wanted picture."""
    every = FrameOptions(frames_per_second=25, short_side=96, crop=None)
    pictures = [picture for _, picture in rgb_frames(make(name), [every])]
    for row in range(0, len(pictures) - 2, 9):
        shown = frame_at(make(name), (row + 0.5) / 25, 96)
        assert np.array_equal(shown, pictures[row]), row


def ffmpeg_frame(path: Path, number: int) -> np.ndarray:
    filters = f"select=eq(n\\,{number}),scale=298:224"
    raw = run_ffmpeg(f"-i {path} -vf {filters} -frames:v 1 -pix_fmt rgb24 -f rawvideo -".split())
    return np.frombuffer(raw, np.uint8).reshape(224, 298, 3)
