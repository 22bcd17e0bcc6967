"""`mcn serve`: open the answers, bind the socket, print the address, and serve until Ctrl-C.

Conventions
-----------
- The first line on standard output is the address, printed when connections are taken. Everything else goes to standard
  error.
- Without a port the first free one from `FIRST_PORT` on is taken; port 0 lets the system choose.
- Bound to anything but the loopback address, the page wants a token, which is part of the printed address.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from mcn.errors import UserError
from mcn.search.answers import Answers
from mcn.search.folder import downloads_of
from mcn.search.serve.app import create_app
from mcn.search.serve.guard import is_loopback
from mcn.search.serve.opened import Opened, stamp_of

FIRST_PORT, TRIED_PORTS = 8000, 20
# of a request: long queries are answered in words, not by a closed connection
MAXIMUM_HEAD_BYTES = 256 * 1024
MAXIMUM_CONNECTIONS = 1000
_END_SECONDS = 1  # for films that are being sent, at Ctrl-C


def serve(
    directory: Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    dataset: str | None = None,
) -> None:
    """Serve the page of a folder of answers. dataset: as in `Answers.open`.

    Errors: `UserError` of the folder, the host or the port.
    """
    directory = directory.resolve()
    opened = Opened(lambda: Answers.open(directory, dataset), lambda: stamp_of(directory))
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    with listening(host, port) as listener, cache_folder(directory) as cache:
        app = create_app(opened, cache, host, token, downloads_of(directory))
        print(address(listener, host, token), flush=True)
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # faults are logged by the app
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAXIMUM_CONNECTIONS,
            h11_max_incomplete_event_size=MAXIMUM_HEAD_BYTES,
            timeout_graceful_shutdown=_END_SECONDS,
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that takes connections. Errors: `UserError` where the host is not here or the port is taken."""
    if port is not None and not 0 <= port <= 65_535:
        raise UserError(f"port {port}", "a number from 0 to 65535", "--port 0 takes any free port")
    ports = range(FIRST_PORT, FIRST_PORT + TRIED_PORTS) if port is None else [port]
    for number in ports:
        try:
            listener = _bound(host, number)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and number != ports[-1]:
                continue
            raise _not_bound(host, number, error) from None
        with listener:
            yield listener
        return


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # as asyncio does for its own sockets; else every small reply waits 40 ms for an acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _not_bound(host: str, port: int, error: OSError) -> UserError:
    reason = (error.strerror or str(error)).partition(" (while")[0]
    got = f"port {port} of {host}: {reason}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return UserError(got, "a name or an address of this machine", "--host 127.0.0.1")
    return UserError(got, "a port that is free and allowed", "--port 0 takes any free port")


def address(listener: socket.socket, host: str, token: str) -> str:
    """What to open in a browser."""
    port = listener.getsockname()[1]
    name = _outward(host) if host in ("0.0.0.0", "::") else host
    query = f"?token={token}" if token else ""
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/{query}"


def _outward(host: str) -> str:
    """The address of this machine as others see it, that of the way to the next router; none is sent anything."""
    family, other = (
        (socket.AF_INET, "192.0.2.1") if host == "0.0.0.0" else (socket.AF_INET6, "2001:db8::1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1" if family == socket.AF_INET else "::1"


@contextlib.contextmanager
def cache_folder(directory: Path) -> Iterator[Path]:
    """results/serve of the folder of answers, or one for the time being where that may not be written to."""
    folder = directory / "results" / "serve"
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcn-serve-")))
        yield folder
