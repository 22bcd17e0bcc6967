"""A published file at its place: fetched once, checked, and there only when it is whole.

Conventions
-----------
- `mcn.media.download` brings the bytes; they are renamed to their place once length and digests fit.
- Lengths and digests that are published are required. Of a file without one the sha256 that is seen first is noted in
  `NAME.sha256` (the form of sha256sum) and required from then on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcn.errors import UserError
from mcn.files import write_text, writing_explained
from mcn.media.address import shown
from mcn.media.download import Patience, forget_part, part_of, receive
from mcn.media.server import Wanted


@dataclass(frozen=True)
class Fetched:
    """A file that is there. known: its digest was published, or noted in an earlier call. new: it was fetched now."""

    path: Path
    sha256: str
    size: int
    known: bool
    new: bool


def download(wanted: Wanted, target: Path, patience: Patience | None = None) -> Fetched:
    """The file at `target`, fetched unless it is there already.

    Errors: `UserError` for a server that refuses, is not reached or stays silent, for another length or digest than
    wanted, and for a file at `target` that is not the wanted one.
    """
    if target.exists():
        return _kept(target, wanted)
    part = part_of(target)
    with writing_explained(target), _alone(part):
        if target.exists():  # another process was faster
            return _kept(target, wanted)
        receive(wanted, target, patience or Patience())
        digest = _checked(part, wanted, target)
        size = part.stat().st_size
        known = _note_digest(target, digest, wanted)
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        forget_part(target)
    return Fetched(target, digest, size, known, True)


def _checked(part: Path, wanted: Wanted, target: Path) -> str:
    """The sha256 of a whole file; one that is not the wanted one is removed. Errors: `UserError`."""
    size = part.stat().st_size
    found = _digests(part, wanted.digests)
    wrong = [
        f"{name} {found[name]}, wanted {digest}"
        for name, digest in wanted.digests.items()
        if not found[name].startswith(digest)
    ]
    if wanted.size not in (None, size):
        wrong.append(f"{size:,} bytes, wanted {wanted.size:,}")
    first_seen = _first_seen(target)
    if first_seen not in (None, found["sha256"]):
        wrong.append(f"sha256 {found['sha256']}, first seen {first_seen} ({_note_of(target)})")
    if not wrong:
        return found["sha256"]
    forget_part(target)
    raise UserError(
        f"{shown(wanted.address)}: {'; '.join(wrong)}; it was thrown away",
        "the bytes that were published, or that came the first time",
        "run it again, in case it was damaged on its way; if it stays so, the file has changed where it lies: "
        f"look at {wanted.page or shown(wanted.address)} for where it is now",
    )


def _kept(target: Path, wanted: Wanted) -> Fetched:
    """A file that is there already; one that nobody noted a digest of is noted now. Errors: `UserError`."""
    found = _digests(target, wanted.digests)
    first_seen = _first_seen(target)
    fits = all(found[name].startswith(digest) for name, digest in wanted.digests.items())
    if not fits or first_seen not in (None, found["sha256"]):
        wanted_words = ", ".join(wanted.digests.values()) or f"sha256 {first_seen}"
        cure = f"move it away (mv {target} {target}.old) and run again"
        got = f"{target}, which is there with sha256 {found['sha256']}"
        raise UserError(got, f"{wanted_words}, as published or first seen", cure)
    known = _note_digest(target, found["sha256"], wanted)
    return Fetched(target, found["sha256"], target.stat().st_size, known, False)


def _digests(path: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Hexadecimal digests of a file's bytes: sha256 and those of `names`."""
    digests = {}
    for name in {"sha256", *names}:
        with open(path, "rb") as file:
            digests[name] = hashlib.file_digest(file, name).hexdigest()
    return digests


def _note_digest(target: Path, sha256: str, wanted: Wanted) -> bool:
    """Note the digest of a file of which none is published; whether one was known before."""
    known = bool(wanted.digests) or _first_seen(target) is not None
    if not known:
        write_text(_note_of(target), f"{sha256}  {target.name}\n")
    return known


def _first_seen(target: Path) -> str | None:
    note = _note_of(target)
    return note.read_text(encoding="utf-8").split()[0] if note.is_file() else None


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Of several processes that fetch one file the others wait for the first."""
    part.parent.mkdir(parents=True, exist_ok=True)
    path = part.with_name(f"{part.name}.lock")
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if not part.exists():
                path.unlink(missing_ok=True)
