"""A folder of videos to answers: `mcn run`.

Conventions
-----------
- The folder that is written, DIR, holds `manifest.csv`, `config.yaml`, `run.json` (what is known of each file) and
  `results/`, which Snakemake makes, and nothing is written outside it. One `mcn run` at a time writes there.
- A run succeeds where anything can be searched afterwards, whatever became of single files or jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import yaml

from mcn.config.configuration import configure, write_settings
from mcn.config.left_out import leave_out
from mcn.config.workflow import workflow_file
from mcn.errors import UserError
from mcn.files import scratch_folder, write_text
from mcn.search.answers import Answers
from mcn.search.heads import Narrated, about_training
from mcn.search.notes import Notes, look_at, rows_of
from mcn.search.planning import DATASET, Plan, make_plan
from mcn.search.progress import follow
from mcn.sources.folders import SUFFIXES, manifest_text
from mcn.sources.outside import KNOWN_BYTES

MOST_NAMED = 20  # files without answers, at the end of a run


def run(
    source: Path,
    output: Path,
    overlays: Sequence[Path],
    cores: int,
    encoder: str = "auto",
    head: bool = True,
) -> int:
    """Bring the answers of a folder, or of a manifest, up to date; returns the exit status.

    encoder: see `mcn.search.encoders.choose`. head: train one where there are clips enough. Errors: `UserError` for
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
        rows = rows_of(source, output, notes)
        title = source.resolve().name

        def planned() -> Plan:
            known = notes.shards, overlays, encoder, notes.encoder, notes.narrated, head
            return make_plan(title, len(rows), *known)

        plan = planned()
        settings = configure(plan.configuration)
        look_at(rows, notes, output, settings.downloads)
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
    if not status:  # Snakemake writes them before its first job, and there may have been none
        present, left_out = leave_out(plan.configuration)
        settings = configure(present, left_out=bool(left_out))
        write_settings(settings, output / "results" / "settings.json")
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
        got = error.got.rstrip(".")
        print(f"Nothing can be searched: {got}. Do this: {error.do}.", file=sys.stderr)
        if status:
            print(f"Some jobs failed: {output}/results/logs/run.log says why", file=sys.stderr)
        return 1
    ok = sum(video.status == "ok" for video in answers.videos.values())
    print(f"{ok} of {len(answers.videos)} files can be searched. Their answers rest on:")
    for sentence in answers.basis if ok else ["nothing"]:
        print(f"  {sentence}")
    others = [video for video in answers.videos.values() if video.status != "ok"]
    for video in others[:MOST_NAMED]:
        print(f"Not searched: {video.video_id}: {video.error or video.status}")
    if len(others) > MOST_NAMED:
        more = f"{len(others) - MOST_NAMED} more"
        print(f"Not searched: {more}, see {output}/results/{DATASET}/ledger.parquet")
    if status:
        log = f"{output}/results/logs/run.log"
        print(
            f"Some jobs failed; what hangs on them is missing, or as the run before made it: {log}"
        )
    if not ok:
        return 1
    print(about_training(output, DATASET, plan.trained, plan.head))
    print("Next:")
    print(f'  mcn search {shlex.quote(str(output))} "what you are looking for"')
    print(f"  mcn serve {shlex.quote(str(output))}")
    return 0
