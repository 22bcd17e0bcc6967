"""What is said in the videos of a shard: narration files, subtitle streams, or speech recognition.

Conventions
-----------
- The first of these that gives lines counts: the manifest's narration (`narration/NNNNN.parquet`), a narration file
  beside the video (`mcn.sources.beside`), a text subtitle stream inside it (`mcn.sources.subtitles`), speech
  recognition (`mcn.features.speech`). One that cannot be read is passed over, with its reason in the account.
- Lines: `SPEECH`, which begins with the columns of a narration table, one row a line, videos in the shard list's order,
  lines in order of time. `source` is narration, subtitles or speech. Where it is not speech, `confidence` is null and
  there are no words; `language` is that of the manifest's lines, of the tag of a file or stream, or else of the text
  (`mcn.sources.languages`), '' where it cannot be told. Of a video with narration in several languages the account
  names all: `de,en`.
- Account: a shard of `SPEECH_SCHEMA`, one row a video. `missing`: no sound (`no_audio`), nobody speaks (`no_speech`),
  or nothing in the model's language (`unknown_language`); `failed`: a file that cannot be used, as for decoding. None
  of them stops the run.
- Subtitles are read, and speech is recognised, in a child process under limits of time and memory.
- What was recognised is kept video by video in a hidden folder beside the account until the shard is written: a job
  that was killed goes on where it was, with the same bytes in the end. What has another recipe, other code or another
  file is heard anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from mcn.errors import VideoError
from mcn.features.speech import Heard, Recogniser, SpokenLine, Word, find_recogniser, recognise
from mcn.files import canonical_json, read_table, stream_table, write_json
from mcn.media.decode import ListedVideo, LocalVideo, read_shard_list
from mcn.media.files import require_sha256
from mcn.media.isolation import Worker
from mcn.media.probe import declared_seconds
from mcn.media.remote import Downloads
from mcn.options.base import recipe as recipe_of
from mcn.options.speech import TranscribeOptions
from mcn.shards import SPEECH_SCHEMA, ShardWriter, empty_row
from mcn.shards.made_by import current_record
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.beside import language_in_name, narration_beside
from mcn.sources.languages import language_of
from mcn.sources.narration import Line, read_narration, unread_of
from mcn.sources.subtitles import Subtitles, subtitle_lines

log = logging.getLogger(__name__)

VERSION = 1  # raise when the code changes what is read
MISSING = ("no_audio", "no_speech", "unknown_language")
_LONGEST_SECONDS = 24 * 3600.0  # a longer declared duration buys no more time

_WORD = [
    ("start_seconds", pa.float64()),
    ("end_seconds", pa.float64()),
    ("text", pa.string()),
    ("confidence", pa.float32()),
]
SPEECH = pa.schema(
    [
        *NARRATION,
        ("source", pa.string()),
        ("confidence", pa.float32()),
        ("words", pa.list_(pa.struct(_WORD))),
    ]
)


@dataclass(frozen=True)
class Said:
    """What is said in a video, and where that is known from. seconds: its length, to the last line if not opened.

    language: of all its lines; '' where every line has its own.
    """

    source: str
    lines: list[SpokenLine]
    seconds: float
    language: str = ""
    language_confidence: float | None = None
    voice_seconds: float | None = None
    understood_seconds: float | None = None
    passed_over: list[str] = field(default_factory=list)


def transcribe(
    shard_list: Path,
    narration: Path,
    lines: Path,
    account: Path,
    options: TranscribeOptions,
    threads: int = 1,
    downloads: Downloads | None = None,
) -> None:
    """Write what is said in the videos of a shard list: `lines` and `account`.

    narration: the shard's table of the manifest's narration. threads: of the recogniser. Errors: `UserError` where the
    recogniser or its model is missing, or the disk is full. Videos fail by row.
    """
    videos = read_shard_list(shard_list)
    recogniser = find_recogniser(options) if options.recognize else None
    recipe = speech_recipe(options, recogniser)
    given, unread = _given(narration), unread_of(narration)
    tally: Counter[str] = Counter()
    schema = SPEECH.with_metadata({b"mcn": canonical_json(recipe).encode()})
    with (
        Worker(options.memory_limit_mb) as worker,
        ShardWriter(account, SPEECH_SCHEMA, recipe) as accounts,
        stream_table(lines, schema) as writer,
    ):
        kept = _Kept(account.with_name(f".{account.stem}.heard"), recipe)
        reader = _Reader(worker, options, recogniser, threads, kept, downloads or Downloads())
        for video in tqdm(videos, desc=f"transcribe {shard_list.stem}", unit="video", disable=None):
            try:
                lines_given = given.get(video.video_id, [])
                said = reader.read(video, lines_given, unread.get(video.video_id))
            except VideoError as error:
                status = "missing" if error.code in MISSING else "failed"
                accounts.write(empty_row(SPEECH_SCHEMA, video.video_id, status, str(error)))
                tally[f"{status} ({error.code})"] += 1
                continue
            rows = [_line_row(video.video_id, said, line) for line in said.lines]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            accounts.write(_account_row(video.video_id, said))
            tally[f"ok ({said.source})"] += 1
    kept.forget()
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items()))
    log.info("%s: %d videos: %s", shard_list, len(videos), counts or "none")


def speech_recipe(options: TranscribeOptions, recogniser: Recogniser | None) -> dict[str, Any]:
    """Everything that changes what is read."""
    engine = recogniser.recipe if recogniser else None
    return {
        "stage": "transcribe",
        "version": VERSION,
        "options": recipe_of(options),
        "recogniser": engine,
    }


def _given(narration: Path) -> Mapping[str, list[SpokenLine]]:
    """Video -> the lines of the manifest's narration, in order."""
    found: dict[str, list[SpokenLine]] = {}
    for row in read_table(narration, NARRATION.names).to_pylist():
        line = Line(row["start_seconds"], row["end_seconds"], row["text"])
        said = SpokenLine(line, None, [], row.get("language") or "")
        found.setdefault(row["video_id"], []).append(said)
    return {
        video_id: sorted(lines, key=lambda one: (*one.line, one.language))
        for video_id, lines in found.items()
    }


class _Kept:
    """What was recognised of a shard whose job has not ended yet: a file for each video."""

    def __init__(self, folder: Path, recipe: dict[str, Any]) -> None:
        self._folder, self._made_by = folder, [recipe, str(current_record())]

    def heard(self, video: LocalVideo, listen: Callable[[], Heard]) -> Heard:
        """What is kept of a video, or what `listen` gives, which is kept then."""
        try:
            status = video.path.stat()
        except OSError as error:  # it was there a moment ago
            raise VideoError("not_found", f"{video.path}: {error.strerror}") from error
        key = [*self._made_by, *map(str, (*astuple(video), status.st_size, status.st_mtime_ns))]
        path = self._folder / f"{hashlib.sha256(canonical_json(key).encode()).hexdigest()}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged
            return _heard_of(json.loads(path.read_text(encoding="utf-8")))
        found = listen()
        write_json(path, asdict(found))
        return found

    def forget(self) -> None:
        """Remove all of it: the shard has been written."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _heard_of(values: dict[str, Any]) -> Heard:
    """What `asdict` made JSON of."""
    lines = [
        SpokenLine(Line(*one["line"]), one["confidence"], [Word(*word) for word in one["words"]])
        for one in values.pop("lines")
    ]
    return Heard(lines, **values)


@dataclass(frozen=True)
class _Reader:
    """Finds what is said in one video after the other."""

    worker: Worker
    options: TranscribeOptions
    recogniser: Recogniser | None
    threads: int
    kept: _Kept
    downloads: Downloads

    def read(self, video: ListedVideo, given: list[SpokenLine], unread: str | None) -> Said:
        """The lines of the first source that has some. given: by the manifest; unread: why they could not be read.

        Errors: `VideoError`, of the last source that was tried.
        """
        if given:
            return Said("narration", given, _end([one.line for one in given]))
        passed_over = [unread] if unread else []
        for path in narration_beside(video.place, self.options.language):
            try:
                lines = read_narration(path)
            except VideoError as error:
                log.warning("%s: passed over: %s", video.video_id, error)
                passed_over.append(str(error))
                continue
            if lines:
                language = language_in_name(path, video.place) or _language(lines)
                return Said(
                    "narration", _plain(lines), _end(lines), language, passed_over=passed_over
                )
        try:
            with self.downloads.at_hand(video.place, video.sha256) as file:
                return self._inside(LocalVideo(video.video_id, file, video.sha256), passed_over)
        except VideoError as error:
            told = [error.message, *(f"passed over: {one}" for one in passed_over)]
            raise VideoError(error.code, "; ".join(filter(None, told))) from error

    def _inside(self, video: LocalVideo, passed_over: list[str]) -> Said:
        """The subtitles of a file, or what is recognised of its sound."""
        limit = self.options.time_limit_seconds
        seconds = self.worker.run(_checked_seconds, video, seconds=limit)
        limit += self.options.time_limit_per_second * min(seconds, _LONGEST_SECONDS)
        run = partial(self.worker.run, seconds=limit)
        try:
            found: Subtitles | None = run(subtitle_lines, video.path, self.options.language)
        except VideoError as error:
            if self.recogniser is None:
                raise
            log.warning("%s: subtitles passed over: %s", video.video_id, error)
            found = None
            passed_over.append(str(error))
        if found is not None:
            lines = _plain(found.lines)
            language = found.language or _language(found.lines)
            return Said("subtitles", lines, seconds, language, passed_over=passed_over)
        if self.recogniser is None:
            raise VideoError("no_speech", "neither narration nor subtitles, and recognize is false")
        listening = partial(
            run, recognise, video.path, self.recogniser.folder, self.options, self.threads
        )
        heard = self.kept.heard(video, listening)
        return Said(
            "speech",
            heard.lines,
            seconds,
            heard.language,
            heard.language_confidence,
            heard.voice_seconds,
            heard.understood_seconds,
            passed_over,
        )


def _checked_seconds(video: LocalVideo) -> float:
    """Declared duration of a video whose checksum is right."""
    require_sha256(video.path, video.sha256)
    return declared_seconds(video.path)


def _language(lines: list[Line]) -> str:
    return language_of(line.text for line in lines)


def _end(lines: list[Line]) -> float:
    return max(line.end_seconds for line in lines)


def _plain(lines: list[Line]) -> list[SpokenLine]:
    return [SpokenLine(line, None, []) for line in lines]


def _line_row(video_id: str, said: Said, spoken: SpokenLine) -> dict[str, Any]:
    return {
        "video_id": video_id,
        **spoken.line._asdict(),
        "source": said.source,
        "language": spoken.language or said.language,
        "confidence": spoken.confidence,
        "words": [word._asdict() for word in spoken.words],
    }


def _account_row(video_id: str, said: Said) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "status": "ok",
        "error": "",
        "source": said.source,
        "language": said.language or ",".join(sorted({one.language for one in said.lines} - {""})),
        "language_confidence": said.language_confidence,
        "seconds": said.seconds,
        "lines": len(said.lines),
        "voice_seconds": said.voice_seconds,
        "understood_seconds": said.understood_seconds,
        "passed_over": "; ".join(said.passed_over),
    }
