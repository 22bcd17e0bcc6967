"""moto's server of S3 on the loopback address, which answers as well or as badly as the first part of a key says.

`s3://films/MODE/NAME`: good, cut (half of what is asked for), stall (silent in the middle, once), slow (a little at a
time), busy (503 SlowDown, once), a status (`500/...`), and `changed` (replaced after half of it). Where `Server.keys`
is set, requests that are not signed by that name are refused with 403, as S3 does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET = "open-sesame-id", "hidden-secret"
DENIED = b"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>other</AWSAccessKeyId></Error>"


class Quiet(WSGIRequestHandler):
    def log(self, *arguments: object) -> None:
        pass


class Server:
    """`seen`: requests for objects by mode, those for their first byte left out; `asked`: the query of each request."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.seen: Counter[str] = Counter()
        self.asked: list[str] = []
        self.keys = ""
        self.server = make_server("127.0.0.1", 0, self.answer, True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        self.client.create_bucket(Bucket="films")

    def put(self, key: str, body: bytes) -> str:
        """Store an object; its address."""
        self.client.put_object(Bucket="films", Key=key, Body=body)
        return f"s3://films/{key}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        mode, wanted = self._mode(environ), environ.get("HTTP_RANGE", "")
        if not mode:
            return self.app(environ, start)
        self.asked.append(environ["QUERY_STRING"])
        (signer,) = parse_qs(environ["QUERY_STRING"]).get("X-Amz-Credential", [""])
        if self.keys and not signer.startswith(self.keys):
            start("403 Forbidden", [("Content-Length", str(len(DENIED)))])
            return [DENIED]
        if wanted == "bytes=0-0" and not mode.isdigit():
            return self.app(environ, start)
        self.seen[mode] += 1
        if mode.isdigit() or (mode == "busy" and self.seen[mode] == 1):
            start(f"{mode if mode.isdigit() else 503} Slow Down", [("Content-Length", "0")])
            return []
        body = b"".join(self.app(environ, start))
        if mode == "changed" and self.seen[mode] == 1:
            self.put("changed/film.mp4", bytes(reversed(self.whole("changed/film.mp4"))))
        return self.sent(mode, body)

    def _mode(self, environ: dict[str, Any]) -> str:
        """The mode of a request for an object, '' of any other."""
        parts = environ["PATH_INFO"].split("/")
        is_object = environ["REQUEST_METHOD"] == "GET" and len(parts) > 3 and parts[1] == "films"
        return (
            parts[2]
            if is_object and "AWS4-HMAC" not in str(environ.get("HTTP_AUTHORIZATION"))
            else ""
        )

    def whole(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket="films", Key=key)["Body"].read()
        return body

    def sent(self, mode: str, body: bytes) -> Iterator[bytes]:
        if mode == "slow":
            for start in range(0, len(body), 2000):
                yield body[start : start + 2000]
                time.sleep(0.02)
            return
        first = self.seen[mode] == 1
        stalls, breaks = mode == "stall" and first, mode == "changed" and first
        cut = mode == "cut" and len(body) > 1000
        yield body[: len(body) // 2] if stalls or breaks or cut else body
        if stalls:
            time.sleep(1.5)
