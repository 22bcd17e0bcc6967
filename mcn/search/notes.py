"""What `mcn run` knows of each file: which are taken, and what they are like, looked at once and kept in `run.json`.

Conventions
-----------
- A file is looked at again only when its size or time has changed. Addresses of a manifest are asked for at every run,
  and looked into when they are decoded.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mcn.errors import UserError, VideoError, require_version
from mcn.files import write_json
from mcn.media.address import Address
from mcn.media.remote import ASKED_AT_ONCE, version_of
from mcn.options.decode import DecodeOptions
from mcn.options.downloads import DownloadOptions
from mcn.search.encoders import EMBEDDED
from mcn.search.heads import Narrated
from mcn.sources.doctor import examine
from mcn.sources.folders import FoundFile, choose, row_of, size_and_time, walk
from mcn.sources.manifest import ManifestRow, read_manifest

VERSION = 1
NOTES = "run.json"
_VERDICTS = ("ok", "warning", "failed")
_OWN = {NOTES, "manifest.csv", "config.yaml", "results", ".snakemake", ".lock"}


@dataclass
class Notes:
    """What a folder of answers knows: the number of its shards, each file's size, time and verdict, its encoders.

    narrated: what the run before found to train on, None before the first one has counted it.
    """

    shards: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    encoder: str = ""
    narrated: Narrated | None = None

    @classmethod
    def read(cls, output: Path) -> Notes:
        """What the run before wrote; nothing is known of an empty folder.

        Errors: `UserError` for a folder that holds something else, or was written by another version.
        """
        path = output / NOTES
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            again = f"rm -r {output}, then mcn run FOLDER --output {output}"
            require_version(output, int(found["version"]), VERSION, again)
            counted = found.get("narrated")
            narrated = None if counted is None else Narrated(*map(int, counted))
            files = {name: one for name, one in found["files"].items() if _is_known(one)}
            return cls(int(found["shards"]), files, found.get("encoder", EMBEDDED), narrated)
        except FileNotFoundError:
            foreign = (
                sorted({one.name for one in output.glob("*")} - _OWN) if output.exists() else []
            )
            if foreign:
                got = f"{output} holds other files ({', '.join(foreign[:3])})"
                cure = "choose another folder: --output"
                raise UserError(got, "an empty folder, or one that `mcn run` wrote", cure) from None
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            cure = f"delete it (rm {path}): files are then looked at again"
            raise UserError(f"{path}: {error!r}", "what `mcn run` wrote", cure) from error

    def write(self, output: Path) -> None:
        """Write it for the run after."""
        values = {
            "version": VERSION,
            "shards": self.shards,
            "encoder": self.encoder,
            "narrated": self.narrated,
            "files": self.files,
        }
        write_json(output / NOTES, values)


def _is_known(one: Any) -> bool:
    """Whether what is noted of a file is whole; the file is looked at again where it is not."""
    return (
        isinstance(one, dict)
        and isinstance(one.get("taken"), bool)
        and one.get("verdict", "ok") in _VERDICTS
        and isinstance(one.get("words", ""), str)
        and isinstance(one.get("video_id", ""), str)
    )


def rows_of(source: Path, output: Path, notes: Notes) -> list[ManifestRow]:
    """The rows of the manifest; `notes` is brought up to date with the files that were looked at."""
    if source.is_file():
        rows = read_manifest(source, check_files=False)
        known = {row.video_id: notes.files.get(row.video_id, {}) for row in rows}
        for row in rows:
            if isinstance(row.path, Address):
                known[row.video_id] = {"taken": True}
                continue
            now = list(size_and_time(row.path)) if row.path.is_file() else [0, 0]
            if known[row.video_id].get("known") != now:
                known[row.video_id] = {"known": now, "taken": True}
        notes.files = known
        return rows
    files = walk(source, [output])
    fresh = [one for one in files if notes.files.get(one.below, {}).get("known") != list(one.known)]
    taken = {file.below: is_taken for file, is_taken in choose(fresh)}
    notes.files = {
        file.below: {"known": list(file.known), "taken": taken[file.below]}
        if file.below in taken
        else notes.files[file.below]
        for file in files
    }
    chosen = [file for file in files if notes.files[file.below]["taken"]]
    if not chosen:
        # what is gone answers no more; the next run that finds files finds the rest of the results as they are
        (output / "results" / "settings.json").unlink(missing_ok=True)
        got = f"no videos or sound below {source} ({len(files)} files were looked at)"
        raise UserError(got, "one file at least that FFmpeg can play", "name another folder")
    return [_noted(file, notes) for file in chosen]


def _noted(file: FoundFile, notes: Notes) -> ManifestRow:
    row = row_of(file)
    notes.files[file.below]["video_id"] = row.video_id
    return row


def look_at(
    rows: Sequence[ManifestRow], notes: Notes, output: Path, options: DownloadOptions
) -> None:
    """Look at files that are new or have changed, as `mcn doctor` does, and print its verdict in short."""
    by_id = {one.get("video_id", key): one for key, one in notes.files.items() if one["taken"]}
    far = [row for row in rows if isinstance(row.path, Address)]
    _ask(far, by_id, options)
    fresh = [row for row in rows if "verdict" not in by_id[row.video_id]]
    for diagnosis in examine(fresh, DecodeOptions()).diagnoses if fresh else ():
        found = [f"{one.code}: {one.words}" for one in diagnosis.findings]
        by_id[diagnosis.video_id] |= {"verdict": diagnosis.verdict, "words": "; ".join(found)}
    counts = Counter(by_id[row.video_id]["verdict"] for row in rows)
    tally = ", ".join(f"{counts[one]} {one}" for one in _VERDICTS if counts[one])
    more = shlex.join(["mcn", "doctor", str(output / "manifest.csv")])
    print(f"{len(rows)} file{'s' if len(rows) > 1 else ''}: {tally} ({more} says more)")
    if far:
        print(f"{len(far)} of them at addresses, which are looked into when they are fetched")
    for row in rows:
        if by_id[row.video_id]["verdict"] == "failed":
            print(f"  {row.video_id}: {by_id[row.video_id]['words']}")


def _ask(
    rows: Sequence[ManifestRow], by_id: dict[str, dict[str, Any]], options: DownloadOptions
) -> None:
    """Ask the servers of addresses, several at once, whether they have the videos."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        said = threads.map(lambda row: version_of(cast(Address, row.path), options), rows)
        for row, answer in zip(rows, said, strict=True):
            failed = isinstance(answer, VideoError)
            words = str(answer) if failed else ""
            by_id[row.video_id] |= {"verdict": "failed" if failed else "ok", "words": words}
