"""Opening media files, and turning what FFmpeg says into `VideoError`.

Conventions
-----------
- A path always means a file on disk: it is opened as `file:<path>` and only the file protocol is allowed, so that a
  name such as `concat:x` or `http:x` means a file of that name.
- Only the demuxers of `DEMUXERS` may answer: playlists and image sequences, which name other files, are refused.
- Times are seconds from container start (`container.start_time`), whichever stream begins first.
- Decoding is single-threaded: a job takes one core, and FFmpeg's messages come from its own thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from mcn.errors import VideoError

log = logging.getLogger(__name__)

# Containers and elementary streams that carry their own pictures and sound, by FFmpeg's names.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,asf,ogg,mxf,nut,rm,dv,wtv,gxf,nsv,ivf,swf,vob,"
    "mpegvideo,m4v,h263,h264,hevc,av1,obu,vc1,mjpeg,yuv4mpegpipe,gif,apng,wav,w64,aiff,caf,au,amr,mp3,aac,ac3,eac3,"
    "dts,flac,tta,wv,ape,mpc,mpc8,tak,xwma"
)
_LATEST_ANNOUNCEMENT = 64 << 20  # bytes of an FLV in which its streams are looked for
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}

_MADE_UP_TIMES = 1  # AVFMT_FLAG_GENPTS: set by PyAV, but not by the ffmpeg program

MICROSECOND = Fraction(1, 1_000_000)

S = TypeVar("S", VideoStream, AudioStream)


class _Messages(logging.Handler):
    """Counts what FFmpeg reports, and passes nothing on: damaged files produce messages by the thousand."""

    count = 0
    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.last = f"{record.name.removeprefix('libav.')}: {record.getMessage().strip()}"


MESSAGES = _Messages(logging.ERROR)
av.logging.set_level(av.logging.ERROR)
logging.getLogger("libav").addHandler(MESSAGES)
logging.getLogger("libav").propagate = False


def words(error: BaseException) -> str:
    """Describe an error in the words of its library, followed by the last message of FFmpeg where there is one."""
    if not isinstance(error, av.FFmpegError):
        return f"{type(error).__name__}: {error}"
    last = cast(tuple[int, str, str] | None, error.log)  # level, part of FFmpeg, message
    return f"{error.strerror}; {last[2].strip()}" if last else str(error.strerror)


def require_file(path: Path) -> None:
    """Raise `VideoError` `not_found`, `empty_file` or `unreadable` (a folder, a device, no permission to look)."""
    try:
        exists, is_file = path.exists(), path.is_file()
        size = path.stat().st_size if is_file else 0
    except (OSError, ValueError) as error:
        raise VideoError("unreadable", f"{path}: {error}") from None
    if not exists:
        raise VideoError("not_found", f"no file {path}")
    if not is_file:
        kind = "folder" if path.is_dir() else "device or pipe"
        raise VideoError("unreadable", f"{path} is a {kind}, not a file")
    if size == 0:
        raise VideoError("empty_file", f"{path} has 0 bytes")


def require_sha256(path: Path, sha256: str) -> None:
    """Raise `VideoError` `checksum` where the SHA-256 of a file is not `sha256`, hexadecimal; empty checks nothing."""
    if not sha256:
        return
    require_file(path)
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise VideoError("checksum", f"{path} has sha256 {found}, the manifest says {sha256}")


@contextlib.contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Errors: those of `require_file`; `unreadable` where no demuxer takes it. FFmpeg errors inside the body become
    `decode_error`.
    """
    require_file(path)
    try:
        container = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")
        if container.format.name == "flv":  # may announce its sound late
            container.close()
            options = {**_OPTIONS, "probesize": str(_LATEST_ANNOUNCEMENT)}
            container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        raise VideoError("unreadable", _why_not_opened(words(error))) from None
    container.flags &= ~_MADE_UP_TIMES
    with container:
        try:
            yield container
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            raise VideoError("decode_error", words(error)) from error


def _why_not_opened(text: str) -> str:
    """FFmpeg's words, or plainer ones for what people meet most."""
    if "not on whitelist" in text:
        return "not a format that carries its own pictures and sound (playlist, subtitles, images?)"
    if "moov atom not found" in text:
        return f"no index: cut off while being written or downloaded, or no mp4 at all ({text})"
    return text


def select_video(container: InputContainer) -> VideoStream:
    """Choose the video stream that FFmpeg thinks best, never cover art. Errors: `no_video_stream`, `decode_error`."""
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = _best(container, "video")
    stream = best if best in pictures else next(iter(pictures), None)
    if stream is None:
        raise VideoError("no_video_stream", f"{_kinds(container)} only")
    assert isinstance(stream, VideoStream)
    return _decodable(stream, "video")


def select_audio(container: InputContainer) -> AudioStream:
    """Choose the audio stream that FFmpeg thinks best. Errors: `no_audio`, `decode_error`."""
    stream = _best(container, "audio")
    if stream is None:
        raise VideoError("no_audio", f"{_kinds(container)} only")
    assert isinstance(stream, AudioStream)
    return _decodable(stream, "audio")


def _best(container: InputContainer, kind: Literal["video", "audio"]) -> Stream | None:
    try:
        return container.streams.best(kind)
    except IndexError:  # a stream that FFmpeg met after PyAV had listed them: announced too late
        return None


def _decodable(stream: S, kind: Literal["video", "audio"]) -> S:
    if stream.codec_context is None:
        raise VideoError("decode_error", f"this FFmpeg has no decoder for the {kind} stream")
    stream.codec_context.thread_count = 1
    if not stream.codec_context.is_open:
        stream.codec_context.options = {"err_detect": "crccheck"}  # reported, not refused
    return stream


def _kinds(container: InputContainer) -> str:
    kinds = sorted({stream.type for stream in container.streams})
    return f"the file has {', '.join(kinds)} streams" if kinds else "the file has no streams"


def offset_ticks(container: InputContainer, time_base: Fraction) -> int:
    """Container start in ticks of `time_base`, rounded half away from zero as FFmpeg does."""
    start = Fraction(container.start_time or 0) * MICROSECOND / time_base
    return int(start + Fraction(1, 2)) if start >= 0 else -int(-start + Fraction(1, 2))


def seek(container: InputContainer, seconds: float) -> None:
    """Move to the key frame at or before `seconds`; a format that cannot seek is read on from where it is."""
    try:
        container.seek(round(seconds / MICROSECOND) + (container.start_time or 0))
    except av.FFmpegError as error:
        log.debug("cannot seek to %.1f s: %s", seconds, words(error))
