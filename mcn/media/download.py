"""One file from a server: resumed after a cut, tried again a stated number of times, whole at the end.

Conventions
-----------
- The bytes go to `.NAME.part` beside the target. A cut download is taken up where it stopped (`Range`), in the same
  call or in a later one, if the server still has the same file (`If-Range` with its ETag or date, kept in
  `.NAME.part.json`); otherwise it begins anew. Checking and renaming are the caller's.
- What may pass (`mcn.media.server`) is tried again, with a pause, as long as bytes still come:
  `Patience.attempts` tries in a row without a new byte end it, and `UNREACHED` tries where no server was reached at
  all. Every other refusal ends it at once.
- Errors are `DownloadError`s, whose `code` is one of `mcn.errors.ERROR_CODES`: `not_found`, `http_status`,
  `unreachable`, `timeout`, `truncated`, `too_large`, `unreadable`. A full disk is a plain `UserError`.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from mcn.errors import UserError
from mcn.files import write_text
from mcn.media.address import shown
from mcn.media.server import (
    LONGEST_PAUSE_SECONDS,
    DownloadError,
    TryAgain,
    Version,
    Wanted,
    elsewhere,
    reason_of,
    refuse,
    request,
    version_in,
    without_secrets,
)

UNREACHED = 2
CHUNK = 1 << 20


@dataclass(frozen=True)
class Patience:
    """attempts: tries in a row without a new byte. pause: s before the second try. stall: s without a byte that count
    as a cut. seconds: for the whole file."""

    attempts: int = 5
    pause: float = 1.0
    stall: float = 60.0
    seconds: float = math.inf


Room = Callable[[int | None], None]  # told how many bytes a file will have, before they come


def receive(
    wanted: Wanted, target: Path, patience: Patience, room: Room = lambda total: None
) -> Version:
    """The whole file at `part_of(target)`, and the version that it is of.

    room: called with the length of the whole, None where the server does not say it. Errors: `DownloadError`,
    `UserError`.
    """
    part, deadline = part_of(target), time.monotonic() + patience.seconds
    longest, failures, reached = _length(part), 0, False
    while True:
        try:
            return _receive(wanted, part, target, patience.stall, deadline, room)
        except TryAgain as error:
            failures = 0 if _length(part) > longest else failures + 1
            longest, reached = max(longest, _length(part)), reached or error.reached
            if failures >= (patience.attempts if reached else min(UNREACHED, patience.attempts)):
                raise _gave_up(wanted, target, error, failures) from error
            pause = max(min(patience.pause * 2**failures, LONGEST_PAUSE_SECONDS), error.pause)
            if time.monotonic() + pause > deadline:
                raise _gave_up(wanted, target, error, failures) from error
            time.sleep(pause)


def part_of(target: Path) -> Path:
    """Where the bytes of a file are gathered."""
    return target.with_name(f".{target.name}.part")


def forget_part(target: Path) -> None:
    """Remove what was kept of a download."""
    part_of(target).unlink(missing_ok=True)
    _state(part_of(target)).unlink(missing_ok=True)


def _receive(
    wanted: Wanted, part: Path, target: Path, stall: float, deadline: float, room: Room
) -> Version:
    """One try: what lacks of `part`, appended to it."""
    have, state = _length(part), _read_state(part, wanted.address)
    validator = state.get("etag") or state.get("date")
    if have and not (validator or wanted.digests):
        have = 0  # nothing would say whether the rest is of the same file
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and validator:
        headers["If-Range"] = validator
    with request(wanted, headers, stall) as answer:
        first = _first_byte(answer, wanted, part, have)
        if first is None:  # `part` is whole already
            return version_in(answer.headers, have)
        total = _total(answer, first)
        _refuse_wrong_length(wanted, total)
        room(total)
        _refuse_full_disk(part, first, total)
        _write_state(part, wanted.address, answer.headers)
        _append(answer, part, first, total, wanted, deadline, target.name)
        return version_in(answer.headers, total if total is not None else _length(part))


def _first_byte(answer: requests.Response, wanted: Wanted, part: Path, have: int) -> int | None:
    """The offset of the answer's first byte; None where nothing lacks. Errors: `DownloadError`, `TryAgain`."""
    if answer.status_code == 416 and have:
        total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
        if total and int(total[1]) == have:
            return None
        part.unlink()
        raise TryAgain("truncated", "what was kept is no beginning of the file")
    refuse(answer, wanted)
    if answer.status_code != 206:
        return 0
    begun, now = _read_state(part, wanted.address).get("etag", ""), answer.headers.get("ETag", "")
    if begun and now and begun != now:  # servers of buckets pass over If-Range
        part.unlink()
        raise TryAgain("truncated", "the file was replaced while it came")
    span = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if not span or int(span[1]) != have:
        raise TryAgain("truncated", "the server sends another part than the one that was asked for")
    return have


def _append(
    answer: requests.Response,
    part: Path,
    first: int,
    total: int | None,
    wanted: Wanted,
    deadline: float,
    name: str,
) -> None:
    """Write the answer's bytes from the offset `first` on. Errors: `TryAgain` where fewer come than announced."""
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
            while block := answer.raw.read1(CHUNK, decode_content=False):
                file.write(block)
                progress.update(len(block))
                if time.monotonic() > deadline:
                    file.flush()
                    raise _too_slow(wanted, part)
                if file.tell() > wanted.most:
                    raise _too_large(wanted, file.tell())
        except urllib3.exceptions.ProtocolError as error:
            cut = without_secrets(wanted.address, reason_of(error))
    have = _length(part)
    if total is not None and have < total:
        raise TryAgain("truncated", f"the connection ended after {have:,} of {total:,} bytes")
    if cut:
        raise TryAgain("truncated", f"the connection ended after {have:,} bytes: {cut}")


def _total(answer: requests.Response, first: int) -> int | None:
    """The length of the whole file, where the server says it."""
    length = answer.headers.get("Content-Length", "")
    return first + int(length) if length.isdigit() else None


def _refuse_wrong_length(wanted: Wanted, total: int | None) -> None:
    if total is None:
        return
    if wanted.size not in (None, total):
        got = f"{shown(wanted.address)}: a file of {total:,} bytes"
        raise DownloadError(
            "truncated", got, f"{wanted.size:,} bytes, as published", elsewhere(wanted)
        )
    if total > wanted.most:
        raise _too_large(wanted, total)


def _refuse_full_disk(part: Path, first: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - first > free:
        got = f"{free:,} bytes free in {part.parent}"
        cure = "free space, or choose a folder on a larger disk"
        raise UserError(got, f"room for {total - first:,} bytes more", cure)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_state(part: Path, address: str) -> dict[str, Any]:
    """What the server said of the file that `part` is the beginning of; nothing where it came from elsewhere."""
    with contextlib.suppress(OSError, ValueError):
        state = json.loads(_state(part).read_text(encoding="utf-8"))
        if isinstance(state, dict) and state.get("address") == shown(address):
            return state
    return {}


def _write_state(part: Path, address: str, headers: Mapping[str, str]) -> None:
    etag = headers.get("ETag", "")
    strong = "" if etag.startswith("W/") else etag  # a weak one says nothing about bytes
    date = headers.get("Last-Modified", "")
    state = {"address": shown(address), "etag": strong, "date": date}
    write_text(_state(part), json.dumps(state) + "\n")


def _too_slow(wanted: Wanted, part: Path) -> DownloadError:
    got = f"{shown(wanted.address)}: {_length(part):,} bytes in the time that was granted; they are kept"
    return DownloadError("timeout", got, "a faster server", "grant more time, or run again")


def _too_large(wanted: Wanted, size: int) -> DownloadError:
    got = f"{shown(wanted.address)}: {size:,} bytes and more"
    return DownloadError("too_large", got, f"{wanted.most:,.0f} bytes at most", "grant more room")


def _gave_up(wanted: Wanted, target: Path, error: TryAgain, failures: int) -> DownloadError:
    host = urlsplit(wanted.address).netloc.rpartition("@")[2]
    kept = _length(part_of(target))
    got = f"{shown(wanted.address)}: {error.reason} ({failures} tries); {kept:,} bytes are kept"
    cure = (
        f"see that {host} can be reached (HTTPS_PROXY where there is a proxy) and run again: it goes on where it "
        f"stopped; or get it by hand from {wanted.page or shown(wanted.address)}, put it at {target} and run again, "
        "which checks it"
    )
    return DownloadError(error.code, got, f"an answer from {host}", cure)
