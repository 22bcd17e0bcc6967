"""Parquet shards: schemas, atomic checksummed writing, verified reading.

Conventions
-----------
- One row, and one row group, a video; rows in the order of the shard's csv. Every manifest row is there.
- `status` is `ok`, `failed` or `missing` (the file has no such stream); `error` is empty or `code: words` with a
  code of `mcn.errors.ERROR_CODES`. Where status is not `ok` every column of content is null.
- Row i of a feature matrix covers the time from `start_seconds + i * step_seconds`, seconds from container start.
- `features` is (length, width) float16, row-major, little-endian; other blobs are described at their schema.
- File metadata, key `mcn`: canonical JSON of schema_version, kind and recipe. The recipe holds every parameter that
  changes the numbers, the code's `version`, weights and library versions. Equal recipes and inputs on one machine
  give equal bytes.
- Pages carry checksums and every read verifies them: a flipped bit, a cut file or another kind of file raises
  `DamagedShard`, which names the file and the cure.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import DamagedShard, UserError
from mcn.files import atomic_path, canonical_json, write_json, write_table

__all__ = [
    "AUDIO_SCHEMA",
    "FEATURE_SCHEMA",
    "FRAME_SCHEMA",
    "TEXT_SCHEMA",
    "FeatureSequence",
    "FeatureStore",
    "RowStore",
    "ShardReader",
    "ShardWriter",
    "empty_row",
    "feature_row",
    "feature_sequence",
    "write_json",
    "write_table",
]

SCHEMA_VERSION = 1

_HEAD = [("video_id", pa.string()), ("status", pa.string()), ("error", pa.string())]
_TIME = [("start_seconds", pa.float64()), ("step_seconds", pa.float64())]
_INT, _BLOB = pa.int32(), pa.large_binary()

FEATURE_SCHEMA = pa.schema(
    [*_HEAD, *_TIME, ("length", _INT), ("width", _INT), ("features", _BLOB)],
    metadata={"kind": "features"},
)
# video: Matroska file of x264 RGB at qp 0, exactly the RGB frames (length, height, width, 3)
FRAME_SCHEMA = pa.schema(
    [*_HEAD, *_TIME, ("length", _INT), ("height", _INT), ("width", _INT), ("video", _BLOB)],
    metadata={"kind": "frames"},
)
# samples: (length,) float32 little-endian, mono, in [-1, 1]
AUDIO_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("start_seconds", pa.float64()),
        ("sample_rate", _INT),
        ("length", pa.int64()),
        ("samples", _BLOB),
    ],
    metadata={"kind": "audio"},
)
# one list entry a narration line; tokens: ids into the data set's vocabulary, 1-based (0 pads)
TEXT_SCHEMA = pa.schema(
    [
        *_HEAD,
        ("starts", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
        ("tokens", pa.list_(pa.list_(pa.int32()))),
    ],
    metadata={"kind": "text"},
)
_SCHEMAS = {
    schema.metadata[b"kind"].decode(): schema
    for schema in (FEATURE_SCHEMA, FRAME_SCHEMA, AUDIO_SCHEMA, TEXT_SCHEMA)
}


class ShardWriter:
    """Write one shard atomically; a context manager. Nothing is left behind when the body raises.

    Args: `path` of the shard, one of the schemas above, `recipe` (JSON values only).
    """

    def __init__(self, path: Path | str, schema: pa.Schema, recipe: dict[str, Any]) -> None:
        self.path = Path(path)
        kind = schema.metadata[b"kind"].decode()
        header = {"schema_version": SCHEMA_VERSION, "kind": kind, "recipe": recipe}
        self.schema = schema.with_metadata({"mcn": canonical_json(header)})
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ShardWriter:
        with self._stack:
            temporary = self._stack.enter_context(atomic_path(self.path))
            self._writer = self._stack.enter_context(
                pq.ParquetWriter(
                    temporary,
                    self.schema,
                    compression="none",
                    use_dictionary=False,
                    write_statistics=False,  # of blobs they are blobs, held until the file is closed
                    write_page_checksum=True,
                )
            )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one video; ValueError where the row's columns are not the schema's."""
        if set(row) != set(self.schema.names):
            raise ValueError(f"row has {sorted(row)}, the schema wants {sorted(self.schema.names)}")
        self._writer.write_table(pa.Table.from_pylist([dict(row)], schema=self.schema))


class ShardReader:
    """Read one shard, verifying checksums.

    Errors: `DamagedShard` for anything that is not an intact shard of `kind` (None: of any kind); a missing file
    is a `UserError` that says how to make it.
    """

    def __init__(self, path: Path | str, kind: str | None = None) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UserError(f"no file {path}", "a shard", f"make it: snakemake --cores N {path}")
        with self._damage():
            self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
            header = self._header()
        self.kind: str = header["kind"]
        self.recipe: dict[str, Any] = header["recipe"]
        if header["schema_version"] != SCHEMA_VERSION:
            found = header["schema_version"]
            raise DamagedShard(path, f"schema version {found}, this code reads {SCHEMA_VERSION}")
        if not self._file.schema_arrow.equals(_SCHEMAS.get(self.kind, pa.schema([]))):
            raise DamagedShard(path, f"its columns are not those of a shard of {self.kind}")
        if kind is not None and self.kind != kind:
            raise DamagedShard(path, f"a shard of {self.kind}, wanted one of {kind}")

    def _header(self) -> dict[str, Any]:
        """What the file says of itself. No checksum covers it, but parquet keeps it twice."""
        once, again = self._file.schema_arrow.metadata, self._file.metadata.metadata
        if not once or not again or b"mcn" not in once:
            raise ValueError("a parquet file, but not a shard of this pipeline")
        if once[b"mcn"] != again.get(b"mcn"):
            raise ValueError("its two headers differ")
        header = json.loads(once[b"mcn"])
        if not isinstance(header, dict) or set(header) != {"schema_version", "kind", "recipe"}:
            raise ValueError("not the header of a shard")
        return header

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedShard(self.path, str(error)) from error

    def __len__(self) -> int:
        return int(self._file.num_row_groups)

    def column(self, name: str) -> list[Any]:
        """One column over all rows."""
        with self._damage():
            return list(self._file.read(columns=[name]).column(0).to_pylist())

    @property
    def video_ids(self) -> list[str]:
        """Ids in row order."""
        return self.column("video_id")

    def read(self, index: int) -> dict[str, Any]:
        """Row `index` as a dict."""
        with self._damage():
            return dict(self._file.read_row_group(index).to_pylist()[0])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.read(index) for index in range(len(self)))

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class FeatureSequence:
    """One video's features: `values` (T, D) float16, or None where status is not `ok`."""

    video_id: str
    status: str
    error: str
    start_seconds: float
    step_seconds: float
    values: np.ndarray | None


def feature_row(
    video_id: str, values: np.ndarray, start_seconds: float, step_seconds: float
) -> dict[str, Any]:
    """A row of `FEATURE_SCHEMA`; ValueError where `values` is not a finite (T, D) matrix that float16 can hold."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{video_id}: features of shape {values.shape}, wanted (T, D), T and D >= 1"
        )
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(values, dtype="<f2")
    if not np.isfinite(half).all():
        raise ValueError(f"{video_id}: features hold NaN, infinity or values beyond float16")
    return {
        "video_id": video_id,
        "status": "ok",
        "error": "",
        "start_seconds": float(start_seconds),
        "step_seconds": float(step_seconds),
        "length": half.shape[0],
        "width": half.shape[1],
        "features": half.tobytes(),
    }


def empty_row(schema: pa.Schema, video_id: str, status: str, error: str) -> dict[str, Any]:
    """A row without content: status `failed` or `missing`, error `code: words`."""
    if status not in ("failed", "missing"):
        raise ValueError(f"status {status!r} of a row without content; wanted failed or missing")
    row: dict[str, Any] = dict.fromkeys(schema.names)
    return {**row, "video_id": video_id, "status": status, "error": error}


def feature_sequence(row: Mapping[str, Any]) -> FeatureSequence:
    """The sequence of a row of `FEATURE_SCHEMA`; `values` is a read-only view of the row's bytes."""
    if row["status"] != "ok":
        return FeatureSequence(row["video_id"], row["status"], row["error"], 0.0, 0.0, None)
    values = np.frombuffer(row["features"], "<f2").reshape(row["length"], row["width"])
    times = float(row["start_seconds"]), float(row["step_seconds"])
    return FeatureSequence(row["video_id"], "ok", "", *times, values)


class RowStore(Mapping[str, Any]):
    """Random access by video id over many shards of one kind; safe in forked loader processes.

    Errors: `UserError` where two shards hold the same id or were made by different recipes.
    """

    def __init__(self, paths: Sequence[Path | str], kind: str) -> None:
        self.paths, self.kind = [Path(path) for path in paths], kind
        self._readers: dict[tuple[int, int], ShardReader] = {}
        self._where: dict[str, tuple[int, int]] = {}
        self.status: dict[str, str] = {}
        self.recipe: dict[str, Any] = {}
        for shard, path in enumerate(self.paths):
            self._index(shard, path)

    def _index(self, shard: int, path: Path) -> None:
        reader = ShardReader(path, self.kind)
        if shard and reader.recipe != self.recipe:
            cure = f"delete the one that is out of date and run snakemake again (rm {path})"
            raise UserError(f"{self.paths[0]} and {path} differ in recipe", "one recipe", cure)
        self.recipe = reader.recipe
        for row, (video_id, status) in enumerate(
            zip(reader.video_ids, reader.column("status"), strict=True)
        ):
            if video_id in self._where:
                other = self.paths[self._where[video_id][0]]
                cure = f"delete both and run snakemake again (rm {other} {path})"
                raise UserError(f"{video_id} in {other} and {path}", "each video once", cure)
            self._where[video_id], self.status[video_id] = (shard, row), status
        reader.close()

    def _row(self, video_id: str) -> dict[str, Any]:
        shard, row = self._where[video_id]
        key = os.getpid(), shard
        if key not in self._readers:
            if len(self._readers) >= 128:  # open files a process
                self._readers.pop(next(iter(self._readers))).close()
            self._readers[key] = ShardReader(self.paths[shard], self.kind)
        return self._readers[key].read(row)

    def __getitem__(self, video_id: str) -> Any:
        return self._row(video_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


class FeatureStore(RowStore):
    """`RowStore` of feature shards: values are `FeatureSequence`."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        super().__init__(paths, "features")

    def __getitem__(self, video_id: str) -> FeatureSequence:
        return feature_sequence(self._row(video_id))
