"""Pictures and films for the page: thumbnails, files as they are, previews of what browsers do not play.

Conventions: files are named by the id of a video that is listed, and sent in ranges; a preview is made once, when it is
first asked for, and a video at an address is fetched first (`mcn.search.serve.fetching`). Whoever asks for a film whose
preview takes longer than `_PATIENCE_SECONDS` is told to ask again.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from mcn.errors import UserError
from mcn.media.remote import Downloads
from mcn.search.answers import Video
from mcn.search.serve import parameters
from mcn.search.serve.fetching import Fetching, NotHere
from mcn.search.serve.file_cache import FileCache
from mcn.search.serve.making import Children, FileMaker, made_name
from mcn.search.serve.opened import Opened
from mcn.search.serve.playback import Playback, playback_of
from mcn.search.serve.previews import progress_of, write_preview
from mcn.search.serve.replies import NotFound, error_reply
from mcn.search.serve.thumbnails import write_thumbnail

THUMBNAIL_BYTES = 256 * 2**20  # kept on disk
PREVIEW_BYTES = 8 * 2**30
TRANSCODINGS = max(1, min(2, (os.cpu_count() or 1) // 2))  # at once
_THUMBNAIL_MEMORY_MB, _PREVIEW_MEMORY_MB = 1500, 2000  # of a child
_THUMBNAIL_SECONDS, _LOOK_SECONDS = 30.0, 30.0
_WAITING_THUMBNAILS, _WAITING_PREVIEWS = 500, 20
_PATIENCE_SECONDS = 20.0
_REMEMBERED = 10_000  # files whose playback is known
_DAY = "private, max-age=86400"


class Media:
    """Thumbnails and films of the videos; what is made is kept below `folder`."""

    def __init__(self, opened: Opened, folder: Path, downloads: Downloads | None = None) -> None:
        self._opened = opened
        self._fetching = Fetching(downloads or Downloads(root=folder))
        folder.mkdir(parents=True, exist_ok=True)
        self._looking = Children(2, _THUMBNAIL_MEMORY_MB)
        self._converting = Children(TRANSCODINGS, _PREVIEW_MEMORY_MB)
        thumbnails = FileCache(folder / "thumbnails", THUMBNAIL_BYTES)
        self._thumbnails = FileMaker(thumbnails, self._looking, _WAITING_THUMBNAILS)
        room = shutil.disk_usage(folder).free // 2
        previews = FileCache(folder / "previews", min(PREVIEW_BYTES, room))
        self._previews = FileMaker(previews, self._converting, _WAITING_PREVIEWS)
        self._playbacks: dict[str, Playback] = {}

    def close(self) -> None:
        """End the child processes."""
        self._fetching.close()
        self._looking.close()
        self._converting.close()

    def routes(self) -> list[Route]:
        """Addresses of this part; `{video_id:path}`, because ids may hold slashes."""
        return [
            Route("/api/videos/{video_id:path}/thumbnail", self.thumbnail),
            Route("/api/videos/{video_id:path}/media", self.media),
            Route("/api/videos/{video_id:path}/preview", self.preview, methods=["POST"]),
        ]

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of a moment; tenths of a second are told apart."""
        video = self._video(request)
        if video.streams and "video" not in video.streams:
            raise NotFound("a file of sound alone", "a file with pictures", "show its name instead")
        seconds = round(parameters.number(request.query_params, "at", 0), 1)
        if video.length_seconds:
            seconds = min(seconds, math.floor(video.length_seconds * 10) / 10)
        file = await self._fetching.file(video.path)
        name = await asyncio.to_thread(made_name, file, f"thumbnail {seconds}", ".jpg")
        path = await self._thumbnails.get(
            name, write_thumbnail, file, seconds, seconds=_THUMBNAIL_SECONDS
        )
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": _DAY})

    async def media(self, request: Request) -> Response:
        """The film: the file itself where the browser plays it, else, or with `preview=1`, its preview."""
        video = self._video(request)
        file = await self._fetching.file(video.path)
        playback = await self._playback(file)
        if _is_direct(playback, request):
            return _film(file, playback.media_type)
        name = await self._preview_name(file)
        path = self._previews.cache.find(name)
        if path is None:
            job = self._start_preview(file, name, playback)
            await asyncio.wait({job}, timeout=_PATIENCE_SECONDS)
            if not job.done():
                return self._not_yet(name)
            path = job.result()
        return _film(path, playback.media_type if not playback.direct else "video/mp4")

    async def preview(self, request: Request) -> Response:
        """How a video is played, and how far its preview is; begins to make one where that is needed."""
        video = self._video(request)
        try:
            file = await self._fetching.file(video.path)
        except NotHere as error:
            return JSONResponse({"state": "fetching", "progress": error.progress}, 202)
        playback = await self._playback(file)
        if _is_direct(playback, request):
            return JSONResponse({"state": "direct", "progress": 1.0})
        name = await self._preview_name(file)
        if await asyncio.to_thread(self._previews.cache.find, name):
            return JSONResponse({"state": "ready", "progress": 1.0})
        self._start_preview(file, name, playback)
        progress = progress_of(self._previews.cache.path(name))
        return JSONResponse({"state": "making", "progress": progress}, 202)

    def _video(self, request: Request) -> Video:
        return self._opened.library.video(request.path_params["video_id"])

    async def _playback(self, path: Path) -> Playback:
        key = await asyncio.to_thread(made_name, path, "playback", "")
        if key not in self._playbacks:
            found = await self._looking.run(playback_of, path, seconds=_LOOK_SECONDS)
            if len(self._playbacks) >= _REMEMBERED:
                self._playbacks.pop(next(iter(self._playbacks)), None)
            self._playbacks[key] = found
        return self._playbacks[key]

    async def _preview_name(self, path: Path) -> str:
        return await asyncio.to_thread(made_name, path, "preview", ".mp4")

    def _start_preview(self, file: Path, name: str, playback: Playback) -> asyncio.Task[Path]:
        seconds = 600 + 4 * playback.seconds
        return self._previews.start(name, write_preview, file, seconds=seconds)

    def _not_yet(self, name: str) -> Response:
        done = progress_of(self._previews.cache.path(name))
        got = f"a preview that is being made, {done:.0%} of it done"
        reply = error_reply(UserError(got, "a film", "ask again in some seconds"), 503)
        reply.headers["retry-after"] = "5"
        return reply


def _is_direct(playback: Playback, request: Request) -> bool:
    """Whether the file itself is sent: the browser plays it, and no preview is wanted all the same."""
    query = request.query_params
    plays = query.get("plays", "").split(",")
    playable = playback.direct or (playback.needs != "" and playback.needs in plays)
    return playable and not parameters.flag(query, "preview")


class _Film(FileResponse):
    """A film in ranges; a range that makes no sense is answered as every other mistake is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: list[Message] = []

        async def passed_on(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                refused.append(message)
            if not refused:
                await send(message)

        await super().__call__(scope, receive, passed_on)
        if refused:
            got = f"Range: {Headers(scope=scope).get('range', '')[:200]}"
            wanted = "bytes=FIRST-LAST, within the file"
            cure = "correct the header, or leave it out"
            reply = error_reply(UserError(got, wanted, cure), refused[0]["status"])
            if length := Headers(raw=refused[0]["headers"]).get("content-range"):
                reply.headers["content-range"] = length
            await reply(scope, receive, send)


def _film(path: Path, media_type: str) -> Response:
    return _Film(path, media_type=media_type, headers={"cache-control": "private, no-cache"})
