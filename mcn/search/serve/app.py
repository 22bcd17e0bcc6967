"""The routes of the page and of its API, put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mcn.errors import UserError, VideoError
from mcn.media.remote import Downloads
from mcn.search.serve import replies
from mcn.search.serve.api import Api
from mcn.search.serve.fetching import NotHere
from mcn.search.serve.guard import Guard
from mcn.search.serve.making import Busy
from mcn.search.serve.media import Media
from mcn.search.serve.openapi import document
from mcn.search.serve.opened import Opened

STATIC = Path(__file__).parent / "static"


def create_app(
    opened: Opened,
    cache: Path,
    host: str = "127.0.0.1",
    token: str = "",
    downloads: Downloads | None = None,
) -> Starlette:
    """The page of a folder of answers.

    cache: folder of what is made of videos. downloads: of videos at addresses (default: below `cache`). host: what it
    is bound to. token: '' where none is wanted.
    """
    api, media = Api(opened), Media(opened, cache, downloads)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(api.warm())
        try:
            yield
        finally:
            warming.cancel()
            api.close()
            media.close()

    routes = [
        Route("/", page),
        Route("/api/openapi.json", openapi),
        *api.routes(),
        *media.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers = {
        UserError: replies.user_error,
        VideoError: replies.video_error,
        Busy: replies.busy,
        NotHere: replies.not_here,
        HTTPException: replies.http_error,
        Exception: replies.unexpected,
    }
    guard = Middleware(Guard, host=host, token=token)
    return Starlette(
        routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan
    )


async def page(request: Request) -> Response:
    """The page itself."""
    return FileResponse(
        STATIC / "index.html", media_type="text/html", headers={"cache-control": "no-cache"}
    )


async def openapi(request: Request) -> Response:
    """The description of the API for other programs."""
    return JSONResponse(document())
