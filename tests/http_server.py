"""A real HTTP server on the loopback address that answers as well or as badly as its paths say.

`/MODE/NAME`: good (ranges, ETag), cut (half of what is asked for, every time), cut_from_start (so, without ranges),
stall (silent in the middle, once), flaky (500 twice, then good), busy (429 with Retry-After once), chunked (no length),
changed (another file from the second request on), redirect, loop, page (HTML), and a status (`/404/...`); for videos:
whole (ignores ranges), slow (a little at a time), short (less than it announces, every time), plain (says no version).
A request for one byte, by which a file is asked for, is answered well by all that send a file. `Server.files`: name ->
bytes, in the place of `BODY`; `Server.modes`: mode -> another one, from now on.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 400  # 100 KB
OTHER = BODY[::-1]
SENDING = ("good", "cut", "stall", "whole", "slow", "short", "plain", "cut_from_start")


def tag_of(body: bytes) -> str:
    """The ETag of a body."""
    if body in (BODY, OTHER):
        return '"one"' if body == BODY else '"other"'
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        mode = self.path.split("/")[1]
        mode = self.server.modes.get(mode, mode)  # type: ignore[attr-defined]
        seen = self.server.seen  # type: ignore[attr-defined]
        if self.headers.get("Range") == "bytes=0-0" and mode in SENDING:
            return self.tell(mode)
        seen[mode] += 1
        self.server.asked.append((mode, self.headers.get("Range", "")))  # type: ignore[attr-defined]
        if mode.isdigit():
            return self.plain(int(mode))
        if (mode == "flaky" and seen[mode] <= 2) or (mode == "busy" and seen[mode] <= 1):
            return self.plain(500 if mode == "flaky" else 429, {"Retry-After": "0"})
        if mode in ("redirect", "loop"):
            where = self.path if mode == "loop" else self.path.replace("redirect", "good")
            return self.plain(302, {"Location": where})
        if mode == "page":
            return self.plain(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>log in")
        if mode == "chunked":
            return self.chunked()
        return self.send_part(mode, seen[mode])

    def body(self) -> bytes:
        name = self.path.partition("?")[0].rpartition("/")[2]
        files: dict[str, bytes] = self.server.files  # type: ignore[attr-defined]
        return files.get(name, BODY)

    def tell(self, mode: str) -> None:
        """The answer to a request for the first byte."""
        body = self.body()
        self.send_response(206)
        self.send_header("Content-Length", "1")
        self.send_header("Content-Range", f"bytes 0-0/{len(body)}")
        if mode != "plain":
            self.send_header("ETag", tag_of(body))
        self.end_headers()
        self.wfile.write(body[:1])

    def plain(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n")

    def send_part(self, mode: str, times: int) -> None:
        body = OTHER if mode == "changed" and times > 1 else self.body()
        tag = tag_of(body)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", tag) == tag
        ranges = mode not in ("cut_from_start", "whole", "short")
        first = int(asked[1]) if asked and same and ranges else 0
        if first >= len(body):
            return self.plain(416, {"Content-Range": f"bytes */{len(body)}"})
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body) - first))
        if mode != "plain":
            self.send_header("ETag", tag)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if mode == "slow":
            return self.trickle(body[first:])
        broken = (
            mode == "short"
            or (mode.startswith("cut") and len(body) - first > 1000)
            or (mode == "changed" and times == 1)
        )
        rest = body[first:]
        if mode == "stall" and times == 1:
            self.wfile.write(rest[:5000])
            self.wfile.flush()
            time.sleep(1.5)
            broken, rest = True, b""
        self.wfile.write(rest[: len(rest) // 2] if broken else rest)
        if broken:
            self.close_connection = True
        return None

    def trickle(self, rest: bytes) -> None:
        for start in range(0, len(rest), 2000):
            self.wfile.write(rest[start : start + 2000])
            self.wfile.flush()
            time.sleep(0.02)


class Server(ThreadingHTTPServer):
    """`seen`: requests by mode but for those of one byte; `asked`: (mode, Range) of each; `files`: what is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, str] = {}
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that turn away from a wrong answer are no news."""

    def url(self, mode: str, name: str = "file.bin") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{mode}/{name}"
