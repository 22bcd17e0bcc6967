"""Errors as JSON: what was got, what was wanted, what to do."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcn.errors import ERROR_CODES, UserError, VideoError
from mcn.search.serve.fetching import NotHere

log = logging.getLogger(__name__)


class NotFound(UserError):
    """What a request names is not there."""


class TooLarge(UserError):
    """A request holds more bytes than are read."""


def error_reply(error: UserError, status: int) -> JSONResponse:
    """{"error": {"got", "wanted", "do_this"}} with an HTTP status."""
    content = {"got": error.got, "wanted": error.wanted, "do_this": error.do}
    return JSONResponse({"error": content}, status, {"cache-control": "no-store"})


def user_error(request: Request, error: Exception) -> Response:
    """A mistake of who asks: 404 where nothing is there, 413 where it is too large, otherwise 400."""
    assert isinstance(error, UserError)
    status = {NotFound: 404, TooLarge: 413}.get(type(error), 400)
    return error_reply(error, status)


def video_error(request: Request, error: Exception) -> Response:
    """A file that cannot be used: 404 where it is gone, 422 otherwise; the code stands in `code`."""
    assert isinstance(error, VideoError)
    said = UserError(
        str(error),
        "a file that can be decoded",
        f"look at it with `mcn doctor`: {ERROR_CODES[error.code]}",
    )
    return error_reply(said, 404 if error.code == "not_found" else 422)


def busy(request: Request, error: Exception) -> Response:
    """Too much at once: 503, with the seconds after which to ask again."""
    said = UserError(
        "more requests at once than can be worked on", "fewer", "ask again in a moment"
    )
    reply = error_reply(said, 503)
    reply.headers["retry-after"] = "2"
    return reply


def not_here(request: Request, error: Exception) -> Response:
    """A video that is being fetched from its address: 503, with the seconds after which to ask again."""
    assert isinstance(error, NotHere)
    got = f"a video that is being fetched, {error.progress:.0%} of it here"
    reply = error_reply(UserError(got, "the whole of it", "ask again in some seconds"), 503)
    reply.headers["retry-after"] = "5"
    return reply


def http_error(request: Request, error: Exception) -> Response:
    """Unknown addresses and methods."""
    assert isinstance(error, HTTPException)
    got = f"{request.method} {request.url.path[:200]}"
    said = UserError(got, "an address of /api/openapi.json", error.detail)
    reply = error_reply(said, error.status_code)
    reply.headers.update(error.headers or {})
    return reply


def unexpected(request: Request, error: Exception) -> Response:
    """A fault of this program: its traceback is logged by the server, the reply tells nothing of it."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    said = UserError(
        "a fault of the program", "an answer", "see what mcn serve printed, and report it"
    )
    return error_reply(said, 500)
