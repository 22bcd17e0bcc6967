"""The ledger: every video of a manifest, accounted for once in every stream.

Conventions
-----------
- One row per (stream, video): streams in the order given, videos in the manifest's order within each.
  Columns: video_id, stream, status, code, error, end, remarks (all strings).
- `status` is exactly one of `ok`; `failed` and `missing`, with the `code` and the words of the shard's own row;
  `excluded`, with the reason. `code` and `error` are empty where status is `ok`.
- `end` says how sure it is that a stream that was decoded here is whole: `verified end`, `end not verifiable` or
  `truncated`; it is empty for other streams and rows. `remarks` is what else is worth knowing of an `ok` row
  (`mcn.media.remarks`).
- Every stream sums to the manifest. A video that a stream's shards do not hold, hold twice, or that the manifest does
  not know is a `UserError` that names it: nothing is skipped without a word.
- `quarantine.csv` beside the ledger lists the failed rows alone, each with a command that looks at that file again.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from mcn.errors import UserError, several
from mcn.files import csv_text, read_table, write_table, write_text
from mcn.media.remarks import remarks_of
from mcn.shards import ShardReader

log = logging.getLogger(__name__)

STATUSES = ("ok", "failed", "missing", "excluded")
COLUMNS = ("video_id", "stream", "status", "code", "error", "end", "remarks", "languages")
VERIFIED, UNVERIFIABLE, TRUNCATED = "verified end", "end not verifiable", "truncated"
LEDGER = pa.schema([(name, pa.string()) for name in COLUMNS])
_SHARD_COLUMNS = ("video_id", "status", "error")
_ROWS = pa.schema(
    [
        *((name, pa.string()) for name in _SHARD_COLUMNS),
        ("decoded", pa.bool_()),
        ("languages", pa.string()),
    ]
)


def make_ledger(
    videos: Path,
    shards: Mapping[str, Sequence[Path]],
    output: Path,
    excluded: Mapping[str, str] | None = None,
    manifest: Path | None = None,
) -> str:
    """Write `output` (ledger.parquet) and quarantine.csv beside it; returns the tally that was logged.

    `videos`: the data set's videos.parquet. `shards`: stream -> every shard of it. `excluded`: video_id ->
    `code: words` of videos that were left out on purpose; it wins over what shards say. `manifest`: the file that the
    commands of quarantine.csv name (default `videos`).

    Errors: `UserError` naming videos that are absent, doubled or unknown in a stream; `DamagedShard`.
    """
    manifest_ids = read_table(videos, ["video_id"])["video_id"].combine_chunks()
    left_out = dict(excluded or {})
    problems = _doubled(manifest_ids, str(videos))
    problems += [
        f"excluded video {video_id!r} is not in {videos}"
        for video_id in sorted(set(left_out) - set(manifest_ids.to_pylist()))
    ]
    tables = []
    for stream, paths in shards.items():
        found = _read_stream(stream, paths)
        problems += _doubled(found["video_id"], stream)
        problems += _differences(manifest_ids, found["video_id"], left_out, stream)
        if not problems:
            tables.append(_account(manifest_ids, found, left_out, stream))
    if problems:
        raise several(
            problems,
            f"each of the {len(manifest_ids)} videos of {videos} once in every stream",
            "delete the shards of the streams named and run snakemake again",
        )
    ledger = pa.concat_tables([LEDGER.empty_table(), *tables])
    write_table(output, ledger)
    write_text(output.with_name("quarantine.csv"), _quarantine(ledger, manifest or videos))
    line = tally(ledger, len(manifest_ids))
    log.info("%s", line)
    return line


def tally(ledger: pa.Table, videos: int) -> str:
    """One line: `53 videos | resnet152: 52 ok, 1 failed (truncated 1) | ...`."""
    parts = [f"{videos} videos"]
    for stream in pc.unique(ledger["stream"]).to_pylist():
        rows = ledger.filter(pc.field("stream") == stream)
        counts = [
            f"{number} {status}{_by_code(rows, status)}"
            for status in STATUSES
            if (number := rows.filter(pc.field("status") == status).num_rows)
        ]
        parts.append(f"{stream}: {', '.join(counts)}")
    return " | ".join(parts)


def _by_code(rows: pa.Table, status: str) -> str:
    if status == "ok":
        return ""
    codes = pc.value_counts(rows.filter(pc.field("status") == status)["code"]).to_pylist()
    codes.sort(key=lambda entry: (-entry["counts"], entry["values"]))
    return " (" + ", ".join(f"{entry['values']} {entry['counts']}" for entry in codes) + ")"


def _read_stream(stream: str, paths: Sequence[Path]) -> pa.Table:
    chunks = []
    for path in tqdm(paths, desc=f"ledger {stream}", unit="shard", disable=None):
        reader = ShardReader(path)
        columns = [pa.array(reader.column(name), pa.string()) for name in _SHARD_COLUMNS]
        decoded = reader.kind == "features" and "decoded" in reader.recipe
        columns.append(pa.array([decoded] * len(columns[0]), pa.bool_()))
        columns.append(pa.array(_languages(reader, len(columns[0])), pa.string()))
        chunks.append(pa.table(columns, _ROWS))
        reader.close()
    return pa.concat_tables([_ROWS.empty_table(), *chunks]).combine_chunks()


def _languages(reader: ShardReader, rows: int) -> list[str]:
    """The languages of the words of every row, `de,en`; '' where it has none, or they are not known."""
    if reader.kind == "text":
        found = reader.column("languages")
        return [",".join(sorted(set(one or ()) - {""})) for one in found]
    return (
        [one or "" for one in reader.column("language")] if reader.kind == "speech" else [""] * rows
    )


def _doubled(ids: pa.Array | pa.ChunkedArray, where: str) -> list[str]:
    counts = pc.value_counts(ids)
    often = counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    return [f"{where}: video {row['values']!r} is there {row['counts']} times" for row in often]


def _differences(
    wanted: pa.Array, found: pa.ChunkedArray, excluded: Mapping[str, str], stream: str
) -> list[str]:
    absent = wanted.filter(pc.invert(pc.is_in(wanted, value_set=found))).to_pylist()
    unknown = found.filter(pc.invert(pc.is_in(found, value_set=wanted))).to_pylist()
    problems = [f"{stream}: video {v!r} is in no shard" for v in absent if v not in excluded]
    return problems + [f"{stream}: video {v!r} is not in the manifest" for v in unknown]


def _account(
    manifest_ids: pa.Array, found: pa.Table, excluded: Mapping[str, str], stream: str
) -> pa.Table:
    """The rows of one stream in the manifest's order, `code: words` split in two."""
    rows = found.take(pc.index_in(manifest_ids, value_set=found["video_id"]))
    statuses, errors = rows["status"].to_pylist(), rows["error"].to_pylist()
    decoded, languages = rows["decoded"].to_pylist(), rows["languages"].to_pylist()
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    ids = manifest_ids.to_pylist()
    for video_id, shard_status, shard_error, here, spoken in zip(
        ids, statuses, errors, decoded, languages, strict=True
    ):
        left_out = video_id in excluded
        status = "excluded" if left_out else shard_status
        if status not in STATUSES:
            raise UserError(
                f"{stream}: video {video_id!r} has status {status!r}",
                f"one of {', '.join(STATUSES)}",
                "delete its shard and run snakemake again",
            )
        said = excluded[video_id] if left_out else shard_error or ""
        code, _, words = ("" if status == "ok" else said).partition(": ")
        remarks = said if status == "ok" else ""
        end = _end(status, code, remarks, here)
        row = video_id, stream, status, code, words, end, remarks, spoken
        for name, value in zip(COLUMNS, row, strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=LEDGER)


def _end(status: str, code: str, remarks: str, decoded: bool) -> str:
    """How sure the end of a stream is."""
    if status == "ok" and decoded:
        return UNVERIFIABLE if "end_not_verifiable" in remarks_of(remarks) else VERIFIED
    return TRUNCATED if status == "failed" and code == "truncated" else ""


def _quarantine(ledger: pa.Table, manifest: Path) -> str:
    lines = [["video_id", "stream", "code", "message", "reproduce"]]
    for row in ledger.filter(pc.field("status") == "failed").to_pylist():
        command = ["mcn", "doctor", f"--video={row['video_id']}", str(manifest)]
        lines.append(
            [row["video_id"], row["stream"], row["code"], row["error"], shlex.join(command)]
        )
    return csv_text(lines)
