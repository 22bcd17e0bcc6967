"""What joins the parts of an index: `index.json`, which counts them, and the lists of an approximate index.

Conventions
-----------
- `index.json` names the number of parts, and for each source of answers the windows, the videos that have any, the
  width, and whether the index is approximate, with its measured recall.
- The lists of an approximate index lie in `approximate/` and are brought up to date, not made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcn.errors import UserError, require_version
from mcn.files import write_json
from mcn.options.search import SearchOptions
from mcn.search.approximate import build
from mcn.search.vectors import VectorIndex
from mcn.shards import ShardReader

VERSION = 1
CATALOGUE = "index.json"


def join(folder: Path, shards: int, options: SearchOptions, threads: int = 0) -> None:
    """Write `index.json` over the parts of a folder; above `exact_windows`, bring the approximate index up to date."""
    paths = [folder / f"{shard:05d}.parquet" for shard in range(shards)]
    sources: dict[str, Any] = {}
    for source in ShardReader(paths[0], "windows").column("source"):
        index = VectorIndex(paths, source)
        entry = {
            "windows": len(index),
            "videos": len(index.video_ids) - len(index.errors),
            "width": index.width,
            "approximate": len(index) > options.exact_windows,
        }
        if entry["approximate"]:
            made = build(index, folder / "approximate", threads)
            entry |= {key: made[key] for key in ("cells", "probes", "recall_at_10")}
        sources[source] = entry
    write_json(folder / CATALOGUE, {"version": VERSION, "parts": shards, "sources": sources})


def read_catalogue(folder: Path) -> Mapping[str, Any]:
    """What `join` wrote. Errors: `UserError` where there is none, or it is damaged or of another version."""
    path = folder / CATALOGUE
    again = f"rm {path}, then `mcn run FOLDER --output DIR`, or snakemake --cores N {path}"
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        require_version(path, int(found["version"]), VERSION, again)
        if not isinstance(found["parts"], int) or found["parts"] < 1 or not found["sources"]:
            raise ValueError("no parts or no sources")
        for source, one in found["sources"].items():
            if not {"windows", "approximate"} <= one.keys():
                raise ValueError(f"source {source!r} is not whole")
    except FileNotFoundError:
        cure = f"make it: `mcn run FOLDER --output DIR`, or snakemake --cores N {path}"
        raise UserError(f"no index {path}", "an index", cure) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        cure = f"delete it and run again (rm {path})"
        raise UserError(f"{path}: {error!r}", "an index", cure) from error
    return found
