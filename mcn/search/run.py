"""A folder of videos to answers: `mcn run`.

Conventions
-----------
- The folder that is written, DIR, holds `manifest.csv`, `config.yaml`, `run.json` (what is known of each file) and
  `results/`, which Snakemake makes, and nothing is written outside it. One `mcn run` at a time writes there.
- Files are looked at once: again only when their size or time has changed. Addresses of a manifest are asked for at
  every run, and looked into when they are decoded.
- A run succeeds where anything can be searched afterwards, whatever became of single files or jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import yaml

from mcn.config.configuration import configure
from mcn.config.workflow import workflow_file
from mcn.errors import UserError, VideoError, require_version
from mcn.files import scratch_folder, write_json, write_text
from mcn.media.address import Address
from mcn.media.remote import ASKED_AT_ONCE, version_of
from mcn.options.decode import DecodeOptions
from mcn.options.downloads import DownloadOptions
from mcn.search.answers import Answers
from mcn.search.encoders import EMBEDDED
from mcn.search.heads import Narrated, about_training
from mcn.search.planning import DATASET, Plan, make_plan
from mcn.search.progress import follow
from mcn.sources.doctor import examine
from mcn.sources.folders import (
    SUFFIXES,
    FoundFile,
    choose,
    manifest_text,
    row_of,
    size_and_time,
    walk,
)
from mcn.sources.manifest import ManifestRow, read_manifest
from mcn.sources.outside import KNOWN_BYTES

VERSION = 1
NOTES = "run.json"
MOST_NAMED = 20  # files without answers, at the end of a run
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
        """Errors: `UserError` for a folder that holds something else, or was written by another version."""
        path = output / NOTES
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            again = f"rm -r {output}, then mcn run FOLDER --output {output}"
            require_version(output, int(found["version"]), VERSION, again)
            counted = found.get("narrated")
            narrated = None if counted is None else Narrated(*map(int, counted))
            return cls(found["shards"], found["files"], found.get("encoder", EMBEDDED), narrated)
        except FileNotFoundError:
            foreign = (
                sorted({one.name for one in output.glob("*")} - _OWN) if output.exists() else []
            )
            if foreign:
                got = f"{output} holds other files ({', '.join(foreign[:3])})"
                cure = "choose another folder: --output"
                raise UserError(got, "an empty folder, or one that `mcn run` wrote", cure) from None
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            cure = f"delete it (rm {path}): files are then looked at again"
            raise UserError(f"{path}: {error!r}", "what `mcn run` wrote", cure) from error

    def write(self, output: Path) -> None:
        values = {
            "version": VERSION,
            "shards": self.shards,
            "encoder": self.encoder,
            "narrated": self.narrated,
            "files": self.files,
        }
        write_json(output / NOTES, values)


def run(
    source: Path,
    output: Path,
    overlays: Sequence[Path],
    cores: int,
    encoder: str = "auto",
    head: bool = True,
) -> int:
    """Bring the answers of a folder, or of a manifest, up to date; returns the exit status.

    encoder: out of `mcn.search.encoders.WANTED`. head: train one where there are clips enough. Errors: `UserError` for
    a source without videos, an output that is not ours, a configuration that is wrong.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file", "a folder to write to", "choose another: --output")
    if not source.exists() or (source.is_file() and source.suffix.lower() in SUFFIXES):
        got = f"{source} is a video or sound file" if source.exists() else f"no folder {source}"
        cure = f"name its folder: {source.parent}" if source.exists() else "correct the path"
        raise UserError(got, "a folder of videos, or a manifest", cure)
    Notes.read(output)  # before anything is written into a folder of somebody else
    with _alone(output):
        notes = Notes.read(output)
        rows = _rows(source, output, notes)
        title = source.resolve().name

        def planned() -> Plan:
            known = notes.shards, overlays, encoder, notes.encoder, notes.narrated, head
            return make_plan(title, len(rows), *known)

        plan = planned()
        settings = configure(plan.configuration)
        _examine(rows, notes, output, settings.downloads)
        notes.shards, notes.encoder = plan.shards, plan.encoder
        notes.write(output)
        _write_where_new(output / "manifest.csv", manifest_text(rows))
        for sentence in plan.sentences:
            print(sentence)
        status = _make(output, plan, cores)
        found = Narrated.of(output, DATASET)
        if found != notes.narrated:
            notes.narrated = found
            notes.write(output)
            before, plan = plan.configuration, planned()
            if plan.configuration != before:  # there is something to train, or it has other sizes
                configure(plan.configuration)
                status = _make(output, plan, cores)
        return _finish(output, plan, status)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process; `UserError` where another one has it.

    A run that came to nothing leaves nothing: neither its lock nor the folder that it made.
    """
    existed, lock = output.exists(), output / ".lock"
    with contextlib.ExitStack() as stack:
        try:
            output.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(lock, "a"))
        except OSError as error:
            cure = "choose another folder: --output"
            raise UserError(
                f"{output} cannot be written: {error.strerror}", "a folder to write to", cure
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_file(file, lock):
                raise BlockingIOError  # removed by the run that held it
        except BlockingIOError:
            cure = "wait until it has ended, or choose another folder"
            raise UserError(
                f"another `mcn run` is writing {output}", "one at a time", cure
            ) from None
        try:
            yield
        finally:
            if [one.name for one in output.iterdir()] == [lock.name]:
                lock.unlink()
                if not existed:
                    output.rmdir()


def _is_file(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one that lies at a path now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _rows(source: Path, output: Path, notes: Notes) -> list[ManifestRow]:
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


def _examine(
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
    tally = ", ".join(f"{counts[one]} {one}" for one in ("ok", "warning", "failed") if counts[one])
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


def _write_where_new(path: Path, text: str) -> None:
    """Write a file where its content differs: its time then says when it changed."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _make(output: Path, plan: Plan, cores: int) -> int:
    """Write the configuration and run the workflow in the folder; its exit status."""
    _write_where_new(output / "config.yaml", yaml.safe_dump(plan.configuration, sort_keys=False))
    if plan.trained:
        print(
            f"Experiments that are trained on the narration of this folder: {', '.join(plan.trained)}"
        )
    root = output.resolve()
    words = ["-s", str(workflow_file("")), "--directory", str(root), "--cores", str(cores)]
    targets = ["answers"]
    if (output / "manifest.csv").stat().st_size > KNOWN_BYTES:
        targets.insert(0, "partition")  # first and alone: shards without a change are then left
    status = 0
    # Snakemake copies the rules that it reads; its usual place for that lies outside, and an old copy would be believed
    with scratch_folder("rules", root / ".snakemake") as rules:
        for target in targets:
            print(shlex.join(["snakemake", *words, "--", target]), flush=True)
            asked = [*words, "--nolock", "--runtime-source-cache-path", str(rules), "--", target]
            command = [sys.executable, "-m", "snakemake", *asked]
            status = follow(command, output / "results" / "logs" / "run.log", _environment())
    return status


def _environment() -> Mapping[str, str]:
    """Jobs run this Python, also where its environment is not activated."""
    here = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}


def _finish(output: Path, plan: Plan, status: int) -> int:
    """Say what can be searched, and what to do next; the exit status of the run."""
    try:
        answers = Answers.open(output, DATASET)
    except UserError as error:
        print(f"Nothing can be searched: {error.got}.", file=sys.stderr)
        if status:
            print(f"Some jobs failed: {output}/results/logs/run.log says why", file=sys.stderr)
        return 1
    ok = sum(video.status == "ok" for video in answers.videos.values())
    print(f"{ok} of {len(answers.videos)} files can be searched. Their answers rest on:")
    for sentence in answers.basis:
        print(f"  {sentence}")
    others = [video for video in answers.videos.values() if video.status != "ok"]
    for video in others[:MOST_NAMED]:
        print(f"Not searched: {video.video_id}: {video.error or video.status}")
    if len(others) > MOST_NAMED:
        more = f"{len(others) - MOST_NAMED} more"
        print(f"Not searched: {more}, see {output}/results/{DATASET}/ledger.parquet")
    if status:
        print(f"Some jobs failed, and what hangs on them is missing: {output}/results/logs/run.log")
    print(about_training(output, DATASET, plan.trained, plan.head))
    print("Next:")
    print(f'  mcn search {shlex.quote(str(output))} "what you are looking for"')
    print(f"  mcn serve {shlex.quote(str(output))}")
    return 0
