"""The file of the words that were said: one SQLite file for a data set, made and brought up to date.

Conventions
-----------
- Full-text search is SQLite's FTS5 with its Porter stemmer; case and accents do not count. A row is a line of a
  transcript (`mcn.features.transcribe`). Characters of scripts without spaces (Chinese, Japanese, Thai and others) are
  words of their own, so that a query in them finds what stands inside a line.
- The file is brought up to date shard by shard: shards whose bytes are as they were stay; the lines of shards that have
  changed or are gone are taken out. It is written under another name and renamed.
- SQLite has no checksums. A line has a CRC-32 that is compared when it answers, and the file is sealed
  (`mcn.content`): `mcn verify` reads all of it, and a file that is not whole is not brought up to date but made anew.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mcn.content import require_sealed_sqlite, seal_sqlite
from mcn.files import atomic_path, file_sha256, read_table
from mcn.search.terms import spaced, words_of

VERSION = 2  # of the file

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
        if version_of(output) == VERSION and _is_whole(output):
            shutil.copyfile(output, temporary)
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            if version_of(temporary) != VERSION:
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


def version_of(path: Path) -> int:
    """The version of a file of words; 0 where there is none, or it is something else."""
    if not path.is_file() or not path.stat().st_size:
        return 0
    try:
        with contextlib.closing(connect(path)) as connection:
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
        ((first + place, shard, *row, crc_of(*row)) for place, row in enumerate(rows)),
    )
    connection.executemany(
        "INSERT INTO found (rowid, text) VALUES (?, ?)",
        ((first + place, spaced(row[-1])) for place, row in enumerate(rows)),
    )
    _count(connection, (row[-1] for row in rows), 1)
    connection.execute("INSERT INTO shards VALUES (?, ?)", (shard, sha256))


def crc_of(video_id: str, start: float, end: float, text: str) -> int:
    return zlib.crc32(repr((video_id, start, end, text)).encode("utf-8", "surrogatepass"))


def _count(connection: sqlite3.Connection, texts: Iterable[str], sign: int) -> None:
    """Add to, or take from, the number of lines that each word stands in."""
    counts = Counter(word for text in texts for word in set(words_of(text)))
    connection.executemany(
        "INSERT INTO vocabulary VALUES (?, ?) ON CONFLICT (word) DO UPDATE SET lines = lines + excluded.lines",
        ((word, sign * count) for word, count in sorted(counts.items())),
    )


def connect(path: Path) -> sqlite3.Connection:
    """A connection that reads only, and makes no file beside."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
