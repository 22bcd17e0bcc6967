"""The lines of a text subtitle stream inside a media file.

Conventions
-----------
- Every text codec that FFmpeg decodes (mov_text, subrip, ass, ssa, webvtt, ...) gives ASS text; markup and drawings are
  dropped by pysubs2, and line breaks become spaces. Streams of pictures (DVD, Blu-ray, DVB) hold no text.
- Of several streams the one that is chosen is, in this order: in the wanted language, marked as default, first in the
  file. Streams whose tag names another language than the wanted one, and forced streams, which translate a few foreign
  words and are no transcript, are passed over. A stream without a tag (`und`) may be of any language.
- Times are seconds from container start, as everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import pysubs2
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from mcn.errors import VideoError
from mcn.media.files import MICROSECOND, open_media
from mcn.sources.languages import base_language
from mcn.sources.narration import Line

log = logging.getLogger(__name__)

# Of a dialogue line as FFmpeg hands it out: order, layer, style, name, margins, effect
_FIELDS_BEFORE_TEXT = 8


class Subtitles(NamedTuple):
    """The lines of one stream; language: of its tag, '' where it has none."""

    lines: list[Line]
    language: str


def subtitle_lines(path: Path, language: str | None = None) -> Subtitles | None:
    """The lines of the stream that fits `language` best (None: any); None where there is no such stream with lines.

    Errors: those of `open_media`.
    """
    with open_media(path) as container:
        candidates = sorted(_fitting(container, language), key=_preference(language))
        if not candidates:
            return None
        chosen = candidates[0]
        for other in container.streams:
            if other is not chosen:
                other.discard = Discard.all  # spares reading pictures and sound from the disk
        lines = sorted(_read(container, chosen))
        return Subtitles(lines, base_language(chosen.language)) if lines else None


def _fitting(container: InputContainer, language: str | None) -> list[SubtitleStream]:
    return [
        stream
        for stream in container.streams.subtitles
        if stream.codec_context is not None
        and stream.codec_context.codec.text_sub
        and not stream.disposition & Disposition.forced
        and (language is None or base_language(stream.language) in ("", base_language(language)))
    ]


def _preference(language: str | None):  # type: ignore[no-untyped-def]
    """A sort key: the tagged language first, then the default stream, then the place in the file."""

    def key(stream: SubtitleStream) -> tuple[bool, bool, int]:
        untagged = language is not None and not base_language(stream.language)
        return untagged, not stream.disposition & Disposition.default, stream.index

    return key


def _read(container: InputContainer, stream: SubtitleStream) -> Iterator[Line]:
    try:
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            shown = stream.decode2(packet)
            if shown is not None:
                yield from _lines(shown, container.start_time or 0)
    except av.FFmpegError as error:
        raise VideoError("decode_error", f"the subtitle stream is damaged: {error}") from error


def _lines(shown: SubtitleSet, offset: int) -> Iterator[Line]:
    """The lines of what is shown at once. offset: container start in microseconds."""
    base = float((shown.pts - offset) * MICROSECOND)
    start = max(0.0, base + shown.start_display_time / 1000)
    end = max(start, base + shown.end_display_time / 1000)
    for part in shown:
        if not isinstance(part, AssSubtitle):
            continue
        fields = part.ass.decode("utf-8", "replace").split(",", _FIELDS_BEFORE_TEXT)
        raw = (
            fields[-1]
            if len(fields) > _FIELDS_BEFORE_TEXT
            else part.text.decode("utf-8", "replace")
        )
        event = pysubs2.SSAEvent(text=raw)
        text = "" if event.is_drawing else " ".join(event.plaintext.split())
        if text:
            yield Line(start, end, text)
