"""What a shard is: its data set, its stream, its number and the videos that it was made of.

Conventions
-----------
- A shard's header names its data set, its stream (`features/resnet152`, `decoded/frames_1fps`), its number, and the
  digest of its inputs: of the ids, and the sha256 where the manifest gives them, of the videos in its list. What else
  it was made of stands in its recipe: weights, vocabulary, options and the recipe of what it read.
- Where a shard belongs, its path says: DATASET/STREAM/NNNNN.parquet, or index/MODEL/DATASET/NNNNN.parquet. A reader
  compares the two, from the end of the file alone; so a shard that was exchanged, renamed or taken from another data
  set is not read. Files of other names (of a retry, of an import) have no place, and nothing is asked.
- Who reads the shards of a data set together compares their inputs with the shard lists, where these lie beside them.
- Shards of earlier versions say nothing of themselves: they are read, and `mcn verify` counts them.
"""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from mcn.errors import DamagedShard, UserError
from mcn.files import canonical_json

_PATH = re.compile(
    r"/(?:(?P<dataset>[^/]+)/(?P<stream>(?:features|decoded)/[^/]+|speech_account)"
    r"|(?P<model>index/[^/]+)/(?P<indexed>[^/]+))/(?P<shard>[0-9]{5})\.parquet$"
)


class Place(NamedTuple):
    """Where a shard belongs."""

    dataset: str
    stream: str
    shard: int

    def __str__(self) -> str:
        return f"shard {self.shard} of {self.stream} of the data set {self.dataset}"


class Origin(NamedTuple):
    """What a shard says of itself. inputs: digest of the list that it was made of, '' where nobody said."""

    place: Place
    inputs: str

    @property
    def header(self) -> dict[str, Any]:
        """As it stands in the header of a shard."""
        return {**self.place._asdict(), "inputs": self.inputs}


def read_origin(header: Any) -> Origin | None:
    """The origin in a shard's header; None where it has none. Errors: ValueError for another form."""
    if header is None:
        return None
    try:
        values = dict(header)
        inputs = values.pop("inputs")
        return Origin(Place(**values), inputs)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not the origin of a shard: {error}") from error


def place_of(path: Path) -> Place | None:
    """Where a path says that its shard belongs; None for a path of another form."""
    match = _PATH.search(path.absolute().as_posix())
    if match is None:
        return None
    found = match.groupdict()
    dataset = found["dataset"] or found["indexed"]
    return Place(dataset, found["stream"] or found["model"], int(found["shard"]))


def require_place(path: Path, origin: Origin | None) -> None:
    """Raise `DamagedShard` where a shard says that it is another than the one that its path names."""
    wanted = place_of(path)
    if origin is not None and wanted is not None and origin.place != wanted:
        raise DamagedShard(path, f"it is {origin.place}, wanted {wanted}")


def list_digest(shard_list: Path) -> str:
    """Digest of the ids and sha256 of the videos in a shard list, in its order."""
    with open(shard_list, newline="", encoding="utf-8") as file:
        rows = [[row["video_id"], row.get("sha256") or ""] for row in csv.DictReader(file)]
    return hashlib.sha256(canonical_json(rows).encode()).hexdigest()


def require_inputs(path: Path, origin: Origin | None) -> None:
    """Raise `UserError` where a shard of a data set was made of other videos than its list names."""
    if origin is None or not origin.inputs:
        return
    dataset = path.parents[2] if "/" in origin.place.stream else path.parents[1]
    shard_list = dataset / "shards" / f"{origin.place.shard:05d}.csv"
    if shard_list.exists() and list_digest(shard_list) != origin.inputs:
        raise UserError(
            f"{path} was made of other videos than {shard_list} lists",
            "shards and lists of one manifest",
            f"delete it and run snakemake again (rm {path})",
        )
