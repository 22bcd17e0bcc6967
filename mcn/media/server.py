"""One request to a server: what it says of a file, and its refusals in words.

Conventions
-----------
- Errors are `DownloadError`s, whose `code` is one of `mcn.errors.ERROR_CODES`, and `TryAgain` for what may pass: a cut,
  a stall, and the statuses `TRIED_AGAIN`.
- No message holds a password or the query of an address (`mcn.media.address.shown`), whatever a library says.
- Proxies, certificates and passwords come from where `requests` looks: HTTPS_PROXY, NO_PROXY, .netrc. A file of a
  bucket is asked for by an address that boto3 signs (`mcn.media.s3`).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from mcn.errors import UserError
from mcn.media.address import shown
from mcn.media.s3 import is_s3, refusal, signed

LONGEST_PAUSE_SECONDS = 60.0
CONNECT_SECONDS = 15.0
TRIED_AGAIN = (408, 425, 429, 500, 502, 503, 504)
GONE = (404, 410)
REFUSALS = {
    401: "the server asks for a password",
    403: "the server refuses",
    404: "there is no such file",
    410: "the file is gone",
}


@dataclass(frozen=True)
class Wanted:
    """What is known of a file beforehand. page: where a person finds it, for messages. most: bytes that it may have."""

    address: str
    page: str = ""
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    most: float = math.inf


@dataclass(frozen=True)
class Version:
    """What a server says that tells one version of a file from another; '' and None where it does not say."""

    etag: str = ""
    date: str = ""
    size: int | None = None


class DownloadError(UserError):
    """A file that does not come; `code` is a key of `mcn.errors.ERROR_CODES`."""

    def __init__(self, code: str, got: str, wanted: str, do: str) -> None:
        self.code = code
        super().__init__(got, wanted, do)

    def __reduce__(self) -> Any:
        return type(self), (self.code, self.got, self.wanted, self.do)


class TryAgain(Exception):
    """Something that may pass. pause: what the server asked for, in seconds. reached: there was a server."""

    def __init__(self, code: str, reason: str, pause: float = 0.0, reached: bool = True) -> None:
        self.code, self.reason, self.pause, self.reached = code, reason, pause, reached
        super().__init__(reason)


def ask(url: str, stall: float) -> Version:
    """What a server says of a file, asked once. Errors: `DownloadError`."""
    wanted = Wanted(url)
    try:
        with request(wanted, {"Range": "bytes=0-0"}, stall) as answer:
            if answer.status_code == 416:  # an empty file
                return version_in(answer.headers, 0)
            refuse(answer, wanted)
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if answer.status_code != 206:
                total = answer.headers.get("Content-Length", "")
            return version_in(answer.headers, int(total) if total.isdigit() else None)
    except TryAgain as error:
        got = f"{shown(url)}: {error.reason}"
        raise DownloadError(error.code, got, "an answer", "try again later") from error


@contextlib.contextmanager
def request(
    wanted: Wanted, headers: Mapping[str, str], stall: float
) -> Iterator[requests.Response]:
    """An answer whose body has not been read yet. Errors: `TryAgain`, `DownloadError`."""
    url, asked = wanted.address, {"Accept-Encoding": "identity", **headers}
    try:
        url = signed(url) if is_s3(url) else url
        with requests.get(
            url, headers=asked, stream=True, timeout=(CONNECT_SECONDS, stall)
        ) as answer:
            yield answer
    except (
        requests.TooManyRedirects,
        ValueError,
    ) as error:  # requests' errors of an address are ValueErrors
        got = f"{shown(wanted.address)}: {without_secrets(url, str(error))}"
        ends = "an address that ends somewhere"
        raise DownloadError("http_status", got, ends, elsewhere(wanted)) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        reached = not isinstance(error, requests.ConnectTimeout)
        raise TryAgain(
            "timeout", without_secrets(url, reason_of(error)), reached=reached
        ) from error
    except requests.ConnectionError as error:  # raised before any answer
        raise TryAgain(
            "unreachable", without_secrets(url, reason_of(error)), reached=False
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise TryAgain("truncated", without_secrets(url, reason_of(error))) from error


def refuse(answer: requests.Response, wanted: Wanted) -> None:
    """Errors: `TryAgain` for a status that may pass, `DownloadError` for any other that brings no file."""
    status = answer.status_code
    if status in TRIED_AGAIN:
        after = answer.headers.get("Retry-After", "")
        asked = min(float(after), LONGEST_PAUSE_SECONDS) if after.isdigit() else 0.0
        raise TryAgain("http_status", f"the server answers {status} {answer.reason}", asked)
    bucket = is_s3(wanted.address)
    place = shown(wanted.address if bucket else answer.url)
    if not answer.ok or answer.is_redirect or status == 301:  # S3 says 301 without saying where to
        words = REFUSALS.get(status, "the server refuses")
        more = refusal(answer.headers, answer.raw.read(4096)) if bucket else ""
        got = f"{place}: {words} ({status} {answer.reason}{f'; {more}' if more else ''})"
        code = "not_found" if status in GONE else "http_status"
        raise DownloadError(code, got, "a file", elsewhere(wanted))
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        got = f"{place}: a page for people (text/html) in the place of the file"
        raise DownloadError("unreadable", got, "a file", elsewhere(wanted))


def version_in(headers: Mapping[str, str], size: int | None) -> Version:
    return Version(headers.get("ETag", ""), headers.get("Last-Modified", ""), size)


def reason_of(error: Any) -> str:
    """An error of the connection in a line: its innermost cause."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, Exception):
            break
        error = inner
    return re.sub(r"^\w+\(.*?\): ", "", str(error)) or type(error).__name__


def without_secrets(url: str, words: str) -> str:
    """A library's words without what `shown` keeps back of an address."""
    parts = urlsplit(url)
    for secret in (parts.query, parts.netloc.rpartition("@")[0], parts.password or ""):
        words = words.replace(secret, "...") if secret else words
    return words


def elsewhere(wanted: Wanted) -> str:
    host = urlsplit(wanted.address).netloc.rpartition("@")[2]
    return f"look at {wanted.page or host} for where it is now"
