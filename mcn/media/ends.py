"""Whether a file is all there, as its container tells: sizes that it declares, and the marks that it ends with.

Conventions
-----------
- `whole`: the container says where it ends, and that is where the file ends. `cut`: it announces more than there is, or
  stops in the middle of a unit. `unknown`: it tells neither, as MPEG-TS and raw streams.
- Only headers and the last `TAIL` bytes are read; of a fragmented mp4 the heads of its boxes.
- Sources: ISO/IEC 14496-12 (mp4), RFC 8794 (Matroska's EBML), Microsoft's RIFF and ASF, Adobe's FLV, RFC 3533 (Ogg),
  ISO/IEC 13818-1 (MPEG-TS, MPEG-PS), GIF89a, and the Xing and Info headers of MP3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

TAIL = 1 << 17  # bytes; an Ogg page has at most 65,307
_BOXES = 1_000_000  # of a fragmented mp4, at most


class FileEnd(NamedTuple):
    """state: see above; words: why. seconds: a declared duration that FFmpeg does not tell.

    measured: what FFmpeg calls the duration is measured from what is there, not declared.
    """

    state: Literal["whole", "cut", "unknown"]
    words: str
    seconds: float | None = None
    measured: bool = False


_WHOLE = FileEnd("whole", "")


def file_end(path: Path, format_name: str) -> FileEnd:
    """What the container says of its end; format_name: FFmpeg's name of the demuxer. Errors: OSError."""
    reader = _READERS.get(format_name.split(",")[0])
    if reader is None:
        return FileEnd("unknown", f"{format_name} does not say where it ends")
    size = path.stat().st_size
    with open(path, "rb") as file:
        try:
            return reader(file, size)
        except (IndexError, struct.error):
            return FileEnd("unknown", "its header is not as usual")


def _announced(end: int, size: int) -> FileEnd:
    """A file of `size` bytes that announces `end`; a last byte that fills up to an even number may lack."""
    if end > size + 1:
        return FileEnd("cut", f"{size} bytes are there, the file announces {end}")
    return _WHOLE


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - TAIL))
    return file.read(TAIL)


def _riff(file: BinaryIO, size: int) -> FileEnd:
    head = file.read(8)
    length = struct.unpack(">I" if head[:4] == b"FORM" else "<I", head[4:])[0]
    if length in (0, 0xFFFFFFFF):  # written to a pipe
        return FileEnd("unknown", "its length was not written")
    if head[:4] == b"RIFF" and length + 8 < size - 1:
        # parts of large AVI files
        return FileEnd("unknown", "more follows than the file announces")
    end = _announced(length + 8, size)
    # an AVI keeps the number of its frames in its header, a WAV only that of its bytes
    return end._replace(measured=end.state == "cut" and head[:4] == b"RIFF" and not _is_avi(file))


def _is_avi(file: BinaryIO) -> bool:
    return file.read(4) == b"AVI "


def _mp4(file: BinaryIO, size: int) -> FileEnd:
    fragmented = False
    kind = b""
    for kind, end in _boxes(file, size):
        fragmented |= kind == b"moof"
        if end > size:
            words = f"{size} bytes are there, a box announces {end}"
            return FileEnd("cut", words, measured=fragmented)
    if fragmented and kind != b"mfra":
        words = "a fragmented mp4 without an index at its end"
        return FileEnd("unknown", words, measured=True)
    return FileEnd("whole", "", measured=fragmented)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Kinds of the boxes of the uppermost level, and where each ends."""
    start = 0
    for _ in range(_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            if head:
                yield b"", size + 8 - len(head)
            return
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1:
            length = struct.unpack(">Q", head[8:])[0]
        elif length == 0:
            length = size - start
        yield kind, start + max(8, length)
        start += max(8, length)


def _matroska(file: BinaryIO, size: int) -> FileEnd:
    start = 0
    for _ in range(8):
        file.seek(start)
        head = file.read(12)
        known = 4  # bytes of the ids that matter: EBML and Segment
        width = 9 - head[known].bit_length()
        length = int.from_bytes(head[known : known + width], "big") & ((1 << 7 * width) - 1)
        if head[:known] == b"\x18\x53\x80\x67":
            if length == (1 << 7 * width) - 1:
                return FileEnd("unknown", "its length was not written")
            return _announced(start + known + width + length, size)
        start += known + width + length
    return FileEnd("unknown", "no segment at its beginning")


def _asf(file: BinaryIO, size: int) -> FileEnd:
    head = file.read(4096)
    at = head.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))  # file properties
    announced, _, _, play, _, preroll = struct.unpack("<6Q", head[at + 40 : at + 88])
    if head[at + 88] & 1:
        return FileEnd("unknown", "a broadcast, whose length was not written")
    end = _announced(announced, size)
    return end._replace(seconds=max(0.0, play / 1e7 - preroll / 1e3) or None, measured=True)


def _flv(file: BinaryIO, size: int) -> FileEnd:
    tail = _tail(file, size)
    length = int.from_bytes(tail[-4:], "big")
    tag = tail[-4 - length : -4]
    if not 11 <= length <= size - 13 or (tag and int.from_bytes(tag[1:4], "big") + 11 != length):
        return FileEnd("cut", "it stops in the middle of a tag")
    if tag[:1] == b"\x09" and tag[12:13] == b"\x02":  # AVC's mark of the end
        return _WHOLE
    return FileEnd("unknown", "flv does not say where it ends")


def _ogg(file: BinaryIO, size: int) -> FileEnd:
    tail = _tail(file, size)
    at = tail.rindex(b"OggS")
    segments = tail[at + 26]
    end = at + 27 + segments + sum(tail[at + 27 : at + 27 + segments])
    if end > len(tail) or at + 27 + segments > len(tail):
        return FileEnd("cut", "it stops in the middle of a page")
    return _WHOLE if tail[at + 5] & 4 else FileEnd("unknown", "its last page is not marked as such")


def _transport(file: BinaryIO, size: int) -> FileEnd:
    head = file.read(5 * 204)
    for unit in (188, 192, 204):
        starts = [
            head[place : place + 1]
            for place in range(unit - 188 if unit == 192 else 0, len(head), unit)
        ]
        if len(starts) > 3 and set(starts) == {b"\x47"}:
            if size % unit:
                return FileEnd("cut", "it stops in the middle of a packet")
            break
    return FileEnd("unknown", "MPEG-TS does not say where it ends")


def _program(file: BinaryIO, size: int) -> FileEnd:
    tail = _tail(file, size)
    if tail.endswith(b"\0\0\1\xb9"):
        return _WHOLE
    at = len(tail)
    while (at := tail.rfind(b"\0\0\1", 0, at)) >= 0:
        if at + 6 <= len(tail) and tail[at + 3] >= 0xBD:  # a packet, which says its length
            length = int.from_bytes(tail[at + 4 : at + 6], "big")
            if length and at + 6 + length > len(tail):
                return FileEnd("cut", "it stops in the middle of a packet")
            if length and at + 6 + length == len(tail):
                break
    return FileEnd("unknown", "MPEG-PS does not say where it ends")


def _gif(file: BinaryIO, size: int) -> FileEnd:
    ended = _tail(file, size).rstrip(b"\0").endswith(b"\x3b")
    return _WHOLE if ended else FileEnd("cut", "its last byte is not GIF's mark of the end")


def _mp3(file: BinaryIO, size: int) -> FileEnd:
    head = file.read(10)
    tagged = 0
    if head[:3] == b"ID3":
        tagged = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(head[6:]))
    file.seek(tagged)
    frame = file.read(200)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or not frame[at + 7] & 2:
        return FileEnd("unknown", "this MP3 does not say where it ends")
    return _announced(tagged + int.from_bytes(frame[at + 12 : at + 16], "big"), size)


_READERS: dict[str, Callable[[BinaryIO, int], FileEnd]] = {
    "avi": _riff,
    "wav": _riff,
    "aiff": _riff,
    "mov": _mp4,
    "matroska": _matroska,
    "asf": _asf,
    "flv": _flv,
    "ogg": _ogg,
    "mpegts": _transport,
    "mpeg": _program,
    "gif": _gif,
    "mp3": _mp3,
}
