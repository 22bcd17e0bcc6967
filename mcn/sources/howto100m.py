"""HowTo100M: 1.2 million narrated how-to videos; the data set to train on.

Conventions
-----------
- Videos: HowTo100M_v1.csv (column video_id), or HowTo100M_*_videopaths.txt, one column `path` such as
  `hobbies_and_crafts/video_8/8N4mGHodjss`, whose last part is the id and whose leading `None/` means nothing.
- Captions: {video id: {"start": [...], "end": [...], "text": [...]}} as one JSON file (caption.json: without stop
  words; raw_caption.json: all words) or as a pickle (lists, arrays or pandas tables), or a folder of ID.csv
  (start,end,text). how2_de.json and the eight others of Multi-HowTo100M have the form of caption.json.
- Of Multi-HowTo100M several files may be chosen, one a language; the others are read one at a time.
- Narration goes straight into one table, narration.parquet, in the order of the captions files, the lines of a video
  and language in order of time. Nothing holds more than the list of videos and a batch of lines: JSON of any length
  takes less than 2 GiB.
- A line without words is left out, as is one whose times are not 0 <= start <= end. Captions of videos that the list
  does not have are left out. A video without captions stays, without narration.

Source: antoine77340/howto100m README.md and loaders; the README of HowTo100M.zip; roudimit/AVLnet training.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from mcn.errors import UserError, VideoError
from mcn.files import TableWriter, stream_table
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.json_members import json_members
from mcn.sources.languages import base_language
from mcn.sources.narration import read_narration
from mcn.sources.official import Account, Adapter, Split, csv_inputs
from mcn.sources.official_text import GET_AGAIN, csv_lines, identifier

LINES_A_BATCH = 200_000
LANGUAGE = "en"  # of the released captions (home page)
# Multi-HowTo100M: how2_de.json and others (github.com/berniebear/Multi-HT100M)
TRANSLATED = "how2_"
CAPTIONS_FILES = (
    "caption.json",
    "raw_caption.json",
    "raw_caption_superclean.json",
    "caption.pickle",
    "howto100m_captions",
    *(
        f"{TRANSLATED}{code}.json"
        for code in ("en", "de", "fr", "cs", "es", "ru", "vi", "sw", "zh")
    ),
)


class HowTo100M(Adapter):
    """Reads a list of videos and one form of the captions."""

    makes = csv_inputs("manifest") | {"narration_table": "narration.parquet"}
    captions = CAPTIONS_FILES
    splits: ClassVar = {
        "all": Split((("HowTo100M_v1.csv",), CAPTIONS_FILES)),
        "videopaths_1166": Split((("HowTo100M_1166_videopaths.txt",), CAPTIONS_FILES)),
        "videopaths_336": Split((("HowTo100M_336_videopaths.txt",), CAPTIONS_FILES)),
    }

    def read(self, account: Account) -> None:
        """Write manifest.csv and narration.parquet."""
        path = self.file(0)
        expected: dict[str, str] = {}
        for line, video_id, place in _videos(path):
            if video_id in expected:
                account.leave_out(path, line, video_id, "a video that is listed twice")
            else:
                expected[video_id] = place
        account.write_manifest((video_id, "train", place) for video_id, place in expected.items())
        account.count("videos", len(expected), note="the home page says 1.2 million")
        seen: set[str] = set()
        lines = 0
        with stream_table(account.output / "narration.parquet", NARRATION) as writer:
            for source in self._captions_files():
                narration = _Narration(expected, source, account, writer)
                _give(source, narration.take)
                narration.flush()
                narration.require_lines()
                seen |= narration.seen
                lines += narration.lines
        account.count("videos with captions", len(seen))
        account.count("lines", lines, note="the home page says 136 million")

    def _captions_files(self) -> list[Path]:
        """The captions that were asked for, each in a language of its own, or the only ones there are."""
        if self.chosen_captions:
            _require_languages(self.chosen_captions)
            return [self.folder / name for name in self.chosen_captions]
        there = self.find(self.captions)
        if len(there) > 1:
            raise UserError(
                f"{', '.join(path.name for path in there)} in {self.folder}",
                f"one of {', '.join(CAPTIONS_FILES)}, or a choice",
                "set `official.captions` to the one that is meant, or to those of several languages",
            )
        return there


def _language_of(captions: str) -> str:
    """The language of a captions file by its name."""
    translated = Path(captions).stem.removeprefix(TRANSLATED)
    return (base_language(translated) if captions.startswith(TRANSLATED) else "") or LANGUAGE


def _require_languages(captions: Collection[str]) -> None:
    """`UserError` for two files in one language: their lines would say everything twice."""
    languages = Counter(map(_language_of, captions))
    twice = [name for name in captions if languages[_language_of(name)] > 1]
    if twice:
        got = f"captions {', '.join(twice)}, all in {_language_of(twice[0])}"
        raise UserError(got, "one file a language", "correct official.captions")


def _videos(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, video id, path below `videos` without suffix) of every listed video."""
    column = "path" if path.name.endswith("_videopaths.txt") else "video_id"
    for line, (text,) in csv_lines(path, (column,), header=True):
        place = text.removeprefix("None/") if column == "path" else ""
        yield line, identifier(path, line, (place or text).rpartition("/")[2]), place


def _give(source: Path, take: Callable[[str, Any], None]) -> None:
    """Call `take(video id, captions)` for every video of the captions file or folder, in its order."""
    if source.is_dir():
        for path in sorted(source.glob("*.csv")):
            take(path.stem, path)
    elif source.suffix == ".pickle":
        from mcn.sources.unpickle import stream

        stream(source, lambda pair: take(*_pair(source, pair)))
    else:
        for video_id, value in json_members(source):
            take(video_id, value)


def _pair(source: Path, item: Any) -> tuple[str, Any]:
    """(video id, captions) of an item of a pickle; `UserError` where it is none."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return item[0], item[1]
    got = f"{source}: its first item is a {type(item).__name__}"
    raise UserError(got, "a dictionary: video id -> start, end and text", GET_AGAIN)


class _Narration:
    """Takes the captions of one video after the other, and writes their lines in batches."""

    def __init__(
        self, videos: Collection[str], source: Path, account: Account, writer: TableWriter
    ) -> None:
        self.videos, self.source, self.account, self.writer = videos, source, account, writer
        self.seen: set[str] = set()
        self.lines = self.given = 0
        self.language = _language_of(source.name)
        self._waiting: list[tuple[str, float, float, str, str]] = []

    def take(self, video_id: str, value: Any) -> None:
        """Keep the usable lines of a video; `value` is a file, or the lists start, end and text."""
        self.given += 1
        if video_id not in self.videos:
            self._leave_out(video_id, "captions of a video that is not listed")
        elif video_id in self.seen:
            self._leave_out(video_id, "captions of a video that has captions already")
        else:
            self.seen.add(video_id)
            found = self._lines(video_id, value)
            self._waiting += sorted((*line, self.language) for line in found if self._usable(line))
            if len(self._waiting) >= LINES_A_BATCH:
                self.flush()

    def flush(self) -> None:
        """Write the lines that are waiting."""
        columns = zip(*self._waiting, strict=True) if self._waiting else [()] * len(NARRATION)
        arrays = [pa.array(one, field.type) for one, field in zip(columns, NARRATION, strict=True)]
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=NARRATION))
        self.lines += len(self._waiting)
        self._waiting = []

    def require_lines(self) -> None:
        """Raise `UserError` where there are captions, and not a single line of a listed video among them."""
        if self.videos and self.given and not self.lines:
            got = (
                f"{self.source}: no usable line of the {len(self.videos)} videos of the list, "
                f"captions of {len(self.seen)} of them"
            )
            raise UserError(got, "captions of the listed videos", GET_AGAIN)

    def _leave_out(self, item: str, reason: str) -> None:
        self.account.leave_out(self.source, None, item, reason)

    def _lines(self, video_id: str, value: Any) -> list[tuple[str, float, float, Any]]:
        """The lines of one video as they are."""
        if isinstance(value, Path):
            try:
                return [(video_id, *line) for line in read_narration(value)]
            except VideoError as error:
                self.account.leave_out(value, None, video_id, f"captions: {error.code}")
                return []
        try:
            start, end = ([float(time) for time in value[name]] for name in ("start", "end"))
            if isinstance(value["text"], str):
                raise TypeError("text is one string")
            text = list(value["text"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wrong(video_id, f"{type(error).__name__}: {error}") from error
        if not len(start) == len(end) == len(text):
            raise self._wrong(video_id, f"{len(start)}, {len(end)} and {len(text)} values")
        texts = (" ".join(one.split()) if isinstance(one, str) else "" for one in text)
        return [(video_id, *line) for line in zip(start, end, texts, strict=True)]

    def _wrong(self, video_id: str, got: str) -> UserError:
        wanted = "start, end and text, of one length"
        return UserError(f"{self.source}, video {video_id}: {got}", wanted, GET_AGAIN)

    def _usable(self, line: tuple[str, float, float, str]) -> bool:
        """Whether a line has words and times in order; it is left out where it has not."""
        video_id, start, end, text = line
        if not text:
            self._leave_out(video_id, "a line without words")
        elif not 0 <= start <= end < math.inf:
            self._leave_out(video_id, "a line whose times are not in order")
        elif any("\ud800" <= character <= "\udfff" for character in text):
            self._leave_out(video_id, "a line with half a character")
        else:
            return True
        return False
