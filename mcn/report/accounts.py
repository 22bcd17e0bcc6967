"""Accounts: the ledger of each data set as counts that add up to its manifest, and the list of failures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mcn.files import read_table
from mcn.media.remarks import remarks_of
from mcn.sources.leaks import Leak, counted, read_leaks
from mcn.upkeep.ledger import STATUSES

LEAKS_SHOWN = 20  # a training set; all are in leaks.csv
FAILURES_SHOWN = 500  # a data set; the others are in quarantine.csv


@dataclass(frozen=True)
class StreamAccount:
    """Videos of one stream by status, and reasons of those that are not ok: (status, code, number)."""

    stream: str
    counts: dict[str, int]
    reasons: list[tuple[str, str, int]]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Failure:
    """One video that failed for one reason, or was remarked, in one or more streams."""

    video_id: str
    code: str
    message: str
    streams: list[str]


@dataclass(frozen=True)
class Account:
    """A data set: `videos` in its manifest, `whole` of them ok in every stream.

    ends: how sure the ends of streams are -> how many. remarks: what is worth knowing of rows that are ok. languages:
    of what is said -> how many videos have words in it, most first.
    """

    dataset: str
    videos: int
    whole: int
    streams: list[StreamAccount]
    failures: list[Failure]
    unlisted: int
    ends: dict[str, int]
    remarks: list[Failure]
    languages: dict[str, int]

    @property
    def balanced(self) -> bool:
        """Every stream adds up to the manifest."""
        return all(stream.total == self.videos for stream in self.streams)


@dataclass(frozen=True)
class LeakCount:
    """Videos of a training set that stand in a scored set too: scored set -> how many; `examples` of them."""

    counts: dict[str, int]
    examples: list[Leak]


def leak_count(path: Path) -> LeakCount:
    """The counts of leaks.csv."""
    found = read_leaks(path)
    return LeakCount(dict(counted(found)), found[:LEAKS_SHOWN])


def read_account(dataset: str, ledger: Path, videos: Path) -> Account:
    """Counts of `ledger`; `videos` is the manifest that they must equal."""
    table = read_table(ledger)
    streams = []
    for stream in pc.unique(table["stream"]).to_pylist():
        rows = table.filter(pc.field("stream") == stream)
        counts = {
            entry["values"]: entry["counts"]
            for entry in pc.value_counts(rows["status"]).to_pylist()
        }
        groups = rows.group_by(["status", "code"]).aggregate([("video_id", "count")]).to_pylist()
        reasons = [
            (g["status"], g["code"], g["video_id_count"]) for g in groups if g["status"] != "ok"
        ]
        ordered = {status: counts.get(status, 0) for status in STATUSES}
        streams.append(StreamAccount(stream, ordered, sorted(reasons)))
    manifest = read_table(videos, ["video_id"]).num_rows
    not_whole = pc.count_distinct(table.filter(pc.field("status") != "ok")["video_id"]).as_py()
    seen = pc.count_distinct(table["video_id"]).as_py()
    failed = table.filter(pc.field("status") == "failed")
    failures = _by_video(failed.to_pylist())
    return Account(
        dataset,
        manifest,
        seen - not_whole,
        streams,
        failures[:FAILURES_SHOWN],
        max(len(failures) - FAILURES_SHOWN, 0),
        _ends(table),
        _by_video(_remarked(table))[:FAILURES_SHOWN],
        _languages(table),
    )


def _languages(ledger: pa.Table) -> dict[str, int]:
    """Language -> number of videos with words in it, over all streams of words; most first."""
    rows = ledger.filter(pc.field("languages") != "").select(["video_id", "languages"]).to_pylist()
    pairs = {(row["video_id"], one) for row in rows for one in row["languages"].split(",")}
    return dict(
        sorted(Counter(one for _, one in pairs).items(), key=lambda pair: (-pair[1], pair[0]))
    )


def _ends(ledger: pa.Table) -> dict[str, int]:
    """How sure the ends of streams are -> number of rows of the ledger."""
    counts = pc.value_counts(ledger["end"]).to_pylist()
    return {one["values"]: one["counts"] for one in counts if one["values"]}


def _remarked(ledger: pa.Table) -> list[dict[str, str]]:
    """A row for every remark of every stream, as failures are."""
    rows = ledger.filter(pc.field("remarks") != "").to_pylist()
    return [
        {**row, "code": code, "error": words}
        for row in rows
        for code, words in remarks_of(row["remarks"]).items()
    ]


def _by_video(rows: list[dict[str, str]]) -> list[Failure]:
    """Failures with one line a video and reason, its streams gathered."""
    gathered: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        gathered.setdefault((row["video_id"], row["code"], row["error"]), []).append(row["stream"])
    return [Failure(*key, streams) for key, streams in gathered.items()]
