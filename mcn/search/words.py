"""The words that were said, searched by words, stems, phrases, beginnings and spelling (`mcn.search.words_file`).

Conventions
-----------
- A query is words, each found by its stem; "words in quotes" are a phrase; `word*` finds what begins so. Function words
  of English count in phrases, and where there is nothing else. A word that is said nowhere is replaced by the words
  that it may be a misspelling of (`mcn.search.terms.is_misspelling`), which count half.
- Score: BM25 as FTS5 defines it, per word, higher is better. Matching lines of one video that follow each other within
  `NEAR_SECONDS` are one hit, up to `LONGEST_SECONDS`; each word counts once in it, where it scores best. Of a word
  the best `MOST_LINES` lines count; one in more than `COMMON_LINES` counts beside rarer ones, by its rarity alone.
- Any text is a safe query: every word is handed to FTS5 quoted.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from mcn.errors import DamagedShard, UserError, require_version
from mcn.files import canonical_json
from mcn.search.fusion import Hit
from mcn.search.terms import Term, is_misspelling, parse, quoted, words_of
from mcn.search.words_file import VERSION, connect, crc_of, version_of

NEAR_SECONDS = 2.0
LONGEST_SECONDS = 20.0
MOST_LINES = 1000  # of a word: the best by BM25
COMMON_LINES = 10_000  # a word in more lines counts only where a rarer word of the query is said, by its rarity alone
BEGINNINGS = 50  # words that take the place of a beginning, frequent ones first
NEAR_WORDS = 5  # spellings that take the place of a word
MOST_NEAR = 100  # of which they are chosen
NEAR_WEIGHT = 0.5


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
        found = version_of(path)
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
            with contextlib.closing(connect(self.path)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise DamagedShard(self.path, str(error)) from error


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
        if crc_of(video_id, start, end, text) != crc:
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
