"""Odd media files for tests, made by the ffmpeg program of imageio-ffmpeg; nothing is committed but this recipe.

`make(name)` makes one file of `RECIPES` or `ASSEMBLED`, once a test process, and returns its path. Most last 4 s.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
_X264 = "-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"
_AAC = "-c:a aac -b:a 64k"


def _picture(size: str = "160x120", rate: str = "25", seconds: float = 4) -> str:
    return f"-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}"


def _tone(seconds: float = 4, rate: int = 44100) -> str:
    return f"-f lavfi -i sine=frequency=440:sample_rate={rate}:duration={seconds}"


_BOTH = f"{_picture()} {_tone()}"

# file name -> arguments of ffmpeg between `-y` and the output
RECIPES: dict[str, str] = {
    "plain.mp4": f"{_BOTH} {_X264} -bf 2 {_AAC}",
    "faststart.mp4": f"{_BOTH} {_X264} {_AAC} -movflags +faststart",
    "ntsc.mp4": f"{_picture('176x144', '30000/1001')} {_X264}",
    "fifteen_full_range.mp4": f"{_picture(rate='15')} -c:v libx264 -preset ultrafast -pix_fmt yuvj420p -vf setsar=4/3",
    "sixty.mkv": f"{_picture(rate='60', seconds=2)} {_X264}",
    "portrait.mp4": f"{_picture('120x214')} {_X264}",
    "bt709.mp4": f"{_picture('320x180')} {_X264} -colorspace bt709 -color_primaries bt709 -color_trc bt709",
    "ten_bit.mkv": f"{_picture()} -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=none",
    "odd.mkv": "-f lavfi -i testsrc=size=161x121:rate=25:duration=4 -c:v ffv1 -pix_fmt yuv444p",
    "odd.webm": "-f lavfi -i testsrc=size=161x121:rate=25:duration=2 -c:v libvpx-vp9 -pix_fmt yuv420p -deadline "
    "realtime -cpu-used 8",
    "mpeg4.avi": f"{_BOTH} -c:v mpeg4 -bf 2 -q:v 5 -c:a mp3",
    "vp9.webm": f"{_BOTH} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    "fragmented.mp4": f"{_BOTH} {_X264} {_AAC} -movflags +frag_keyframe+empty_moov",
    "stream.ts": f"{_BOTH} {_X264} {_AAC}",
    "variable.mp4": f"{_picture()} {_X264} -vf select='not(mod(n\\,3))+lt(mod(n\\,50)\\,20)' -fps_mode vfr",
    "slides.mkv": f"{_picture()} {_X264} -vf select='eq(n\\,0)+eq(n\\,40)+eq(n\\,99)' -fps_mode vfr",
    "late_video.mp4": f"-itsoffset 1.52 {_picture(seconds=2)} {_tone()} -map 0:v -map 1:a {_X264} {_AAC}",
    "late_video.mkv": f"-itsoffset 1.52 {_picture(seconds=2)} {_tone()} -map 0:v -map 1:a {_X264} {_AAC}",
    "late_audio.mkv": f"{_picture()} -itsoffset 1.5 {_tone(2)} -map 0:v -map 1:a {_X264} -c:a pcm_s16le",
    "gap.mkv": f"{_picture()} {_tone()} -map 0:v -map 1:a {_X264} -c:a pcm_s16le "
    "-af aselect='lt(t\\,1)+gt(t\\,2.5)'",
    "short_audio.mp4": f"{_picture()} {_tone(1)} {_X264} {_AAC}",
    "long_audio.mp4": f"{_picture(seconds=1)} {_tone()} {_X264} {_AAC}",
    "one_frame.mp4": f"{_picture(seconds=0.04)} {_X264}",
    "two_frames.mp4": f"{_picture(seconds=0.08)} {_X264}",
    "ten_frames.mp4": f"{_picture(seconds=0.4)} {_X264}",
    "surround.mkv": "-f lavfi -i sine=440:duration=2 -f lavfi -i anoisesrc=d=2:a=0.1:seed=1:r=44100 -filter_complex "
    "[0][1]amerge=inputs=2,pan=5.1|c0=c0|c1=c0|c2=c1|c3=c1|c4=c0|c5=c1 -c:a pcm_s16le",
    "surround.mp4": f"{_picture(seconds=2)} {_tone(2, 48000)} {_X264} -c:a aac -ac 6",
    "mono_u8.wav": f"{_tone(2, 8000)} -c:a pcm_u8",
    "sixteen.wav": f"{_tone(2, 16000)} -c:a pcm_s16le",
    "float.wav": f"{_tone(2, 48000)} -af pan=stereo|c0=c0|c1=0.25*c0 -c:a pcm_f32le",
    "no_audio.mp4": f"{_picture()} {_X264}",
    "no_video.m4a": f"{_tone()} {_AAC}",
    "cover_art.mp3": f"{_tone()} {_picture(seconds=0.04)} -map 0 -map 1 -c:a libmp3lame -c:v png "
    "-disposition:v attached_pic",
    "subtitles_only.mkv": "-i {folder}/line.srt -c:s srt",
    "later_and_larger.ts": f"{_picture('320x180')} {_tone()} {_X264} {_AAC} -output_ts_offset 4",
    "trimmed.mp4": "-ss 1.3 -i {folder}/plain.mp4 -t 2 -c copy",
}
for _degrees in (90, 180, 270):
    RECIPES[f"rotated_{_degrees}.mp4"] = (
        f"-display_rotation {_degrees} -i {{folder}}/plain.mp4 -c copy"
    )
RECIPES["mirrored.mp4"] = "-display_hflip -i {folder}/plain.mp4 -c copy"
RECIPES["mirrored_90.mp4"] = "-display_rotation 90 -display_hflip -i {folder}/plain.mp4 -c copy"


def _cut(source: str, share: float) -> Callable[[], bytes]:
    def content() -> bytes:
        data = make(source).read_bytes()
        return data[: int(share * len(data))]

    return content


def _zeroed(source: str, share: float, count: int) -> Callable[[], bytes]:
    def content() -> bytes:
        data = bytearray(make(source).read_bytes())
        start = int(share * len(data))
        data[start : start + count] = bytes(count)
        return bytes(data)

    return content


# file name -> its bytes
ASSEMBLED: dict[str, Callable[[], bytes]] = {
    "cut_index_last.mp4": _cut("plain.mp4", 0.6),
    "cut_index_first.mp4": _cut("faststart.mp4", 0.6),
    "cut.mkv": _cut("sixty.mkv", 0.5),
    "cut.avi": _cut("mpeg4.avi", 0.5),
    "cut.webm": _cut("vp9.webm", 0.5),
    "damaged.mp4": _zeroed("faststart.mp4", 0.5, 3000),
    "concealed.mp4": _zeroed(
        "no_audio.mp4", 0.3, 16
    ),  # no packet is refused, one picture is concealed
    "grows.ts": lambda: make("stream.ts").read_bytes() + make("later_and_larger.ts").read_bytes(),
    "nothing.mp4": lambda: b"",
    "text.mp4": lambda: b"this is not a video\n" * 200,
    "playlist.mp4": lambda: (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nplain.mp4\n#EXT-X-ENDLIST\n"
    ),
    "line.srt": lambda: b"1\n00:00:00,000 --> 00:00:02,000\nhello\n",
}


@functools.cache
def folder() -> Path:
    """Where the files are; removed when the process ends.

    No TemporaryDirectory: since Python 3.13 a forked worker forgets its parent's exit handlers, and with the last
    reference to such an object it would remove the folder.
    """
    directory = tempfile.mkdtemp(prefix="mcn-media-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def make(name: str) -> Path:
    """Make a file of the lists above, and those that it is made of."""
    path = folder() / name
    if path.exists():
        return path
    if name in ASSEMBLED:
        path.write_bytes(ASSEMBLED[name]())
        return path
    for other in [*RECIPES, *ASSEMBLED]:
        if f"{{folder}}/{other}" in RECIPES[name]:
            make(other)
    arguments = [part.replace("{folder}", str(folder())) for part in RECIPES[name].split()]
    run_ffmpeg([*arguments, "-fflags", "+bitexact", str(path)])
    return path


def run_ffmpeg(arguments: list[str]) -> bytes:
    """Run ffmpeg quietly on one thread; its standard output."""
    command = [FFMPEG, "-v", "error", "-nostdin", "-y", "-threads", "1", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    return done.stdout
