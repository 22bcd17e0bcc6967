"""The words that were said: one SQLite file for a data set, searched by words, stems, phrases, beginnings and spelling.

Conventions
-----------
- Full-text search is SQLite's FTS5 with its Porter stemmer; case and accents do not count. A row is a line of a
  transcript (`mcn.features.transcribe`). Characters of scripts without spaces (Chinese, Japanese, Thai and others) are
  words of their own, so that a query in them finds what stands inside a line.
- A query is words, each found by its stem; "words in quotes" are a phrase; `word*` finds what begins so. Function words
  of English count in phrases, and where there is nothing else. A word that is said nowhere is replaced by the words
  that it may be a misspelling of (`mcn.search.terms.is_misspelling`), which count half.
- Score: BM25 as FTS5 defines it, per word, higher is better. Matching lines of one video that follow each other within
  `NEAR_SECONDS` are one hit, up to `LONGEST_SECONDS`; each word counts once in it, where it scores best. Of a word
  the best `MOST_LINES` lines count; one in more than `COMMON_LINES` counts beside rarer ones, by its rarity alone.
- The file is brought up to date shard by shard: shards whose bytes are as they were stay; the lines of shards that have
  changed or are gone are taken out. It is written under another name and renamed.
- SQLite has no checksums. A line has a CRC-32 that is compared when it answers, and the file is sealed
  (`mcn.content`): `mcn verify` reads all of it, and a file that is not whole is not brought up to date but made anew.
- Any text is a safe query: every word is handed to FTS5 quoted.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from mcn.content import require_sealed_sqlite, seal_sqlite
from mcn.errors import DamagedShard, UserError, require_version
from mcn.files import atomic_path, canonical_json, file_sha256, read_table
from mcn.search.fusion import Hit
from mcn.search.terms import Term, is_misspelling, parse, quoted, spaced, words_of

VERSION = 2  # of the file
NEAR_SECONDS = 2.0
LONGEST_SECONDS = 20.0
MOST_LINES = 1000  # of a word: the best by BM25
COMMON_LINES = 10_000  # a word in more lines counts only where a rarer word of the query is said, by its rarity alone
BEGINNINGS = 50  # words that take the place of a beginning, frequent ones first
NEAR_WORDS = 5  # spellings that take the place of a word
MOST_NEAR = 100  # of which they are chosen
NEAR_WEIGHT = 0.5

_SCHEMA = """
CREATE TABLE shards (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL);
CREATE TABLE lines (id INTEGER PRIMARY KEY, shard TEXT NOT NULL, video_id TEXT NOT NULL, start REAL NOT NULL,
  "end" REAL NOT NULL, text TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX lines_of_shard ON lines (shard);
CREATE TABLE vocabulary (word TEXT PRIMARY KEY, lines INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE found USING fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2');
"""


def build_words(shards: Sequence[Path], output: Path) -> None:
    """Bring `output` up to date with the tables of lines `shards`, whose names are those of shards (`00000.parquet`).

    Errors: `DamagedShard` of a table; `UserError` for a full disk.
    """
    wanted = {path.stem: (path, file_sha256(path)) for path in shards}
    with atomic_path(output) as temporary:
        if _version_of(output) == VERSION and _is_whole(output):
            shutil.copyfile(output, temporary)
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            if _version_of(temporary) != VERSION:
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            present = dict(connection.execute("SELECT name, sha256 FROM shards"))
            connection.execute("BEGIN")
            for name in present:
                if name not in wanted or wanted[name][1] != present[name]:
                    _take_out(connection, name)
            for name, (path, sha256) in sorted(wanted.items()):
                if present.get(name) != sha256:
                    _put_in(connection, name, path, sha256)
            connection.execute("COMMIT")
        seal_sqlite(temporary)


def _is_whole(path: Path) -> bool:
    try:
        require_sealed_sqlite(path)
    except (OSError, ValueError):
        return False
    return True


def _version_of(path: Path) -> int:
    """The version of a file of words; 0 where there is none, or it is something else."""
    if not path.is_file() or not path.stat().st_size:
        return 0
    try:
        with contextlib.closing(_connect(path)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0


def _take_out(connection: sqlite3.Connection, shard: str) -> None:
    lines = connection.execute("SELECT id, text FROM lines WHERE shard = ?", (shard,)).fetchall()
    command = "INSERT INTO found (found, rowid, text) VALUES ('delete', ?, ?)"
    connection.executemany(command, ((number, spaced(text)) for number, text in lines))
    _count(connection, (text for _, text in lines), -1)
    connection.execute("DELETE FROM vocabulary WHERE lines <= 0")
    connection.execute("DELETE FROM lines WHERE shard = ?", (shard,))
    connection.execute("DELETE FROM shards WHERE name = ?", (shard,))


def _put_in(connection: sqlite3.Connection, shard: str, path: Path, sha256: str) -> None:
    columns = ["video_id", "start_seconds", "end_seconds", "text"]
    rows = [tuple(row.values()) for row in read_table(path, columns).to_pylist()]
    first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM lines").fetchone()[0]
    connection.executemany(
        "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)",
        ((first + place, shard, *row, _crc(*row)) for place, row in enumerate(rows)),
    )
    connection.executemany(
        "INSERT INTO found (rowid, text) VALUES (?, ?)",
        ((first + place, spaced(row[-1])) for place, row in enumerate(rows)),
    )
    _count(connection, (row[-1] for row in rows), 1)
    connection.execute("INSERT INTO shards VALUES (?, ?)", (shard, sha256))


def _crc(video_id: str, start: float, end: float, text: str) -> int:
    return zlib.crc32(repr((video_id, start, end, text)).encode("utf-8", "surrogatepass"))


def _count(connection: sqlite3.Connection, texts: Iterable[str], sign: int) -> None:
    """Add to, or take from, the number of lines that each word stands in."""
    counts = Counter(word for text in texts for word in set(words_of(text)))
    connection.executemany(
        "INSERT INTO vocabulary VALUES (?, ?) ON CONFLICT (word) DO UPDATE SET lines = lines + excluded.lines",
        ((word, sign * count) for word, count in sorted(counts.items())),
    )


class WordsIndex:
    """What is said in the videos of a data set; may be asked from several threads.

    Errors: `UserError` where there is no such file, or it is of another version; `DamagedShard`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(
                f"no {path}", "the index of what is said", f"snakemake --cores N {path}"
            )
        found = _version_of(path)
        if not found:
            raise DamagedShard(path, "not an index of what is said")
        again = f"rm {path}, then `mcn run FOLDER --output DIR`, or snakemake --cores N {path}"
        require_version(path, found, VERSION, again)

    def __len__(self) -> int:
        """The number of lines."""
        with self._asking() as connection:
            return int(connection.execute("SELECT count(*) FROM lines").fetchone()[0])

    def search(
        self, query: str, limit: int = 10, allowed: Collection[str] | None = None
    ) -> list[Hit]:
        """The best moments for a query, best first; [] where none of its words is said.

        allowed: videos that may answer, None: all.
        """
        with self._asking() as connection:
            sought = [self._sought(connection, term) for term in parse(query)]
            scores = _scores(connection, sought, MOST_LINES if allowed is None else -1)
            moments = [
                moment
                for video_id, lines in _by_video(connection, scores).items()
                if allowed is None or video_id in allowed
                for moment in _moments(video_id, lines, scores)
            ]
            moments.sort(key=lambda moment: (-moment.score, moment.video_id, moment.start))
            return [_hit(connection, moment, len(sought)) for moment in moments[:limit]]

    def _sought(self, connection: sqlite3.Connection, term: Term) -> _Sought:
        """What is looked for in the place of a term."""
        if term.kind == "beginning":
            first = "".join(words_of(term.text))
            begun = [word for word in self._vocabulary if word.startswith(first)]
            return _sought(connection, term, begun[:BEGINNINGS])
        exact = _sought(connection, term, [term.text])
        if term.kind == "phrase" or exact.lines:
            return exact
        return _sought(connection, term, self._near("".join(words_of(term.text))), NEAR_WEIGHT)

    def _near(self, word: str) -> list[str]:
        """Words that are said and that `word` may be a misspelling of, the nearest first."""
        found = process.extract(
            word, self._vocabulary, scorer=OSA.distance, score_cutoff=2, limit=MOST_NEAR
        )
        return [one for one, distance, _ in found if is_misspelling(word, one, distance)][
            :NEAR_WORDS
        ]

    @cached_property
    def _vocabulary(self) -> list[str]:
        """Every word that is said, frequent ones first."""
        with self._asking() as connection:
            rows = connection.execute("SELECT word FROM vocabulary ORDER BY lines DESC, word")
            return [word for (word,) in rows]

    @contextlib.contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(_connect(self.path)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise DamagedShard(self.path, str(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that reads only, and makes no file beside."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


class _Sought(NamedTuple):
    """A term as FTS5 is asked for it, the number of lines that have it, and how much it counts."""

    term: Term
    match: str
    lines: int
    weight: float


def _sought(
    connection: sqlite3.Connection, term: Term, texts: Sequence[str], weight: float = 1.0
) -> _Sought:
    match = " OR ".join(quoted(text) for text in texts) or quoted("")
    command = "SELECT count(*) FROM found WHERE found MATCH ?"
    return _Sought(term, match, connection.execute(command, (match,)).fetchone()[0], weight)


def _scores(
    connection: sqlite3.Connection, sought: Sequence[_Sought], most: int
) -> Mapping[int, Mapping[Term, float]]:
    """Line -> the score of each term in it. most: lines of a term, -1: all."""
    by_rarity = sorted((one for one in sought if one.lines), key=lambda one: one.lines)
    rare = [one for one in by_rarity if one.lines <= COMMON_LINES] or by_rarity[:1]
    scores: dict[int, dict[Term, float]] = defaultdict(dict)
    for one in rare:  # FTS5 counts downwards
        command = "SELECT rowid, -rank FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?"
        for line, score in connection.execute(command, (one.match, most)):
            scores[line][one.term] = one.weight * score
    total = connection.execute("SELECT count(*) FROM lines").fetchone()[0]
    any_rare = " OR ".join(one.match for one in rare)
    for one in by_rarity[len(rare) :]:
        score = max(1e-6, math.log((total - one.lines + 0.5) / (one.lines + 0.5)))
        command = "SELECT rowid FROM found WHERE found MATCH ?"
        for (line,) in connection.execute(command, (f"({one.match}) AND ({any_rare})",)):
            if line in scores:
                scores[line][one.term] = one.weight * score
    return scores


class _Line(NamedTuple):
    start: float
    end: float
    number: int


class _Moment(NamedTuple):
    video_id: str
    start: float
    end: float
    score: float
    lines: list[int]
    terms: int


def _by_video(
    connection: sqlite3.Connection, numbers: Collection[int]
) -> Mapping[str, list[_Line]]:
    """Video -> its lines out of these, in order of time. Errors: DatabaseError for a line that has changed."""
    videos: dict[str, list[_Line]] = defaultdict(list)
    command = """SELECT video_id, start, "end", text, id, crc FROM lines
                 WHERE id IN (SELECT value FROM json_each(?)) ORDER BY start, "end", id"""
    found = 0
    for video_id, start, end, text, number, crc in connection.execute(
        command, (canonical_json(list(numbers)),)
    ):
        if _crc(video_id, start, end, text) != crc:
            raise sqlite3.DatabaseError(f"line {number} is not as it was written")
        videos[video_id].append(_Line(start, end, number))
        found += 1
    if found != len(numbers):
        raise sqlite3.DatabaseError(f"{len(numbers) - found} lines are missing")
    return videos


def _moments(
    video_id: str, lines: Sequence[_Line], scores: Mapping[int, Mapping[Term, float]]
) -> Iterator[_Moment]:
    """Lines of one video that follow each other closely, joined."""
    groups: list[list[_Line]] = []
    latest = -math.inf  # end of the group
    for line in lines:
        near = groups and line.start - latest <= NEAR_SECONDS
        if near and line.end - groups[-1][0].start <= LONGEST_SECONDS:
            groups[-1].append(line)
            latest = max(latest, line.end)
        else:
            groups.append([line])
            latest = line.end
    for group in groups:
        best: dict[Term, float] = {}
        for line in group:
            for term, score in scores[line.number].items():
                best[term] = max(best.get(term, 0.0), score)
        end, numbers = max(line.end for line in group), [line.number for line in group]
        score = math.fsum(best.values())
        yield _Moment(video_id, group[0].start, end, score, numbers, len(best))


def _hit(connection: sqlite3.Connection, moment: _Moment, terms: int) -> Hit:
    """A moment with the words that are said in it. terms: those of the query."""
    command = "SELECT text FROM lines WHERE id = ?"
    texts = [connection.execute(command, (number,)).fetchone()[0] for number in moment.lines]
    return Hit(*moment[:4], " ".join(texts), share=moment.terms / terms)
