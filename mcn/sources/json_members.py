"""The members of one large JSON object, one at a time.

Conventions: the file is `{"key": {...}, ...}`, UTF-8 with or without a byte order mark, of any length and with any line
ends; every value is an object. Memory is that of the longest member and `CHUNK` characters. NaN and Infinity are read
as Python's `json` reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mcn.errors import UserError
from mcn.sources.official_text import GET_AGAIN, opened

CHUNK = 1 << 22  # characters read at a time
LONGEST_MEMBER = 1 << 28  # characters
LONGEST_WORD = 16  # characters: -Infinity, an escape, a number's end
_WANTED = 'one JSON object, {"key": {...}, ...}'
_SPACE = re.compile(r"\s*")
_decoder = json.JSONDecoder()


def json_members(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, value) of every member, in the order of the file; `UserError` naming the character where it breaks off."""
    with opened(path) as file:
        yield from _Reader(path, file).members()


class _Reader:
    """A window of the file: `text` from character `start` on, `at` the place in it that is read next."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.start, self.at, self.ended = "", 0, 0, False

    def members(self) -> Iterator[tuple[str, dict[str, Any]]]:
        self._expect("{")
        if self._peek() == "}":
            return self._finish()
        while True:
            key = self._value('"')
            self._expect(":")
            yield key, self._value("{")
            if self._peek() == "}":
                return self._finish()
            self._expect(",")

    def _finish(self) -> None:
        self._expect("}")
        if self._peek():
            raise self._broken("more after the object's end")

    def _more(self) -> bool:
        """Read on, forgetting what was read; windows double, so that a long member is not scanned too often."""
        rest = self.text[self.at :]
        if len(rest) > LONGEST_MEMBER:
            raise self._broken(f"a value of more than {LONGEST_MEMBER} characters")
        added = self.file.read(max(CHUNK, len(rest)))
        self.text, self.start, self.at = rest + added, self.start + self.at, 0
        self.ended = not added
        return bool(added)

    def _peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self._broken(f"{self._peek()!r} where {character!r} belongs")
        self.at += 1

    def _value(self, opening: str) -> Any:
        """The string or object that begins with `opening`."""
        if self._peek() != opening:
            raise self._broken(f"{self._peek()!r} where {opening!r} belongs")
        while True:
            try:
                value, self.at = _decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                offset = error.pos - self.at
                if not (self._cut_off(error) and self._more()):
                    raise self._broken(error.msg, offset) from error
            else:
                return value

    def _cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether the window's end may be what is wrong."""
        unfinished = error.msg.startswith("Unterminated string")
        return unfinished or len(self.text) - error.pos <= LONGEST_WORD

    def _broken(self, got: str, offset: int = 0) -> UserError:
        """What is wrong `offset` characters behind the place that is read next."""
        place = self.start + self.at + offset
        where = f"{self.path}, line {self._line_of(place)}, character {place}"
        return UserError(f"{where}: {got}", _WANTED, GET_AGAIN)

    def _line_of(self, place: int) -> int:
        """Line of a character, counted again from the file's beginning."""
        line, left = 1, place
        with opened(self.path) as file:
            while left and (text := file.read(min(left, CHUNK))):
                line, left = line + text.count("\n"), left - len(text)
        return line
