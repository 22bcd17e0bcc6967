"""What a run reads from outside, known by content: annotations and narration by their bytes, videos by their inode.

Conventions
-----------
- Files up to `HASHED_BYTES` are known by the sha256 of their bytes, larger ones by size, time in nanoseconds and inode:
  a touch of a small file is no change, a file replaced under its path is one, whatever its time says.
- A manifest up to `KNOWN_BYTES` that the workflow does not make itself is read when the workflow starts. Its videos and
  narration files are then known shard by shard, and each shard's list and narration are made from it by jobs of their
  own, so that only the shards of what was changed are remade. The files of a larger manifest are not looked at before
  `prepare` reads them; `mcn verify --content` reads them all.
- A video at an address is known by its sha256 in the manifest, else by what its server said of it when the workflow
  started (`mcn.media.remote`).
- Decoding a shard notes size, time, inode and sha256 of its videos in `contents/NNNNN.csv` of the data set; a video is
  hashed once, right after it was read. One that cannot be read is not noted. Of a video at an address, its length,
  Last-Modified and ETag stand in their places.
- Files below `results` are made by rules, which know when to make them.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcn.errors import UserError, VideoError
from mcn.files import canonical_json, csv_text, file_sha256, write_text
from mcn.media.address import Address, Place, place_of, written
from mcn.media.remote import Downloads, said_of, version_of
from mcn.sources.beside import language_in_name, narration_beside
from mcn.sources.manifest import ManifestRow, read_manifest
from mcn.sources.partition import shard_of

HASHED_BYTES = 1_000_000
KNOWN_BYTES = 200_000  # about 2,000 videos
FILES_OF_A_FOLDER = 10_000  # of a larger folder the first, in order of their names, are looked at


def is_made_here(path: Path | str) -> bool:
    """Whether a path lies below `results`, where the workflow writes."""
    return Path(path).parts[:1] == ("results",)


@functools.cache
def known_by(path: Path) -> str:
    """What identifies a file, or the files of a folder; 'missing' or 'null' where there is none."""
    try:
        if path.is_dir():
            below = sorted(one for one in path.rglob("*") if one.is_file())[:FILES_OF_A_FOLDER]
            return _digest([[str(one), _identity(one)] for one in below])
        # pipes and devices never end
        small = path.is_file() and path.stat().st_size <= HASHED_BYTES
        return file_sha256(path) if small else canonical_json(_identity(path))
    except (OSError, ValueError):
        return "missing"


def digest_of(paths: Any) -> str:
    """A digest of the content of files from outside; '' where all of them are made by the workflow.

    paths: one, or lists and dictionaries of them.
    """
    outside = [str(path) for path in _flat(paths) if not is_made_here(path)]
    return _digest([[path, known_by(Path(path))] for path in outside]) if outside else ""


def _flat(paths: Any) -> Iterator[Path | str]:
    if isinstance(paths, Mapping):
        paths = list(paths.values())
    if isinstance(paths, (list, tuple)):
        for path in paths:
            yield from _flat(path)
    elif paths:
        yield paths


def videos_digest(manifest: str, shards: int, shard: int) -> str:
    """A digest of ids, paths, sizes, times, inodes and given sha256 of a shard's videos; '' if not known."""
    rows = _shard_rows(manifest, shards, shard)
    found = [[row.video_id, written(row.path), _identity_of_row(row), row.sha256] for row in rows]
    return _digest(found) if is_known(manifest) else ""


def rows_digest(manifest: str, shards: int, shard: int) -> str:
    """A digest of what a manifest says of a shard's videos: ids, paths and given sha256; '' if not known."""
    rows = _shard_rows(manifest, shards, shard)
    return (
        _digest([[row.video_id, written(row.path), row.sha256] for row in rows])
        if is_known(manifest)
        else ""
    )


def narration_digest(manifest: str, shards: int = 1, shard: int = 0) -> str:
    """A digest of ids, narration files and their languages of a shard, by default of all; '' if not known."""
    found = [
        [row.video_id, row.language, [[str(path), known_by(path)] for path in row.narration]]
        for row in _shard_rows(manifest, shards, shard)
    ]
    return _digest(found) if is_known(manifest) else ""


def narrated_languages(manifest: str) -> set[str]:
    """The languages that a manifest names, in its column or by the names of files; {} where it is not known."""
    return {
        language
        for row in _rows(manifest) or []
        for language in row.language or [language_in_name(path, row.path) for path in row.narration]
        if language
    }


def file_endings(manifest: str) -> set[str]:
    """The endings of the files that a manifest names, in lower case; {} where it is not known."""
    return {Path(str(row.path)).suffix.lower() for row in _rows(manifest) or []}


def beside_digest(manifest: str, shards: int, shard: int, language: str | None) -> str:
    """A digest of the narration files beside the videos of a shard; '' where they are not known."""
    found = [
        [
            row.video_id,
            [[str(path), known_by(path)] for path in narration_beside(row.path, language)],
        ]
        for row in _shard_rows(manifest, shards, shard)
    ]
    return _digest(found) if is_known(manifest) else ""


def is_known(manifest: str) -> bool:
    """Whether the files of a manifest are looked at when the workflow starts."""
    return _rows(manifest) is not None


def _shard_rows(manifest: str, shards: int, shard: int) -> list[ManifestRow]:
    rows = _rows(manifest) or []
    return sorted(
        (row for row in rows if shard_of(row.video_id, shards) == shard),
        key=lambda row: row.video_id,
    )


@functools.cache
def _rows(manifest: str) -> list[ManifestRow] | None:
    """The rows of a manifest that is known; one that cannot be read is left to the check before the first job."""
    path = Path(manifest)
    try:
        if is_made_here(path) or path.stat().st_size > KNOWN_BYTES:
            return None
        return read_manifest(path, check_files=False)
    except (OSError, UserError):
        return None


def addresses(manifest: str) -> list[Address]:
    """The addresses of a known manifest whose videos only a server can identify."""
    rows = _rows(manifest) or []
    return [row.path for row in rows if isinstance(row.path, Address) and not row.sha256]


def _identity_of_row(row: ManifestRow) -> Any:
    if isinstance(row.path, Address):
        return None if row.sha256 else said_of(row.path)
    return _identity(row.path)


def _identity(path: Path) -> list[int] | None:
    """Size, time of the last change in nanoseconds and inode of a file; None where there is none to be read.

    A file that may be read at last has neither another size nor another time.
    """
    try:
        status = path.stat()
        if not os.access(path, os.R_OK):
            return None
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _digest(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


CONTENTS = ["video_id", "path", "size", "mtime_ns", "inode", "sha256"]


def note_contents(shard_list: Path, downloads: Downloads | None = None) -> None:
    """Note what the videos of a shard list hold now; those that are the file that was noted are not read again."""
    noted = {(row["video_id"], *_seen(row)): row["sha256"] for row in _contents(shard_list)}
    cache = downloads or Downloads()
    rows = []
    for video_id, place in _listed(shard_list):
        if isinstance(place, Address):
            known = cache.noted(place)
            said = [str(place), *(known.get(key) for key in ("size", "date", "etag"))]
            rows += [[video_id, *said, known["sha256"]]] if known else []
            continue
        identity = _identity(place)
        if identity and place.is_file():
            seen = str(place), *map(str, identity)
            sha256 = noted.get((video_id, *seen)) or _sha256(place)
            rows += [[video_id, *seen, sha256]] if sha256 else []
    write_text(_contents_path(shard_list), csv_text([CONTENTS, *rows]))


def changed_contents(
    shard_list: Path, downloads: Downloads | None = None
) -> list[tuple[Place, str]]:
    """The videos of a shard list whose bytes are not those that were noted when they were decoded, and why.

    Of videos at addresses the servers are asked, and nothing is read.
    """
    noted = {row["video_id"]: row for row in _contents(shard_list)}
    cache = downloads or Downloads()
    found: list[tuple[Place, str]] = []
    for video_id, place in _listed(shard_list):
        row = noted.get(video_id)
        if row is None:
            continue
        if isinstance(place, Address):
            said = version_of(place, cache.options)
            if isinstance(said, VideoError):
                found.append((place, f"decoded once, and now {said.code}"))
            elif [row["inode"], row["mtime_ns"], row["size"]] != [str(one or "") for one in said]:
                found.append((place, "not the version that was decoded"))
        elif not place.is_file():
            found.append((place, "decoded once, and gone now"))
        elif (sha256 := _sha256(place)) != row["sha256"]:
            why = "not the bytes that were decoded" if sha256 else "decoded once, unreadable now"
            found.append((place, why))
    return found


def _sha256(path: Path) -> str:
    """'' for a file that cannot be read: its stage has counted it as failed, and the others of its shard go on."""
    try:
        return file_sha256(path)
    except OSError:
        return ""


def _listed(shard_list: Path) -> list[tuple[str, Place]]:
    """Ids and places of a shard list."""
    with open(shard_list, encoding="utf-8", newline="") as file:
        return [(row["video_id"], place_of(row["path"])) for row in csv.DictReader(file)]


def noted_contents(shard_list: Path) -> dict[str, str]:
    """Video -> the sha256 that decoding noted, of the videos of a shard list."""
    return {row["video_id"]: row["sha256"] for row in _contents(shard_list)}


def _contents_path(shard_list: Path) -> Path:
    return shard_list.parent.parent / "contents" / shard_list.name


def _contents(shard_list: Path) -> list[dict[str, str]]:
    try:
        with open(_contents_path(shard_list), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def _seen(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in CONTENTS[1:-1])
