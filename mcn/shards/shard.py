"""One shard: atomic checksummed writing, and verified reading."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mcn.errors import DamagedShard, UserError, require_version
from mcn.files import atomic_path, canonical_json
from mcn.shards.made_by import KEY, MadeBy, current_record
from mcn.shards.origin import Origin, place_of, read_origin, require_place
from mcn.shards.parts import STATUS as PART_STATUS
from mcn.shards.parts import Parts, layout_metadata, row_groups
from mcn.shards.schemas import BLOB, EARLIER_COLUMNS, SCHEMAS

SCHEMA_VERSION = 1
HEADER = {"schema_version", "kind", "recipe", "origin"}  # the last is not in shards of version 0.1


class ShardWriter:
    """Write one shard atomically; a context manager. Nothing is left behind when the body raises.

    Args: `path` of the shard, one of the schemas above, `recipe` (JSON values only); `made_by`: the code that makes
    the rows, by default what `mcn.shards.made_by.writing_with` says; `inputs`: digest of the list of its videos
    (`mcn.shards.origin.list_digest`), '' where there is none.
    """

    def __init__(
        self,
        path: Path | str,
        schema: pa.Schema,
        recipe: dict[str, Any],
        made_by: MadeBy | None = None,
        inputs: str = "",
    ) -> None:
        self.path = Path(path)
        kind = schema.metadata[b"kind"].decode()
        header = {"schema_version": SCHEMA_VERSION, "kind": kind, "recipe": recipe}
        place = place_of(self.path)
        if place is not None:
            header["origin"] = Origin(place, inputs).header
        self.schema = schema.with_metadata({"mcn": canonical_json(header)})
        self._record = made_by or current_record()
        self._rows = 0
        self._parts: dict[
            int, int
        ] = {}  # number of a row -> its row groups, where they are several
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
            if self._record:
                self._writer.add_key_value_metadata({KEY: str(self._record)})
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._parts:
            self._writer.add_key_value_metadata(layout_metadata(self._parts))
        self._stack.__exit__(kind, error, traceback)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one video, whose blob may be `Parts`; ValueError where the row's columns are not the schema's."""
        if set(row) != set(self.schema.names):
            raise ValueError(f"row has {sorted(row)}, the schema wants {sorted(self.schema.names)}")
        blob = next((name for name, value in row.items() if isinstance(value, Parts)), None)
        if blob is None:
            self._write_group(row)
        else:
            group = dict(row)
            for part in row[blob]:
                self._write_group({**group, blob: part})
                group = dict.fromkeys(self.schema.names)
                group |= {"video_id": row["video_id"], "status": PART_STATUS}
            if len(row[blob]) > 1:
                self._parts[self._rows] = len(row[blob])
        self._rows += 1

    def _write_group(self, row: Mapping[str, Any]) -> None:
        arrays = [_cell(row[field.name], field.type) for field in self.schema]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))


def _cell(value: Any, kind: pa.DataType) -> pa.Array:
    """An array of one value; a blob is not copied."""
    if value is None or kind != BLOB:
        return pa.array([value], kind)
    blob = pa.py_buffer(value)
    offsets = pa.py_buffer(np.array([0, blob.size], np.int64))
    return pa.Array.from_buffers(kind, 1, [None, offsets, blob])


class ShardReader:
    """Read one shard, verifying checksums.

    Several threads may read rows and parts. Errors: `DamagedShard` for anything that is not an intact shard of `kind`
    (None: of any kind); a missing file, and one of another version, is a `UserError` that says how to make it.
    """

    def __init__(self, path: Path | str, kind: str | None = None) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        if not self.path.exists():
            raise UserError(f"no file {path}", "a shard", f"make it: snakemake --cores N {path}")
        with self._damage():
            self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
            header = self._header()
            self._groups = row_groups(self._file.metadata.metadata, self._file.num_row_groups)
            self.origin = read_origin(header.get("origin"))
        self.kind: str = header["kind"]
        self.recipe: dict[str, Any] = header["recipe"]
        self._require_columns()
        with self._damage():
            found, wanted = self._file.metadata.num_rows, self._file.num_row_groups
            self._check_rows(found, wanted, "the file")
        if kind is not None and self.kind != kind:
            raise DamagedShard(path, f"a shard of {self.kind}, wanted one of {kind}")
        require_place(self.path, self.origin)

    def _header(self) -> dict[str, Any]:
        """What the file says of itself. No checksum covers it, but parquet keeps it twice."""
        once, again = self._file.schema_arrow.metadata, self._file.metadata.metadata
        if not once or not again or b"mcn" not in once:
            raise ValueError("a parquet file, but not a shard of this pipeline")
        if once[b"mcn"] != again.get(b"mcn"):
            raise ValueError("its two headers differ")
        header = json.loads(once[b"mcn"])
        if not isinstance(header, dict) or not isinstance(header.get("schema_version"), int):
            raise ValueError("not the header of a shard")
        require_version(self.path, header["schema_version"], SCHEMA_VERSION, self._again)
        if {*header, "origin"} != HEADER:
            raise ValueError("not the header of a shard")
        return header

    @property
    def _again(self) -> str:
        return f"rm {self.path}, then snakemake --cores N {self.path}"

    def _require_columns(self) -> None:
        found, wanted = self._file.schema_arrow, SCHEMAS.get(self.kind, pa.schema([]))
        if found.equals(wanted):
            return
        if found.names == EARLIER_COLUMNS.get(self.kind):
            absent = ", ".join(name for name in wanted.names if name not in found.names)
            got = f"{self.path} without the column {absent}, which an older mcn wrote"
            raise UserError(got, f"a shard of {self.kind} with it", f"make it again: {self._again}")
        raise DamagedShard(self.path, f"its columns are not those of a shard of {self.kind}")

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedShard(self.path, str(error)) from error

    def __len__(self) -> int:
        return len(self._groups) if self._groups else int(self._file.num_row_groups)

    @property
    def metadata(self) -> pq.FileMetaData:
        """Where the row groups and columns of the file lie."""
        return self._file.metadata

    def columns(self, *names: str) -> pa.Table:
        """Some columns over all rows."""
        with self._damage():
            table = {name: self._file.read(columns=[name]).column(0) for name in names}
            for name, values in table.items():
                self._check_rows(len(values), self._file.num_row_groups, f"column {name}")
            whole = pa.table(table)
            return whole.take([group[0] for group in self._groups]) if self._groups else whole

    def column(self, name: str) -> list[Any]:
        """One column over all rows."""
        return list(self.columns(name).column(0).to_pylist())

    @property
    def video_ids(self) -> list[str]:
        """Ids in row order."""
        return self.column("video_id")

    def read(self, index: int) -> dict[str, Any]:
        """Row `index` as a dict; a blob that has several parts is `Parts`."""
        if self._groups and len(self._groups[index]) > 1:
            return self.lazy(index)
        group = self._groups[index][0] if self._groups else index
        with self._damage():
            return self._row(group, self._file.schema_arrow.names)

    def lazily(self) -> Iterator[dict[str, Any]]:
        """Every row as a dict, blobs as `Parts`: memory holds the part that is read."""
        return (self.lazy(index) for index in range(len(self)))

    def lazy(self, index: int) -> dict[str, Any]:
        """Row `index` as a dict, its blob as `Parts`."""
        groups = self._groups[index] if self._groups else range(index, index + 1)
        schema = self._file.schema_arrow
        blobs = [field.name for field in schema if field.type == BLOB]
        with self._damage():
            row = self._row(groups[0], [name for name in schema.names if name not in blobs])
        for name in blobs:  # of kinds with blobs, each has one
            row[name] = None
            if row["status"] == "ok":
                row[name] = self._parts_of(groups, name)
        return row

    def _parts_of(self, groups: range, name: str) -> Parts:
        return Parts(len(groups), lambda part: self._blob(groups[part], name))

    def _row(self, group: int, names: list[str]) -> dict[str, Any]:
        with self._lock:
            rows = self._file.read_row_group(group, columns=names).to_pylist()
        self._check_rows(len(rows), 1, f"row group {group}")
        if rows[0].get("status") == PART_STATUS:
            raise ValueError(f"row group {group} is a part of another video")
        return dict(rows[0])

    def _blob(self, group: int, name: str) -> pa.Buffer:
        with self._damage():
            with self._lock:
                column = self._file.read_row_group(group, columns=[name]).column(0)
            self._check_rows(len(column), 1, f"row group {group}")
            cell = column[0].as_buffer()
            if cell is None:
                raise ValueError(f"row group {group} has no {name}")
            return cell

    @staticmethod
    def _check_rows(found: int, wanted: int, what: str) -> None:
        """Raise ValueError where a count is wrong: a row group holds one video, and no checksum covers the counts."""
        if found != wanted:
            raise ValueError(f"{what} holds {found} rows, wanted {wanted}")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.read(index) for index in range(len(self)))

    def close(self) -> None:
        self._file.close()
