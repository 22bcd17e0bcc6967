"""How a browser plays a file: as it is, or from a preview, whose streams are copied or encoded again.

Conventions
-----------
- `DIRECT` lists what the browsers of today play, all of them: H.264, VP8, VP9 and AV1 in 8 bits and 4:2:0, with AAC,
  MP3, Opus, Vorbis, FLAC or plain samples, in the containers that they read. Of everything else a preview is made; a
  page whose browser refuses a direct file asks for the preview itself.
- `SOME` lists what some browsers play, because the machine does: a page that says so gets the file itself.
- The type that is sent is chosen from this table, by what the file holds, never by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from mcn.errors import VideoError
from mcn.media.files import MICROSECOND, open_media, select_audio, select_video

SOME = ("hevc",)  # in an mp4; what phones record
COPIED_VIDEO = ("h264",)  # codecs that an mp4 preview takes as they are
COPIED_AUDIO = ("aac", "mp3")
_EIGHT_BIT = ("yuv420p", "yuvj420p")
_MP4_AUDIO = ("aac", "mp3", "opus", "flac")
_WAV_CODECS = ("pcm_s16le", "pcm_u8", "pcm_f32le", "pcm_s24le")

# FFmpeg's name of the container -> video codecs, audio codecs, type with pictures, type of sound alone
DIRECT: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, str]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": (("h264", "av1", "vp9"), _MP4_AUDIO, "video/mp4", "audio/mp4"),
    "matroska,webm": (("vp8", "vp9", "av1"), ("opus", "vorbis"), "video/webm", "audio/webm"),
    "ogg": ((), ("opus", "vorbis", "flac"), "", "audio/ogg"),
    "mp3": ((), ("mp3", "mp3float"), "", "audio/mpeg"),
    "wav": ((), _WAV_CODECS, "", "audio/wav"),
    "flac": ((), ("flac",), "", "audio/flac"),
    "aac": ((), ("aac",), "", "audio/aac"),
}


@dataclass(frozen=True)
class Playback:
    """How one file is played.

    direct: every browser gets the file itself. needs: one that plays this codec does too, '' where there is no such
    codec. media_type: of what is sent. seconds: the length, 0 where nobody knows.
    """

    direct: bool
    media_type: str
    seconds: float
    needs: str = ""


def playback_of(path: Path) -> Playback:
    """Look into a file's header. Errors: those of `open_media`; `no_audio` where it has neither pictures nor sound."""
    with open_media(path) as container:
        video, audio = chosen_streams(container)
        seconds = float((container.duration or 0) * MICROSECOND)
        direct = _direct_type(container.format.name, video, audio)
        if direct and container.format.name == "matroska,webm":
            direct = direct if _is_webm(path) else ""
        preview = "video/mp4" if video else "audio/mp4"
        needs = _needed_codec(container.format.name, video, audio)
        return Playback(bool(direct), direct or preview, seconds, needs)


def chosen_streams(container: InputContainer) -> tuple[VideoStream | None, AudioStream | None]:
    """The streams that are played. Errors: `no_audio` where there is none, `decode_error` where none can be decoded."""
    video: VideoStream | None = None
    audio: AudioStream | None = None
    problem = None
    try:
        video = select_video(container)
    except VideoError as error:
        problem = error
    try:
        audio = select_audio(container)
    except VideoError as error:
        problem = error
    if video is None and audio is None and problem:
        raise problem
    return video, audio


def plays_in_browsers(video: VideoStream) -> bool:
    """Whether its pictures are stored in 8 bits and 4:2:0, which every decoder of a browser takes."""
    return video.codec_context.pix_fmt in _EIGHT_BIT


def _direct_type(container: str, video: VideoStream | None, audio: AudioStream | None) -> str:
    """The type to send a file of these streams with; '' where browsers do not play it."""
    videos, audios, with_pictures, sound_alone = DIRECT.get(container, ((), (), "", ""))
    if video and (
        video.codec_context.codec.canonical_name not in videos or not plays_in_browsers(video)
    ):
        return ""
    if audio and audio.codec_context.codec.canonical_name not in audios:
        return ""
    return with_pictures if video else sound_alone


def _needed_codec(container: str, video: VideoStream | None, audio: AudioStream | None) -> str:
    """The codec out of `SOME` that a browser must play to be sent the file, '' where that is not enough."""
    codec = video.codec_context.codec.canonical_name if video else ""
    heard = audio is None or audio.codec_context.codec.canonical_name in _MP4_AUDIO
    return codec if codec in SOME and heard and container.startswith("mov,") else ""


def _is_webm(path: Path) -> bool:
    """Whether a Matroska file calls itself WebM, which some browsers insist on."""
    with open(path, "rb") as file:
        return b"webm" in file.read(64)
