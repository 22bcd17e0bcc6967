"""A real HTTP server on the loopback address that answers as well or as badly as its paths say.

`/MODE/NAME`: good (ranges, ETag), cut (half of what is asked for, every time), cut_from_start (so, without ranges),
stall (silent in the middle, once), flaky (500 twice, then good), busy (429 with Retry-After once), chunked (no length),
changed (another file from the second request on), redirect, loop, page (HTML), and a status (`/404/...`).
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 400  # 100 KB
OTHER = BODY[::-1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        mode = self.path.split("/")[1]
        seen = self.server.seen  # type: ignore[attr-defined]
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
        body = OTHER if mode == "changed" and times > 1 else BODY
        tag = '"other"' if body is OTHER else '"one"'
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", tag) == tag
        first = int(asked[1]) if asked and same and mode != "cut_from_start" else 0
        if first >= len(body):
            return self.plain(416, {"Content-Range": f"bytes */{len(body)}"})
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body) - first))
        self.send_header("ETag", tag)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        broken = (mode.startswith("cut") and len(body) - first > 1000) or (
            mode == "changed" and times == 1
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


class Server(ThreadingHTTPServer):
    """`seen`: requests by mode; `asked`: (mode, Range) of each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that turn away from a wrong answer are no news."""

    def url(self, mode: str, name: str = "file.bin") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{mode}/{name}"
