"""Files of the media matrix: containers, codecs and oddities as people have them; `CASES` says how each is made.

A case is made by the ffmpeg program from a few seconds of a test picture and of a tone, and maybe harmed afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.media_files import run_ffmpeg

SECONDS = 4
PICTURE = f"-f lavfi -i testsrc2=size=64x48:rate=25:duration={SECONDS}"
TONE = f"-f lavfi -i sine=frequency=440:sample_rate=44100:duration={SECONDS}"
BOTH = f"{PICTURE} {TONE}"
_X264 = "-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"
_VPX = "-deadline realtime -cpu-used 8 -b:v 200k"
_HDR = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc"

VIDEO = {
    "h264": _X264,
    "hevc": "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=none",
    "av1": "-c:v libaom-av1 -cpu-used 8 -usage realtime -b:v 200k",
    "vp8": f"-c:v libvpx {_VPX}",
    "vp9": f"-c:v libvpx-vp9 {_VPX}",
    "mpeg1": "-c:v mpeg1video",
    "mpeg2": "-c:v mpeg2video -bf 2",
    "mpeg4": "-c:v mpeg4 -bf 2",
    "msmpeg4": "-c:v msmpeg4",
    "wmv1": "-c:v wmv1",
    "wmv2": "-c:v wmv2",
    "theora": "-c:v libtheora",
    "prores": "-c:v prores",
    "mjpeg": "-c:v mjpeg -pix_fmt yuvj420p",
    "flv1": "-c:v flv",
    "ffv1": "-c:v ffv1",
    "h263": "-c:v h263 -s 128x96",
    "dnxhd": "-c:v dnxhd -profile:v dnxhr_lb -pix_fmt yuv422p -s 256x144",
    "png": "-c:v png",
    "huffyuv": "-c:v huffyuv",
}
AUDIO = {
    "aac": "-c:a aac",
    "mp3": "-c:a libmp3lame",
    "vorbis": "-c:a libvorbis",
    "opus": "-c:a libopus",
    "flac": "-c:a flac",
    "ac3": "-c:a ac3",
    "eac3": "-c:a eac3",
    "mp2": "-c:a mp2",
    "pcm": "-c:a pcm_s16le",
    "pcm24": "-c:a pcm_s24le",
    "wma1": "-c:a wmav1",
    "wma2": "-c:a wmav2",
    "alac": "-c:a alac",
    "adpcm": "-c:a adpcm_ms",
    "amr": "-c:a libopencore_amrnb -ar 8000 -ac 1",
}
# container -> its video codecs, and the codecs of its sound; the first of one goes with all of the other
PAIRS = {
    "mp4": ("h264 hevc av1 vp9 mpeg4 mpeg2 mjpeg", "aac mp3 ac3 eac3 opus flac alac mp2"),
    "mov": ("h264 hevc prores mjpeg mpeg4 png dnxhd", "aac pcm pcm24 alac"),
    "mkv": (
        "h264 hevc av1 vp8 vp9 mpeg1 mpeg2 mpeg4 theora prores mjpeg ffv1 wmv2 huffyuv",
        "aac mp3 vorbis opus flac ac3 pcm mp2",
    ),
    "webm": ("vp8 vp9 av1", "vorbis opus"),
    "avi": ("mpeg4 h264 mjpeg msmpeg4 ffv1 huffyuv mpeg2", "mp3 pcm ac3 adpcm mp2"),
    "flv": ("h264 flv1", "aac mp3"),
    "wmv": ("wmv2 wmv1 msmpeg4", "wma2 wma1"),
    "mpg": ("mpeg2 mpeg1", "mp2 ac3"),
    "vob": ("mpeg2", "ac3"),
    "ts": ("h264 hevc mpeg2", "aac mp3 ac3 mp2"),
    "m2ts": ("h264 mpeg2", "ac3"),
    "ogv": ("theora", "vorbis opus flac"),
    "3gp": ("h264 mpeg4 h263", "aac amr"),
    "nut": ("mpeg4", "mp3"),
    "mxf": ("mpeg2", "pcm"),
}
HEARD = {
    "mp3": "mp3", "m4a": "aac", "ogg": "vorbis", "opus": "opus", "flac": "flac", "wav": "pcm", "aac": "aac",
    "ac3": "ac3", "wma": "wma2", "mka": "pcm24", "aiff": "", "au": "", "caf": "alac", "mp2": "mp2", "oga": "flac",
}  # fmt: skip
_H264_AAC = f"{_X264} -c:a aac"
_VARIABLE = "-vf select='not(mod(n\\,3))+lt(mod(n\\,50)\\,20)' -fps_mode vfr"
_STILL = "-vf select='eq(n\\,0)+eq(n\\,40)+eq(n\\,99)' -fps_mode vfr"
_LATE = f"-itsoffset 1.52 {PICTURE} {TONE} -map 0:v -map 1:a"
_LATE_SOUND = f"{PICTURE} -itsoffset 1.52 {TONE} -map 0:v -map 1:a"
_RATE = "-f lavfi -i testsrc2=size=64x48:rate={rate}:duration={seconds}"
# file name -> arguments of ffmpeg
ODD = {
    "fragmented.mp4": f"{BOTH} {_H264_AAC} -movflags +frag_keyframe+empty_moov",
    "dash.mp4": f"{BOTH} {_H264_AAC} -movflags +dash+delay_moov -frag_duration 1000000",
    "faststart.mp4": f"{BOTH} {_H264_AAC} -movflags +faststart",
    "b_frames.mp4": f"{BOTH} -c:v libx264 -bf 3 -g 50 -pix_fmt yuv420p -c:a aac",
    "open_gop.mkv": f"{BOTH} -c:v libx264 -x264-params open-gop=1:keyint=20 -pix_fmt yuv420p -c:a aac",
    "live.webm": f"{BOTH} -c:v libvpx {_VPX} -c:a libvorbis -live 1",
    "piped.mkv": f"{BOTH} {_H264_AAC} -live 1",
    "alpha.webm": f"{PICTURE} -vf format=yuva420p -c:v libvpx-vp9 {_VPX}",
    "alpha.mov": f"{PICTURE} -vf format=argb -c:v qtrle",
    "alpha_prores.mov": f"{PICTURE} -vf format=yuva444p10le -c:v prores_ks -profile:v 4444",
    "ten_bit.mkv": f"{PICTURE} -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=none",
    "ten_bit.mp4": f"{PICTURE} -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le",
    "hdr.mp4": f"{PICTURE} -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=none {_HDR}",
    "hdr.webm": f"{PICTURE} -c:v libvpx-vp9 {_VPX} -pix_fmt yuv420p10le {_HDR}",
    "full_range.mp4": f"{PICTURE} -c:v libx264 -preset ultrafast -pix_fmt yuvj420p",
    "bt709.mp4": f"{PICTURE} {_X264} -colorspace bt709 -color_primaries bt709 -color_trc bt709",
    "yuv444.mkv": f"{PICTURE} -c:v libx264 -preset ultrafast -pix_fmt yuv444p",
    "yuv422.mov": f"{PICTURE} -c:v libx264 -preset ultrafast -pix_fmt yuv422p",
    "gray.mkv": f"{PICTURE} -vf format=gray -c:v ffv1",
    "rgb.mkv": f"{PICTURE} -vf format=rgb24 -c:v libx264rgb -preset ultrafast",
    "odd_size.mkv": "-f lavfi -i testsrc2=size=61x47:rate=25:duration=4 -c:v ffv1 -pix_fmt yuv444p",
    "anamorphic.mp4": f"{BOTH} {_H264_AAC} -vf setsar=16/11",
    "anamorphic.mpg": f"{BOTH} -c:v mpeg2video -aspect 16:9 -c:a mp2",
    "interlaced.mp4": f"{BOTH} -vf tinterlace=interleave_top,setfield=tff -c:v libx264 -flags +ilme+ildct -c:a aac",
    "interlaced.mpg": f"{BOTH} -c:v mpeg2video -flags +ilme+ildct -c:a mp2",
    "interlaced.ts": f"{BOTH} -c:v mpeg2video -flags +ilme+ildct -c:a mp2",
    "one_a_second.mp4": f"{_RATE.format(rate=1, seconds=6)} {_X264}",
    "one_a_second.mkv": f"{_RATE.format(rate=1, seconds=6)} {TONE} {_X264} -c:a aac",
    "slow.avi": f"{_RATE.format(rate='1/2', seconds=8)} -c:v mpeg4",
    "fast.mp4": f"{_RATE.format(rate=120, seconds=2)} {_X264}",
    "fast.webm": f"{_RATE.format(rate=120, seconds=2)} -c:v libvpx {_VPX}",
    "ntsc.mp4": f"{_RATE.format(rate='30000/1001', seconds=4)} {_X264}",
    "film.ts": f"{_RATE.format(rate='24000/1001', seconds=4)} {TONE} {_H264_AAC}",
    "variable.mp4": f"{PICTURE} {_X264} {_VARIABLE}",
    "variable.mkv": f"{BOTH} {_H264_AAC} {_VARIABLE}",
    "variable.ts": f"{BOTH} {_H264_AAC} {_VARIABLE}",
    "variable.flv": f"{BOTH} {_H264_AAC} {_VARIABLE}",
    "still.mkv": f"{BOTH} {_H264_AAC} {_STILL}",
    "still.mp4": f"{PICTURE} {_X264} {_STILL}",
    "one_frame.mp4": f"{PICTURE} {_X264} -frames:v 1",
    "one_frame.mkv": f"{PICTURE} -c:v ffv1 -frames:v 1",
    "one_frame.ts": f"{PICTURE} {_X264} -frames:v 1",
    "two_frames.avi": f"{PICTURE} -c:v mjpeg -pix_fmt yuvj420p -frames:v 2",
    "animation.gif": PICTURE,
    "one_frame.gif": f"{PICTURE} -frames:v 1",
    "animation.apng": f"{PICTURE} -plays 0",
    "raw.h264": f"{PICTURE} {_X264}",
    "raw.hevc": f"{PICTURE} {VIDEO['hevc']}",
    "raw.m4v": f"{PICTURE} -c:v mpeg4",
    "raw.mjpeg": f"{PICTURE} {VIDEO['mjpeg']}",
    "raw.m2v": f"{PICTURE} {VIDEO['mpeg2']}",
    "raw.ivf": f"{PICTURE} {VIDEO['vp8']}",
    "raw.obu": f"{PICTURE} {VIDEO['av1']}",
    "raw.y4m": f"{PICTURE} -pix_fmt yuv420p",
    "late_video.mp4": f"{_LATE} {_H264_AAC}",
    "late_video.mkv": f"{_LATE} {_H264_AAC}",
    "late_video.ts": f"{_LATE} {_H264_AAC}",
    "late_video.flv": f"{_LATE} {_H264_AAC}",
    "late_sound.mp4": f"{_LATE_SOUND} {_H264_AAC}",
    "late_sound.mkv": f"{_LATE_SOUND} {_X264} -c:a pcm_s16le",
    "late_sound.ts": f"{_LATE_SOUND} {_H264_AAC}",
    "late_sound.flv": f"{_LATE_SOUND} {_H264_AAC}",
    "offset.mkv": f"{BOTH} {_H264_AAC} -output_ts_offset 10",
    "offset.webm": f"{BOTH} -c:v libvpx {_VPX} -c:a libopus -output_ts_offset 3600",
    "offset.ts": f"{BOTH} {_H264_AAC} -output_ts_offset 95000",
    "offset.flv": f"{BOTH} {_H264_AAC} -output_ts_offset 10",
    "offset.mp4": f"{BOTH} {_H264_AAC} -output_ts_offset 10",
    "wrapping.ts": f"{BOTH} {_H264_AAC} -output_ts_offset 95440",
    "negative.mkv": "-ss 1.3 -i {folder}/mp4.h264.aac.mp4 -c copy -avoid_negative_ts disabled",
    "edited.mp4": "-ss 1.3 -i {folder}/mp4.h264.aac.mp4 -t 2 -c copy",
    "edited.mov": "-ss 1.3 -i {folder}/mp4.h264.aac.mp4 -t 2 -c copy",
    "not_at_a_key.ts": "-ss 1.3 -i {folder}/mp4.h264.aac.mp4 -c copy -copyinkf",
    "tracks.mkv": f"{BOTH} {TONE} -map 0 -map 1 -map 2 -map 0 {_X264} -c:a aac",
    "tracks.mp4": f"{BOTH} {TONE} -map 0 -map 1 -map 2 {_H264_AAC}",
    "tracks.ts": f"{BOTH} {TONE} -map 0 -map 1 -map 2 {_H264_AAC}",
    "subtitles.mkv": f"{BOTH} -i {{folder}}/line.srt -map 0 -map 1 -map 2 {_H264_AAC} -c:s srt",
    "subtitles.mp4": f"{BOTH} -i {{folder}}/line.srt -map 0 -map 1 -map 2 {_H264_AAC} -c:s mov_text",
    "attachment.mkv": f"{BOTH} {_H264_AAC} -attach {{folder}}/line.srt -metadata:s:t mimetype=text/plain",
    "cover.mp3": f"{TONE} {PICTURE} -map 0 -map 1 -c:a libmp3lame -c:v png -frames:v 1 -disposition:v attached_pic",
    "cover.m4a": f"{TONE} {PICTURE} -map 0 -map 1 -c:a aac -c:v mjpeg -frames:v 1 -disposition:v attached_pic",
    "cover.mp4": f"{BOTH} {PICTURE} -map 0 -map 1 -map 2 {_X264} -c:v:1 png -frames:v:1 1 -c:a aac "
    "-disposition:v:1 attached_pic",
    "surround.mp4": f"{BOTH} {_H264_AAC} -ac 6",
    "surround.ts": f"{BOTH} {_X264} -c:a ac3 -ac 6",
    "eight_khz.mp4": f"{BOTH} {_H264_AAC} -ar 8000",
    "high_rate.mkv": f"{BOTH} {_X264} -c:a flac -ar 96000",
    "u8.wav": f"{TONE} -c:a pcm_u8",
    "s32.wav": f"{TONE} -c:a pcm_s32le",
    "f32.wav": f"{TONE} -c:a pcm_f32le",
    "f64.wav": f"{TONE} -c:a pcm_f64le",
    "no_xing.mp3": f"{TONE} -c:a libmp3lame -write_xing 0",
    "variable.mp3": f"{TONE} -c:a libmp3lame -q:a 5",
    "gap.mkv": f"{BOTH} {_X264} -c:a pcm_s16le -af aselect='lt(t\\,1)+gt(t\\,2.5)'",
    "short_sound.mp4": f"{PICTURE} -f lavfi -i sine=duration=1 {_H264_AAC}",
    "short_picture.mkv": f"{TONE} {_RATE.format(rate=25, seconds=1)} {_H264_AAC}",
    "line.srt": "",
}  # fmt: skip
for _degrees in (90, 180, 270, 45):
    ODD[f"rotated_{_degrees}.mp4"] = (
        f"-display_rotation {_degrees} -i {{folder}}/mp4.h264.aac.mp4 -c copy"
    )
ODD["mirrored.mov"] = "-display_hflip -i {folder}/mp4.h264.aac.mp4 -c copy"
_HARMED = {  # file -> whether bits of it are flipped, too
    "mp4.h264.aac.mp4": False,
    "faststart.mp4": True,
    "fragmented.mp4": True,
    "mov.h264.aac.mov": False,
    "mkv.h264.aac.mkv": True,
    "webm.vp8.vorbis.webm": True,
    "live.webm": False,
    "avi.mpeg4.mp3.avi": True,
    "flv.h264.aac.flv": False,
    "wmv.wmv2.wma2.wmv": False,
    "mpg.mpeg2.mp2.mpg": False,
    "ts.h264.aac.ts": True,
    "m2ts.h264.ac3.m2ts": False,
    "ogv.theora.vorbis.ogv": True,
    "animation.gif": False,
    "raw.h264": False,
    "mp3.mp3": False,
    "no_xing.mp3": False,
    "ogg.ogg": False,
    "wav.wav": False,
    "flac.flac": False,
    "aac.aac": False,
    "m4a.m4a": False,
    "wma.wma": False,
}
CUT = list(_HARMED)
FLIPPED = [name for name, flipped in _HARMED.items() if flipped]
JOINED = {
    "joined.ts": "ts.h264.aac.ts",
    "joined.mpg": "mpg.mpeg2.mp2.mpg",
    "joined.vob": "vob.mpeg2.ac3.vob",
}


@dataclass(frozen=True)
class Case:
    """A file: `make(folder)` gives its bytes, or its arguments of ffmpeg. harm: cut, flipped, none, or other."""

    name: str
    arguments: str = ""
    content: Callable[[Path], bytes] | None = None
    harm: str = ""


def _pairs() -> Iterator[Case]:
    for container, (pictures, sounds) in PAIRS.items():
        videos, audios = pictures.split(), sounds.split()
        pairs = [(video, audios[0]) for video in videos] + [(videos[0], one) for one in audios[1:]]
        for video, audio in pairs:
            streams = BOTH if container not in ("mxf",) else f"{BOTH} -ar 48000"
            name = f"{container}.{video}.{audio}.{container}"
            yield Case(name, f"{streams} {VIDEO[video]} {AUDIO[audio]} -strict -2")


def _cut(name: str, percent: int) -> Callable[[Path], bytes]:
    def content(folder: Path) -> bytes:
        data = (folder / name).read_bytes()
        return data[: len(data) * percent // 100]

    return content


def _flipped(name: str, seed: int) -> Callable[[Path], bytes]:
    def content(folder: Path) -> bytes:
        data = bytearray((folder / name).read_bytes())
        drawn = random.Random(f"{name} {seed}")
        for _ in range(4):
            data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
        return bytes(data)

    return content


def _twice(name: str) -> Callable[[Path], bytes]:
    return lambda folder: 2 * (folder / name).read_bytes()


def _cases() -> Iterator[Case]:
    yield from _pairs()
    for ending, codec in HEARD.items():
        name = f"{ending}.{ending}"
        yield Case(name, f"{TONE} {AUDIO.get(codec, '')} -strict -2")
    for name, arguments in ODD.items():
        if arguments:
            yield Case(name, arguments)
    for name, part in JOINED.items():
        yield Case(name, content=_twice(part))
    for name in CUT:
        for percent in (10, 50, 90):
            yield Case(f"cut_{percent}.{name}", content=_cut(name, percent), harm="cut")
    for name in FLIPPED:
        for seed in range(4):
            yield Case(f"flipped_{seed}.{name}", content=_flipped(name, seed), harm="flipped")
    yield Case("nothing.mp4", content=lambda folder: b"", harm="no video")
    yield Case("text.mp4", content=lambda folder: b"not a video\n" * 100, harm="no video")
    yield Case("zeros.mkv", content=lambda folder: bytes(10_000), harm="no video")
    listed = b"#EXTM3U\n#EXTINF:4,\nts.h264.aac.ts\n#EXT-X-ENDLIST\n"
    yield Case("playlist.m3u8", content=lambda folder: listed, harm="no video")


CASES = {case.name: case for case in _cases()}


def make_case(case: Case, folder: Path) -> Path:
    """Make the file of a case, once, and those that it is made of."""
    path = folder / case.name
    if path.exists():
        return path
    (folder / "line.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nhello\n")
    if case.content is not None:
        for other in CASES.values():
            if case.name.endswith(other.name) and other is not case:
                make_case(other, folder)
        for part in JOINED.values():
            make_case(CASES[part], folder)
        path.write_bytes(case.content(folder))
        return path
    for other in CASES.values():
        if f"{{folder}}/{other.name}" in case.arguments:
            make_case(other, folder)
    arguments = case.arguments.replace("{folder}", str(folder)).split()
    run_ffmpeg([*arguments, "-fflags", "+bitexact", str(path)])
    return path
