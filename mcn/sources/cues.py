"""Subtitle files (.srt, .vtt) to cues, and roll-up captions to lines in which every word stands once.

Conventions
-----------
- A cue begins with a line `start --> end`; hours may have any number of digits or be left out, fractions of a second
  follow a point or a comma. A line that begins like one and is none is an error that names its number (ValueError).
- Markup is dropped: tags, times within a line, `{\\an8}` of SubStation, and in WebVTT the character references.
- Roll-up captions show what was said before once more above what is new, as YouTube's automatic captions do, which
  also carry the time of every word. A file is read as such where it has times within lines, or where at least half of
  its cues begin with the lines that the cue before ended with. Each line is then given out once: from the cue in which
  it appears first, whose span holds the times of its words.
- A reader of its own, because pysubs2 reads hours from 100 on and negative times as other times, leaves times within
  lines in the text, and cannot tell roll-up captions.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

ROLL_SECONDS = 0.5  # a cue that begins later after the one before repeats it on purpose

_STAMP = r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?")
_LIKE_TIMING = re.compile(r"\s*[-+\d:.,]+\s*-->")
_WORD_TIME = re.compile(r"<(?:\d+:)?\d+:\d+\.\d+>")
_MARKUP = re.compile(r"</?[A-Za-z\d][^<>]*>|</>|\{\\[^{}]*\}")


@dataclass(frozen=True)
class Cue:
    """What is shown from `start` to `end` seconds: lines without markup; `timed`: words had times of their own."""

    start: float
    end: float
    lines: tuple[str, ...]
    timed: bool


def read_cues(text: str, suffix: str) -> list[Cue]:
    """The cues of a file in its order, roll-up captions resolved. Errors: ValueError with the line's number."""
    return _without_repetition(list(_cues(text.splitlines(), suffix == ".vtt")))


def _cues(lines: list[str], is_vtt: bool) -> Iterator[Cue]:
    starts = [number for number, line in enumerate(lines) if _is_timing(number, line)]
    numbered = bool(starts) and starts[0] > 0 and lines[starts[0] - 1].strip().isdigit()
    for start, following in pairwise([*starts, len(lines)]):
        body = lines[start + 1 : following]
        # an empty line ends a cue; what follows is a comment, a style or the next cue's name
        if is_vtt:
            body = body[: body.index("")] if "" in body else body
        elif numbered and following < len(lines):
            body = _without_number(body)
        begin, end = _times(start, lines[start])
        timed = any(_WORD_TIME.search(line) for line in body)
        yield Cue(begin, end, tuple(filter(None, (_plain(line, is_vtt) for line in body))), timed)


def _is_timing(number: int, line: str) -> bool:
    if _TIMING.fullmatch(line):
        return True
    if _LIKE_TIMING.match(line):
        raise ValueError(f"line {number + 1}: {line.strip()[:80]!r} are no times")
    return False


def _without_number(body: list[str]) -> list[str]:
    """The lines of a cue without the number of the next cue, which stands before its times."""
    while body and not body[-1].strip():
        body = body[:-1]
    return body[:-1] if body and body[-1].strip().isdigit() else body


def _times(number: int, line: str) -> tuple[float, float]:
    match = _TIMING.fullmatch(line)
    assert match is not None
    parts = match.groups()
    for hours, minutes, seconds in (parts[:3], parts[4:7]):
        if int(seconds) > 59 or (hours is not None and int(minutes) > 59):
            raise ValueError(f"line {number + 1}: {line.strip()[:80]!r} are no times")
    return _seconds(*parts[:4]), _seconds(*parts[4:])


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return (whole * 1000 + int((fraction or "").ljust(3, "0"))) / 1000


def _plain(line: str, is_vtt: bool) -> str:
    text = _MARKUP.sub("", _WORD_TIME.sub("", line))
    return " ".join((html.unescape(text) if is_vtt else text).split())


def _without_repetition(cues: list[Cue]) -> list[Cue]:
    if not cues:
        return []
    repeated = [0, *(_repeated(before, cue) for before, cue in pairwise(cues))]
    rolling = sum(0 < count < len(cue.lines) for count, cue in zip(repeated, cues, strict=True))
    often = rolling > 1 and 2 * sum(map(bool, repeated)) >= len(cues) - 1
    if not (often or any(cue.timed for cue in cues)):
        return cues
    fresh = [
        Cue(cue.start, cue.end, cue.lines[count:], cue.timed)
        for cue, count in zip(cues, repeated, strict=True)
    ]
    return [cue for cue in fresh if cue.lines]


def _repeated(before: Cue, cue: Cue) -> int:
    """How many lines at the beginning of a cue are those that the cue before ended with."""
    if cue.start - before.end > ROLL_SECONDS:
        return 0
    most = min(len(before.lines), len(cue.lines))
    return next((n for n in range(most, 0, -1) if before.lines[-n:] == cue.lines[:n]), 0)
