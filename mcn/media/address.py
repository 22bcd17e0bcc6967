"""Where a video lies: a file, or an address on a server.

Conventions
-----------
- A text that begins with `scheme://` is an address, everything else a path. http, https and s3 are read.
- An address may hold a password or a key (`https://NAME:PASSWORD@HOST`, `?token=...`). `str()` and f-strings give what
  people may see, without either; whoever opens the address, or writes a list that a job reads, takes `url`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from mcn.media.s3 import bucket_and_key, is_s3, s3_problem

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
READ = ("http", "https", "s3")


@dataclass(frozen=True)
class Address:
    """A file on a server."""

    url: str

    def __str__(self) -> str:
        return shown(self.url)

    __repr__ = __str__

    @property
    def key(self) -> str:
        """32 hexadecimal digits that stand for the address and tell nothing of it."""
        return hashlib.sha256(self.url.encode(errors="surrogateescape")).hexdigest()[:32]

    @property
    def name(self) -> str:
        """The last part of the path, or the host where there is none."""
        return self._path.rpartition("/")[2] or self._host

    @property
    def folder(self) -> Path:
        """Host and folders, as an absolute path for filters and pages: /example.org/videos."""
        return Path(f"/{self._host}{self._path.rpartition('/')[0]}")

    @property
    def _host(self) -> str:
        return bucket_and_key(self.url)[0] if is_s3(self.url) else str(urlsplit(self.url).hostname)

    @property
    def _path(self) -> str:
        """What stands behind the host; a key is taken as it stands."""
        if is_s3(self.url):
            return f"/{bucket_and_key(self.url)[1]}"
        return unquote(urlsplit(self.url).path)


Place: TypeAlias = Path | Address


def shown(url: str) -> str:
    """An address without name, password and the values of its query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return f"{url.partition('://')[0]}://..."
    return urlunsplit((parts.scheme, host, parts.path, "..." if parts.query else "", ""))


def is_address(text: str) -> bool:
    """Whether a text names something on a server."""
    return _SCHEME.match(text) is not None


def place_of(text: str, folder: Path = Path()) -> Place:
    """The address or, relative to `folder`, the path that a text means."""
    return Address(text.strip()) if is_address(text.strip()) else folder / text


def written(place: Place) -> str:
    """The text that `place_of` reads again; not one to show."""
    return place.url if isinstance(place, Address) else str(place)


def address_problem(url: str) -> str:
    """What is wrong with an address, '' where it can be asked for."""
    scheme = url.partition("://")[0].lower()
    if scheme not in READ:
        return f"{scheme}:// is not read; of addresses, http://, https:// and s3:// are"
    if scheme == "s3":
        return s3_problem(url)
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    blank = any(one.isspace() or not one.isprintable() for one in url)
    return "" if usable and not blank else f"{shown(url)!r} is no address"
