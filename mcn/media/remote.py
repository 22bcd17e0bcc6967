"""Videos that a manifest names by address: a bounded cache of them, and what their servers say of them.

Conventions
-----------
- The cache has a folder for each address, named by `Address.key`: the video under its own name, `known.json` (the
  server's ETag, Last-Modified and length, and the sha256 of what came), and `lock`. Who reads a video holds the lock
  with others, who fetches or removes it holds it alone, so that nothing is removed or replaced while it is read.
- A video that is there is used again where its sha256 is the one in the manifest, which needs no server, or where the
  server says that it is still the same one. Where the server does not answer, what is there is used, with a warning; a
  file that is gone (404, 410) is `not_found`.
- Before a video comes, room is made for all of it: what was used longest ago goes first. Where everything is in use, it
  waits. A video larger than the cache is `too_large`. A video whose length the server does not say is counted when it
  is there.
- What servers say of the addresses of a manifest is asked once, when the workflow starts, and kept in `ANSWERS`: it
  identifies the videos as size, time and inode identify files. Of a server that does not answer, what it said last
  stays.
- What cannot be had is a `VideoError` with the codes of `mcn.media.download`, and `checksum`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcn.errors import VideoError
from mcn.files import file_sha256, write_json, writing_explained
from mcn.media.address import Address, Place
from mcn.media.download import Patience, forget_part, part_of, receive
from mcn.media.server import DownloadError, Version, Wanted, ask
from mcn.options.downloads import DownloadOptions

log = logging.getLogger(__name__)

ANSWERS = Path("results/addresses.json")
GIGABYTE = 10**9
ASKED_AT_ONCE = 16
_ROOM_SECONDS = 0.5  # between looks for room that others must leave
_SAFE = re.compile(r"[^A-Za-z0-9_.\-]+")


class Downloads:
    """The cache of a project. root: the folder that a relative `options.folder` is below."""

    def __init__(self, options: DownloadOptions | None = None, root: Path = Path()) -> None:
        self.options = options or DownloadOptions.model_validate({})
        self.root, self.folder = root, root / self.options.folder
        self._most = int(self.options.size_gb * GIGABYTE)

    @contextlib.contextmanager
    def at_hand(self, place: Place, sha256: str = "") -> Iterator[Path]:
        """A file to read while the context lasts: a path as it is; the video of an address, fetched unless it is there.

        sha256: which bytes are wanted, '' for those that the server has. Errors: `VideoError`; `UserError` where the
        disk is full.
        """
        if isinstance(place, Path):
            yield place
            return
        with self._held(place, sha256.lower()) as path:
            yield path

    @contextlib.contextmanager
    def _held(self, address: Address, sha256: str) -> Iterator[Path]:
        target = self._file(address)
        with writing_explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        version = None if sha256 else self._asked(address, target)
        while True:
            with _locked(target.parent, fcntl.LOCK_SH):
                if _is_current(target, version, sha256):
                    os.utime(target)
                    yield target
                    return
            with _locked(target.parent, fcntl.LOCK_EX):
                if not _is_current(target, version, sha256):
                    found = self._fetch(address, target, sha256)
                    version = None if sha256 else found

    def _file(self, address: Address) -> Path:
        name = _SAFE.sub("_", address.name)[-100:].lstrip(".") or "video"
        return self.folder / address.key / (f"{name}_" if name in ("lock", "known.json") else name)

    def _asked(self, address: Address, target: Path) -> Version | None:
        """What the server says; None where it does not answer, but the video is there."""
        try:
            return ask(address.url, self.options.stall_seconds)
        except DownloadError as error:
            if error.code == "not_found" or not _known(target):
                raise VideoError(error.code, error.got) from error
            log.warning("%s; the copy of it in %s is used", error.got, target.parent)
            return None

    def _fetch(self, address: Address, target: Path, sha256: str) -> Version:
        """Bring the video; its folder is locked. Errors: `VideoError`."""
        options = self.options
        patience = Patience(
            options.attempts,
            options.pause_seconds,
            options.stall_seconds,
            options.time_limit_seconds,
        )
        # The note first: it is never that of another version
        for old in (_known_file(target), target):
            old.unlink(missing_ok=True)
        digests = {"sha256": sha256} if sha256 else {}
        wanted = Wanted(address.url, digests=digests, most=self._most)
        reserved = target.with_name("reserved")

        def room(total: int | None) -> None:
            self._make_room(target, reserved, total or 0, patience.seconds)

        try:
            with writing_explained(target):
                version = receive(wanted, target, patience, room)
                part = part_of(target)
                found = file_sha256(part)
                if sha256 and found != sha256:
                    forget_part(target)
                    words = f"{address} has sha256 {found}, the manifest says {sha256}"
                    raise VideoError("checksum", words)
                part.replace(target)
                forget_part(target)
                values = {**asdict(version), "sha256": found, "bytes": target.stat().st_size}
                write_json(_known_file(target), values)
        except DownloadError as error:
            raise VideoError(error.code, error.got) from error
        finally:
            reserved.unlink(missing_ok=True)
        self._make_room(target, reserved, 0, patience.seconds)  # where no length was said
        return version

    def _make_room(self, target: Path, reserved: Path, total: int, seconds: float) -> None:
        """Remove what was used longest ago until `total` bytes fit beside the rest, and reserve them.

        Errors: `VideoError` too_large where others do not leave room within `seconds`.
        """
        deadline = time.monotonic() + seconds
        own = target.parent
        while True:
            with _locked(self.folder, fcntl.LOCK_EX):
                entries = [one for one in self.folder.iterdir() if one.is_dir() and one != own]
                sizes = {one: _bytes_of(one) for one in entries}
                needed = max(total, _bytes_of(own))
                free = self._most - needed - sum(sizes.values())
                for entry in sorted(sizes, key=_last_used):
                    if free >= 0:
                        break
                    free += sizes[entry] if sizes[entry] and _remove(entry) else 0
                if free >= 0 or not total:
                    if total:
                        reserved.write_text(str(total))
                    return
            if time.monotonic() > deadline:
                words = f"no room for {total:,} bytes beside what is in use in {self.folder}"
                raise VideoError("too_large", words)
            time.sleep(_ROOM_SECONDS)

    def progress(self, address: Address) -> float:
        """The share of a video that has come, 0 where nothing tells."""
        target = self._file(address)
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            whole = int(target.with_name("reserved").read_text())
            return min(1.0, part_of(target).stat().st_size / whole)
        return float(target.exists())

    def noted(self, address: Address) -> dict[str, Any]:
        """What is known of the video that came last: etag, date, size, sha256; {} where none did."""
        return _read(_known_file(self._file(address)))


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with open(folder / "lock", "a") as file:
        fcntl.flock(file, how)
        yield


def _known_file(target: Path) -> Path:
    return target.with_name("known.json")


def _known(target: Path) -> dict[str, Any]:
    """What is known of a video that is there whole; {} of any other."""
    values = _read(_known_file(target))
    try:
        return values if values and values["bytes"] == target.stat().st_size else {}
    except (OSError, KeyError):
        return {}


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_current(target: Path, version: Version | None, sha256: str) -> bool:
    """Whether the video is there, with the wanted bytes or, without a sha256, of the server's version. None: of any."""
    known = _known(target)
    if not known:
        return False
    if sha256:
        return bool(known["sha256"] == sha256)
    return version is None or asdict(version) == {key: known.get(key) for key in asdict(version)}


_NOTES = ("lock", "known.json", "reserved")


def _stats(entry: Path) -> Iterator[os.stat_result]:
    """The video of an entry, or what has come of it."""
    for one in entry.iterdir():
        if one.name not in _NOTES:
            with contextlib.suppress(OSError):
                yield one.stat()


def _bytes_of(entry: Path) -> int:
    """What an entry takes, or has reserved."""
    try:
        reserved = int((entry / "reserved").read_text() or 0)
    except (OSError, ValueError):
        reserved = 0
    return max(reserved, sum(one.st_size for one in _stats(entry)))


def _last_used(entry: Path) -> float:
    return max((one.st_mtime for one in _stats(entry)), default=0.0)


def _remove(entry: Path) -> bool:
    """Remove the video of an entry unless somebody reads or fetches it."""
    with open(entry / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        for one in entry.iterdir():
            if one.name not in _NOTES[:2]:
                one.unlink(missing_ok=True)
        return True


_said: dict[Path, dict[str, Any]] = {}


def said_of(address: Address, answers: Path = ANSWERS) -> Any:
    """What the server said of an address when the workflow started: [etag, date, size], or a code; None: nothing."""
    if answers not in _said:
        _said[answers] = _read(answers)
    return _said[answers].get(address.key)


def ask_all(
    addresses: Iterable[Address], options: DownloadOptions, answers: Path = ANSWERS
) -> None:
    """Ask the servers of addresses, several at a time, for `said_of` to tell; `keep_answers` writes it down."""
    wanted = list(dict.fromkeys(addresses))
    if not wanted:
        return
    known = _read(answers)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        found = threads.map(lambda one: version_of(one, options), wanted)
        for address, said in zip(wanted, found, strict=True):
            if isinstance(said, VideoError) and said.code != "not_found":
                log.warning("%s; what it said last stays", said.message)
                continue
            known[address.key] = said.code if isinstance(said, VideoError) else said
    _said[answers] = known


def version_of(address: Address, options: DownloadOptions) -> list[Any] | VideoError:
    """[etag, date, size] as the server says them now, or why it does not."""
    try:
        version = ask(address.url, options.stall_seconds)
    except DownloadError as error:
        return VideoError(error.code, error.got)
    return [version.etag, version.date, version.size]


def keep_answers(answers: Path = ANSWERS) -> None:
    """Write down what servers said, for the jobs of this run and the start of the next one."""
    if _said.get(answers):
        write_json(answers, _said[answers])
