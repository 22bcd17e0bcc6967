"""Rows of weights in files that know what they hold.

Conventions
-----------
- A row is a pair (parameter or buffer name, tensor). Files are safetensors; their metadata hold, under the one key
  `mcn` (several would be written in any order), what the rows were made with, and `content_sha256` over that and the
  rows.
- Whoever reads such a file compares the digest; files without one, of others or of earlier versions, are read as they
  are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mcn.errors import DamagedShard
from mcn.files import atomic_path, canonical_json

KEY, DIGEST = "mcn", "content_sha256"


def rows_sha256(rows: Mapping[str, Tensor]) -> str:
    """Sha256 over the rows in order of name: name, dtype, shape and bytes of each."""
    digest = hashlib.sha256()
    for name in sorted(rows):
        row = rows[name].detach().cpu().contiguous()
        digest.update(canonical_json([name, str(row.dtype), list(row.shape)]).encode())
        digest.update(row.numpy().tobytes())
    return digest.hexdigest()


def save_rows(path: Path, rows: Mapping[str, Tensor], recipe: dict[str, Any]) -> None:
    """Write rows, what they were made with (plain values) and the digest of both, atomically."""
    noted = canonical_json({**recipe, DIGEST: _content(rows, recipe)})
    with atomic_path(path) as temporary:
        save_file({name: row.contiguous() for name, row in rows.items()}, temporary, {KEY: noted})


def load_rows_file(path: Path | str) -> dict[str, Tensor]:
    """The rows of a safetensors file. Errors: `DamagedShard` for other rows than it notes, and safetensors' own."""
    rows = load_file(path)
    noted = read_noted(path)
    if noted is None:
        return rows
    try:
        recipe = dict(json.loads(noted))
        wanted = recipe.pop(DIGEST, None)
    except (ValueError, TypeError) as error:
        raise DamagedShard(path, f"its metadata are damaged ({error})") from error
    if wanted is not None and wanted != _content(rows, recipe):
        raise DamagedShard(path, "not the weights that were written: their digest differs")
    return rows


def read_noted(path: Path | str) -> str | None:
    """What a safetensors file notes of itself, as JSON; None for files of others."""
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get(KEY)


def _content(rows: Mapping[str, Tensor], recipe: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json([rows_sha256(rows), dict(recipe)]).encode()).hexdigest()
