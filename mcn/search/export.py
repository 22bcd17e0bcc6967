"""The windows of an index, and their vectors, in forms that other programs read.

Conventions
-----------
- Windows come in the order of the parts. `parquet`: a table with video_id, source, start_seconds, end_seconds and
  vector (a list of float32); of several sources one table.
- `npy`: the matrix (N, D) float32 of one source, and that table without the vectors beside it as `.parquet`.
- `faiss`: a flat index of inner products of one source, whose ids are the rows of that table, beside it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mcn.errors import UserError
from mcn.files import atomic_path, write_table
from mcn.search.answers import Answers
from mcn.search.approximate import require_faiss
from mcn.search.opening import sources_of
from mcn.search.sources import Encoder, VectorSource


def export_index(place: Path, output: Path, form: str, source: str | None) -> int:
    """Write an index, or all of a folder of `mcn run`; the number of windows.

    place: a folder of `mcn run` or of an index. source: one of several. Errors: `UserError` where there is none.
    """
    if output.is_dir():
        raise UserError(f"{output} is a folder", "a file to write", "name a file")
    found = _sources(place)
    names = [one.name for one in found]
    chosen = [one for one in found if source in (None, one.name)]
    if not chosen or (form != "parquet" and len(chosen) > 1):
        wanted = f"one of {', '.join(names)}" if names else "an index"
        raise UserError(
            f"{place}: {source or ', '.join(names) or 'no index'}", wanted, "name it: --source"
        )
    table = pa.concat_tables([_windows(one) for one in chosen])
    if form == "parquet":
        vectors = [pa.array(list(_vectors(one)), pa.list_(pa.float32())) for one in chosen]
        write_table(output, table.append_column("vector", pa.chunked_array(vectors)))
        return table.num_rows
    write_table(output.with_suffix(".parquet"), table)
    matrix = _vectors(chosen[0])
    with atomic_path(output) as temporary:
        if form == "npy":
            with open(temporary, "wb") as file:
                np.save(file, matrix)
        else:
            faiss = require_faiss()
            index = faiss.IndexFlatIP(matrix.shape[1])
            index.add(matrix)
            faiss.write_index(index, str(temporary))
    return table.num_rows


def _sources(place: Path) -> Sequence[VectorSource]:
    if (place / "results").is_dir():
        return Answers.open(place).vectors
    return sources_of(place, "", _no_encoder)


def _no_encoder() -> Encoder:
    raise AssertionError("an export asks nothing")


def _vectors(source: VectorSource) -> np.ndarray:
    return source.index.vectors(np.arange(len(source.index)))


def _windows(source: VectorSource) -> pa.Table:
    index = source.index
    ids = pa.array(index.video_ids, pa.string()).take(pa.array(index.videos))
    return pa.table(
        {
            "video_id": ids,
            "source": pa.array([source.name] * len(index), pa.string()),
            "start_seconds": index.starts,
            "end_seconds": index.ends,
        }
    )
