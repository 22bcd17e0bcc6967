"""One file over HTTP: resumed after a cut, checked, and there only when it is whole.

Conventions
-----------
- The bytes go to `.NAME.part` beside the target and are renamed once length and digests fit. A cut download is taken up
  where it stopped (`Range`), in the same call or in a later one, if the server still has the same file (`If-Range` with
  its ETag or date, kept in `.NAME.part.json`); otherwise it begins anew.
- Lengths and digests that are published are required. Of a file without one the sha256 that is seen first is noted in
  `NAME.sha256` (the form of sha256sum) and required from then on.
- A cut, a stall, and the statuses 408, 429 and 5xx are tried again, with a pause, as long as bytes still come:
  `ATTEMPTS` tries in a row without a new byte end it, and `UNREACHED` tries where no server was reached at all. Every
  other refusal ends it at once.
- Proxies, certificates and passwords come from where `requests` looks: HTTPS_PROXY, NO_PROXY, .netrc.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from mcn.errors import UserError
from mcn.files import write_text, writing_explained

ATTEMPTS, UNREACHED = 5, 2
PAUSE_SECONDS = 1.0  # doubled from try to try
LONGEST_PAUSE_SECONDS = 60.0
CONNECT_SECONDS, READ_SECONDS = 15.0, 60.0
CHUNK = 1 << 20
TRIED_AGAIN = (408, 425, 429, 500, 502, 503, 504)
REFUSALS = {
    401: "the server asks for a password",
    403: "the server refuses",
    404: "there is no such file",
    410: "the file is gone",
}


@dataclass(frozen=True)
class Wanted:
    """What is known of a file beforehand. page: where a person finds it, for messages."""

    address: str
    page: str = ""
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    """A file that is there. known: its digest was published, or noted in an earlier call. new: it was fetched now."""

    path: Path
    sha256: str
    size: int
    known: bool
    new: bool


class _TryAgain(Exception):
    """Something that may pass. pause: what the server asked for, in seconds. reached: there was a server."""

    def __init__(self, reason: str, pause: float = 0.0, reached: bool = True) -> None:
        self.reason, self.pause, self.reached = reason, pause, reached
        super().__init__(reason)


def download(
    wanted: Wanted, target: Path, pause: float = PAUSE_SECONDS, stall: float = READ_SECONDS
) -> Fetched:
    """The file at `target`, fetched unless it is there already.

    pause: seconds before the second try. stall: seconds without a byte after which a connection counts as cut. Errors:
    `UserError` for a server that refuses, is not reached or stays silent, for another length or digest than wanted, and
    for a file at `target` that is not the wanted one.
    """
    if target.exists():
        return _kept(target, wanted)
    part = target.with_name(f".{target.name}.part")
    with writing_explained(target), _alone(part):
        if target.exists():  # another process was faster
            return _kept(target, wanted)
        _receive_all(wanted, part, target, pause, stall)
        digest = _checked(part, wanted, target)
        size = part.stat().st_size
        known = _note_digest(target, digest, wanted)
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        _state(part).unlink(missing_ok=True)
    return Fetched(target, digest, size, known, True)


def _receive_all(wanted: Wanted, part: Path, target: Path, pause: float, stall: float) -> None:
    """Try until `part` is whole; `UserError` when nothing comes any more."""
    longest, failures, reached = _length(part), 0, False
    while True:
        try:
            return _receive(wanted, part, target, stall)
        except _TryAgain as error:
            failures = 0 if _length(part) > longest else failures + 1
            longest, reached = max(longest, _length(part)), reached or error.reached
            if failures >= (ATTEMPTS if reached else UNREACHED):
                raise _gave_up(wanted, target, f"{error.reason} ({failures} tries)") from error
            time.sleep(max(min(pause * 2**failures, LONGEST_PAUSE_SECONDS), error.pause))


def _receive(wanted: Wanted, part: Path, target: Path, stall: float) -> None:
    """One try: what lacks of `part`, appended to it."""
    have, state = _length(part), _read_state(part, wanted.address)
    validator = state.get("etag") or state.get("date")
    if have and not (validator or wanted.digests):
        have = 0  # nothing would say whether the rest is of the same file
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    try:
        with requests.get(
            wanted.address, headers=headers, stream=True, timeout=(CONNECT_SECONDS, stall)
        ) as answer:
            first = _first_byte(answer, wanted, part, have)
            if first is None:  # `part` is whole already
                return
            total = _total(answer, first)
            _refuse_wrong_length(wanted, total)
            _refuse_full_disk(part, first, total)
            _write_state(part, wanted.address, answer.headers)
            _append(answer, part, first, total, target.name)
    except requests.TooManyRedirects as error:
        cure = _by_hand(wanted, target)
        raise UserError(
            f"{wanted.address}: {error}", "an address that ends somewhere", cure
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        reached = not isinstance(error, requests.ConnectionError)  # raised before any answer
        raise _TryAgain(_reason(error), reached=reached) from error


def _first_byte(answer: requests.Response, wanted: Wanted, part: Path, have: int) -> int | None:
    """The offset of the answer's first byte; None where nothing lacks. Errors: `UserError`, `_TryAgain`."""
    status = answer.status_code
    if status == 416 and have:
        total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
        if total and int(total[1]) == have:
            return None
        part.unlink()
        raise _TryAgain("what was kept is no beginning of the file")
    if status in TRIED_AGAIN:
        after = answer.headers.get("Retry-After", "")
        asked = min(float(after), LONGEST_PAUSE_SECONDS) if after.isdigit() else 0.0
        raise _TryAgain(f"the server answers {status} {answer.reason}", asked)
    if not answer.ok:
        words = REFUSALS.get(status, "the server refuses")
        got = f"{answer.url}: {words} ({status} {answer.reason})"
        raise UserError(got, "a file", _elsewhere(wanted))
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        got = f"{answer.url}: a page for people (text/html) in the place of the file"
        raise UserError(got, "a file", _elsewhere(wanted))
    if status != 206:
        return 0
    span = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if not span or int(span[1]) != have:
        raise _TryAgain("the server sends another part than the one that was asked for")
    return have


def _append(
    answer: requests.Response, part: Path, first: int, total: int | None, name: str
) -> None:
    """Write the answer's bytes from the offset `first` on. Errors: `_TryAgain` where fewer come than announced."""
    with (
        open(part, "rb+" if first else "wb") as file,
        tqdm(
            total=total, initial=first, unit="B", unit_scale=True, desc=name, disable=None
        ) as progress,
    ):
        file.truncate(first)
        file.seek(first)
        cut = ""
        try:
            for block in answer.raw.stream(CHUNK, decode_content=False):
                file.write(block)
                progress.update(len(block))
        except urllib3.exceptions.ProtocolError as error:
            cut = _reason(error)
    have = _length(part)
    if total is not None and have < total:
        raise _TryAgain(f"the connection ended after {have:,} of {total:,} bytes")
    if cut:
        raise _TryAgain(f"the connection ended after {have:,} bytes: {cut}")


def _total(answer: requests.Response, first: int) -> int | None:
    """The length of the whole file, where the server says it."""
    length = answer.headers.get("Content-Length", "")
    return first + int(length) if length.isdigit() else None


def _refuse_wrong_length(wanted: Wanted, total: int | None) -> None:
    if wanted.size is not None and total is not None and total != wanted.size:
        got = f"{wanted.address}: a file of {total:,} bytes"
        raise UserError(got, f"{wanted.size:,} bytes, as published", _elsewhere(wanted))


def _refuse_full_disk(part: Path, first: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - first > free:
        got = f"{free:,} bytes free in {part.parent}"
        cure = "free space, or give a larger disk with --to"
        raise UserError(got, f"room for {total - first:,} bytes more", cure)


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
    part.unlink()
    _state(part).unlink(missing_ok=True)
    raise UserError(
        f"{wanted.address}: {'; '.join(wrong)}; it was thrown away",
        "the bytes that were published, or that came the first time",
        "run it again, in case it was damaged on its way; if it stays so, the file has changed where it lies: "
        f"{_elsewhere(wanted)}",
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


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _lock(part: Path) -> Path:
    return part.with_name(f"{part.name}.lock")


def _read_state(part: Path, address: str) -> dict[str, Any]:
    """What the server said of the file that `part` is the beginning of; nothing where it came from elsewhere."""
    with contextlib.suppress(OSError, ValueError):
        state = json.loads(_state(part).read_text(encoding="utf-8"))
        if isinstance(state, dict) and state.get("address") == address:
            return state
    return {}


def _write_state(part: Path, address: str, headers: Mapping[str, str]) -> None:
    etag = headers.get("ETag", "")
    strong = "" if etag.startswith("W/") else etag  # a weak one says nothing about bytes
    state = {"address": address, "etag": strong, "date": headers.get("Last-Modified", "")}
    write_text(_state(part), json.dumps(state) + "\n")


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Of several processes that fetch one file the others wait for the first."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with open(_lock(part), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if not part.exists():
                _lock(part).unlink(missing_ok=True)


def _reason(error: Any) -> str:
    """An error of the connection in a line: its innermost cause."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, Exception):
            break
        error = inner
    return re.sub(r"^\w+\(.*?\): ", "", str(error)) or type(error).__name__


def _gave_up(wanted: Wanted, target: Path, reason: str) -> UserError:
    host = urlsplit(wanted.address).netloc
    kept = _length(target.with_name(f".{target.name}.part"))
    got = f"{wanted.address}: {reason}; {kept:,} bytes are kept"
    cure = (
        f"see that {host} can be reached (HTTPS_PROXY where there is a proxy) and run again: it goes on where it "
        f"stopped; or {_by_hand(wanted, target)}"
    )
    return UserError(got, f"an answer from {host}", cure)


def _by_hand(wanted: Wanted, target: Path) -> str:
    where = wanted.page or wanted.address
    return f"get it by hand from {where}, put it at {target} and run again, which checks it"


def _elsewhere(wanted: Wanted) -> str:
    return f"look at {wanted.page or urlsplit(wanted.address).netloc} for where it is now"
