"""Tables of ours hold what was written, whatever bit flips; tables of other people are read as they are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcn.content import KEY, MARK, require_seal
from mcn.errors import DamagedShard
from mcn.files import read_table, stream_table, table_batches, write_table

SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("label", pa.int32()),
        ("tokens", pa.list_(pa.list_(pa.int32()))),
        ("vector", pa.large_binary()),
        ("seen", pa.bool_()),
    ],
    metadata={"unread": '{"a": "failed"}'},
)
ROWS = [
    {
        "video_id": None if number == 2 else f"video {number}",
        "start_seconds": 0.5 * number,
        "end_seconds": 0.5 * number + 1,
        "label": number % 3,
        "tokens": None if number == 4 else [[number], [], [1, 2]],
        "vector": bytes([number]) * number,
        "seen": number % 2 == 0,
    }
    for number in range(8)
]
TABLE = pa.Table.from_pylist(ROWS, SCHEMA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_table(tmp_path / "table.parquet", TABLE, {"version": 1})
    return tmp_path / "table.parquet"


def seen(path: Path) -> tuple[list[dict[str, object]], bytes | None, bytes | None]:
    """All that a reader of a table gets to see."""
    table = read_table(path)
    metadata = table.schema.metadata or {}
    return table.to_pylist(), metadata.get(b"mcn"), metadata.get(b"unread")


def test_what_was_written_is_read(path: Path) -> None:
    assert read_table(path).equals(TABLE)
    assert read_table(path, ["tokens", "label"]).equals(TABLE.select(["tokens", "label"]))
    assert seen(path)[1:] == (b'{"version":1}', b'{"a": "failed"}')
    assert [row for batch in table_batches(path) for row in batch.to_pylist()] == ROWS


def test_any_flipped_bit_of_a_table_is_found_or_changes_nothing(path: Path) -> None:
    expected, raw, found = seen(path), path.read_bytes(), 0
    places = np.random.default_rng(0).choice(8 * len(raw), 1500, replace=False)
    for place in places:
        damaged = bytearray(raw)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            assert seen(path) == expected, f"bit {place % 8} of byte {place // 8}"
        except DamagedShard:
            found += 1
    assert found > 500


def test_any_flipped_bit_of_a_table_breaks_its_seal(path: Path) -> None:
    """Those too that no reader looks at: `mcn verify` finds them."""
    assert require_seal(path)
    raw = path.read_bytes()
    for place in np.random.default_rng(1).choice(8 * len(raw), 1500, replace=False):
        damaged = bytearray(raw)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises((ValueError, OSError)):
            require_seal(path)


def test_exchanged_columns_are_found_by_who_reads_one_of_them(path: Path) -> None:
    """As where a footer names the wrong place: every page is whole, but it is that of another column."""
    noted = pq.read_metadata(path).metadata
    names = ["video_id", "end_seconds", "start_seconds", *SCHEMA.names[3:]]
    exchanged = TABLE.rename_columns(names).select(SCHEMA.names)
    noted.pop(b"ARROW:schema")
    pq.write_table(exchanged.replace_schema_metadata(noted), path)
    assert read_table(path, ["video_id", "label"]).num_rows == 8
    for columns in (["start_seconds"], None):
        with pytest.raises(DamagedShard, match="not the content that was written: start_seconds"):
            read_table(path, columns)
    with pytest.raises(DamagedShard, match="start_seconds, end_seconds"):
        list(table_batches(path))


def test_a_digest_does_not_hang_on_how_a_table_is_cut(tmp_path: Path) -> None:
    for name, bounds in {"one": [0, 8], "many": [0, 1, 2, 5, 5, 8]}.items():
        with stream_table(tmp_path / name, SCHEMA) as writer:
            for first, last in pairwise(bounds):
                writer.write_table(TABLE.slice(first, last - first))
    one, many = (pq.read_metadata(tmp_path / name).metadata[KEY] for name in ("one", "many"))
    assert one == many
    assert read_table(tmp_path / "many").equals(TABLE)


def test_what_is_noted_at_the_end_counts(tmp_path: Path) -> None:
    path = tmp_path / "table"
    with stream_table(path, SCHEMA) as writer:
        writer.note({b"later": b"123456789"})
    assert read_table(path).num_rows == 0
    path.write_bytes(path.read_bytes().replace(b"123456789", b"123456780"))
    with pytest.raises(DamagedShard, match="metadata"):
        read_table(path)


def test_tables_of_others_are_read_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": ["a", "b"], "kind": pd.Categorical(["x", "y"])})
    frame.to_parquet(tmp_path / "theirs.parquet")
    table = read_table(tmp_path / "theirs.parquet")
    assert MARK not in table.schema.metadata
    assert not require_seal(tmp_path / "theirs.parquet")
    write_table(tmp_path / "ours.parquet", table)
    assert read_table(tmp_path / "ours.parquet").to_pandas().equals(frame)


def test_a_table_that_has_lost_its_digests_is_damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(KEY, b"mcn_CONTENT"))
    with pytest.raises(DamagedShard, match="not the content"):
        read_table(path)
